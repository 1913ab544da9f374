//! Applications that a test calls through a proxy, each of which does one thing with every request.

use std::cell::{Cell, RefCell};
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use h2::RecvStream;
use h2::server::SendResponse;
use http::{HeaderMap, HeaderValue, Response};
use tokio::net::TcpListener;

/// What an application does with every request.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Does {
    /// Reads all of it and answers with this status.
    Answer(u16),
    /// As [`Does::Answer`] with 503, and asks to be left alone for so many seconds.
    Busy(u64),
    /// Reads all of it and ends with this code of gRPC and nothing else.
    TrailersOnly(u32),
    /// A message, then trailers with this code.
    Message(u32),
    /// A message, then a reset.
    HalfMessage,
    /// Sends back what it reads, as it comes.
    Echo,
    /// RST_STREAM with REFUSED_STREAM.
    Refuse,
    /// RST_STREAM with INTERNAL_ERROR, after it has read all.
    Reset,
    /// Nothing, for ever.
    Hang,
    /// An interim answer, then 503.
    Interim,
}

/// An application.
pub(super) struct App {
    pub(super) address: SocketAddr,
    pub(super) does: Rc<Cell<Does>>,
    /// What came: the number of the try, and the body as far as it was read.
    pub(super) seen: Rc<RefCell<Vec<(Option<String>, Vec<u8>)>>>,
    /// Connections so far.
    pub(super) connections: Rc<Cell<u32>>,
    /// Streams that were given up by the proxy before their end.
    pub(super) lost: Rc<Cell<u32>>,
}

impl App {
    /// One that lets so many streams of a connection run at a time.
    pub(super) async fn with_streams(does: Does, streams: u32) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let app = Self {
            address: listener.local_addr().unwrap(),
            does: Rc::new(Cell::new(does)),
            seen: Rc::default(),
            connections: Rc::default(),
            lost: Rc::default(),
        };
        let (does, seen) = (Rc::clone(&app.does), Rc::clone(&app.seen));
        let (connections, lost) = (Rc::clone(&app.connections), Rc::clone(&app.lost));
        tokio::task::spawn_local(async move {
            while let Ok((tcp, _)) = listener.accept().await {
                connections.set(connections.get() + 1);
                let (does, seen, lost) = (Rc::clone(&does), Rc::clone(&seen), Rc::clone(&lost));
                tokio::task::spawn_local(async move {
                    let mut builder = h2::server::Builder::new();
                    let handshake = builder.max_concurrent_streams(streams).handshake(tcp);
                    let Ok(mut connection) = handshake.await else { return };
                    while let Some(Ok((request, respond))) = connection.accept().await {
                        let (seen, lost) = (Rc::clone(&seen), Rc::clone(&lost));
                        let attempt = request.headers().get("x-meshctl-attempt");
                        let attempt = attempt.map(|value| value.to_str().unwrap().to_owned());
                        let index = seen.borrow().len();
                        seen.borrow_mut().push((attempt, Vec::new()));
                        let does = does.get();
                        tokio::task::spawn_local(async move {
                            let body = request.into_body();
                            let answered = answer(does, body, respond, |data| {
                                seen.borrow_mut()[index].1.extend_from_slice(data);
                            });
                            if answered.await.is_err() {
                                lost.set(lost.get() + 1);
                            }
                        });
                    }
                });
            }
        });
        app
    }

    pub(super) async fn new(does: Does) -> Self {
        Self::with_streams(does, 1_000).await
    }

    /// The numbers of tries that came.
    pub(super) fn attempts(&self) -> Vec<Option<String>> {
        self.seen.borrow().iter().map(|(attempt, _)| attempt.clone()).collect()
    }

    /// How many requests came.
    pub(super) fn count(&self) -> usize {
        self.seen.borrow().len()
    }
}

async fn answer(
    does: Does,
    mut body: RecvStream,
    mut respond: SendResponse<Bytes>,
    seen: impl Fn(&[u8]),
) -> Result<(), h2::Error> {
    let mut response = Response::new(());
    let grpc = |code: u32| {
        let mut fields = HeaderMap::new();
        fields.insert("grpc-status", HeaderValue::from(code));
        fields
    };
    let reads = !matches!(does, Does::Refuse | Does::Echo | Does::Hang);
    while reads && let Some(data) = body.data().await {
        let data = data?;
        seen(&data);
        let _ = body.flow_control().release_capacity(data.len());
    }
    match does {
        Does::Answer(status) => *response.status_mut() = status.try_into().unwrap(),
        Does::Busy(seconds) => {
            *response.status_mut() = http::StatusCode::SERVICE_UNAVAILABLE;
            response.headers_mut().insert("retry-after", HeaderValue::from(seconds));
        }
        Does::TrailersOnly(code) => response.headers_mut().extend(grpc(code)),
        Does::Interim => {
            let mut interim = Response::new(());
            *interim.status_mut() = http::StatusCode::EARLY_HINTS;
            respond.send_informational(interim)?;
            *response.status_mut() = http::StatusCode::SERVICE_UNAVAILABLE;
        }
        Does::Message(_) | Does::HalfMessage | Does::Echo => {
            let mut to = respond.send_response(response, false)?;
            if does == Does::Echo {
                while let Some(data) = body.data().await {
                    let data = data?;
                    let _ = body.flow_control().release_capacity(data.len());
                    seen(&data);
                    to.send_data(data, false)?;
                }
            } else {
                to.send_data(Bytes::from_static(b"message"), false)?;
            }
            if let Does::HalfMessage = does {
                // The reset must not overtake the message.
                tokio::time::sleep(Duration::from_millis(20)).await;
                to.send_reset(h2::Reason::INTERNAL_ERROR);
                return Ok(());
            }
            let code = if let Does::Message(code) = does { code } else { 0 };
            return to.send_trailers(grpc(code));
        }
        Does::Refuse | Does::Reset => {
            respond.send_reset(match does {
                Does::Refuse => h2::Reason::REFUSED_STREAM,
                _ => h2::Reason::INTERNAL_ERROR,
            });
            return Ok(());
        }
        Does::Hang => {
            let reason = std::future::poll_fn(|cx| respond.poll_reset(cx)).await?;
            return Err(reason.into());
        }
    }
    respond.send_response(response, true).map(drop)
}
