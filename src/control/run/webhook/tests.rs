//! Reviews that never come to an end do not fill the memory.

use axum::body::Body;
use futures_util::{poll, stream};
use tower::ServiceExt as _;

use super::*;

fn review_of(length: Option<usize>, body: Body) -> Request {
    let mut request = Request::post(format!("{PATH}/pod"));
    if let Some(length) = length {
        request = request.header(CONTENT_LENGTH, length);
    }
    request.body(body).expect("a request")
}

#[tokio::test]
async fn what_is_held_at_once_is_bounded() {
    let router = router(Settings::new("meshctl:test", "meshctl-system".parse().expect("a name")));
    let endless = Body::from_stream(stream::pending::<Result<Bytes, std::io::Error>>());
    // It says not how large it is, so it may become as large as all that is held.
    let mut large = Box::pin(router.clone().oneshot(review_of(None, endless)));
    let mut small = Box::pin(router.oneshot(review_of(Some(2), Body::from("{}"))));
    assert!(poll!(&mut large).is_pending());
    assert!(poll!(&mut small).is_pending(), "there is no room left");
    drop(large);
    assert_eq!(small.await.expect("answered").status(), StatusCode::OK);
}
