//! Tests of the table of codes: its order, and that the reference page is written from it.

use std::fmt::Write;
use std::path::Path;

use super::ALL;

/// The page of the reference that lists every code.
fn page() -> String {
    let mut page = String::from(
        "# Diagnostics\n\nWhat `meshctl validate` and `meshctl apply` say about rules, and `meshctl inject` about workloads. Codes\nare stable. The first two digits: 00 reading, 01 YAML, 02 schema, 03 values, 04 across objects,\n05 injection, 09 not supported yet.\n\n| code | what is wrong | what usually helps |\n|---|---|---|\n",
    );
    for code in ALL {
        writeln!(page, "| {} | {} | {} |", code.code, code.summary, code.help).expect("a string");
    }
    page
}

#[test]
fn codes_ascend_and_are_unique() {
    assert!(ALL.windows(2).all(|pair| pair[0].code < pair[1].code));
    assert!(ALL.iter().all(|c| c.code.len() == 6 && c.code.starts_with("MC")));
}

#[test]
fn reference_page_is_fresh() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/reference/diagnostics.md");
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::create_dir_all(path.parent().expect("a directory")).expect("made");
        std::fs::write(&path, page()).expect("written");
    }
    let found = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(found, page(), "run with UPDATE_GOLDEN=1");
}
