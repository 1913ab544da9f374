//! How a connection with another sidecar ends: cleanly only where no request was left without an
//! answer, for the other side sends elsewhere what was on its way then.

use std::io;
use std::rc::Rc;
use std::task::Poll;

use rustls_pki_types::ServerName;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;
use tokio_rustls::{TlsAcceptor, TlsConnector};

use super::LIFE;
use super::rig::{Rig, pair, read_until, run, soon};
use crate::certs::tls::ClientAuth;
use crate::names::Protocol;
use crate::proxy::connect::Alpn;
use crate::proxy::record::Caller;
use crate::proxy::serve::{Connection, Origin, serve};
use crate::proxy::stream::{Side, Stream};

const POST: &[u8] = b"POST / HTTP/1.1\r\nHost: web\r\nContent-Length: 2\r\n\r\nhi";

/// The connection of a caller's sidecar.
async fn sidecar(rig: &Rig) -> TlsStream<TcpStream> {
    let worker = &rig.worker;
    let alpn = [Alpn::Http1.as_bytes()];
    let identity = worker.shared.directory.workload().identity.clone();
    let acceptor = TlsAcceptor::from(worker.shared.tls.server_config(&alpn, ClientAuth::Required));
    let connector = TlsConnector::from(worker.shared.tls.client_config(&identity, &alpn));
    let (client, accepted) = pair().await;
    let name = ServerName::try_from("web.shop").unwrap();
    let (client, accepted) =
        tokio::join!(connector.connect(name, client), acceptor.accept(accepted));
    let identity = (Some(identity), None);
    let caller = Caller::new(worker, worker.app.clone(), identity, Protocol::Http);
    let side = Side::new(Stream::Accepted(Box::new(accepted.unwrap())));
    let connection = Connection::new(Rc::clone(worker), side, Origin::Inbound(caller), LIFE);
    tokio::task::spawn_local(serve(connection));
    client.unwrap()
}

/// What comes until the end, and whether that was clean.
async fn rest(client: &mut TlsStream<TcpStream>) -> (String, io::Result<()>) {
    let mut read = Vec::new();
    let end = soon(client.read_to_end(&mut read)).await.map(drop);
    (String::from_utf8(read).unwrap(), end)
}

#[test]
fn who_leaves_says_so_and_what_comes_then_reaches_nobody() {
    run(async {
        let rig = Rig::new().await;
        let mut client = sidecar(&rig).await;
        tokio::task::yield_now().await;
        rig.worker.slots.close();
        // It crosses with the end.
        client.write_all(POST).await.unwrap();
        let (read, end) = rest(&mut client).await;
        // Had it come first, it would have been answered.
        let accepted = std::future::poll_fn(|cx| Poll::Ready(rig.app.poll_accept(cx).is_ready()));
        assert!(read.is_empty() && end.is_ok() && !accepted.await, "{read:?} {end:?}");
    });
}

#[test]
fn a_request_that_was_passed_on_has_an_answer_or_an_end_that_is_none() {
    run(async {
        for breaks in ["HTTP/1.1 200 X\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n", ""] {
            let rig = Rig::new().await;
            let mut client = sidecar(&rig).await;
            client.write_all(POST).await.unwrap();
            let (mut app, _) = soon(rig.app.accept()).await.unwrap();
            read_until(&mut app, "hi").await;
            match breaks {
                // The caller says that it has no more to say, which a proxy takes for its end.
                "" => client.shutdown().await.unwrap(),
                answer => {
                    app.write_all(answer.as_bytes()).await.unwrap();
                    read_until(&mut client, "\r\nhi\r\n").await;
                    app.write_all(b"zz\r\n").await.unwrap();
                }
            }
            let (read, end) = rest(&mut client).await;
            assert!(read.is_empty() && end.is_err(), "{breaks:?}: {read:?} {end:?}");
        }
    });
}
