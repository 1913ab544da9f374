//! The authority, requests, credentials on disk, and renewal. Handshakes are in `tests/certs.rs`.

use std::time::{Duration, SystemTime};

use proptest::prelude::*;
use rcgen::{
    BasicConstraints, CertificateParams, CustomExtension, DistinguishedName, DnType, IsCa, KeyPair,
    KeyUsagePurpose, SanType,
};

use super::ca::{LONGEST_LIFE, ROOT_LIFE, SHORTEST_LIFE};
use super::*;
use crate::names::Identity;
use crate::net::file::PrivateFileError;

const HOUR: Duration = Duration::from_secs(3_600);

fn now() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_900_000_000)
}

fn reviews() -> Identity {
    "spiffe://cluster.local/ns/default/sa/reviews".parse().expect("an identity")
}

fn authority() -> Authority {
    Authority::create(&reviews().trust_domain, now()).expect("an authority")
}

fn params() -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params
}

fn uri(text: &str) -> SanType {
    SanType::URI(text.try_into().expect("ASCII"))
}

/// What becomes of a request with these parameters and a good key.
fn ask(params: &CertificateParams) -> Result<Issued, SignError> {
    let key = KeyPair::generate().expect("a key");
    let csr = params.serialize_request(&key).expect("a request");
    authority().sign(csr.der(), &reviews(), HOUR, now())
}

fn issue(authority: &Authority, identity: &Identity) -> Credentials {
    let key = PendingKey::generate().expect("a key");
    let csr = key.csr(identity).expect("a request");
    let issued = authority.sign(&csr, identity, HOUR, now()).expect("signed");
    key.finish(issued.chain, authority.roots(), identity).expect("good credentials")
}

#[test]
fn a_leaf_says_what_was_asked_and_nothing_more() {
    let authority = authority();
    let credentials = issue(&authority, &reviews());
    assert_eq!(credentials.identity(), &reviews());
    assert_eq!(credentials.issued(), now());
    assert_eq!(credentials.not_before(), now() - BACKDATE);
    assert_eq!(credentials.not_after(), now() + HOUR);
    assert!(credentials.is_valid(now()) && !credentials.is_valid(now() + HOUR));
    assert_eq!(credentials.remaining(now()), HOUR);
    assert_eq!(Some(credentials.root()), authority.roots().fingerprints().next());
    let leaf = credentials.chain().first().expect("a leaf");
    let (_, parsed) = x509_parser::parse_x509_certificate(leaf).expect("a certificate");
    assert!(!parsed.is_ca());
    assert!(parsed.subject().iter().next().is_none());
    let usage = parsed.extended_key_usage().expect("reads").expect("is there").value;
    assert!(usage.server_auth && usage.client_auth && !usage.any && usage.other.is_empty());
    let usage = parsed.key_usage().expect("reads").expect("is there").value;
    assert!(usage.digital_signature() && !usage.key_cert_sign());
    let names = parsed.subject_alternative_name().expect("reads").expect("is there").value;
    assert_eq!(names.general_names.len(), 1);
    assert!(parsed.extensions().iter().any(|extension| {
        extension.oid == x509_parser::oid_registry::OID_X509_EXT_AUTHORITY_KEY_IDENTIFIER
    }));
    let shown = inspect::of_credentials(&credentials);
    assert_eq!(shown.serial, credentials.serial());
    assert!(shown.pem.starts_with("-----BEGIN CERTIFICATE-----\n"));
    assert_eq!(
        inspect::inspect(credentials.chain()).expect("reads").fingerprint,
        shown.fingerprint
    );
}

#[test]
fn serial_numbers_are_random_for_one_key_too() {
    let (authority, key) = (authority(), PendingKey::generate().expect("a key"));
    let csr = key.csr(&reviews()).expect("a request");
    let sign = || authority.sign(&csr, &reviews(), HOUR, now()).expect("signed");
    let (one, other) = (sign(), sign());
    assert_eq!(one.serial.len(), 32);
    assert_ne!(one.serial, other.serial);
}

#[test]
fn lives_are_clamped_and_end_before_the_root() {
    let (authority, key) = (authority(), PendingKey::generate().expect("a key"));
    let csr = key.csr(&reviews()).expect("a request");
    let end = |life, at| authority.sign(&csr, &reviews(), life, at).map(|issued| issued.not_after);
    assert_eq!(end(Duration::ZERO, now()).expect("signed"), now() + SHORTEST_LIFE);
    assert_eq!(end(100 * ROOT_LIFE, now()).expect("signed"), now() + LONGEST_LIFE);
    let last_hour = now() + ROOT_LIFE - HOUR;
    assert_eq!(end(24 * HOUR, last_hour).expect("signed"), now() + ROOT_LIFE);
    assert!(matches!(end(HOUR, now() + ROOT_LIFE), Err(SignError::RootExpired)));
}

#[test]
fn another_mesh_is_not_signed_for() {
    let other: Identity = "spiffe://other.example/ns/default/sa/reviews".parse().expect("one");
    let csr = PendingKey::generate().expect("a key").csr(&other).expect("a request");
    let refused = authority().sign(&csr, &other, HOUR, now());
    assert!(matches!(refused, Err(SignError::TrustDomain { .. })));
}

#[test]
fn wishes_beyond_the_proved_identity_are_refused() {
    let own = reviews().to_string();
    let names = [
        vec![uri("spiffe://cluster.local/ns/default/sa/ratings")],
        vec![uri(&own), uri(&own)],
        vec![uri(&own), SanType::DnsName("reviews".try_into().expect("ASCII"))],
        vec![SanType::DnsName("reviews".try_into().expect("ASCII"))],
        vec![SanType::IpAddress([127, 0, 0, 1].into())],
    ];
    for names in names {
        let mut params = params();
        params.subject_alt_names = names.clone();
        assert!(matches!(ask(&params), Err(SignError::Refused(_))), "{names:?}");
    }
    let mut named = params();
    named.distinguished_name.push(DnType::CommonName, "ratings");
    let mut authority = params();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let mut signer = params();
    signer.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    let mut odd = params();
    odd.custom_extensions =
        vec![CustomExtension::from_oid_content(&[1, 3, 6, 1, 4, 1], vec![5, 0])];
    for params in [named, authority, signer, odd] {
        assert!(matches!(ask(&params), Err(SignError::Refused(_))), "{params:?}");
    }
    let mut harmless = params();
    harmless.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    harmless.subject_alt_names = vec![uri(&own)];
    assert!(ask(&harmless).is_ok() && ask(&params()).is_ok());
}

#[test]
fn keys_other_than_p256_are_refused() {
    for algorithm in [&rcgen::PKCS_ECDSA_P384_SHA384, &rcgen::PKCS_ED25519, &rcgen::PKCS_RSA_SHA256]
    {
        let key = KeyPair::generate_for(algorithm).expect("a key");
        let csr = params().serialize_request(&key).expect("a request");
        let refused = authority().sign(csr.der(), &reviews(), HOUR, now());
        assert!(matches!(refused, Err(SignError::Malformed(_))), "{algorithm:?}");
    }
}

/// The crate that makes the other requests makes none so weak.
#[test]
fn a_key_that_is_easily_broken_is_refused() {
    let der = include_bytes!("../../testdata/certs/rsa-512.csr.der");
    let refused = authority().sign(der, &reviews(), HOUR, now());
    assert!(matches!(refused, Err(SignError::Malformed(_))), "{refused:?}");
}

#[test]
fn requests_that_prove_nothing_are_refused() {
    let authority = authority();
    let csr = PendingKey::generate().expect("a key").csr(&reviews()).expect("a request");
    let refused = |der: &[u8]| {
        let signed = authority.sign(der, &reviews(), HOUR, now());
        assert!(matches!(signed, Err(SignError::Malformed(_))), "{signed:?}");
    };
    refused(b"");
    refused(&[0x30; 300]);
    refused(&[csr.as_slice(), &[0]].concat());
    refused(&vec![0x30; 1 << 20]);
    for end in (0..csr.len()).step_by(7) {
        refused(csr.get(..end).expect("inside"));
    }
}

#[test]
fn a_bent_request_gets_no_other_key_signed() {
    let authority = authority();
    let csr = PendingKey::generate().expect("a key").csr(&reviews()).expect("a request");
    let sign = |der: &[u8]| authority.sign(der, &reviews(), HOUR, now());
    let key_of = |issued: &Issued| {
        let leaf = issued.chain.first().expect("a leaf");
        let (_, parsed) = x509_parser::parse_x509_certificate(leaf).expect("a certificate");
        parsed.public_key().raw.to_vec()
    };
    let key = key_of(&sign(&csr).expect("signed"));
    let mut signed = Vec::new();
    for at in 0..csr.len() {
        let mut bent = csr.clone();
        *bent.get_mut(at).expect("inside") ^= 1;
        if let Ok(issued) = sign(&bent) {
            assert_eq!(key_of(&issued), key, "byte {at} of {bent:02x?}");
            signed.push(at);
        }
    }
    // The parser does not mind the tag of the signature's algorithm, which is not signed itself.
    assert!(signed.len() <= 1, "{signed:?}");
}

proptest! {
    #[test]
    fn no_request_panics(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        let authority = authority();
        prop_assert!(authority.sign(&bytes, &reviews(), HOUR, now()).is_err());
    }
}

#[test]
fn what_comes_back_is_held_against_what_was_asked() {
    let (authority, other) = (authority(), authority());
    let pending = || PendingKey::generate().expect("a key");
    let sign = |authority: &Authority, key: &PendingKey, identity: &Identity| {
        let csr = key.csr(identity).expect("a request");
        authority.sign(&csr, identity, HOUR, now()).expect("signed").chain
    };
    let roots = authority.roots();
    let key = pending();
    let chain = sign(&other, &key, &reviews());
    let failed = key.finish(chain, roots, &reviews());
    assert!(
        matches!(failed, Err(CredentialError::Chain(VerifyFailure::UnknownRoot))),
        "{failed:?}"
    );
    let chain = sign(&authority, &pending(), &reviews());
    let failed = pending().finish(chain, roots, &reviews());
    assert!(matches!(failed, Err(CredentialError::Key)), "{failed:?}");
    let key = pending();
    let ratings = "spiffe://cluster.local/ns/default/sa/ratings".parse().expect("an identity");
    let chain = sign(&authority, &key, &ratings);
    let failed = key.finish(chain, roots, &reviews());
    assert!(matches!(failed, Err(CredentialError::Identity)), "{failed:?}");
    let failed = pending().finish(Vec::new(), roots, &reviews());
    assert!(matches!(failed, Err(CredentialError::Empty)), "{failed:?}");
}

#[test]
fn credentials_and_roots_survive_a_restart() {
    let home = tempfile::tempdir().expect("a directory");
    let authority = authority();
    let credentials = issue(&authority, &reviews());
    authority.roots().save(home.path()).expect("saves");
    credentials.save(home.path()).expect("saves");
    let roots = Roots::load(home.path()).expect("loads");
    let loaded = Credentials::load(home.path(), &roots).expect("loads");
    assert_eq!(loaded.chain(), credentials.chain());
    assert_eq!(loaded.key().secret_pkcs8_der(), credentials.key().secret_pkcs8_der());
    assert_eq!(loaded.serial(), credentials.serial());
    let foreign = self::authority();
    let failed = Credentials::load(home.path(), foreign.roots());
    assert!(matches!(failed, Err(CredentialError::Chain(VerifyFailure::UnknownRoot))));
    std::fs::write(home.path().join("identity.pem"), "nothing").expect("writes");
    let failed = Credentials::load(home.path(), &roots);
    assert!(matches!(failed, Err(CredentialError::Content(_))));
}

#[test]
fn an_authority_survives_a_restart_and_refuses_open_files() {
    use std::os::unix::fs::PermissionsExt as _;
    let home = tempfile::tempdir().expect("a directory");
    assert!(!Authority::exists(home.path()));
    let saved = authority();
    saved.save(home.path()).expect("saves");
    assert!(Authority::exists(home.path()));
    let loaded = Authority::load(home.path()).expect("loads");
    assert_eq!(loaded.certificate(), saved.certificate());
    assert_eq!(loaded.trust_domain(), saved.trust_domain());
    assert_eq!(loaded.not_after(), now() + ROOT_LIFE);
    let credentials = issue(&loaded, &reviews());
    assert_eq!(Some(credentials.root()), saved.roots().fingerprints().next());

    let key = home.path().join("root.key");
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o644)).expect("changes");
    let refused = Authority::load(home.path()).expect_err("others may read the key");
    assert!(matches!(refused, AuthorityError::File(PrivateFileError::Mode { .. })));
    assert!(refused.to_string().contains("chmod 600"), "{refused}");

    let elsewhere = tempfile::tempdir().expect("a directory");
    authority().save(elsewhere.path()).expect("saves");
    std::fs::remove_file(&key).expect("removes");
    std::fs::copy(elsewhere.path().join("root.key"), &key).expect("copies");
    let refused = Authority::load(home.path()).expect_err("the key is another's");
    assert!(matches!(refused, AuthorityError::Damaged(..)), "{refused}");
}

#[test]
fn only_own_credentials_replace_own() {
    let authority = authority();
    let tls = Tls::new(issue(&authority, &reviews()), authority.roots().clone()).expect("usable");
    let ratings = "spiffe://cluster.local/ns/default/sa/ratings".parse().expect("an identity");
    assert!(matches!(tls.replace(issue(&authority, &ratings)), Err(CredentialError::Identity)));
    let next = issue(&authority, &reviews());
    let serial = next.serial().to_owned();
    tls.replace(next).expect("our own");
    assert_eq!(tls.credentials().serial(), serial);
    let config = |alpn: &[u8]| tls.client_config(&ratings, &[alpn]);
    assert!(std::sync::Arc::ptr_eq(&config(b"a"), &config(b"a")));
    assert!(!std::sync::Arc::ptr_eq(&config(b"a"), &config(b"b")));
}

proptest! {
    #[test]
    fn renewal_is_at_half_of_the_life(life in 10_u64..10_000_000, random in any::<u64>()) {
        let life = Duration::from_secs(life);
        let due = renewal::due(now(), now() + life, random);
        prop_assert!(life.mul_f64(0.489_999) <= due && due <= life.mul_f64(0.510_001));
    }

    #[test]
    fn pem_reads_back(bytes in prop::collection::vec(any::<u8>(), 1..400)) {
        let der = rustls::pki_types::CertificateDer::from(bytes);
        let text = pem::of_certificates(&[der.clone(), der.clone()]);
        prop_assert_eq!(pem::certificates(text.as_bytes()), Some(vec![der.clone(), der]));
    }
}

#[test]
fn failures_have_distinct_words_and_survive_rustls() {
    let words: std::collections::HashSet<_> =
        VerifyFailure::ALL.iter().map(|failure| failure.as_str()).collect();
    assert_eq!(words.len(), VerifyFailure::ALL.len());
    for failure in VerifyFailure::ALL {
        let error = std::io::Error::other(failure.into_rustls());
        assert_eq!(failure_of(&error), Some(*failure));
        assert_eq!(failure_of(&std::io::Error::other(error)), Some(*failure));
    }
    assert_eq!(failure_of(&std::io::ErrorKind::ConnectionReset.into()), None);
}

#[test]
fn an_authority_is_read_from_pem_or_the_damaged_part_is_named() {
    let made = authority();
    let (root, key) = (made.roots().pem(), made.key_pem());
    let read = Authority::from_pem(root.as_bytes(), key.as_bytes()).expect("reads");
    assert_eq!(read.certificate(), made.certificate());
    let flaw = |root: &str, key: &str| {
        let refused = Authority::from_pem(root.as_bytes(), key.as_bytes());
        refused.expect_err("damaged").part
    };
    assert_eq!(flaw("", &key), "root.pem");
    assert_eq!(flaw(&root, ""), "root.key");
    assert_eq!(flaw(&root, &authority().key_pem()), "root.pem");
}
