"""A hospital's year by `hoofbeat simulate`, several seeds: one in which nothing happens, and one in which everything does.

The simulator runs the product's own pipeline at a clock that is put forward and holds what it did against the truth of the made-up
patients: exact figures over all possible patients. Its promises are the bars; a promise that a year could not show is no bar. With
`--reviews both` a second hospital with the same patients chooses its reviews at random.
"""
import argparse
import json
import sys
from pathlib import Path

import measure
from report import Bars, machine, table


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binaries", type=Path, required=True, help="folder of the release binaries")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--scenarios", nargs="+", default=["calm", "all"])
    parser.add_argument("--months", type=int, default=12)
    parser.add_argument("--timelines", action="store_true", help="print what happened, too")
    return parser.parse_args()


def simulate(given, scenario, seed):
    """One year: what it printed, and what it took."""
    command = [given.binaries / "hoofbeat", "simulate", "--seed", seed, "--scenario", scenario, "--months", given.months, "--json", "--quiet"]
    if scenario in ("orphan", "all"):
        command += ["--reviews", "both"]
    done = measure.run(command, expect=(0, 3))
    return json.loads(done.out), done


def row(scenario, seed, year, done):
    challenges = year["timeline"]["challenges"]
    promoted = sum(challenge["promoted"] for challenge in challenges)
    return [f"{scenario}, seed {seed}", year["new_disease"], f"{year['served']:,}", len(year["timeline"]["looks"]),
            len(year["timeline"]["alerts"]), promoted, len(challenges) - promoted, f"{done.wall:.0f}", f"{done.cpu:.0f}"]


def main():
    given = arguments()
    print(machine())
    rows, bars = [], Bars()
    for scenario in given.scenarios:
        for seed in given.seeds:
            year, done = simulate(given, scenario, seed)
            rows.append(row(scenario, seed, year, done))
            if given.timelines:
                print(f"\n{scenario}, seed {seed}")
                for entry in year["timeline"]["entries"]:
                    print(f"{entry['at'][:10]}  {entry['mark']:14} {entry['text']}")
            for promise in year["verdict"]:
                if promise["holds"] is not None:
                    bars.holds(f"{scenario}, seed {seed}: {promise['promise']}", promise["because"], "", promise["holds"])
    head = ["year", "new disease", "answered", "looks", "alerts", "promoted", "held", "s", "CPU s"]
    print("\n" + table(head, rows))
    return bars.finish()


if __name__ == "__main__":
    sys.exit(main())
