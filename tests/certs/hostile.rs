//! Every kind of certificate that must be refused is refused, on both sides, with its own reason.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use meshctl::certs::{ClientAuth, Tls, VerifyFailure, failure_of};
use rcgen::{BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, SanType};
use rustls::pki_types::CertificateDer;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_rustls::TlsAcceptor;

use super::foreign::{Foreign, browser, leaf, nobody, stolen};
use super::{ALPN, HOUR, authority, credentials, handshake, identity, tls};

const WEB: &str = "spiffe://cluster.local/ns/default/sa/web";

/// Why a server of ours refuses this caller.
async fn as_caller(server: &Tls, foreign: &Foreign) -> Option<VerifyFailure> {
    let config = server.server_config(ALPN, ClientAuth::Required);
    let outcome = handshake(foreign.client(), config).await;
    assert!(outcome.client.is_err(), "the caller must not get an answer");
    failure_of(&outcome.server.expect_err("the server must refuse"))
}

/// Why a client of ours that expects `web` refuses this server.
async fn as_server(client: &Tls, foreign: &Foreign) -> Option<VerifyFailure> {
    let config = client.client_config(&identity("web"), ALPN);
    let outcome = handshake(config, foreign.server()).await;
    assert!(outcome.server.is_err(), "the server must not hear from us");
    failure_of(&outcome.client.expect_err("the client must refuse"))
}

async fn both_refuse(case: &str, ours: &Tls, foreign: &Foreign, wanted: VerifyFailure) {
    assert_eq!(as_caller(ours, foreign).await, Some(wanted), "{case}, as a caller");
    assert_eq!(as_server(ours, foreign).await, Some(wanted), "{case}, as a server");
}

#[tokio::test]
async fn bent_leaves_of_our_own_root_are_refused() {
    let authority = authority();
    let (ours, issuer) = (tls(&authority, "reviews"), stolen(&authority));
    let mut expired = leaf(&[WEB]);
    expired.not_after = (SystemTime::now() - Duration::from_secs(1)).into();
    let mut early = leaf(&[WEB]);
    early.not_before = (SystemTime::now() + Duration::from_secs(60)).into();
    let mut of_host = leaf(&[]);
    of_host.subject_alt_names = vec![SanType::DnsName("web".try_into().expect("ASCII"))];
    let mut ca = leaf(&[WEB]);
    ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let mut usage = leaf(&[WEB]);
    usage.extended_key_usages = vec![ExtendedKeyUsagePurpose::CodeSigning];
    let cases = [
        ("expired", expired, VerifyFailure::CertExpired),
        ("not yet valid", early, VerifyFailure::CertNotYetValid),
        ("no URI", of_host, VerifyFailure::BadSpiffeId),
        ("an authority", ca, VerifyFailure::CaAsLeaf),
        ("for code", usage, VerifyFailure::WrongUsage),
        ("two URIs", leaf(&[WEB, WEB]), VerifyFailure::BadSpiffeId),
        ("no name at all", leaf(&[]), VerifyFailure::BadSpiffeId),
    ];
    for (case, params, wanted) in cases {
        both_refuse(case, &ours, &Foreign::signed(&params, &issuer), wanted).await;
    }
    for uri in [
        "spiffe://cluster.local/../admin",
        "spiffe://cluster.local/ns/default/sa/web/../admin",
        "spiffe://CLUSTER.local/ns/default/sa/web",
        "spiffe://cluster.local:1/ns/default/sa/web",
        "spiffe://cluster.local//ns/default/sa/web",
        "spiffe://cluster.local/ns/default/sa/%77eb",
        "spiffe://cluster.local/ns/default/sa/web\0",
        "https://cluster.local/ns/default/sa/web",
    ] {
        let foreign = Foreign::signed(&leaf(&[uri]), &issuer);
        both_refuse(uri, &ours, &foreign, VerifyFailure::BadSpiffeId).await;
    }
    let foreign = Foreign::signed(&leaf(&["spiffe://other.example/ns/default/sa/web"]), &issuer);
    both_refuse("other mesh, our root", &ours, &foreign, VerifyFailure::WrongTrustDomain).await;
}

#[tokio::test]
async fn a_good_leaf_made_the_same_way_is_accepted() {
    let authority = authority();
    let (ours, issuer) = (tls(&authority, "reviews"), stolen(&authority));
    let foreign = Foreign::signed(&leaf(&[WEB]), &issuer);
    let required = ours.server_config(ALPN, ClientAuth::Required);
    assert!(handshake(foreign.client(), required).await.server.is_ok());
    let expecting = ours.client_config(&identity("web"), ALPN);
    assert!(handshake(expecting, foreign.server()).await.client.is_ok());
}

#[tokio::test]
async fn other_roots_are_refused() {
    let (ours, foreign_root) = (tls(&authority(), "reviews"), stolen(&authority()));
    let cases = [
        (Foreign::signed(&leaf(&[WEB]), &foreign_root), VerifyFailure::UnknownRoot),
        (Foreign::self_signed(&leaf(&[WEB])), VerifyFailure::SelfSigned),
        (
            Foreign::signed(&leaf(&["spiffe://other.example/ns/default/sa/web"]), &foreign_root),
            VerifyFailure::WrongTrustDomain,
        ),
    ];
    for (foreign, wanted) in &cases {
        both_refuse("another root", &ours, foreign, *wanted).await;
    }
}

#[tokio::test]
async fn only_the_expected_workload_is_talked_to() {
    let authority = authority();
    let ours = tls(&authority, "reviews");
    let foreign = Foreign::signed(
        &leaf(&["spiffe://cluster.local/ns/default/sa/ratings"]),
        &stolen(&authority),
    );
    assert_eq!(as_server(&ours, &foreign).await, Some(VerifyFailure::WrongIdentity));
}

#[tokio::test]
async fn long_chains_are_refused_before_they_cost_anything() {
    let authority = authority();
    let (ours, issuer) = (tls(&authority, "reviews"), stolen(&authority));
    let mut many = Foreign::signed(&leaf(&[WEB]), &issuer);
    many.chain.extend(vec![authority.certificate().clone(); 4]);
    let mut large = Foreign::signed(&leaf(&[WEB]), &issuer);
    large.chain.push(CertificateDer::from(vec![0x30; 50_000]));
    for foreign in [many, large] {
        both_refuse("a long chain", &ours, &foreign, VerifyFailure::ChainTooLong).await;
    }
}

#[tokio::test]
async fn an_intermediate_of_our_root_is_followed() {
    let authority = authority();
    let (ours, root) = (tls(&authority, "reviews"), stolen(&authority));
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.use_authority_key_identifier_extension = true;
    let key = rcgen::KeyPair::generate().expect("a key");
    let certificate = params.signed_by(&key, &root).expect("signed");
    let issuer = rcgen::Issuer::new(params, key);
    let mut foreign = Foreign::signed(&leaf(&[WEB]), &issuer);
    foreign.chain.push(certificate.into());
    let required = ours.server_config(ALPN, ClientAuth::Required);
    let outcome = handshake(foreign.client(), required).await;
    assert!(outcome.server.is_ok(), "{:?}", outcome.server);
}

#[tokio::test]
async fn who_presents_nothing_is_refused_where_it_is_required() {
    let ours = tls(&authority(), "reviews");
    let required = ours.server_config(ALPN, ClientAuth::Required);
    let outcome = handshake(nobody(), required).await;
    let refused = failure_of(&outcome.server.expect_err("required"));
    assert_eq!(refused, Some(VerifyFailure::NoCertificate));
    let told = failure_of(&outcome.client.expect_err("required"));
    assert_eq!(told, Some(VerifyFailure::NoCertificate));
    let optional = ours.server_config(ALPN, ClientAuth::Optional);
    let outcome = handshake(nobody(), optional).await;
    assert!(outcome.server.expect("optional").chain.is_empty());
}

#[tokio::test]
async fn a_bad_certificate_is_no_better_than_none_where_it_is_optional() {
    let ours = tls(&authority(), "reviews");
    let foreign = Foreign::self_signed(&leaf(&[WEB]));
    let optional = ours.server_config(ALPN, ClientAuth::Optional);
    let outcome = handshake(foreign.client(), optional).await;
    let refused = failure_of(&outcome.server.expect_err("judged all the same"));
    assert_eq!(refused, Some(VerifyFailure::SelfSigned));
}

#[tokio::test]
async fn the_refused_side_learns_why() {
    let authority = authority();
    let server = tls(&authority, "reviews");
    let old = credentials(&authority, &identity("web"), SystemTime::now() - 2 * HOUR);
    let client = Tls::new(old, authority.roots().clone()).expect("usable");
    let config = client.client_config(&identity("reviews"), ALPN);
    let outcome = handshake(config, server.server_config(ALPN, ClientAuth::Required)).await;
    for error in [outcome.client.expect_err("expired"), outcome.server.expect_err("expired")] {
        assert_eq!(failure_of(&error), Some(VerifyFailure::CertExpired));
    }
    let outcome = handshake(browser(), server.server_config(ALPN, ClientAuth::Optional)).await;
    let refused = failure_of(&outcome.server.expect_err("the caller trusts nobody"));
    assert_eq!(refused, Some(VerifyFailure::PeerRefused));
}

#[tokio::test]
async fn another_protocol_is_refused() {
    let authority = authority();
    let (client, server) = (tls(&authority, "web"), tls(&authority, "reviews"));
    let config = client.client_config(&identity("reviews"), &[b"meshctl/h2"]);
    let outcome = handshake(config, server.server_config(ALPN, ClientAuth::Required)).await;
    for error in [outcome.client.expect_err("no common one"), outcome.server.expect_err("none")] {
        assert_eq!(failure_of(&error), Some(VerifyFailure::NoAlpn));
    }
}

/// A ClientHello without `supported_versions` speaks TLS 1.2 at most (RFC 8446 §4.2.1).
#[tokio::test]
async fn older_tls_and_plain_text_are_refused() {
    let ours = tls(&authority(), "reviews");
    let mut hello = vec![0x16, 3, 1, 0, 45, 1, 0, 0, 41, 3, 3];
    hello.extend([7; 32]);
    hello.extend([0, 0, 2, 0xc0, 0x2b, 1, 0]);
    let cases: [(&[u8], _); 2] = [
        (&hello, VerifyFailure::TlsVersion),
        (b"GET / HTTP/1.1\r\nHost: reviews\r\n\r\n", VerifyFailure::NotTls),
    ];
    for (bytes, wanted) in cases {
        let (mut near, far) = tokio::io::duplex(4_096);
        let config: Arc<_> = ours.server_config(ALPN, ClientAuth::Optional);
        near.write_all(bytes).await.expect("room for it");
        let error = TlsAcceptor::from(config).accept(far).await.expect_err("no TLS 1.3");
        assert_eq!(failure_of(&error), Some(wanted), "{error}");
        let mut answer = Vec::new();
        near.read_to_end(&mut answer).await.expect("closed");
        assert_eq!(answer.first(), Some(&0x15), "an alert and nothing else");
    }
}
