//! One address that says nothing does not keep others out.

use axum::routing::get;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

use super::*;

async fn answer(stream: &mut DuplexStream) -> String {
    let request = b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
    let mut answer = String::new();
    match stream.write_all(request).await {
        Ok(()) => drop(stream.read_to_string(&mut answer).await),
        Err(_) => return answer,
    }
    answer
}

#[tokio::test]
async fn one_address_has_its_share_of_connections() {
    let (arrive, arrived) = mpsc::channel(CONNECTIONS + 1);
    let router = Router::new().route("/", get(async || "here"));
    let stop = CancellationToken::new();
    let limits = Arc::<LimitCounts>::default();
    let incoming = ReceiverStream::new(arrived);
    let server = tokio::spawn(serve(incoming, router, Arc::clone(&limits), stop.clone()));
    let connect = |from: [u8; 4]| {
        let (near, far) = duplex(1024);
        arrive.try_send((far, SocketAddr::from((from, 1)))).expect("there is room");
        near
    };
    let mut silent: Vec<_> = (0..CONNECTIONS).map(|_| connect([10, 0, 0, 1])).collect();
    assert!(answer(&mut connect([10, 0, 0, 2])).await.ends_with("here"));
    assert_eq!(answer(&mut silent[EACH]).await, "", "closed, its address has its share");
    assert!(answer(&mut silent[0]).await.ends_with("here"));
    assert_eq!(limits.of(Limit::ApiConnections), (CONNECTIONS - EACH) as u64);
    drop(silent);
    stop.cancel();
    server.await.expect("it ends");
}
