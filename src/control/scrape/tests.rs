//! Slow readers share one text, and lose it in the end.

use axum::body::to_bytes;
use futures_util::StreamExt as _;

use super::*;

/// A text of two pieces and a bit that begins with `name`.
fn named(name: &'static str) -> impl FnOnce() -> String {
    move || format!("{name}{}", "x".repeat(2 * PIECE))
}

#[tokio::test]
async fn who_asks_while_another_reads_gets_the_same_text_for_a_while() {
    let (scrape, now) = (Scrape::default(), Instant::now());
    let first = async |name, now| {
        let text = scrape.text(named(name), now).await.expect("a text");
        (text.as_bytes()[0] as char, text)
    };
    let (_, slow) = first("a", now).await;
    let nearly = now + FRESH - Duration::from_millis(1);
    assert_eq!(first("b", nearly).await.0, 'a', "shared");
    assert_eq!(first("c", now + FRESH).await.0, 'c', "too old");
    assert_eq!(slow.as_bytes()[0], b'a');
    // Nobody reads any more: what is asked for next is of that moment.
    assert_eq!(first("d", now + FRESH).await.0, 'd');
}

#[tokio::test]
async fn the_answer_is_the_whole_text() {
    let answer = Scrape::default().answer(named("a")).await;
    assert_eq!(answer.headers()[CONTENT_LENGTH], (2 * PIECE + 1).to_string());
    assert_eq!(answer.headers()[CONTENT_TYPE], prometheus::CONTENT_TYPE);
    let all = to_bytes(answer.into_body(), usize::MAX).await.expect("all of it");
    assert_eq!(all, named("a")());
}

/// Each connection held a text of its own for as long as it liked.
#[tokio::test]
async fn who_does_not_read_holds_nothing_in_the_end() {
    let text = Arc::new(named("a")());
    let held = Arc::downgrade(&text);
    let mut body = answer(text, Duration::from_millis(1)).into_body().into_data_stream();
    while held.upgrade().is_some() {
        tokio::task::yield_now().await;
    }
    assert!(body.next().await.expect("an end").is_err(), "cut off, and not taken for the whole");
}

#[tokio::test]
async fn who_has_read_all_holds_nothing() {
    let text = Arc::new(named("a")());
    let held = Arc::downgrade(&text);
    let body = answer(text, PATIENCE).into_body();
    let all = to_bytes(body, usize::MAX).await.expect("all of it");
    assert!(all.len() > PIECE && held.upgrade().is_none());
}

#[tokio::test]
async fn one_that_breaks_is_said_and_the_next_is_whole() {
    let scrape = Scrape::default();
    let broken = scrape.answer(|| panic!("on purpose")).await;
    assert_eq!(broken.status(), StatusCode::INTERNAL_SERVER_ERROR);
    assert_eq!(scrape.answer(named("a")).await.status(), StatusCode::OK);
}
