"""Drift of a million patients with six features: hoofbeat beside Evidently, from two Parquet files to statistics, p-values and a verdict.

Both read the same files: 1,000,000 patients of the reference cohort's shape and as many of a window in which the pressures have risen
a little. Each program times itself, without its start: reading, and everything after it (for hoofbeat: counting, permutation tests with 999
draws, correction and verdict). Evidently runs twice: with the tests that it chooses itself for large data, and with Kolmogorov-Smirnov and
chi-square. The bar is for everything after reading; the faster of Evidently's two ways counts.
"""
import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from report import Bars, machine, table

HERE = Path(__file__).parent
BAR = 100.0


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binaries", type=Path, required=True, help="folder of the release binaries")
    parser.add_argument("--rows", type=int, default=1_000_000, help="patients in each of the two files")
    parser.add_argument("--rounds", type=int, default=3, help="the median of so many rounds of each program counts")
    parser.add_argument("--bar", type=float, default=BAR)
    return parser.parse_args()


def write(path, rows, seed, rise):
    """Ages, pressures and days with the ties that whole numbers have."""
    rng = np.random.default_rng(seed)
    whole = lambda values, low, high: np.clip(np.rint(values), low, high).astype(np.int32)
    systolic = whole(rng.normal(128 + rise, 18, rows), 50, 280)
    pq.write_table(pa.table({
        "age_years": whole(rng.normal(48, 21, rows), 0, 120),
        "gender": rng.choice(np.arange(2, dtype=np.int32), rows, p=[0.51, 0.49]),
        "blood_type": rng.choice(np.arange(4, dtype=np.int32), rows, p=[0.42, 0.1, 0.04, 0.44]),
        "systolic_mmhg": systolic,
        "diastolic_mmhg": whole(np.minimum(systolic - 20, rng.normal(80 + rise / 2, 11, rows)), 30, 180),
        "exercise_days_per_month": whole(rng.choice([0, 4, 8, 12, 20, 30], rows, p=[0.35, 0.2, 0.15, 0.15, 0.1, 0.05]), 0, 31),
    }, schema=pa.schema([pa.field(name, pa.int32(), nullable=False) for name in (
        "age_years", "gender", "blood_type", "systolic_mmhg", "diastolic_mmhg", "exercise_days_per_month")])), path)


def run(command):
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{command[0]}: {done.stderr[-2000:]}")
    return [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]


def main():
    asked = arguments()
    print(machine(["evidently", "pandas", "scipy", "numpy", "pyarrow"]))
    with tempfile.TemporaryDirectory() as folder:
        reference, window = Path(folder) / "reference.parquet", Path(folder) / "window.parquet"
        write(reference, asked.rows, 1, 0.0)
        write(window, asked.rows, 2, 5.0)
        ours, theirs = [], {"default": [], "classic": []}
        # In turn, so that whatever else the machine does meets all of them.
        for _ in range(asked.rounds):
            ours += run([asked.binaries / "examples/drift", reference, window, 1])
            for tests, rounds in theirs.items():
                rounds += run([sys.executable, HERE / "python_drift.py", reference, window, 1, tests])
    median = lambda rounds, of: statistics.median(one[of] for one in rounds)
    whole = lambda rounds: statistics.median(one["read_s"] + one["judge_s"] for one in rounds)
    rows = [("hoofbeat, permutation tests", ours), ("Evidently, its own choice", theirs["default"]),
            ("Evidently, KS and chi-square", theirs["classic"])]
    print("\n" + table(["seconds (median)", "read", "the rest", "ratio", "whole", "ratio"], [
        (name, f"{median(one, 'read_s'):.3f}", f"{median(one, 'judge_s'):.4f}", f"{median(one, 'judge_s') / median(ours, 'judge_s'):.0f}x",
         f"{whole(one):.3f}", f"{whole(one) / whole(ours):.0f}x") for name, one in rows]))
    changes = ours[0]["changes"]
    print("\n" + table(["feature", "distance", "PSI", "p", "verdict"], [
        (name, f"{one['distance']:.4f}", f"{one['psi']:.4f}", f"{one['p']:.3g}", one["drift"]) for name, one in changes.items()]))
    best = min(median(rounds, "judge_s") for rounds in theirs.values())
    bars = Bars()
    bars.at_least("from columns in memory to the verdict", best / median(ours, "judge_s"), asked.bar)
    bars.holds("the pressures are found, the rest is quiet", ", ".join(n for n, c in changes.items() if c["drift"] != "stable"), "both pressures",
               {n for n, c in changes.items() if c["drift"] != "stable"} == {"systolic_mmhg", "diastolic_mmhg"})
    return bars.finish()


sys.exit(main())
