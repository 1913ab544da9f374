//! Names outside of the mesh: what the system's resolver says, remembered for a short while.
//!
//! Asks by `getaddrinfo`, as the application itself would (`/etc/hosts`, search domains and all),
//! which tells no TTL: an answer is good for `FRESH`, and asked for again in the background while
//! it is in use. One question per name at a time and per second. Who does not answer (SERVFAIL, time
//! out) leaves the last good answer in use, for `KEPT` at most; who says that there is no such name
//! ends it. What is to be done is decided without a clock in `Entry::found`.

use std::collections::HashMap;
use std::fmt;
use std::io;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::sync::{Semaphore, watch};

use crate::telemetry::limits::{Limit, LimitCounts};

#[cfg(test)]
mod tests;

/// How long an answer is used without asking again.
const FRESH: Duration = Duration::from_secs(5);

/// How long it is used while it is asked again; who comes later waits for the new one.
const RECENT: Duration = Duration::from_secs(60);

/// How long the last good answer is used when there is none any more.
const KEPT: Duration = Duration::from_secs(3600);

/// Between two questions for one name.
const PAUSE: Duration = Duration::from_secs(1);

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// Names that are remembered; the one that was not used for longest makes way.
const NAMES: usize = Limit::ResolvedNames.most();

/// Questions at once: each takes a thread.
const AT_ONCE: usize = Limit::Lookups.most();

/// Addresses of one name that are kept.
const ADDRESSES: usize = 8;

/// Addresses of a name, in the resolver's order.
pub type Addresses = Arc<[IpAddr]>;

/// Why there are none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unresolved {
    /// There is no such name, or it has no address.
    Absent,
    /// Nobody said.
    Unanswered,
}

/// What a question comes to.
pub type Answer = Result<Vec<IpAddr>, Unresolved>;

/// How names are looked up.
pub(super) type Lookup =
    Box<dyn Fn(String) -> Pin<Box<dyn Future<Output = Answer> + Send>> + Send + Sync>;

/// See the head of this file. Shared by all workers.
pub struct Resolver {
    lookup: Lookup,
    entries: Mutex<HashMap<String, Entry>>,
    at_once: Arc<Semaphore>,
    patience: Duration,
    limits: Arc<LimitCounts>,
}

/// What is known of a name.
#[derive(Debug, Default)]
struct Entry {
    /// The last good answer, and since when.
    good: Option<(Addresses, Instant)>,
    /// What the last question came to, and when.
    last: Option<(Result<(), Unresolved>, Instant)>,
    /// A question is out; its end is the end of the channel.
    asking: Option<watch::Receiver<()>>,
    used: Option<Instant>,
}

/// What whoever calls a name finds.
#[derive(Debug, PartialEq, Eq)]
enum Found {
    /// These addresses; `true`: and it is time to ask again.
    Known(Addresses, bool),
    /// The answer to a question must be waited for.
    Wait,
    /// There are none, and it is too early to ask again.
    Nothing(Unresolved),
}

impl Entry {
    fn found(&self, now: Instant) -> Found {
        let age = |then: Instant| now.saturating_duration_since(then);
        let Some((last, at)) = self.last else { return Found::Wait };
        let good = self.good.as_ref().filter(|(_, since)| age(*since) < KEPT);
        match (last, good) {
            (Ok(()), Some((addresses, _))) if age(at) < RECENT => {
                Found::Known(Arc::clone(addresses), age(at) >= FRESH)
            }
            (Err(Unresolved::Unanswered), Some((addresses, _))) if age(at) < RECENT => {
                Found::Known(Arc::clone(addresses), age(at) >= PAUSE)
            }
            (Err(Unresolved::Absent), _) if age(at) < FRESH => Found::Nothing(Unresolved::Absent),
            (Err(why), None) if age(at) < PAUSE => Found::Nothing(why),
            _ => Found::Wait,
        }
    }

    /// Takes an answer that came at `now`.
    fn take(&mut self, answer: Answer, now: Instant) {
        self.asking = None;
        let answer = answer.and_then(|mut addresses| {
            addresses.truncate(ADDRESSES);
            if addresses.is_empty() { Err(Unresolved::Absent) } else { Ok(addresses) }
        });
        match &answer {
            Ok(addresses) => self.good = Some((addresses.as_slice().into(), now)),
            Err(Unresolved::Absent) => self.good = None,
            Err(Unresolved::Unanswered) => {}
        }
        self.last = Some((answer.map(drop), now));
    }

    /// What is left when a question that was waited for has ended.
    fn settled(&self, now: Instant) -> Result<Addresses, Unresolved> {
        let good = self.good.as_ref();
        let good = good.filter(|(_, since)| now.saturating_duration_since(*since) < KEPT);
        let failed = || match self.last {
            Some((Err(why), _)) => why,
            _ => Unresolved::Unanswered,
        };
        good.map(|(addresses, _)| Arc::clone(addresses)).ok_or_else(failed)
    }
}

impl Resolver {
    /// By the system's resolver.
    pub fn system(limits: Arc<LimitCounts>) -> Arc<Self> {
        Self::new(Box::new(|host| Box::pin(ask_system(host))), limits)
    }

    /// By any other.
    pub(super) fn new(lookup: Lookup, limits: Arc<LimitCounts>) -> Arc<Self> {
        let (entries, at_once) = (Mutex::default(), Arc::new(Semaphore::new(AT_ONCE)));
        Arc::new(Self { lookup, entries, at_once, patience: PATIENCE, limits })
    }

    /// The addresses of `host`.
    ///
    /// # Errors
    /// [`Unresolved`].
    pub async fn resolve(self: &Arc<Self>, host: &str) -> Result<Addresses, Unresolved> {
        let host = host.to_ascii_lowercase();
        let mut asking = {
            let now = Instant::now();
            let mut entries = self.entries.lock();
            make_room(&mut entries, &host);
            let entry = entries.entry(host.clone()).or_default();
            entry.used = Some(now);
            match entry.found(now) {
                Found::Known(addresses, ask) => {
                    if ask {
                        self.ask(host, entry);
                    }
                    return Ok(addresses);
                }
                Found::Nothing(why) => return Err(why),
                Found::Wait => self.ask(host.clone(), entry),
            }
        };
        // The end of the question is the end of the channel.
        while asking.changed().await.is_ok() {}
        let entries = self.entries.lock();
        let settled = entries.get(&host).map(|entry| entry.settled(Instant::now()));
        settled.unwrap_or(Err(Unresolved::Unanswered))
    }

    /// The question that is out, or a new one.
    fn ask(self: &Arc<Self>, host: String, entry: &mut Entry) -> watch::Receiver<()> {
        // One whose end nobody took note of is none.
        if let Some(asking) = entry.asking.as_ref().filter(|asking| asking.has_changed().is_ok()) {
            return asking.clone();
        }
        let (asked, asking) = watch::channel(());
        entry.asking = Some(asking.clone());
        let resolver = Arc::clone(self);
        // In a task of its own: whoever asked may give up, others wait for the same.
        tokio::spawn(async move {
            let answer = resolver.answer(host.clone()).await;
            if let Some(entry) = resolver.entries.lock().get_mut(&host) {
                entry.take(answer, Instant::now());
            }
            drop(asked);
        });
        asking
    }

    async fn answer(&self, host: String) -> Answer {
        let Ok(permit) = Arc::clone(&self.at_once).try_acquire_owned() else {
            self.limits.hit(Limit::Lookups);
            return Err(Unresolved::Unanswered);
        };
        let lookup = (self.lookup)(host);
        // In a task of its own: nothing ends `getaddrinfo` early, and its thread counts for as long
        // as it takes, whether or not anybody still waits.
        let lookup = tokio::spawn(async move {
            let answer = lookup.await;
            drop(permit);
            answer
        });
        match tokio::time::timeout(self.patience, lookup).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) | Err(_) => Err(Unresolved::Unanswered),
        }
    }
}

impl fmt::Debug for Resolver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Resolver")
            .field("names", &self.entries.lock().len())
            .finish_non_exhaustive()
    }
}

/// Forgets the name that was not used for longest, where `host` is new and there are too many.
fn make_room(entries: &mut HashMap<String, Entry>, host: &str) {
    if entries.len() < NAMES || entries.contains_key(host) {
        return;
    }
    let oldest = entries.iter().filter(|(_, entry)| entry.asking.is_none());
    let oldest = oldest.min_by_key(|(_, entry)| entry.used).map(|(host, _)| host.clone());
    if let Some(oldest) = oldest {
        entries.remove(&oldest);
    }
}

async fn ask_system(host: String) -> Answer {
    match tokio::net::lookup_host((host, 0)).await {
        Ok(addresses) => Ok(addresses.map(|address| address.ip().to_canonical()).collect()),
        Err(error) => Err(why(&error)),
    }
}

/// What the system's resolver means. It has no codes for us, only the words of `gai_strerror` (glibc's
/// and musl's); what is none of these is no word on the name.
fn why(error: &io::Error) -> Unresolved {
    const ABSENT: [&str; 4] = [
        "Name or service not known",
        "No address associated with hostname",
        "Name does not resolve",
        "Name has no usable address",
    ];
    let text = error.to_string();
    match ABSENT.iter().any(|absent| text.contains(absent)) {
        true => Unresolved::Absent,
        false => Unresolved::Unanswered,
    }
}
