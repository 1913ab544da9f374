//! The schema of `HTTPRoute` with services as parents, as far as this version reads it: what editors
//! get. On a cluster the definition is the Gateway API's own.

use serde_json::{Value, json};

use super::matches::{PATH, TOKEN, matched};
use super::{DURATION, LABEL, SUBDOMAIN, also, list, number, object, root, text, words};

/// The types of filters, each with the field that belongs to it.
const FILTERS: [(&str, &str); 4] = [
    ("RequestHeaderModifier", "requestHeaderModifier"),
    ("ResponseHeaderModifier", "responseHeaderModifier"),
    ("URLRewrite", "urlRewrite"),
    ("RequestRedirect", "requestRedirect"),
];

pub(super) fn http_route() -> Value {
    let host = json!({"type": "string", "minLength": 1, "maxLength": 253});
    let spec = json!({
        "parentRefs": list("The services that it is about.", (1, 32), &parent()),
        "hostnames": list("Ignored on a route of a mesh: the service that is called decides.", (0, 16), &host),
        "rules": list("The most specific match of all rules decides, not the order.", (1, 16), &rule()),
    });
    let spec = object("What is wanted.", spec, &["parentRefs", "rules"]);
    root("How requests to a service are routed.", &spec, &["spec"])
}

/// What names a service, of parents and of backends.
fn reference(own: Value) -> Value {
    let mut fields = json!({
        "group": words("The group of services.", &["", "core"]),
        "kind": words("The kind.", &["Service"]),
        "namespace": text("Its namespace. Default that of the route.", 63, LABEL),
        "name": text("The name of the service.", 63, LABEL),
    });
    if let (Some(fields), Value::Object(own)) = (fields.as_object_mut(), own) {
        fields.extend(own);
    }
    fields
}

fn parent() -> Value {
    let own = json!({
        "port": number("One port of it. Default all.", 1, 65_535),
        "sectionName": text("One port of it, by name. Default all.", 253, SUBDOMAIN),
    });
    object("A service.", reference(own), &["kind", "name"])
}

fn rule() -> Value {
    let codes = list(
        "Answers with these are tried again, and no others.",
        (0, 200),
        &number("A status.", 400, 599),
    );
    let retry = json!({
        "codes": codes,
        "attempts": number("Tries after the first.", 0, 100),
        "backoff": time("No repetition comes sooner."),
    });
    let timeouts = json!({
        "request": time("Of the whole request, with all its tries. `0s`: none."),
        "backendRequest": time("Of one try. `0s`: none."),
    });
    let matches = "One of these must match. Default every path.";
    let fields = json!({
        "name": text("Its name, in `describe`, logs and reasons.", 253, SUBDOMAIN),
        "matches": list(matches, (0, 64), &matched()),
        "filters": list("What is changed on the way.", (0, 16), &filter(&FILTERS)),
        "backendRefs": list("Where it goes, by weight.", (0, 16), &backend()),
        "timeouts": object("Limits on time.", timeouts, &[]),
        "retry": object("What is tried again, over what the service's policy says.", retry, &[]),
    });
    object("A rule.", fields, &[])
}

fn backend() -> Value {
    // Who is redirected goes to no backend.
    let [headers, answers, rewrite, _] = FILTERS;
    let own = json!({
        "port": number("Its port.", 1, 65_535),
        "weight": number("Its share of all weights of the rule. Default 1.", 0, 1_000_000),
        "filters": list("What is changed for this backend.", (0, 16), &filter(&[headers, answers, rewrite])),
    });
    object("A service that takes requests.", reference(own), &["name", "port"])
}

fn filter(types: &[(&str, &str)]) -> Value {
    let names: Vec<&str> = types.iter().map(|(name, _)| *name).collect();
    let mut fields = json!({"type": words("What it does.", &names)});
    let mut union = Vec::new();
    for (name, field) in types {
        fields[field] = match *field {
            "requestRedirect" => redirect(),
            "urlRewrite" => rewrite(),
            _ => edit(),
        };
        let others = types.iter().filter(|(_, other)| other != field);
        let others: serde_json::Map<_, _> =
            others.map(|(_, other)| ((*other).to_owned(), json!(false))).collect();
        union.push(chosen(name, field, &Value::Object(others)));
    }
    also(object("A filter.", fields, &["type"]), json!({"allOf": union}))
}

/// Where `type` is `name`, there is `field` and none of the others.
fn chosen(name: &str, field: &str, others: &Value) -> Value {
    json!({
        "if": {"properties": {"type": {"const": name}}, "required": ["type"]},
        "then": {"required": [field], "properties": others},
    })
}

fn edit() -> Value {
    let name = text("The header's name.", 256, TOKEN);
    let value = json!({
        "description": "What is sent.", "type": "string", "minLength": 1, "maxLength": 4_096,
    });
    let field = object("A header.", json!({"name": name, "value": value}), &["name", "value"]);
    let fields = json!({
        "set": list("Replaces every field of that name.", (0, 16), &field),
        "add": list("Adds to those that are there.", (0, 16), &field),
        "remove": list("Takes every field of that name away.", (0, 16), &name),
    });
    object("Changes to the header.", fields, &[])
}

fn redirect() -> Value {
    let fields = json!({
        "scheme": words("Default that of the request.", &["http", "https"]),
        "hostname": text("Default that of the request.", 253, SUBDOMAIN),
        "path": path(),
        "port": number("Default that of the scheme, or of the request.", 1, 65_535),
        "statusCode": {
            "description": "Default 302.", "type": "integer", "enum": [301, 302, 303, 307, 308],
        },
    });
    object("The client is sent elsewhere.", fields, &[])
}

fn rewrite() -> Value {
    let fields = json!({
        "hostname": text("The `Host` that is sent.", 253, SUBDOMAIN),
        "path": path(),
    });
    object("The request's target is changed.", fields, &[])
}

fn path() -> Value {
    let (full, prefix) = ("replaceFullPath", "replacePrefixMatch");
    let fields = json!({
        "type": words("What is replaced.", &["ReplaceFullPath", "ReplacePrefixMatch"]),
        full: text("What takes its place.", 1_024, PATH),
        prefix: {
            "description": "What takes the place of the prefix that the rule matches.",
            "type": "string", "maxLength": 1_024, "pattern": format!("^$|{PATH}"),
        },
    });
    let union = json!({"allOf": [
        chosen("ReplaceFullPath", full, &json!({prefix: false})),
        chosen("ReplacePrefixMatch", prefix, &json!({full: false})),
    ]});
    also(object("A change to the path.", fields, &["type"]), union)
}

fn time(description: &str) -> Value {
    text(description, 28, DURATION)
}
