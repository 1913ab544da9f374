//! The herd: thousands of simulated proxies whose control plane is killed and started again.
//!
//! The control plane is the binary, in a process of its own. Each client has a certificate, an agent
//! stream and a discovery stream, registers a workload, and subscribes to what a proxy that calls one
//! service of a hundred endpoints subscribes to; of the traffic of a proxy there is nothing. Prints,
//! for 1,000 and 5,000 of them: what a session costs in memory, and how long it takes until all are
//! synced again after `kill -9`; they have forgotten everything then, so that all is sent again. It
//! judges nothing.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use meshctl::certs::{PendingKey, Roots, Tls};
use meshctl::control::home::Home;
use meshctl::names::Identity;
use meshctl::net::backoff::Backoff;
use meshctl::resource::Key;
use meshctl::xds::agent::{Down, Hello, HelloPort, State, Up, down, up};
use meshctl::xds::discovery::{DeltaRequest, DeltaResponse, Node};
use meshctl::xds::grpc::{Client, Keepalive, channel_over};
use meshctl::xds::identity::SignRequest;
use meshctl::xds::subscription::{Held, Subscription};
use rustls::pki_types::{CertificateDer, ServerName};
use tokio::net::{TcpStream, UnixStream};
use tokio::sync::mpsc;
use tokio_rustls::TlsConnector;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Streaming;

const SIZES: [usize; 2] = [1_000, 5_000];

/// So many endpoints has each service.
const ENDPOINTS: usize = 100;

/// The longest wait before a client that lost its control plane tries again, as proxies have it.
const LONGEST_WAIT: Duration = Duration::from_secs(1);

/// The longest that a client tries before it begins anew, as proxies have it.
const OPENING: Duration = Duration::from_secs(10);

/// The longest that anything here may take.
const PATIENCE: Duration = Duration::from_secs(180);

fn main() -> anyhow::Result<()> {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    raise_descriptors();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    say(
        "| sessions | anonymous KiB each | MiB in all | CPU s to join | s until all are synced after `kill -9` | CPU s for it | MiB then |",
    )?;
    say("|---|---|---|---|---|---|---|")?;
    for size in SIZES {
        runtime.block_on(measure(size))?;
    }
    Ok(())
}

fn say(line: &str) -> anyhow::Result<()> {
    writeln!(std::io::stdout(), "{line}").context("cannot write")
}

/// Both ends of thousands of connections are on this machine.
fn raise_descriptors() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum });
}

async fn measure(size: usize) -> anyhow::Result<()> {
    let directory = tempfile::tempdir()?;
    let home = Home::new(directory.path().join("home"));
    let mut plane = Plane::start(&home).await?;
    let empty = plane.anonymous_kib()?;
    let synced = Arc::new(AtomicUsize::new(0));
    let mut clients = tokio::task::JoinSet::new();
    for number in 0..size {
        let identity = enroll(&home, number).await?;
        clients.spawn(identity.live(home.clone(), Arc::clone(&synced)));
    }
    until(&synced, size).await?;
    plane.settled().await?;
    let (memory, joining) = (plane.anonymous_kib()?, plane.cpu_seconds()?);

    plane.kill()?;
    until_less(&synced, 1).await?;
    plane = Plane::start(&home).await?;
    let begun = Instant::now();
    until(&synced, size).await?;
    let took = begun.elapsed().as_secs_f64();
    let cpu = plane.cpu_seconds()?;
    plane.settled().await?;
    let mib = |kib: u64| kib as f64 / 1024.0;
    let each = memory.saturating_sub(empty) as f64 / size as f64;
    let (before, after) = (mib(memory), mib(plane.anonymous_kib()?));
    say(&format!(
        "| {size} | {each:.1} | {before:.0} | {joining:.1} | {took:.1} | {cpu:.1} | {after:.0} |"
    ))?;
    clients.shutdown().await;
    plane.kill()
}

async fn until(synced: &AtomicUsize, size: usize) -> anyhow::Result<()> {
    let deadline = Instant::now() + PATIENCE;
    while synced.load(Ordering::Relaxed) < size {
        let now = synced.load(Ordering::Relaxed);
        anyhow::ensure!(Instant::now() < deadline, "only {now} of {size} are synced");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    Ok(())
}

async fn until_less(synced: &AtomicUsize, size: usize) -> anyhow::Result<()> {
    let deadline = Instant::now() + PATIENCE;
    while synced.load(Ordering::Relaxed) >= size {
        anyhow::ensure!(Instant::now() < deadline, "clients do not see that it has gone");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    Ok(())
}

/// The control plane's process; killed when it is dropped.
struct Plane(Child);

impl Plane {
    async fn start(home: &Home) -> anyhow::Result<Self> {
        let mut command = Command::new(env!("CARGO_BIN_EXE_meshctl"));
        command.args(["control-plane", "run", "--home"]).arg(home.dir());
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let plane = Self(child.spawn()?);
        let deadline = Instant::now() + PATIENCE;
        while home.read_running().is_none_or(|running| running.pid != plane.0.id()) {
            anyhow::ensure!(Instant::now() < deadline, "the control plane does not start");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        Ok(plane)
    }

    fn proc(&self, file: &str) -> anyhow::Result<String> {
        let path: PathBuf = ["/proc", &self.0.id().to_string(), file].iter().collect();
        std::fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))
    }

    fn anonymous_kib(&self) -> anyhow::Result<u64> {
        let text = self.proc("smaps_rollup")?;
        let line = text.lines().find_map(|line| line.strip_prefix("Anonymous:"));
        let number = line.and_then(|rest| rest.split_whitespace().next());
        number.context("no such figure")?.parse().context("no number")
    }

    /// User and system time so far (proc_pid_stat(5), fields 14 and 15, in ticks of 10 ms).
    fn cpu_seconds(&self) -> anyhow::Result<f64> {
        let text = self.proc("stat")?;
        let (_, fields) = text.rsplit_once(')').context("no command in it")?;
        let ticks = fields.split_whitespace().skip(11).take(2).map(str::parse::<f64>);
        Ok(ticks.sum::<Result<f64, _>>()? / 100.0)
    }

    /// Waits until it does next to nothing for a second.
    async fn settled(&self) -> anyhow::Result<()> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let before = self.cpu_seconds()?;
            tokio::time::sleep(Duration::from_secs(1)).await;
            if self.cpu_seconds()? - before < 0.05 {
                return Ok(());
            }
            anyhow::ensure!(Instant::now() < deadline, "the control plane does not come to rest");
        }
    }

    fn kill(&mut self) -> anyhow::Result<()> {
        self.0.kill()?;
        self.0.wait()?;
        Ok(())
    }
}

impl Drop for Plane {
    fn drop(&mut self) {
        let _ = self.kill();
    }
}

/// A workload with a certificate.
struct Workload {
    number: usize,
    service: String,
    tls: Arc<Tls>,
    expected: Identity,
}

/// Gets a certificate for the workload of this number, as the same user.
async fn enroll(home: &Home, number: usize) -> anyhow::Result<Workload> {
    let service = format!("service-{}", number / ENDPOINTS);
    let identity = Identity {
        trust_domain: "cluster.local".parse()?,
        namespace: "default".parse()?,
        service_account: service.parse()?,
    };
    let key = PendingKey::generate()?;
    let request = SignRequest {
        csr: key.csr(&identity)?,
        namespace: "default".to_owned(),
        service_account: service.clone(),
        proxy: format!("{service}-{number}"),
        token: String::new(),
    };
    let socket = home.join_socket();
    let connect = move || UnixStream::connect(socket.clone());
    let mut client = Client::new(channel_over(connect, Keepalive::default()));
    let answer = client.sign(request).await?;
    let ders = |list: Vec<Vec<u8>>| list.into_iter().map(CertificateDer::from).collect();
    let roots = Roots::new(ders(answer.roots))?;
    let credentials = key.finish(ders(answer.chain), &roots, &identity)?;
    let expected = Identity::of_control_plane(identity.trust_domain);
    Ok(Workload { number, service, tls: Tls::new(credentials, roots)?, expected })
}

impl Workload {
    /// Is connected, or tries to be, for ever; counts in `synced` while it has all that it asks for.
    async fn live(self, home: Home, synced: Arc<AtomicUsize>) {
        let mut backoff = Backoff::new(Duration::from_millis(100), LONGEST_WAIT);
        loop {
            let mut subscription = Subscription::new();
            for key in self.keys() {
                let _ = subscription.subscribe(&key);
            }
            let opening = tokio::time::timeout(OPENING, self.open(&home, &mut subscription)).await;
            if let Ok(Ok(mut session)) = opening {
                backoff.succeed();
                session.run(&mut subscription, &synced).await;
            }
            tokio::time::sleep(backoff.fail(fastrand::u64(..))).await;
        }
    }

    /// The mesh, itself, and one service that it calls.
    fn keys(&self) -> [Key; 4] {
        let called: meshctl::names::ServiceName =
            format!("default/{}", self.service).parse().expect("a valid name");
        let proxy = format!("default/{}-{}", self.service, self.number);
        [
            Key::mesh(),
            Key::workload(&proxy.parse().expect("a valid name")),
            Key::service(&called),
            Key::cluster(&called),
        ]
    }

    async fn open(&self, home: &Home, subscription: &mut Subscription) -> anyhow::Result<Session> {
        let address = home.read_running().context("nobody is there")?.address;
        let connector = TlsConnector::from(self.tls.client_config(&self.expected, &[b"h2"]));
        let connect = move || {
            let (connector, address) = (connector.clone(), address.clone());
            async move {
                let stream = TcpStream::connect(address).await?;
                let name = ServerName::try_from("control-plane").expect("a DNS name");
                connector.connect(name, stream).await
            }
        };
        let mut client = Client::new(channel_over(connect, Keepalive::default()));
        let (ups, outgoing) = mpsc::channel(8);
        ups.send(Up { message: Some(up::Message::Hello(self.hello())) }).await?;
        let mut downs = client.connect(ReceiverStream::new(outgoing)).await?;
        let welcome = downs.message().await?.and_then(|it| it.message);
        anyhow::ensure!(matches!(welcome, Some(down::Message::Welcome(_))), "not welcome");
        let state = State { ready: true, ..State::default() };
        ups.send(Up { message: Some(up::Message::State(state)) }).await?;
        let (requests, outgoing) = mpsc::channel(8);
        let id = format!("default/{}-{}", self.service, self.number);
        for request in subscription.start(Node { id, ..Node::default() }) {
            requests.send(request).await?;
        }
        let responses = client.delta(ReceiverStream::new(outgoing)).await?;
        Ok(Session { requests, responses, downs, _ups: ups })
    }

    fn hello(&self) -> Hello {
        let port = HelloPort {
            app_port: 9080,
            dial_port: 40_000,
            service_port: 80,
            protocol: "http".to_owned(),
        };
        Hello {
            namespace: "default".to_owned(),
            name: format!("{}-{}", self.service, self.number),
            service: self.service.clone(),
            service_account: self.service.clone(),
            addresses: vec![format!("127.1.{}.{}", self.number / 250, self.number % 250 + 1)],
            ports: vec![port],
            pid: u32::try_from(self.number).unwrap_or_default() + 1,
            ..Hello::default()
        }
    }
}

/// Both streams, open.
struct Session {
    requests: mpsc::Sender<DeltaRequest>,
    responses: Streaming<DeltaResponse>,
    downs: Streaming<Down>,
    _ups: mpsc::Sender<Up>,
}

impl Session {
    /// Acknowledges what comes until either stream ends.
    async fn run(&mut self, subscription: &mut Subscription, synced: &AtomicUsize) {
        let mut counted = false;
        loop {
            let has_all = subscription.iter().all(|(_, held)| *held != Held::Unknown);
            match (has_all, counted) {
                (true, false) => _ = synced.fetch_add(1, Ordering::Relaxed),
                (false, true) => _ = synced.fetch_sub(1, Ordering::Relaxed),
                _ => {}
            }
            counted = has_all;
            let goes_on = tokio::select! {
                response = self.responses.message() => match response {
                    Ok(Some(response)) => {
                        let received = subscription.on_response(response);
                        match subscription.settle(received.ticket, Vec::new()) {
                            Some(request) => self.requests.send(request).await.is_ok(),
                            None => true,
                        }
                    }
                    _ => false,
                },
                down = self.downs.message() => matches!(down, Ok(Some(_))),
            };
            if !goes_on {
                break;
            }
        }
        if counted {
            synced.fetch_sub(1, Ordering::Relaxed);
        }
    }
}
