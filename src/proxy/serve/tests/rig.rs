//! A worker without a proxy around it: an application behind it, clients before it, all on real
//! sockets of this thread, and a clock that tests move.

use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::{Duration, SystemTime};

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use crate::certs::tls::{ClientAuth, Tls};
use crate::certs::{Authority, PendingKey};
use crate::names::{Identity, Protocol};
use crate::proxy::directory::{Directory, Limits};
use crate::proxy::record::Caller;
use crate::proxy::resolve::Resolver;
use crate::proxy::serve::{Connection, Origin, serve};
use crate::proxy::stream::{Side, Stream};
use crate::proxy::worker::{Duties, Shared, Worker};
use crate::resource::{MtlsMode, Workload};
use crate::telemetry::collector::Collector;
use crate::telemetry::span::SpanQueue;

/// Nothing in here takes longer, on a busy machine either.
const PATIENCE: Duration = Duration::from_secs(20);

/// More than any deadline between a client and a proxy.
const LONG: Duration = Duration::from_secs(4_000);

pub(crate) struct Rig {
    pub(crate) worker: Rc<Worker>,
    pub(crate) app: TcpListener,
}

/// Runs a test as a worker runs its connections.
pub(crate) fn run(test: impl Future<Output = ()>) {
    tokio::runtime::LocalRuntime::new().expect("a runtime").block_on(test);
}

impl Rig {
    pub(crate) async fn new() -> Self {
        let app = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let worker = worker(app.local_addr().ok(), Vec::new());
        Self { worker, app }
    }

    /// A worker that has nobody to pass requests on to: it answers all of them itself.
    pub(crate) async fn without_app() -> Self {
        Self { worker: worker(None, Vec::new()), ..Self::new().await }
    }

    /// Waits until nothing is served any more, while the clock runs on and on.
    pub(crate) async fn to_nothing(&self) {
        let mut now = self.worker.slots.now();
        soon(async {
            while self.worker.slots.in_use() > 0 {
                tokio::time::sleep(Duration::from_millis(5)).await;
                now += LONG;
                self.worker.slots.advance(now);
            }
        })
        .await;
    }

    /// A client whose connection is served as a caller's for `life`.
    pub(crate) async fn client(&self, life: Duration) -> TcpStream {
        let (client, accepted) = pair().await;
        let caller =
            Caller::new(&self.worker, self.worker.app.clone(), (None, None), Protocol::Http);
        let side = Side::new(Stream::Plain(accepted));
        let origin = Origin::Inbound(caller);
        tokio::task::spawn_local(serve(Connection::new(
            Rc::clone(&self.worker),
            side,
            origin,
            life,
        )));
        client
    }

    /// Sends `request` on a connection of its own, to an application that the test plays.
    pub(crate) async fn call(&self, request: &str) -> (TcpStream, TcpStream) {
        let mut client = self.client(LONG).await;
        client.write_all(request.as_bytes()).await.expect("sent");
        let (app, _) = soon(self.app.accept()).await.expect("accepted");
        (client, app)
    }

    /// Everything until the end of a connection, while the clock runs on and on.
    pub(crate) async fn to_the_end(
        &self,
        client: &mut TcpStream,
    ) -> (Vec<u8>, std::io::Result<()>) {
        let mut read = Vec::new();
        let mut now = self.worker.slots.now();
        let ended = soon(async {
            loop {
                let turn = Duration::from_millis(5);
                match tokio::time::timeout(turn, client.read_buf(&mut read)).await {
                    Ok(Ok(0)) => return Ok(()),
                    Ok(Ok(_)) => {}
                    Ok(Err(error)) => return Err(error),
                    Err(_) => {
                        now += LONG;
                        self.worker.slots.advance(now);
                    }
                }
            }
        });
        let ended = ended.await;
        (read, ended)
    }
}

/// Waits, but not for ever.
pub(crate) async fn soon<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, what).await.expect("in time")
}

/// Two ends of a connection.
pub(crate) async fn pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("bound");
    let (one, other) = tokio::join!(TcpStream::connect(address), listener.accept());
    (one.expect("connected"), other.expect("accepted").0)
}

/// Reads until what came ends in `end`.
pub(crate) async fn read_until(from: &mut (impl AsyncRead + Unpin), end: &str) -> String {
    let mut read = Vec::new();
    soon(async {
        while !read.ends_with(end.as_bytes()) {
            let count = from.read_buf(&mut read).await.expect("readable");
            assert!(count > 0, "ended after {:?}", String::from_utf8_lossy(&read));
        }
    })
    .await;
    String::from_utf8(read).expect("text")
}

/// A worker of an application at `app` whose proxy listens at `listeners`.
pub(crate) fn worker(app: Option<SocketAddr>, listeners: Vec<SocketAddr>) -> Rc<Worker> {
    let shared = shared();
    let server = shared.tls.server_config(&[], ClientAuth::Required);
    let duties = Duties { app, listeners, server, own_pod: None };
    Worker::new(Arc::new(shared), duties, Arc::new(AtomicUsize::new(0)))
}

/// What a worker shares with others, of which there are none.
pub(crate) fn shared() -> Shared {
    let identity: Identity = "spiffe://cluster.local/ns/shop/sa/web".parse().expect("valid");
    let now = SystemTime::now();
    let authority = Authority::create(&identity.trust_domain, now).expect("an authority");
    let key = PendingKey::generate().expect("a key");
    let csr = key.anonymous_csr().expect("a request");
    let signed = authority.sign(&csr, &identity, Duration::from_secs(3_600), now).expect("signed");
    let credentials = key.finish(signed.chain, authority.roots(), &identity).expect("matching");
    let tls = Tls::new(credentials, authority.roots().clone()).expect("usable");
    let workload = Workload {
        proxy: "shop/web-0".parse().expect("valid"),
        identity,
        services: Vec::new(),
        zone: String::new(),
        mtls: MtlsMode::Permissive,
        ports: Vec::new(),
    };
    let proxy = workload.proxy.clone();
    let namespace = "shop".parse().expect("valid");
    Shared {
        directory: Arc::new(Directory::new(namespace, workload, Limits::STANDARD)),
        tls,
        metrics: Collector::new(),
        spans: Arc::new(SpanQueue::new(16)),
        overload: Arc::default(),
        resolver: Resolver::system(Arc::default()),
        proxy,
        service: "shop/web".parse().expect("valid"),
        version: String::new(),
    }
}
