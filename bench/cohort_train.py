"""Cohort + training from stored rows, beside polars + XGBoost on the rows, in one run.

Both start from the same Parquet files and end with a saved model of 200 rounds (multi:softprob, depth 6, eta 0.1, hist, 2 threads)
for the four severities, trained on the same training slots. Ours counts the rows to cells by one query and trains on the counts in a
child process, as the product does; the peer trains on the rows. What each costs is taken from outside, process start included.
"""
import argparse
import json
import shutil
import sys
import tempfile
from pathlib import Path

import measure
import stored
from report import Bars, machine, table

HERE = Path(__file__).parent
# Waiting OpenMP threads must not spin: less CPU for the peer too.
QUIET = {"OMP_WAIT_POLICY": "passive", "OMP_NUM_THREADS": "2", "POLARS_MAX_THREADS": "2"}
LOSS_TOLERANCE = 1e-3


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binaries", type=Path, required=True, help="folder of the release binaries")
    parser.add_argument("--rows", type=int, default=5_000_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--ours", type=int, default=5, help="runs of ours and of the limit (the median counts)")
    parser.add_argument("--peers", type=int, default=1, help="runs of the peer, minutes each (the median counts)")
    parser.add_argument("--work", type=Path, help="folder for the data, kept afterwards (default: a temporary one)")
    return parser.parse_args()


def say(text):
    print(f"==> {text}", file=sys.stderr, flush=True)


def compare(given, work):
    data = work / "data"
    if not data.exists():
        say(f"making and ingesting {given.rows:,} rows (a minute or two)")
        stored.make(given.binaries / "hoofbeat", work, given.rows, given.seed)
    files = stored.case_files(data)
    for file in files:
        file.read_bytes()  # everyone reads from the page cache
    python, pipeline = [sys.executable, str(HERE / "python_pipeline.py")], [*files]
    example = given.binaries / "examples" / "cohort_and_fit"

    say("ours")
    query = measure.median([measure.run([example, "query", data]) for _ in range(given.ours)])
    ours = measure.median([measure.run([example, "fit", data, work / "ours.ubj"]) for _ in range(given.ours)])
    say("the bare scan")
    scans = [json.loads(measure.run([*python, "scan", *pipeline], env=QUIET).out) for _ in range(given.ours)]
    scan = measure.median([measure.Cost(scan["cpu"], scan["wall"], 0) for scan in scans])
    say("the peer (minutes)")
    peer = measure.median([measure.run([*python, "train", work / "peer.json", *pipeline], env=QUIET) for _ in range(given.peers)])
    say("the losses")
    fitted = json.loads(ours.out)
    job = work / "evaluate.json"
    job.write_text(json.dumps({"files": list(map(str, files)), "models": {
        "ours": {"file": str(work / "ours.ubj"), "scales": fitted["scales"]}, "peer": {"file": str(work / "peer.json")}}}))
    losses = json.loads(measure.run([*python, "evaluate", job], env=QUIET).out)
    return ours, query, peer, scan, fitted, losses


def main():
    given = arguments()
    print(machine(["polars", "xgboost-cpu"]), flush=True)
    work = given.work or Path(tempfile.mkdtemp(prefix="hoofbeat-bench-"))
    work.mkdir(parents=True, exist_ok=True)
    try:
        ours, query, peer, scan, fitted, losses = compare(given, work)
    finally:
        if given.work is None:
            shutil.rmtree(work, ignore_errors=True)

    cost = lambda name, c: (name, f"{c.cpu:.2f}", f"{c.wall:.2f}", f"{c.peak_mib:.0f}" if c.peak_mib else "")
    print(f"\n{given.rows:,} stored rows; training rows {fitted['training_rows']:,.0f} as {fitted['training_cells']:,} cells; "
          f"medians of {given.ours} (ours, scan) and {given.peers} (peer) runs\n")
    print(table(["", "CPU s", "wall s", "peak MiB"], [
        cost("cohort + train, hoofbeat (process tree)", ours),
        cost("cohort + train, polars + XGBoost on rows", peer),
        ("  peer / ours", f"{peer.cpu / ours.cpu:.1f}x", f"{peer.wall / ours.wall:.1f}x", f"{peer.peak_mib / ours.peak_mib:.1f}x"),
        cost("limit: bare scan of the same columns (polars)", scan),
        cost("  cohort query alone, hoofbeat (whole process)", query),
        ("  query / scan", f"{query.cpu / scan.cpu:.2f}x", f"{query.wall / scan.wall:.2f}x", ""),
        ("  cohort + train / scan", f"{ours.cpu / scan.cpu:.1f}x", f"{ours.wall / scan.wall:.1f}x", ""),
    ]))
    ours_loss, peer_loss = losses["ours"]["log_loss"], losses["peer"]["log_loss"]
    print(f"\nlog loss on the same {losses['ours']['rows']:,} validation rows, both models read by the peer's XGBoost: "
          f"hoofbeat {ours_loss:.6f} (by its own count {fitted['validation_log_loss']:.6f}), peer {peer_loss:.6f}")
    bars = Bars()
    bars.at_least("CPU, peer / ours", peer.cpu / ours.cpu, 10)
    bars.at_least("wall, peer / ours", peer.wall / ours.wall, 10)
    bars.at_least("peak memory, peer / ours", peer.peak_mib / ours.peak_mib, 3)
    bars.at_most("log loss, difference", abs(ours_loss - peer_loss), LOSS_TOLERANCE)
    bars.at_most("own count of the loss, difference", abs(ours_loss - fitted["validation_log_loss"]), 1e-5)
    sys.exit(bars.finish())


if __name__ == "__main__":
    main()
