//! A control plane of one machine: home, lock, store, sockets. When `control-plane.json` is there, it
//! serves.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::SystemTime;

use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::unix::Listeners;
use super::{Parts, RunError, assemble, begin, finish, live};
use crate::certs::Authority;
use crate::control::ground::Ground;
use crate::control::home::{Home, HomeError, Running};
use crate::control::identity::JoinTokens;
use crate::control::joins::Joins;
use crate::control::store::{Opened, Recovered, Store, StoreError};
use crate::control::{api, backup};
use crate::names::TrustDomain;

/// The trust domain of a mesh that was not given one.
pub const DEFAULT_TRUST_DOMAIN: &str = "cluster.local";

/// What a control plane is started with.
#[derive(Debug, Clone)]
pub struct ControlPlaneConfig {
    /// Its home directory.
    pub home: PathBuf,
    /// Where proxies connect, beyond loopback those of other machines too; `None`: where they did last
    /// time, at first a free port of loopback. A port of 0 takes the port of last time too, where that
    /// is free.
    pub listen: Option<SocketAddr>,
    /// The trust domain, fixed at the first start; `None`: what it was, at first `cluster.local`.
    pub trust_domain: Option<TrustDomain>,
}

/// Runs a control plane until `shutdown`, or until it is told to stop by its admin API.
///
/// # Errors
/// [`RunError`]: it could not start.
pub async fn run(config: ControlPlaneConfig, shutdown: CancellationToken) -> Result<(), RunError> {
    let home = Home::new(config.home);
    home.prepare()?;
    let _lock = home.lock()?;
    finish_restore(&home)?;
    let authority = authority(&home, config.trust_domain)?;
    let joins = Joins::open(&home.joins())?;
    let opened = open_store(&home, authority.trust_domain()).await?;
    let listeners = Listeners::bind(&home, config.listen).await?;
    let address = listeners.address;
    let parts = Parts {
        authority,
        ground: Ground::Local(JoinTokens::new(joins)),
        address: address.to_string(),
        store: opened.store,
        contents: opened.contents,
        commits: opened.commits,
    };
    let (plane, owner) = assemble(parts, Arc::default(), shutdown.child_token())?;

    let mut tasks = JoinSet::new();
    let heart = begin(&plane, owner, &mut tasks);
    // The sockets are bound and calls wait in them: whoever is answered finds what is announced.
    announce(&home, address)?;
    listeners.serve(&plane, api::router(&plane), &mut tasks);
    tracing::info!(%address, home = %home.dir().display(), "the control plane is ready");

    let ended = live(&plane, heart).await;
    home.clear_running();
    finish(tasks).await;
    ended
}

/// A backup that was being brought back when the power went is all there now.
fn finish_restore(home: &Home) -> Result<(), RunError> {
    let finished = backup::finish(home).map_err(|source| HomeError::Io {
        what: "finish bringing a backup back in",
        path: home.dir().to_owned(),
        source,
    })?;
    if let Some(aside) = finished {
        tracing::warn!(aside = %aside.display(), "finished bringing a backup back");
    }
    Ok(())
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

/// The address that is tried first: as asked, as last time, or any of loopback.
pub(super) fn wanted(listen: Option<SocketAddr>, remembered: Option<SocketAddr>) -> SocketAddr {
    match (listen, remembered) {
        (None, Some(last)) => last,
        (Some(asked), Some(last)) if asked.port() == 0 && asked.ip() == last.ip() => last,
        (Some(asked), _) => asked,
        (None, None) => SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
    }
}
