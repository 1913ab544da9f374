//! Outbound: what must not be called; what becomes of a service that a connection stands for.

use std::sync::atomic::AtomicUsize;
use std::time::Instant;

use super::*;
use crate::certs::tls::ClientAuth;
use crate::proxy::cluster::tests::wire;
use crate::proxy::directory::Loader;
use crate::proxy::directory::tests::service;
use crate::proxy::h1;
use crate::proxy::resolve::Resolver;
use crate::proxy::serve::tests::rig::{run, shared, worker};
use crate::proxy::worker::Duties;
use crate::resource::{Cluster, Key, Mesh, Resource};

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

/// The service `shop/app` with one endpoint, of this number, where the loader asked for it.
fn load(loader: &mut Loader, endpoint: usize, now: Instant) {
    let cluster = Cluster { name: "shop/app".parse().unwrap(), ..wire([endpoint]) };
    loader.want(&cluster.name, now);
    loader.offer(Resource::Service(service("app", &["app"])), None, now);
    loader.offer(Resource::Cluster(cluster), None, now);
    loader.take_effects();
}

/// Where a request and a connection to what was called go.
async fn decided(worker: &Rc<Worker>, called: &Called) -> Result<[String; 2], Reason> {
    let bytes = b"GET / HTTP/1.1\r\nhost: app\r\n\r\n";
    let mut head = h1::RequestHead::default();
    head.parse(bytes, h1::Headroom::NONE).expect("valid");
    let request = decide(worker, called, &head.view(bytes)).await;
    let opaque = decide_opaque(worker, called).await;
    let picked = |decided: Result<Decision, Refusal>| match decided {
        Ok(decision) => Ok(decision.pick(&[]).expect("an endpoint").workload.to_string()),
        Err(refusal) => Err(refusal.reason),
    };
    Ok([picked(request)?, picked(opaque)?])
}

/// A connection that stands for one service looks it up once: ten minutes later the service was let
/// go, and its requests went to the endpoints of then.
#[test]
fn a_service_that_only_a_connection_keeps_stays_in_use_or_is_asked_for_again() {
    run(async {
        let worker = worker(None, Vec::new());
        let directory = Arc::clone(&worker.shared.directory);
        let start = Instant::now();
        let mut loader = Loader::new(Arc::clone(&directory), start);
        load(&mut loader, 1, start);
        let Lookup::Ready(cell) = directory.service(&"shop/app".parse().unwrap()) else {
            panic!("it is loaded")
        };
        let called = Called::Service(Arc::clone(&cell), 80);
        let pass = |loader: &mut Loader, seconds| {
            let now = start + Duration::from_secs(seconds);
            loader.tick(now);
            loader.let_go_idle(now);
            loader.take_effects();
            now
        };
        // Each decision is a use.
        for minute in [5, 10, 15, 20] {
            pass(&mut loader, minute * 60);
            assert!(!cell.is_retired(), "minute {minute}");
            assert_eq!(decided(&worker, &called).await, Ok(["w-00001", "w-00001"].map(Into::into)));
        }
        // Nobody calls, and it is let go; who calls then gets what there is then.
        let now = pass(&mut loader, 31 * 60);
        assert!(cell.is_retired());
        let (decided_anew, ()) = tokio::join!(decided(&worker, &called), async {
            directory.wanted().await;
            assert_eq!(directory.take_wanted(), ["shop/app".parse().unwrap()]);
            load(&mut loader, 2, now);
        });
        assert_eq!(decided_anew, Ok(["w-00002", "w-00002"].map(Into::into)));
        loader.gone(&Key::service(&"shop/app".parse().unwrap()), now);
        loader.take_effects();
        assert_eq!(decided(&worker, &called).await, Err(Reason::NoService));
    });
}
