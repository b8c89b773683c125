"""A deployment's data directory, made with the product's own commands, and what lies in it."""
import json
from pathlib import Path

import measure


def make(hoofbeat, folder, rows, seed, preset="reference", suffix="parquet", source=None):
    """Makes a cohort and ingests it; returns the data directory."""
    cohort, data = Path(folder) / f"cohort.{suffix}", Path(folder) / "data"
    measure.run([hoofbeat, "synth", "--rows", rows, "--seed", seed, "--preset", preset, "--out", cohort, "--quiet"])
    source = source or ("reference" if preset == "reference" else f"reference-{preset}")
    done = measure.run([hoofbeat, "ingest", cohort, "--source", source, "--data-dir", data, "--json", "--quiet"])
    accepted = json.loads(done.out)["accepted"]
    if accepted != rows:
        raise SystemExit(f"{accepted} of {rows} rows were accepted")
    return data


def case_files(data):
    """The live Parquet files of the case table, as its Delta log names them."""
    table, live = Path(data) / "lake" / "cases", {}
    for commit in sorted((table / "_delta_log").glob("*.json")):
        for line in commit.read_text().splitlines():
            action = json.loads(line)
            if "add" in action:
                live[action["add"]["path"]] = table / action["add"]["path"]
            elif "remove" in action:
                live.pop(action["remove"]["path"], None)
    return list(live.values())
