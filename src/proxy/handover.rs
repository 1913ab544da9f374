//! A newer process takes the place of a proxy that runs, and no connection is lost: the newer one gets
//! the listening sockets themselves (`SCM_RIGHTS`), so what waits in their queues stays there.
//!
//! Every proxy keeps a [`Door`], a Unix socket of mode 0600 in its own directory. At most one process at
//! a time is let in, of the same user, and then the two speak like this:
//!
//! ```text
//! newer                                     older
//! Ask: protocol, version, claim      ─▶
//!                                    ◀─     Offer: its process, what is passed; the descriptors
//!                                    ◀─        or Refusal: why not
//! starts, registers, gets its        ┆      takes every connection, as before
//! configuration; takes none
//! Ready                              ─▶     stops taking connections
//!                                    ◀─     Yours
//! takes every connection                    drains and ends
//! ```
//!
//! Before `Ready` the newer one may die or give up at any moment: the older one sees the conversation
//! end and goes on. Whoever asks by another protocol is refused in words. What a version does not know
//! in an offer it does not take, and binds itself what it misses.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::xds::agent;

mod door;
mod inheritance;
mod taker;
#[cfg(test)]
mod tests;

pub use door::{Door, Goods, Handing, Happening};
pub use inheritance::{Inherited, Listeners, Rules};
pub use taker::{Older, TakeOverError, take_over};

/// Counts up when an older or newer process could misunderstand the other.
const PROTOCOL: u32 = 1;

/// The program, as it introduces itself.
const VERSION: &str = crate::names::skew::OWN;

/// The socket inside the proxy's directory.
const SOCKET: &str = "take-over.sock";

/// How long each side waits for the other.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// For the first word of who knocks.
    pub ask: Duration,
    /// For the answer to it.
    pub answer: Duration,
    /// For a newer process to get ready.
    pub ready: Duration,
    /// For anything else, which the other side only has to read, or to say at once.
    pub word: Duration,
}

impl Patience {
    /// What a proxy has.
    pub const STANDARD: Self = Self {
        ask: Duration::from_secs(5),
        answer: Duration::from_secs(10),
        ready: Duration::from_secs(60),
        word: Duration::from_secs(5),
    };
}

/// A process, told apart from a later one of the same number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ProcessId {
    /// Its number.
    pub pid: u32,
    /// When it started, milliseconds since the Unix epoch.
    pub started_ms: u64,
}

impl ProcessId {
    /// This process, which has run as this proxy since `started`.
    pub fn own(started: std::time::SystemTime) -> Self {
        let since = started.duration_since(std::time::SystemTime::UNIX_EPOCH).unwrap_or_default();
        let started_ms = u64::try_from(since.as_millis()).unwrap_or(u64::MAX);
        Self { pid: std::process::id(), started_ms }
    }
}

impl From<ProcessId> for agent::ProcessId {
    fn from(ProcessId { pid, started_ms }: ProcessId) -> Self {
        Self { pid, started_ms }
    }
}

/// Which workload a process stands for: another one takes no place of it, because key and certificate
/// lie in the same directory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Claim {
    /// The proxy, `namespace/name`.
    pub proxy: String,
    /// The service that it registers under, `namespace/service`.
    pub service: String,
    /// The service account of its identity.
    pub service_account: String,
}

impl std::fmt::Display for Claim {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { proxy, service, service_account } = self;
        write!(f, "proxy `{proxy}` of the service `{service}` with the account `{service_account}`")
    }
}

/// What the newer process says first.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Ask {
    protocol: u32,
    version: String,
    claim: Claim,
    process: ProcessId,
}

/// What the older process answers.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
enum Answer {
    Offer(Offer),
    /// Why there is no offer, or none any more; a sentence.
    Refusal(String),
    /// After `Ready`: the listeners are the newer process's now.
    Yours,
}

/// What is passed, and by whom.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Offer {
    protocol: u32,
    version: String,
    process: ProcessId,
    /// Whether the control plane is there for it.
    connected: bool,
    /// One for each descriptor, in their order.
    descriptors: Vec<Passed>,
}

/// What a descriptor is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "what", rename_all = "camelCase")]
enum Passed {
    /// The lock of the proxy's directory.
    Lock,
    /// A listening socket, by what it is for.
    Listener { role: String },
    /// What the kernel's rules live by that redirect the connections of one user.
    Rules { user: u32, port: u16 },
    /// Something of a later version.
    #[serde(other)]
    Unknown,
}

/// What the newer process says when it could take connections.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
enum Word {
    Ready,
}
