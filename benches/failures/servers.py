"""Four servers that know nothing of a mesh: three of nginx that are always well, one that fails."""

import pathlib
import signal
import sys

from processes import free_port, listens, wait_for

SOURCES = pathlib.Path(__file__).parent / "servers"
HEALTHY = ["one", "two", "three"]
FAILING = "four"


class Servers:
    """The four, by name; each keeps its port whatever happens to it."""

    def __init__(self, processes, work):
        self.processes, self.work = processes, work
        self.ports = {name: free_port() for name in [*HEALTHY, FAILING]}
        self.failing = None

    def start(self):
        template = (SOURCES / "nginx.conf").read_text()
        for name in HEALTHY:
            values = {"DIR": self.work, "NAME": name, "LISTEN": self.ports[name]}
            text = template
            for key, value in values.items():
                text = text.replace(f"@{key}@", str(value))
            path = self.work / f"{name}.conf"
            path.write_text(text)
            command = ["nginx", "-p", str(self.work), "-e", str(self.work / f"{name}.log"), "-c", str(path)]
            self.processes.start(command, self.work / f"{name}.out")
        self.revive()
        for name in self.ports:
            self.wait(name)

    def wait(self, name):
        wait_for(f"server {name} (see {self.work}/{name}.out)", lambda: listens(self.ports[name]))

    def revive(self):
        """Starts the failing one again where it was killed, and lets it be well."""
        if self.failing is None:
            command = [sys.executable, str(SOURCES / "server.py"), str(self.ports[FAILING]), FAILING]
            self.failing = self.processes.start(command, self.work / f"{FAILING}.out")
        else:
            self.failing.send_signal(signal.SIGHUP)

    def slow(self):
        self.failing.send_signal(signal.SIGUSR1)

    def answer_503(self):
        self.failing.send_signal(signal.SIGUSR2)

    def kill(self):
        self.processes.stop(self.failing, signal.SIGKILL)
        self.failing = None
