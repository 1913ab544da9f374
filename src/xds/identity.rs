//! Certificates: a CSR goes up with a proof of who asks, a chain comes down.
//!
//! `/meshctl.v1.Identity/Sign`, unary. What is signed is what the caller proved to be, never what
//! its CSR asks for. Served on the Unix socket of the home directory (the proof is to be the same
//! user) and over TLS (the proof is a still valid certificate; without one a join token, on
//! Kubernetes the token of the pod's service account).

/// The full path of the method.
pub const SIGN: &str = "/meshctl.v1.Identity/Sign";

/// A request for a certificate.
#[derive(Clone, PartialEq, prost::Message)]
#[prost(skip_debug)]
pub struct SignRequest {
    /// PKCS #10, DER, at most 16 KiB. Only its public key is used; its signature proves possession.
    #[prost(bytes = "vec", tag = "1")]
    pub csr: Vec<u8>,
    /// Namespace that the caller claims; must be what it proves.
    #[prost(string, tag = "2")]
    pub namespace: String,
    /// Service account that the caller claims; must be what it proves.
    #[prost(string, tag = "3")]
    pub service_account: String,
    /// The proxy's name inside its namespace.
    #[prost(string, tag = "4")]
    pub proxy: String,
    /// `ID.SECRET` of a join token; on Kubernetes a service-account token (KEP-1205) bound to the pod,
    /// for the control plane's audience. Empty where something else is the proof. Never logged.
    #[prost(string, tag = "5")]
    pub token: String,
}

/// Without the token.
impl std::fmt::Debug for SignRequest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SignRequest")
            .field("namespace", &self.namespace)
            .field("service_account", &self.service_account)
            .field("proxy", &self.proxy)
            .finish_non_exhaustive()
    }
}

/// A certificate, and what else a proxy needs to begin.
#[derive(Clone, PartialEq, prost::Message)]
pub struct SignResponse {
    /// Leaf first, X.509 DER.
    #[prost(bytes = "vec", repeated, tag = "1")]
    pub chain: Vec<Vec<u8>>,
    /// The roots to trust, X.509 DER.
    #[prost(bytes = "vec", repeated, tag = "2")]
    pub roots: Vec<Vec<u8>>,
    /// Where discovery and agent streams are served over mutual TLS: `address:port`.
    #[prost(string, tag = "3")]
    pub control_plane: String,
    /// The trust domain.
    #[prost(string, tag = "4")]
    pub trust_domain: String,
}
