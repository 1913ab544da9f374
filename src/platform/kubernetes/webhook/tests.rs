//! Only what is wrong is written, against the version that was read.

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
