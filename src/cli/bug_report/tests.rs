//! What is taken out, what stays, and what of a long text is kept.

use serde_json::json;

use super::*;

#[test]
fn secrets_are_taken_out_of_text() {
    for (given, left) in [
        (
            "a\n-----BEGIN PRIVATE KEY-----\nMIGH\nAgEA\n-----END PRIVATE KEY-----\nb",
            "a\n[removed]\nb",
        ),
        ("-----BEGIN EC PRIVATE KEY-----\nMIGH", "[removed]"),
        ("got eyJhbGciOiJ.eyJzdWIiOiI.c2lnbmF0dXJl here", "got [removed] here"),
        ("Authorization: Basic dXNlcjpwYXNz\nnext", "Authorization: [removed]\nnext"),
        ("{\"cookie\":\"a=b; c=d\",\"x\":1}", "{\"cookie\":\"[removed]\",\"x\":1}"),
        ("sent Bearer abcdef.ghi-jkl", "sent Bearer [removed]"),
        ("?token=abc&x=1", "?token=[removed]&x=1"),
        ("password = hunter2", "password = [removed]"),
        ("https://user:pass@example.org/x", "https://[removed]example.org/x"),
        (
            "with meshctl1.0123456789abcdef.0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef.77",
            "with meshctl1.0123456789abcdef.[removed].77",
        ),
        ("GET /orders?id=7 200", "GET /orders?id=7 200"),
        ("-----BEGIN CERTIFICATE-----", "-----BEGIN CERTIFICATE-----"),
    ] {
        assert_eq!(redact::text(given), left);
    }
}

#[test]
fn secrets_are_taken_out_of_documents() {
    let mut value = json!({
        "spec": {"rules": [{"set": [
            {"name": "Authorization", "value": "Basic dXNlcjpwYXNz"},
            {"name": "x-version", "value": "v1"},
        ]}]},
        "clientSecret": "abc",
        "tokens": 7,
    });
    redact::value(&mut value);
    let set = &value["spec"]["rules"][0]["set"];
    assert_eq!((&set[0]["value"], &set[1]["value"]), (&json!("[removed]"), &json!("v1")));
    assert_eq!((&value["clientSecret"], &value["tokens"]), (&json!("[removed]"), &json!(7)));
}

#[test]
fn of_a_log_the_end_is_kept_and_of_other_text_the_beginning() {
    let line = "0123456789abcde\n";
    let long = line.repeat(LONGEST / line.len() + 1);
    let mut report = Report::default();
    report.log("log", format!("first {long}last\n").as_bytes());
    report.text("text", &format!("first {long}last\n"));
    let [log, text] = [0, 1].map(|at| String::from_utf8_lossy(&report.parts[at].1).into_owned());
    assert!(log.starts_with("0123") && log.ends_with("last\n") && log.len() <= LONGEST);
    assert!(text.starts_with("first") && !text.contains("last") && text.len() == LONGEST);
}
