//! What is refused before anything is written.

use super::*;
use crate::mesh::fixture::{came, empty, workload};

/// It was applied, and the workload whose name it takes could not register again.
#[test]
fn a_service_that_takes_the_name_of_workloads_from_them_is_not_applied() {
    let read = |selector: &str| {
        let text = format!(
            "apiVersion: v1\nkind: Service\nmetadata: {name}\nspec: {{ports: [{{port: 80}}], selector: {selector}}}\n",
            name = "{name: web-v1, namespace: shop}",
        );
        let document = Document { source: "rules.yaml".to_owned(), text };
        let default_namespace = Namespace::default_namespace();
        let options = Options { default_namespace, unknown_kinds: UnknownKinds::Refuse };
        let mesh = empty().apply(&[came(workload("shop/web-0", "web", "v1"))]);
        super::read(&[document], &options, &mesh)
    };
    let refusal = read("{app: other}").expect_err("refused");
    assert_eq!(refusal.status, StatusCode::UNPROCESSABLE_ENTITY);
    let codes: Vec<_> = refusal.failure.diagnostics.iter().map(|it| it.code.as_str()).collect();
    assert_eq!(codes, ["MC0417"]);
    let (parsed, warnings) = read("{app: web}").expect("applied");
    assert_eq!((parsed.objects.len(), warnings.len()), (1, 0));
}

/// Names stand in every problem, and the total was bounded in the command alone.
#[test]
fn names_totals_and_numbers_of_files_are_bounded() {
    let source =
        |name: &str, bytes: usize| Source { name: name.to_owned(), text: " ".repeat(bytes) };
    let refused =
        |sources: Vec<Source>| documents(sources).err().map(|refusal| refusal.failure.error);
    let full = || (0..4).map(|_| source("a", 16 << 20));
    assert_eq!(refused(full().collect()), None);
    let more = refused(full().chain([source("a", 1)]).collect());
    assert_eq!(more.as_deref(), Some("the rules have more than 64 MiB in all"));
    assert_eq!(refused(vec![source(&"n".repeat(NAME_BYTES), 1)]), None);
    let long = refused(vec![source(&"n".repeat(NAME_BYTES + 1), 1)]).expect("refused");
    assert!(long.ends_with("has more than 4096 bytes") && long.len() < 400, "{long}");
    let many = refused(vec![source("a", 0); MAX_FILES + 1]).expect("refused");
    assert_eq!(many, "100001 files, and one request may bring 100000");
}
