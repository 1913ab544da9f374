//! The schema of `TrafficPolicy`. Each bound and each rule in CEL has its like in `rules::policy`.

use serde_json::{Value, json};

use super::{
    PERCENT, also, duration, number, object, one_of, root, rule, target_refs, text, when, with,
    words,
};

/// A token (RFC 9110 §5.6.2): names of header fields and cookies.
const TOKEN: &str = "^[A-Za-z0-9!#$%&'*+.^_`|~-]+$";

/// Up to 1 MiB, in whole KiB.
const SIZE: &str = "^((0|[1-9][0-9]{0,2}|10[01][0-9]|102[0-4])KiB|[01]MiB)$";

const ALGORITHMS: [&str; 6] =
    ["least-request", "round-robin", "random", "ewma", "ring-hash", "maglev"];

const CONDITIONS: [&str; 11] = [
    "connect-failure",
    "refused-stream",
    "gateway-error",
    "5xx",
    "reset",
    "retriable-status-codes",
    "cancelled",
    "deadline-exceeded",
    "resource-exhausted",
    "internal",
    "unavailable",
];

pub(super) fn traffic_policy() -> Value {
    let timeouts = json!({
        "connect": limit("TCP connect and TLS handshake together. Default 1s."),
        "request": limit("A whole request, where no route says otherwise. Default none."),
        "idle": limit("Idle connections of HTTP (default 5m), silent ones of other protocols (default 1h)."),
    });
    let spec = json!({
        "targetRefs": target_refs("Of several policies about one service the oldest holds."),
        "circuitBreaker": breaker(),
        "outlierDetection": outliers(),
        "retry": retry(),
        "timeouts": object("How long callers wait.", timeouts, &[]),
        "loadBalancer": balancer(),
        "healthCheck": health(),
        "mode": words(
            "`Enforce` (default), or `Shadow`: breaker and ejection are evaluated and counted, not enforced.",
            &["Enforce", "Shadow"],
        ),
    });
    let spec =
        object("What is wanted. Whatever is left out keeps its default.", spec, &["targetRefs"]);
    let timed = "has(self.retry) && has(self.timeouts) && has(self.timeouts.request)";
    let spec = when(
        spec,
        &[
            (
                &format!(
                    "!({timed} && has(self.retry.perTryTimeout)) || duration(self.retry.perTryTimeout) <= duration(self.timeouts.request)"
                ),
                "`perTryTimeout` is longer than `timeouts.request`",
            ),
            (
                &format!(
                    "!({timed} && has(self.retry.hedge)) || duration(self.retry.hedge.after) < duration(self.timeouts.request)"
                ),
                "`hedge` is not shorter than `timeouts.request`",
            ),
            (
                "!has(self.retry) || (has(self.retry.attempts) && self.retry.attempts == 0) || !has(self.circuitBreaker) || !has(self.circuitBreaker.maxRetries) || self.circuitBreaker.maxRetries > 0",
                "`maxRetries` is 0, so nothing of `retry` ever happens",
            ),
        ],
    );
    root("How callers treat a service.", &spec, &["spec"])
}

fn breaker() -> Value {
    let bounds = json!({
        "minConcurrency": number("It never falls below this. Default 3.", 1, 1_000_000),
        "maxConcurrency": number("It never rises above this. Default 1000.", 1, 1_000_000),
    });
    let adaptive = when(
        object("A limit on requests in flight that follows the latency.", bounds, &[]),
        &[(
            "!has(self.minConcurrency) || !has(self.maxConcurrency) || self.minConcurrency <= self.maxConcurrency",
            "`minConcurrency` is more than `maxConcurrency`",
        )],
    );
    let fields = json!({
        "maxConnections": number("Connections.", 1, 1_000_000),
        "maxPendingRequests": number("Requests that wait for a connection.", 0, 1_000_000),
        "maxRequests": number("Requests in flight.", 1, 1_000_000),
        "maxRetries": number("Repetitions in flight.", 0, 1_000_000),
        "maxRequestsPerConnection": number("Requests that one connection carries.", 1, 1_000_000),
        "adaptiveConcurrency": adaptive,
    });
    let mut schema = object(
        "The most that one calling proxy does at once; what is left out is not limited.",
        fields,
        &[],
    );
    schema["minProperties"] = json!(1);
    schema
}

fn outliers() -> Value {
    let hosts = number("With fewer endpoints to judge nobody is judged. Default 5.", 1, 1_000_000);
    let volume = |usual| {
        number(&format!("Requests in an interval to be judged. Default {usual}."), 1, 1_000_000)
    };
    let factor = json!({
        "description": "Out if below mean - factor x standard deviation. Default 1.9.",
        "type": "number", "minimum": 0.1, "maximum": 100,
    });
    let threshold = text("Out at or above this share. Default `85%`.", 9, PERCENT);
    let threshold = with(
        also(threshold, json!({"not": {"pattern": "^0+([.]0+)?%$"}})),
        &rule("!self.matches('^0+([.]0+)?%$')", "expected more than 0%"),
    );
    let success =
        json!({"minimumHosts": hosts, "requestVolume": volume(100), "stdevFactor": factor});
    let failure =
        json!({"minimumHosts": hosts, "requestVolume": volume(50), "threshold": threshold});
    let fields = json!({
        "consecutiveErrors": number("Errors of any kind in a row. Default 5; 0 is off.", 0, 1_000_000),
        "consecutiveGatewayErrors": number("502, 503, 504 and failures without an answer in a row. Default off.", 1, 1_000_000),
        "consecutiveLocalErrors": number("Failures without an answer in a row. Default off.", 1, 1_000_000),
        "successRate": object("Success far below that of the others. Default off.", success, &[]),
        "failurePercent": object("Failures above a share. Default off.", failure, &[]),
        "interval": duration("How often shares are judged and ejections ended. Default 10s.", "10ms", "24h"),
        "baseEjectionTime": limit("How long, times ejected in a row. Default 30s."),
        "maxEjectionTime": limit("No ejection takes longer. Default 300s."),
        "maxEjectionPercent": number("No more are out at once, but one always may be. Default 10.", 1, 100),
        "panicThreshold": text("With fewer left than this all are used. Default `50%`.", 9, PERCENT),
    });
    when(
        object("When an endpoint is taken out for what it answers.", fields, &[]),
        &[
            (
                "!has(self.baseEjectionTime) || !has(self.maxEjectionTime) || duration(self.baseEjectionTime) <= duration(self.maxEjectionTime)",
                "`baseEjectionTime` is more than `maxEjectionTime`",
            ),
            (
                "!has(self.consecutiveErrors) || self.consecutiveErrors > 0 || has(self.consecutiveGatewayErrors) || has(self.consecutiveLocalErrors) || has(self.successRate) || has(self.failurePercent)",
                "`consecutiveErrors` is 0, and nothing else finds an outlier",
            ),
        ],
    )
}

fn retry() -> Value {
    let list = |what: &str, least: u32, most: u32, items: Value| {
        json!({
            "description": what, "type": "array", "minItems": least, "maxItems": most,
            "x-kubernetes-list-type": "set", "items": items,
        })
    };
    let waits = json!({
        "base": limit("The first wait is up to this. Default 25ms."),
        "max": limit("No wait is longer. Default 250ms, or ten times `base`."),
    });
    let backoff = when(
        object("How long to wait before a repetition.", waits, &[]),
        &[(
            "!has(self.base) || !has(self.max) || duration(self.base) <= duration(self.max)",
            "`base` is more than `max`",
        )],
    );
    let shares = json!({
        "percent": number("Of the requests. Default 20.", 0, 100),
        "minPerSecond": number("But so many in any case. Default 3.", 0, 1_000_000),
    });
    let budget = when(
        object("How many repetitions there may be, per calling proxy and service.", shares, &[]),
        &[(
            "!has(self.percent) || !has(self.minPerSecond) || self.percent > 0 || self.minPerSecond > 0",
            "the budget allows nothing: both its parts are 0",
        )],
    );
    let after = json!({"after": limit("The first try has been out for so long.")});
    let fields = json!({
        "attempts": number("Tries after the first. Default 2.", 0, 100),
        "on": list("What is tried again. Default connect-failure, refused-stream, gateway-error.", 1, 11, words("A condition.", &CONDITIONS)),
        "statusCodes": list("Answers with these are tried again.", 0, 200, number("A status.", 400, 599)),
        "methods": words("`idempotent` (default), or `all`.", &["idempotent", "all"]),
        "perTryTimeout": limit("Of one try. Default none."),
        "backoff": backoff,
        "budget": budget,
        "maxBody": text("The largest body that is kept for repetition. Default `64KiB`.", 7, SIZE),
        "hedge": object("A second try while the first is still out.", after, &["after"]),
    });
    when(
        object("What is tried again, and how often.", fields, &[]),
        &[
            (
                "!has(self.on) || !self.on.exists(one, one == 'retriable-status-codes') || (has(self.statusCodes) && size(self.statusCodes) > 0)",
                "`retriable-status-codes` are not said; add `statusCodes`",
            ),
            (
                "!has(self.on) || !has(self.statusCodes) || size(self.statusCodes) == 0 || self.on.exists(one, one == 'retriable-status-codes')",
                "`statusCodes` are not asked about; add `retriable-status-codes` to `on`",
            ),
            (
                "!has(self.hedge) || !has(self.attempts) || self.attempts > 0",
                "`hedge` needs a second try, and `attempts` is 0",
            ),
            (
                "!has(self.hedge) || !has(self.perTryTimeout) || duration(self.hedge.after) < duration(self.perTryTimeout)",
                "`hedge` is not shorter than `perTryTimeout`",
            ),
        ],
    )
}

fn balancer() -> Value {
    let cookie = json!({
        "name": text("Its name.", 256, TOKEN),
        "path": text("Its path. Default `/`.", 256, "^/[!-:<-~]*$"),
        "ttl": duration("Its life. Default the client's session.", "1s", "99999h"),
    });
    let hash_on = json!({
        "header": text("A header field. Without it the choice is random.", 256, TOKEN),
        "cookie": object("A cookie, made where the request has none.", cookie, &["name"]),
        "sourceIp": {"description": "The calling workload.", "type": "boolean", "enum": [true]},
    });
    let mut hash_on =
        object("What a consistent algorithm hashes. Default `sourceIp`.", hash_on, &[]);
    hash_on["minProperties"] = json!(1);
    hash_on["maxProperties"] = json!(1);
    let fields = json!({
        "algorithm": words("How an endpoint is chosen. Default `least-request`.", &ALGORITHMS),
        "hashOn": hash_on,
        "slowStart": limit("How long an endpoint that came takes to its full share. Default none."),
        "locality": words("`prefer` endpoints of the caller's zone, or `off` (default).", &["prefer", "off"]),
    });
    when(
        object("How calls are spread over the endpoints.", fields, &[]),
        &[(
            "!has(self.hashOn) || (has(self.algorithm) && self.algorithm in ['ring-hash', 'maglev'])",
            "`hashOn` means nothing to this algorithm; say `ring-hash` or `maglev`",
        )],
    )
}

fn health() -> Value {
    let http = json!({
        "path": text("Path and query. Default `/`.", 1_024, "^/[!\"$-~]*$"),
        "host": text("The `Host`. Default the service's name.", 253, "^[A-Za-z0-9.-]+(:[0-9]{1,5})?$"),
    });
    let grpc = json!({
        "service": text("The service asked about. Default the server as a whole.", 253, "^[A-Za-z0-9_.]+$"),
    });
    let fields = json!({
        "http": object("`GET`; 200 to 299 is well.", http, &[]),
        "grpc": object("The gRPC Health Checking Protocol.", grpc, &[]),
        "tcp": object("A connection.", json!({}), &[]),
        "interval": duration("From one question to the next. Default 5s.", "10ms", "24h"),
        "timeout": duration("An answer that takes longer is none. Default 1s.", "1ms", "24h"),
        "unhealthyAfter": number("Failures in a row that take it out. Default 3.", 1, 100),
        "healthyAfter": number("Successes in a row that bring it back. Default 2.", 1, 100),
    });
    let health = object("Endpoints are asked whether they work.", fields, &[]);
    when(
        also(health, one_of(&["http", "grpc", "tcp"])),
        &[
            (
                "[has(self.http), has(self.grpc), has(self.tcp)].exists_one(one, one)",
                "expected one of `http`, `grpc` or `tcp`, and only one",
            ),
            (
                "!has(self.timeout) || !has(self.interval) || duration(self.timeout) <= duration(self.interval)",
                "`timeout` is more than `interval`",
            ),
        ],
    )
}

fn limit(what: &str) -> Value {
    duration(what, "1ms", "99999h")
}
