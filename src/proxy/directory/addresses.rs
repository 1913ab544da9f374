//! Which service answers at an address, for calls that name nothing else.
//!
//! Goes in: what the loader publishes. Comes out, on any thread: the service and its port, or that
//! the address is outside of the mesh; for one that nobody called yet, after a bounded wait.
//! Invariant: an address is outside only when the control plane has said so, because what is
//! outside is called in plaintext.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use arc_swap::ArcSwap;
use parking_lot::Mutex;

use super::waiting::{Bounds, Waiting};
use super::{Directory, Miss, ServiceCell, touch};
use crate::names::ServiceName;

/// What is known of an address right now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answering {
    /// A service, at this port of it.
    Service(ServiceName, u16),
    /// The control plane says that it belongs to no service.
    Outside,
    /// Nobody asked yet, or there is no answer yet.
    Unknown,
}

/// An answer about one address.
#[derive(Debug, Clone)]
pub(super) struct Known {
    /// `None`: outside.
    pub(super) service: Option<(ServiceName, u16)>,
    pub(super) used: Arc<AtomicU32>,
}

/// All addresses that somebody called.
#[derive(Debug, Default)]
pub(super) struct Addresses {
    pub(super) known: ArcSwap<HashMap<SocketAddr, Known>>,
    pub(super) waiting: Mutex<Waiting<SocketAddr>>,
}

impl Directory {
    /// What is known of `address`, without waiting; marks it as used.
    pub fn address(&self, address: SocketAddr) -> Answering {
        match self.addresses.known.load().get(&address) {
            Some(known) => {
                touch(&known.used, self.clock.load(Ordering::Relaxed));
                match &known.service {
                    Some((service, port)) => Answering::Service(service.clone(), *port),
                    None => Answering::Outside,
                }
            }
            None => Answering::Unknown,
        }
    }

    /// The service at `address`; asks the control plane at first use and waits within
    /// [`Limits`](super::Limits).
    ///
    /// # Errors
    /// [`Miss`]; [`Miss::NotAService`] where the address is outside of the mesh.
    pub async fn wait_address(&self, address: SocketAddr) -> Result<(ServiceName, u16), Miss> {
        let bounds = Bounds { waiters: self.limits.waiters, names: self.limits.addresses };
        let look = || match self.address(address) {
            Answering::Service(service, port) => Some(Ok((service, port))),
            Answering::Outside => Some(Err(Miss::NotAService)),
            Answering::Unknown => None,
        };
        self.wait(&self.addresses.waiting, &address, bounds, look).await
    }

    /// The cell of the service at `address`, and its port; both answers within one patience.
    ///
    /// # Errors
    /// As [`Directory::wait_address`].
    pub async fn wait_service_at(
        &self,
        address: SocketAddr,
    ) -> Result<(Arc<ServiceCell>, u16), Miss> {
        let found = async {
            let (service, port) = self.wait_address(address).await?;
            // The address is of the mesh: that its service has just gone makes it no less so.
            let cell = self.wait_service(&service).await.map_err(|_| Miss::Pending)?;
            Ok((cell, port))
        };
        tokio::time::timeout(self.limits.patience, found).await.unwrap_or(Err(Miss::Pending))
    }

    /// The addresses asked for since the last call.
    pub fn take_wanted_addresses(&self) -> Vec<SocketAddr> {
        self.addresses.waiting.lock().take_wanted()
    }
}
