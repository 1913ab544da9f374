//! `-o sarif`: a log of the Static Analysis Results Interchange Format 2.1.0 (OASIS), which code
//! hosts show as alerts.
//!
//! One run of one tool. Only the codes that occur stand among its rules. Columns are counted in
//! characters, as everywhere in diagnostics, and the log says so.

use serde_json::{Value, json};

use super::Report;
use crate::cli::exit::Failure;
use crate::cli::output;
use crate::rules::Diagnostic;
use crate::rules::codes::{self, Code};

/// Where editors and other tools find what a log must look like.
const SCHEMA: &str = "https://json.schemastore.org/sarif-2.1.0.json";

/// What relative paths are relative to, in the words of those who read logs.
const ROOT: &str = "%SRCROOT%";

/// The whole log.
pub(super) fn render(report: &Report<'_>) -> Result<String, Failure> {
    let occurs = |code: &&&Code| report.found.iter().any(|it| it.code == code.code);
    let rules: Vec<&Code> = codes::ALL.iter().filter(occurs).copied().collect();
    let results: Vec<Value> = report.found.iter().map(|it| result(report, it, &rules)).collect();
    output::json(&json!({
        "$schema": SCHEMA,
        "version": "2.1.0",
        "runs": [{
            "tool": {"driver": {
                "name": "meshctl",
                "semanticVersion": env!("CARGO_PKG_VERSION"),
                "rules": rules.iter().map(|code| rule(code)).collect::<Vec<_>>(),
            }},
            "invocations": [{"executionSuccessful": true}],
            "columnKind": "unicodeCodePoints",
            "results": results,
        }],
    }))
}

fn rule(code: &Code) -> Value {
    json!({
        "id": code.code,
        "shortDescription": {"text": code.summary},
        "help": {"text": code.help},
    })
}

fn result(report: &Report<'_>, it: &Diagnostic, rules: &[&Code]) -> Value {
    let mut location = json!({
        "physicalLocation": {
            "artifactLocation": artifact(&it.file),
            "region": {"startLine": it.line, "startColumn": it.column},
        },
    });
    if !it.field.is_empty() {
        location["logicalLocations"] = json!([{"fullyQualifiedName": it.field}]);
    }
    let mut result = json!({
        "ruleId": it.code,
        "level": if report.is_fatal(it) { "error" } else { "warning" },
        "message": {"text": super::paragraph(it)},
        "locations": [location],
    });
    if let Some(index) = rules.iter().position(|code| code.code == it.code) {
        result["ruleIndex"] = json!(index);
    }
    result
}

/// A file, as the URI that it is.
fn artifact(file: &str) -> Value {
    match file {
        "-" => json!({"uri": "stdin"}),
        url if url.contains("://") => json!({"uri": url}),
        path if path.starts_with('/') => json!({"uri": format!("file://{}", encoded(path))}),
        path => {
            let path = path.strip_prefix("./").unwrap_or(path);
            json!({"uri": encoded(path), "uriBaseId": ROOT})
        }
    }
}

/// A path with everything encoded that a URI may not have plain (RFC 3986 §2.3).
fn encoded(path: &str) -> String {
    let mut uri = String::with_capacity(path.len());
    for byte in path.bytes() {
        match byte {
            b'/' | b'-' | b'.' | b'_' | b'~' => uri.push(char::from(byte)),
            byte if byte.is_ascii_alphanumeric() => uri.push(char::from(byte)),
            byte => uri += &format!("%{byte:02X}"),
        }
    }
    uri
}
