//! A real proxy but for its workers: it joins, holds its streams, and puts to use what comes.

use std::os::unix::fs::DirBuilderExt as _;
use std::path::Path;
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use meshctl::names::{Namespace, Protocol, ProxyId, ServiceName};
use meshctl::proxy::control::{Control, Order, Parts, Registration, Serves};
use meshctl::proxy::directory::{Directory, Limits};
use meshctl::proxy::handover::ProcessId;
use meshctl::proxy::join::{Applicant, Proof};
use meshctl::proxy::view::View;
use meshctl::resource::{MtlsMode, Workload};
use tokio::sync::{mpsc, watch};

/// See the head of this file.
pub(crate) struct Runtime {
    /// What it knows.
    pub(crate) directory: Arc<Directory>,
    orders: mpsc::Sender<Order>,
    control: tokio::task::JoinHandle<()>,
}

/// Who it is, in the namespace `default`.
pub(crate) struct Caller<'a> {
    /// The proxy.
    pub(crate) name: &'a str,
    /// The service, and the service account.
    pub(crate) service: &'a str,
    /// Whether it takes requests, too.
    pub(crate) serves: bool,
    /// The services that it calls.
    pub(crate) calls: &'a [String],
}

impl Runtime {
    /// Joins the control plane of `home` and begins to call.
    pub(crate) async fn start(home: &Path, caller: &Caller<'_>) -> anyhow::Result<Self> {
        let namespace = Namespace::default_namespace();
        let proxy = ProxyId::new(namespace.clone(), caller.name.parse()?);
        let own = home.join("proxies").join(proxy.namespace.as_str()).join(proxy.name.as_str());
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&own)?;
        let applicant = Applicant {
            proxy: proxy.clone(),
            service_account: caller.service.parse()?,
            proof: Proof::SameUser(home.to_owned()),
            directory: own,
        };
        let (refusal, _) = watch::channel(None);
        let joined = applicant.join(&refusal).await?;
        let workload = Workload {
            proxy: proxy.clone(),
            identity: joined.credentials.identity().clone(),
            services: Vec::new(),
            zone: String::new(),
            mtls: MtlsMode::Strict,
            ports: Vec::new(),
        };
        let directory = Arc::new(Directory::new(namespace.clone(), workload, Limits::STANDARD));
        for called in caller.calls {
            directory.prefetch([&ServiceName::new(namespace.clone(), called.parse()?)]);
        }
        let (status, seen) = watch::channel(meshctl::proxy::view::Status::default());
        let service = ServiceName::new(namespace, caller.service.parse()?);
        let view = View {
            proxy: proxy.clone(),
            service: service.clone(),
            directory: Arc::clone(&directory),
            tls: meshctl::certs::Tls::new(joined.credentials, joined.roots)?,
            metrics: meshctl::telemetry::collector::Collector::new(),
            spans: Arc::default(),
            accepted: Arc::default(),
            status: seen,
            log: None,
            app: None,
        };
        let registration = registration(&proxy, service, caller.serves)?;
        let control_plane = joined.control_plane;
        let known = Arc::clone(&directory);
        let parts =
            Parts { applicant, registration, directory, view, status, control_plane, refusal };
        let (orders, receiver) = mpsc::channel(4);
        let control = tokio::spawn(Control::new(parts, Instant::now()).run(receiver));
        orders.send(Order::Serving).await?;
        Ok(Self { directory: known, orders, control })
    }

    /// Says goodbye.
    pub(crate) async fn leave(self) {
        let _ = self.orders.send(Order::Leave).await;
        let _ = self.control.await;
    }
}

fn registration(
    proxy: &ProxyId,
    service: ServiceName,
    serves: bool,
) -> anyhow::Result<Registration> {
    let app = Serves {
        app: "127.0.0.1:9".parse()?,
        inbound: 9,
        service_port: Some(80),
        protocol: Protocol::Http,
    };
    Ok(Registration {
        proxy: proxy.clone(),
        service_account: service.name.as_str().parse()?,
        service,
        version: "v1".to_owned(),
        labels: [("version".to_owned(), "v1".to_owned())].into(),
        addresses: vec!["127.0.0.1".parse()?],
        serves: serves.then_some(app),
        process: ProcessId::own(SystemTime::now()),
        succeeds: None,
    })
}
