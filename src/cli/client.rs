//! The one client of the admin API: HTTP/1.1 with JSON over the Unix socket in the home directory.
//!
//! Owns its runtime, so that commands read top to bottom. That no control plane answers is told
//! apart from every other fault, because it has its own remedy.

use std::path::{Path, PathBuf};
use std::time::Duration;

use reqwest::{Method, StatusCode};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::diagnostics;
use super::exit::Failure;
use crate::control::api::shapes;
use crate::control::home::Home;
use crate::platform::local::Holder;

/// The longest that one answer may take; waiting is done by asking again.
const TIMEOUT: Duration = Duration::from_secs(30);

/// A connection to the control plane of a home directory.
#[derive(Debug)]
pub(crate) struct Client {
    home: PathBuf,
    http: reqwest::Client,
    runtime: tokio::runtime::Runtime,
}

/// Why there was no answer of the kind that was asked for.
#[derive(Debug)]
pub(crate) enum Fault {
    /// Nothing listens there.
    NotRunning,
    /// This user may not connect.
    Forbidden,
    /// It answered, and refused.
    Refused(StatusCode, Box<shapes::Failure>),
    /// Anything else.
    Other(anyhow::Error),
}

impl Client {
    /// A client for the control plane of `home`; nothing is sent yet.
    pub(crate) fn new(home: &Path) -> Result<Self, Failure> {
        Self::with_timeout(home, TIMEOUT)
    }

    /// The same with another limit for one answer.
    pub(crate) fn with_timeout(home: &Path, timeout: Duration) -> Result<Self, Failure> {
        // Needed only to build the client: the socket is plain HTTP.
        install_provider();
        let http = reqwest::Client::builder()
            .unix_socket(Home::new(home).admin_socket())
            .tls_certs_only([])
            .timeout(timeout)
            .build()?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        Ok(Self { home: home.to_owned(), http, runtime })
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
        self.send(self.http.request(Method::GET, url(path)).query(query))
    }

    /// `POST` for those who look at the fault.
    pub(crate) fn tell<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &impl Serialize,
    ) -> Result<T, Fault> {
        self.send(self.http.request(Method::POST, url(path)).json(body))
    }

    fn send<T: DeserializeOwned>(&self, request: reqwest::RequestBuilder) -> Result<T, Fault> {
        self.runtime.block_on(async {
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
            if status.is_success() {
                return serde_json::from_slice(&body).map_err(|error| Fault::Other(error.into()));
            }
            let failure = serde_json::from_slice(&body).unwrap_or_else(|_| shapes::Failure {
                error: format!("the control plane answered {status}"),
                help: String::new(),
                diagnostics: Vec::new(),
            });
            Err(Fault::Refused(status, Box::new(failure)))
        })
    }

    /// A fault as people read it.
    pub(crate) fn failure(&self, fault: Fault) -> Failure {
        match fault {
            Fault::NotRunning if matches!(Holder::find(&self.home), Ok(Some(_))) => {
                let home = self.home.display();
                let log = Home::new(&self.home).log();
                Failure::new(format!("the control plane in `{home}` is being started again"))
                    .help(format!("try again in a moment; its log is `{}`", log.display()))
            }
            Fault::NotRunning => {
                Failure::new(format!("no control plane is running in `{}`", self.home.display()))
                    .help("start it with `meshctl install`")
            }
            Fault::Forbidden => {
                let home = self.home.display();
                Failure::new(format!("the control plane in `{home}` belongs to another user"))
                    .help("run as that user, or name another mesh with `--home`")
            }
            Fault::Refused(_, failure) => {
                let told = Failure::new(failure.error).help(failure.help);
                told.with_detail(diagnostics::render(&failure.diagnostics, &[]))
            }
            Fault::Other(error) => Failure::from(error)
                .context("the control plane gave no answer that could be used")
                .help("see how it is with `meshctl check`"),
        }
    }
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

fn url(path: &str) -> String {
    format!("http://meshctl{path}")
}
