//! Credential plugins of a kubeconfig (`users[].user.exec`, client.authentication.k8s.io/v1).
//!
//! The program is run with a time limit and ended with it. Its token is kept until a minute before
//! it expires; then the program is asked again, without holding up anything else.

use std::io::IsTerminal as _;
use std::process::{Output, Stdio};
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use http::header::AUTHORIZATION;
use http::{HeaderValue, Request};
use jiff::{SignedDuration, Timestamp};
use kube::config::{ExecConfig, ExecInteractiveMode};
use serde::Deserialize;
use tokio::process::Command;
use tokio::sync::Mutex;
use tower::BoxError;
use tower::filter::AsyncPredicate;

/// The longest that a plugin may take, a login in a browser included.
const TIMEOUT: Duration = Duration::from_secs(30);
/// A token is renewed so long before it expires.
const MARGIN: SignedDuration = SignedDuration::from_secs(60);

/// Why a plugin gave no credentials.
#[derive(Debug, thiserror::Error)]
pub(super) enum ExecError {
    #[error("it has a credential plugin without a command")]
    NoCommand,
    #[error("its credential plugin `{command}` is not there")]
    NotThere { command: String, hint: String },
    #[error("its credential plugin `{command}` cannot be run")]
    Start { command: String, source: std::io::Error },
    #[error("its credential plugin `{command}` wants to ask questions, and there is no terminal")]
    NoTerminal { command: String },
    #[error("its credential plugin `{command}` has not answered after {} s", limit.as_secs())]
    Hangs { command: String, limit: Duration },
    #[error("its credential plugin `{command}` failed ({status})")]
    Failed { command: String, status: std::process::ExitStatus },
    #[error("what its credential plugin `{command}` printed is not an ExecCredential: {why}")]
    Answer { command: String, why: String },
}

impl ExecError {
    pub(super) fn help(&self) -> String {
        match self {
            Self::NotThere { hint, .. } if !hint.is_empty() => hint.clone(),
            Self::NotThere { .. } => "install it, or put it on PATH".to_owned(),
            Self::NoTerminal { .. } => {
                "log in once where there is a terminal, or use other credentials".to_owned()
            }
            _ => {
                "run the plugin by hand, or log in again as the cluster's provider says".to_owned()
            }
        }
    }
}

/// What a plugin gave; a token stays inside it.
pub(super) enum Credentials {
    Token,
    /// Both PEM.
    Certificate {
        certificate: String,
        key: String,
    },
}

/// A plugin and its last token. Clones share it.
#[derive(Clone)]
pub(super) struct Plugin {
    exec: Arc<ExecConfig>,
    limit: Duration,
    last: Arc<Mutex<Option<Token>>>,
}

#[derive(Clone)]
struct Token {
    header: HeaderValue,
    expires: Option<Timestamp>,
}

#[derive(Deserialize)]
struct ExecCredential {
    status: Option<Status>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Status {
    token: Option<String>,
    client_certificate_data: Option<String>,
    client_key_data: Option<String>,
    expiration_timestamp: Option<Timestamp>,
}

impl Plugin {
    pub(super) fn new(exec: ExecConfig) -> Self {
        Self::with_limit(exec, TIMEOUT)
    }

    /// The same with another time limit.
    pub(super) fn with_limit(exec: ExecConfig, limit: Duration) -> Self {
        Self { exec: Arc::new(exec), limit, last: Arc::default() }
    }

    /// Runs it and keeps its token.
    pub(super) async fn run(&self) -> Result<Credentials, ExecError> {
        let mut last = self.last.lock().await;
        let status = self.ask().await?;
        if let (Some(certificate), Some(key)) =
            (status.client_certificate_data, status.client_key_data)
        {
            return Ok(Credentials::Certificate { certificate, key });
        }
        *last = Some(self.token(status.token, status.expiration_timestamp)?);
        Ok(Credentials::Token)
    }

    /// The `Authorization` header, from a plugin that is run again where its token ends.
    async fn header(&self) -> Result<HeaderValue, ExecError> {
        let mut last = self.last.lock().await;
        let fresh = |it: &&Token| it.expires.is_none_or(|at| Timestamp::now() + MARGIN < at);
        if let Some(token) = last.as_ref().filter(fresh) {
            return Ok(token.header.clone());
        }
        let status = self.ask().await?;
        let token = self.token(status.token, status.expiration_timestamp)?;
        Ok(last.insert(token).header.clone())
    }

    fn token(&self, token: Option<String>, expires: Option<Timestamp>) -> Result<Token, ExecError> {
        let token = token.ok_or_else(|| self.answer("it has no token"))?;
        let mut header = HeaderValue::try_from(format!("Bearer {token}"))
            .map_err(|_| self.answer("its token is not text for a header"))?;
        header.set_sensitive(true);
        Ok(Token { header, expires })
    }

    fn command(&self) -> String {
        self.exec.command.clone().unwrap_or_default()
    }

    fn answer(&self, why: &str) -> ExecError {
        ExecError::Answer { command: self.command(), why: why.to_owned() }
    }

    async fn ask(&self) -> Result<Status, ExecError> {
        let output = self.output().await?;
        if !output.status.success() {
            return Err(ExecError::Failed { command: self.command(), status: output.status });
        }
        // JSON by its specification, YAML by what `kubectl` takes.
        let credential: ExecCredential = serde_yaml::from_slice(&output.stdout)
            .map_err(|error| self.answer(&error.to_string()))?;
        credential.status.ok_or_else(|| self.answer("it has no status"))
    }

    async fn output(&self) -> Result<Output, ExecError> {
        let command = self.exec.command.clone().ok_or(ExecError::NoCommand)?;
        let terminal = std::io::stdin().is_terminal();
        let interactive = match self.exec.interactive_mode {
            Some(ExecInteractiveMode::Never) => false,
            Some(ExecInteractiveMode::Always) if !terminal => {
                return Err(ExecError::NoTerminal { command });
            }
            _ => terminal,
        };
        let mut child = Command::new(&command);
        child
            .args(self.exec.args.iter().flatten())
            .envs(self.environment())
            .env("KUBERNETES_EXEC_INFO", self.info(interactive))
            .stdin(if interactive { Stdio::inherit() } else { Stdio::null() })
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .kill_on_drop(true);
        let child = child.spawn().map_err(|source| match source.kind() {
            std::io::ErrorKind::NotFound => ExecError::NotThere {
                command: command.clone(),
                hint: self.exec.install_hint.clone().unwrap_or_default(),
            },
            _ => ExecError::Start { command: command.clone(), source },
        })?;
        match tokio::time::timeout(self.limit, child.wait_with_output()).await {
            Ok(Ok(output)) => Ok(output),
            Ok(Err(source)) => Err(ExecError::Start { command, source }),
            Err(_) => Err(ExecError::Hangs { command, limit: self.limit }),
        }
    }

    fn environment(&self) -> impl Iterator<Item = (&String, &String)> {
        let entries = self.exec.env.iter().flatten();
        entries.filter_map(|entry| entry.get("name").zip(entry.get("value")))
    }

    /// What the plugin is told in `KUBERNETES_EXEC_INFO`.
    fn info(&self, interactive: bool) -> String {
        let mut spec = serde_json::json!({ "interactive": interactive });
        if let (true, Some(cluster)) = (self.exec.provide_cluster_info, &self.exec.cluster) {
            spec["cluster"] = serde_json::json!(cluster);
        }
        let version = &self.exec.api_version;
        let info =
            serde_json::json!({ "kind": "ExecCredential", "apiVersion": version, "spec": spec });
        info.to_string()
    }
}

impl<B: Send + 'static> AsyncPredicate<Request<B>> for Plugin {
    type Future = BoxFuture<'static, Result<Request<B>, BoxError>>;
    type Request = Request<B>;

    fn check(&mut self, mut request: Request<B>) -> Self::Future {
        let plugin = self.clone();
        Box::pin(async move {
            let header = plugin.header().await?;
            request.headers_mut().insert(AUTHORIZATION, header);
            Ok(request)
        })
    }
}
