//! Inbound: what is held for TLS of the mesh where plaintext is let in too.

use rustls_pki_types::ServerName;
use tokio::io::AsyncWriteExt as _;

use super::*;
use crate::proxy::serve::tests::rig::{pair, run, soon, worker};

/// What a caller that offers `alpn` says first.
fn hello(alpn: &[u8]) -> Vec<u8> {
    let worker = worker(None, Vec::new());
    let expected = "spiffe://cluster.local/ns/shop/sa/web".parse().unwrap();
    let config = worker.shared.tls.client_config(&expected, &[alpn]);
    let name = ServerName::try_from("web.shop").unwrap();
    let mut bytes = Vec::new();
    let mut connection = rustls::ClientConnection::new(config, name).unwrap();
    connection.write_tls(&mut bytes).unwrap();
    bytes
}

#[test]
fn the_mesh_is_recognized_however_its_hello_arrives() {
    run(async {
        for (alpn, mesh) in [(Alpn::Http1.as_bytes(), true), (b"http/1.1", false)] {
            let (mut client, accepted) = pair().await;
            let hello = hello(alpn);
            let (begin, rest) = hello.split_at(hello.len() / 2);
            let sent = async {
                for part in [begin, rest] {
                    client.write_all(part).await.unwrap();
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
            };
            let (found, ()) = soon(async { tokio::join!(is_mesh(&accepted), sent) }).await;
            assert_eq!(found.unwrap(), mesh);
        }
    });
}

#[test]
fn half_a_hello_and_an_end_is_nothing() {
    run(async {
        for begin in [b"".as_slice(), b"\x16", b"\x16\x03\x01\x02\x00\x01"] {
            let (mut client, accepted) = pair().await;
            client.write_all(begin).await.unwrap();
            client.shutdown().await.unwrap();
            assert!(soon(is_mesh(&accepted)).await.is_err());
        }
    });
}
