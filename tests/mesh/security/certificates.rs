//! Peers whose certificates are wrong: as callers they get nothing and are counted, as endpoints they
//! see nothing of a request, and the caller is told; each under a reason of its own.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use meshctl::certs::Authority;
use rcgen::{BasicConstraints, ExtendedKeyUsagePurpose, IsCa};
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, ServerConfig, ServerConnection, StreamOwned};

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

fn wrong(authority: &Authority) -> Vec<(&'static str, Foreign)> {
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
    for (reason, foreign) in wrong(&authority) {
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

/// Stands where an endpoint was, with the certificate that is lent to it, and notes what it hears.
struct Impostor {
    address: SocketAddr,
    lent: Arc<Mutex<Option<Arc<ServerConfig>>>>,
    heard: std::thread::JoinHandle<Vec<u8>>,
}

impl Impostor {
    fn listen(address: SocketAddr) -> Self {
        let listener = TcpListener::bind(address).expect("the port is free");
        let lent = Arc::new(Mutex::new(None));
        let lending = Arc::clone(&lent);
        let heard = std::thread::spawn(move || {
            let mut heard = Vec::new();
            for stream in listener.incoming() {
                let Some(config) = lending.lock().expect("no panic").clone() else { break };
                let session = ServerConnection::new(config).expect("a configuration");
                let mut stream = StreamOwned::new(session, stream.expect("a caller"));
                // What matters is whether a byte came, not how the connection ended.
                let _ = stream.read_to_end(&mut heard);
            }
            heard
        });
        Self { address, lent, heard }
    }

    fn lend(&self, foreign: &Foreign) {
        *self.lent.lock().expect("no panic") = Some(foreign.server());
    }

    /// Everything that it ever heard.
    fn end(self) -> Vec<u8> {
        *self.lent.lock().expect("no panic") = None;
        TcpStream::connect(self.address).expect("it listens");
        self.heard.join().expect("no panic")
    }
}

#[test]
fn an_endpoint_with_a_wrong_certificate_is_not_spoken_to_and_the_caller_is_told_what_is_wrong() {
    let app = Origin::saying("here");
    let mut mesh = with(&app);
    assert_eq!(mesh.call("web").get("app", "/").status, 200);
    let authority = Authority::load(&mesh.home().ca()).expect("it is there");
    // The endpoint goes without the callers being told, and somebody else takes its place.
    mesh.take_control_plane().kill();
    let app = mesh.take("app-0");
    let inbound = app.addresses().inbound;
    app.end();
    let impostor = Impostor::listen(inbound);
    let mut cases = wrong(&authority);
    let web = Foreign::signed(&leaf(&[WEB]), &stolen(&authority));
    cases.push(("wrong_identity", web));
    for (reason, foreign) in cases {
        impostor.lend(&foreign);
        let answer = mesh.call("web").get("app", "/password");
        assert_eq!((answer.status, answer.reason().as_str()), (503, reason));
    }
    assert_eq!(impostor.end(), b"", "nothing of a request may be seen");
}
