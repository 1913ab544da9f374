//! Outbound: what must not be called.

use std::sync::atomic::AtomicUsize;
use std::time::Instant;

use super::*;
use crate::certs::tls::ClientAuth;
use crate::proxy::directory::Loader;
use crate::proxy::resolve::Resolver;
use crate::proxy::serve::tests::rig::{run, shared, worker};
use crate::proxy::worker::Duties;
use crate::resource::{Mesh, Resource};

#[test]
fn the_own_listeners_are_known_however_they_are_written() {
    let address = |text: &str| text.parse::<SocketAddr>().unwrap();
    for (listener, called, own) in [
        ("127.0.0.1:81", "127.0.0.1:81", true),
        ("127.0.0.1:81", "[::ffff:127.0.0.1]:81", true),
        ("127.0.0.1:81", "0.0.0.0:81", true),
        ("127.0.0.1:81", "[::]:81", true),
        ("127.0.0.1:81", "[::ffff:0.0.0.0]:81", true),
        ("127.0.0.1:81", "127.0.0.1:82", false),
        ("127.0.0.1:81", "192.0.2.1:81", false),
        ("0.0.0.0:81", "127.0.0.1:81", true),
        ("0.0.0.0:81", "[::ffff:127.0.0.2]:81", true),
        // Somebody else's machine may use the same port.
        ("0.0.0.0:81", "192.0.2.1:81", false),
    ] {
        let worker = worker(None, vec![address(listener)]);
        assert_eq!(is_own(&worker, address(called)), own, "{listener} {called}");
    }
}

#[test]
fn a_name_that_leads_to_this_machine_is_refused_but_for_localhost() {
    let inside = |ip: &str| is_inside(ip.parse().unwrap());
    for ip in ["127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1", "0.0.0.0", "::"] {
        assert!(inside(ip), "{ip}");
    }
    for ip in ["192.0.2.1", "10.0.0.1", "2001:db8::1", "169.254.169.254"] {
        assert!(!inside(ip), "{ip}");
    }
    for host in ["localhost", "LOCALHOST.", "app.localhost"] {
        assert!(is_localhost(host), "{host}");
    }
    for host in ["localhost.example", "notlocalhost", "localhost.example."] {
        assert!(!is_localhost(host), "{host}");
    }
}

#[test]
fn what_a_name_outside_leads_to() {
    let here: SocketAddr = "192.0.2.7:15006".parse().unwrap();
    for (host, port, answer, expected) in [
        ("db.example", 80, vec!["192.0.2.1"], Ok(1)),
        ("db.example", 80, vec!["192.0.2.1", "192.0.2.2"], Ok(2)),
        ("db.example", 80, vec!["192.0.2.1", "127.0.0.1"], Err(Reason::Loop)),
        ("db.example", 15006, vec!["192.0.2.7"], Err(Reason::Loop)),
        ("db.example", 15007, vec!["192.0.2.7"], Ok(1)),
        ("localhost", 80, vec!["127.0.0.1"], Ok(1)),
        ("db.example", 80, vec![], Err(Reason::NoService)),
        ("127.0.0.1", 80, vec![], Ok(1)),
    ] {
        let answer: Vec<IpAddr> = answer.iter().map(|ip| ip.parse().unwrap()).collect();
        let lookup = move |_| {
            let answer = answer.clone();
            Box::pin(async { Ok(answer) }) as _
        };
        let mut shared = shared();
        shared.resolver = Resolver::new(Box::new(lookup), Arc::default());
        let mesh = Mesh {
            trust_domain: shared.directory.mesh().trust_domain.clone(),
            roots: vec![],
            outbound: OutboundMode::AllowAny,
            sampling_ppm: 0,
        };
        let now = Instant::now();
        Loader::new(Arc::clone(&shared.directory), now).offer(Resource::Mesh(mesh), None, now);
        let server = shared.tls.server_config(&[], ClientAuth::Required);
        let duties = Duties { app: None, listeners: vec![here], server, own_pod: None };
        run(async {
            let worker = Worker::new(Arc::new(shared), duties, Arc::new(AtomicUsize::new(0)));
            let decided = decide_opaque(&worker, &Called::Outside(host.to_owned(), port)).await;
            let found = match decided {
                Ok(Decision { pool: Endpoints::Outside(endpoints), .. }) => Ok(endpoints.len()),
                Ok(_) => panic!("{host} is outside"),
                Err(refusal) => Err(refusal.reason),
            };
            assert_eq!(found, expected, "{host}:{port}");
        });
    }
}
