//! The newer process's side: asks a proxy that runs for its place, says when it is ready, and hears that
//! the place is its own.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream as Idle;
use std::path::Path;
use std::time::{Duration, SystemTime};

use tokio::net::UnixStream;

use super::{
    Answer, Ask, Claim, Inherited, Listeners, Offer, PROTOCOL, Passed, Patience, ProcessId, Rules,
    VERSION, Word, door,
};
use crate::names::ProxyId;
use crate::net::pass::{self, Message};

/// Why no place was taken. The older process goes on as before.
#[derive(Debug, thiserror::Error)]
pub enum TakeOverError {
    /// It runs, but nobody answers at its socket.
    #[error("the proxy `{0}` runs, but does not hand over")]
    Closed(ProxyId, #[source] io::Error),
    /// It said no.
    #[error("the proxy `{0}` does not hand over: {1}")]
    Refused(ProxyId, String),
    /// It said something else.
    #[error("the proxy `{0}` answered what this version does not understand: {1}")]
    Misunderstood(ProxyId, String),
    /// It took back what it had offered.
    #[error("the older process went on without this one: {0}")]
    TakenBack(String),
    /// The control plane is there for the older process and not for this one.
    #[error("the control plane is there for the older process, but not for this one")]
    Disconnected,
    /// Nothing came that could be used.
    #[error("no configuration came within {} s; the older process goes on", .0.as_secs())]
    NotConfigured(Duration),
}

/// Asks the proxy whose directory this is for its place, as the workload of this claim. `started` is since when this process runs.
///
/// # Errors
/// [`TakeOverError`]; nothing has changed then.
pub async fn take_over(
    (proxy, claim): (&ProxyId, Claim),
    directory: &Path,
    started: SystemTime,
    patience: Patience,
) -> Result<Inherited, TakeOverError> {
    let ask = Ask {
        protocol: PROTOCOL,
        version: VERSION.to_owned(),
        claim,
        process: ProcessId::own(started),
    };
    let closed = |error| TakeOverError::Closed(proxy.clone(), error);
    let stream = door::connect(directory).map_err(closed)?;
    let exchange = async {
        pass::send(&stream, &json(&ask), &[]).await?;
        pass::receive(&stream).await?.ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
    };
    let late = |_| closed(io::ErrorKind::TimedOut.into());
    let message =
        tokio::time::timeout(patience.answer, exchange).await.map_err(late)?.map_err(closed)?;
    let stream = stream.into_std().map_err(closed)?;
    read(proxy, message, (stream, started, patience.word))
}

/// What an answer holds.
fn read(
    proxy: &ProxyId,
    message: Message,
    (stream, started, word): (Idle, SystemTime, Duration),
) -> Result<Inherited, TakeOverError> {
    let wrong = |what: &str| TakeOverError::Misunderstood(proxy.clone(), what.to_owned());
    let answer = serde_json::from_slice(&message.bytes).map_err(|e| wrong(&e.to_string()))?;
    let offer: Offer = match answer {
        Answer::Offer(offer) => offer,
        Answer::Refusal(why) => return Err(TakeOverError::Refused(proxy.clone(), why)),
        Answer::Yours => return Err(wrong("the last word came first")),
    };
    if offer.protocol != PROTOCOL {
        return Err(wrong(&format!("it hands over by protocol {}", offer.protocol)));
    }
    if offer.descriptors.len() != message.descriptors.len() {
        let (said, came) = (offer.descriptors.len(), message.descriptors.len());
        return Err(wrong(&format!("{said} descriptors were named, {came} came")));
    }
    let mut lock: Option<OwnedFd> = None;
    let (mut listeners, mut rules) = (BTreeMap::new(), None);
    for (what, descriptor) in offer.descriptors.into_iter().zip(message.descriptors) {
        match what {
            Passed::Lock => lock = Some(descriptor),
            Passed::Listener { role } => drop(listeners.insert(role, descriptor)),
            Passed::Rules { user, port } => rules = Some(Rules { user, port, descriptor }),
            Passed::Unknown => {}
        }
    }
    Ok(Inherited {
        proxy: proxy.clone(),
        started,
        lock: lock.ok_or_else(|| wrong("the lock of its directory is missing"))?,
        listeners: Listeners(listeners),
        rules,
        older: Older {
            stream,
            word,
            process: offer.process,
            version: offer.version,
            connected: offer.connected,
        },
    })
}

/// The older process. It goes on as before when this is dropped.
#[derive(Debug)]
pub struct Older {
    stream: Idle,
    /// How long its last word may take: all it has to do is to stop taking connections.
    word: Duration,
    /// Its process.
    pub process: ProcessId,
    /// Its version.
    pub version: String,
    /// Whether the control plane was there for it.
    pub connected: bool,
}

impl Older {
    /// Says that this process is ready. When it returns, connections are this process's to take.
    ///
    /// # Errors
    /// The older process had taken back its offer.
    pub async fn ready(self) -> Result<(), TakeOverError> {
        let stream = self.stream;
        let answered = async {
            let stream = UnixStream::from_std(stream)?;
            // What it says may be there already, and is what counts.
            let _ = pass::send(&stream, &json(&Word::Ready), &[]).await;
            pass::receive(&stream).await
        };
        match tokio::time::timeout(self.word, answered).await {
            Ok(Ok(Some(message))) => match serde_json::from_slice(&message.bytes) {
                Ok(Answer::Refusal(why)) => return Err(TakeOverError::TakenBack(why)),
                Ok(Answer::Yours) => {}
                _ => tracing::warn!("the older process has said something else than that it ends"),
            },
            // It has ended by itself, and whoever holds the sockets is the proxy.
            Ok(Ok(None) | Err(_)) => tracing::warn!("the older process has ended meanwhile"),
            Err(_) => tracing::warn!("the older process does not say that it ends"),
        }
        Ok(())
    }
}

fn json(value: &impl serde::Serialize) -> Vec<u8> {
    serde_json::to_vec(value).expect("names and numbers become JSON")
}
