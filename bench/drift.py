"""Drift of a million patients with six features: hoofbeat beside Evidently, from columns in memory to statistics, p-values and a verdict.

Both get the same columns: 1,000,000 patients and as many of a window in which the pressures have risen by 5 mmHg. What counts is the
processor time of all threads, without the programs' start and without reading the columns: hoofbeat counts, makes permutation tests with
999 draws, corrects and judges. Evidently runs twice: with the tests that it chooses itself for large data, and with Kolmogorov-Smirnov and
chi-square. The cheaper of the two counts. Elapsed time is told beside it.
"""
import argparse
import json
import resource
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from report import Bars, machine, table

HERE = Path(__file__).parent
BAR = 100.0
PRESSURES = {"systolic_mmhg", "diastolic_mmhg"}


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binaries", type=Path, required=True, help="folder of the release binaries")
    parser.add_argument("--rows", type=int, default=1_000_000, help="patients of the reference, and of the window")
    parser.add_argument("--rounds", type=int, default=3, help="the median of so many rounds of each program counts")
    parser.add_argument("--repeats", type=int, default=20, help="comparisons in one round of hoofbeat, of which the mean is taken")
    parser.add_argument("--bar", type=float, default=BAR)
    return parser.parse_args()


def write(folder, rows, seed, rise):
    """Ages, pressures and days with the ties that whole numbers have."""
    folder.mkdir()
    rng = np.random.default_rng(seed)
    systolic = np.clip(np.rint(rng.normal(128 + rise, 18, rows)), 50, 280)
    columns = {
        "age_years": np.clip(np.rint(rng.normal(48, 21, rows)), 0, 120),
        "gender": rng.choice(2, rows, p=[0.51, 0.49]),
        "blood_type": rng.choice(4, rows, p=[0.42, 0.1, 0.04, 0.44]),
        "systolic_mmhg": systolic,
        "diastolic_mmhg": np.clip(np.rint(np.minimum(systolic - 20, rng.normal(80 + rise / 2, 11, rows))), 30, 180),
        "exercise_days_per_month": rng.choice([0, 4, 8, 12, 20, 30], rows, p=[0.35, 0.2, 0.15, 0.15, 0.1, 0.05]),
    }
    for name, values in columns.items():
        values.astype("<i4").tofile(folder / name)


def run(*command):
    """The JSON lines that a command prints, and its processor seconds."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        sys.exit(f"{command[0]}: {done.stderr[-2000:]}")
    lines = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    return lines, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def hoofbeat(asked, reference, window):
    """One comparison: what many cost more than none, shared out."""
    program = asked.binaries / "examples/drift"
    _, idle = run(program, reference, window, 0)
    lines, cpu = run(program, reference, window, asked.repeats)
    return {"cpu": (cpu - idle) / asked.repeats, "seconds": statistics.median(line["seconds"] for line in lines), "found": lines[0]["found"]}


def main():
    asked = arguments()
    print(machine(["evidently", "pandas", "scipy", "numpy"]))
    with tempfile.TemporaryDirectory() as folder:
        reference, window = Path(folder) / "reference", Path(folder) / "window"
        write(reference, asked.rows, 1, 0.0)
        write(window, asked.rows, 2, 5.0)
        ours, theirs = [], {"default": [], "classic": []}
        # In turn, so that whatever else the machine does meets all of them.
        for _ in range(asked.rounds):
            ours.append(hoofbeat(asked, reference, window))
            for tests, rounds in theirs.items():
                rounds += run(sys.executable, HERE / "python_drift.py", reference, window, tests)[0]
    median = lambda rounds, of: statistics.median(one[of] for one in rounds)
    rows = [("hoofbeat, permutation tests", ours), ("Evidently, its own choice", theirs["default"]),
            ("Evidently, KS and chi-square", theirs["classic"])]
    print("\n" + table(["columns in memory to the verdict", "CPU s", "ratio", "elapsed s", "ratio"], [
        (name, f"{median(one, 'cpu'):.4f}", f"{median(one, 'cpu') / median(ours, 'cpu'):.0f}x",
         f"{median(one, 'seconds'):.4f}", f"{median(one, 'seconds') / median(ours, 'seconds'):.0f}x") for name, one in rows]))
    changes = ours[0]["found"]
    print("\n" + table(["feature", "distance", "PSI", "p", "verdict"], [
        (name, f"{one['distance']:.4f}", f"{one['psi']:.4f}", f"{one['p']:.3g}", one["drift"]) for name, one in changes.items()]))
    bars = Bars()
    bars.at_least("Evidently / hoofbeat, CPU", min(median(one, "cpu") for one in theirs.values()) / median(ours, "cpu"), asked.bar)
    found = {name for name, one in changes.items() if one["drift"] in ("notable", "major")}
    bars.holds("what drifts", ", ".join(sorted(found)) or "nothing", "the systolic pressure", "systolic_mmhg" in found and found <= PRESSURES)
    return bars.finish()


sys.exit(main())
