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

#[test]
fn a_control_plane_is_a_url_with_host_and_port_alone() {
    let good = [
        ("https://meshctl.meshctl-system.svc:14712", "meshctl.meshctl-system.svc:14712"),
        ("https://[::1]:7/", "[::1]:7"),
    ];
    for (text, expected) in good {
        assert_eq!(control_plane(text).as_deref(), Ok(expected));
    }
    for text in
        ["http://a:1", "https://a", "a:1", "https://a:0", "https://u@a:1", "https://a:1/x", ""]
    {
        assert!(control_plane(text).is_err(), "{text}");
    }
}
