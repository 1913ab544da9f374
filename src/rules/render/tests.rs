//! Tests of what is drawn: the form, the marked word, lines that are not there.

use super::{render, span};
use crate::rules::{Diagnostic, Document, Severity};

fn diagnostic(line: usize, column: usize) -> Diagnostic {
    Diagnostic {
        severity: Severity::Error,
        code: "MC0102".to_owned(),
        message: "unknown field `prot`".to_owned(),
        file: "rules.yaml".to_owned(),
        line,
        column,
        field: "spec.prot".to_owned(),
        help: "did you mean `port`?".to_owned(),
        missing: String::new(),
    }
}

#[test]
fn a_diagnostic_names_code_place_line_and_help() {
    let document =
        Document { source: "rules.yaml".to_owned(), text: "a: 1\n  prot: 80\n".to_owned() };
    let expected = "\
error[MC0102]: unknown field `prot`
 --> rules.yaml:2:3
  |
2 |   prot: 80
  |   ^^^^ spec.prot
  |
  = help: did you mean `port`?";
    assert_eq!(render(&[diagnostic(2, 3)], &[document], false), expected);
}

#[test]
fn a_file_that_is_not_there_is_only_named() {
    let drawn = render(&[diagnostic(2, 3)], &[], false);
    assert!(drawn.contains("--> rules.yaml"), "{drawn}");
    assert!(drawn.contains("did you mean `port`?"), "{drawn}");
}

#[test]
fn the_marked_word_ends_where_it_ends() {
    for (line, column, marked) in [
        ("port: 80", 7, "80"),
        ("{a: \"b \\\" c\", d: e}", 5, "\"b \\\" c\""),
        ("{a: 'b c', d: e}", 5, "'b c'"),
        ("é: 🦀}", 4, "🦀"),
        ("[x]", 1, "["),
        ("a", 9, ""),
    ] {
        assert_eq!(&line[span(line, column)], marked, "{line}");
    }
}

#[test]
fn services_that_are_not_there_are_told_together() {
    let missing = |line, service: &str| Diagnostic {
        severity: Severity::Warning,
        code: "MC0415".to_owned(),
        message: format!("there is no service `{service}`: this holds for nothing"),
        missing: service.to_owned(),
        help: "start it".to_owned(),
        ..diagnostic(line, 3)
    };
    let found = [
        missing(1, "shop/web"),
        diagnostic(2, 3),
        missing(3, "shop/reviews"),
        missing(4, "shop/web"),
        missing(5, "shop/web"),
    ];
    let document = Document { source: "rules.yaml".to_owned(), text: "a: 1\n".repeat(5) };
    let drawn = render(&found, std::slice::from_ref(&document), false);
    let (together, other) = drawn.split_once("\n\n").expect("two paragraphs");
    let expected = "\
warning[MC0415]: 2 services that are named are not there
 |
 = there is no service `shop/web`: this holds for nothing (rules.yaml:1:3, and 2 more places)
 = there is no service `shop/reviews`: this holds for nothing (rules.yaml:3:3)
 = help: start it";
    assert_eq!(together, expected);
    assert!(other.starts_with("error[MC0102]"), "{other}");
    // One alone is drawn as ever.
    assert!(render(&found[2..3], &[document], false).contains("3 | a: 1"));
}
