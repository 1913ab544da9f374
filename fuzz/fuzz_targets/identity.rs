//! SPIFFE ids as text, and certificates that have them: what is accepted is written as it was read.

#![no_main]

use libfuzzer_sys::fuzz_target;
use meshctl::certs::{inspect, peer_identity, peer_not_after};
use meshctl::names::{Identity, ProxyId, ServiceName, TrustDomain};
use rustls_pki_types::CertificateDer;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(text) = std::str::from_utf8(bytes) {
        if let Ok(identity) = text.parse::<Identity>() {
            assert_eq!(identity.to_string(), text);
        }
        if let Ok(name) = text.parse::<ServiceName>() {
            assert_eq!(name.to_string(), text);
        }
        if let Ok(name) = text.parse::<ProxyId>() {
            assert_eq!(name.to_string(), text);
        }
        // It fails or it does not.
        let _ = text.parse::<TrustDomain>();
    }
    let chain = [CertificateDer::from(bytes)];
    if let Some(identity) = peer_identity(&chain) {
        assert_eq!(identity.to_string().parse(), Ok(identity));
        assert!(peer_not_after(&chain).is_some());
    }
    let _ = inspect::inspect(&chain);
});
