//! Who gets a certificate for what.

use std::time::Duration;

use tonic::Code;

use super::*;
use crate::certs::ca::{LONGEST_LIFE, SHORTEST_LIFE};
use crate::control::run::tests::Bed;
use crate::names::Namespace;
use crate::rules::{Document, Options, UnknownKinds, parse};

const USER: u32 = 1_000;

const DENIED: Result<(), Code> = Err(Code::PermissionDenied);

fn request(namespace: &str, account: &str) -> SignRequest {
    SignRequest {
        csr: vec![0; 100],
        namespace: namespace.to_owned(),
        service_account: account.to_owned(),
        proxy: "reviews-0".to_owned(),
        token: String::new(),
    }
}

fn claimed(namespace: &str, account: &str) -> Claim {
    claim(&request(namespace, account), &"cluster.local".parse().expect("valid")).expect("valid")
}

fn code(outcome: Result<(), Status>) -> Result<(), Code> {
    outcome.map_err(|status| status.code())
}

#[test]
fn the_same_user_gets_what_it_claims_and_another_nothing() {
    let reviews = claimed("default", "reviews");
    assert_eq!(reviews.identity.to_string(), "spiffe://cluster.local/ns/default/sa/reviews");
    assert_eq!(code(by_user(USER, USER, &reviews)), Ok(()));
    assert_eq!(code(by_user(USER + 1, USER, &reviews)), DENIED);
    assert_eq!(code(by_user(0, USER, &reviews)), DENIED);
}

#[test]
fn nobody_becomes_the_control_plane_by_joining() {
    let control_plane = claimed("meshctl-system", Identity::CONTROL_PLANE_ACCOUNT);
    assert_eq!(code(by_user(USER, USER, &control_plane)), DENIED);
    assert_eq!(code(may_join(&control_plane)), DENIED);
}

#[test]
fn a_certificate_renews_itself_and_nothing_else() {
    let reviews = "spiffe://cluster.local/ns/default/sa/reviews".parse().expect("valid");
    assert_eq!(code(by_certificate(&reviews, &claimed("default", "reviews"))), Ok(()));
    assert_eq!(code(by_certificate(&reviews, &claimed("default", "ratings"))), DENIED);
    assert_eq!(code(by_certificate(&reviews, &claimed("shop", "reviews"))), DENIED);
    let foreign = "spiffe://other.example/ns/default/sa/reviews".parse().expect("valid");
    assert_eq!(code(by_certificate(&foreign, &claimed("default", "reviews"))), DENIED);
}

#[test]
fn a_token_is_good_for_its_own_pod_and_account() {
    let bearer = |namespace: &str, account: &str| Bearer {
        namespace: namespace.parse().expect("valid"),
        service_account: account.parse().expect("valid"),
        pod: None,
    };
    let pod = |name: &str| PodId { name: name.parse().expect("valid"), uid: "1".to_owned() };
    let claim = claimed("default", "reviews");
    let own = bearer("default", "reviews");
    assert_eq!(by_pod(&own, &pod("reviews-0"), &claim), Ok(()));
    let others = [
        (bearer("shop", "reviews"), pod("reviews-0")),
        (bearer("default", "ratings"), pod("reviews-0")),
        (own, pod("reviews-1")),
    ];
    for (bearer, pod) in others {
        let outcome = by_pod(&bearer, &pod, &claim);
        assert!(matches!(outcome, Err(TokenError::Refused(_))), "{bearer:?} {pod:?}: {outcome:?}");
    }
}

/// It was 15 KiB: for each certificate a room was touched and given back that the next stream then kept.
#[tokio::test]
async fn a_signature_takes_little_room() {
    let Bed { plane, dir: _dir, .. } = Bed::new();
    let (peer, request) = (Peer::default(), request("default", "reviews"));
    let signed = size_of_val(&sign(&plane, &peer, &request));
    assert!(signed <= 4096, "{signed}");
}

#[test]
fn what_is_no_name_or_too_long_is_refused() {
    let domain: TrustDomain = "cluster.local".parse().expect("valid");
    let refused = |request: &SignRequest| claim(request, &domain).map(drop);
    for (namespace, account) in [("../x", "a"), ("default", ""), ("Default", "a"), ("a", "b/c")] {
        assert_eq!(code(refused(&request(namespace, account))), Err(Code::InvalidArgument));
    }
    let long = SignRequest { csr: vec![0; CSR_BYTES + 1], ..request("default", "reviews") };
    assert_eq!(code(refused(&long)), Err(Code::InvalidArgument));
}

#[test]
fn a_token_is_never_printed() {
    let asked = SignRequest { token: "secret".to_owned(), ..request("default", "reviews") };
    assert!(!format!("{asked:?}").contains("secret"), "{asked:?}");
}

/// A year was taken, and thirty days were issued.
#[test]
fn a_life_that_rules_may_ask_for_is_issued() {
    let taken = |life: Duration| {
        let (seconds, ms) = (life.as_secs(), life.subsec_millis());
        let text = format!(
            "apiVersion: meshctl.dev/v1alpha1\nkind: MeshConfig\nmetadata: {{name: default}}\nspec: {{certificates: {{lifetime: {}h{}s{ms}ms}}}}\n",
            seconds / 3_600,
            seconds % 3_600
        );
        let default_namespace = Namespace::default_namespace();
        let options = Options { default_namespace, unknown_kinds: UnknownKinds::Refuse };
        !parse(&[Document { source: "x.yaml".to_owned(), text }], &options).has_errors()
    };
    let step = Duration::from_millis(1);
    assert!(taken(SHORTEST_LIFE) && taken(LONGEST_LIFE));
    assert!(!taken(SHORTEST_LIFE - step) && !taken(LONGEST_LIFE + step));
}
