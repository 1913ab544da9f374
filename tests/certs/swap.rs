//! Good connections, and credentials and roots that change beneath configurations in use.

use std::time::SystemTime;

use meshctl::certs::{
    ClientAuth, Roots, Tls, VerifyFailure, failure_of, peer_identity, peer_not_after,
};

use super::{ALPN, HOUR, authority, credentials, handshake, identity, tls};

#[tokio::test]
async fn two_workloads_know_each_other() {
    let authority = authority();
    let (client, server) = (tls(&authority, "web"), tls(&authority, "reviews"));
    let outcome = handshake(
        client.client_config(&identity("reviews"), ALPN),
        server.server_config(ALPN, ClientAuth::Required),
    )
    .await;
    let (seen_by_client, seen_by_server) =
        (outcome.client.expect("good"), outcome.server.expect("good"));
    assert_eq!(peer_identity(&seen_by_client.chain), Some(identity("reviews")));
    assert_eq!(peer_identity(&seen_by_server.chain), Some(identity("web")));
    assert_eq!(peer_not_after(&seen_by_server.chain), Some(client.credentials().not_after()));
    assert_eq!(seen_by_client.alpn.as_deref(), ALPN.first().copied());
    assert_eq!(seen_by_server.alpn.as_deref(), ALPN.first().copied());
    assert_eq!(peer_identity(&[]), None);
}

#[tokio::test]
async fn a_configuration_presents_what_replaced_its_credentials() {
    let authority = authority();
    let (client, server) = (tls(&authority, "web"), tls(&authority, "reviews"));
    let from = client.client_config(&identity("reviews"), ALPN);
    let to = server.server_config(ALPN, ClientAuth::Required);
    for _ in 0..3 {
        for side in [&client, &server] {
            let identity = side.credentials().identity().clone();
            side.replace(credentials(&authority, &identity, SystemTime::now())).expect("own");
        }
        let outcome = handshake(from.clone(), to.clone()).await;
        let seen = outcome.client.expect("good");
        assert_eq!(seen.chain, server.credentials().chain());
        // Nothing was resumed: the server saw the new certificate in full.
        assert_eq!(outcome.server.expect("good").chain, client.credentials().chain());
    }
}

#[tokio::test]
async fn an_expired_leaf_fails_until_it_is_replaced() {
    let authority = authority();
    let (client, server) = (tls(&authority, "web"), tls(&authority, "reviews"));
    let from = client.client_config(&identity("reviews"), ALPN);
    let to = server.server_config(ALPN, ClientAuth::Required);
    let old = credentials(&authority, &identity("reviews"), SystemTime::now() - 2 * HOUR);
    server.replace(old).expect("own, if old");
    let outcome = handshake(from.clone(), to.clone()).await;
    let refused = failure_of(&outcome.client.expect_err("expired"));
    assert_eq!(refused, Some(VerifyFailure::CertExpired));
    let new = credentials(&authority, &identity("reviews"), SystemTime::now());
    server.replace(new).expect("own");
    assert!(handshake(from, to).await.client.is_ok());
}

/// Trust both, issue new, drop old: at every step everybody can talk to everybody.
#[tokio::test]
async fn roots_are_exchanged_without_a_refusal() {
    let (old, new) = (authority(), authority());
    let (client, server) = (tls(&old, "web"), tls(&old, "reviews"));
    let from = client.client_config(&identity("reviews"), ALPN);
    let to = server.server_config(ALPN, ClientAuth::Required);
    let both = Roots::new(old.roots().ders().chain(new.roots().ders()).cloned().collect());
    let both = both.expect("two roots");
    let renew = |side: &Tls, account: &str| {
        let renewed = credentials(&new, &identity(account), SystemTime::now());
        side.replace(renewed).expect("own");
    };
    let steps: [&dyn Fn(); 6] = [
        &|| client.set_roots(both.clone()),
        &|| server.set_roots(both.clone()),
        &|| renew(&server, "reviews"),
        &|| renew(&client, "web"),
        &|| client.set_roots(new.roots().clone()),
        &|| server.set_roots(new.roots().clone()),
    ];
    for (step, change) in steps.iter().enumerate() {
        change();
        let outcome = handshake(from.clone(), to.clone()).await;
        assert!(outcome.client.is_ok() && outcome.server.is_ok(), "step {step}");
    }
    server.replace(credentials(&old, &identity("reviews"), SystemTime::now())).expect("own");
    let outcome = handshake(from, to).await;
    let refused = failure_of(&outcome.client.expect_err("the old root is gone"));
    assert_eq!(refused, Some(VerifyFailure::UnknownRoot));
}
