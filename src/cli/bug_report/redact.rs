//! Takes out what must not be handed on: keys, tokens, passwords, and values of headers that carry
//! them. Rather too much than too little: what is left is only for reading.

use std::sync::LazyLock;

use regex::Regex;
use serde_json::Value;

/// What stands where something was.
const REMOVED: &str = "[removed]";

/// Parts of the names of fields and headers whose value is nobody's business.
const SECRET: [&str; 10] = [
    "authorization",
    "cookie",
    "token",
    "password",
    "passwd",
    "passphrase",
    "secret",
    "api-key",
    "apikey",
    "privatekey",
];

/// Patterns in text; the first group stays.
static PATTERNS: LazyLock<Vec<Regex>> = LazyLock::new(|| {
    let all = [
        // Keys, and other things in PEM that say that they are private.
        r"(?s)()-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\z)",
        // Tokens as JWT.
        r"()eyJ[A-Za-z0-9_-]{4,}\.[A-Za-z0-9_-]{4,}\.[A-Za-z0-9_-]*",
        // Join tokens and their proofs; the id is no secret.
        r"\b([0-9a-f]{16}\.)[0-9a-f]{64}\b",
        // Headers and settings: the rest of the line, or of what is quoted.
        r#"(?i)((?:authorization|cookie)["']?\s*[:=]\s*["']?)[^"'\r\n]+"#,
        r#"(?i)((?:bearer|basic)\s+)[A-Za-z0-9+/=._~-]{6,}"#,
        r#"(?i)((?:token|password|passwd|passphrase|secret|api[-_]?key)["']?\s*[:=]\s*["']?)[^\s"',}&]+"#,
        // Users and passwords in addresses.
        r"([a-z][a-z0-9+.-]*://)[^/\s@]+@",
    ];
    all.into_iter().map(|it| Regex::new(it).expect("the pattern is constant")).collect()
});

/// Text without secrets.
pub(super) fn text(text: &str) -> String {
    let mut clean = text.to_owned();
    for pattern in PATTERNS.iter() {
        clean = pattern.replace_all(&clean, format!("${{1}}{REMOVED}")).into_owned();
    }
    clean
}

/// Takes values of fields out whose name says that they are secret, and the `value` beside such a
/// `name`, as rules have headers.
pub(super) fn value(value: &mut Value) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(self::value),
        Value::Object(fields) => {
            let named = fields.get("name").and_then(Value::as_str).is_some_and(secret);
            for (name, field) in fields.iter_mut() {
                match field.is_string() && (secret(name) || (named && name == "value")) {
                    true => *field = REMOVED.into(),
                    false => self::value(field),
                }
            }
        }
        _ => {}
    }
}

fn secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    SECRET.iter().any(|part| name.contains(part))
}
