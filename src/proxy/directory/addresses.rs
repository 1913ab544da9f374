//! What is at an address, for calls that name nothing else: a port of a service, a workload by its
//! own address, or something outside of the mesh.
//!
//! Goes in: what the loader publishes. Comes out, on any thread, the answer; for an address that
//! nobody called yet, after a bounded wait. Invariant: an address is outside only when the control
//! plane has said so, because what is outside is called in plaintext.

use std::net::{IpAddr, SocketAddr};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::waiting::Bounds;
use super::{Directory, HostCell, Miss, ServiceCell};
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

/// What a connection to an address leads to.
#[derive(Debug, Clone)]
pub enum Destination {
    /// A port of a service.
    Service(Arc<ServiceCell>, u16),
    /// A workload, by its own address.
    Host(Arc<HostCell>),
}

impl Directory {
    /// What is known of `address`, without waiting; marks it as used.
    pub fn address(&self, address: SocketAddr) -> Answering {
        match self.addresses.look(&address, self.clock.load(Ordering::Relaxed)) {
            Some(Some((service, port))) => Answering::Service(service, port),
            Some(None) => Answering::Outside,
            None => Answering::Unknown,
        }
    }

    /// The workload whose own address `ip` is, without waiting; `None` also where nobody asked yet.
    pub fn host(&self, ip: IpAddr) -> Option<Arc<HostCell>> {
        self.hosts.look(&ip, self.clock.load(Ordering::Relaxed)).flatten()
    }

    /// The service at `address`; asks the control plane at first use and waits within
    /// [`Limits`](super::Limits).
    ///
    /// # Errors
    /// [`Miss`]; [`Miss::NotAService`] where the address is outside of the mesh.
    pub async fn wait_address(&self, address: SocketAddr) -> Result<(ServiceName, u16), Miss> {
        let look = || {
            let found = self.addresses.look(&address, self.clock.load(Ordering::Relaxed));
            found.map(|found| found.ok_or(Miss::NotAService))
        };
        self.wait(&self.addresses.waiting, &address, self.address_bounds(), look).await
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
            self.cell_of(&service, port).await
        };
        tokio::time::timeout(self.limits.patience, found).await.unwrap_or(Err(Miss::Pending))
    }

    /// The workload whose own address `ip` is; as [`Directory::wait_address`].
    ///
    /// # Errors
    /// [`Miss`]; [`Miss::NotAService`] where no workload of the mesh has the address.
    pub async fn wait_host(&self, ip: IpAddr) -> Result<Arc<HostCell>, Miss> {
        let look = || {
            let found = self.hosts.look(&ip, self.clock.load(Ordering::Relaxed));
            found.map(|found| found.ok_or(Miss::NotAService))
        };
        self.wait(&self.hosts.waiting, &ip, self.address_bounds(), look).await
    }

    /// What a connection to `address` leads to: the service that answers there, else the workload
    /// whose own address it is; all answers within one patience.
    ///
    /// # Errors
    /// [`Miss`]; [`Miss::NotAService`] where it is outside of the mesh.
    pub async fn wait_destination(&self, address: SocketAddr) -> Result<Destination, Miss> {
        let found = async {
            // Both are asked for at once; a service's address needs no other answer.
            let mut service = pin!(self.wait_address(address));
            let mut host = pin!(self.wait_host(address.ip()));
            let mut early = None;
            let found = loop {
                tokio::select! {
                    biased;
                    found = &mut service => break found,
                    found = &mut host, if early.is_none() => early = Some(found),
                }
            };
            match found {
                Ok((service, port)) => {
                    let (cell, port) = self.cell_of(&service, port).await?;
                    Ok(Destination::Service(cell, port))
                }
                Err(Miss::Pending) => Err(Miss::Pending),
                Err(Miss::NotAService) => match early {
                    Some(found) => found,
                    None => host.await,
                }
                .map(Destination::Host),
            }
        };
        tokio::time::timeout(self.limits.patience, found).await.unwrap_or(Err(Miss::Pending))
    }

    /// The addresses asked for since the last call.
    pub fn take_wanted_addresses(&self) -> Vec<SocketAddr> {
        self.addresses.waiting.lock().take_wanted()
    }

    /// The addresses of workloads asked for since the last call.
    pub fn take_wanted_hosts(&self) -> Vec<IpAddr> {
        self.hosts.waiting.lock().take_wanted()
    }

    /// The address is of the mesh: that its service has just gone makes it no less so.
    async fn cell_of(
        &self,
        service: &ServiceName,
        port: u16,
    ) -> Result<(Arc<ServiceCell>, u16), Miss> {
        let cell = self.wait_service(service).await.map_err(|_| Miss::Pending)?;
        Ok((cell, port))
    }

    fn address_bounds(&self) -> Bounds {
        Bounds { waiters: self.limits.waiters, names: self.limits.addresses }
    }
}
