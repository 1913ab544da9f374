//! What an API server answered, or why it did not, in words: what failed, what to do.

use super::Connection;

/// A request that failed. `Display` says what was attempted, where, and why it failed.
#[derive(Debug, thiserror::Error)]
#[error("cannot {attempt} (context `{context}`): {why}")]
pub struct RequestError {
    attempt: String,
    context: String,
    why: String,
    help: String,
    status: Option<u16>,
    passing: bool,
}

impl RequestError {
    /// `attempt` continues "cannot", such as "create the namespace `shop`".
    pub fn new(to: &Connection, attempt: impl Into<String>, error: &kube::Error) -> Self {
        let (why, help) = explain(error, &to.server);
        let (status, passing) = (status(error), is_passing(error));
        Self { attempt: attempt.into(), context: to.context.clone(), why, help, status, passing }
    }

    /// That no answer came in time.
    pub fn late(to: &Connection, attempt: impl Into<String>, after: std::time::Duration) -> Self {
        Self {
            attempt: attempt.into(),
            context: to.context.clone(),
            why: format!("`{}` has not answered after {after:?}", to.server),
            help: "try again, or look at the API server".to_owned(),
            status: None,
            passing: true,
        }
    }

    /// Why, without what was attempted.
    pub fn why(&self) -> &str {
        &self.why
    }

    /// What to do.
    pub fn help(&self) -> &str {
        &self.help
    }

    /// Whether it may be gone when the same is asked again: nobody answered, or the API server has
    /// trouble. Not where an answer says what is wrong.
    pub fn is_passing(&self) -> bool {
        self.passing
    }

    /// The HTTP status of the answer; `None` where none came.
    pub fn status(&self) -> Option<u16> {
        self.status
    }
}

/// The HTTP status of the answer; `None` where none came.
pub fn status(error: &kube::Error) -> Option<u16> {
    match error {
        kube::Error::Api(status) => Some(status.code),
        _ => None,
    }
}

fn is_passing(error: &kube::Error) -> bool {
    match error {
        kube::Error::Api(status) => matches!(status.code, 429 | 500..),
        kube::Error::SerdeError(_) | kube::Error::FromUtf8(_) | kube::Error::Auth(_) => false,
        error => !is_of_certificates(&causes(error)),
    }
}

/// That the two do not trust each other; it is only to be known by its words.
fn is_of_certificates(causes: &[String]) -> bool {
    causes.iter().any(|it| it.contains("certificate"))
}

/// Why, and what to do.
fn explain(error: &kube::Error, server: &str) -> (String, String) {
    let said = match error {
        kube::Error::Api(status) => one_line(&status.message),
        _ => String::new(),
    };
    match status(error) {
        Some(401) => (
            "the API server does not accept the credentials, they are wrong or have expired"
                .to_owned(),
            "log in again as the cluster's provider says, then try `kubectl auth whoami`"
                .to_owned(),
        ),
        Some(403) => (said, "ask whoever administers the cluster for that right".to_owned()),
        Some(404) if said.is_empty() || said.starts_with("404 page") => (
            format!("`{server}` does not know that kind of object"),
            "see `meshctl check --pre`".to_owned(),
        ),
        Some(409) => (said, "somebody else changed it meanwhile; try again".to_owned()),
        Some(429 | 500..) => (said, "the API server has trouble; try again in a while".to_owned()),
        Some(_) => (said, "see `meshctl check --pre`".to_owned()),
        None => unanswered(error, server),
    }
}

/// No answer, or none that makes sense.
fn unanswered(error: &kube::Error, server: &str) -> (String, String) {
    let causes = causes(error);
    let last = causes.last().map(String::as_str).unwrap_or_default();
    if is_of_certificates(&causes) {
        let help = "the certificate authority in the kubeconfig is not that of this API server; \
                    fetch the kubeconfig again";
        return (format!("the certificate of `{server}` is refused: {last}"), help.to_owned());
    }
    if matches!(error, kube::Error::SerdeError(_) | kube::Error::FromUtf8(_)) {
        let help = "something else than an API server answers there, such as a login page";
        return (format!("`{server}` has not answered as an API server does: {last}"), help.into());
    }
    let help = "check that the cluster runs and that its address in the kubeconfig is right";
    (format!("`{server}` cannot be reached: {last}"), help.to_owned())
}

/// The texts of an error and of what caused it.
fn causes(error: &dyn std::error::Error) -> Vec<String> {
    let first = Some(error);
    std::iter::successors(first, |it| it.source()).map(|it| one_line(&it.to_string())).collect()
}

/// The first line, cut where it is too long to help.
fn one_line(text: &str) -> String {
    const LONGEST: usize = 400;
    text.lines().next().unwrap_or_default().chars().take(LONGEST).collect()
}
