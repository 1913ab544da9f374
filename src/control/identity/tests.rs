//! Who gets a certificate for what.

use tonic::Code;

use super::*;

const USER: u32 = 1_000;

fn request(namespace: &str, account: &str) -> SignRequest {
    SignRequest {
        csr: vec![0; 100],
        namespace: namespace.to_owned(),
        service_account: account.to_owned(),
        proxy: "reviews-0".to_owned(),
        token: String::new(),
    }
}

fn domain() -> TrustDomain {
    "cluster.local".parse().expect("valid")
}

fn certified(uri: &str) -> Peer {
    Peer { identity: Some(uri.parse().expect("valid")), unix_uid: None }
}

fn code(peer: &Peer, request: &SignRequest) -> Result<String, Code> {
    let proven = proven(peer, request, &domain(), USER);
    proven.map(|identity| identity.to_string()).map_err(|status| status.code())
}

#[test]
fn the_same_user_gets_what_it_claims_and_another_nothing() {
    let local = |uid| Peer { identity: None, unix_uid: Some(uid) };
    let asked = request("default", "reviews");
    let reviews = "spiffe://cluster.local/ns/default/sa/reviews";
    assert_eq!(code(&local(USER), &asked).as_deref(), Ok(reviews));
    assert_eq!(code(&local(USER + 1), &asked), Err(Code::PermissionDenied));
    assert_eq!(code(&local(0), &asked), Err(Code::PermissionDenied));
    assert_eq!(code(&Peer::default(), &asked), Err(Code::Unauthenticated));
}

#[test]
fn nobody_becomes_the_control_plane_by_joining() {
    let local = Peer { identity: None, unix_uid: Some(USER) };
    let asked = request("meshctl-system", Identity::CONTROL_PLANE_ACCOUNT);
    assert_eq!(code(&local, &asked), Err(Code::PermissionDenied));
}

#[test]
fn a_certificate_renews_itself_and_nothing_else() {
    let reviews = certified("spiffe://cluster.local/ns/default/sa/reviews");
    assert!(code(&reviews, &request("default", "reviews")).is_ok());
    assert_eq!(code(&reviews, &request("default", "ratings")), Err(Code::PermissionDenied));
    assert_eq!(code(&reviews, &request("shop", "reviews")), Err(Code::PermissionDenied));
    let foreign = certified("spiffe://other.example/ns/default/sa/reviews");
    assert_eq!(code(&foreign, &request("default", "reviews")), Err(Code::PermissionDenied));
}

#[test]
fn what_is_no_name_or_too_long_is_refused() {
    let local = Peer { identity: None, unix_uid: Some(USER) };
    for (namespace, account) in [("../x", "a"), ("default", ""), ("Default", "a"), ("a", "b/c")] {
        assert_eq!(code(&local, &request(namespace, account)), Err(Code::InvalidArgument));
    }
    let long = SignRequest { csr: vec![0; CSR_BYTES + 1], ..request("default", "reviews") };
    assert_eq!(code(&local, &long), Err(Code::InvalidArgument));
}
