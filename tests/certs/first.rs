//! Who calls without a certificate: only the control plane of the pinned roots is answered to. And
//! who serves by a host name: no workload takes it for one of its own.

use std::sync::Arc;
use std::time::SystemTime;

use arc_swap::ArcSwap;
use meshctl::certs::{
    Authority, ClientAuth, Roots, ServerCertificate, Tls, VerifyFailure, failure_of, peer_identity,
    to_control_plane,
};
use meshctl::names::Identity;

use super::{ALPN, HOUR, authority, credentials, handshake, identity, tls};

fn control_plane(authority: &Authority) -> Arc<Tls> {
    let identity = Identity::of_control_plane(authority.trust_domain().clone());
    let credentials = credentials(authority, &identity, SystemTime::now());
    Tls::new(credentials, authority.roots().clone()).expect("usable")
}

#[tokio::test]
async fn the_control_plane_is_known_by_the_roots_alone() {
    let authority = authority();
    let roots = Roots::from_pem(authority.roots().pem().as_bytes()).expect("roots");
    let server = control_plane(&authority);
    let outcome =
        handshake(to_control_plane(roots, ALPN), server.server_config(ALPN, ClientAuth::Optional))
            .await;
    let seen = peer_identity(&outcome.client.expect("good").chain);
    assert_eq!(seen, Some(Identity::of_control_plane(authority.trust_domain().clone())));
    assert!(outcome.server.expect("good").chain.is_empty(), "nothing was shown");
}

#[tokio::test]
async fn nobody_else_is_taken_for_the_control_plane() {
    let (ours, theirs) = (authority(), authority());
    let refused = async |server: Arc<rustls::ServerConfig>| {
        let outcome = handshake(to_control_plane(ours.roots().clone(), ALPN), server).await;
        failure_of(&outcome.client.expect_err("refused"))
    };
    let workload = tls(&ours, "reviews").server_config(ALPN, ClientAuth::Optional);
    assert_eq!(refused(workload).await, Some(VerifyFailure::WrongIdentity));
    let foreign = control_plane(&theirs).server_config(ALPN, ClientAuth::Optional);
    assert_eq!(refused(foreign).await, Some(VerifyFailure::UnknownRoot));
}

fn webhook(authority: &Authority) -> Arc<rustls::ServerConfig> {
    let names = ["reviews.default".to_owned()];
    let issued = ServerCertificate::issue(authority, &names, HOUR, SystemTime::now());
    let current = Arc::new(ArcSwap::from_pointee(issued.expect("issued")));
    ServerCertificate::server_config(current, ALPN)
}

#[tokio::test]
async fn a_certificate_for_a_host_name_serves_those_who_know_host_names() {
    let authority = authority();
    let mut roots = rustls::RootCertStore::empty();
    roots.add(authority.certificate().clone()).expect("a root");
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut client = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_root_certificates(roots)
        .with_no_client_auth();
    client.alpn_protocols = ALPN.iter().map(|alpn| alpn.to_vec()).collect();
    assert!(handshake(Arc::new(client), webhook(&authority)).await.client.is_ok());
}

#[tokio::test]
async fn a_certificate_for_a_host_name_is_no_workloads() {
    let authority = authority();
    let web = tls(&authority, "web").client_config(&identity("reviews"), ALPN);
    for client in [web, to_control_plane(authority.roots().clone(), ALPN)] {
        let outcome = handshake(client, webhook(&authority)).await;
        let failure = failure_of(&outcome.client.expect_err("refused"));
        assert_eq!(failure, Some(VerifyFailure::BadSpiffeId));
    }
}
