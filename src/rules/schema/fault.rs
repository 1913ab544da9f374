//! The schema of `FaultPolicy`. Whether a regular expression is one only the control plane can say;
//! where it is none, the policy's status does.

use serde_json::{Value, json};

use super::matches::matched;
use super::{
    LABEL, also, any_of, duration, list, object, one_of, root, rule, target_refs, text, with, words,
};

/// An identity of the mesh's own trust domain: a namespace and a service account in it.
const IDENTITY: &str = "^ns/[a-z0-9]([-a-z0-9]*[a-z0-9])?/sa/[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$";

/// RFC 3339 §5.6.
const TIME: &str = "^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-5][0-9](\\.[0-9]{1,9})?(Z|[+-][0-9]{2}:[0-9]{2})$";

pub(super) fn fault_policy() -> Value {
    let spec = json!({
        "targetRefs": target_refs("Of several that fit a request the oldest is taken."),
        "from": callers(),
        "matches": list(
            "The requests that meet the fault, as in an HTTPRoute: one of these must match. Default all.",
            (0, 64),
            &matched(),
        ),
        "delay": object(
            "They wait before they are sent.",
            json!({
                "duration": duration("How long.", "1ms", "1h"),
                "percent": percent(),
            }),
            &["duration"],
        ),
        "abort": abort(),
        "expires": {
            "description": "When it ends by itself. Default never.",
            "type": "string", "format": "date-time", "maxLength": 35, "pattern": TIME,
        },
        "mode": words(
            "`Enforce` (default), or `Shadow`: counted and not put in.",
            &["Enforce", "Shadow"],
        ),
    });
    let spec = object("What is wanted.", spec, &["targetRefs"]);
    let spec = also(spec, any_of(&["delay", "abort"]));
    let spec = with(
        spec,
        &rule(
            "has(self.delay) || has(self.abort)",
            "a fault without `delay` and without `abort` does nothing",
        ),
    );
    root("Calls that are made to wait or to fail on purpose, for testing.", &spec, &["spec"])
}

fn callers() -> Value {
    let source = object(
        "Callers of the mesh.",
        json!({
            "identities": list(
                "Service accounts, `ns/NAMESPACE/sa/ACCOUNT`.",
                (0, 64),
                &text("One of them.", 324, IDENTITY),
            ),
            "namespaces": list(
                "All of these namespaces.",
                (0, 64),
                &text("One of them.", 63, LABEL),
            ),
        }),
        &[],
    );
    let somebody = "(has(self.identities) && size(self.identities) > 0) || (has(self.namespaces) && size(self.namespaces) > 0)";
    let source = also(source, any_of(&["identities", "namespaces"]));
    let source = with(source, &rule(somebody, "this names nobody"));
    list("Whose calls meet the fault. Default everybody's.", (1, 16), &source)
}

fn abort() -> Value {
    let number = |description: &str, least: u32, most: u32| json!({"description": description, "type": "integer", "minimum": least, "maximum": most});
    let abort = object(
        "They fail, in one way.",
        json!({
            "status": number("With this HTTP status.", 400, 599),
            "grpcCode": number("With this gRPC code.", 1, 16),
            "reset": {
                "description": "The connection (of HTTP/2 the stream) is reset.",
                "type": "boolean", "enum": [true],
            },
            "percent": percent(),
        }),
        &[],
    );
    let one = "[has(self.status), has(self.grpcCode), has(self.reset)].filter(it, it).size() == 1";
    let abort = also(abort, one_of(&["status", "grpcCode", "reset"]));
    with(abort, &rule(one, "a call fails in one way: `status`, `grpcCode` or `reset`"))
}

fn percent() -> Value {
    let share = json!({
        "description": "The share of calls, in percent. Default 100.",
        "type": "number", "minimum": 0.0001, "maximum": 100,
    });
    // The API server holds whole numbers against the whole part of a bound.
    with(share, &rule("self > 0.0", "a share of nothing does nothing; leave the block out"))
}
