//! The mesh: a control plane, proxies beside applications, rules; built in a line, gone at the end.

use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::Duration;

use meshctl::control::home::Home;
use meshctl::names::{Protocol, ServiceName};
use meshctl::proxy::run::{AdminAddress, Config, Upstream};

use super::control_plane::ControlPlane;
use super::proxy::{Proxy, Starting};
use super::{Conn, Origin, eventually};

/// How long a proxy may drain in a test.
const DRAIN: Duration = Duration::from_secs(10);

/// A mesh to be started.
#[derive(Default)]
pub(crate) struct Builder {
    workloads: Vec<Workload>,
    rules: String,
}

struct Workload {
    service: ServiceName,
    version: Option<String>,
    app: Option<SocketAddr>,
    protocol: Protocol,
    upstreams: Vec<(String, u16)>,
}

impl Builder {
    /// A workload that only calls: `NAME` in the namespace `default`, or `NAMESPACE/NAME`.
    pub(crate) fn caller(mut self, service: &str) -> Self {
        let qualified = if service.contains('/') { "" } else { "default/" };
        self.workloads.push(Workload {
            service: format!("{qualified}{service}").parse().expect("a service"),
            version: None,
            app: None,
            protocol: Protocol::Detect,
            upstreams: Vec::new(),
        });
        self
    }

    /// A workload whose application is `origin`.
    pub(crate) fn service(self, service: &str, origin: &Origin) -> Self {
        self.service_at(service, origin.address())
    }

    /// A workload whose application listens there.
    pub(crate) fn service_at(self, service: &str, app: SocketAddr) -> Self {
        let mut builder = self.caller(service);
        builder.last().app = Some(app);
        builder.protocol(Protocol::Http)
    }

    /// The version of the last workload.
    pub(crate) fn version(mut self, version: &str) -> Self {
        self.last().version = Some(version.to_owned());
        self
    }

    /// What the last workload speaks; HTTP/1.1 where nothing is said.
    pub(crate) fn protocol(mut self, protocol: Protocol) -> Self {
        self.last().protocol = protocol;
        self
    }

    /// A local port of the last workload that stands for port 80 of a service.
    pub(crate) fn upstream(mut self, service: &str) -> Self {
        self.last().upstreams.push((service.to_owned(), 80));
        self
    }

    /// The rules that hold from the start.
    pub(crate) fn rules(mut self, rules: &str) -> Self {
        self.rules = rules.to_owned();
        self
    }

    fn last(&mut self) -> &mut Workload {
        self.workloads.last_mut().expect("a workload comes first")
    }

    /// Starts it; when this returns every workload is an endpoint that callers are told of.
    #[track_caller]
    pub(crate) fn start(self) -> Mesh {
        let private = std::fs::Permissions::from_mode(0o700);
        let mut dir = tempfile::Builder::new();
        let dir = dir.prefix("meshctl-").permissions(private).tempdir().expect("a directory");
        let control_plane = ControlPlane::start(dir.path());
        let mut mesh = Mesh { proxies: Vec::new(), control_plane: Some(control_plane), dir };
        if !self.rules.is_empty() {
            mesh.apply(&self.rules);
        }
        let configs = self.workloads.iter().map(|workload| workload.config(mesh.dir.path()));
        let starting: Vec<_> = configs.map(Starting::new).collect();
        mesh.proxies = starting.into_iter().map(Starting::ready).collect();
        mesh.await_endpoints();
        mesh
    }
}

impl Workload {
    fn config(&self, home: &Path) -> Config {
        let loopback = SocketAddr::from(([127, 0, 0, 1], 0));
        let upstream = |(service, port): &(String, u16)| Upstream {
            service: format!("default/{service}").parse().expect("a service"),
            port: *port,
            local_port: 0,
        };
        Config {
            home: home.to_owned(),
            token: None,
            service: self.service.clone(),
            version: self.version.clone(),
            name: None,
            service_account: self.service.name.as_str().parse().expect("a service account"),
            labels: Default::default(),
            app: self.app,
            // They listen already, and many count who connects.
            app_wait: Duration::ZERO,
            protocol: self.protocol,
            service_port: None,
            advertise: None,
            inbound: loopback,
            outbound: loopback,
            admin: AdminAddress::Tcp(loopback),
            captured: Default::default(),
            probes: None,
            upstreams: self.upstreams.iter().map(upstream).collect(),
            workers: NonZeroUsize::MIN,
            memory_limit: None,
            ready_file: None,
            drain: DRAIN,
            command: Vec::new(),
        }
    }
}

/// A mesh that runs. The proxies go first, so that none is left without its directory.
pub(crate) struct Mesh {
    proxies: Vec<Proxy>,
    control_plane: Option<ControlPlane>,
    dir: tempfile::TempDir,
}

impl Mesh {
    /// An empty one to add workloads to.
    #[expect(clippy::new_ret_no_self, reason = "a mesh begins as what is to be started")]
    pub(crate) fn new() -> Builder {
        Builder::default()
    }

    /// Its home directory.
    pub(crate) fn home(&self) -> Home {
        Home::new(self.dir.path())
    }

    /// The first proxy of a service: `NAME` in the namespace `default`, or `NAMESPACE/NAME`.
    #[track_caller]
    pub(crate) fn proxy(&self, service: &str) -> &Proxy {
        let qualified = if service.contains('/') { "" } else { "default/" };
        let name: ServiceName = format!("{qualified}{service}").parse().expect("a service");
        let of_service = |proxy: &&Proxy| proxy.config().service == name;
        self.proxies.iter().find(of_service).expect("a workload of that name")
    }

    /// All proxies.
    pub(crate) fn proxies(&self) -> &[Proxy] {
        &self.proxies
    }

    /// A connection of `service`'s application to its proxy.
    #[track_caller]
    pub(crate) fn call(&self, service: &str) -> Conn {
        self.proxy(service).call()
    }

    /// A connection of `service`'s application to the local port that stands for `upstream`.
    #[track_caller]
    pub(crate) fn call_upstream(&self, service: &str, upstream: &str) -> Conn {
        let upstreams = &self.proxy(service).addresses().upstreams;
        Conn::connect(upstreams[&format!("{upstream}:80")])
    }

    /// Takes a proxy out of the mesh without ending it.
    #[track_caller]
    pub(crate) fn take(&mut self, name: &str) -> Proxy {
        let at = self.proxies.iter().position(|proxy| proxy.addresses().proxy == name);
        self.proxies.remove(at.expect("a proxy of that name"))
    }

    /// Starts a proxy again under its own name.
    #[track_caller]
    pub(crate) fn start_again(&mut self, name: &str, config: Config) -> &Proxy {
        let name = Some(name.parse().expect("a name"));
        self.proxies.push(Starting::new(Config { name, ..config }).ready());
        self.proxies.last().expect("just pushed")
    }

    /// Takes the control plane, to stop or to kill it.
    pub(crate) fn take_control_plane(&mut self) -> ControlPlane {
        self.control_plane.take().expect("it runs")
    }

    /// Starts the control plane again on the same home.
    pub(crate) fn start_control_plane(&mut self) {
        self.control_plane = Some(ControlPlane::start(self.dir.path()));
    }

    /// Waits until as many endpoints are known as there are workloads that serve, to the control
    /// plane, and to those who asked for them from the start.
    #[track_caller]
    pub(crate) fn await_endpoints(&self) {
        let serving = |proxy: &&Proxy| proxy.config().app.is_some();
        for proxy in self.proxies.iter().filter(serving) {
            let name = &proxy.addresses().service;
            let same = |other: &&Proxy| other.addresses().service == *name;
            let count = self.proxies.iter().filter(serving).filter(same).count();
            eventually(&format!("{count} endpoints of {name}"), || {
                let service = self.service(name)?;
                (service["endpoints"]["ready"] == count).then_some(())
            });
        }
        for proxy in &self.proxies {
            for upstream in &proxy.config().upstreams {
                let name = upstream.service.to_string();
                eventually(&format!("{} knows {name}", proxy.name()), || proxy.knows(&name));
            }
        }
    }
}
