//! The metrics as one text that its readers share.
//!
//! The text of a large mesh has tens of megabytes, anybody may ask for it, and nobody has to read it. One
//! is put together at a time. While somebody still reads the last one others get that too, for [`FRESH`];
//! who has not read all of it within [`PATIENCE`] is cut off. So a few are in memory, whoever asks.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Weak};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::http::StatusCode;
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::Stream;
use parking_lot::Mutex;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::telemetry::prometheus;

#[cfg(test)]
mod tests;

/// How old a text may be that is shared.
const FRESH: Duration = Duration::from_secs(10);

/// How long one may take to read it.
const PATIENCE: Duration = Duration::from_secs(30);

/// How much is handed out at once: it is copied, so that nobody holds the whole text by a piece.
const PIECE: usize = 64 * 1024;

/// The last text, as long as somebody reads it.
#[derive(Debug, Default)]
pub(super) struct Scrape(Arc<tokio::sync::Mutex<Last>>);

type Last = Option<(Instant, Weak<String>)>;

impl Scrape {
    /// Answers with the text, which `render` puts together where there is none to share.
    pub(super) async fn answer(
        &self,
        render: impl FnOnce() -> String + Send + 'static,
    ) -> Response {
        let Some(text) = self.text(render, Instant::now()).await else {
            return StatusCode::INTERNAL_SERVER_ERROR.into_response();
        };
        answer(text, PATIENCE)
    }

    /// The text at `now`; `None` where putting it together broke.
    async fn text(
        &self,
        render: impl FnOnce() -> String + Send + 'static,
        now: Instant,
    ) -> Option<Arc<String>> {
        let mut last = Arc::clone(&self.0).lock_owned().await;
        if let Some((since, text)) = &*last
            && now.saturating_duration_since(*since) < FRESH
            && let Some(text) = text.upgrade()
        {
            return Some(text);
        }
        // It keeps its turn where who asked is gone: there is never a second one at work.
        let rendering = tokio::task::spawn_blocking(move || {
            let text = Arc::new(render());
            *last = Some((now, Arc::downgrade(&text)));
            text
        });
        rendering.await.ok()
    }
}

/// Hands out `text`, within `patience`.
fn answer(text: Arc<String>, patience: Duration) -> Response {
    let length = text.len().to_string();
    let head = [(CONTENT_TYPE, prometheus::CONTENT_TYPE), (CONTENT_LENGTH, &length)];
    (head, Body::from_stream(Reading::new(text, patience))).into_response()
}

/// What one reader has not had yet.
struct Reading {
    /// Taken away when it lasts too long, whether or not somebody is at it.
    text: Arc<Mutex<Option<Arc<String>>>>,
    at: usize,
    _watch: DropGuard,
}

impl Reading {
    fn new(text: Arc<String>, patience: Duration) -> Self {
        let (text, over) = (Arc::new(Mutex::new(Some(text))), CancellationToken::new());
        let (held, ended) = (Arc::clone(&text), over.clone());
        tokio::spawn(async move {
            if ended.run_until_cancelled(tokio::time::sleep(patience)).await.is_some() {
                held.lock().take();
            }
        });
        Self { text, at: 0, _watch: over.drop_guard() }
    }
}

impl Drop for Reading {
    fn drop(&mut self) {
        self.text.lock().take();
    }
}

impl Stream for Reading {
    type Item = io::Result<Bytes>;

    fn poll_next(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let piece = match &*self.text.lock() {
            Some(text) => {
                let rest = text.as_bytes().get(self.at..).unwrap_or_default();
                Ok(Bytes::copy_from_slice(rest.get(..PIECE).unwrap_or(rest)))
            }
            None => Err(io::ErrorKind::TimedOut.into()),
        };
        self.at += piece.as_ref().map_or(0, Bytes::len);
        Poll::Ready(Some(piece).filter(|piece| !piece.as_ref().is_ok_and(Bytes::is_empty)))
    }
}
