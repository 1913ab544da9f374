//! What is taken, and what is said of what is not.

use super::*;

#[test]
fn addresses_are_taken_as_they_are_written() {
    assert_eq!(listen("127.0.0.1:0").unwrap().to_string(), "127.0.0.1:0");
    assert_eq!(connect("[::1]:80").unwrap().to_string(), "[::1]:80");
    assert_eq!(connect("127.0.0.1:0").unwrap_err(), "`127.0.0.1:0` has no port to connect to");
}

#[test]
fn the_address_that_is_probably_meant_is_named() {
    let near = [
        ("9081", "127.0.0.1:9081"),
        (":9081", "127.0.0.1:9081"),
        ("localhost:9081", "127.0.0.1:9081"),
        ("10.0.0.7", "10.0.0.7:9080"),
        ("::1", "[::1]:9080"),
        ("127.0.0.1:70000", "127.0.0.1:9080"),
        ("web:80", "127.0.0.1:9080"),
        ("", "127.0.0.1:9080"),
    ];
    for (text, near) in near {
        let error = listen(text).unwrap_err();
        assert!(error.ends_with(&format!("write for example `{near}`")), "{error}");
    }
}
