//! One seeded history: what there is, a session, a proxy, and the stream between them, which keeps
//! its order, takes its time and may break and lose what is under way.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use fastrand::Rng;
use meshctl::control::session::{Limits, Session};
use meshctl::resource::{Address, Cluster, ClusterPolicy, Key, Resource};
use meshctl::xds::codec::{Encoded, encode};
use meshctl::xds::discovery::{DeltaRequest, DeltaResponse, Node};
use meshctl::xds::subscription::Held;

use super::proxy::Proxy;

/// Steps of a history before it calms down.
const STEPS: usize = 150;

/// Rounds within which it must be calm.
const ROUNDS: usize = 100;

/// How far apart the server looks for what to send. What was refused waits for a second.
const TURN: Duration = Duration::from_millis(50);

/// Names of each kind.
const NAMES: u8 = 5;

/// What happened, to know that it happened at all.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Counts {
    pub(super) changes: usize,
    pub(super) looked_at: usize,
    pub(super) sent: usize,
    pub(super) refused: usize,
    pub(super) breaks: usize,
    pub(super) restarts: usize,
}

/// One stream; it ends with either side.
struct Stream {
    session: Session,
    up: VecDeque<DeltaRequest>,
    down: VecDeque<DeltaResponse>,
}

pub(super) struct History {
    rng: Rng,
    limits: Limits,
    resources: BTreeMap<Key, Arc<Encoded>>,
    proxy: Proxy,
    stream: Option<Stream>,
    counts: Counts,
    now: Instant,
}

/// One of a few resources with one of a few contents, so that contents come back.
fn resource(which: u8, content: u16) -> Resource {
    let name = format!("shop/web-{which}").parse().expect("it is a name");
    if which.is_multiple_of(2) {
        let at = format!("10.0.0.{which}:80").parse().expect("it is an address");
        return Resource::Address(Address { address: at, service: name, port: content });
    }
    let time = std::time::Duration::from_secs(content.into());
    let policy = ClusterPolicy {
        connect_timeout: time,
        http_idle: time,
        tcp_idle: time,
        ..ClusterPolicy::default()
    };
    Resource::Cluster(Cluster { name, ports: Vec::new(), policy, endpoints: Vec::new() })
}

impl History {
    pub(super) fn new(seed: u64) -> Self {
        let mut rng = Rng::with_seed(seed);
        let response_bytes = if rng.bool() { 50 } else { 1 << 20 };
        let limits = Limits { response_bytes, ..Limits::default() };
        let (resources, proxy) = (BTreeMap::new(), Proxy::default());
        let (counts, now) = (Counts::default(), Instant::now());
        Self { rng, limits, resources, proxy, stream: None, counts, now }
    }

    pub(super) fn play(mut self) -> Counts {
        for _ in 0..STEPS {
            self.step();
        }
        self.calm_down();
        self.check_agreement();
        self.check_silence();
        self.counts
    }

    fn step(&mut self) {
        match self.rng.u8(..100) {
            0..20 => self.change(),
            20..30 => self.subscribe_or_not(),
            30..60 => self.deliver(),
            60..75 => self.server_poll(),
            75..85 => self.proxy_poll(),
            85..95 => self.decide(),
            95..97 => self.connect(),
            97 => self.disconnect(),
            98 => {
                // The control plane restarts: the store stays, sessions do not.
                self.disconnect();
                self.change();
                self.counts.restarts += 1;
            }
            _ => {
                self.disconnect();
                let keep = self.rng.bool();
                self.proxy.restart(keep);
                self.counts.restarts += 1;
            }
        }
    }

    fn random_key(&mut self) -> (u8, Key) {
        let which = self.rng.u8(..2 * NAMES);
        (which, resource(which, 1).key())
    }

    fn change(&mut self) {
        let (which, key) = self.random_key();
        match self.rng.u16(..4) {
            0 => drop(self.resources.remove(&key)),
            content => {
                let encoded = Arc::new(encode(&resource(which, content)));
                self.resources.insert(key.clone(), encoded);
            }
        }
        self.counts.changes += 1;
        self.on_change(&key);
    }

    fn on_change(&mut self, key: &Key) {
        if let Some(stream) = &mut self.stream {
            self.counts.looked_at += usize::from(stream.session.subscribed(key));
            stream.session.on_change([key]);
        }
    }

    fn subscribe_or_not(&mut self) {
        let (_, key) = self.random_key();
        if !self.proxy.wanted.contains(&key) {
            self.proxy.want(&key);
        } else if self.rng.bool() {
            self.proxy.drop_name(&key);
            if self.rng.bool() {
                self.proxy.want(&key);
            }
        }
    }

    /// One message each way arrives.
    fn deliver(&mut self) {
        let Some(stream) = &mut self.stream else { return };
        if let Some(request) = stream.up.pop_front() {
            self.counts.looked_at += request.subscribe.len();
            stream.session.on_request(request, &|_| true).expect("nothing is forbidden");
        }
        if let Some(response) = stream.down.pop_front() {
            self.proxy.receive(response);
        }
    }

    fn server_poll(&mut self) {
        let Some(stream) = &mut self.stream else { return };
        self.now += TURN;
        let responses = stream.session.poll(self.now, &|key| self.resources.get(key).cloned());
        for response in &responses {
            self.counts.sent += response.resources.len() + response.removed.len();
        }
        stream.down.extend(responses);
        assert!(stream.down.len() <= 2, "one per kind is unanswered at most");
    }

    fn proxy_poll(&mut self) {
        if let Some(stream) = &mut self.stream {
            stream.up.extend(self.proxy.subscription.poll());
        }
    }

    fn decide(&mut self) {
        if !self.proxy.is_waiting() {
            return;
        }
        let request = self.proxy.decide(&mut self.rng);
        let Some(request) = request else { return };
        self.counts.refused += usize::from(request.error.is_some());
        let stream = self.stream.as_mut().expect("tickets of ended streams are void");
        stream.up.push_back(request);
    }

    fn connect(&mut self) {
        if self.stream.is_none() {
            let up = self.proxy.subscription.start(Node::default()).into();
            let (session, down) = (Session::new(self.limits), VecDeque::new());
            self.stream = Some(Stream { session, up, down });
        }
    }

    /// Ends the stream; the proxy may notice when it opens the next.
    fn disconnect(&mut self) {
        if self.stream.take().is_some() {
            self.counts.breaks += 1;
            self.proxy.subscription.end();
        }
    }

    /// Nothing changes any more and the stream holds.
    fn calm_down(&mut self) {
        self.connect();
        for _ in 0..ROUNDS {
            self.proxy_poll();
            self.server_poll();
            self.deliver();
            self.decide();
            let stream = self.stream.as_ref().expect("it is connected");
            let quiet = stream.up.is_empty() && stream.down.is_empty();
            if quiet && stream.session.is_settled() && !self.proxy.is_waiting() {
                return;
            }
        }
        panic!("both ends still talk after {ROUNDS} rounds");
    }

    fn check_agreement(&mut self) {
        let Stream { session, .. } = self.stream.as_ref().expect("it is connected");
        assert_eq!(session.names(), self.proxy.wanted.len());
        for key in &self.proxy.wanted {
            let current = self.resources.get(key);
            let current =
                current.map_or(Held::Absent, |encoded| Held::Version(encoded.version.clone()));
            if let Some(refused) = session.refused(key) {
                assert_eq!(refused.version, current, "{key}: a refusal of what is past");
                assert_eq!(self.proxy.refused.get(key), Some(&current), "{key}: nobody refused it");
                continue;
            }
            assert_eq!(self.proxy.used(key), Some(&current), "{key}: in use");
            assert_eq!(self.proxy.subscription.held(key), Some(&current), "{key}: held");
            assert_eq!(session.acknowledged(key), Some(&current), "{key}: acknowledged");
        }
        let Counts { sent, looked_at, .. } = self.counts;
        assert!(sent <= looked_at, "{sent} resources sent for {looked_at} reasons");
    }

    /// To be told again that something may have changed is no reason to send what was refused or
    /// is held.
    fn check_silence(&mut self) {
        let keys: Vec<Key> = self.proxy.wanted.iter().cloned().collect();
        keys.iter().for_each(|key| self.on_change(key));
        let sent = self.counts.sent;
        self.server_poll();
        assert_eq!(self.counts.sent, sent, "nothing has changed");
    }
}
