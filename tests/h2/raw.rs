//! An application and a client on bare HTTP/2, for what gRPC libraries hide.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use h2::client::SendRequest;
use h2::server::SendResponse;
use h2::{Reason, RecvStream};
use http::{Request, Response};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Barrier, mpsc};

/// Streams that `/together` waits for.
pub(crate) const TOGETHER: usize = 100;

/// Starts the application; the receiver hears the codes of streams that `/hold` lost, and 0 when
/// one begins.
pub(crate) async fn start() -> (SocketAddr, mpsc::UnboundedReceiver<u32>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (lost, heard) = mpsc::unbounded_channel();
    let together = Barrier::new(TOGETHER);
    let app = Arc::new(App { lost, together, refused: AtomicBool::new(false) });
    tokio::spawn(async move {
        while let Ok((tcp, _)) = listener.accept().await {
            tokio::spawn(connection(tcp, Arc::clone(&app)));
        }
    });
    (address, heard)
}

struct App {
    lost: mpsc::UnboundedSender<u32>,
    together: Barrier,
    /// `/refused` has refused once.
    refused: AtomicBool,
}

async fn connection(tcp: TcpStream, app: Arc<App>) {
    let mut connection = h2::server::handshake(tcp).await.unwrap();
    while let Some(Ok((request, respond))) = connection.accept().await {
        if request.uri().path() == "/goaway" {
            connection.graceful_shutdown();
        }
        tokio::spawn(stream(request, respond, Arc::clone(&app)));
    }
}

async fn stream(mut request: Request<RecvStream>, mut respond: SendResponse<Bytes>, app: Arc<App>) {
    let path = request.uri().path().to_owned();
    let mut response = Response::new(());
    match &*path {
        "/reset" => return respond.send_reset(Reason::INADEQUATE_SECURITY),
        "/refused" if !app.refused.swap(true, Ordering::Relaxed) => {
            return respond.send_reset(Reason::REFUSED_STREAM);
        }
        // An answer before the end of what is sent is more than every client can take.
        "/refused" => {
            let body = request.body_mut();
            while let Some(Ok(data)) = body.data().await {
                let _ = body.flow_control().release_capacity(data.len());
            }
        }
        "/half" => {
            let mut body = respond.send_response(response, false).unwrap();
            body.send_data(Bytes::from_static(b"half"), false).unwrap();
            // The reset must not overtake the data: it waits for the client to have read it.
            let mut upload = request.into_body();
            while upload.data().await.is_some() {}
            return body.send_reset(Reason::ENHANCE_YOUR_CALM);
        }
        "/hold" => {
            let _ = app.lost.send(0);
            let reason = std::future::poll_fn(|cx| respond.poll_reset(cx)).await;
            let _ = app.lost.send(reason.map_or(u32::MAX, u32::from));
            return;
        }
        "/together" => {
            app.together.wait().await;
        }
        "/early" => {
            let mut interim = Response::new(());
            *interim.status_mut() = http::StatusCode::EARLY_HINTS;
            respond.send_informational(interim).unwrap();
        }
        _ => {}
    }
    let seen = response.headers_mut();
    for name in ["x-forwarded-client-cert", "x-one", "traceparent"] {
        if let Some(value) = request.headers().get(name) {
            seen.insert(name, value.clone());
        }
    }
    seen.insert("x-path", path.parse().unwrap());
    seen.insert("x-authority", request.uri().authority().unwrap().as_str().parse().unwrap());
    let _ = respond.send_response(response, true);
}

/// A client by prior knowledge.
pub(crate) async fn client(address: SocketAddr) -> SendRequest<Bytes> {
    let tcp = TcpStream::connect(address).await.unwrap();
    let (send, connection) = h2::client::handshake(tcp).await.unwrap();
    tokio::spawn(connection);
    send.ready().await.unwrap()
}

/// A GET without a body.
pub(crate) fn get(authority: &str, path: &str) -> Request<()> {
    Request::get(format!("http://{authority}{path}")).body(()).unwrap()
}

/// Sends one and waits for the head of its answer.
pub(crate) async fn answer(
    send: &SendRequest<Bytes>,
    request: Request<()>,
) -> Result<Response<RecvStream>, h2::Error> {
    let (response, _) = send.clone().ready().await?.send_request(request, true)?;
    response.await
}
