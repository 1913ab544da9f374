"""meshctl in a run: a control plane in a temporary home, a sidecar beside each server and the client."""

import json
import signal
import subprocess

from features import policy
from processes import meshctl, wait_for


class Mesh:
    """See the head of this file. The caller's sidecar is new in each cell: it has learned nothing."""

    name = "meshctl"

    def __init__(self, processes, work, binary, servers):
        self.processes, self.work, self.binary = processes, work, str(binary)
        self.home = work / "home"
        self.servers = servers
        self.installed = False
        self.sidecars = {}
        self.caller = None

    def meshctl(self, *arguments):
        return meshctl(self.binary, self.home, *arguments)

    def start(self):
        self.installed = True
        self.meshctl("install", "--platform", "local")
        for name in self.servers.ports:
            self.revive(name)
        for name in self.servers.ports:
            self.wait(name)

    def proxy(self, service, name, *arguments):
        ready = self.work / f"{name}.ready"
        ready.unlink(missing_ok=True)
        command = [self.binary, "--home", str(self.home), "proxy", "run", "--service", service]
        command += ["--name", name, "--workers", "1", "--ready-file", str(ready), *arguments]
        return self.processes.start(command, self.work / f"{name}.out")

    def ready(self, name):
        path = self.work / f"{name}.ready"
        wait_for(f"proxy {name} (see {self.work}/{name}.out)", path.exists, 20)
        return json.loads(path.read_text())

    def revive(self, name):
        """Starts the sidecar of a server where it does not run."""
        if name not in self.sidecars:
            app = f"127.0.0.1:{self.servers.ports[name]}"
            self.sidecars[name] = self.proxy("shop", f"shop-{name}", "--app", app)

    def wait(self, name):
        self.ready(f"shop-{name}")

    def kill(self, name):
        self.processes.stop(self.sidecars.pop(name), signal.SIGKILL)

    def all_are_known(self):
        services = json.loads(self.meshctl("status", "-o", "json"))["services"]
        ready = {one["name"]: one["endpoints"]["ready"] for one in services}
        return ready.get("shop") == len(self.servers.ports)

    def begin(self, on):
        """A cell: what is switched on holds, and the port that load may be sent to."""
        path = self.work / "policy.json"
        path.write_text(json.dumps(policy(on)))
        self.meshctl("apply", "-f", str(path), "--wait")
        wait_for("all four endpoints", self.all_are_known, 20, 0.1)
        self.caller = self.proxy("client", "client")
        return int(self.ready("client")["outbound"].rsplit(":", 1)[1])

    def finish(self):
        self.processes.stop(self.caller, signal.SIGKILL)

    def end(self):
        if self.installed:
            command = [self.binary, "--home", str(self.home), "uninstall", "--purge", "--yes"]
            subprocess.run(command, capture_output=True, timeout=60)
