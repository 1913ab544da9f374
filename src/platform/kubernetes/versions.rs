//! What a cluster runs: the version of Kubernetes, the kinds that it knows, its clock.

use jiff::Timestamp;
use kube::api::DynamicObject;
use kube::client::Body;
use serde_json::json;

use super::client::Connection;
use super::client::fault::RequestError;
use super::objects::{Place, get, within};

#[cfg(test)]
mod tests;

/// The oldest Kubernetes with what a mesh needs: native sidecars (KEP-753), on by default.
pub const OLDEST: (u32, u32) = (1, 29);

/// Major and minor of a version as the API server says it; `1.29+` is one.
fn parse(major: &str, minor: &str) -> Option<(u32, u32)> {
    let number = |text: &str| {
        text.chars().take_while(char::is_ascii_digit).collect::<String>().parse::<u32>().ok()
    };
    Some((number(major)?, number(minor)?))
}

/// The version of the API server, if it is new enough, or its words and that it is not.
///
/// # Errors
/// [`RequestError`].
pub async fn kubernetes(to: &Connection) -> Result<Result<String, String>, RequestError> {
    let request = to.client.apiserver_version();
    let info = within(to, "ask the API server for its version", request).await?;
    Ok(match parse(&info.major, &info.minor) {
        Some(found) if found >= OLDEST => Ok(info.git_version),
        _ => Err(info.git_version),
    })
}

/// The definition of a kind, `PLURAL.GROUP`; `None` where it is not known to the cluster.
///
/// # Errors
/// [`RequestError`].
pub async fn definition(
    to: &Connection,
    name: &str,
) -> Result<Option<DynamicObject>, RequestError> {
    let object = json!({
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": { "name": name },
    });
    match Place::of(&object) {
        Some(place) => get(to, &place).await,
        None => Ok(None),
    }
}

/// What the API server's clock says, to the second (RFC 9110 §6.6.1); `None` where it does not tell.
///
/// # Errors
/// [`RequestError`].
pub async fn clock(to: &Connection) -> Result<Option<Timestamp>, RequestError> {
    let request = http::Request::get("/version").body(Body::empty());
    let request = async {
        let request = request.map_err(kube::Error::HttpError)?;
        to.client.send(request).await
    };
    let answer = within(to, "ask the API server for its time", request).await?;
    let date = answer.headers().get(http::header::DATE).and_then(|it| it.to_str().ok());
    Ok(date.and_then(|text| jiff::fmt::rfc2822::parse(text).ok()).map(|it| it.timestamp()))
}
