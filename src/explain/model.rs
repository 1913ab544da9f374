//! The configuration of one proxy, made as that proxy makes it: its directory, fed by its loader
//! with the resources that it would be sent.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::names::{Identity, ProxyId};
use crate::proxy::directory::{Directory, Effect, Limits, Loader, Ticket};
use crate::proxy::outbound::naming::Named;
use crate::resource::{Key, Kind, Resource, Workload};

/// How long ago what is told of pools may have begun, on the clock of a model.
const PAST: Duration = Duration::from_secs(400 * 24 * 3600);

/// What is known of one key.
#[derive(Debug, Clone, Default)]
pub struct Known {
    /// The resource; `None` where there is none.
    pub resource: Option<Resource>,
    /// The objects that it came from, `HTTPRoute/default/reviews`.
    pub origins: Vec<String>,
}

/// A resource that the proxy does not use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// The resource.
    pub key: Key,
    /// The field and what is wrong with it.
    pub why: String,
}

/// See the head of this file.
#[derive(Debug)]
pub struct Model {
    pub(super) directory: Arc<Directory>,
    known: BTreeMap<Key, Known>,
    refused: Vec<Refused>,
    now: Instant,
}

impl Model {
    /// What the proxy of `workload` has when it calls `authority`: it subscribes, and `source`
    /// answers.
    ///
    /// # Errors
    /// What `source` fails with.
    pub fn load<E>(
        workload: Workload,
        authority: &str,
        mut source: impl FnMut(&Key) -> Result<Known, E>,
    ) -> Result<Self, E> {
        let now = Instant::now() + PAST;
        let namespace = workload.proxy.namespace.clone();
        let named = Named::read(authority, 80, &namespace);
        let directory = Arc::new(Directory::new(namespace, workload, Limits::STANDARD));
        let mut loader = Loader::new(Arc::clone(&directory), now);
        match named {
            Ok(Named::Service { name, .. }) => loader.want(&name, now),
            Ok(Named::Address(address)) => {
                loader.want_address(address, now);
                loader.want_host(address.ip(), now);
            }
            // Nobody is asked about it.
            Ok(Named::Outside(..)) | Err(_) => {}
        }
        let mut model = Self { directory, known: BTreeMap::new(), refused: Vec::new(), now };
        model.settle(&mut loader, &mut source)?;
        Ok(model)
    }

    /// Answers everything that is asked, until nothing is.
    fn settle<E>(
        &mut self,
        loader: &mut Loader,
        source: &mut impl FnMut(&Key) -> Result<Known, E>,
    ) -> Result<(), E> {
        let mut tickets: BTreeMap<Ticket, Key> = BTreeMap::new();
        loop {
            let effects = loader.take_effects();
            if effects.is_empty() {
                return Ok(());
            }
            for effect in effects {
                match effect {
                    // How the caller itself receives says nothing of what it calls.
                    Effect::Subscribe(key) if key.kind == Kind::Workload => {}
                    Effect::Subscribe(key) => {
                        let ticket = Ticket(tickets.len() as u64);
                        tickets.insert(ticket, key.clone());
                        let known = source(&key)?;
                        match &known.resource {
                            Some(it) => loader.offer(it.clone(), Some(ticket), self.now),
                            None => loader.gone(&key, self.now),
                        }
                        self.known.insert(key, known);
                    }
                    Effect::Refuse(ticket, fault) => {
                        let why = format!("`{}`: {}", fault.field, fault.reason);
                        let refused = tickets.get(&ticket).cloned();
                        self.refused.extend(refused.map(|key| Refused { key, why }));
                    }
                    Effect::Accept(_) | Effect::Unsubscribe(_) => {}
                }
            }
        }
    }

    /// Who calls.
    pub fn identity(&self) -> Identity {
        self.directory.workload().identity.clone()
    }

    /// The proxy that decides.
    pub fn proxy(&self) -> ProxyId {
        self.directory.workload().proxy.clone()
    }

    /// What was asked for.
    pub fn keys(&self) -> impl Iterator<Item = &Key> {
        self.known.keys()
    }

    /// The resource of a key, where it was asked for and there is one.
    pub fn resource(&self, key: &Key) -> Option<&Resource> {
        self.known.get(key)?.resource.as_ref()
    }

    /// The objects that a resource came from.
    pub(super) fn origins(&self, key: &Key) -> &[String] {
        self.known.get(key).map_or(&[], |known| &known.origins)
    }

    /// What the proxy does not use of it.
    pub fn refused(&self) -> &[Refused] {
        &self.refused
    }

    pub(super) fn now_ms(&self) -> u64 {
        crate::proxy::clock::ms(self.now)
    }
}
