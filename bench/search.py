"""`train --learner xgboost --trials N` beside Optuna (TPE, median pruner) with XGBoost on the rows, in one run.

Two comparisons over the same stored rows, folds, space, early stopping and pruning:

1. speed, at --rows: a few trials at the same points for both (ours are chosen first, the peer is given them), so that both train the
   same models; CPU and wall per trial, and the log loss and macro F1 of each trial side by side. Then our full search.
2. search, at --small-rows: the full number of trials for both, each with its own sampler and pruner; what both found.

Ours is the whole command: counting, search, final training, table and evaluation. The peer is the search alone.
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
QUIET = {"OMP_WAIT_POLICY": "passive", "OMP_NUM_THREADS": "2", "POLARS_MAX_THREADS": "2"}
# The default study's space of XGBoost, and its plan.
SPACE = {"eta": {"low": 0.03, "high": 0.3, "log": True}, "depth": {"low": 2, "high": 8}, "subsample": {"low": 0.5, "high": 1.0},
         "columns": {"low": 0.2, "high": 1.0}, "bins": [16, 32, 64, 128], "min_child_weight": {"low": 0.3, "high": 30.0, "log": True},
         "lambda": {"low": 0.1, "high": 30.0, "log": True}}
PRUNER = {"warmup_trials": 5, "warmup_rounds": 20, "every": 10}
FOLDS, ROUNDS, EARLY_STOPPING = 5, 1000, 30


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binaries", type=Path, required=True, help="folder of the release binaries")
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--same", type=int, default=2, help="trials at the same points (minutes each for the peer)")
    parser.add_argument("--trials", type=int, default=50)
    parser.add_argument("--small-rows", type=int, default=20_000, help="0 leaves the second comparison out")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--work", type=Path, help="folder for the data, kept afterwards (default: a temporary one)")
    return parser.parse_args()


def say(text):
    print(f"==> {text}", file=sys.stderr, flush=True)


def data_of(given, work, rows):
    folder = work / str(rows)
    if not (folder / "data").exists():
        folder.mkdir(parents=True, exist_ok=True)
        say(f"making and ingesting {rows:,} rows")
        stored.make(given.binaries / "hoofbeat", folder, rows, given.seed)
    return folder / "data"


def ours(given, data, trials):
    command = [given.binaries / "hoofbeat", "train", "--learner", "xgboost", "--trials", trials, "--seed", given.seed]
    cost = measure.run([*command, "--data-dir", data, "--json", "--quiet"], expect=(0, 3), timeout=7200)
    return cost, json.loads(cost.out)["search"]


def peer(given, work, data, trials, first):
    job = work / "job.json"
    job.write_text(json.dumps({
        "files": list(map(str, stored.case_files(data))), "trials": trials, "seed": given.seed, "folds": FOLDS, "first": first,
        "space": SPACE, "rounds": ROUNDS, "early_stopping": EARLY_STOPPING, "pruner": PRUNER}))
    cost = measure.run([sys.executable, HERE / "python_search.py", job], env=QUIET, timeout=7200)
    return cost, json.loads(cost.out)


def speed(given, work, bars):
    data = data_of(given, work, given.rows)
    for file in stored.case_files(data):
        file.read_bytes()  # both read from the page cache
    say(f"ours, {given.same} trials")
    few, few_found = ours(given, data, given.same)
    first = [trial["settings"] for trial in few_found["trials"]]
    say(f"the peer, the same {given.same} trials (minutes)")
    theirs, their_found = peer(given, work, data, given.same, first)
    say(f"ours, {given.trials} trials")
    full, full_found = ours(given, data, given.trials)

    their_cpu = theirs.cpu - their_found["prepare_cpu"]
    their_wall = theirs.wall - their_found["prepare_s"]
    per = lambda cost, trials: (f"{cost / trials:.2f}",)
    print(f"\n1. {given.rows:,} stored rows ({their_found['rows']:,} for training), the same {given.same} trials of {FOLDS} folds\n")
    print(table(["", "CPU s a trial", "wall s a trial", "peak MiB"], [
        ("hoofbeat (whole command)", *per(few.cpu, given.same), *per(few.wall, given.same), f"{few.peak_mib:.0f}"),
        ("Optuna + XGBoost on rows (search alone)", *per(their_cpu, given.same), *per(their_wall, given.same), f"{theirs.peak_mib:.0f}"),
        ("  peer / ours", f"{their_cpu / few.cpu:.1f}x", f"{their_wall / few.wall:.1f}x", f"{theirs.peak_mib / few.peak_mib:.1f}x")]))
    print("\n" + table(["trial", "log loss, ours", "peer", "macro F1 common, ours", "peer", "rounds, ours", "peer"], [
        (mine["number"], f"{mine['log_loss']:.5f}", f"{other['log_loss']:.5f}", f"{mine['metric']:.4f}", f"{other['f1_common']:.4f}",
         mine["rounds"], other["rounds"]) for mine, other in zip(few_found["trials"], their_found["trials"])]))
    summary = full_found["summary"]
    print(f"\nour full search: {summary['trials']} trials x {FOLDS} folds, {summary['complete']} complete, {summary['given_up']} given up, "
          f"{full.cpu:.0f} CPU s, {full.wall / 60:.1f} minutes, {full.peak_mib:.0f} MiB; "
          f"CPU per trial {full.cpu / summary['trials']:.1f} s")
    winner = summary["winner"]
    print(f"winner: trial {winner['number']}, macro F1 common {winner['metric']:.4f} +- {summary['standard_error']:.4f}, "
          f"log loss {winner['log_loss']:.5f}; the study's own settings: {summary['plans'].get('xgboost', float('nan')):.4f}")
    differences = [abs(mine["log_loss"] - other["log_loss"]) for mine, other in zip(few_found["trials"], their_found["trials"])]
    bars.at_least("CPU per trial, peer / ours", their_cpu / few.cpu, 10)
    bars.at_most("log loss of the same trial, largest difference", max(differences), 2e-3)
    bars.at_most(f"our {given.trials} trials x {FOLDS} folds", full.wall / 60, 20, " minutes")


def search(given, work, bars):
    data = data_of(given, work, given.small_rows)
    say(f"ours, {given.trials} trials, {given.small_rows:,} rows")
    mine, found = ours(given, data, given.trials)
    say("the peer, the same number")
    theirs, other = peer(given, work, data, given.trials, [found["trials"][0]["settings"]])
    complete = [trial for trial in other["trials"] if trial["state"] == "complete"]
    best = lambda trials, name, pick: pick(trial[name] for trial in trials)
    own = [trial for trial in found["trials"] if trial["state"] == "complete"]
    print(f"\n2. {given.small_rows:,} stored rows, {given.trials} trials each with its own sampler and pruner, the study's settings first\n")
    print(table(["", "complete", "given up", "best log loss", "best macro F1 common", "CPU s", "wall s"], [
        ("hoofbeat", len(own), given.trials - len(own), f"{best(own, 'log_loss', min):.5f}", f"{best(own, 'metric', max):.4f}",
         f"{mine.cpu:.1f}", f"{mine.wall:.1f}"),
        ("Optuna + XGBoost on rows", len(complete), given.trials - len(complete), f"{best(complete, 'log_loss', min):.5f}",
         f"{best(complete, 'f1_common', max):.4f}", f"{theirs.cpu:.1f}", f"{theirs.wall:.1f}")]))
    bars.at_most("best log loss found, ours - peer", best(own, "log_loss", min) - best(complete, "log_loss", min), 1e-3)


def main():
    given = arguments()
    print(machine(["optuna", "polars", "xgboost-cpu"]), flush=True)
    work = given.work or Path(tempfile.mkdtemp(prefix="hoofbeat-bench-"))
    bars = Bars()
    try:
        speed(given, work, bars)
        if given.small_rows:
            search(given, work, bars)
    finally:
        if given.work is None:
            shutil.rmtree(work, ignore_errors=True)
    sys.exit(bars.finish())


if __name__ == "__main__":
    main()
