//! The mutating webhook: an AdmissionReview goes in, one with the answer comes out.
//!
//! A pure function, so dry runs need nothing of their own. Whatever comes in, the answer is a valid
//! review: with a patch, with warnings, or a refusal in words for the pod's creator. What was meant
//! to be in the mesh and cannot be judged is refused, never let through bare.

use kube::core::DynamicObject;
use kube::core::admission::{AdmissionRequest, AdmissionResponse, AdmissionReview};
use serde_json::Value as Json;

use super::selectors::Entry;
use super::{Decision, Origin, Refusal, Settings, inject};
use crate::rules::quoted;

/// The largest review that is read, in bytes; the API server itself takes objects of 3 MiB at most.
pub const MAX_BYTES: usize = 4 << 20;

const VERSION: &str = "admission.k8s.io/v1";

/// What is answered over HTTP.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// The body, JSON.
    pub body: Vec<u8>,
}

/// Answers a review that was posted to a path below [`super::selectors::PATH`].
pub fn review(path: &str, body: &[u8], settings: &Settings) -> Answer {
    if body.len() > MAX_BYTES {
        return too_large();
    }
    let json: Json = match serde_json::from_slice(body) {
        Ok(json) => json,
        Err(error) => return refusal(400, &format!("the body is no JSON: {error}")),
    };
    let text = |at: &str| json.pointer(at).and_then(Json::as_str).unwrap_or_default();
    let uid = text("/request/uid").to_owned();
    let (kind, version) = (text("/kind"), text("/apiVersion"));
    if (kind, version) != ("AdmissionReview", VERSION) {
        let message = format!(
            "the body is {} of {}, not an AdmissionReview of {VERSION}",
            quoted(kind),
            quoted(version)
        );
        return answer(200, invalid(uid, &message));
    }
    let request = serde_json::from_value::<AdmissionReview<DynamicObject>>(json)
        .map_err(|error| format!("the review cannot be read: {error}"))
        .and_then(|review| {
            let none = |_| "the review has no request".to_owned();
            TryInto::<AdmissionRequest<DynamicObject>>::try_into(review).map_err(none)
        });
    match request {
        Ok(request) => answer(200, judge(path, &request, settings)),
        Err(message) => answer(200, invalid(uid, &message)),
    }
}

/// Refuses a review of more than [`MAX_BYTES`], whatever is in it.
pub fn too_large() -> Answer {
    refusal(413, &format!("the review has more than {MAX_BYTES} bytes"))
}

fn judge(
    path: &str,
    request: &AdmissionRequest<DynamicObject>,
    settings: &Settings,
) -> AdmissionResponse {
    let mut response = AdmissionResponse::from(request);
    let is_pod = request.kind.group.is_empty() && request.kind.kind == "Pod";
    let whole = request.sub_resource.as_deref().unwrap_or_default().is_empty();
    let Some(pod) = request.object.as_ref().filter(|_| is_pod && whole) else {
        let warning = "meshctl: there is no pod in this review, nothing was done".to_owned();
        response.warnings = Some(vec![warning]);
        return response;
    };
    let pod = match serde_json::to_value(pod) {
        Ok(pod) => pod,
        Err(error) => return response.deny(format!("meshctl: the pod cannot be read: {error}")),
    };
    let namespace = request.namespace.as_deref().unwrap_or_default();
    let origin = Origin {
        namespace,
        namespace_label: match Entry::at(path) {
            Some(Entry::Misspelt) => Some(""),
            Some(Entry::Pod) => None,
            Some(Entry::Namespace) | None => Some("enabled"),
        },
        ..Origin::default()
    };
    let injection = inject(&pod, &origin, settings);
    let warnings: Vec<String> =
        injection.warnings.iter().map(|warning| format!("meshctl: {}", warning.message)).collect();
    response.warnings = Some(warnings).filter(|warnings| !warnings.is_empty());
    match &injection.decision {
        Decision::Skipped(_) => response,
        Decision::Refused(refusals) => {
            response.deny(format!("meshctl: {}", sentence(refusals, path, namespace)))
        }
        Decision::Injected => {
            let patch = serde_json::from_value(injection.patch());
            let patched = patch.ok().and_then(|patch| response.clone().with_patch(patch).ok());
            patched.unwrap_or_else(|| response.deny("meshctl: the patch cannot be written"))
        }
    }
}

/// Everything that is wrong, for one line.
fn sentence(refusals: &[Refusal], path: &str, namespace: &str) -> String {
    if Entry::at(path) == Some(Entry::Misspelt) {
        let label = crate::names::sidecar::INJECT_LABEL;
        return format!(
            "the label `{label}` of namespace {} can be `enabled` or `disabled`, and is something else",
            quoted(namespace)
        );
    }
    let one = |refusal: &Refusal| match refusal.help.is_empty() {
        true => refusal.message.clone(),
        false => format!("{} ({})", refusal.message, refusal.help),
    };
    refusals.iter().map(one).collect::<Vec<_>>().join("; ")
}

/// A refusal of what is no review.
fn refusal(status: u16, message: &str) -> Answer {
    answer(status, invalid(String::new(), message))
}

fn invalid(uid: String, message: &str) -> AdmissionResponse {
    let mut response = AdmissionResponse::invalid(format!("meshctl: {message}"));
    response.uid = uid;
    response
}

fn answer(status: u16, response: AdmissionResponse) -> Answer {
    let review = response.into_review();
    match serde_json::to_vec(&review) {
        Ok(body) => Answer { status, body },
        Err(_) => Answer { status: 500, body: Vec::new() },
    }
}
