"""How far a model trained by the product is from the best possible one, scored exactly over every possible patient.

For each size and seed: synth, ingest, train, export the predictor table, and score it twice: by the product itself (`evaluate --json`)
and by the definition in numpy (reference/reference_cohort.py), which shares no code with it. Then the `epidemiology` preset, whose inputs
say little about the outcome: the product has to say so.
"""
import argparse
import json
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import measure
import stored
from report import Bars, machine, table

HERE = Path(__file__).parent
# The bars are for 10,000 training cases: 14,286 in all at 70/15/15.
SIZES, F1_BAR, AP_BAR = [14_286, 10_000], 0.010, 0.05


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binaries", type=Path, required=True, help="folder of the release binaries")
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES, help="cases in all; the bars are for the first, the others are for comparison")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3, 4, 5])
    return parser.parse_args()


def train(hoofbeat, folder, rows, seed, preset="reference"):
    """A trained model of a fresh deployment: its data directory, version, and the product's validation report."""
    data = stored.make(hoofbeat, folder, rows, seed, preset, "csv")
    common = ["--data-dir", data, "--json", "--quiet"]
    begin = time.monotonic()
    trained = json.loads(measure.run([hoofbeat, "train", "--seed", seed, *common], expect=(0, 3)).out)
    seconds, version = time.monotonic() - begin, trained["model"]["version"]
    report = json.loads(measure.run([hoofbeat, "evaluate", version, *common], expect=(0, 3)).out)["report"]
    return data, version, report, seconds


def one(hoofbeat, rows, seed):
    folder = Path(tempfile.mkdtemp(prefix="hoofbeat-bench-"))
    try:
        data, version, report, seconds = train(hoofbeat, folder, rows, seed)
        exported = folder / "table.csv"
        measure.run([hoofbeat, "model", "export", version, "--table", exported, "--data-dir", data, "--quiet"])
        score = [sys.executable, HERE / "reference" / "reference_cohort.py", "score", exported]
        independent = json.loads(subprocess.run(score, check=True, capture_output=True, text=True, timeout=600).stdout)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    truth = report["truth"]
    independent["orphan_ap_regret"] = independent["orphan_ap_best"] - independent["orphan_ap"]
    names = ["macro_f1", "macro_f1_regret", "orphan_ap", "orphan_ap_regret"]
    difference = max(abs(truth[name] - independent[name]) for name in names)
    return {**{name: independent[name] for name in names}, "difference": difference, "seconds": seconds}


def main():
    given = arguments()
    hoofbeat = given.binaries / "hoofbeat"
    print(machine(["numpy"]), flush=True)
    results = {}
    for rows in given.sizes:
        for seed in given.seeds:
            print(f"==> {rows:,} cases, seed {seed}", file=sys.stderr, flush=True)
            results[rows, seed] = one(hoofbeat, rows, seed)
    folder = Path(tempfile.mkdtemp(prefix="hoofbeat-bench-"))
    try:
        print("==> epidemiology", file=sys.stderr, flush=True)
        _, _, report, _ = train(hoofbeat, folder, given.sizes[0], given.seeds[0], "epidemiology")
    finally:
        shutil.rmtree(folder, ignore_errors=True)

    print("\nexact over all possible patients; regret = best possible - reached\n")
    head = ["cases", "seed", "macro F1", "regret", "orphan AP", "regret", "|product - numpy|", "train s"]
    print(table(head, [(f"{rows:,}", seed, f"{r['macro_f1']:.4f}", f"{r['macro_f1_regret']:.4f}", f"{r['orphan_ap']:.4f}",
                        f"{r['orphan_ap_regret']:.4f}", f"{r['difference']:.1e}", f"{r['seconds']:.1f}")
                       for (rows, seed), r in results.items()]))
    inputs = report["inputs"]
    print(f"\nepidemiology: inputs {inputs['inputs']}: {inputs.get('because', '')}")
    bars = Bars()
    worst = lambda rows, name: max(r[name] for (size, _), r in results.items() if size == rows)
    for rows in given.sizes[1:]:
        print(f"for comparison, {rows:,} cases in all: worst macro F1 regret {worst(rows, 'macro_f1_regret'):.4f}, "
              f"worst orphan AP regret {worst(rows, 'orphan_ap_regret'):.4f}")
    first = given.sizes[0]
    bars.at_most(f"macro F1 regret, worst of {len(given.seeds)} seeds, {first:,} cases", worst(first, "macro_f1_regret"), F1_BAR)
    bars.at_most(f"orphan AP regret, worst of {len(given.seeds)} seeds, {first:,} cases", worst(first, "orphan_ap_regret"), AP_BAR)
    bars.at_most("product and numpy differ by", max(r["difference"] for r in results.values()), 1e-6)
    bars.holds("epidemiology is called insufficient", inputs["inputs"], "insufficient", inputs["inputs"] == "insufficient")
    sys.exit(bars.finish())


if __name__ == "__main__":
    main()
