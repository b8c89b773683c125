"""The peers of quality.py: XGBoost on the rows, plain and after imbalanced-learn's SMOTENC of the orphan groups.

Both learn what the product's gate learns, the groups of severity and rarity that are present, from the very same training rows, with the
product's booster settings and its five folds: each member stops early on its own held-out fold, and the members' probabilities are
averaged (one model that leaves out one fold is weaker: 0.018 orphan average precision at 2,000 training cases). Chosen in their favour:

- the columns that suit trees best: pressure category as an ordered number and gender as one indicator, instead of the product's indicators
  of each code (0.01 better at 2,000 cases);
- SMOTENC knows the fold's training cases alone, real cases stop the training, and its effect on the odds is taken back from the
  probabilities, which an ordinary script leaves out. Orphan groups grow in proportion to the share that the job names.

usage:  python_quality.py JOB.json
        {"files": [...], "folds": K, "seed": S, "settings": {...}, "share": 0.2, "neighbours": 5, "tables": {"plain": FILE, "smote_nc": FILE}}

Each table is written as `hoofbeat model export --table` writes it, less the rarity: the peers have no alarm. Prints rounds and seconds.
Time is not compared, so one thread: it is the quickest where rows are few and the machine is shared.
"""
import json
import sys
import time
from pathlib import Path

import numpy as np
import polars as pl
import xgboost

import python_pipeline
import python_search

sys.path.insert(0, str(Path(__file__).parent / "reference"))
from reference_cohort import BLOOD, GENDER, PRESSURE, SEVERITY, SHAPE  # noqa: E402

# Levels of blood group and pressure category stand in these indicator columns of the shared encoding.
INDICATORS = {"gender": slice(2, 4), "blood": slice(4, 8), "pressure": slice(8, 13)}
BLOOD_COLUMNS = ["A", "B", "AB", "O"]
CATEGORICAL = [2, 3, 4]  # of `levels`


def levels(features):
    """Scaled age and exercise, and the indices of gender, blood group and pressure category, `n x 5`."""
    return np.column_stack([features[:, :2], *(features[:, columns].argmax(1) for columns in INDICATORS.values())]).astype(np.float32)


def encode(levels):
    """The peers' columns: age, exercise, gender, pressure category in order, and an indicator of each blood group."""
    return np.column_stack([levels[:, [0, 1, 2, 4]], levels[:, [3]] == np.arange(len(BLOOD_COLUMNS))]).astype(np.float32)


def every_patient():
    """Indices of every possible patient in the reference's order (age, gender, blood, pressure, days), and their levels."""
    index = np.indices(SHAPE).reshape(len(SHAPE), -1)
    age, gender, blood, pressure, days = index
    scaled = lambda values, name: (values - python_pipeline.RANGES[name][0]) / python_pipeline.RANGES[name][1]
    column = np.array([BLOOD_COLUMNS.index(code) for code in BLOOD])
    return index, np.column_stack([scaled(age, "age"), scaled(days, "exercise"), gender, column[blood], pressure]).astype(np.float32)


def oversampled(x, y, orphan, job):
    """Rows with synthetic orphan cases, and what each group has grown by. A group of one case has no neighbour and stays."""
    from imblearn.over_sampling import SMOTENC
    count = np.bincount(y, minlength=len(orphan))
    others, rare = count[~orphan].sum(), count[orphan].sum()
    factor = job["share"] / (1 - job["share"]) * others / max(rare, 1)
    wanted = {group: round(count[group] * factor) for group in np.flatnonzero(orphan) if count[group] > 1}
    if factor <= 1 or not wanted:
        return x, y, np.ones(len(orphan))
    neighbours = min(job["neighbours"], min(count[group] for group in wanted) - 1)
    made = SMOTENC(categorical_features=CATEGORICAL, sampling_strategy=wanted, k_neighbors=neighbours, random_state=job["seed"])
    x, y = made.fit_resample(x, y)
    return x, y, np.bincount(y, minlength=len(orphan)) / np.maximum(count, 1)


def members(x, y, fold, orphan, job, smote_nc):
    """Mean probability of each group for every possible patient, and the rounds of each member."""
    given = job["settings"]
    parameters = {
        "objective": "multi:softprob", "num_class": len(orphan), "tree_method": "hist", "nthread": 1, "eval_metric": "mlogloss",
        "eta": given["eta"], "max_depth": given["depth"], "subsample": given["subsample"], "colsample_bynode": given["columns"],
        "max_bin": given["bins"], "min_child_weight": given["min_child_weight"], "lambda": given["lambda"], "seed": job["seed"]}
    domain, total, rounds = xgboost.DMatrix(encode(every_patient()[1])), 0.0, []
    for left_out in range(job["folds"]):
        held, (rows, groups) = fold == left_out, (x[fold != left_out], y[fold != left_out])
        rows, groups, growth = oversampled(rows, groups, orphan, job) if smote_nc else (rows, groups, np.ones(len(orphan)))
        train = xgboost.QuantileDMatrix(encode(rows), groups, max_bin=given["bins"], nthread=1)
        stop = xgboost.QuantileDMatrix(encode(x[held]), y[held], max_bin=given["bins"], nthread=1, ref=train)
        booster = xgboost.train(parameters, train, num_boost_round=given["rounds"], evals=[(stop, "held")], verbose_eval=False,
                                early_stopping_rounds=given["early_stopping"])
        rounds.append(booster.best_iteration + 1)
        p = booster.predict(domain, iteration_range=(0, rounds[-1])).astype(float) / growth
        total = total + p / p.sum(1, keepdims=True)
    return total / job["folds"], rounds


def write(file, p, severity, orphan):
    """The table of every possible patient; `p` has a column per group."""
    age, gender, blood, pressure, days = every_patient()[0]
    by_severity = np.stack([p[:, severity == k].sum(1) for k in range(len(SEVERITY))], 1)
    names = lambda codes, index: np.array(codes)[index]
    columns = {"age_years": age, "gender": names(GENDER, gender), "blood_type": names(BLOOD, blood),
               "blood_pressure": names(PRESSURE, pressure), "exercise_days_per_month": days}
    columns |= {f"p_{name}": by_severity[:, k] for k, name in enumerate(SEVERITY)}
    columns |= {"p_orphan": p[:, orphan].sum(1), "severity": names(SEVERITY, by_severity.argmax(1))}
    pl.DataFrame(columns).write_csv(file)


def main(path):
    job = json.load(open(path))
    features, group, slot = python_search.read(job["files"])
    present = np.unique(group).astype(int)
    y = np.searchsorted(present, group)
    severity = np.array([SEVERITY.index(python_search.GROUPS[g][0]) for g in present])
    orphan = np.array([python_search.GROUPS[g][1] for g in present])
    fold = slot * job["folds"] // (python_pipeline.TRAIN[1] + 1)
    out = {"rows": len(y), "orphans": int(orphan[y].sum())}
    for name, file in job["tables"].items():
        begin = time.monotonic()
        p, rounds = members(levels(features), y, fold, orphan, job, name == "smote_nc")
        write(file, p, severity, orphan)
        out[name] = {"rounds": rounds, "seconds": time.monotonic() - begin}
    json.dump(out, sys.stdout)


if __name__ == "__main__":
    main(sys.argv[1]) if len(sys.argv) == 2 else sys.exit(__doc__)
