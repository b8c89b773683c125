"""One confirmed case of a disease that the model has never seen: from the start of `retrain --mode orphan` to the first served answer that
knows it, while other clients ask. Beside it, what a training on the same data takes.

Each round ingests one case of another new disease. A case whose patient the split gives to the validation or test set teaches nothing, so
another one is ingested until the model has one to learn. One connection asks without a pause and notes when the model's version
changes; `wrk` holds the other connections. The challenger is measured, judged by the study's gates and promoted as always.
"""
import argparse
import csv
import http.client
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import measure
import stored
from report import Bars, machine, table
from serving import HERE, Server, say

BAR = 1.0  # seconds


def patient(number):
    """A patient for every round: equal cases of two diseases would tell nobody which of them is meant."""
    return {"age_years": 3 + 17 * number % 110, "gender": ["female", "male"][number % 2], "blood_type": ["AB", "B"][number // 2 % 2],
            "systolic_mmhg": 191, "diastolic_mmhg": 124, "exercise_days_per_month": 5 * number % 32}


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binaries", type=Path, required=True, help="folder of the release binaries")
    parser.add_argument("--rows", type=int, default=20_000, help="patients that the champion is trained on")
    parser.add_argument("--rounds", type=int, default=5, help="cases added under each load")
    parser.add_argument("--connections", type=int, nargs="+", default=[0, 4, 64], help="connections that wrk holds; the bar is for every one")
    parser.add_argument("--bar", type=float, default=BAR)
    return parser.parse_args()


class Watcher:
    """Asks about one patient without a pause; when each model version answered first, and with what."""

    def __init__(self, port):
        self.patient = patient(0)
        self.first, self.asked, self.failed, self.stop = {}, 0, 0, threading.Event()
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        self.thread = threading.Thread(target=self.run)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.stop.set()
        self.thread.join()

    def run(self):
        while not self.stop.is_set():
            body = json.dumps(self.patient)
            self.connection.request("POST", "/api/v1/predictions", body, {"Content-Type": "application/json"})
            response = self.connection.getresponse()
            answer = response.read()
            self.asked += 1
            if response.status != 200:
                self.failed += 1
                continue
            answer = json.loads(answer)
            self.first.setdefault(answer["model"]["version"], (time.monotonic(), answer))

    def wait_for(self, version):
        deadline = time.monotonic() + 60
        while version not in self.first:
            if time.monotonic() > deadline or not self.thread.is_alive():
                raise SystemExit(f"{version} never answered")
            time.sleep(0.001)
        return self.first[version]


class Load:
    """`wrk` in the background, as long as it takes."""

    def __init__(self, port, connections):
        self.command = ["wrk", "-t", str(min(connections, 2)), "-c", str(connections), "-d", "600s", "--timeout", "30s", "-s",
                        str(HERE / "patients.lua"), f"http://127.0.0.1:{port}"] if connections else None

    def __enter__(self):
        self.process = self.command and subprocess.Popen(self.command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        time.sleep(1 if self.process else 0)
        return self

    def __exit__(self, *_):
        self.result = None
        if self.process:
            self.process.send_signal(2)  # wrk then reports what it has
            out, _ = self.process.communicate(timeout=60)
            line = next((line for line in out.splitlines() if line.startswith("RESULT ")), None)
            self.result = line and json.loads(line.removeprefix("RESULT "))


class Deployment:
    """A data directory with a champion, to which cases are added."""

    def __init__(self, given, work):
        self.hoofbeat, self.work, self.cases, self.diseases = given.binaries / "hoofbeat", work, 0, 0
        self.data = stored.make(self.hoofbeat, work, given.rows, 1)
        begin = time.monotonic()
        trained = json.loads(self.run("train", expect=(0, 3)).out)
        self.training = time.monotonic() - begin
        override = [] if trained["gates_hold"] else ["--override-gates", "--reason", "bench"]
        self.run("model", "promote", trained["model"]["version"], *override)

    def run(self, *command, expect=(0,)):
        return measure.run([self.hoofbeat, *command, "--data-dir", self.data, "--quiet", "--json"], expect=expect)

    def ingest(self, values, disease):
        self.cases += 1
        case = {"case_id": f"case-{self.cases}", "patient_id": f"patient-{self.cases}", "recorded_at": "2026-03-01", **values,
                "severity": "chronic", "rarity": "orphan", "disease_code": disease, "confirmed_at": "2026-03-02"}
        path = self.work / "case.csv"
        with open(path, "w", newline="") as file:
            writer = csv.DictWriter(file, case)
            writer.writeheader()
            writer.writerow(case)
        self.run("ingest", path, "--source", "bench")

    def add(self, watcher):
        """Seconds until the command ended, seconds until the first answer of the new model, and the command's CPU seconds."""
        self.diseases += 1
        watcher.patient, disease = patient(self.diseases), f"ORPHA:99{self.diseases:04}"
        while True:
            self.ingest(watcher.patient, disease)
            begin = time.monotonic()
            done = self.run("retrain", "--mode", "orphan")
            turn = json.loads(done.out)
            if turn["challenger"]:
                break
        if not turn["challenger"]["promoted"]:
            raise SystemExit("the challenger was not promoted")
        at, answer = watcher.wait_for(turn["challenger"]["model"])
        if disease not in [one["disease_code"] for one in answer["rarity"]["nearest"]]:
            raise SystemExit(f"the new model does not name {disease}")
        return done.wall, at - begin, done.cpu


def rounds(given, deployment, connections):
    results = []
    command = [deployment.hoofbeat, "serve", "--listen", "127.0.0.1:PORT", "--data-dir", deployment.data, "--quiet"]
    with Server("hoofbeat", command) as server, Watcher(server.port) as watcher, Load(server.port, connections) as load:
        for _ in range(given.rounds):
            results.append(deployment.add(watcher))
    return results, watcher, load.result


def main():
    given = arguments()
    print(machine(), flush=True)
    work = Path(tempfile.mkdtemp(prefix="hoofbeat-bench-"))
    try:
        say(f"making {given.rows:,} patients and training")
        deployment = Deployment(given, work)
        measured = {}
        for connections in given.connections:
            say(f"{given.rounds} cases with {connections} other connections")
            measured[connections] = rounds(given, deployment, connections)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    head = ["other connections", "first answer s: median", "worst", "command s: median", "its CPU s", "requests/s", "failed"]
    rows, bars, failed = [], Bars(), 0
    for connections, (results, watcher, load) in measured.items():
        ended, answered, cpu = zip(*results)
        errors = watcher.failed + (load["errors"] if load else 0)
        rate = f"{load['requests'] / load['seconds']:,.0f}" if load else "-"
        rows.append([connections, f"{statistics.median(answered):.2f}", f"{max(answered):.2f}", f"{statistics.median(ended):.2f}",
                     f"{statistics.median(cpu):.2f}", rate, errors])
        bars.at_most(f"case to first answer, median, {connections} other connections", statistics.median(answered), given.bar, " s")
        failed += errors
    print(f"\none case into a model of {given.rows:,} patients; training it took {deployment.training:.1f} s\n")
    print(table(head, rows))
    slowest = max(statistics.median(result[1] for result in results) for results, *_ in measured.values())
    print(f"\ntraining / case to first answer: {deployment.training / slowest:.3g}x")
    bars.at_most("failed requests", failed, 0)
    sys.exit(bars.finish())


if __name__ == "__main__":
    main()
