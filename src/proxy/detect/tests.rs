//! Detection: the first bytes tell TLS, HTTP/1, HTTP/2 and what is none of them apart.

use super::*;

#[test]
fn first_bytes_tell() {
    for (bytes, kind) in [
        (b"".as_slice(), None),
        (b"P", None),
        (b"PRI * HTTP/2.0\r\n", None),
        (PREFACE, Some(Kind::Http2)),
        (b"PRI * HTTP/1.1\r\n", Some(Kind::Http1)),
        (b"GET", None),
        (b"GET ", None),
        (b"GET / HTTP/1.1", Some(Kind::Http1)),
        (b"OPTIONS *", Some(Kind::Http1)),
        (b"GET http://a/", Some(Kind::Http1)),
        (b"CONNECT a:80", Some(Kind::Http1)),
        (b"PATCH /x", Some(Kind::Http1)),
        (b"EHLO mail", Some(Kind::Opaque)),
        (b"get /", Some(Kind::Opaque)),
        (b"\x16\x03\x01", Some(Kind::Opaque)),
        (b"*1\r\n$4\r\nPING", Some(Kind::Opaque)),
        (b"AAAAAAAAAAAAAAAAAAAAAAAAA", Some(Kind::Opaque)),
        (b"\0", Some(Kind::Opaque)),
    ] {
        assert_eq!(judge(bytes), kind, "{}", bytes.escape_ascii());
    }
}
