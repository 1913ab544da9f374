//! The schema of one match, of routes and of faults.

use serde_json::{Value, json};

use super::{also, list, object, rule, text, words};

/// A header's name: a token (RFC 9110 §5.1).
pub(super) const TOKEN: &str = "^[A-Za-z0-9!#$%&'*+\\-.^_`|~]+$";

/// A path as requests have it; dot segments and needless encodings the reader finds.
pub(super) const PATH: &str = "^/([-A-Za-z0-9/._~!$&'()*+,;=:@]|%[0-9a-fA-F]{2})*$";

const METHODS: &[&str] =
    &["GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"];

pub(super) fn matched() -> Value {
    object(
        "All of it must hold.",
        json!({
            "path": path(),
            "method": words("The method.", METHODS),
            "headers": conditions("Header fields.", &text("The field's name.", 256, TOKEN)),
            "queryParams": conditions(
                "Query parameters.",
                &json!({"description": "The parameter's name.", "type": "string", "minLength": 1, "maxLength": 256}),
            ),
        }),
        &[],
    )
}

fn path() -> Value {
    let kinds = ["Exact", "PathPrefix", "RegularExpression"];
    let value = json!({
        "description": "What it is compared with. Default `/`.",
        "type": "string", "minLength": 1, "maxLength": 1_024,
    });
    let fields = json!({"type": words("How. Default `PathPrefix`.", &kinds), "value": value});
    let mut path = object("On the path, without the query.", fields, &[]);
    let literal = "has(self.type) && self.type == 'RegularExpression'";
    let plain = format!(
        "{literal} || !has(self.value) || self.value.matches(r\"^/([-A-Za-z0-9/._~!$&'()*+,;=:@]|%[0-9a-fA-F]{{2}})*$\")"
    );
    let normal = format!(
        "{literal} || !has(self.value) || !self.value.matches(r\"//|/[.][.]?(/|$|;|%3[bB])|%(00|2[dDeEfF]|3[0-9]|4[1-9a-fA-F]|5[0-9aAcCfF]|6[1-9a-fA-F]|7[0-9aAeE])\")"
    );
    let regex = "!(has(self.type) && self.type == 'RegularExpression') || has(self.value)";
    path = also(
        path,
        json!({
            "if": {"properties": {"type": {"const": "RegularExpression"}}, "required": ["type"]},
            "then": {"required": ["value"]},
            "else": {"properties": {"value": {"pattern": PATH}}},
        }),
    );
    path["x-kubernetes-validations"] = json!([
        rule(regex, "a regular expression needs a `value`"),
        rule(&plain, "a path begins with `/` and has no character that must be encoded"),
        rule(
            &normal,
            "no `//`, dot segments, encoded slashes, backslashes or NULs, or needless encodings in a path"
        ),
    ]);
    path
}

/// Conditions on fields, of which one name may stand once.
fn conditions(description: &str, name: &Value) -> Value {
    let condition = object(
        "A condition.",
        json!({
            "type": words("How. Default `Exact`.", &["Exact", "RegularExpression"]),
            "name": name,
            "value": {
                "description": "What it is compared with.",
                "type": "string", "minLength": 1, "maxLength": 4_096,
            },
        }),
        &["name", "value"],
    );
    let mut list = list(description, (0, 16), &condition);
    list["x-kubernetes-list-type"] = json!("map");
    list["x-kubernetes-list-map-keys"] = json!(["name"]);
    list
}
