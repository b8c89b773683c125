"""The data plane from a million rows to a hundred: ingest, cohort, growth, beside DuckDB and polars, in one run.

- Ingest: a CSV file becomes a validated, deduplicated, split table; DuckDB copies the same CSV to Parquet and checks nothing.
- Cohort: rows become counts by possible patient, set and outcome; DuckDB and polars do the same GROUP BY over the same Parquet files, the
  blood-pressure category and the set computed in the query; the limit is Arrow's reader in C++ only reading
  the columns that the query reads.
- Growth: what follows the cohort (splits, folds, training, calibration, the table) does not see the rows any more.
- Increment: one per cent more rows; the cached cohort is brought up to date from the appended files alone, and must equal the full count.
"""
import argparse
import json
import re
import shutil
import sys
import tempfile
from pathlib import Path

import measure
import stored
from report import Bars, machine, table

HERE = Path(__file__).parent
PEERS = HERE / "python_scale.py"
QUIET = {"OMP_WAIT_POLICY": "passive", "OMP_NUM_THREADS": "2", "POLARS_MAX_THREADS": "2"}
GIB = 1024


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binaries", type=Path, required=True, help="folder of the release binaries")
    parser.add_argument("--rows", type=int, nargs="+", default=[1_000_000, 10_000_000, 100_000_000], help="sizes, ascending")
    parser.add_argument("--csv", type=int, default=10_000_000, help="rows of the CSV file that is ingested beside DuckDB")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--runs", type=int, default=3, help="runs of each query (the median counts)")
    parser.add_argument("--no-train", action="store_true", help="leaves the growth of training out")
    parser.add_argument("--work", type=Path, help="folder for the data, kept afterwards (default: a temporary one)")
    return parser.parse_args()


def say(text):
    print(f"==> {text}", file=sys.stderr, flush=True)


def read(path):
    """Into the page cache, for everyone."""
    with open(path, "rb") as opened:
        while opened.read(1 << 24):
            pass


def counting(log):
    """Seconds that a training took to count its cohort, from what it says of its progress."""
    return float(re.search(r"counting the cohort: ([0-9.]+) s", log)[1])


class Bench:
    def __init__(self, given, work):
        self.given, self.work, self.hoofbeat, self.bars = given, work, given.binaries / "hoofbeat", Bars()

    def synth(self, rows, seed, name):
        path = self.work / name
        if not path.exists():
            say(f"drawing {rows:,} patients into {name}")
            measure.run([self.hoofbeat, "synth", "--rows", rows, "--seed", seed, "--out", path, "--quiet"], timeout=3600)
        return path

    def ingest(self, path, data, expected):
        done = measure.run([self.hoofbeat, "ingest", path, "--source", "reference", "--data-dir", data, "--json", "--quiet"], timeout=7200)
        accepted = json.loads(done.out)["accepted"]
        if accepted != expected:
            raise SystemExit(f"{accepted} of {expected} rows were accepted")
        return done

    def count(self, data, *options):
        return measure.run([self.hoofbeat, "dataset", "count", *options, "--data-dir", data, "--json"], timeout=3600)

    def peer(self, *command):
        return json.loads(measure.run([sys.executable, PEERS, *command], env=QUIET, timeout=3600).out)

    def csv(self):
        """CSV to a validated table, beside CSV to Parquet."""
        rows = self.given.csv
        path = self.synth(rows, self.given.seed + 1000, f"cohort-{rows}.csv")
        read(path)
        data = self.work / "from-csv"
        shutil.rmtree(data, ignore_errors=True)
        say(f"ingesting {rows:,} rows of CSV")
        ours = self.ingest(path, data, rows)
        out = self.work / "copied.parquet"
        say("DuckDB copies the same CSV to Parquet")
        peer = measure.run([sys.executable, PEERS, "copy", path, out], env=QUIET, timeout=3600)
        out.unlink()
        shutil.rmtree(data)
        rate = lambda cost: f"{rows / cost.wall / 1e6:.2f}"
        print(f"\nCSV of {rows:,} rows, {path.stat().st_size / rows:.0f} bytes each\n")
        print(table(["", "million rows/s", "wall s", "CPU s", "peak MiB"], [
            ("hoofbeat: read, check, deduplicate, split, store", rate(ours), f"{ours.wall:.1f}", f"{ours.cpu:.1f}", f"{ours.peak_mib:.0f}"),
            ("DuckDB: read, store", rate(peer), f"{peer.wall:.1f}", f"{peer.cpu:.1f}", f"{peer.peak_mib:.0f}"),
        ]), flush=True)
        self.bars.at_least("ingest rate, ours / DuckDB's plain copy", peer.wall / ours.wall, 0.5)

    def size(self, rows):
        """One size: ingest, versions, cohort, training."""
        data = self.work / f"data-{rows}"
        ingested = None
        if not data.exists():
            path = self.synth(rows, self.given.seed, f"cohort-{rows}.parquet")
            say(f"ingesting {rows:,} rows")
            ingested = self.ingest(path, data, rows)
            path.unlink()
        listed = measure.run([self.hoofbeat, "dataset", "list", "--data-dir", data, "--json"])
        say(f"counting {rows:,} rows")
        query = measure.median([self.count(data, "--anew") for _ in range(self.given.runs)])
        trained = None
        if not self.given.no_train:
            say(f"training on {rows:,} rows")
            done = measure.run([self.hoofbeat, "train", "--learner", "xgboost", "--trials", "0", "--seed", "1", "--data-dir", data],
                               expect=(0, 3), timeout=7200)
            trained = (done.wall - counting(done.error), done)
        return data, ingested, listed, query, trained

    def peers(self, data, rows):
        """The same GROUP BY on the same files."""
        files = stored.case_files(data)
        for file in files:
            read(file)
        costs = {}
        for name in ("scan", "polars", "duckdb"):
            say(f"{name}, {rows:,} rows")
            runs = [self.peer(name, *files) for _ in range(self.given.runs)]
            costs[name] = measure.median([measure.Cost(run["cpu"], run["wall"], run["peak_mib"], json.dumps(run)) for run in runs])
        return costs

    def increment(self, data, rows):
        """One per cent more."""
        more = rows // 100
        path = self.synth(more, self.given.seed + 2000, f"more-{more}.parquet")
        self.count(data)  # the cohort before is in the cache, as after any training
        self.ingest(path, data, more)
        say("the increment")
        step = self.count(data)
        full = measure.median([self.count(data, "--anew") for _ in range(self.given.runs)])
        ours, whole = json.loads(step.out), json.loads(full.out)
        if (ours["rows"], ours["digest"]) != (whole["rows"], whole["digest"]):
            raise SystemExit("the updated cohort is not the counted one")
        print(f"\n{more:,} rows more\n")
        print(table(["", "wall s", "CPU s"], [
            ("full query", f"{full.wall:.2f}", f"{full.cpu:.2f}"),
            ("cached cohort + appended rows", f"{step.wall:.3f}", f"{step.cpu:.3f}"),
        ]), flush=True)
        self.bars.at_least("increment of 1 %, full / incremental", full.wall / step.wall, 20)


def main():
    given = arguments()
    print(machine(["duckdb", "polars", "pyarrow"]), flush=True)
    work = given.work or Path(tempfile.mkdtemp(prefix="hoofbeat-bench-"))
    work.mkdir(parents=True, exist_ok=True)
    bench = Bench(given, work)
    try:
        if given.csv:
            bench.csv()
        grown = {rows: bench.size(rows) for rows in given.rows}
        print()
        print(table(["rows", "ingest s", "rate, million/s", "peak MiB", "list s", "cohort s", "cohort peak MiB", "after the cohort s"], [
            (f"{rows:,}", f"{i.wall:.0f}" if i else "", f"{rows / i.wall / 1e6:.2f}" if i else "", f"{i.peak_mib:.0f}" if i else "",
             f"{listed.wall:.2f}", f"{query.wall:.2f}", f"{query.peak_mib:.0f}", f"{t[0]:.1f}" if t else "")
            for rows, (_, i, listed, query, t) in grown.items()]), flush=True)
        rows = given.rows[-1]
        data, ingested, _, query, trained = grown[rows]
        costs = bench.peers(data, rows)
        print(f"\n{rows:,} rows, one GROUP BY\n")
        print(table(["", "wall s", "CPU s", "peak MiB"], [
            ("hoofbeat (whole process)", f"{query.wall:.2f}", f"{query.cpu:.2f}", f"{query.peak_mib:.0f}"),
            *((name, f"{cost.wall:.2f}", f"{cost.cpu:.2f}", f"{cost.peak_mib:.0f}") for name, cost in costs.items())]), flush=True)
        groups = {name: json.loads(costs[name].out)["groups"] for name in ("polars", "duckdb")}
        counted = json.loads(query.out)
        bench.bars.holds("same counts as DuckDB and polars", f"{counted['counts']:,}", "equal",
                         {counted["counts"]} == set(groups.values()))
        for name in ("duckdb", "polars"):
            bench.bars.at_least(f"cohort, {name} / ours (wall)", costs[name].wall / query.wall, 1)
        bench.bars.at_most("cohort, ours / bare scan (wall)", query.wall / costs["scan"].wall, 1.5, "x")
        if ingested:
            bench.bars.at_most("peak memory of the largest ingest, GiB", ingested.peak_mib / GIB, 2)
        bench.bars.at_most("peak memory of the cohort, GiB", query.peak_mib / GIB, 2)
        if trained:
            first, last = (grown[size][4][0] for size in (given.rows[0], rows))
            bench.bars.at_most(f"training after the cohort, {rows:,} / {given.rows[0]:,} rows", last / first, 3, "x")
        bench.increment(data, rows)
    finally:
        if given.work is None:
            shutil.rmtree(work, ignore_errors=True)
    sys.exit(bench.bars.finish())


if __name__ == "__main__":
    main()
