//! How the application answers: well, in other words than gRPC's, half, or not at all.

use std::time::Duration;

use bytes::Bytes;
use h2::RecvStream;
use h2::server::SendResponse;
use http::{HeaderMap, HeaderValue, Response};

use super::Does;

/// What a flood is made of.
static FLOOD: [u8; 16 * 1024] = [7; 16 * 1024];

/// Answers one request as `does` says; `seen` is told what is read of its body.
pub(super) async fn answer(
    does: Does,
    mut body: RecvStream,
    mut respond: SendResponse<Bytes>,
    seen: impl Fn(&[u8]),
) -> Result<(), h2::Error> {
    let mut response = Response::new(());
    use Does::{Echo, Flood, Hang, Refuse, TooMuch};
    let reads = !matches!(does, Refuse | Echo | Flood | Hang | TooMuch);
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
        Does::TrailersOnly(code) => response.headers_mut().extend(code_field(code)),
        Does::TooMuch => response.headers_mut().extend(code_field(8)),
        Does::Codeless => return page(response, respond),
        Does::Page(status) => {
            *response.status_mut() = status.try_into().unwrap();
            response.headers_mut().insert("content-type", HeaderValue::from_static("text/html"));
            return page(response, respond);
        }
        Does::PushBack(ms) => {
            response.headers_mut().extend(code_field(14));
            response.headers_mut().insert("grpc-retry-pushback-ms", HeaderValue::from_static(ms));
        }
        Does::Interim => {
            let mut interim = Response::new(());
            *interim.status_mut() = http::StatusCode::EARLY_HINTS;
            respond.send_informational(interim)?;
            *response.status_mut() = http::StatusCode::SERVICE_UNAVAILABLE;
        }
        Does::Message(_) | Does::HalfMessage | Does::Echo => {
            let to = respond.send_response(response, false)?;
            return messages(does, body, to, seen).await;
        }
        Does::Flood => return flood(respond.send_response(response, false)?).await,
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

async fn messages(
    does: Does,
    mut body: RecvStream,
    mut to: h2::SendStream<Bytes>,
    seen: impl Fn(&[u8]),
) -> Result<(), h2::Error> {
    if does != Does::Echo {
        to.send_data(Bytes::from_static(b"message"), false)?;
    }
    while does == Does::Echo
        && let Some(data) = body.data().await
    {
        let data = data?;
        let _ = body.flow_control().release_capacity(data.len());
        seen(&data);
        to.send_data(data, false)?;
    }
    match does {
        Does::HalfMessage => {
            // The reset must not overtake the message.
            tokio::time::sleep(Duration::from_millis(20)).await;
            to.send_reset(h2::Reason::INTERNAL_ERROR);
            Ok(())
        }
        Does::Message(code) => to.send_trailers(code_field(code)),
        _ => to.send_trailers(code_field(0)),
    }
}

fn page(head: Response<()>, mut respond: SendResponse<Bytes>) -> Result<(), h2::Error> {
    respond.send_response(head, false)?.send_data(Bytes::from_static(b"message"), true)
}

fn code_field(code: u32) -> HeaderMap {
    let mut fields = HeaderMap::new();
    fields.insert("grpc-status", HeaderValue::from(code));
    fields
}

async fn flood(mut to: h2::SendStream<Bytes>) -> Result<(), h2::Error> {
    loop {
        to.reserve_capacity(FLOOD.len());
        let room = std::future::poll_fn(|cx| to.poll_capacity(cx)).await;
        let room = room.ok_or(h2::Reason::CANCEL)??;
        to.send_data(Bytes::from_static(&FLOOD[..room.min(FLOOD.len())]), false)?;
    }
}
