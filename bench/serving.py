"""One prediction with its explanation over HTTP, beside FastAPI + XGBoost + shap, and beside an empty handler of our own HTTP server.

`wrk` posts random valid patients on kept-alive connections. Server and driver share the machine's cores, for everyone alike. A server's
CPU is what the kernel accounts to all its processes between the first and the last request. Ours makes every answer durable in the
prediction log before it is given; the peer keeps nothing; the empty handler reads the body and answers as many bytes as ours does.
"""
import argparse
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

import measure
import stored
from report import Bars, machine, table

HERE = Path(__file__).parent
SAMPLE = {"age_years": 54, "gender": "female", "blood_type": "O", "systolic_mmhg": 138, "diastolic_mmhg": 86, "exercise_days_per_month": 6}


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binaries", type=Path, required=True, help="folder of the release binaries")
    parser.add_argument("--rows", type=int, default=20_000, help="patients that the models are trained on")
    parser.add_argument("--seconds", type=int, default=10)
    parser.add_argument("--warm-up", type=int, default=3)
    parser.add_argument("--connections", type=int, nargs="+", default=[1, 64])
    return parser.parse_args()


def say(text):
    print(f"==> {text}", file=sys.stderr, flush=True)


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def ask(port):
    """One answer, as bytes."""
    request = urllib.request.Request(f"http://127.0.0.1:{port}/api/v1/predictions", json.dumps(SAMPLE).encode(),
                                     {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=10) as response:
        return response.read()


class Server:
    """A server process of its own session, ready when it answers; ended on leaving."""

    def __init__(self, name, command, env=None):
        self.name, self.command, self.env = name, command, env or {}

    def __enter__(self):
        self.port = free_port()
        self.log = tempfile.TemporaryFile()
        command = [str(part).replace("PORT", str(self.port)) for part in self.command]
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log, start_new_session=True,
                                        env={**os.environ, **self.env})
        deadline = time.monotonic() + 60
        while True:
            try:
                self.sample = ask(self.port)
                return self
            except OSError as error:
                if time.monotonic() > deadline or self.process.poll() is not None:
                    self.__exit__()
                    raise SystemExit(f"{self.name} does not answer: {error}") from error
                time.sleep(0.1)

    def __exit__(self, *_):
        measure.end(self.process)
        self.log.close()

    def load(self, connections, seconds):
        """What `wrk` reports, and the server's CPU seconds and memory meanwhile."""
        before = measure.cpu_seconds(self.process.pid)
        command = ["wrk", "-t", str(min(connections, 2)), "-c", str(connections), "-d", f"{seconds}s", "--timeout", "30s", "-s",
                   str(HERE / "patients.lua"), f"http://127.0.0.1:{self.port}"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=seconds + 60)
        line = next((line for line in done.stdout.splitlines() if line.startswith("RESULT ")), None)
        if line is None:
            raise SystemExit(f"wrk failed: {done.stdout}{done.stderr}")
        result = json.loads(line.removeprefix("RESULT "))
        result["cpu"] = measure.cpu_seconds(self.process.pid) - before
        result["mib"] = measure.resident(measure.of_session(self.process.pid)) / (1 << 20)
        return result

    def check(self):
        """The answer is a prediction whose parts fit together."""
        answer = json.loads(self.sample)
        p, explained = answer["severity"]["probabilities"], answer["explanation"]
        total = explained["base_value"] + sum(one["contribution"] for one in explained["contributions"])
        if abs(sum(p.values()) - 1) > 1e-5 or len(explained["contributions"]) != 5:
            raise SystemExit(f"{self.name} answers wrongly")
        if explained["unit"] == "probability" and abs(total - p[explained["class"]]) > 1e-6:
            raise SystemExit(f"{self.name}: the explanation does not add up to the probability")


def prepare(given, work):
    """A data directory with a champion, and the peer's model from the same stored rows."""
    hoofbeat = given.binaries / "hoofbeat"
    say(f"making {given.rows:,} patients and training both models")
    data = stored.make(hoofbeat, work, given.rows, 1)
    common = ["--data-dir", data, "--quiet"]
    trained = json.loads(measure.run([hoofbeat, "train", "--json", *common], expect=(0, 3)).out)
    override = [] if trained["gates_hold"] else ["--override-gates", "--reason", "bench"]
    measure.run([hoofbeat, "model", "promote", trained["model"]["version"], *override, *common])
    measure.run([sys.executable, HERE / "python_server.py", "train", work / "peer.json", *stored.case_files(data)])
    return data


def servers(given, work, data, answer_bytes):
    peer = [sys.executable, HERE / "python_server.py", "serve", "PORT", min(os.cpu_count(), 2)]
    model = {"MODEL": str(work / "peer.json"), "OMP_NUM_THREADS": "1"}
    return [
        Server("hoofbeat", [given.binaries / "hoofbeat", "serve", "--listen", "127.0.0.1:PORT", "--data-dir", data, "--quiet"]),
        Server("limit: empty handler", [given.binaries / "examples" / "empty", "127.0.0.1:PORT", answer_bytes]),
        Server("FastAPI + XGBoost + shap", peer, {**model, "EXPLAINER": "shap"}),
        Server("FastAPI + XGBoost alone", peer, {**model, "EXPLAINER": "xgboost"}),
    ]


def compare(given, work):
    """Results by server name and connections."""
    data = prepare(given, work)
    results, answer_bytes = {}, 0
    for position in range(4):
        with servers(given, work, data, answer_bytes)[position] as server:
            say(server.name)
            if position == 0:
                answer_bytes = len(server.sample)
            if position != 1:
                server.check()
            for connections in given.connections:
                server.load(connections, given.warm_up)
                results[server.name, connections] = server.load(connections, given.seconds)
    return results, answer_bytes


def main():
    given = arguments()
    print(machine(["fastapi", "uvicorn", "xgboost-cpu", "shap"]), flush=True)
    work = Path(tempfile.mkdtemp(prefix="hoofbeat-bench-"))
    try:
        results, answer_bytes = compare(given, work)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    rate = lambda r: r["requests"] / r["seconds"]
    cpu = lambda r: 1e6 * r["cpu"] / r["requests"]
    rows = [(name, connections, f"{rate(r):,.0f}", f"{cpu(r):,.1f}", f"{r['p50_us'] / 1000:.2f}", f"{r['p99_us'] / 1000:.2f}",
             f"{r['mib']:.0f}", r["errors"]) for (name, connections), r in results.items()]
    print(f"\nPOST of one patient, answer of {answer_bytes} bytes; {given.seconds} s each after {given.warm_up} s of warm-up\n")
    print(table(["server", "connections", "requests/s", "server CPU us", "p50 ms", "p99 ms", "MiB", "errors"], rows))

    bars, most = Bars(), max(given.connections)
    ours = {connections: results["hoofbeat", connections] for connections in given.connections}
    ratios = []
    for (name, connections), r in results.items():
        if name != "hoofbeat":
            mine = ours[connections]
            ratios.append((f"hoofbeat beside {name}", connections, f"{rate(mine) / rate(r):.3g}x", f"{cpu(r) / cpu(mine):.3g}x"))
    print("\n" + table(["ratio", "connections", "requests/s", "less CPU a request"], ratios))
    peer = results["FastAPI + XGBoost + shap", most]
    bars.at_least(f"CPU per request, peer / ours, {most} connections", cpu(peer) / cpu(ours[most]), 100)
    bars.at_least(f"requests per second, ours / peer, {most} connections", rate(ours[most]) / rate(peer), 50)
    errors = sum(r["errors"] for r in results.values())
    bars.at_most("failed requests", errors, 0)
    sys.exit(bars.finish())


if __name__ == "__main__":
    main()
