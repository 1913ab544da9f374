"""A large file each way: bytes that a CPU second of the proxies carries, and their memory meanwhile."""

import os
import statistics
import subprocess
import threading

from processes import anonymous_kib, cpu_ns

GIBIBYTE = 1 << 30


def make_file(work):
    """A file without blocks: reading it costs no disk."""
    path = work / "large"
    with open(path, "wb") as made:
        os.truncate(made.fileno(), GIBIBYTE)
    path.chmod(0o644)
    return path


def transfer(contender, file, upload):
    """MB per CPU second, and the most anonymous KiB that were seen."""
    url = f"http://127.0.0.1:{contender.port}/"
    command = ["curl", "--silent", "--fail", "--show-error", "-o", os.devnull]
    command += ["-H", f"Host: {contender.host}"]
    command += ["-H", "Expect:", "-T", str(file), f"{url}sink"] if upload else [f"{url}large"]
    most, over = [0], threading.Event()

    def watch():
        while not over.wait(0.05):
            most.append(anonymous_kib(contender.pids))

    watcher = threading.Thread(target=watch)
    watcher.start()
    before = cpu_ns(contender.pids)
    try:
        subprocess.run(command, check=True, timeout=120)
    finally:
        over.set()
        watcher.join()
    return GIBIBYTE / ((cpu_ns(contender.pids) - before) / 1e9) / 1e6, max(most)


def table(contenders, work, options):
    file, found = make_file(work), {}
    for _ in range(min(options.rounds, 3)):
        for contender in contenders:
            for way in ("down", "up"):
                key = (contender.topology, way, contender.name)
                found.setdefault(key, []).append(transfer(contender, file, way == "up"))
    print("\n| 1 GiB | way | proxy | MB per CPU second | × HAProxy | most anonymous KiB |")
    print("|---|---|---|---|---|---|")
    middle = {key: statistics.median(one[0] for one in rounds) for key, rounds in found.items()}
    for key, rounds in sorted(found.items()):
        topology, way, name = key
        reference = middle.get((topology, way, "haproxy"))
        times = f"{middle[key] / reference:.2f}" if reference else ""
        memory = max(one[1] for one in rounds)
        print(f"| {topology} | {way} | {name} | {middle[key]:.0f} | {times} | {memory} |")
