//! The directory: names are asked for once, waited for, answered, and let go when idle.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::*;
use crate::names::{Identity, Protocol, RuleId};
use crate::resource::{
    Backend, Cluster, ClusterPolicy, HeaderEdit, Key, MtlsMode, PathMatch, Resource, Retry,
    Rewrite, RouteMatch, Rule, Service, ServicePort, Timeouts, Workload,
};

mod addresses;
mod holding;
mod hosts;
mod steady;

const QUICK: Limits =
    Limits { patience: Duration::from_millis(80), waiters: 2, names: 3, addresses: 2 };

struct Rig {
    directory: Arc<Directory>,
    loader: Loader,
    start: Instant,
}

impl Rig {
    fn new(limits: Limits) -> Self {
        let directory = Arc::new(Directory::new("shop".parse().unwrap(), workload(), limits));
        let start = Instant::now();
        let mut loader = Loader::new(Arc::clone(&directory), start);
        loader.take_effects();
        Self { directory, loader, start }
    }

    fn want(&mut self, name: &str) -> Vec<Effect> {
        self.loader.want(&named(name), self.start);
        self.loader.take_effects()
    }

    fn offer(&mut self, resource: Resource, ticket: u64) -> Vec<Effect> {
        self.loader.offer(resource, Some(Ticket(ticket)), self.start);
        self.loader.take_effects()
    }

    fn gone(&mut self, key: &Key) -> Vec<Effect> {
        self.loader.gone(key, self.start);
        self.loader.take_effects()
    }

    fn tick(&mut self, after: Duration) -> Vec<Effect> {
        self.loader.tick(self.start + after);
        self.loader.let_go_idle(self.start + after);
        self.loader.take_effects()
    }

    fn cell(&self, name: &str) -> Arc<ServiceCell> {
        match self.directory.service(&named(name)) {
            Lookup::Ready(cell) => cell,
            other => panic!("{name} is {other:?}"),
        }
    }

    fn is_unknown(&self, name: &str) -> bool {
        matches!(self.directory.service(&named(name)), Lookup::Unknown)
    }
}

fn named(name: &str) -> ServiceName {
    format!("shop/{name}").parse().unwrap()
}

fn workload() -> Workload {
    Workload {
        proxy: "shop/web-0".parse().unwrap(),
        identity: identity("web"),
        services: Vec::new(),
        zone: String::new(),
        mtls: MtlsMode::Strict,
        ports: Vec::new(),
    }
}

fn identity(account: &str) -> Identity {
    format!("spiffe://cluster.local/ns/shop/sa/{account}").parse().unwrap()
}

pub(in crate::proxy) fn service(name: &str, backends: &[&str]) -> Service {
    let backend = |backend: &&str| Backend {
        service: named(backend),
        port: 80,
        weight: 1,
        resolved: true,
        request_headers: HeaderEdit::default(),
        response_headers: HeaderEdit::default(),
        rewrite: Rewrite::default(),
    };
    let rule = Rule {
        id: RuleId("default/shop/x".into()),
        backends: backends.iter().map(backend).collect(),
        request_headers: HeaderEdit::default(),
        response_headers: HeaderEdit::default(),
        redirect: None,
        rewrite: Rewrite::default(),
        timeouts: Timeouts::default(),
        retry: Retry::default(),
    };
    let all = RouteMatch {
        rule: 0,
        path: PathMatch::Prefix("/".into()),
        method: None,
        headers: Vec::new(),
        query: Vec::new(),
    };
    let port = ServicePort {
        port: 80,
        protocol: Protocol::Http,
        matches: vec![all],
        rules: vec![rule],
        faults: Vec::new(),
    };
    Service { name: named(name), consumer: None, overridden_in: Vec::new(), ports: vec![port] }
}

fn cluster(name: &str) -> Resource {
    Resource::Cluster(Cluster {
        name: named(name),
        ports: Vec::new(),
        policy: ClusterPolicy::default(),
        endpoints: Vec::new(),
    })
}

fn subscribe(key: Key) -> Effect {
    Effect::Subscribe(key)
}

#[test]
fn a_service_is_used_and_acknowledged_when_its_clusters_are_loaded() {
    let mut rig = Rig::new(Limits::STANDARD);
    assert_eq!(rig.want("reviews"), [subscribe(Key::service(&named("reviews")))]);
    assert_eq!(rig.want("reviews"), [], "asked for once");
    let effects = rig.offer(Resource::Service(service("reviews", &["v1", "v2"])), 1);
    assert_eq!(effects, ["v1", "v2"].map(|name| subscribe(Key::cluster(&named(name)))));
    assert_eq!(rig.offer(cluster("v1"), 2), [Effect::Accept(Ticket(2))]);
    assert!(rig.is_unknown("reviews"));
    let both = [Effect::Accept(Ticket(3)), Effect::Accept(Ticket(1))];
    assert_eq!(rig.offer(cluster("v2"), 3), both);
    assert!(!rig.cell("reviews").is_retired());
}

#[test]
fn a_new_table_replaces_the_old_one_only_when_it_is_complete() {
    let mut rig = Rig::new(Limits::STANDARD);
    rig.want("reviews");
    rig.offer(Resource::Service(service("reviews", &["v1"])), 1);
    rig.offer(cluster("v1"), 2);
    let cell = rig.cell("reviews");
    let before = cell.table.load_full();
    rig.offer(Resource::Service(service("reviews", &["v2"])), 3);
    assert!(Arc::ptr_eq(&before, &cell.table.load_full()));
    let effects = rig.offer(cluster("v2"), 4);
    let expected = [
        Effect::Accept(Ticket(4)),
        Effect::Unsubscribe(Key::cluster(&named("v1"))),
        Effect::Accept(Ticket(3)),
    ];
    assert_eq!(effects, expected);
    assert!(!Arc::ptr_eq(&before, &cell.table.load_full()));
    assert!(!cell.is_retired(), "the cell stays, its table is exchanged");
}

#[test]
fn an_absent_cluster_counts_as_one_without_endpoints() {
    let mut rig = Rig::new(Limits::STANDARD);
    rig.want("reviews");
    rig.offer(Resource::Service(service("reviews", &["v1"])), 1);
    assert_eq!(rig.gone(&Key::cluster(&named("v1"))), [Effect::Accept(Ticket(1))]);
    rig.cell("reviews");
}

#[test]
fn clusters_that_do_not_come_are_a_refusal_that_holds_back_nothing_else() {
    let mut rig = Rig::new(Limits::STANDARD);
    rig.want("slow");
    rig.want("good");
    rig.offer(Resource::Service(service("slow", &["late"])), 1);
    rig.offer(Resource::Service(service("good", &["good"])), 2);
    let both = [Effect::Accept(Ticket(3)), Effect::Accept(Ticket(2))];
    assert_eq!(rig.offer(cluster("good"), 3), both);
    assert_eq!(rig.tick(Duration::from_millis(4_900)), []);
    let reason = "no answer about the cluster `shop/late`".into();
    let fault = Fault { field: "backends".into(), reason };
    assert_eq!(rig.tick(Duration::from_secs(5)), [Effect::Refuse(Ticket(1), fault)]);
    assert_eq!(rig.tick(Duration::from_secs(6)), [], "refused once");
    // When it comes after all, it is used.
    assert_eq!(rig.offer(cluster("late"), 4), [Effect::Accept(Ticket(4))]);
    rig.cell("slow");
}

#[test]
fn what_was_overtaken_is_answered_with_what_overtook_it() {
    let mut rig = Rig::new(Limits::STANDARD);
    rig.want("reviews");
    rig.offer(Resource::Service(service("reviews", &["v1"])), 1);
    let effects = rig.offer(Resource::Service(service("reviews", &["v2"])), 2);
    let clusters = ["v2", "v1"].map(|name| Key::cluster(&named(name)));
    let [wanted, unwanted] = clusters;
    assert_eq!(effects, [Effect::Subscribe(wanted), Effect::Unsubscribe(unwanted)]);
    let answers = [3, 1, 2].map(|ticket| Effect::Accept(Ticket(ticket)));
    assert_eq!(rig.offer(cluster("v2"), 3), answers);
}

#[test]
fn the_rules_of_our_own_namespace_count_where_there_are_some() {
    let mut rig = Rig::new(Limits::STANDARD);
    rig.want("reviews");
    let general = Service {
        overridden_in: vec!["shop".parse().unwrap()],
        ..service("reviews", &["everyone"])
    };
    let own_key = Key::service_for(&named("reviews"), &"shop".parse().unwrap());
    let effects = rig.offer(Resource::Service(general.clone()), 1);
    assert_eq!(effects, [subscribe(own_key.clone()), Effect::Accept(Ticket(1))]);
    assert!(rig.is_unknown("reviews"));
    let own = Service { consumer: Some("shop".parse().unwrap()), ..service("reviews", &["ours"]) };
    let effects = rig.offer(Resource::Service(own), 2);
    assert_eq!(effects, [subscribe(Key::cluster(&named("ours")))]);
    rig.offer(cluster("ours"), 3);
    rig.cell("reviews");
    // Our rules go: those for everyone count again, once their clusters are there.
    let plain = Service { overridden_in: Vec::new(), ..general };
    let effects = rig.offer(Resource::Service(plain), 4);
    let everyone = Key::cluster(&named("everyone"));
    assert_eq!(effects, [Effect::Unsubscribe(own_key), subscribe(everyone)]);
    let expected = [
        Effect::Accept(Ticket(5)),
        Effect::Unsubscribe(Key::cluster(&named("ours"))),
        Effect::Accept(Ticket(4)),
    ];
    assert_eq!(rig.offer(cluster("everyone"), 5), expected);
}

#[test]
fn a_service_that_goes_is_no_service_and_retires_its_cell() {
    let mut rig = Rig::new(Limits::STANDARD);
    rig.want("reviews");
    rig.offer(Resource::Service(service("reviews", &["v1"])), 1);
    rig.offer(cluster("v1"), 2);
    let cell = rig.cell("reviews");
    let effects = rig.gone(&Key::service(&named("reviews")));
    assert_eq!(effects, [Effect::Unsubscribe(Key::cluster(&named("v1")))]);
    assert!(matches!(rig.directory.service(&named("reviews")), Lookup::NotAService));
    assert!(cell.is_retired());
}

#[test]
fn idle_services_are_let_go_and_whoever_keeps_a_cell_sees_it() {
    let mut rig = Rig::new(Limits::STANDARD);
    for name in ["idle", "kept", "used"] {
        rig.want(name);
        rig.offer(Resource::Service(service(name, &[name])), 1);
        rig.offer(cluster(name), 2);
    }
    let (idle, kept) = (rig.cell("idle"), rig.cell("kept"));
    rig.tick(Duration::from_secs(300));
    rig.cell("used");
    kept.touch(&rig.directory);
    let effects = rig.tick(Duration::from_secs(601));
    let keys = [Key::service(&named("idle")), Key::cluster(&named("idle"))];
    assert_eq!(effects, keys.map(Effect::Unsubscribe));
    assert!(rig.is_unknown("idle") && idle.is_retired());
    rig.cell("used");
    assert!(!kept.is_retired());
}

#[test]
fn names_are_bounded_and_those_that_are_no_service_make_room() {
    let mut rig = Rig::new(QUICK);
    for name in ["a", "b", "c"] {
        assert_eq!(rig.want(name).len(), 1);
    }
    assert_eq!(rig.want("d"), [], "full of names without an answer");
    rig.gone(&Key::service(&named("b")));
    let service = |name| Key::service(&named(name));
    let expected = [Effect::Unsubscribe(service("b")), Effect::Subscribe(service("d"))];
    assert_eq!(rig.want("d"), expected);
}

#[test]
fn settings_of_another_mesh_or_another_proxy_are_refused() {
    let mut rig = Rig::new(Limits::STANDARD);
    let mesh = resource::Mesh {
        trust_domain: "other.mesh".parse().unwrap(),
        roots: Vec::new(),
        outbound: OutboundMode::AllowAny,
        sampling_ppm: 5,
    };
    let effects = rig.offer(Resource::Mesh(mesh.clone()), 1);
    assert!(matches!(effects.as_slice(), [Effect::Refuse(Ticket(1), _)]), "{effects:?}");
    assert_eq!(rig.directory.mesh().outbound, OutboundMode::RegistryOnly);
    let ours = resource::Mesh { trust_domain: "cluster.local".parse().unwrap(), ..mesh };
    assert_eq!(rig.offer(Resource::Mesh(ours), 2), [Effect::Accept(Ticket(2))]);
    assert_eq!(rig.directory.mesh().sampling_ppm, 5);
    let stranger = Workload { identity: identity("admin"), ..workload() };
    let effects = rig.offer(Resource::Workload(stranger), 3);
    assert!(matches!(effects.as_slice(), [Effect::Refuse(Ticket(3), _)]), "{effects:?}");
    assert_eq!(rig.directory.workload().identity, identity("web"));
}

#[tokio::test]
async fn a_request_waits_for_the_first_answer() {
    let mut rig = Rig::new(Limits::STANDARD);
    let directory = Arc::clone(&rig.directory);
    let reviews = named("reviews");
    let request = directory.wait_service(&reviews);
    let answer = async {
        directory.wanted().await;
        for name in directory.take_wanted() {
            rig.loader.want(&name, rig.start);
        }
        rig.offer(Resource::Service(service("reviews", &["v1"])), 1);
        rig.offer(cluster("v1"), 2);
    };
    let (cell, ()) = tokio::join!(request, answer);
    assert!(!cell.unwrap().is_retired());
}

#[tokio::test]
async fn waiting_is_bounded_in_time_and_number() {
    let rig = Rig::new(QUICK);
    let reviews = named("reviews");
    let wait = || rig.directory.wait_service(&reviews);
    let began = Instant::now();
    let (a, b, c) = tokio::join!(wait(), wait(), async {
        let outcome = wait().await;
        (outcome, began.elapsed())
    });
    assert_eq!([a.unwrap_err(), b.unwrap_err()], [Miss::Pending; 2]);
    assert_eq!(c.0.unwrap_err(), Miss::Pending);
    assert!(c.1 < QUICK.patience, "the third does not wait");
    assert!(rig.directory.waiting.lock().is_empty(), "who gave up has left the queue");
}
