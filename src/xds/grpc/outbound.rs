//! What a streaming method answers with, as the body of an HTTP/2 response (gRPC over HTTP/2): each
//! message in a room of its own size, which goes as soon as it is written; the status last.
//!
//! tonic's body would do, but it keeps the largest room that it ever had for as long as the stream
//! lasts; of thousands of proxies that is the most that each costs.

use std::convert::Infallible;

use bytes::{BufMut as _, Bytes, BytesMut};
use futures_util::StreamExt as _;
use futures_util::stream;
use http::{HeaderMap, HeaderValue, Response, header};
use http_body_util::StreamBody;
use hyper::body::Frame;
use tonic::Status;
use tonic::body::Body;
use tonic::metadata::GRPC_CONTENT_TYPE;

use super::MESSAGE_BYTES;
use super::service::Outbound;

#[cfg(test)]
mod tests;

/// Not compressed, and how long it is.
const PREFIX: usize = 5;

/// The response that says all of it, and then the status: that of the first error, else OK.
pub(super) fn response<T>(messages: Outbound<T>) -> Response<Body>
where
    T: prost::Message + 'static,
{
    let frames = stream::unfold(Some(messages), async |messages| {
        let mut messages = messages?;
        let said = match messages.next().await {
            Some(message) => message.and_then(|message| framed(&message)),
            None => Err(Status::ok("")),
        };
        Some(match said {
            Ok(data) => (Ok::<_, Infallible>(Frame::data(data)), Some(messages)),
            Err(status) => (Ok(Frame::trailers(trailers(&status))), None),
        })
    });
    let mut response = Response::new(Body::new(StreamBody::new(frames)));
    let content: HeaderValue = GRPC_CONTENT_TYPE;
    response.headers_mut().insert(header::CONTENT_TYPE, content);
    response
}

fn framed(message: &impl prost::Message) -> Result<Bytes, Status> {
    let length = message.encoded_len();
    if length > MESSAGE_BYTES {
        let why = format!("a message of {length} bytes, at most {MESSAGE_BYTES} are sent");
        return Err(Status::out_of_range(why));
    }
    let mut room = BytesMut::with_capacity(PREFIX + length);
    room.put_u8(0);
    // It is at most `MESSAGE_BYTES`.
    room.put_u32(u32::try_from(length).unwrap_or(u32::MAX));
    message.encode(&mut room).map_err(|error| Status::internal(error.to_string()))?;
    Ok(room.freeze())
}

fn trailers(status: &Status) -> HeaderMap {
    let mut fields = HeaderMap::new();
    if status.add_header(&mut fields).is_err() {
        // Its text cannot be said; that it ended so can.
        fields.insert("grpc-status", i32::from(status.code()).into());
    }
    fields
}
