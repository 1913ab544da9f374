//! The one table of reasons: why a proxy answered a request itself, or ended it.
//!
//! The same word stands in the `meshctl-reason` response header, in logs and in metrics; the table
//! maps it to the HTTP status that the client sees. Documented for users in
//! `docs/reference/reasons.md`, which a test holds against this file.

/// The response header that names the reason.
pub const REASON_HEADER: &str = "meshctl-reason";

/// The response header that names the rule that decided, where one did.
pub const RULE_HEADER: &str = "meshctl-rule";

/// Declares the reasons: variant, word, status, meaning.
macro_rules! reasons {
    ($($variant:ident, $word:literal, $status:literal, $meaning:literal;)*) => {
        /// Why a proxy answered itself.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[repr(u8)]
        pub enum Reason {
            $(#[doc = $meaning] $variant,)*
        }

        impl Reason {
            /// Every reason.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// The word in headers, logs and metrics.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word,)* }
            }

            /// The HTTP status of the answer; 0 where none is sent.
            pub fn status(self) -> u16 {
                match self { $(Self::$variant => $status,)* }
            }

            /// What it means, for people.
            pub fn meaning(self) -> &'static str {
                match self { $(Self::$variant => $meaning,)* }
            }
        }
    };
}

reasons! {
    BadRequest, "bad_request", 400, "the request breaks the rules of HTTP and was not passed on";
    HeadTooLarge, "head_too_large", 431, "the request's head is over the limit of size or fields";
    HeadTimeout, "head_timeout", 408, "the request's head did not arrive in time";
    UriTooLong, "uri_too_long", 414, "the request's target is over the limit";
    UnsupportedExpectation, "unsupported_expectation", 417, "an expectation other than 100-continue";
    VersionNotSupported, "version_not_supported", 505, "an HTTP version that is not spoken here";
    NoRoute, "no_route", 404, "no rule of the service matches the request";
    NoService, "no_service", 502, "the destination is no service and could not be resolved";
    NotRegistered, "not_registered", 502, "the destination is outside of the mesh and `outbound` is RegistryOnly";
    ConfigPending, "config_pending", 503, "the control plane has not answered yet for this service";
    NoBackend, "no_backend", 500, "the rule has no backend, or all of its weights are zero";
    MissingBackend, "missing_backend", 500, "the rule's backend does not exist";
    NoEndpoints, "no_endpoints", 503, "the service has no ready endpoint";
    NoApp, "no_app", 503, "the workload only calls and serves nothing";
    ConnectFailure, "connect_failure", 503, "no connection to the endpoint could be made";
    ConnectTimeout, "connect_timeout", 503, "the endpoint did not accept a connection in time";
    TlsFailure, "tls_failure", 503, "no mutual TLS could be set up with the peer, for a reason that has no word of its own";
    WrongIdentity, "wrong_identity", 503, "the endpoint proved another identity than the one that it must have";
    CertExpired, "cert_expired", 503, "a certificate on the way has expired";
    BadSpiffeId, "bad_spiffe_id", 503, "the peer's certificate does not name exactly one identity of the mesh's form";
    WrongTrustDomain, "wrong_trust_domain", 503, "the peer belongs to another mesh";
    CertNotYetValid, "cert_not_yet_valid", 503, "the peer's certificate is not valid yet; the clocks differ";
    UnknownRoot, "unknown_root", 503, "the peer's certificate does not chain to a root of this mesh";
    SelfSigned, "self_signed", 503, "the peer's certificate is signed by itself";
    CaAsLeaf, "ca_as_leaf", 503, "the peer presented the certificate of an authority as a workload's";
    WrongUsage, "wrong_usage", 503, "the peer's certificate is not meant for its side of a connection";
    ChainTooLong, "chain_too_long", 503, "the peer's chain has too many certificates or bytes";
    NameConstraints, "name_constraints", 503, "an authority in the peer's chain has name constraints";
    BadCertificate, "bad_certificate", 503, "the peer's certificate is malformed or its signature is wrong";
    NoCertificate, "no_certificate", 503, "the peer presented no certificate";
    NoAlpn, "no_alpn", 503, "the peer has none of the protocols that are spoken between proxies";
    TlsVersion, "tls_version", 503, "the peer does not speak TLS 1.3 as it is spoken here";
    NotTls, "not_tls", 503, "what came where mutual TLS is demanded is no TLS";
    PeerRefused, "peer_refused", 503, "the peer refused this workload's certificate";
    UpstreamReset, "upstream_reset", 502, "the endpoint closed the connection before it answered";
    UpstreamProtocol, "upstream_protocol", 502, "the endpoint's answer breaks the rules of HTTP";
    RefusedStream, "refused_stream", 503, "the endpoint refused the stream before it looked at it";
    RequestTimeout, "request_timeout", 504, "the request took longer than the rule allows";
    TryTimeout, "try_timeout", 504, "the last try took longer than one may";
    MaxRequests, "max_requests", 503, "the circuit breaker: as many requests as may be are in flight at the service";
    MaxPendingRequests, "max_pending_requests", 503, "the circuit breaker: as many requests as may be wait for a connection";
    MaxConnections, "max_connections", 503, "the circuit breaker: as many connections as may be are open";
    AdaptiveConcurrency, "adaptive_concurrency", 503, "the circuit breaker: more in flight than the service keeps up with";
    FaultInjected, "fault_injected", 503, "a fault policy lets the request fail, with the status that it names";
    Loop, "loop", 502, "the destination is the proxy itself";
    Overloaded, "overloaded", 503, "a limit of the proxy is reached";
    ProtocolMismatch, "protocol_mismatch", 502, "the port is declared for another protocol";
    ClientGone, "client_gone", 0, "the client went away before the answer was complete";
    Internal, "internal", 500, "a fault of the proxy; the request was given up";
    Redirected, "redirected", 302, "the rule sends the client elsewhere, with the status that it names";
}

impl Reason {
    /// Whether the peer did not prove who it must be; of an endpoint this is known before a byte of a
    /// request was sent. That a certificate has expired is not among them: it may be the proxy's own.
    pub fn is_unproved(self) -> bool {
        matches!(
            self,
            Self::TlsFailure
                | Self::WrongIdentity
                | Self::BadSpiffeId
                | Self::WrongTrustDomain
                | Self::CertNotYetValid
                | Self::UnknownRoot
                | Self::SelfSigned
                | Self::CaAsLeaf
                | Self::WrongUsage
                | Self::ChainTooLong
                | Self::NameConstraints
                | Self::BadCertificate
                | Self::NoCertificate
                | Self::NoAlpn
                | Self::TlsVersion
                | Self::NotTls
                | Self::PeerRefused
        )
    }
}
