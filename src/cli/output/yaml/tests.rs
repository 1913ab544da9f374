//! Which words are quoted, and that nothing else changes.

use serde_json::{Value, json};

use super::*;

#[test]
fn words_that_others_take_for_booleans_are_quoted() {
    let value = json!({
        "on": ["off", "connect-failure", {"y": "No"}, ["yes"]],
        "properties": {"on": {"type": "string"}, "only": true},
        "text": "a block\non: off\n- yes\n",
        "last": "on",
    });
    let text = yaml(&value).expect("it has a form");
    for line in ["'on':", "- 'off'", "- 'y': 'No'", "- - 'yes'", "  'on':", "last: 'on'"] {
        assert!(text.lines().any(|found| found == line), "{line} in\n{text}");
    }
    assert!(text.contains("  on: off\n"), "what stands inside of a text is left alone\n{text}");
    let back: Value = serde_yaml::from_str(&text).expect("it is YAML");
    assert_eq!(back, value);
}
