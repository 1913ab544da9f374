//! Rules from a web server: one `GET` over HTTP or HTTPS, bounded in size and in time.
//!
//! HTTPS is judged by the roots of this system. Redirects stay within the scheme, so that what was
//! asked for over TLS does not come without it, and never end at a file.

use std::path::Path;
use std::time::Duration;

use reqwest::Url;
use reqwest::redirect::{Attempt, Policy};

use super::super::client;
use super::super::exit::Failure;
use crate::rules::{Document, MAX_FILE_BYTES};

#[cfg(test)]
mod tests;

/// How many redirects are followed.
const MAX_REDIRECTS: usize = 5;

/// What one fetch may cost.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    bytes: u64,
    time: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self { bytes: MAX_FILE_BYTES, time: Duration::from_secs(10) }
    }
}

/// The address that a name given by `-f` is; `None` where it is a path.
pub(super) fn address(name: &Path) -> Option<Result<Url, Failure>> {
    let text = name.to_str()?;
    let (scheme, _) = text.split_once("://")?;
    match scheme.to_ascii_lowercase().as_str() {
        "http" | "https" => Some(text.parse().map_err(|error| {
            Failure::misuse(anyhow::Error::new(error)).context(format!("`{text}` is not a URL"))
        })),
        _ => None,
    }
}

/// Gets the rules that lie at `url`.
pub(super) fn fetch(url: &Url, limits: Limits) -> Result<Document, Failure> {
    let source = shown(url);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let bytes = runtime.block_on(get(url.clone(), limits));
    let bytes = bytes.map_err(|failure| failure.context(format!("cannot fetch `{source}`")))?;
    let text = String::from_utf8(bytes)
        .map_err(|_| Failure::new(format!("what lies at `{source}` is not UTF-8 text")))?;
    Ok(Document { source, text })
}

async fn get(url: Url, limits: Limits) -> Result<Vec<u8>, Failure> {
    client::install_provider();
    let secure = url.scheme() == "https";
    let mut builder =
        reqwest::Client::builder().timeout(limits.time).redirect(Policy::custom(redirect));
    if !secure {
        // Without TLS the roots of the system, which may have none, are of no use.
        builder = builder.tls_certs_only([]);
    }
    let fault = |error: reqwest::Error| match error.is_timeout() {
        true => Failure::new(format!("no answer within {:?}", limits.time)),
        false => unanswered(error, secure),
    };
    let mut answer = builder.build().map_err(fault)?.get(url).send().await.map_err(fault)?;
    if !answer.status().is_success() {
        return Err(Failure::new(format!("the server answered {}", answer.status()))
            .help("see whether the address is right"));
    }
    let mut bytes = Vec::new();
    while let Some(part) = answer.chunk().await.map_err(fault)? {
        if bytes.len() as u64 + part.len() as u64 > limits.bytes {
            return Err(Failure::new(format!("it has more than {} bytes", limits.bytes)));
        }
        bytes.extend_from_slice(&part);
    }
    Ok(bytes)
}

/// Why there was no answer, by the first cause: those above it only say that there was none.
fn unanswered(error: reqwest::Error, secure: bool) -> Failure {
    let connecting = error.is_connect() || error.is_builder();
    let error = error.without_url();
    let causes = std::iter::successors(Some(&error as &dyn std::error::Error), |it| it.source());
    let why = causes.last().map(ToString::to_string).unwrap_or_default();
    let failure = Failure::new(why.clone());
    match connecting {
        true if secure && why.contains("certificate") => {
            failure.help("the server's certificate must lead to a root that this system trusts")
        }
        true => failure.help("see whether the address is right and its server runs"),
        false => failure,
    }
}

fn redirect(attempt: Attempt<'_>) -> reqwest::redirect::Action {
    let asked = attempt.previous().first().map(Url::scheme);
    if asked != Some(attempt.url().scheme()) {
        let to = shown(attempt.url());
        return attempt.error(format!("it is redirected to `{to}`, which is not followed"));
    }
    if attempt.previous().len() > MAX_REDIRECTS {
        return attempt.error(format!("it is redirected more than {MAX_REDIRECTS} times"));
    }
    attempt.follow()
}

/// A URL without what may be secret in it: user, password, query.
fn shown(url: &Url) -> String {
    let mut url = url.clone();
    // These refuse only URLs without a host, which have neither.
    let _ = url.set_username("");
    let _ = url.set_password(None);
    url.set_query(None);
    url.set_fragment(None);
    url.to_string()
}
