"""What synthetic orphan cases do to a model: none, SMOTE-NC and the generative network side by side on the reference cohort.

For each size and seed one cohort is made and ingested once; then each method trains on it. Printed are exact figures over every possible
patient (average precision of the orphan probability, macro F1), what the synthetic cases did to the mean orphan probability and its
calibration error before and after their effect on the odds was taken back (out-of-fold, real cases only), how like real cases they are,
and what the guard said.
"""
import argparse
import json
import shutil
import statistics
import sys
import tempfile
import time
from pathlib import Path

import measure
import stored
from report import machine, table

METHODS = ["none", "smote_nc", "gan"]


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binaries", type=Path, required=True, help="folder of the release binaries")
    parser.add_argument("--sizes", type=int, nargs="+", default=[14_286, 71_429], help="cases in all, 70 %% of them for training")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--share", type=float, default=0.2, help="share of orphan cases in the members' training")
    parser.add_argument("--methods", nargs="+", default=METHODS, choices=METHODS)
    return parser.parse_args()


def study(hoofbeat, folder, method, share):
    text = measure.run([hoofbeat, "study", "show"]).out
    for was, becomes in [('method = "none"', f'method = "{method}"'), ("share = 0.2", f"share = {share}")]:
        assert text.count(was) == 1, was
        text = text.replace(was, becomes)
    file = folder / f"{method}.toml"
    file.write_text(text)
    return file


def train(hoofbeat, data, study_file, seed):
    """Figures of one run, or why there is none."""
    common = ["--data-dir", data, "--study", study_file, "--json", "--quiet"]
    begin = time.monotonic()
    trained = measure.run([hoofbeat, "train", "--seed", seed, *common], timeout=7200, expect=(0, 1, 3))
    if not trained.out:
        return {"refused": trained.error.strip().splitlines()[-1]}
    trained = json.loads(trained.out)
    report = json.loads(measure.run([hoofbeat, "evaluate", trained["model"]["version"], *common], expect=(0, 3)).out)["report"]
    truth = report["truth"]
    return {"ap": truth["orphan_ap"], "f1": truth["macro_f1"], "ece": report["orphan_calibration_error"].get("value"),
            "imbalance": trained["training"].get("imbalance"), "seconds": time.monotonic() - begin}


def describe(result):
    """The columns of one run."""
    if "refused" in result:
        return ["", "", "", "", "", "", "", result["refused"]]
    imbalance, words = result["imbalance"], []
    odds, likeness = ["", ""], ["", ""]
    if imbalance:
        i = imbalance["inflation"]
        odds = [f"{i['mean_before']:.4f} -> {i['mean_after']:.4f} ({i['share']:.4f})", f"{i['error_before']:.4f} -> {i['error_after']:.4f}"]
        groups = [group["fidelity"] for group in imbalance["groups"]]
        mean = lambda of: statistics.mean(of(f) for f in groups)
        pairs = mean(lambda f: statistics.mean(p["similarity"]["value"] for p in f["pairs"]))
        alike = mean(lambda f: statistics.mean(p["if_alike"] for p in f["pairs"]))
        copies = mean(lambda f: f["copies"]["synthetic"]["value"]), mean(lambda f: f["copies"]["held_out"]["value"])
        likeness = [f"{mean(lambda f: f['discriminator_auc']['value']):.2f}", f"{pairs:.3f} ({alike:.3f})"]
        words.append(f"copies {copies[0]:.3f} (real {copies[1]:.3f})")
        if "guard" in imbalance:
            guard = imbalance["guard"]
            words.append(f"gain {guard['gain']:+.4f} ± {guard['standard_error']:.4f}: {'used' if imbalance['used'] else 'blocked'}")
    return [f"{result['ap']:.4f}", f"{result['f1']:.4f}", f"{result['ece']:.4f}", *odds, *likeness, "; ".join(words)]


def main():
    given = arguments()
    hoofbeat = given.binaries / "hoofbeat"
    print(machine(), flush=True)
    rows = []
    for size in given.sizes:
        for seed in given.seeds:
            folder = Path(tempfile.mkdtemp(prefix="hoofbeat-bench-"))
            try:
                data = stored.make(hoofbeat, folder, size, seed, suffix="csv")
                for method in given.methods:
                    print(f"==> {size:,} cases, seed {seed}, {method}", file=sys.stderr, flush=True)
                    result = train(hoofbeat, data, study(hoofbeat, folder, method, given.share), seed)
                    print(json.dumps({"size": size, "seed": seed, "method": method, **{k: v for k, v in result.items() if k != "imbalance"}}),
                          file=sys.stderr, flush=True)
                    rows.append((f"{size:,}", seed, method, *describe(result)))
            finally:
                shutil.rmtree(folder, ignore_errors=True)
    head = ["cases", "seed", "method", "orphan AP", "macro F1", "ECE", "mean orphan probability before -> after (share)",
            "its ECE before -> after", "AUC", "pairs (if alike)", ""]
    print("\n" + table(head, rows))


if __name__ == "__main__":
    main()
