"""meshctl in a run: a control plane in a temporary home, a caller's proxy and those of receivers.

Switched on as in peers' README: metrics, 1 % of requests traced, retries, time limits, Permissive
inbound (so that the one hop without TLS passes), mutual TLS between the proxies. The service
`guarded` is the same application once more, with every block of a TrafficPolicy that may hold
without a request being refused: what it costs beside `origin` is what resilience costs. The
connections to `fresh` carry one request each.
"""

import json
import os
import signal
import statistics
import subprocess
import time

from peers import Contender
from processes import meshctl, wait_for

RULES = """\
apiVersion: meshctl.dev/v1alpha1
kind: MeshConfig
metadata: {name: default}
spec:
  mtls: Permissive
  tracing: {sampling: 1%}
---
apiVersion: meshctl.dev/v1alpha1
kind: TrafficPolicy
metadata: {name: guarded}
spec:
  targetRefs: [{kind: Service, name: guarded}]
  circuitBreaker:
    maxConnections: 1000
    maxPendingRequests: 1000
    maxRequests: 1000
    maxRetries: 100
    maxRequestsPerConnection: 1000000
  outlierDetection:
    consecutiveErrors: 5
    consecutiveGatewayErrors: 5
    consecutiveLocalErrors: 5
    successRate: {}
    failurePercent: {}
  retry:
    attempts: 2
    on: [connect-failure, refused-stream, gateway-error, reset, retriable-status-codes]
    statusCodes: [409]
    perTryTimeout: 5s
    backoff: {base: 25ms, max: 250ms}
    budget: {percent: 20, minPerSecond: 3}
  timeouts: {connect: 1s, request: 15s, idle: 5m}
  loadBalancer: {algorithm: least-request, slowStart: 1s, locality: prefer}
  healthCheck: {tcp: {}, interval: 5s}
---
apiVersion: meshctl.dev/v1alpha1
kind: TrafficPolicy
metadata: {name: fresh}
spec:
  targetRefs: [{kind: Service, name: fresh}]
  circuitBreaker: {maxRequestsPerConnection: 1}
"""


class Mesh:
    """A mesh of proxies with one worker each."""

    def __init__(self, processes, work, binary, origin):
        self.processes, self.work, self.binary = processes, work, str(binary)
        self.home = work / "home"
        self.origin = origin
        self.installed = False
        self.roles, self.outbound = {}, 0

    def meshctl(self, *arguments):
        return meshctl(self.binary, self.home, *arguments)

    def start(self):
        self.installed = True
        self.meshctl("install", "--platform", "local")
        rules = self.work / "rules.yaml"
        rules.write_text(RULES)
        self.meshctl("apply", "-f", str(rules))
        receiver = self.proxy("origin", "--app", f"127.0.0.1:{self.origin}")
        self.proxy("guarded", "--app", f"127.0.0.1:{self.origin}")
        caller = self.proxy("caller")
        pids = {role: child.pid for role, (child, _) in self.roles.items()}
        inbound, self.outbound = port_of(receiver["inbound"]), port_of(caller["outbound"])
        origin, guarded = [pids["caller"], pids["origin"]], [pids["caller"], pids["guarded"]]
        return [
            Contender("meshctl", "one hop", inbound, [pids["origin"]]),
            Contender("meshctl", "two hops, mTLS", self.outbound, origin),
            Contender("meshctl, TrafficPolicy", "two hops, mTLS", self.outbound, guarded, "guarded"),
        ]

    def fresh(self):
        """The service that every request makes a new connection to."""
        self.proxy("fresh", "--app", f"127.0.0.1:{self.origin}")
        pids = [self.roles[role][0].pid for role in ("caller", "fresh")]
        return Contender("meshctl", "new mTLS connections", self.outbound, pids, "fresh")

    def proxy(self, service, *arguments):
        ready = self.work / f"{service}.ready"
        command = [self.binary, "--home", str(self.home), "proxy", "run", "--service", service]
        command += ["--workers", "1", "--ready-file", str(ready), *arguments]
        child = self.processes.start(command, self.work / f"{service}.out")
        wait_for(f"proxy of {service} (see {self.work}/{service}.out)", ready.exists, 10, 0.0005)
        self.roles[service] = (child, arguments)
        return json.loads(ready.read_text())

    def start_times_ms(self, rounds):
        """Start to ready with a last-good configuration, the control plane there."""
        times = []
        for _ in range(rounds):
            child, arguments = self.roles["origin"]
            self.processes.stop(child, signal.SIGTERM)
            begun = time.monotonic()
            self.proxy("origin", *arguments)
            times.append((time.monotonic() - begun) * 1000)
        return times

    def version_ms(self, rounds=20):
        times = []
        for _ in range(rounds):
            begun = time.monotonic()
            subprocess.run([self.binary, "--version"], check=True, stdout=subprocess.DEVNULL)
            times.append((time.monotonic() - begun) * 1000)
        return statistics.median(times)

    def binary_mb(self):
        return os.stat(self.binary).st_size / 1e6

    def end(self):
        if self.installed:
            command = [self.binary, "--home", str(self.home), "uninstall", "--purge", "--yes"]
            subprocess.run(command, capture_output=True, timeout=60)


def port_of(address):
    return int(address.rsplit(":", 1)[1])
