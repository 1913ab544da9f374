//! The schemas of our kinds against `validate`: whatever the one takes the other takes.
//!
//! The cases are the documents of our kinds in `testdata/rules` and those of `testdata/crds`.
//! Without a cluster the structure is held against them by a small reader of schemas, which cannot
//! evaluate CEL; with one (`KUBECONFIG`, `cargo test -- --ignored crds`) the API server judges.

use std::fs;
use std::path::Path;

use kube::api::{DynamicObject, Patch, PatchParams, PostParams};
use kube::core::{ApiResource, GroupVersionKind};
use kube::{Api, Client};
use meshctl::platform::kubernetes::crds::{GROUP, VERSION, crds};
use meshctl::rules::from_value;
use serde::Deserialize;
use serde_json::{Value, json};

mod schema;

/// A document of our kinds, and where it stands.
struct Case {
    from: String,
    document: Value,
}

impl Case {
    fn kind(&self) -> &str {
        self.document["kind"].as_str().expect("a kind")
    }

    /// Whether `validate` takes it.
    fn is_valid(&self) -> bool {
        from_value(&self.document, 1, 0).is_ok()
    }
}

/// Every document of our kinds in the directory.
fn cases(directory: &str) -> Vec<Case> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata").join(directory);
    let mut cases = Vec::new();
    for entry in fs::read_dir(directory).expect("readable") {
        let path = entry.expect("readable").path();
        if path.extension().is_none_or(|ending| ending != "yaml") {
            continue;
        }
        // Files of `bad` may be no text at all.
        let Ok(text) = fs::read_to_string(&path) else { continue };
        let text = text.trim_start_matches('\u{feff}');
        for (index, document) in serde_yaml::Deserializer::from_str(text).enumerate() {
            // Files of `bad` may be no YAML at all.
            let Ok(document) = Value::deserialize(document) else { break };
            let ours = document["apiVersion"] == format!("{GROUP}/{VERSION}");
            if ours && definition(document["kind"].as_str().unwrap_or_default()).is_some() {
                let name = path.file_name().expect("a file").to_string_lossy();
                cases.push(Case { from: format!("{name} document {index}"), document });
            }
        }
    }
    cases
}

fn all_cases() -> Vec<Case> {
    ["crds", "rules/ok", "rules/bad"].into_iter().flat_map(cases).collect()
}

fn definition(kind: &str) -> Option<Value> {
    crds().into_iter().find(|crd| crd["spec"]["names"]["kind"] == kind)
}

#[test]
fn the_cases_are_what_they_say() {
    for (file, good) in [("good", true), ("bad", false)] {
        let cases: Vec<_> =
            cases("crds").into_iter().filter(|it| it.from.starts_with(file)).collect();
        assert!(cases.len() > 5, "{file} holds only {} cases", cases.len());
        for case in cases {
            assert_eq!(case.is_valid(), good, "{}: {:#}", case.from, case.document);
        }
    }
}

#[test]
fn schemas_take_what_is_valid_and_refuse_what_is_not_but_for_what_only_cel_can_say() {
    let mut only_cel = Vec::new();
    for case in all_cases() {
        let definition = definition(case.kind()).expect("a definition");
        let schema = &definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"];
        let problems = schema::problems(schema, &case.document);
        match case.is_valid() {
            true => assert_eq!(problems, [""; 0], "{}", case.from),
            false if problems.is_empty() => only_cel.push(case),
            false => {}
        }
    }
    for case in only_cel {
        let name = case.document["metadata"]["name"].as_str().unwrap_or_default();
        let spec = &case.document["spec"];
        let by_range = spec["timeouts"].is_object() || spec["certificates"].is_object();
        let known = ["twice", "Upper", "other", "contradictions"].contains(&name);
        let known = known || by_range || name.starts_with("cel-");
        assert!(known, "{}: no schema refuses {:#}", case.from, case.document);
    }
}

#[test]
fn every_kind_of_ours_has_a_definition_and_no_other() {
    use meshctl::mesh::ObjectKind;
    let version = format!("{GROUP}/{VERSION}");
    let ours = ObjectKind::ALL.into_iter().filter(|kind| kind.api_version() == version);
    let mut ours: Vec<_> = ours.map(ObjectKind::as_str).collect();
    let mut defined: Vec<_> = crds()
        .iter()
        .map(|crd| crd["spec"]["names"]["kind"].as_str().unwrap().to_owned())
        .collect();
    ours.sort_unstable();
    defined.sort_unstable();
    assert_eq!(defined, ours);
}

#[tokio::test]
#[ignore = "needs a Kubernetes API server that KUBECONFIG names"]
async fn an_api_server_agrees_with_validate() {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let client = Client::try_default().await.expect("a cluster");
    establish(&client).await;
    for case in all_cases() {
        let kind = GroupVersionKind::gvk(GROUP, VERSION, case.kind());
        let definition = definition(case.kind()).expect("a definition");
        let plural = definition["spec"]["names"]["plural"].as_str().expect("a plural");
        let resource = ApiResource::from_gvk_with_plural(&kind, plural);
        let api: Api<DynamicObject> = match definition["spec"]["scope"].as_str() {
            Some("Cluster") => Api::all_with(client.clone(), &resource),
            _ => Api::namespaced_with(client.clone(), "default", &resource),
        };
        let parameters = PostParams { dry_run: true, field_manager: None };
        let verdict = create(&api, &parameters, &case.document).await;
        assert_eq!(
            verdict.is_ok(),
            case.is_valid(),
            "{}: {verdict:?} for {:#}",
            case.from,
            case.document
        );
    }
}

/// Creates with unknown fields refused, as `kubectl` and this product do.
async fn create(
    api: &Api<DynamicObject>,
    parameters: &PostParams,
    document: &Value,
) -> Result<(), String> {
    let body = serde_json::to_vec(document).expect("JSON");
    let request = kube::core::Request::new(api.resource_url());
    let mut request = request.create(parameters, body).expect("a request");
    let uri = format!("{}&fieldValidation=Strict", request.uri());
    *request.uri_mut() = uri.parse().expect("a URI");
    let client = api.clone().into_client();
    client.request_text(request).await.map(drop).map_err(|error| error.to_string())
}

/// Applies the definitions and waits until they are served.
async fn establish(client: &Client) {
    let gvk = GroupVersionKind::gvk("apiextensions.k8s.io", "v1", "CustomResourceDefinition");
    let resource = ApiResource::from_gvk(&gvk);
    let api: Api<DynamicObject> = Api::all_with(client.clone(), &resource);
    let parameters = PatchParams::apply("meshctl-test").force();
    for crd in crds() {
        let name = crd["metadata"]["name"].as_str().expect("a name");
        api.patch(name, &parameters, &Patch::Apply(&crd)).await.expect("applied");
        let is_there = kube::runtime::wait::await_condition(
            api.clone(),
            name,
            |object: Option<&DynamicObject>| {
                let conditions = object.map(|it| it.data["status"]["conditions"].clone());
                let conditions = conditions.unwrap_or(json!([]));
                conditions.as_array().into_iter().flatten().any(|condition| {
                    condition["type"] == "Established" && condition["status"] == "True"
                })
            },
        );
        is_there.await.expect("established");
    }
}
