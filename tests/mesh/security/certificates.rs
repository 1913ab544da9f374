//! Callers whose certificates are wrong: each gets nothing, and is counted under a reason of its own.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use meshctl::certs::Authority;
use rcgen::{BasicConstraints, ExtendedKeyUsagePurpose, IsCa};
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, StreamOwned};

use super::with;
use crate::certs::foreign::{Foreign, leaf, nobody, stolen};
use crate::support::{Mesh, Origin, eventually};

const WEB: &str = "spiffe://cluster.local/ns/default/sa/web";

/// Calls and hears nothing.
fn call(config: Arc<ClientConfig>, mesh: &Mesh) {
    let name = ServerName::try_from("app.default").expect("a name");
    let conn = ClientConnection::new(config, name).expect("a configuration");
    let stream = TcpStream::connect(mesh.proxy("app").addresses().inbound).expect("it listens");
    let mut stream = StreamOwned::new(conn, stream);
    // It may be refused before all is written.
    let _ = stream.write_all(b"GET / HTTP/1.1\r\nhost: app\r\n\r\n");
    let mut heard = Vec::new();
    let _ = stream.read_to_end(&mut heard);
    assert_eq!(heard, b"", "{}", String::from_utf8_lossy(&heard));
}

fn callers(authority: &Authority) -> Vec<(&'static str, Foreign)> {
    let ours = stolen(authority);
    let other = Authority::create(authority.trust_domain(), SystemTime::now()).expect("made");
    let signed = |params| Foreign::signed(&params, &ours);
    let bent = |bend: fn(&mut rcgen::CertificateParams)| {
        let mut params = leaf(&[WEB]);
        bend(&mut params);
        Foreign::signed(&params, &ours)
    };
    let mut long = signed(leaf(&[WEB]));
    long.chain.push(CertificateDer::from(vec![0x30; 50_000]));
    vec![
        ("bad_spiffe_id", signed(leaf(&[WEB, "spiffe://cluster.local/ns/default/sa/app"]))),
        ("bad_spiffe_id", signed(leaf(&["spiffe://cluster.local/ns/default/sa/web\0"]))),
        ("bad_spiffe_id", signed(leaf(&["spiffe://cluster.local/../admin"]))),
        ("ca_as_leaf", bent(|it| it.is_ca = IsCa::Ca(BasicConstraints::Unconstrained))),
        (
            "cert_expired",
            bent(|it| it.not_after = (SystemTime::now() - Duration::from_secs(1)).into()),
        ),
        (
            "wrong_usage",
            bent(|it| it.extended_key_usages = vec![ExtendedKeyUsagePurpose::CodeSigning]),
        ),
        ("wrong_trust_domain", signed(leaf(&["spiffe://other.example/ns/default/sa/web"]))),
        ("self_signed", Foreign::self_signed(&leaf(&[WEB]))),
        ("unknown_root", Foreign::signed(&leaf(&[WEB]), &stolen(&other))),
        ("chain_too_long", long),
    ]
}

#[test]
fn each_wrong_certificate_is_refused_and_counted_under_its_own_reason() {
    let app = Origin::saying("secret");
    let mesh = with(&app);
    let authority = Authority::load(&mesh.home().ca()).expect("it is there");
    let mut expected = std::collections::BTreeMap::new();
    for (reason, foreign) in callers(&authority) {
        call(foreign.client(), &mesh);
        *expected.entry(reason).or_insert(0) += 1;
    }
    call(nobody(), &mesh);
    expected.insert("no_certificate", 1);
    let mut plain = TcpStream::connect(mesh.proxy("app").addresses().inbound).expect("listens");
    plain.write_all(b"GET / HTTP/1.1\r\nhost: app\r\n\r\n").expect("sent");
    let _ = plain.read_to_end(&mut Vec::new());
    expected.insert("not_tls", 1);
    for (reason, count) in expected {
        eventually(reason, || {
            let text = mesh.proxy("app").ask("/metrics").text();
            let mine = |line: &&str| {
                line.starts_with("istio_requests_total{")
                    && line.contains("reporter=\"destination\"")
                    && line.contains(&format!("response_flags=\"{reason}\""))
            };
            let counts = text.lines().filter(mine).filter_map(|line| line.rsplit(' ').next());
            let sum: u32 = counts.filter_map(|count| count.parse::<u32>().ok()).sum();
            (sum == count).then_some(())
        });
    }
    assert_eq!(app.connections(), 0);
}
