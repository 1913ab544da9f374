"""What is switched on in a cell, in meshctl's words; envoy.py says the same in Envoy's.

Times are short so that a cell of a few seconds shows an ejection from its beginning to its end.
"""

TIMEOUT = "1s"
SWITCHES = {
    "breaker": {
        "circuitBreaker": {"maxConnections": 64, "maxPendingRequests": 16, "maxRequests": 24, "maxRetries": 8},
    },
    "ejection": {
        "outlierDetection": {
            "consecutiveErrors": 5,
            "interval": "1s",
            "baseEjectionTime": "2s",
            "maxEjectionTime": "10s",
            "maxEjectionPercent": 50,
            "panicThreshold": "50%",
        },
    },
    "retries": {
        "retry": {
            "attempts": 2,
            "on": ["connect-failure", "refused-stream", "gateway-error", "reset"],
            "perTryTimeout": "250ms",
            "backoff": {"base": "25ms", "max": "250ms"},
            "budget": {"percent": 50, "minPerSecond": 3},
        },
    },
    "health checks": {
        "healthCheck": {
            "http": {"path": "/healthz"},
            "interval": "500ms",
            "timeout": "250ms",
            "unhealthyAfter": 2,
            "healthyAfter": 2,
        },
    },
}
COLUMNS = {"off": [], **{name: [name] for name in SWITCHES}, "all": list(SWITCHES)}


def policy(on):
    """The TrafficPolicy of a cell."""
    spec = {
        "targetRefs": [{"kind": "Service", "name": "shop"}],
        "timeouts": {"connect": "1s", "request": TIMEOUT},
        "loadBalancer": {"algorithm": "round-robin"},
    }
    for name in on:
        spec.update(SWITCHES[name])
    return {
        "apiVersion": "meshctl.dev/v1alpha1",
        "kind": "TrafficPolicy",
        "metadata": {"name": "shop"},
        "spec": spec,
    }
