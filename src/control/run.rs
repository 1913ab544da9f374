//! Starting, running and ending a control plane.
//!
//! Everything that can fail at the start does so before anything is served: home, lock, authority,
//! store, sockets. When `control-plane.json` is there, it serves. A panic in one connection's task
//! ends that connection only.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::{Duration, Instant, SystemTime};

use jiff::Timestamp;
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::certs::{
    Authority, AuthorityError, CredentialError, Credentials, PendingKey, SignError, Tls, renewal,
};
use crate::control::departures::Departures;
use crate::control::home::{Home, HomeError, Running};
use crate::control::intake::Intake;
use crate::control::plane::Plane;
use crate::control::store::{Opened, Recovered, Store, StoreError};
use crate::control::{agent, api, hub};
use crate::names::{Identity, TrustDomain};

mod listen;

use listen::Listeners;

/// The trust domain of a mesh that was not given one.
pub const DEFAULT_TRUST_DOMAIN: &str = "cluster.local";

/// The life of the control plane's own certificate.
const OWN_LIFETIME: Duration = Duration::from_secs(24 * 3600);

/// How often it is looked at who is away.
const TICK: Duration = Duration::from_millis(250);

/// How long streams may take to end.
const GRACE: Duration = Duration::from_secs(3);

/// What a control plane is started with.
#[derive(Debug, Clone)]
pub struct ControlPlaneConfig {
    /// Its home directory.
    pub home: PathBuf,
    /// Where proxies connect; `None`: where they did last time, at first a free port of loopback. A
    /// port of 0 takes the port of last time too, where that is free.
    pub listen: Option<SocketAddr>,
    /// The trust domain, fixed at the first start; `None`: what it was, at first `cluster.local`.
    pub trust_domain: Option<TrustDomain>,
}

/// Why a control plane did not start, or ended.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The home directory.
    #[error(transparent)]
    Home(#[from] HomeError),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The authority.
    #[error(transparent)]
    Authority(#[from] AuthorityError),
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
    #[error("cannot listen on `{at}`: {source}")]
    Listen {
        /// Where.
        at: String,
        /// Why not.
        source: std::io::Error,
    },
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

/// Runs a control plane until `shutdown`, or until it is told to stop by its admin API.
///
/// # Errors
/// [`RunError`]: it could not start.
pub async fn run(config: ControlPlaneConfig, shutdown: CancellationToken) -> Result<(), RunError> {
    let home = Home::new(config.home);
    home.prepare()?;
    let _lock = home.lock()?;
    let authority = authority(&home, config.trust_domain)?;
    let trust_domain = authority.trust_domain().clone();
    let opened = open_store(&home, &trust_domain).await?;
    let listeners = Listeners::bind(&home, config.listen).await?;
    let address = listeners.address;
    let credentials = own_credentials(&authority)?;
    let tls = Tls::new(credentials, authority.roots().clone()).map_err(CertificateError::from)?;

    let mut tasks = JoinSet::new();
    let (plane, owner) = assemble(authority, tls, opened, address, shutdown.child_token());
    let mut heart = tokio::spawn(owner.run(plane.stop.clone()));
    tasks.spawn(tick(Arc::clone(&plane)));
    tasks.spawn(renew(Arc::clone(&plane)));
    // The sockets are bound and calls wait in them: whoever is answered finds what is announced.
    announce(&home, address)?;
    listeners.serve(&plane, api::router(&plane), &mut tasks);
    tracing::info!(%address, home = %home.dir().display(), "the control plane is ready");

    let ended = tokio::select! {
        // Told to stop, the hub ends too: that is no loss.
        biased;
        () = plane.stop.cancelled() => Ok(()),
        _ = &mut heart => Err(RunError::Heart),
    };
    plane.stop.cancel();
    home.clear_running();
    let finished = async { while tasks.join_next().await.is_some() {} };
    if tokio::time::timeout(GRACE, finished).await.is_err() {
        tracing::debug!("some streams were cut off");
    }
    tracing::info!("the control plane has ended");
    ended
}

fn authority(home: &Home, asked: Option<TrustDomain>) -> Result<Authority, RunError> {
    if Authority::exists(&home.ca()) {
        let authority = Authority::load(&home.ca())?;
        let found = authority.trust_domain().clone();
        return match asked.filter(|asked| *asked != found) {
            Some(asked) => Err(RunError::TrustDomain { found, asked }),
            None => Ok(authority),
        };
    }
    let default = || DEFAULT_TRUST_DOMAIN.parse().expect("it is a DNS-1123 subdomain");
    let authority = Authority::create(&asked.unwrap_or_else(default), SystemTime::now())?;
    authority.save(&home.ca())?;
    Ok(authority)
}

async fn open_store(home: &Home, trust_domain: &TrustDomain) -> Result<Opened, RunError> {
    let (path, trust_domain) = (home.store(), trust_domain.clone());
    let opened = tokio::task::spawn_blocking(move || Store::open_sqlite(&path, &trust_domain));
    let opened = opened.await.map_err(|_| StoreError::Closed)??;
    if let Some(Recovered { revision, reason, damaged }) = &opened.recovered {
        tracing::error!(
            revision, reason, damaged = %damaged.display(),
            "the store was damaged: started from the kept generation; what was applied after it is lost"
        );
    }
    Ok(opened)
}

fn assemble(
    authority: Authority,
    tls: Arc<Tls>,
    opened: Opened,
    address: SocketAddr,
    stop: CancellationToken,
) -> (Arc<Plane>, hub::Owner) {
    let started = Instant::now();
    let trust_domain = authority.trust_domain().clone();
    let roots = Arc::new(authority.roots().ders().map(|root| root.to_vec()).collect());
    let registrations = opened.contents.registrations.clone();
    let (hub, owner) = hub::start(opened.contents, opened.commits, trust_domain.clone(), roots);
    let mut departures = Departures::new(started);
    for registration in registrations.into_values() {
        departures.lost(registration.proxy(), registration.service_name(), started);
        owner.board().lock().proxies.register(registration, Timestamp::now());
    }
    let plane = Plane {
        trust_domain,
        address,
        started,
        since: Timestamp::now(),
        authority,
        tls,
        store: opened.store,
        hub,
        view: owner.view(),
        board: owner.board(),
        departures: Mutex::new(departures),
        intake: Mutex::new(Intake::default()),
        revision: owner.revision(),
        registered: watch::Sender::new(0),
        stop,
        streams: AtomicU64::new(1),
    };
    (Arc::new(plane), owner)
}

fn announce(home: &Home, address: SocketAddr) -> Result<(), RunError> {
    home.remember_address(address)?;
    home.write_running(&Running {
        pid: std::process::id(),
        address: address.to_string(),
        admin_socket: home.admin_socket(),
        join_socket: home.join_socket(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
    })?;
    Ok(())
}

fn own_credentials(authority: &Authority) -> Result<Credentials, CertificateError> {
    let identity = Identity::of_control_plane(authority.trust_domain().clone());
    let key = PendingKey::generate()?;
    let csr = key.csr(&identity)?;
    let issued = authority.sign(&csr, &identity, OWN_LIFETIME, SystemTime::now())?;
    Ok(key.finish(issued.chain, authority.roots(), &identity)?)
}

/// Renews the control plane's own certificate at half of its life.
async fn renew(plane: Arc<Plane>) {
    loop {
        let own = plane.tls.credentials();
        let wait =
            renewal::wait(own.issued(), own.not_after(), SystemTime::now(), fastrand::u64(..));
        tokio::select! {
            // At least a second, so that a certificate that cannot be renewed does not spin.
            () = tokio::time::sleep(wait.max(Duration::from_secs(1))) => {}
            () = plane.stop.cancelled() => return,
        }
        let renewed =
            own_credentials(&plane.authority).and_then(|fresh| Ok(plane.tls.replace(fresh)?));
        if let Err(error) = renewed {
            tracing::error!(%error, "the control plane's own certificate cannot be renewed");
        }
    }
}

/// Removes those who are away for too long, and forgets those who are away for very long.
async fn tick(plane: Arc<Plane>) {
    let mut interval = tokio::time::interval(TICK);
    interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = interval.tick() => {}
            () = plane.stop.cancelled() => return,
        }
        let snapshot = &plane.view.load_full().snapshot;
        let size = |service: &_| snapshot.workloads_of(service).len();
        let due = plane.departures.lock().due(Instant::now(), size);
        for id in due {
            tracing::info!(proxy = %id, "away for too long: no endpoint any more");
            agent::remove(&plane, &id).await;
        }
        let now = Timestamp::now();
        let mut board = plane.board.lock();
        for id in board.proxies.forgotten(now) {
            board.leave(&id);
        }
    }
}

/// The address that is tried first: as asked, as last time, or any of loopback.
fn wanted(listen: Option<SocketAddr>, remembered: Option<SocketAddr>) -> SocketAddr {
    match (listen, remembered) {
        (None, Some(last)) => last,
        (Some(asked), Some(last)) if asked.port() == 0 && asked.ip() == last.ip() => last,
        (Some(asked), _) => asked,
        (None, None) => SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
    }
}
