//! Fetching from small servers on loopback, good ones and bad ones.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;

use super::*;

/// Answers `times` connections, each with the next of `answers`, and says where it listens.
fn server(answers: Vec<String>) -> Url {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    std::thread::spawn(move || {
        for answer in answers {
            let Ok((mut stream, _)) = listener.accept() else { return };
            let mut head = Vec::new();
            let mut buffer = [0; 1024];
            while !head.windows(4).any(|end| end == b"\r\n\r\n") {
                match stream.read(&mut buffer) {
                    Ok(read @ 1..) => head.extend_from_slice(&buffer[..read]),
                    _ => break,
                }
            }
            let _ = stream.write_all(answer.as_bytes());
        }
    });
    format!("http://{address}/rules.yaml").parse().expect("a URL")
}

fn answer(status: &str, fields: &str, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\nconnection: close\r\n{fields}\r\n{body}")
}

fn redirected(to: &str) -> String {
    answer("302 Found", &format!("location: {to}\r\ncontent-length: 0\r\n"), "")
}

/// Small enough that a test reaches them.
const LIMITS: Limits = Limits { bytes: 1_000, time: Duration::from_secs(10) };

fn refused(answers: Vec<String>) -> String {
    let failure = fetch(&server(answers), LIMITS).expect_err("refused");
    anstream::adapter::strip_str(&failure.render()).to_string()
}

#[test]
fn only_http_and_https_are_addresses() {
    let is_url = |text: &str| address(Path::new(text)).is_some_and(|url| url.is_ok());
    for (text, expected) in [
        ("http://h/r.yaml", true),
        ("HTTPS://h/r.yaml", true),
        ("file:///etc/passwd", false),
        ("rules.yaml", false),
        ("-", false),
        ("dir/http://x", false),
    ] {
        assert_eq!(is_url(text), expected, "{text}");
    }
    assert!(address(Path::new("http://")).is_some_and(|url| url.is_err()));
}

#[test]
fn a_document_is_fetched_also_after_a_redirect_and_named_without_secrets() {
    let end = server(vec![answer("200 OK", "", "kind: Service\n")]);
    let mut url = server(vec![redirected(end.as_str())]);
    url.set_username("me").expect("a host");
    url.set_password(Some("secret")).expect("a host");
    url.set_query(Some("token=secret"));
    let document = fetch(&url, LIMITS).expect("fetched");
    assert_eq!(document.text, "kind: Service\n");
    assert_eq!(
        document.source,
        format!("http://127.0.0.1:{}/rules.yaml", url.port().expect("one"))
    );
}

#[test]
fn what_is_no_answer_is_refused_with_the_reason() {
    let large = "#".repeat(1_001);
    let cases = [
        (vec![answer("404 Not Found", "content-length: 0\r\n", "")], "answered 404 Not Found"),
        (vec![answer("200 OK", "", &large)], "more than 1000 bytes"),
        (vec![redirected("file:///etc/passwd")], "answered 302 Found"),
        (vec![redirected("https://127.0.0.1:1/r.yaml")], "`https://127.0.0.1:1/r.yaml`, which is"),
        (vec![redirected("/again"); 7], "more than 5 times"),
        (vec!["no HTTP\r\n\r\n".to_owned()], "cannot fetch"),
    ];
    for (answers, part) in cases {
        let text = refused(answers);
        assert!(text.starts_with("error: cannot fetch `http://127.0.0.1:"), "{text}");
        assert!(text.contains(part), "expected {part}: {text}");
        assert!(!text.contains("root:"), "{text}");
    }
}

#[test]
fn a_server_that_says_nothing_is_given_up() {
    let silent = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}/r.yaml", silent.local_addr().expect("an address"));
    let limits = Limits { time: Duration::from_millis(50), ..LIMITS };
    let failure = fetch(&url.parse().expect("a URL"), limits).expect_err("given up");
    assert!(failure.render().contains("no answer within 50ms"), "{}", failure.render());
}
