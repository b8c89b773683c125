"""Exact figures of an exported table, by the definition of the reference cohort in numpy, which shares no code with the product."""
import csv
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parent / "reference"))
import reference_cohort as definition  # noqa: E402


@dataclass
class Table:
    """What a rule answers every possible patient, in the definition's order."""
    orphan: np.ndarray   # probability
    decided: np.ndarray  # index of the severity
    alarm: np.ndarray    # suspected orphan; never, where the table has no rarity


class Exact:
    def __init__(self, preset="reference"):
        self.cohort = definition.Cohort(preset)
        self.best_macro_f1 = float(definition.best_macro_f1(self.cohort).mean())
        self.best_orphan_ap = self.orphan_ap(self.cohort.p_orphan)

    @staticmethod
    def read(path):
        """Every possible patient has to be in it once."""
        shape = definition.SHAPE
        orphan, decided, alarm = np.full(shape, np.nan), np.zeros(shape, int), np.zeros(shape, bool)
        place = lambda codes: {code: index for index, code in enumerate(codes)}
        gender, blood, pressure, severity = map(place, (definition.GENDER, definition.BLOOD, definition.PRESSURE, definition.SEVERITY))
        rows = 0
        with open(path, newline="") as file:
            for row in csv.DictReader(file):
                cell = (int(row["age_years"]), gender[row["gender"]], blood[row["blood_type"]], pressure[row["blood_pressure"]],
                        int(row["exercise_days_per_month"]))
                orphan[cell], decided[cell] = float(row["p_orphan"]), severity[row["severity"]]
                alarm[cell] = row.get("rarity") == "orphan"
                rows += 1
        if rows != orphan.size or np.isnan(orphan).any():
            raise SystemExit(f"{path} does not hold every possible patient once")
        return Table(orphan.ravel(), decided.ravel(), alarm.ravel())

    def macro_f1(self, decided):
        return float(definition.macro_f1(self.cohort, decided).mean())

    def orphan_ap(self, orphan):
        recall, precision, _ = definition.precision_recall(self.cohort, orphan)
        return definition.average_precision(recall, precision)

    def score(self, table):
        f1, precision = self.macro_f1(table.decided), self.orphan_ap(table.orphan)
        return {"macro_f1": f1, "macro_f1_regret": self.best_macro_f1 - f1,
                "orphan_ap": precision, "orphan_ap_regret": self.best_orphan_ap - precision}

    def alarm(self, table):
        """Recall, precision (nan without an alarm) and share of the patients of the alarm, as it stands."""
        weight, sick = self.cohort.weight, self.cohort.weight * self.cohort.p_orphan
        share, found = weight[table.alarm].sum(), sick[table.alarm].sum()
        return {"recall": float(found / sick.sum()), "precision": float(found / share) if share else float("nan"), "alerts": float(share)}
