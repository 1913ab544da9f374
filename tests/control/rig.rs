//! A control plane in a temporary home, and proxies that are nothing but their control side.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use meshctl::certs::{PendingKey, Roots, Tls};
use meshctl::control::home::Home;
use meshctl::control::{ControlPlaneConfig, RunError, run};
use meshctl::names::{Identity, TrustDomain};
use meshctl::resource::{Key, Resource};
pub(crate) use meshctl::xds::agent::Hello;
use meshctl::xds::agent::{Command, Down, Goodbye, HelloPort, Reply, State, Up, command, down, up};
use meshctl::xds::discovery::{DeltaRequest, DeltaResponse, Node, Refusal};
use meshctl::xds::grpc::{Client, Keepalive, channel_over};
use meshctl::xds::identity::{SignRequest, SignResponse};
use meshctl::xds::subscription::Subscription;
use rustls::pki_types::{CertificateDer, ServerName};
use serde_json::{Value, json};
use tokio::net::{TcpStream, UnixStream};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_rustls::TlsConnector;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::{Code, Streaming};

/// Nothing that is waited for takes longer.
pub(crate) const DEADLINE: Duration = Duration::from_secs(20);

/// Asks again until there is an answer.
pub(crate) async fn eventually<T>(mut ask: impl AsyncFnMut() -> Option<T>) -> T {
    let asking = async {
        loop {
            if let Some(answer) = ask().await {
                return answer;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(DEADLINE, asking).await.expect("it happens in time")
}

pub(crate) struct Mesh {
    dir: tempfile::TempDir,
    home: Home,
    http: reqwest::Client,
    shutdown: CancellationToken,
    running: JoinHandle<Result<(), RunError>>,
}

impl Mesh {
    pub(crate) async fn start() -> Self {
        Self::start_in(tempfile::tempdir().expect("a temporary directory")).await
    }

    async fn start_in(dir: tempfile::TempDir) -> Self {
        // Another test may have been first.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let home = Home::new(dir.path().join("home"));
        let config = ControlPlaneConfig {
            home: home.dir().to_owned(),
            listen: Some(SocketAddr::from(([127, 0, 0, 1], 0))),
            trust_domain: None,
        };
        let shutdown = CancellationToken::new();
        let running = tokio::spawn(run(config, shutdown.clone()));
        eventually(async || home.read_running()).await;
        let http = reqwest::Client::builder().unix_socket(home.admin_socket());
        let http = http.build().expect("a client");
        Self { dir, home, http, shutdown, running }
    }

    pub(crate) async fn stop(self) -> tempfile::TempDir {
        self.shutdown.cancel();
        let ended = tokio::time::timeout(DEADLINE, self.running).await.expect("it ends in time");
        ended.expect("no panic").expect("no error");
        assert_eq!(self.home.read_running(), None);
        self.dir
    }

    pub(crate) async fn restart(self) -> Self {
        let dir = self.stop().await;
        Self::start_in(dir).await
    }

    pub(crate) fn address(&self) -> SocketAddr {
        let running = self.home.read_running().expect("it runs");
        running.address.parse().expect("an address")
    }

    pub(crate) async fn text(&self, path: &str) -> String {
        let answer = self.http.get(format!("http://admin{path}")).send().await.expect("answered");
        assert!(answer.status().is_success(), "{path}: {}", answer.status());
        answer.text().await.expect("a text")
    }

    pub(crate) async fn get(&self, path: &str) -> Value {
        serde_json::from_str(&self.text(path).await).expect("JSON")
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> Result<Value, (u16, Value)> {
        let request = self.http.post(format!("http://admin{path}")).json(body);
        let answer = request.send().await.expect("answered");
        let status = answer.status();
        let body = answer.json().await.expect("JSON");
        if status.is_success() { Ok(body) } else { Err((status.as_u16(), body)) }
    }

    pub(crate) async fn apply(&self, text: &str, dry_run: bool) -> Result<Value, (u16, Value)> {
        let sources = json!([{"name": "rules.yaml", "text": text}]);
        let body =
            json!({"sources": sources, "dryRun": dry_run, "namespace": "default", "actor": "test"});
        self.post("/v1/apply", &body).await
    }

    pub(crate) async fn join(&self, account: &str) -> Joined {
        let socket = self.home.join_socket();
        let connect = move || {
            let socket = socket.clone();
            async move { UnixStream::connect(socket).await }
        };
        let mut client = Client::new(channel_over(connect, Keepalive::default()));
        let trust_domain: TrustDomain = "cluster.local".parse().expect("valid");
        let identity = identity(&trust_domain, account);
        let key = PendingKey::generate().expect("a key");
        let answer = client.sign(sign_request(&key, &identity)).await.expect("signed");
        let ders = |list: Vec<Vec<u8>>| list.into_iter().map(CertificateDer::from).collect();
        let roots = Roots::new(ders(answer.roots)).expect("roots");
        let credentials = key.finish(ders(answer.chain), &roots, &identity).expect("credentials");
        let address = answer.control_plane.parse().expect("an address");
        Joined { tls: Tls::new(credentials, roots).expect("usable"), address, identity }
    }

    pub(crate) async fn proxy(&self, service: &str, version: &str) -> Proxy {
        let name = match version {
            "" => format!("{service}-0"),
            version => format!("{service}-{version}-0"),
        };
        self.named_proxy(service, version, &name).await
    }

    pub(crate) async fn named_proxy(&self, service: &str, version: &str, name: &str) -> Proxy {
        let joined = self.join(service).await;
        let hello = joined.hello(service, version, name);
        joined.connect(hello).await.expect("registered")
    }
}

fn identity(trust_domain: &TrustDomain, account: &str) -> Identity {
    Identity {
        trust_domain: trust_domain.clone(),
        namespace: "default".parse().expect("valid"),
        service_account: account.parse().expect("valid"),
    }
}

fn sign_request(key: &PendingKey, identity: &Identity) -> SignRequest {
    SignRequest {
        csr: key.csr(identity).expect("a request"),
        namespace: identity.namespace.to_string(),
        service_account: identity.service_account.to_string(),
        proxy: "some-0".to_owned(),
        token: String::new(),
    }
}

/// One with a certificate.
pub(crate) struct Joined {
    tls: Arc<Tls>,
    address: SocketAddr,
    identity: Identity,
}

impl Joined {
    pub(crate) fn client(&self) -> Client {
        let expected = Identity::of_control_plane(self.identity.trust_domain.clone());
        let connector = TlsConnector::from(self.tls.client_config(&expected, &[b"h2"]));
        let address = self.address;
        let connect = move || {
            let connector = connector.clone();
            async move {
                let stream = TcpStream::connect(address).await?;
                let name = ServerName::try_from("control-plane").expect("a DNS name");
                connector.connect(name, stream).await
            }
        };
        Client::new(channel_over(connect, Keepalive::default()))
    }

    pub(crate) fn hello(&self, service: &str, version: &str, name: &str) -> Hello {
        Hello {
            namespace: "default".to_owned(),
            name: name.to_owned(),
            service: service.to_owned(),
            version: version.to_owned(),
            labels: HashMap::new(),
            service_account: service.to_owned(),
            addresses: vec!["127.0.0.1".to_owned()],
            ports: vec![HelloPort {
                app_port: 9080,
                dial_port: 40_000,
                service_port: 80,
                protocol: "http".to_owned(),
            }],
            pid: fastrand::u32(1..),
            ..Hello::default()
        }
    }

    pub(crate) async fn sign_as(&self, account: &str) -> Result<SignResponse, Code> {
        let identity = identity(&self.identity.trust_domain, account);
        let key = PendingKey::generate().expect("a key");
        let signed = self.client().sign(sign_request(&key, &identity)).await;
        signed.map_err(|status| status.code())
    }

    /// Opens both streams.
    pub(crate) async fn connect(&self, hello: Hello) -> Result<Proxy, Code> {
        let mut client = self.client();
        let id = format!("{}/{}", hello.namespace, hello.name);
        let (ups, outgoing) = mpsc::channel(64);
        let first = Up { message: Some(up::Message::Hello(hello)) };
        ups.send(first).await.expect("room");
        let downs = client.connect(ReceiverStream::new(outgoing)).await;
        let mut downs = downs.map_err(|status| status.code())?;
        let welcome = downs.message().await.map_err(|status| status.code())?;
        let message = welcome.and_then(|it| it.message);
        assert!(matches!(message, Some(down::Message::Welcome(_))), "{message:?}");
        let (requests, outgoing) = mpsc::channel(64);
        let mut subscription = Subscription::new();
        subscription.subscribe(&Key::mesh()).expect("room");
        let node = Node { id, ..Node::default() };
        for request in subscription.start(node) {
            requests.send(request).await.expect("room");
        }
        let responses = client.delta(ReceiverStream::new(outgoing)).await;
        Ok(Proxy {
            subscription,
            requests,
            responses: responses.map_err(|status| status.code())?,
            ups,
            downs,
            held: HashMap::new(),
            refusal: None,
            answer: String::new(),
            commands: Vec::new(),
        })
    }
}

/// The control side of a proxy.
pub(crate) struct Proxy {
    subscription: Subscription,
    requests: mpsc::Sender<DeltaRequest>,
    responses: Streaming<DeltaResponse>,
    ups: mpsc::Sender<Up>,
    pub(crate) downs: Streaming<Down>,
    held: HashMap<Key, Option<Resource>>,
    refusal: Option<(String, String)>,
    answer: String,
    /// What it was told to do.
    pub(crate) commands: Vec<command::Action>,
}

impl Proxy {
    pub(crate) async fn say(&self, message: up::Message) {
        self.ups.send(Up { message: Some(message) }).await.expect("connected");
    }

    pub(crate) async fn ready(&mut self) {
        self.say(up::Message::State(State { ready: true, ..State::default() })).await;
    }

    pub(crate) async fn goodbye(&mut self) {
        self.say(up::Message::Goodbye(Goodbye {})).await;
    }

    /// Refuses from now on what comes, with this field and reason.
    pub(crate) fn refuse(&mut self, field: &str, reason: &str) {
        self.refusal = Some((field.to_owned(), reason.to_owned()));
    }

    /// Answers commands with this.
    pub(crate) fn answer(&mut self, body: &str) {
        body.clone_into(&mut self.answer);
    }

    pub(crate) async fn want(&mut self, key: &Key) {
        self.subscription.subscribe(key).expect("room");
        for request in self.subscription.poll() {
            self.requests.send(request).await.expect("connected");
        }
    }

    /// Takes one message of either stream; with what the discovery stream ended, if it did.
    async fn pump(&mut self) -> Option<Code> {
        tokio::select! {
            response = self.responses.message() => match response {
                Ok(Some(response)) => {
                    self.take(response).await;
                    None
                }
                Ok(None) => Some(Code::Ok),
                Err(status) => Some(status.code()),
            },
            Ok(Some(Down { message: Some(down::Message::Command(command)) })) = self.downs.message() => {
                self.obey(command).await;
                None
            }
        }
    }

    async fn obey(&mut self, command: Command) {
        let body = self.answer.clone();
        self.commands.extend(command.action);
        let reply = Reply { id: command.id, error: String::new(), body };
        self.say(up::Message::Reply(reply)).await;
    }

    async fn take(&mut self, response: DeltaResponse) {
        let received = self.subscription.on_response(response);
        let mut refusals = Vec::new();
        for (key, resource) in received.updates {
            match &self.refusal {
                Some((field, reason)) => refusals.push(Refusal {
                    name: key.name.to_string(),
                    field: field.clone(),
                    reason: reason.clone(),
                }),
                None => drop(self.held.insert(key, resource)),
            }
        }
        if let Some(request) = self.subscription.settle(received.ticket, refusals) {
            // The stream may end just now; its status says why.
            let _ = self.requests.send(request).await;
        }
    }

    /// Goes on until `key` is as wanted.
    pub(crate) async fn until(
        &mut self,
        key: &Key,
        wanted: impl Fn(Option<&Resource>) -> bool,
    ) -> Option<Resource> {
        let pumping = async {
            loop {
                let held = self.held.get(key).cloned().flatten();
                if wanted(held.as_ref()) {
                    return held;
                }
                let ended = self.pump().await;
                assert_eq!(ended, None, "the stream goes on");
            }
        };
        tokio::time::timeout(DEADLINE, pumping).await.expect("it comes in time")
    }

    /// Goes on until `ask` has an answer.
    pub(crate) async fn pump_until(&mut self, ask: impl AsyncFnMut() -> Option<()>) {
        tokio::select! {
            () = eventually(ask) => {}
            () = async { while self.pump().await.is_none() {} } => panic!("the stream ended"),
        }
    }

    /// Goes on until one command was answered.
    pub(crate) async fn pump_for(&mut self, longest: Duration) {
        let answered = async {
            loop {
                tokio::select! {
                    response = self.responses.message() => {
                        let response = response.expect("no error").expect("no end");
                        self.take(response).await;
                    }
                    down = self.downs.message() => {
                        let down = down.expect("no error").expect("no end");
                        let Some(down::Message::Command(command)) = down.message else { continue };
                        return self.obey(command).await;
                    }
                }
            }
        };
        tokio::time::timeout(longest, answered).await.expect("a command comes");
    }

    /// With what the discovery stream ends.
    pub(crate) async fn ended(&mut self) -> Code {
        let ending = async {
            loop {
                if let Some(code) = self.pump().await {
                    return code;
                }
            }
        };
        tokio::time::timeout(DEADLINE, ending).await.expect("it ends in time")
    }
}
