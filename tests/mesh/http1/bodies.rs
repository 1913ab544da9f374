//! Bodies and their framing, both ways.

use super::with;
use crate::support::{Origin, chunked, ok};

#[test]
fn lengths_are_kept_both_ways() {
    let app = Origin::http(|request| ok(&String::from_utf8_lossy(&request.body)));
    let mesh = with(&app);
    let answer =
        mesh.call("web").ask("PUT / HTTP/1.1\r\nhost: app\r\ncontent-length: 5\r\n\r\nhello");
    assert_eq!(answer.field("content-length").as_deref(), Some("5"));
    assert_eq!((answer.field("transfer-encoding"), answer.text().as_str()), (None, "hello"));
    assert_eq!(app.last().field("content-length").as_deref(), Some("5"));
    assert_eq!(app.last().field("transfer-encoding"), None);
}

#[test]
fn an_empty_length_is_said() {
    let app = Origin::saying("");
    let mesh = with(&app);
    let answer = mesh.call("web").ask("POST / HTTP/1.1\r\nhost: app\r\ncontent-length: 0\r\n\r\n");
    assert_eq!(answer.field("content-length").as_deref(), Some("0"));
    assert_eq!(app.last().field("content-length").as_deref(), Some("0"));
}

#[test]
fn chunks_are_kept_both_ways() {
    let app = Origin::http(|request| {
        let body = String::from_utf8_lossy(&request.body);
        let (one, two) = body.split_at(3);
        let chunks = [chunked(one), chunked(two), "0\r\n\r\n".into()].concat();
        format!("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n{chunks}")
    });
    let mesh = with(&app);
    let mut conn = mesh.call("web");
    conn.send("POST / HTTP/1.1\r\nhost: app\r\ntransfer-encoding: chunked\r\n\r\n");
    // Sizes in capitals, with extensions and leading zeros, cut anywhere.
    for piece in ["00A;x=\"y\"\r", "\nhello", "hello\r", "\n0", "\r\n\r\n"] {
        conn.send(piece);
    }
    let answer = conn.answer();
    assert_eq!(answer.field("transfer-encoding").as_deref(), Some("chunked"));
    assert_eq!((answer.field("content-length"), answer.text().as_str()), (None, "hellohello"));
    assert_eq!(app.last().body, b"hellohello");
    assert_eq!(
        conn.ask("POST / HTTP/1.1\r\nhost: app\r\ncontent-length: 3\r\n\r\nabc").text(),
        "abc"
    );
}

#[test]
fn trailers_go_through_both_ways() {
    let app = Origin::http(|request| {
        assert_eq!(request.trailers.to_ascii_lowercase(), "x-sum: 1\r\n");
        "HTTP/1.1 200 OK\r\ntrailer: x-status\r\ntransfer-encoding: chunked\r\n\r\n\
         2\r\nok\r\n0\r\nx-status: fine\r\n\r\n"
            .into()
    });
    let mesh = with(&app);
    let answer = mesh.call("web").ask(
        "POST / HTTP/1.1\r\nhost: app\r\nte: trailers\r\nconnection: te\r\n\
         transfer-encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\nx-sum: 1\r\n\r\n",
    );
    assert_eq!((answer.text().as_str(), answer.trailers.as_str()), ("ok", "x-status: fine\r\n"));
    assert_eq!(answer.field("trailer").as_deref(), Some("x-status"));
    assert_eq!(app.last().field("te").as_deref(), Some("trailers"));
}

#[test]
fn head_has_the_fields_of_get_and_no_body() {
    for framing in ["content-length: 1000", "transfer-encoding: chunked"] {
        let app = Origin::http(move |request| match request.method() {
            "HEAD" => format!("HTTP/1.1 200 OK\r\n{framing}\r\n\r\n"),
            _ => ok("after"),
        });
        let mesh = with(&app);
        let mut conn = mesh.call("web");
        conn.send("HEAD / HTTP/1.1\r\nhost: app\r\n\r\n");
        let answer = conn.try_answer("HEAD").expect("an answer");
        assert_eq!(answer.status, 200);
        assert!(answer.head.contains(framing), "{}", answer.head);
        assert_eq!(conn.get("app", "/").text(), "after", "nothing is left of the answer to HEAD");
    }
}

#[test]
fn head_that_the_proxy_answers_itself_has_no_body_either() {
    let app = Origin::saying("");
    let mesh = with(&app);
    let mut conn = mesh.call("web");
    conn.send("HEAD / HTTP/1.1\r\nhost: app:81\r\n\r\n");
    let answer = conn.try_answer("HEAD").expect("an answer");
    assert_eq!((answer.status, answer.reason().as_str()), (404, "no_route"));
    assert_eq!(conn.get("app", "/").status, 200);
}

#[test]
fn answers_that_have_no_body_are_not_waited_for() {
    let app = Origin::http(|request| match request.path() {
        "/204" => "HTTP/1.1 204 No Content\r\n\r\n".into(),
        "/304" => "HTTP/1.1 304 Not Modified\r\ncontent-length: 9\r\netag: \"x\"\r\n\r\n".into(),
        _ => ok("after"),
    });
    let mesh = with(&app);
    let mut conn = mesh.call("web");
    let answer = conn.get("app", "/204");
    assert_eq!((answer.status, answer.field("content-length")), (204, None));
    assert_eq!(answer.field("transfer-encoding"), None);
    let answer = conn.get("app", "/304");
    assert_eq!((answer.status, answer.field("etag").as_deref()), (304, Some("\"x\"")));
    assert_eq!(conn.get("app", "/").text(), "after");
}

#[test]
fn an_answer_without_length_ends_with_its_connection() {
    let app = Origin::scripted(|conn, _| {
        assert!(conn.request().is_some());
        conn.send("HTTP/1.1 200 OK\r\n\r\npart one, ");
        conn.send("part two");
    });
    let mesh = with(&app);
    let mut conn = mesh.call("web");
    for _ in 0..2 {
        let answer = conn.get("app", "/");
        assert_eq!(answer.text(), "part one, part two");
        assert_eq!(answer.field("transfer-encoding").as_deref(), Some("chunked"));
    }
    conn.send("GET / HTTP/1.0\r\nhost: app\r\n\r\n");
    let head = conn.head();
    assert!(!head.contains("transfer-encoding"), "{head}");
    assert_eq!(conn.rest(), b"part one, part two");
}

#[test]
fn an_answer_that_is_cut_off_is_not_passed_on_as_whole() {
    for answer in [
        "HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\nhalf\r\n",
    ] {
        let app = Origin::scripted(move |conn, _| {
            assert!(conn.request().is_some());
            conn.send(answer);
        });
        let mesh = with(&app);
        let mut conn = mesh.call("web");
        conn.send("GET / HTTP/1.1\r\nhost: app\r\n\r\n");
        let head = conn.head();
        assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
        let rest = String::from_utf8(conn.rest()).expect("text");
        assert!(rest.contains("half") && !rest.contains("0\r\n\r\n"), "{rest:?}");
    }
}

#[test]
fn chunks_that_break_on_the_way_never_look_like_a_whole_body() {
    let app = Origin::scripted(|conn, _| {
        if conn.try_head().is_some() {
            let body = conn.rest();
            assert!(!body.ends_with(b"0\r\n\r\n"), "{}", body.escape_ascii());
        }
    });
    let mesh = with(&app);
    for bytes in ["x\r\n", "-1\r\n", "5\nhello\r\n0\r\n\r\n", "5\r\nhelloX\r\n0\r\n\r\n"] {
        let mut conn = mesh.call("web");
        // The head may be with the application already when the rest comes.
        conn.send("POST / HTTP/1.1\r\nhost: app\r\ntransfer-encoding: chunked\r\n\r\n2\r\nhi\r\n");
        conn.send(bytes);
        conn.send("GET /smuggled HTTP/1.1\r\nhost: app\r\n\r\n");
        let answer = conn.answer();
        assert_eq!((answer.status, answer.reason().as_str()), (400, "bad_request"), "{bytes:?}");
        conn.is_closed();
    }
}
