//! Descriptions as people read them.

use super::*;
use crate::control::api::shapes::Section;

#[test]
fn a_section_without_lines_says_that_there_is_nothing() {
    let section = |heading: &str, lines: &[(&str, &str)]| Section {
        heading: heading.to_owned(),
        lines: lines.iter().map(|&(key, value)| (key.to_owned(), value.to_owned())).collect(),
    };
    let sections = vec![section("Ports", &[("80", "http")]), section("Endpoints", &[])];
    let said = text(&Description { title: "Service/default/web".to_owned(), sections });
    let plain = anstream::adapter::strip_str(&said).to_string();
    assert_eq!(plain, "Service/default/web\n\nPorts\n  80  http\n\nEndpoints\n  none\n");
}
