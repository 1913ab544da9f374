//! `-o junit`: the XML that CI systems show as test reports, one suite per file, one case per
//! document.
//!
//! A problem that keeps a document from being read, or a file, is a case of its own. Warnings that
//! do not count as errors are the output of a case that passed.

use indexmap::IndexMap;

use super::{Report, paragraph};
use crate::rules::Diagnostic;

/// One testcase: what it is called, and what is wrong with it.
struct Case<'a> {
    name: String,
    line: usize,
    skipped: bool,
    found: Vec<&'a Diagnostic>,
}

/// The whole report.
pub(super) fn render(report: &Report<'_>) -> String {
    let suites = suites(report);
    let all = counts(report, suites.values().flatten());
    let mut xml = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    xml += &format!("<testsuites name=\"meshctl validate\"{all}>\n");
    for (file, cases) in &suites {
        let counts = counts(report, cases.iter());
        xml += &format!("  <testsuite name=\"{}\"{counts}>\n", escaped(file));
        for case in cases {
            xml += &testcase(report, file, case);
        }
        xml += "  </testsuite>\n";
    }
    xml + "</testsuites>\n"
}

/// The cases of every file, in the order given; also of those files that could not be read.
fn suites<'a>(report: &'a Report<'_>) -> IndexMap<&'a str, Vec<Case<'a>>> {
    let read = report.input.documents.iter().map(|document| document.source.as_str());
    let unread = report.found.iter().map(|it| it.file.as_str());
    let mut suites: IndexMap<&str, Vec<Case<'a>>> =
        read.chain(unread).map(|file| (file, Vec::new())).collect();
    for seen in &report.parsed.documents {
        let (line, skipped) = (seen.line, seen.skipped);
        let case = Case { name: seen.name.clone(), line, skipped, found: Vec::new() };
        suites.entry(&seen.file).or_default().push(case);
    }
    let mut apart: Vec<(&str, Case<'a>)> = Vec::new();
    for it in report.found {
        let cases = suites.entry(&it.file).or_default();
        let of = cases.partition_point(|case| case.line <= it.line).checked_sub(1);
        match of.filter(|_| !it.keeps_from_reading()).and_then(|of| cases.get_mut(of)) {
            Some(case) => case.found.push(it),
            None => {
                let name = format!("line {}", it.line);
                let case = Case { name, line: it.line, skipped: false, found: vec![it] };
                apart.push((&it.file, case));
            }
        }
    }
    for (file, case) in apart {
        suites.entry(file).or_default().push(case);
    }
    for cases in suites.values_mut() {
        cases.sort_by_key(|case| case.line);
    }
    suites
}

fn counts<'a>(report: &Report<'_>, cases: impl Iterator<Item = &'a Case<'a>>) -> String {
    let (mut tests, mut failures, mut skipped) = (0, 0, 0);
    for case in cases {
        tests += 1;
        skipped += usize::from(case.skipped);
        failures += usize::from(case.found.iter().any(|it| report.is_fatal(it)));
    }
    format!(" tests=\"{tests}\" failures=\"{failures}\" errors=\"0\" skipped=\"{skipped}\"")
}

fn testcase(report: &Report<'_>, file: &str, case: &Case<'_>) -> String {
    let (name, file) = (escaped(&case.name), escaped(file));
    let line = case.line;
    let head = format!(
        "    <testcase name=\"{name}\" classname=\"{file}\" file=\"{file}\" line=\"{line}\""
    );
    let (fatal, others): (Vec<&Diagnostic>, Vec<_>) =
        case.found.iter().copied().partition(|it| report.is_fatal(it));
    let mut inside = String::new();
    if case.skipped {
        inside += "      <skipped/>\n";
    }
    for it in fatal {
        let message = escaped(&it.message);
        let (code, text) = (escaped(&it.code), escaped(&placed(it)));
        inside +=
            &format!("      <failure message=\"{message}\" type=\"{code}\">{text}</failure>\n");
    }
    let others: Vec<String> =
        others.into_iter().map(|it| format!("warning: {}", placed(it))).collect();
    if !others.is_empty() {
        let text = escaped(&others.join("\n\n"));
        inside += &format!("      <system-out>{text}</system-out>\n");
    }
    match inside.is_empty() {
        true => format!("{head}/>\n"),
        false => format!("{head}>\n{inside}    </testcase>\n"),
    }
}

/// A problem with its place, for those who see nothing but this text.
fn placed(it: &Diagnostic) -> String {
    format!("{}:{}:{}: [{}] {}", it.file, it.line, it.column, it.code, paragraph(it))
}

/// Text as XML 1.0 may have it, in elements and in attributes.
fn escaped(text: &str) -> String {
    let mut xml = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => xml += "&amp;",
            '<' => xml += "&lt;",
            '>' => xml += "&gt;",
            '"' => xml += "&quot;",
            '\n' => xml += "&#10;",
            '\t' => xml += "&#9;",
            // XML 1.0 has no way to write these (§2.2).
            '\u{0}'..='\u{1f}' | '\u{fffe}' | '\u{ffff}' => xml.push('\u{fffd}'),
            c => xml.push(c),
        }
    }
    xml
}
