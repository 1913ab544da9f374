//! Starting, running and ending a control plane, on one machine (`local`) or a cluster (`kubernetes`).
//!
//! What both have is in here: the plane itself, its own certificate, its ticking, its end. Everything
//! that can fail at the start does so before anything is served. A panic in one connection's task
//! ends that connection only.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::{Duration, Instant, SystemTime};

use futures_util::StreamExt as _;
use jiff::Timestamp;
use parking_lot::Mutex;
use tokio::sync::{mpsc, watch};
use tokio::task::{JoinHandle, JoinSet};
use tokio_util::sync::CancellationToken;

use crate::certs::{
    Authority, AuthorityError, CredentialError, Credentials, PendingKey, SignError, Tls, renewal,
};
use crate::control::departures::Departures;
use crate::control::ground::Ground;
use crate::control::home::HomeError;
use crate::control::intake::{Intake, Teller};
use crate::control::joins::JoinsError;
use crate::control::plane::Plane;
use crate::control::scrape::Scrape;
use crate::control::store::{Commit, Contents, Store, StoreError};
use crate::control::{agent, hub};
use crate::names::{Identity, TrustDomain};
use crate::net::holder;
use crate::platform::kubernetes::authority::KeptAuthorityError;
use crate::telemetry::limits::LimitCounts;
use crate::telemetry::panics::Panics;

mod health;
mod http;
mod kubernetes;
mod listen;
mod local;
#[cfg(test)]
pub(super) mod tests;
mod unix;
mod webhook;

pub use kubernetes::{Addresses, KubernetesConfig, run as run_on_kubernetes};
pub use local::{ControlPlaneConfig, DEFAULT_TRUST_DOMAIN, run};

/// The life of the control plane's own certificate.
const OWN_LIFETIME: Duration = Duration::from_secs(24 * 3600);

/// How often it is looked at who is away.
const TICK: Duration = Duration::from_millis(250);

/// How often who waits for a moment looks at the wall clock, and whose connections ended with it.
const LOOK: Duration = Duration::from_secs(60);

/// Workloads that are removed together.
const REMOVED: usize = 512;

/// How long streams may take to end.
const GRACE: Duration = Duration::from_secs(3);

/// Why a control plane did not start, or ended.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The home directory.
    #[error(transparent)]
    Home(#[from] HomeError),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The join tokens.
    #[error(transparent)]
    Joins(#[from] JoinsError),
    /// The authority.
    #[error(transparent)]
    Authority(#[from] AuthorityError),
    /// The authority, kept on a cluster.
    #[error(transparent)]
    KeptAuthority(#[from] KeptAuthorityError),
    /// The mesh has another trust domain, for good.
    #[error(
        "the mesh in this home has the trust domain `{found}`, which is fixed; `{asked}` was asked for"
    )]
    TrustDomain {
        /// What it has.
        found: TrustDomain,
        /// What was asked for.
        asked: TrustDomain,
    },
    /// Its own certificate.
    #[error("the control plane's own certificate cannot be made")]
    Certificate(#[from] CertificateError),
    /// The hub or the store ended; whatever could go on would serve what is old.
    #[error("the control plane's own state is lost; it must be started again")]
    Heart,
    /// A socket.
    #[error("cannot listen on `{at}`: {why}")]
    Listen {
        /// Where.
        at: String,
        /// Why not, in words.
        why: String,
    },
}

impl RunError {
    /// What to do about it; empty where the text says it already, or nothing helps.
    pub fn help(&self) -> String {
        let help = match self {
            Self::Home(error) => return error.help(),
            Self::TrustDomain { .. } => {
                "leave `--trust-domain` out, or make another mesh with another `--home`"
            }
            Self::Listen { at, .. } if !at.contains('/') => {
                "choose another address with `--listen`"
            }
            Self::Heart => "start it again with `meshctl install`",
            _ => "",
        };
        help.to_owned()
    }

    /// A port that cannot be listened on.
    fn port(address: SocketAddr, error: &std::io::Error) -> Self {
        Self::Listen { at: address.to_string(), why: holder::why_not(address, error) }
    }
}

/// Why the control plane has no certificate of its own.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    /// No key or no request.
    #[error(transparent)]
    Credential(#[from] CredentialError),
    /// Not signed.
    #[error(transparent)]
    Sign(#[from] SignError),
}

/// What a plane is made of.
struct Parts {
    authority: Authority,
    ground: Ground,
    /// Where proxies connect, `host:port`.
    address: String,
    store: Store,
    contents: Contents,
    commits: mpsc::Receiver<Commit>,
}

fn assemble(
    parts: Parts,
    limits: Arc<LimitCounts>,
    stop: CancellationToken,
) -> Result<(Arc<Plane>, hub::Owner), CertificateError> {
    let Parts { authority, ground, address, store, contents, commits } = parts;
    let credentials = own_credentials(&authority)?;
    let tls = Tls::new(credentials, authority.roots().clone())?;
    let started = Instant::now();
    let trust_domain = authority.trust_domain().clone();
    let roots = Arc::new(authority.roots().ders().map(|root| root.to_vec()).collect());
    let registrations = contents.registrations.clone();
    let (hub, owner) = hub::start(contents, commits, trust_domain.clone(), roots, &ground);
    let mut departures = Departures::new(started);
    for registration in registrations.into_values() {
        departures.lost(registration.proxy(), registration.service_name(), started);
        owner.board().lock().proxies.register(registration, Timestamp::now());
    }
    let plane = Plane {
        trust_domain,
        ground,
        address,
        started,
        since: Timestamp::now(),
        authority,
        tls,
        store,
        hub,
        view: owner.view(),
        board: owner.board(),
        departures: Mutex::new(departures),
        intake: Mutex::new(Intake::default()),
        refusals: Arc::default(),
        revision: owner.revision(),
        registered: watch::Sender::new(0),
        stop,
        streams: AtomicU64::new(1),
        scrape: Scrape::default(),
        limits,
        panics: Panics::default(),
        places: listen::places(),
    };
    Ok((Arc::new(plane), owner))
}

/// Starts what every plane does by itself; the hub, without which it is nothing, comes back.
fn begin(plane: &Arc<Plane>, owner: hub::Owner, tasks: &mut JoinSet<()>) -> JoinHandle<()> {
    tasks.spawn(tick(Arc::clone(plane)));
    tasks.spawn(renew(Arc::clone(plane)));
    tokio::spawn(owner.run(plane.stop.clone()))
}

/// Lives until told to stop, or until the hub has ended.
async fn live(plane: &Plane, heart: JoinHandle<()>) -> Result<(), RunError> {
    let ended = tokio::select! {
        // Told to stop, the hub ends too: that is no loss.
        biased;
        () = plane.stop.cancelled() => Ok(()),
        _ = heart => Err(RunError::Heart),
    };
    plane.stop.cancel();
    ended
}

/// Gives what still runs its time.
async fn finish(mut tasks: JoinSet<()>) {
    let finished = async { while tasks.join_next().await.is_some() {} };
    if tokio::time::timeout(GRACE, finished).await.is_err() {
        tracing::debug!("some streams were cut off");
    }
    tracing::info!("the control plane has ended");
}

fn own_credentials(authority: &Authority) -> Result<Credentials, CertificateError> {
    let identity = Identity::of_control_plane(authority.trust_domain().clone());
    let key = PendingKey::generate()?;
    let csr = key.csr(&identity)?;
    let issued = authority.sign(&csr, &identity, OWN_LIFETIME, SystemTime::now())?;
    Ok(key.finish(issued.chain, authority.roots(), &identity)?)
}

/// Waits until that moment, for at least a second, so that a certificate that cannot be renewed does
/// not spin.
async fn until(moment: SystemTime) {
    tokio::time::sleep(Duration::from_secs(1)).await;
    while let Some(nap) = nap(moment, SystemTime::now()) {
        tokio::time::sleep(nap).await;
    }
}

/// For how long to sleep before the wall clock is asked again; `None` where the moment has come. Timers
/// stand still in a machine that is suspended.
fn nap(moment: SystemTime, now: SystemTime) -> Option<Duration> {
    moment.duration_since(now).ok().filter(|left| !left.is_zero()).map(|left| left.min(LOOK))
}

/// Renews the control plane's own certificate at half of its life.
async fn renew(plane: Arc<Plane>) {
    loop {
        let own = plane.tls.credentials();
        let due = renewal::due(own.issued(), own.not_after(), fastrand::u64(..));
        tokio::select! {
            () = until(own.issued() + due) => {}
            () = plane.stop.cancelled() => return,
        }
        let renewed =
            own_credentials(&plane.authority).and_then(|fresh| Ok(plane.tls.replace(fresh)?));
        if let Err(error) = renewed {
            tracing::error!(%error, "the control plane's own certificate cannot be renewed");
        }
    }
}

/// Removes those who are away for too long, and forgets those who are away for very long; what they had
/// open ends with them.
async fn tick(plane: Arc<Plane>) {
    let mut interval = tokio::time::interval(TICK);
    interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut looked = Instant::now();
    loop {
        tokio::select! {
            _ = interval.tick() => {}
            () = plane.stop.cancelled() => return,
        }
        let snapshot = &plane.view.load_full().snapshot;
        let size = |service: &_| snapshot.workloads_of(service).len();
        let due = plane.departures.lock().due(Instant::now(), size);
        // Together, so that those who go at once are published at once.
        let removed = futures_util::stream::iter(due).for_each_concurrent(REMOVED, async |id| {
            if agent::remove(&plane, &id).await {
                tracing::info!(proxy = %id, "away for too long: no endpoint any more");
            }
        });
        removed.await;
        if looked.elapsed() >= LOOK {
            looked = Instant::now();
            let gone = |teller: &Teller| !snapshot.workloads.contains_key(&teller.proxy);
            plane.intake.lock().edges.gone(gone);
        }
        let now = Timestamp::now();
        let mut board = plane.board.lock();
        for id in board.proxies.forgotten(now) {
            board.leave(&id);
        }
    }
}
