//! TLS between proxies: rustls configurations whose credentials and roots change underneath them.
//!
//! [`Tls`] holds both in one place; every configuration made from it reads them at each handshake,
//! so a renewal is one [`Tls::replace`] and no listener or pool notices. TLS 1.3 only. There is no
//! session resumption in either direction: a resumed session would skip the verifier, and pools
//! keep connections long enough that full handshakes are rare. SNI is whatever the caller passes
//! when it connects; it is never looked at. A peer that offers no ALPN at all gets through the
//! handshake: who asked for one must look at `alpn_protocol()`.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::SystemTime;

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use rustls::client::{ResolvesClientCert, Resumption};
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::CertificateDer;
use rustls::server::{ClientHello, NoServerSessionStorage, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::version::TLS13;
use rustls::{ClientConfig, ServerConfig, SignatureScheme};

use super::credentials::{CredentialError, Credentials};
use super::leaf::Leaf;
use super::roots::Roots;
use super::verifier::Verifier;
use crate::names::{Identity, TrustDomain};

/// Client configurations kept; over it the cache starts anew (configurations in use live on).
const MAX_CLIENT_CONFIGS: usize = 1_024;

/// Whether callers must prove who they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClientAuth {
    /// No certificate, no connection.
    Required,
    /// A certificate is asked for and judged where there is one.
    Optional,
}

/// Credentials, roots, and the configurations made of them.
#[derive(Debug)]
pub struct Tls {
    shared: Arc<Shared>,
    provider: Arc<CryptoProvider>,
    clients: Mutex<HashMap<ClientKey, Arc<ClientConfig>>>,
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct ClientKey {
    expected: Identity,
    alpn: Vec<Vec<u8>>,
}

/// What configurations read at each handshake.
#[derive(Debug)]
pub(super) struct Shared {
    credentials: ArcSwap<Loaded>,
    roots: ArcSwap<Roots>,
}

#[derive(Debug)]
struct Loaded {
    credentials: Arc<Credentials>,
    key: Arc<CertifiedKey>,
}

impl Tls {
    /// Begins with these credentials and roots.
    ///
    /// # Errors
    /// [`CredentialError::Key`] where the key cannot be used.
    pub fn new(credentials: Credentials, roots: Roots) -> Result<Arc<Self>, CredentialError> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let loaded = Loaded::new(credentials, &provider)?;
        let shared = Shared {
            credentials: ArcSwap::from_pointee(loaded),
            roots: ArcSwap::from_pointee(roots),
        };
        Ok(Arc::new(Self { shared: Arc::new(shared), provider, clients: Mutex::default() }))
    }

    /// Uses other credentials from the next handshake on.
    ///
    /// # Errors
    /// [`CredentialError::Key`] where the key cannot be used, [`CredentialError::Identity`] where
    /// they are somebody else's; the old ones stay then.
    pub fn replace(&self, credentials: Credentials) -> Result<(), CredentialError> {
        if credentials.identity() != self.credentials().identity() {
            return Err(CredentialError::Identity);
        }
        self.shared.credentials.store(Arc::new(Loaded::new(credentials, &self.provider)?));
        Ok(())
    }

    /// Trusts other roots from the next handshake on.
    pub fn set_roots(&self, roots: Roots) {
        self.shared.roots.store(Arc::new(roots));
    }

    /// The credentials in use.
    pub fn credentials(&self) -> Arc<Credentials> {
        Arc::clone(&self.shared.credentials.load().credentials)
    }

    /// The roots in use.
    pub fn roots(&self) -> Arc<Roots> {
        self.shared.roots()
    }

    /// A configuration to accept with; made anew at each call, one per listener is enough.
    pub fn server_config(&self, alpn: &[&[u8]], auth: ClientAuth) -> Arc<ServerConfig> {
        let algorithms = self.provider.signature_verification_algorithms;
        let mandatory = auth == ClientAuth::Required;
        let verifier = Verifier::of_clients(Arc::clone(&self.shared), mandatory, algorithms);
        let mut config = ServerConfig::builder_with_provider(Arc::clone(&self.provider))
            .with_protocol_versions(&[&TLS13])
            .expect("the provider has suites of TLS 1.3")
            .with_client_cert_verifier(Arc::new(verifier))
            .with_cert_resolver(Arc::clone(&self.shared) as Arc<dyn ResolvesServerCert>);
        config.alpn_protocols = owned(alpn);
        config.send_tls13_tickets = 0;
        config.session_storage = Arc::new(NoServerSessionStorage {});
        Arc::new(config)
    }

    /// As [`Tls::server_config`] for callers that need not have a certificate, with the root behind
    /// the chain: who joins may know nothing of it but the hash of its key.
    pub fn first_contact_config(&self, alpn: &[&[u8]]) -> Arc<ServerConfig> {
        let mut config = ServerConfig::clone(&self.server_config(alpn, ClientAuth::Optional));
        config.cert_resolver = Arc::new(WithRoot(Arc::clone(&self.shared)));
        Arc::new(config)
    }

    /// A configuration that connects to `expected` and to nobody else; cached.
    pub fn client_config(&self, expected: &Identity, alpn: &[&[u8]]) -> Arc<ClientConfig> {
        let key = ClientKey { expected: expected.clone(), alpn: owned(alpn) };
        let mut clients = self.clients.lock();
        if let Some(config) = clients.get(&key) {
            return Arc::clone(config);
        }
        if clients.len() >= MAX_CLIENT_CONFIGS {
            clients.clear();
        }
        let config = self.make_client_config(&key);
        clients.insert(key, Arc::clone(&config));
        config
    }

    fn make_client_config(&self, key: &ClientKey) -> Arc<ClientConfig> {
        let algorithms = self.provider.signature_verification_algorithms;
        let shared = Arc::clone(&self.shared);
        let verifier = Verifier::of_server(shared, key.expected.clone(), algorithms);
        let mut config = ClientConfig::builder_with_provider(Arc::clone(&self.provider))
            .with_protocol_versions(&[&TLS13])
            .expect("the provider has suites of TLS 1.3")
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier))
            .with_client_cert_resolver(Arc::clone(&self.shared) as Arc<dyn ResolvesClientCert>);
        config.alpn_protocols.clone_from(&key.alpn);
        config.resumption = Resumption::disabled();
        Arc::new(config)
    }
}

/// Who the peer of a finished handshake is, from what it presented (leaf first).
pub fn peer_identity(chain: &[CertificateDer<'_>]) -> Option<Identity> {
    chain.first().and_then(|leaf| Leaf::read(leaf).ok()).map(|leaf| leaf.identity)
}

/// Until when the peer of a finished handshake is who it is.
pub fn peer_not_after(chain: &[CertificateDer<'_>]) -> Option<SystemTime> {
    chain.first().and_then(|leaf| Leaf::read(leaf).ok()).map(|leaf| leaf.not_after)
}

impl Shared {
    pub(super) fn roots(&self) -> Arc<Roots> {
        self.roots.load_full()
    }

    pub(super) fn trust_domain(&self) -> TrustDomain {
        self.credentials.load().credentials.identity().trust_domain.clone()
    }
}

impl ResolvesServerCert for Shared {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.credentials.load().key))
    }
}

/// Shows the root as well.
#[derive(Debug)]
struct WithRoot(Arc<Shared>);

impl ResolvesServerCert for WithRoot {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let loaded = self.0.credentials.load();
        let mut shown = CertifiedKey::clone(&loaded.key);
        shown.cert.extend(self.0.roots().of_fingerprint(loaded.credentials.root()).cloned());
        Some(Arc::new(shown))
    }
}

impl ResolvesClientCert for Shared {
    fn resolve(&self, _hints: &[&[u8]], _schemes: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.credentials.load().key))
    }

    fn has_certs(&self) -> bool {
        true
    }
}

impl Loaded {
    fn new(credentials: Credentials, provider: &CryptoProvider) -> Result<Self, CredentialError> {
        let key = provider
            .key_provider
            .load_private_key(credentials.key().clone_key().into())
            .map_err(|_| CredentialError::Key)?;
        let key = CertifiedKey::new(credentials.chain().to_vec(), key);
        key.keys_match().map_err(|_| CredentialError::Key)?;
        Ok(Self { credentials: Arc::new(credentials), key: Arc::new(key) })
    }
}

fn owned(alpn: &[&[u8]]) -> Vec<Vec<u8>> {
    alpn.iter().map(|protocol| protocol.to_vec()).collect()
}
