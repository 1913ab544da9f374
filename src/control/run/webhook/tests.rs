//! Reviews that never come to an end do not fill the memory, and keep nobody out.

use axum::body::Body;
use futures_util::{poll, stream};
use tower::ServiceExt as _;

use super::*;

fn routes() -> Router {
    router(Settings::new("meshctl:test", "meshctl-system".parse().expect("a name")))
}

fn review_of(from: u8, length: Option<usize>, body: Body) -> Request {
    let mut request = Request::post(format!("{PATH}/pod"));
    if let Some(length) = length {
        request = request.header(CONTENT_LENGTH, length);
    }
    let from = IpAddr::from([10, 0, 0, from]);
    request.extension(Caller(from)).body(body).expect("a request")
}

fn endless() -> Body {
    Body::from_stream(stream::pending::<Result<Bytes, std::io::Error>>())
}

#[tokio::test]
async fn what_is_held_at_once_is_bounded() {
    let router = routes();
    let send = |request| Box::pin(router.clone().oneshot(request));
    let mut large = [1, 2].map(|from| send(review_of(from, Some(MAX_BYTES), endless())));
    let mut small = send(review_of(3, Some(2), Body::from("{}")));
    for one in &mut large {
        assert!(poll!(one).is_pending());
    }
    assert!(poll!(&mut small).is_pending(), "there is no room left");
    drop(large);
    assert_eq!(small.await.expect("answered").status(), StatusCode::OK);
}

/// One pod that sent reviews without an end kept the API server's waiting.
#[tokio::test]
async fn one_address_leaves_room_for_others() {
    let router = routes();
    let send = |request| Box::pin(router.clone().oneshot(request));
    let mut sly: Vec<_> = (0..10).map(|_| send(review_of(1, Some(MAX_BYTES), endless()))).collect();
    for one in &mut sly {
        assert!(poll!(one).is_pending());
    }
    let own = send(review_of(1, Some(2), Body::from("{}")));
    let other = send(review_of(2, Some(2), Body::from("{}")));
    assert_eq!(other.await.expect("answered").status(), StatusCode::OK);
    drop(sly);
    assert_eq!(own.await.expect("answered").status(), StatusCode::OK);
}

/// It counted as if it had all that is held at once.
#[tokio::test]
async fn a_review_says_how_large_it_is() {
    let status = async |length, body| {
        routes().oneshot(review_of(1, length, body)).await.expect("answered").status()
    };
    assert_eq!(status(None, endless()).await, StatusCode::LENGTH_REQUIRED);
    assert_eq!(status(Some(MAX_BYTES + 1), endless()).await, StatusCode::PAYLOAD_TOO_LARGE);
    assert_eq!(status(Some(1), Body::from("{}")).await, StatusCode::BAD_REQUEST);
    assert_eq!(status(Some(2), endless()).await, StatusCode::REQUEST_TIMEOUT);
    assert_eq!(status(Some(2), Body::from("{}")).await, StatusCode::OK);
}
