//! Conditions, changes and faults of a rule in words.

use super::percent;
use crate::resource::{
    AbortHow, FaultAbort, FaultDelay, FieldMatch, HeaderEdit, PathEdit, PathMatch, Redirect,
    Rewrite, ValueMatch,
};

/// `GET /path/* header x=1 query q~re`
pub fn matched(
    method: Option<&str>,
    path: &PathMatch,
    headers: &[FieldMatch],
    query: &[FieldMatch],
) -> String {
    let mut words = Vec::new();
    words.extend(method.map(str::to_owned));
    words.push(match path {
        PathMatch::Exact(path) => format!("= {path}"),
        PathMatch::Prefix(path) => format!("{}/*", path.trim_end_matches('/')),
        PathMatch::Regex(regex) => format!("~ {regex}"),
    });
    let fields = |what: &'static str, fields: &[FieldMatch]| {
        let word = move |field: &FieldMatch| match &field.value {
            ValueMatch::Exact(value) => format!("{what} {}={value}", field.name),
            ValueMatch::Regex(regex) => format!("{what} {}~{regex}", field.name),
        };
        fields.iter().map(word).collect::<Vec<_>>()
    };
    words.extend(fields("header", headers));
    words.extend(fields("query", query));
    words.join(" ")
}

/// `with 301, scheme https, host a, path /x/* to /y/*`
pub fn redirect(redirect: &Redirect) -> String {
    let Redirect { scheme, hostname, path, port, status } = redirect;
    let mut words = vec![format!("with {status}")];
    words.extend(scheme.map(|scheme| format!("scheme {}", scheme.as_str())));
    words.extend(port.map(|port| format!("port {port}")));
    words.extend(target(hostname.as_deref(), path.as_ref()));
    words.join(", ")
}

/// `host a, path /x/* to /y/*`
pub fn rewrite(rewrite: &Rewrite) -> String {
    target(rewrite.hostname.as_deref(), rewrite.path.as_ref()).join(", ")
}

fn target(hostname: Option<&str>, path: Option<&PathEdit>) -> Vec<String> {
    let host = hostname.map(|host| format!("host {host}"));
    let path = path.map(|path| match path {
        PathEdit::Full(full) => format!("path {full}"),
        PathEdit::Prefix { matched, replacement } => format!("path {matched}/* to {replacement}/*"),
    });
    host.into_iter().chain(path).collect()
}

/// `set a: b`, `add c: d`, `remove e`, in the order in which they are made.
pub fn edits(edit: &HeaderEdit) -> Vec<String> {
    let set = edit.set.iter().map(|field| format!("set {}: {}", field.name, field.value));
    let add = edit.add.iter().map(|field| format!("add {}: {}", field.name, field.value));
    set.chain(add).chain(edit.remove.iter().map(|name| format!("remove {name}"))).collect()
}

/// `delay 2s (10%), abort with 503 (5%)`
pub fn fault(delay: Option<FaultDelay>, abort: Option<FaultAbort>) -> String {
    let delay = delay.map(|it| format!("delay {:?} ({})", it.duration, percent(it.ppm)));
    let abort = abort.map(|it| {
        let how = match it.how {
            AbortHow::Status(status) => format!("abort with {status}"),
            AbortHow::Grpc(code) => format!("abort with gRPC code {code}"),
            AbortHow::Reset => "reset".to_owned(),
        };
        format!("{how} ({})", percent(it.ppm))
    });
    delay.into_iter().chain(abort).collect::<Vec<_>>().join(", ")
}
