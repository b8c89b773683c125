"""SMOTE-NC of a rare class, beside imbalanced-learn on the rows, in one run.

200,000 patients of the reference cohort, 1 in 200 with an orphan disease; both sides make as many synthetic cases of the rare class as
bring it level with the other (5 neighbours, numbers in the same units, rounded to whole ones). Ours reads the rows as text and counts
them; the peer reads them as a numpy file. What each costs is taken from outside, process start included. Then the synthetic cases are
compared: total variation distance of every feature and every pair of features between ours and the peer's, beside the same distances
between two runs of the peer that differ in the seed and the order of the rows.
"""
import argparse
import json
import shutil
import sys
import tempfile
from pathlib import Path

import measure
from report import Bars, machine, table

# This process stays small: what it starts begins with its memory, and that counts as the child's peak.
NUMPY_SIDE = [sys.executable, Path(__file__).parent / "python_smote_nc.py"]


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binaries", type=Path, required=True, help="folder of the release binaries")
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument("--one-in", type=int, default=200, help="one row in so many is of the rare class")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--ours", type=int, default=5, help="runs of ours (the median counts)")
    return parser.parse_args()


def compare(given, work):
    measure.run([*NUMPY_SIDE, "make", given.rows, given.one_in, given.seed, work])
    print("==> ours", file=sys.stderr, flush=True)
    example = given.binaries / "examples" / "smote_nc"
    ours = measure.median([measure.run([example, work / "rows.csv", given.seed, work / "ours.csv"]) for _ in range(given.ours)])
    print("==> the peer, twice", file=sys.stderr, flush=True)
    units = [repr(unit) for unit in json.loads(ours.out)["units"]]
    files = [work / "peer1.npy", work / "peer2.npy"]
    peer = measure.median([measure.run([*NUMPY_SIDE, "resample", work / "rows.npy", seed, file, *units]) for seed, file in enumerate(files, 1)])
    found = json.loads(measure.run([*NUMPY_SIDE, "compare", work / "ours.csv", *files]).out)
    if len(set(found["made"])) != 1:
        raise SystemExit(f"unequal work: {found['made']} synthetic cases")
    return ours, peer, found


def main():
    given = arguments()
    print(machine(["imbalanced-learn", "scikit-learn", "numpy"]), flush=True)
    work = Path(tempfile.mkdtemp(prefix="hoofbeat-bench-"))
    try:
        ours, peer, found = compare(given, work)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    cost = lambda name, c: (name, f"{c.cpu:.3f}", f"{c.wall:.3f}", f"{c.peak_mib:.0f}")
    print(f"\n{given.rows:,} rows, {given.rows // given.one_in:,} of the rare class; {found['made'][0]:,} synthetic cases; "
          f"median of {given.ours} (ours) and 2 (peer) runs\n")
    print(table(["", "CPU s", "wall s", "peak MiB"], [
        cost("hoofbeat, on counted cells", ours), cost("imbalanced-learn SMOTENC, on the rows", peer),
        ("  peer / ours", f"{peer.cpu / ours.cpu:.0f}x", f"{peer.wall / ours.wall:.0f}x", f"{peer.peak_mib / ours.peak_mib:.1f}x")]))
    first, second, peers = found["distances"]
    print("\ntotal variation distance of the synthetic cases\n")
    print(table(["", "ours - peer", "ours - peer, second run", "peer - peer"],
                [(name, f"{first[name]:.5f}", f"{second[name]:.5f}", f"{peers[name]:.5f}") for name in peers]))
    mean = lambda distances: sum(distances.values()) / len(distances)
    bars = Bars()
    bars.at_least("CPU, peer / ours", peer.cpu / ours.cpu, 20)
    bars.at_least("peak memory, peer / ours", peer.peak_mib / ours.peak_mib, 8)
    bars.at_most("mean distance ours - peer / peer - peer", (mean(first) + mean(second)) / 2 / mean(peers), 1.25, "x")
    sys.exit(bars.finish())


if __name__ == "__main__":
    main()
