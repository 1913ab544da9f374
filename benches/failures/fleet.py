"""A mesh whose parts are killed, frozen and started again, with a control plane that nobody restarts.

All services share one origin: `shop` and `calls` (HTTP/2) have three workloads each; each request to
`fresh` opens a new connection, with a new handshake; `other` is what a drill may do without. The
caller is `web`. Nothing is retried, so that what fails is seen.
"""

import json
import pathlib
import signal
import subprocess
import time

from processes import free_port, listens, meshctl, wait_for

SOURCES = pathlib.Path(__file__).parent / "servers"

RULES = """\
apiVersion: meshctl.dev/v1alpha1
kind: TrafficPolicy
metadata: {name: once}
spec:
  targetRefs: [{kind: Service, name: shop}, {kind: Service, name: calls}]
  retry: {attempts: 0}
---
apiVersion: meshctl.dev/v1alpha1
kind: TrafficPolicy
metadata: {name: fresh}
spec:
  targetRefs: [{kind: Service, name: fresh}]
  retry: {attempts: 0}
  circuitBreaker: {maxRequestsPerConnection: 1}
"""
# A change that can be seen in every answer.
MARKED = """\
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: marked}
spec:
  parentRefs: [{group: "", kind: Service, name: shop}]
  rules:
  - filters:
    - type: ResponseHeaderModifier
      responseHeaderModifier: {set: [{name: drill, value: "%s"}]}
    backendRefs: [{name: shop, port: 80}]
"""


class Fleet:
    """See the head of this file."""

    def __init__(self, processes, work, binary):
        self.processes, self.work, self.binary = processes, work, str(binary)
        self.home = work / "home"
        self.control_plane = None
        self.sidecars = {}

    def meshctl(self, *arguments):
        return meshctl(self.binary, self.home, *arguments)

    def status(self):
        command = [self.binary, "--home", str(self.home), "status", "-o", "json"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
        return json.loads(done.stdout) if done.returncode == 0 else None

    def start(self):
        http, http2 = self.start_origin()
        self.start_control_plane()
        self.apply(RULES)
        self.sidecar("web", "web")
        for name in ("fresh", "other", "shop-0", "shop-1", "shop-2"):
            self.sidecar(name, name.split("-")[0], "--app", f"127.0.0.1:{http}")
        for name in ("calls-0", "calls-1", "calls-2"):
            self.sidecar(name, "calls", "--app", f"127.0.0.1:{http2}", "--protocol", "http2")
        self.wait_for_all()

    def start_origin(self):
        """The ports at which it speaks HTTP/1.1 and HTTP/2."""
        http, http2 = free_port(), free_port()
        text = (SOURCES / "origin.nginx.conf").read_text()
        for key, value in {"DIR": self.work, "LISTEN": http, "HTTP2": http2, "BODY": "x" * 1024}.items():
            text = text.replace(f"@{key}@", str(value))
        path = self.work / "origin.conf"
        path.write_text(text)
        command = ["nginx", "-p", str(self.work), "-e", str(self.work / "origin.log"), "-c", str(path)]
        self.processes.start(command, self.work / "origin.out")
        wait_for(f"the origin (see {self.work}/origin.out)", lambda: listens(http) and listens(http2))
        return http, http2

    def start_control_plane(self):
        command = [self.binary, "--home", str(self.home), "control-plane", "run"]
        self.control_plane = self.processes.start(command, self.work / "control-plane.out")
        wait_for(f"the control plane (see {self.work}/control-plane.out)", self.status, 20, 0.05)

    def kill_control_plane(self):
        self.processes.stop(self.control_plane, signal.SIGKILL)

    def freeze_control_plane(self):
        self.control_plane.send_signal(signal.SIGSTOP)

    def thaw_control_plane(self):
        self.control_plane.send_signal(signal.SIGCONT)

    def apply(self, text, *arguments):
        path = self.work / "rules.yaml"
        path.write_text(text)
        self.meshctl("apply", "-f", str(path), *arguments)

    def sidecar(self, name, service, *arguments):
        """Starts a proxy, and how many milliseconds it took until it was ready."""
        ready = self.work / f"{name}.ready"
        ready.unlink(missing_ok=True)
        command = [self.binary, "--home", str(self.home), "proxy", "run", "--service", service]
        command += ["--name", name, "--workers", "1", "--ready-file", str(ready), *arguments]
        begun = time.monotonic()
        child = self.processes.start(command, self.work / f"{name}.out")
        wait_for(f"proxy {name} (see {self.work}/{name}.out)", ready.exists, 20, 0.001)
        took = (time.monotonic() - begun) * 1000
        self.sidecars[name] = (child, service, arguments)
        return took

    def again(self, name, *more):
        """Starts a proxy again, as it was, with `more` for this time."""
        _, service, arguments = self.sidecars[name]
        took = self.sidecar(name, service, *arguments, *more)
        self.sidecars[name] = (self.child(name), service, arguments)
        return took

    def kill(self, name):
        self.processes.stop(self.sidecars[name][0], signal.SIGKILL)

    def child(self, name):
        return self.sidecars[name][0]

    def ready(self, name):
        return json.loads((self.work / f"{name}.ready").read_text())

    def outbound(self):
        return int(self.ready("web")["outbound"].rsplit(":", 1)[1])

    def wait_for_all(self):
        """All workloads are known, and every proxy has what it asked for."""

        def known():
            status = self.status()
            if not status:
                return False
            ready = {one["name"]: one["endpoints"]["ready"] for one in status["services"]}
            synced = [one["state"] == "Synced" for one in status["proxies"]]
            serving = ready.get("shop") == ready.get("calls") == 3
            return serving and len(synced) == len(self.sidecars) and all(synced)

        wait_for("all proxies", known, 60, 0.1)
