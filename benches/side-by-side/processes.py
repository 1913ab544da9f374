"""Processes of a run: started, waited for until they listen, measured, and all ended at the end.

CPU time is the scheduler's: nanoseconds on a CPU of every thread of a process and its children,
from /proc/PID/task/TID/schedstat. Memory is what is anonymous in /proc/PID/smaps_rollup.
"""

import os
import pathlib
import signal
import socket
import subprocess
import time


class Processes:
    """Every process of a run; `end` leaves none of them behind."""

    def __init__(self):
        self.running = []

    def start(self, command, log):
        with open(log, "ab") as out:
            child = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=out)
        self.running.append(child)
        return child

    def stop(self, child, how=signal.SIGTERM):
        child.send_signal(how)
        try:
            child.wait(10)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()
        self.running.remove(child)

    def end(self):
        for child in list(reversed(self.running)):
            self.stop(child)


def meshctl(binary, home, *arguments):
    """Runs a command of the mesh in `home`, and ends all where it fails; what it printed."""
    command = [str(binary), "--home", str(home), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    if done.returncode != 0:
        raise SystemExit(f"error: meshctl {' '.join(arguments)}: {done.stderr}{done.stdout}")
    return done.stdout


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_for(what, ready, limit=10.0, step=0.02):
    """Calls `ready` until it is true; what it last answered is returned."""
    end = time.monotonic() + limit
    while True:
        answer = ready()
        if answer:
            return answer
        if time.monotonic() > end:
            raise SystemExit(f"error: {what} was not ready within {limit:g} s")
        time.sleep(step)


def listens(port):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def family(pid):
    """A process and all that descend from it."""
    try:
        children = pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:
        return [pid]
    return [pid] + [one for child in children for one in family(int(child))]


def cpu_ns(pids):
    total = 0
    for pid in (one for root in pids for one in family(root)):
        for thread in os.listdir(f"/proc/{pid}/task"):
            total += int(pathlib.Path(f"/proc/{pid}/task/{thread}/schedstat").read_text().split()[0])
    return total


def anonymous_kib(pids):
    total = 0
    for pid in (one for root in pids for one in family(root)):
        for line in pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Anonymous:"):
                total += int(line.split()[1])
    return total
