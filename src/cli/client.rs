//! The one client of the admin API: HTTP/1.1 with JSON, over the Unix socket in the home directory
//! or to a control plane on a cluster. Commands do not know which.
//!
//! Owns its runtime, so that commands read top to bottom. That no control plane answers is told
//! apart from every other fault, because it has its own remedy.

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use reqwest::header::CONTENT_TYPE;
use reqwest::{Method, StatusCode, Url};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::args::Context;
use super::cluster::Cluster;
use super::diagnostics;
use super::exit::Failure;
use super::installation::{Installation, Target};
use crate::control::api::shapes;
use crate::control::home::Home;
use crate::names::sidecar::CONTROL_PLANE;
use crate::platform::local::Holder;

mod cluster;
#[cfg(test)]
mod tests;

use cluster::Forwarded;

/// The longest that one answer may take; waiting is done by asking again.
const TIMEOUT: Duration = Duration::from_secs(30);

/// A connection to a control plane.
#[derive(Debug)]
pub(crate) struct Client {
    way: Way,
    timeout: Duration,
    runtime: tokio::runtime::Runtime,
}

/// How the control plane is reached.
#[derive(Debug)]
enum Way {
    /// By the socket in its home directory.
    Socket { home: PathBuf, http: reqwest::Client },
    /// Through the API server of its cluster.
    Forwarded(Box<Forwarded>),
}

/// Why there was no answer of the kind that was asked for.
#[derive(Debug)]
pub(crate) enum Fault {
    /// Nothing listens there.
    NotRunning,
    /// It is another user's, and does not talk to this one.
    Forbidden,
    /// It cannot be reached; why is in words already.
    Told(Box<Failure>),
    /// It answered, and refused.
    Refused(StatusCode, Box<shapes::Failure>),
    /// Anything else.
    Other(anyhow::Error),
}

impl Client {
    /// A client for the mesh that the command line means; the control plane is not asked yet.
    pub(crate) fn of(context: &Context) -> Result<Self, Failure> {
        match context.installation()? {
            Installation::Local => Self::new(context.home()?),
            Installation::Kubernetes(target) => Self::on_cluster(&target),
        }
    }

    /// A client for the control plane on a cluster, which is not asked yet.
    pub(crate) fn on_cluster(target: &Target) -> Result<Self, Failure> {
        install_provider();
        let runtime = runtime()?;
        let cluster = runtime.block_on(Cluster::connect(target))?;
        let way = Way::Forwarded(Box::new(Forwarded::new(cluster)));
        Ok(Self { way, timeout: TIMEOUT, runtime })
    }

    /// A client for the local control plane of `home`; nothing is sent yet.
    pub(crate) fn new(home: &Path) -> Result<Self, Failure> {
        // Needed only to build the client: the socket is plain HTTP.
        install_provider();
        let http = reqwest::Client::builder()
            .unix_socket(Home::new(home).admin_socket())
            .tls_certs_only([])
            .build()?;
        let way = Way::Socket { home: home.to_owned(), http };
        Ok(Self { way, timeout: TIMEOUT, runtime: runtime()? })
    }

    /// With another limit for one answer.
    pub(crate) fn within(self, timeout: Duration) -> Self {
        Self { timeout, ..self }
    }

    /// The cluster of the control plane; `None` for a local one.
    pub(crate) fn cluster(&self) -> Option<&Cluster> {
        match &self.way {
            Way::Socket { .. } => None,
            Way::Forwarded(forwarded) => Some(forwarded.cluster()),
        }
    }

    /// Says what is about to be changed, where it might be another than the user thinks.
    pub(crate) fn announce(&self, context: &Context) {
        if let Some(cluster) = self.cluster() {
            cluster.announce(context);
        }
    }

    /// Does what else there is to do on the cluster of [`Self::cluster`].
    pub(crate) fn block_on<T>(&self, task: impl Future<Output = T>) -> T {
        self.runtime.block_on(task)
    }

    /// `GET`, with a query.
    pub(crate) fn get<T: DeserializeOwned>(
        &self,
        path: &str,
        query: &[(&str, &str)],
    ) -> Result<T, Failure> {
        self.ask(path, query).map_err(|fault| self.failure(fault))
    }

    /// `POST`, with a body.
    pub(crate) fn post<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &impl Serialize,
    ) -> Result<T, Failure> {
        self.tell(path, body).map_err(|fault| match fault {
            Fault::Other(error) => Failure::from(error)
                .context("the control plane was asked, and gave no answer that could be used")
                .help("it may have done it or not: look, or do the same again"),
            fault => self.failure(fault),
        })
    }

    /// `GET` for those who look at the fault.
    pub(crate) fn ask<T: DeserializeOwned>(
        &self,
        path: &str,
        query: &[(&str, &str)],
    ) -> Result<T, Fault> {
        self.send(Method::GET, path, query, None)
    }

    /// `POST` for those who look at the fault.
    pub(crate) fn tell<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &impl Serialize,
    ) -> Result<T, Fault> {
        let body = serde_json::to_vec(body).map_err(|error| Fault::Other(error.into()))?;
        self.send(Method::POST, path, &[], Some(body))
    }

    fn send<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        query: &[(&str, &str)],
        body: Option<Vec<u8>>,
    ) -> Result<T, Fault> {
        let body = self.exchange(method, path, query, body)?;
        serde_json::from_slice(&body).map_err(|error| Fault::Other(error.into()))
    }

    /// The body of an answer that is a success.
    fn exchange(
        &self,
        method: Method,
        path: &str,
        query: &[(&str, &str)],
        body: Option<Vec<u8>>,
    ) -> Result<Bytes, Fault> {
        let url = url(path, query).map_err(Fault::Other)?;
        let answer = async {
            match &self.way {
                Way::Socket { home, http } => {
                    let sent = by_socket(http, method, url, body).await;
                    // To root the socket is open; who is another user it closes without a word.
                    sent.map_err(|fault| match fault {
                        Fault::Other(_) if other_owner(home).is_some() => Fault::Forbidden,
                        fault => fault,
                    })
                }
                Way::Forwarded(way) => way.send(method, &target(&url), body).await,
            }
        };
        let answer = async { tokio::time::timeout(self.timeout, answer).await };
        let (status, body) = self
            .runtime
            .block_on(answer)
            .map_err(|_| Fault::Other(anyhow::anyhow!("no answer after {:?}", self.timeout)))??;
        if status.is_success() {
            return Ok(body);
        }
        let failure = serde_json::from_slice(&body).unwrap_or_else(|_| shapes::Failure {
            error: format!("the control plane answered {status}"),
            help: String::new(),
            diagnostics: Vec::new(),
        });
        Err(Fault::Refused(status, Box::new(failure)))
    }

    /// A fault as people read it.
    pub(crate) fn failure(&self, fault: Fault) -> Failure {
        match fault {
            Fault::NotRunning | Fault::Forbidden => self.not_here(&fault),
            Fault::Told(failure) => *failure,
            Fault::Refused(_, failure) => {
                let told = Failure::new(failure.error).help(failure.help);
                told.with_detail(diagnostics::render(&failure.diagnostics, &[]))
            }
            Fault::Other(error) => Failure::from(error)
                .context("the control plane gave no answer that could be used")
                .help("see how it is with `meshctl check`"),
        }
    }

    /// Nobody answers at the socket.
    fn not_here(&self, fault: &Fault) -> Failure {
        let Way::Socket { home: dir, .. } = &self.way else {
            return Failure::new("no control plane is running on the cluster")
                .help("see why with `meshctl check`");
        };
        let home = dir.display();
        match (fault, Holder::find(dir)) {
            (Fault::Forbidden, _) => {
                Failure::new(format!("the control plane in `{home}` belongs to another user"))
                    .help("run as that user, or name another mesh with `--home`")
            }
            (_, Ok(Some(_))) => {
                let log = Home::new(dir).log();
                Failure::new(format!("the control plane in `{home}` is being started again"))
                    .help(format!("try again in a moment; its log is `{}`", log.display()))
            }
            _ => {
                let none = format!("no control plane is running in `{home}`");
                match other_owner(dir) {
                    None => Failure::new(none).help("start it with `meshctl install`"),
                    Some(user) => Failure::new(format!("{none}, which belongs to user {user}"))
                        .help("run as that user, or name another mesh with `--home`"),
                }
            }
        }
    }
}

/// The user of a control plane that is not this one: of its socket, else of its home directory.
fn other_owner(home: &Path) -> Option<u32> {
    let socket = std::fs::metadata(Home::new(home).admin_socket());
    let user = socket.or_else(|_| std::fs::metadata(home)).ok()?.uid();
    Some(user).filter(|user| *user != rustix::process::getuid().as_raw())
}

/// One request to the socket.
async fn by_socket(
    http: &reqwest::Client,
    method: Method,
    url: Url,
    body: Option<Vec<u8>>,
) -> Result<(StatusCode, Bytes), Fault> {
    let mut request = http.request(method, url);
    if let Some(body) = body {
        request = request.header(CONTENT_TYPE, "application/json").body(body);
    }
    let answer = request.send().await.map_err(|error| {
        if !error.is_connect() {
            return Fault::Other(error.without_url().into());
        }
        match is_forbidden(&error) {
            true => Fault::Forbidden,
            false => Fault::NotRunning,
        }
    })?;
    let status = answer.status();
    let body = answer.bytes().await.map_err(|e| Fault::Other(e.without_url().into()))?;
    Ok((status, body))
}

fn runtime() -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()
}

/// Whether the system refused the connection because of who asks.
fn is_forbidden(error: &reqwest::Error) -> bool {
    let causes = std::iter::successors(Some(error as &dyn std::error::Error), |it| it.source());
    let denied = |it: &std::io::Error| it.kind() == std::io::ErrorKind::PermissionDenied;
    causes.filter_map(|it| it.downcast_ref()).any(denied)
}

/// Says who does the cryptography of this process.
pub(crate) fn install_provider() {
    // It fails only when somebody else installed one before, which serves as well.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
}

fn url(path: &str, query: &[(&str, &str)]) -> anyhow::Result<Url> {
    let mut url = Url::parse(&format!("http://{CONTROL_PLANE}{path}"))?;
    if !query.is_empty() {
        url.query_pairs_mut().extend_pairs(query);
    }
    Ok(url)
}

/// The path of a URL with its query, for a request line.
fn target(url: &Url) -> String {
    match url.query() {
        Some(query) => format!("{}?{query}", url.path()),
        None => url.path().to_owned(),
    }
}
