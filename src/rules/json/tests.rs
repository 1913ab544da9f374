//! Tests of what is rewritten and what is left alone.

use super::without_surrogates;

#[test]
fn only_surrogate_pairs_of_json_are_rewritten() {
    for (text, expected) in [
        (r#"{"a": "\ud83d\ude00!"}"#, r#"{"a": "\U0001F600!"}"#),
        (r#" ["\uD83D\uDE00\n"]"#, r#" ["\U0001F600\n"]"#),
        (r#"{"a": "\ud83d\u0041"}"#, r#"{"a": "\ud83d\u0041"}"#),
        (r#"{"a": "\\ud83d\\ude00"}"#, r#"{"a": "\\ud83d\\ude00"}"#),
        (r#"{"a": "\ude00\ud83d"}"#, r#"{"a": "\ude00\ud83d"}"#),
        (r#"{"é\"#, r#"{"é\"#),
        (r#"{"\ud83d"#, r#"{"\ud83d"#),
        (r#"a: "\ud83d\ude00""#, r#"a: "\ud83d\ude00""#),
    ] {
        assert_eq!(without_surrogates(text), expected);
    }
}
