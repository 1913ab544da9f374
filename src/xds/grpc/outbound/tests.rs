//! What goes out, byte by byte, and what it ends with.

use http_body_util::BodyExt as _;
use prost::Message as _;

use super::*;
use crate::xds::identity::SignResponse;

/// The data of a response, and the trailers behind it.
async fn said(messages: Vec<Result<SignResponse, Status>>) -> (Vec<u8>, HeaderMap) {
    let response = response(Box::pin(stream::iter(messages)));
    assert_eq!(response.headers()["content-type"], "application/grpc");
    let collected = response.into_body().collect().await.expect("no error of its own");
    let trailers = collected.trailers().cloned().expect("a status");
    (collected.to_bytes().to_vec(), trailers)
}

fn message(size: usize) -> SignResponse {
    SignResponse { chain: vec![vec![7; size]], ..SignResponse::default() }
}

#[tokio::test]
async fn messages_are_framed_one_by_one_and_the_status_is_last() {
    let (data, trailers) = said(vec![Ok(message(3)), Ok(message(300))]).await;
    let mut expected = Vec::new();
    for size in [3, 300] {
        let encoded = message(size).encode_to_vec();
        expected.extend([0, 0, 0]);
        expected.extend(u16::try_from(encoded.len()).expect("short").to_be_bytes());
        expected.extend(encoded);
    }
    assert_eq!(data, expected);
    assert_eq!(trailers["grpc-status"], "0");
}

#[tokio::test]
async fn the_first_error_is_the_last_word() {
    let (data, trailers) = said(vec![Err(Status::aborted("a newer stream")), Ok(message(3))]).await;
    assert!(data.is_empty());
    assert_eq!(trailers["grpc-status"], "10");
    assert_eq!(trailers["grpc-message"], "a%20newer%20stream");
}

#[tokio::test]
async fn what_is_too_large_ends_the_stream_and_is_not_sent() {
    let (data, trailers) = said(vec![Ok(message(MESSAGE_BYTES)), Ok(message(3))]).await;
    assert!(data.is_empty());
    assert_eq!(trailers["grpc-status"], "11");
}
