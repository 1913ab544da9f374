//! Detection: the first bytes tell TLS, HTTP/1, HTTP/2 and what is none of them apart.

use tokio::io::AsyncWriteExt as _;

use super::*;
use crate::proxy::serve::tests::rig::{pair, run, soon, worker};
use crate::proxy::stream::Stream;

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

#[test]
fn a_drain_does_not_make_http_opaque() {
    run(async {
        let worker = worker(None, Vec::new());
        worker.slots.close();
        let (mut client, accepted) = pair().await;
        let mut side = Side::new(Stream::Plain(accepted));
        let sent = async {
            tokio::task::yield_now().await;
            client.write_all(b"GET / HTTP/1.1\r\n").await.expect("sent");
        };
        let (kind, ()) = soon(async { tokio::join!(detect(&worker, &mut side), sent) }).await;
        assert_eq!(kind, Some(Kind::Http1));
    });
}

#[test]
fn few_words_before_an_end_are_carried() {
    run(async {
        let worker = worker(None, Vec::new());
        for (words, kind) in [(b"PING".as_slice(), Some(Kind::Opaque)), (b"", None)] {
            let (mut client, accepted) = pair().await;
            let mut side = Side::new(Stream::Plain(accepted));
            client.write_all(words).await.expect("sent");
            client.shutdown().await.expect("closed");
            assert_eq!(soon(detect(&worker, &mut side)).await, kind);
            assert_eq!(side.buffer.filled(), words);
        }
    });
}
