"""Steady load of four kinds at once through one proxy, from programs that know nothing of a mesh.

h2load sends HTTP/1.1 with keep-alive, HTTP/2, and requests that each need a new connection between the
proxies, each at a fixed rate; curl fetches one long answer slowly. Each request's time is written to
a file, with the moment at which it began.
"""

import dataclasses
import os
import re
import subprocess

# Of the long answer: bytes per second, and seconds.
PACE, LONG = 1_000_000, 30
# Percent of the rate, by service; and requests per second on new connections.
SHARES = {"shop": 60, "calls": 40}
FRESH = 20


@dataclasses.dataclass
class Seen:
    """What clients saw: requests, those that were not answered with 2xx, whether the long answer was
    whole, and of each request (seconds since the epoch at its begin, milliseconds)."""

    sent: int
    failed: int
    long_whole: bool
    requests: list

    def p99(self, since, until):
        """Milliseconds, of the requests that began in between; `None` where there were none."""
        took = sorted(ms for begun, ms in self.requests if since <= begun < until)
        return took[int(len(took) * 0.99)] if took else None


class Steady:
    """See the head of this file. `seconds` long, `rate` requests per second in all."""

    def __init__(self, processes, work, port, rate, seconds):
        self.processes, self.work, self.port = processes, work, port
        self.seconds, self.children = seconds, {}
        for service, share in SHARES.items():
            self.send(service, max(8, rate * share // 100))
        self.send("fresh", FRESH)
        self.bytes = min(seconds - 2, LONG) * PACE
        large = work / "large"
        with open(large, "wb") as made:
            os.truncate(made.fileno(), self.bytes)
        large.chmod(0o644)
        command = ["curl", "--silent", "--fail", "--limit-rate", str(PACE), "-o", str(work / "got")]
        command += ["-H", "Host: shop", f"http://127.0.0.1:{port}/large"]
        self.curl = processes.start(command, work / "curl.out")

    def send(self, service, rate):
        clients = 1 if service == "fresh" else 8
        log, said = self.work / f"{service}.requests", self.work / f"{service}.said"
        for path in (log, said):
            path.unlink(missing_ok=True)
        command = ["h2load", f"-c{clients}", "-t1", f"--rps={rate / clients:.3f}"]
        command += ["-m1"] if service == "calls" else ["--h1"]
        command += [f"-n{rate * self.seconds}", f"--log-file={log}", "-H", f":authority: {service}"]
        command.append(f"http://127.0.0.1:{self.port}/")
        self.children[service] = self.processes.start(command, said)

    def end(self):
        """Waits until all is sent, and says what came of it."""
        sent = failed = 0
        requests = []
        for name, child in self.children.items():
            self.wait(child)
            said = (self.work / f"{name}.said").read_text()
            if "requests: " not in said:
                raise SystemExit(f"error: h2load ended with {child.returncode} before its time:\n{said}")
            total = int(re.search(r"requests: (\d+) total", said).group(1))
            good = int(re.search(r"status codes: (\d+) 2xx", said).group(1))
            sent, failed = sent + total, failed + total - good
            for line in (self.work / f"{name}.requests").read_text().splitlines():
                begun, _, took = line.split("\t")[:3]
                requests.append((int(begun) / 1e6, int(took) / 1e3))
        whole = self.wait(self.curl) == 0 and (self.work / "got").stat().st_size == self.bytes
        return Seen(sent, failed, whole, requests)

    def wait(self, child):
        try:
            code = child.wait(self.seconds + 30)
        except subprocess.TimeoutExpired:
            child.kill()
            code = child.wait()
        self.processes.running.remove(child)
        return code


def most(port):
    """Requests per second, as many as go through."""
    command = ["wrk", "-t1", "-c32", "-d3s", "-H", "Host: shop", f"http://127.0.0.1:{port}/"]
    said = subprocess.run(command, capture_output=True, text=True, check=True, timeout=30).stdout
    return int(float(re.search(r"Requests/sec:\s+([\d.]+)", said).group(1)))
