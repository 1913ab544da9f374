//! The visitors of the demo: a steady number of pages a second, asked for through their proxy.
//!
//! Each visitor is one loop, so no more requests are under way than there are visitors. What comes
//! back is recorded for the step during which it was asked for.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::Mutex;

use super::seen::{Page, Seen};

/// How many visitors.
const VISITORS: usize = 4;

/// How often each asks for a page; together 60 a second.
const PERIOD: Duration = Duration::from_millis(1000 * VISITORS as u64 / 60);

/// The longest that a page may take.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Visitors on a thread of their own; they end when this is dropped.
pub(super) struct Traffic {
    stop: Arc<AtomicBool>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Traffic {
    /// Starts it through an HTTP proxy at `outbound`.
    pub(super) fn start(outbound: &str, seen: &Arc<Mutex<Seen>>) -> anyhow::Result<Self> {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let client = reqwest::Client::builder()
            .proxy(reqwest::Proxy::http(format!("http://{outbound}"))?)
            .tls_certs_only([])
            .timeout(TIMEOUT)
            .user_agent("visitor")
            .build()?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let stop = Arc::new(AtomicBool::new(false));
        let (seen, told) = (Arc::clone(seen), Arc::clone(&stop));
        let thread = std::thread::Builder::new().name("visitors".to_owned()).spawn(move || {
            let visitors = tokio::task::LocalSet::new();
            for _ in 0..VISITORS {
                visitors.spawn_local(visit(client.clone(), Arc::clone(&seen), Arc::clone(&told)));
            }
            runtime.block_on(visitors);
        })?;
        Ok(Self { stop, thread: Some(thread) })
    }
}

impl Drop for Traffic {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // That a visitor panicked is no reason to leave processes behind.
            let _ = thread.join();
        }
    }
}

async fn visit(client: reqwest::Client, seen: Arc<Mutex<Seen>>, stop: Arc<AtomicBool>) {
    let mut clock = tokio::time::interval(PERIOD);
    clock.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        clock.tick().await;
        if stop.load(Ordering::Relaxed) {
            return;
        }
        let step = seen.lock().step;
        let page = page(&client).await;
        seen.lock().record(step, page);
    }
}

async fn page(client: &reqwest::Client) -> Page {
    let answer = match client.get("http://web/").send().await {
        Ok(answer) => answer,
        Err(error) => return Page::Failed(error.to_string()),
    };
    let status = answer.status();
    let reason = answer.headers().get("meshctl-reason").map(|value| format!("{value:?} "));
    match answer.text().await {
        Ok(text) if status.is_success() => version(&text),
        Ok(text) => Page::Failed(format!("{status} {}{text}", reason.unwrap_or_default())),
        Err(error) => Page::Failed(error.to_string()),
    }
}

/// Reads from the page which version of reviews answered.
pub(super) fn version(page: &str) -> Page {
    let after = page.split_once("<p class=\"version\">").map(|(_, after)| after);
    match after.and_then(|after| after.split_once("</p>")) {
        Some((version, _)) => Page::By(version.to_owned()),
        None => Page::Failed("a page without reviews".to_owned()),
    }
}
