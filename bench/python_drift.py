"""The peer of `bench/run drift`: the same two files through Evidently. One JSON line a round on standard output.

usage: python_drift.py REFERENCE WINDOW ROUNDS default|classic

`default` leaves the choice of tests to Evidently (on large data: normed Wasserstein distance and Jensen-Shannon distance, no p-value);
`classic` asks for Kolmogorov-Smirnov and chi-square, the tests that hoofbeat makes.
"""
import json
import sys
import time

import pandas as pd
from evidently import DataDefinition, Dataset, Report
from evidently.presets import DataDriftPreset

NUMERICAL = ["age_years", "systolic_mmhg", "diastolic_mmhg", "exercise_days_per_month"]
CATEGORICAL = ["gender", "blood_type"]


def main():
    reference, window, rounds, tests = sys.argv[1:]
    preset = DataDriftPreset() if tests == "default" else DataDriftPreset(num_method="ks", cat_method="chisquare")
    definition = DataDefinition(numerical_columns=NUMERICAL, categorical_columns=CATEGORICAL)
    for _ in range(int(rounds)):
        started = time.perf_counter()
        frames = [pd.read_parquet(path) for path in (reference, window)]
        read = time.perf_counter() - started
        started = time.perf_counter()
        datasets = [Dataset.from_pandas(frame, data_definition=definition) for frame in frames]
        snapshot = Report([preset]).run(reference_data=datasets[0], current_data=datasets[1])
        found = snapshot.dict()
        judged = time.perf_counter() - started
        values = {}
        for metric in found["metrics"]:
            column = metric.get("config", {}).get("column") or metric.get("metric_name", "")
            values[str(column)] = metric["value"]
        print(json.dumps({"read_s": read, "judge_s": judged, "found": values}, default=str), flush=True)


main()
