//! Who joins over the network at a local control plane: hostile requests, and what is counted of them.

use std::sync::Arc;

use meshctl::certs::{JoinToken, PendingKey, to_pinned_control_plane};
use meshctl::names::Identity;
use meshctl::xds::grpc::{Client, Keepalive, channel_over};
use meshctl::xds::identity::{SignRequest, SignResponse};
use rcgen::{CertificateParams, KeyPair, SanType};
use rustls::pki_types::ServerName;
use serde_json::json;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tonic::{Code, Status};

use super::rig::Mesh;

/// A token for `web` that was never used.
async fn token(mesh: &Mesh) -> JoinToken {
    let wanted =
        json!({"namespace": "default", "service": "web", "serviceAccount": "web", "seconds": 60});
    let made = mesh.post("/v1/tokens", &wanted).await.expect("made");
    made["token"].as_str().expect("a text").parse().expect("a token")
}

/// Calls without a certificate, knowing nothing but the root of the token.
fn client(mesh: &Mesh, token: &JoinToken) -> Client {
    let config = to_pinned_control_plane(token.root, &[b"h2"]);
    let address = mesh.address();
    let connect = move || {
        let connector = TlsConnector::from(Arc::clone(&config));
        async move {
            let name = ServerName::try_from("control-plane").expect("a name");
            connector.connect(name, TcpStream::connect(address).await?).await
        }
    };
    Client::new(channel_over(connect, Keepalive::default()))
}

fn web() -> Identity {
    "spiffe://cluster.local/ns/default/sa/web".parse().expect("an identity")
}

fn request(csr: Vec<u8>, token: &str) -> SignRequest {
    SignRequest {
        csr,
        namespace: "default".to_owned(),
        service_account: "web".to_owned(),
        proxy: "web-0".to_owned(),
        token: token.to_owned(),
    }
}

fn csr() -> Vec<u8> {
    PendingKey::generate().expect("a key").csr(&web()).expect("a request")
}

async fn sign(
    mesh: &Mesh,
    token: &JoinToken,
    request: SignRequest,
) -> Result<SignResponse, Status> {
    client(mesh, token).sign(request).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_for_what_was_not_proved_are_refused_and_counted() {
    let mesh = Mesh::start().await;
    let bent = |uri: &str| {
        let mut params = CertificateParams::default();
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.subject_alt_names = vec![SanType::URI(uri.try_into().expect("ASCII"))];
        let key = KeyPair::generate().expect("a key");
        params.serialize_request(&key).expect("a request").der().to_vec()
    };
    let trailing = [csr(), vec![0]].concat();
    let cases = [
        (
            "another's name",
            bent("spiffe://cluster.local/ns/default/sa/payments"),
            Code::PermissionDenied,
        ),
        ("trailing bytes", trailing, Code::InvalidArgument),
        ("a mebibyte", vec![0x30; 1 << 20], Code::InvalidArgument),
        (
            "a weak key",
            include_bytes!("../../testdata/certs/rsa-512.csr.der").to_vec(),
            Code::InvalidArgument,
        ),
    ];
    for (case, csr, wanted) in cases {
        let token = token(&mesh).await;
        let refused = sign(&mesh, &token, request(csr, &token.proof())).await;
        assert_eq!(refused.err().map(|status| status.code()), Some(wanted), "{case}");
    }
    let token = token(&mesh).await;
    let signed = sign(&mesh, &token, request(csr(), &token.proof())).await;
    assert_eq!(signed.expect("a good one is signed").chain.len(), 1);
    let metrics = mesh.text("/metrics").await;
    for (reason, count) in [("permission_denied", 1), ("invalid_argument", 3)] {
        let line = format!(
            "meshctl_control_plane_refused_total{{what=\"certificate\",reason=\"{reason}\"}} {count}\n"
        );
        assert!(metrics.contains(&line), "{reason}: {metrics}");
    }
    mesh.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tokens_are_refused_alike_and_not_for_long() {
    let mesh = Mesh::start().await;
    let token = token(&mesh).await;
    let mut said = std::collections::BTreeSet::new();
    let mut shown = Vec::new();
    for digit in 0..token.proof().len() {
        let mut bent = token.proof().into_bytes();
        bent[digit] = if bent[digit] == b'0' { b'1' } else { b'0' };
        shown.push(String::from_utf8(bent).expect("ASCII"));
    }
    shown.truncate(18);
    shown.extend([String::new(), "a".repeat(64 * 1024)]);
    for proof in shown {
        let status = sign(&mesh, &token, request(csr(), &proof)).await.expect_err("refused");
        said.insert((status.code() as i32, status.message().to_owned()));
    }
    assert_eq!(said.len(), 1, "{said:?}");
    let shut = sign(&mesh, &token, request(csr(), &token.proof())).await.expect_err("too many");
    assert_eq!(shut.code(), Code::ResourceExhausted);
    assert!(!said.contains(&(shut.code() as i32, shut.message().to_owned())));
    let listed = mesh.get("/v1/tokens").await;
    assert_eq!(listed["tokens"][0]["state"], "Unused", "{listed:#}");
    let mesh = mesh.restart().await;
    assert_eq!(mesh.get("/v1/tokens").await["tokens"], listed["tokens"], "kept over a restart");
    let signed = sign(&mesh, &token, request(csr(), &token.proof())).await;
    assert!(signed.is_ok(), "the same token, at last: {signed:?}");
    mesh.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_has_no_certificate_gets_nothing_but_signatures() {
    let mesh = Mesh::start().await;
    let token = token(&mesh).await;
    let nobody = tokio_stream::pending();
    let refused = client(&mesh, &token).delta(nobody).await.err().expect("refused");
    assert_eq!(refused.code(), Code::Unimplemented);
    mesh.stop().await;
}
