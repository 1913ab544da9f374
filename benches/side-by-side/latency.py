"""Latency at one fixed rate, half of what HAProxy can do, the same for every contender.

The load is h2load's: every connection sends on its own clock, and each request's time is written to
a file, from which the quantiles are.
"""

import subprocess

from peers import Contender


def rate_of(results):
    """Requests per second: half of HAProxy's median over two hops."""
    rates = sorted(one[1] for one in results[("haproxy", "two hops, mTLS")])
    return int(rates[len(rates) // 2] / 2)


def latencies(contender: Contender, work, options, rate):
    """Milliseconds of every request of a round, in order of size."""
    log = work / "latency.log"
    log.unlink(missing_ok=True)
    clients = options.connections
    command = ["h2load", "--h1", f"-c{clients}", "-t1", f"--rps={rate / clients:.3f}"]
    command += [f"-n{rate * options.seconds}", f"--log-file={log}", "-H", f":authority: {contender.host}"]
    command += [f"http://127.0.0.1:{contender.port}/"]
    subprocess.run(command, capture_output=True, check=True, timeout=options.seconds + 30)
    rows = [line.split("\t") for line in log.read_text().splitlines()]
    bad = {row[1] for row in rows} - {"200"}
    if bad:
        raise SystemExit(f"error: {contender.name}, {contender.topology}: answers {', '.join(bad)}")
    return sorted(int(row[2]) / 1000 for row in rows)


def quantile(values, part):
    return values[min(len(values) - 1, int(len(values) * part))]


def table(contenders, work, options, results):
    rate = rate_of(results)
    found = {}
    for _ in range(options.rounds):
        for contender in contenders:
            key = (contender.topology, contender.name)
            found.setdefault(key, []).append(latencies(contender, work, options, rate))
    print(f"\n| at {rate} requests/s, ms | proxy | p50 | p99 | p99.9 |\n|---|---|---|---|---|")
    for (topology, name), rounds in sorted(found.items()):
        cells = []
        for part in (0.5, 0.99, 0.999):
            values = sorted(quantile(one, part) for one in rounds)
            cells.append(f"{values[len(values) // 2]:.2f} ({values[0]:.2f} to {values[-1]:.2f})")
        print(f"| {topology} | {name} | " + " | ".join(cells) + " |")
