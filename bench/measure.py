"""What a command costs: CPU seconds, wall seconds and peak memory of it and everything it starts.

CPU is the kernel's account (user + system, all threads, all descendants that were waited for). Memory is the sum of the resident
sets of the process tree, sampled every 10 ms, or the largest single resident set that the kernel saw, whichever is larger. Pages
that two processes share are counted in both, so a tree of several processes is never flattered.
"""
import os
import signal
import statistics
import subprocess
import tempfile
import threading
import time
from dataclasses import dataclass

TICK = os.sysconf("SC_CLK_TCK")
PAGE = os.sysconf("SC_PAGE_SIZE")


@dataclass
class Cost:
    cpu: float
    wall: float
    peak_mib: float
    out: str = ""
    error: str = ""


def stat(pid):
    """Fields of /proc/PID/stat after the name, or None: [1] is the parent, [3] the session, [11..15] the CPU ticks."""
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()
    except OSError:
        return None


def of_session(leader):
    """Processes that a command started with a session of its own has now."""
    found = []
    for name in os.listdir("/proc"):
        if name.isdigit():
            fields = stat(name)
            if fields and fields[3] == str(leader):
                found.append(int(name))
    return found


def resident(pids):
    """Sum of the resident sets, bytes."""
    total = 0
    for pid in pids:
        try:
            with open(f"/proc/{pid}/statm") as file:
                total += int(file.read().split()[1]) * PAGE
        except (OSError, IndexError):
            pass
    return total


def cpu_seconds(leader):
    """CPU seconds so far of a session's live processes, with those of their children that ended."""
    ticks = 0
    for pid in of_session(leader):
        fields = stat(pid)
        if fields:
            ticks += sum(int(field) for field in fields[11:15])
    return ticks / TICK


def end(process):
    """Ends a session's processes: asked first, then forced."""
    for sign, patience in ((signal.SIGTERM, 10), (signal.SIGKILL, 10)):
        try:
            os.killpg(process.pid, sign)
        except ProcessLookupError:
            break
        deadline = time.monotonic() + patience
        while time.monotonic() < deadline:
            process.poll()
            if not of_session(process.pid):
                return
            time.sleep(0.05)


def run(command, timeout=1800, env=None, expect=(0,)):
    """Runs a command to its end and says what it cost."""
    out, err = tempfile.TemporaryFile(), tempfile.TemporaryFile()
    begin = time.monotonic()
    process = subprocess.Popen([str(part) for part in command], stdin=subprocess.DEVNULL, stdout=out, stderr=err,
                               start_new_session=True, env={**os.environ, **(env or {})})
    peak, stop = [0], threading.Event()

    def sample():
        pids, listed = [process.pid], 0.0
        while not stop.is_set():
            if time.monotonic() - listed > 0.1:
                pids, listed = of_session(process.pid), time.monotonic()
            peak[0] = max(peak[0], resident(pids))
            if time.monotonic() - begin > timeout:
                os.killpg(process.pid, signal.SIGKILL)
                return
            stop.wait(0.01)

    sampler = threading.Thread(target=sample)
    sampler.start()
    try:
        _, status, usage = os.wait4(process.pid, 0)
    except BaseException:
        os.killpg(process.pid, signal.SIGKILL)
        raise
    finally:
        wall = time.monotonic() - begin
        stop.set()
        sampler.join()
    process.returncode = os.waitstatus_to_exitcode(status)
    texts = []
    for file in (out, err):
        file.seek(0)
        texts.append(file.read().decode(errors="replace"))
        file.close()
    if process.returncode not in expect:
        raise SystemExit(f"{' '.join(map(str, command))}\nended with {process.returncode} after {wall:.0f} s:\n{texts[1][-2000:]}")
    mib = max(peak[0], usage.ru_maxrss * 1024) / (1 << 20)
    return Cost(usage.ru_utime + usage.ru_stime, wall, mib, *texts)


def median(costs):
    """The middle cost, figure by figure, with the last run's output."""
    pick = lambda name: statistics.median(getattr(cost, name) for cost in costs)
    return Cost(pick("cpu"), pick("wall"), pick("peak_mib"), costs[-1].out)
