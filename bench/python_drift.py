"""The peer of `bench/run drift`: the same columns through Evidently. One JSON line on standard output.

usage: python_drift.py REFERENCE WINDOW default|classic

`default` leaves the choice of tests to Evidently (on large data: normed Wasserstein distance and Jensen-Shannon distance, no p-value);
`classic` asks for Kolmogorov-Smirnov and chi-square, the tests that hoofbeat makes.
"""
import json
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
from evidently import DataDefinition, Dataset, Report
from evidently.presets import DataDriftPreset

NUMERICAL = ["age_years", "systolic_mmhg", "diastolic_mmhg", "exercise_days_per_month"]
CATEGORICAL = ["gender", "blood_type"]


def main():
    reference, window, tests = sys.argv[1:]
    read = lambda folder: pd.DataFrame({name: np.fromfile(Path(folder) / name, "<i4") for name in NUMERICAL + CATEGORICAL})
    frames = [read(reference), read(window)]
    preset = DataDriftPreset() if tests == "default" else DataDriftPreset(num_method="ks", cat_method="chisquare")
    definition = DataDefinition(numerical_columns=NUMERICAL, categorical_columns=CATEGORICAL)
    started, cpu = time.perf_counter(), time.process_time()
    datasets = [Dataset.from_pandas(frame, data_definition=definition) for frame in frames]
    snapshot = Report([preset]).run(reference_data=datasets[0], current_data=datasets[1])
    found = snapshot.dict()
    seconds, cpu = time.perf_counter() - started, time.process_time() - cpu
    print(json.dumps({"cpu": cpu, "seconds": seconds, "found": [metric["value"] for metric in found["metrics"]]}, default=str))


main()
