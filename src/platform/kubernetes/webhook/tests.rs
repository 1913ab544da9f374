//! Only what is wrong is written, against the version that was read, and until it is right.

use kube::core::Status;

use super::*;

fn configuration(bundles: [Option<&str>; 2]) -> MutatingWebhookConfiguration {
    let webhooks: Vec<_> = ["namespace.meshctl.dev", "pod.meshctl.dev"]
        .into_iter()
        .zip(bundles)
        .map(|(name, bundle)| {
            let bundle = bundle.map(|text| ByteString(text.as_bytes().to_vec()));
            json!({
                "name": name, "sideEffects": "None", "admissionReviewVersions": ["v1"],
                "clientConfig": { "caBundle": bundle, "service": { "name": "meshctl-webhook", "namespace": "meshctl-system" } },
            })
        })
        .collect();
    let metadata = json!({ "name": "meshctl", "resourceVersion": "7" });
    serde_json::from_value(json!({ "metadata": metadata, "webhooks": webhooks })).unwrap()
}

#[test]
fn a_right_bundle_is_left_alone() {
    assert_eq!(patch(&configuration([Some("roots"); 2]), "roots"), None);
    assert_eq!(patch(&MutatingWebhookConfiguration::default(), "roots"), None);
}

#[test]
fn a_wrong_or_missing_bundle_is_replaced_and_nothing_else() {
    let patch = patch(&configuration([Some("roots"), None]), "roots").unwrap();
    let expected = json!({
        "metadata": { "resourceVersion": "7" },
        "webhooks": [{ "name": "pod.meshctl.dev", "clientConfig": { "caBundle": "cm9vdHM=" } }],
    });
    assert_eq!(patch, expected);
}

fn refused(code: u16, reason: &str) -> Error {
    Error::Api(Box::new(Status::failure("", reason).with_code(code)))
}

/// A write that failed was logged, and tried again only when somebody else changed something.
#[test]
fn a_failed_write_is_tried_again_later_and_later() {
    let mut backoff = Backoff::new(RETRY.0, RETRY.1);
    let mut after = |outcome| next(outcome, &mut backoff, u64::MAX);
    let millis = |wait| match wait {
        Next::Again(wait) => wait.as_millis(),
        over => panic!("{over:?}"),
    };
    let waits: Vec<_> = [(403, "Forbidden"), (500, "InternalError"), (403, "Forbidden")]
        .map(|(code, reason)| millis(after(Err(refused(code, reason)))))
        .into();
    assert_eq!(waits, [499, 999, 1_999]);
    assert_eq!(after(Ok(true)), Next::Pause);
    assert_eq!(after(Ok(false)), Next::Watch);
    // What has changed meanwhile is left to its own event.
    assert_eq!(after(Err(refused(409, "Conflict"))), Next::Pause);
    assert_eq!(after(Err(refused(404, "NotFound"))), Next::Pause);
}
