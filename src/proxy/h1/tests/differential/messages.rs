//! Messages to read: put together from good parts and bad ones, then spoilt at some places.

use proptest::prelude::*;
use proptest::sample::{Index, select};

/// What is done to bytes at some place.
#[derive(Debug, Clone)]
enum Spoil {
    Replace(Index, u8),
    Insert(Index, Vec<u8>),
    Remove(Index),
    Repeat(Index, Index),
}

/// Bytes that mean something to somebody.
fn telling() -> impl Strategy<Value = Vec<u8>> {
    let known: Vec<&[u8]> = vec![
        b"\r",
        b"\n",
        b"\r\n",
        b"\r\n\r\n",
        b"\0",
        b" ",
        b"\t",
        b":",
        b";",
        b",",
        b"0",
        b"5",
        b"f",
        b"\x0b",
        b"\x7f",
        b"\x80",
        b"/",
        b"?",
        b"#",
        b"%",
        b"@",
        b"..",
        b"0\r\n\r\n",
        b"chunked",
        b"transfer-encoding: chunked\r\n",
        b"content-length: 5\r\n",
        b"\r\n x",
        b"HTTP/1.1",
    ];
    prop_oneof![
        4 => select(known).prop_map(<[u8]>::to_vec),
        1 => any::<u8>().prop_map(|byte| vec![byte]),
    ]
}

fn spoils() -> impl Strategy<Value = Vec<Spoil>> {
    let index = any::<Index>;
    let spoil = prop_oneof![
        (index(), telling()).prop_map(|(at, with)| Spoil::Replace(at, with[0])),
        (index(), telling()).prop_map(|(at, with)| Spoil::Insert(at, with)),
        index().prop_map(Spoil::Remove),
        (index(), index()).prop_map(|(from, to)| Spoil::Repeat(from, to)),
    ];
    prop_oneof![
        2 => Just(Vec::new()),
        3 => proptest::collection::vec(spoil, 1..4),
    ]
}

fn spoil(mut bytes: Vec<u8>, spoils: &[Spoil]) -> Vec<u8> {
    for spoil in spoils {
        if bytes.is_empty() {
            break;
        }
        let place = |at: &Index| at.index(bytes.len());
        match spoil {
            Spoil::Replace(at, byte) => {
                let at = place(at);
                bytes[at] = *byte;
            }
            Spoil::Insert(at, with) => {
                let at = place(at);
                bytes.splice(at..at, with.iter().copied());
            }
            Spoil::Remove(at) => {
                let at = place(at);
                bytes.remove(at);
            }
            Spoil::Repeat(from, to) => {
                let (from, to) = (place(from), place(to));
                let part = bytes[from.min(to)..from.max(to)].to_vec();
                bytes.splice(from..from, part);
            }
        }
    }
    bytes
}

/// Fields that nobody frames a message by.
fn fields() -> impl Strategy<Value = String> {
    let known = select(vec![
        "X-One: 1",
        "x-two:2",
        "Accept:  */*  ",
        "X-Empty:",
        "Cookie: a=b; c=d",
        "X-Tab: a\tb",
        "Connection: keep-alive",
        "Connection: close",
        "Connection: x-one, Upgrade",
        "TE: trailers",
        "Expect: 100-continue",
        "Trailer: x-sum",
        "Upgrade: websocket",
        "X-Forwarded-Client-Cert: URI=x",
    ]);
    proptest::collection::vec(known, 0..4)
        .prop_map(|all| all.into_iter().map(|field| format!("{field}\r\n")).collect())
}

/// A body with the fields that frame it; now and then with fields that do not fit.
fn framed() -> impl Strategy<Value = (String, String)> {
    let text = "[a-z0-9 ]{0,12}";
    let by_length = text.prop_map(|body| (format!("Content-Length: {}\r\n", body.len()), body));
    let twice = text.prop_map(|body| {
        (format!("content-length: {0}\r\nContent-Length:{0}\r\n", body.len()), body)
    });
    let chunk = (text, select(vec!["", ";a", ";a=b ", "; a=\"b\""]), any::<bool>());
    let chunks = proptest::collection::vec(chunk, 0..4);
    let trailers =
        select(vec!["", "", "X-Sum: 1\r\n", "x-a: 1\r\nX-B:2\r\n", "Content-Length: 3\r\n"]);
    let by_chunks = (chunks, trailers).prop_map(|(chunks, trailers)| {
        let one = |(data, extension, zero): (String, &str, bool)| match data.len() {
            0 => String::new(),
            size if zero => format!("0{size:X}{extension}\r\n{data}\r\n"),
            size => format!("{size:x}{extension}\r\n{data}\r\n"),
        };
        let chunks: String = chunks.into_iter().map(one).collect();
        ("Transfer-Encoding: chunked\r\n".to_owned(), format!("{chunks}0\r\n{trailers}\r\n"))
    });
    let unfit = select(vec![
        "Content-Length: 5\r\nContent-Length: 6\r\n",
        "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: chunked, chunked\r\n",
        "Transfer-Encoding: gzip\r\n",
        "Content-Length: 1, 1\r\n",
        "Content-Length: +5\r\n",
    ]);
    let unfit = (unfit, text).prop_map(|(fields, body)| (fields.to_owned(), body));
    prop_oneof![
        3 => Just((String::new(), String::new())),
        4 => by_length,
        1 => twice,
        5 => by_chunks,
        1 => unfit,
    ]
}

fn request() -> impl Strategy<Value = String> {
    let method =
        select(vec!["GET", "GET", "POST", "HEAD", "OPTIONS", "DELETE", "PURGE", "CONNECT"]);
    let target = select(vec![
        "/",
        "/a/b?c=d&e",
        "//a/./b/../c",
        "/%61%2F%c3%a9",
        "/a;b=c/..;/d",
        "/?",
        "http://a",
        "http://web:80/x?y",
        "*",
        "a:80",
        "/a?b?c",
        "https://a/",
    ]);
    let version = select(vec!["1.1", "1.1", "1.1", "1.0"]);
    let host =
        select(vec!["Host: a\r\n", "host:web.shop:80\r\n", "Host: [::1]\r\n", "", "Host: a b\r\n"]);
    let host = prop_oneof![3 => Just("Host: a\r\n"), 1 => host];
    let empty = select(vec!["", "", "", "\r\n", "\r\n\r\n"]);
    (empty, method, target, version, host, fields(), framed()).prop_map(
        |(empty, method, target, version, host, fields, (framing, body))| {
            format!("{empty}{method} {target} HTTP/{version}\r\n{host}{fields}{framing}\r\n{body}")
        },
    )
}

/// Up to three requests in a row, most of them spoilt.
pub(super) fn spoilt_requests() -> impl Strategy<Value = Vec<u8>> {
    let requests = proptest::collection::vec(request(), 1..4);
    (requests, spoils()).prop_map(|(all, spoils)| spoil(all.concat().into_bytes(), &spoils))
}

/// The method of a request, and an answer to it, spoilt in most cases, with something behind it.
pub(super) fn spoilt_answer() -> impl Strategy<Value = (&'static str, Vec<u8>)> {
    let method = select(vec!["GET", "GET", "HEAD", "POST"]);
    let status =
        select(vec!["200 OK", "200", "204 No Content", "304 Not Modified", "404 ", "500 x y"]);
    let version = select(vec!["1.1", "1.1", "1.1", "1.0"]);
    let behind = select(vec!["", "", "HTTP/1.1 200 OK\r\n\r\n", "x", "\r\n"]);
    (method, version, status, fields(), framed(), behind, spoils()).prop_map(
        |(method, version, status, fields, (framing, body), behind, spoils)| {
            let body = if method == "HEAD" { "" } else { &body };
            let text = format!("HTTP/{version} {status}\r\n{fields}{framing}\r\n{body}{behind}");
            (method, spoil(text.into_bytes(), &spoils))
        },
    )
}
