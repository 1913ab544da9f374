//! Tests of the reading of documents: bounds, going on after errors, no panic on any input.

use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::{MAX_DEPTH, MAX_NODES, MAX_REPEATS, documents};
use crate::names::Namespace;
use crate::rules::problems::Problems;
use crate::rules::{Document, Options, UnknownKinds, parse, render};

/// The number of documents, and the codes of the problems with their lines.
fn read(text: &str) -> (usize, Vec<(String, usize)>) {
    let mut problems = Problems::new("test.yaml", 0);
    let mut count = 0;
    documents(text, &mut MAX_REPEATS.clone(), &mut problems, |_, _| count += 1);
    (count, problems.into_sorted().into_iter().map(|d| (d.code, d.line)).collect())
}

#[test]
fn documents_after_a_spoilt_one_are_read() {
    let (count, problems) = read("a: 1\n---\nb: \"x\n---\nc: 1\n---\nd: [\n---\ne: 1\n");
    assert_eq!(count, 3);
    let lines: Vec<usize> = problems.iter().map(|(_, line)| *line).collect();
    assert_eq!(lines.len(), 2, "{problems:?}");
    assert!(problems.iter().all(|(code, _)| code == "MC0101"));
}

#[test]
fn what_is_not_closed_is_shown_at_the_end_of_the_text() {
    for text in ["a: 1\nb: {c: 1\n", "a: 1\nb: {c: 1", "a: 1\nb: [1,\n\n"] {
        let document = Document { source: "x.yaml".to_owned(), text: text.to_owned() };
        let found = parse(&[document], &options()).diagnostics;
        let [found] = &found[..] else { panic!("{found:?}") };
        let last = text.lines().count();
        let column = text.lines().last().unwrap().len() + 1;
        assert_eq!((found.line, found.column), (last, column), "{text:?}: {}", found.message);
    }
}

#[test]
fn nesting_is_refused_beyond_the_limit_only() {
    let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    assert_eq!(read(&nested(MAX_DEPTH)), (1, vec![]));
    assert_eq!(read(&nested(MAX_DEPTH + 1)).1, [("MC0104".to_owned(), 1)]);
    assert_eq!(read(&"- ".repeat(10_000)).1, [("MC0104".to_owned(), 1)]);
    // The parser's own limit, told in the same words.
    assert_eq!(read(&"[".repeat(10_000)), (0, vec![("MC0104".to_owned(), 1)]));
}

#[test]
fn values_are_counted_with_what_aliases_repeat() {
    let list = |items: usize| format!("[{}]", "x,".repeat(items));
    assert_eq!(read(&list(MAX_NODES - 1)).1, vec![]);
    assert_eq!(read(&list(MAX_NODES)).1, [("MC0105".to_owned(), 1)]);
    let aliases = format!("a: &a {}\nb: [{}]", list(100), "*a,".repeat(1_000));
    assert_eq!(read(&aliases).1, [("MC0105".to_owned(), 2)]);
    // Each document stays below its bound, all of them together do not.
    let below = format!("---\na: &a {}\nb: [{}]\n", list(100), "*a,".repeat(900));
    let (count, problems) = read(&below.repeat(20));
    assert_eq!(count, 11);
    assert!(problems.iter().all(|(code, _)| code == "MC0105"));
}

/// A long text was one value, however often it was repeated: megabytes for three bytes of an alias.
#[test]
fn long_texts_that_aliases_repeat_are_counted() {
    let text = "x".repeat(1 << 20);
    let repeated = |times: usize| format!("a: &a \"{text}\"\nb: [{}]", "*a,".repeat(times));
    assert_eq!(read(&repeated(40)), (1, vec![]));
    assert_eq!(read(&repeated(80)).1, [("MC0105".to_owned(), 2)]);
    // Each anchor keeps a copy of all that is inside of it.
    let nested = |depth: usize| {
        let open: String = (0..depth).map(|level| format!("&n{level} [")).collect();
        format!("{open}\"{text}{text}\"{}", "]".repeat(depth))
    };
    assert_eq!(read(&nested(20)), (1, vec![]));
    assert_eq!(read(&nested(60)).1, [("MC0105".to_owned(), 1)]);
}

#[test]
fn an_alias_inside_of_itself_is_refused() {
    assert_eq!(read("a: &a [*a]").1, [("MC0106".to_owned(), 1)]);
    assert_eq!(read("a: *b").1, [("MC0101".to_owned(), 1)]);
}

#[test]
fn duplicate_keys_are_found_in_small_and_large_mappings() {
    assert_eq!(read("a: 1\nb: 2\na: 3\n").1, [("MC0103".to_owned(), 3)]);
    let mut large: String = (0..1_000).map(|key| format!("k{key}: 1\n")).collect();
    large.push_str("k500: 2\n");
    assert_eq!(read(&large).1, [("MC0103".to_owned(), 1_001)]);
}

/// The path was put together anew, whole, for each: 8 MB times 50,000.
#[test]
fn the_path_of_a_duplicate_key_is_cut() {
    let key = "k".repeat(1 << 20);
    let text = format!("? \"{key}\"\n: a: 1\n{}", "  a: 1\n".repeat(40_000));
    let document = |text: &str| Document { source: "x.yaml".to_owned(), text: text.to_owned() };
    let started = Instant::now();
    let found = parse(&[document(&text)], &options()).diagnostics;
    assert!(started.elapsed() < Duration::from_secs(20), "{:?}", started.elapsed());
    assert_eq!(found.len(), 1_001);
    assert_eq!(found[0].field, format!("{}.a", "k".repeat(253)));
    let nested = format!("[[[{{{}: {{a: 1, a: 2}}}}]]]", "k".repeat(253));
    let duplicate = |text: &str| {
        let found = parse(&[document(text)], &options()).diagnostics;
        found.into_iter().find(|it| it.code == "MC0103").expect("reported").field
    };
    assert_eq!(duplicate(&nested), format!("[0][0][0].{}.a", "k".repeat(253)));
    // Deep, and of characters that are long when they are escaped.
    let long = "\u{200b}".repeat(253);
    let deep = format!("{}{{a: 1, a: 2}}{}", format!("{{{long}: ").repeat(50), "}".repeat(50));
    assert!(duplicate(&deep).len() < 5_000, "{}", duplicate(&deep).len());
}

/// The whole of it stood in the help.
#[test]
fn a_long_number_is_not_repeated() {
    let digits = "1".repeat(100_000);
    let text = format!("apiVersion: v1\nkind: {digits}\n");
    let found = parse(&[Document { source: "x".to_owned(), text }], &options()).diagnostics;
    let longest = found.iter().map(|it| it.help.len() + it.message.len()).max();
    assert!(longest.is_some_and(|longest| longest < 1_000), "{longest:?}");
}

#[test]
fn problems_of_one_file_are_bounded() {
    let mut text = String::new();
    for _ in 0..2_000 {
        text.push_str("a: 1\na: 2\n---\n");
    }
    let (_, problems) = read(&text);
    assert_eq!(problems.len(), 1_001);
    let file = |n: usize| Document { source: format!("{n}.yaml"), text: text.clone() };
    let files: Vec<Document> = (0..15).map(file).collect();
    let parsed = parse(&files, &options());
    assert!((10_000..10_020).contains(&parsed.diagnostics.len()));
    assert!(parsed.has_errors());
    assert_eq!(problems.last().map(|(code, _)| code.as_str()), Some("MC0107"));
}

fn options() -> Options {
    Options { default_namespace: Namespace::default_namespace(), unknown_kinds: UnknownKinds::Skip }
}

/// Reads and draws a text: whatever it is, neither may panic.
fn whole_way(text: String) {
    let documents = [Document { source: "any".to_owned(), text }];
    let parsed = parse(&documents, &options());
    render(&parsed.diagnostics, &documents, true);
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        whole_way(String::from_utf8_lossy(&bytes).into_owned());
    }

    #[test]
    fn no_pieces_of_yaml_make_it_panic(pieces in proptest::collection::vec(0..PIECES.len(), 0..60)) {
        whole_way(pieces.into_iter().map(|piece| PIECES[piece]).collect());
    }
}

const PIECES: &[&str] = &[
    "apiVersion",
    "kind",
    "metadata",
    "spec",
    "v1",
    "Service",
    "HTTPRoute",
    "MeshConfig",
    "rules",
    "gateway.networking.k8s.io/v1",
    "meshctl.dev/v1alpha1",
    "name",
    "ports",
    "parentRefs",
    ": ",
    ":",
    "- ",
    "-",
    "\n",
    "\n  ",
    "\n    ",
    "---\n",
    "...\n",
    "{",
    "}",
    "[",
    "]",
    ",",
    "\"",
    "'",
    "&a ",
    "*a",
    "!!str ",
    "!x ",
    "|\n",
    ">-\n",
    "# c",
    "? ",
    "<<",
    "%YAML 1.2\n",
    "\t",
    "\r\n",
    "80",
    "1e3",
    "~",
    "é",
    "\u{feff}",
    "\u{85}",
    "\\",
    "@",
    "`",
    " ",
];
