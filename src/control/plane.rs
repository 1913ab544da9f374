//! What the parts of a running control plane share: the store, the view of the mesh, the board, the
//! intake, the authority. Made once in `run`; nothing in here waits or does I/O of its own.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use arc_swap::ArcSwap;
use jiff::Timestamp;
use parking_lot::Mutex;
use tokio::sync::{Semaphore, watch};
use tokio_util::sync::CancellationToken;

use crate::certs::{Authority, Tls};
use crate::control::board::Board;
use crate::control::departures::Departures;
use crate::control::ground::Ground;
use crate::control::hub::Hub;
use crate::control::intake::Intake;
use crate::control::refusals::Refusals;
use crate::control::scrape::Scrape;
use crate::control::store::{Objects, Store};
use crate::mesh::{ObjectRef, Snapshot};
use crate::names::TrustDomain;
use crate::telemetry::limits::LimitCounts;
use crate::telemetry::panics::Panics;

/// The mesh as it is known, at one moment.
#[derive(Debug)]
pub(super) struct View {
    /// The revision of the rules.
    pub(super) revision: u64,
    /// What users wrote.
    pub(super) objects: Arc<Objects>,
    /// What it means.
    pub(super) snapshot: Snapshot,
    /// Objects of the store that this version cannot read, and why.
    pub(super) unreadable: BTreeMap<ObjectRef, String>,
}

/// Everything that is shared.
#[derive(Debug)]
pub(super) struct Plane {
    pub(super) trust_domain: TrustDomain,
    /// Where it runs.
    pub(super) ground: Ground,
    /// Where proxies connect, `host:port`.
    pub(super) address: String,
    pub(super) started: Instant,
    pub(super) since: Timestamp,
    pub(super) authority: Authority,
    pub(super) tls: Arc<Tls>,
    pub(super) store: Store,
    pub(super) hub: Hub,
    pub(super) view: Arc<ArcSwap<View>>,
    pub(super) board: Arc<Mutex<Board>>,
    pub(super) departures: Mutex<Departures>,
    pub(super) intake: Mutex<Intake>,
    pub(super) refusals: Arc<Refusals>,
    /// The last revision of the rules that is published.
    pub(super) revision: watch::Receiver<u64>,
    /// Counts registrations, for those who wait for one.
    pub(super) registered: watch::Sender<u64>,
    /// Ends the control plane.
    pub(super) stop: CancellationToken,
    pub(super) streams: AtomicU64,
    /// The metrics as a text.
    pub(super) scrape: Scrape,
    /// How often its own limits were reached.
    pub(super) limits: Arc<LimitCounts>,
    /// Panics that were contained.
    pub(super) panics: Panics,
    /// Places for connections over TCP.
    pub(super) places: Arc<Semaphore>,
}

impl Plane {
    /// A number that no other stream has.
    pub(super) fn next_stream(&self) -> u64 {
        self.streams.fetch_add(1, Ordering::Relaxed)
    }

    /// The intake's clock.
    pub(super) fn second(&self) -> u64 {
        self.started.elapsed().as_secs()
    }
}
