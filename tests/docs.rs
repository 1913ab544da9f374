//! The pages of documentation: no broken link between them, and generated tables that are fresh.
//!
//! `UPDATE_GOLDEN=1` rewrites what is generated from the code instead of comparing it.

use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

use meshctl::platform::kubernetes::manifests::{Rule, control_plane_rules};
use meshctl::telemetry::limits::{Limit, Part};
use meshctl::telemetry::reason::{REASON_HEADER, RULE_HEADER, Reason};

fn top() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn pages() -> Vec<PathBuf> {
    let mut pages = vec!["README.md", "CHANGELOG.md"].into_iter().map(PathBuf::from).collect();
    for directory in ["docs", "benches"] {
        pages_under(Path::new(directory), &mut pages);
    }
    pages
}

fn pages_under(directory: &Path, pages: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(top().join(directory)).expect("the directory is in the repository") {
        let entry = entry.expect("a directory of the repository is readable");
        let path = directory.join(entry.file_name());
        if top().join(&path).is_dir() {
            pages_under(&path, pages);
        } else if path.extension().is_some_and(|extension| extension == "md") {
            pages.push(path);
        }
    }
}

/// The targets of `[…](…)` outside of code, without those that leave the repository.
fn links(text: &str) -> Vec<String> {
    let code = regex::Regex::new(r"(?s)```.*?```|`[^`\n]*`").expect("the pattern is constant");
    let link = regex::Regex::new(r"\[[^\]]*\]\(([^)\s]+)\)").expect("the pattern is constant");
    link.captures_iter(&code.replace_all(text, ""))
        .map(|found| found[1].to_owned())
        .filter(|target| !target.contains("://") && !target.starts_with("mailto:"))
        .collect()
}

/// GitHub's anchor of a heading.
fn anchor(heading: &str) -> String {
    let kept = heading.trim_start_matches('#').trim().to_lowercase();
    let kept: String =
        kept.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_')).collect();
    kept.replace(' ', "-")
}

/// Why this link of this page leads nowhere; nothing when it is good.
fn broken(page: &Path, target: &str) -> Option<String> {
    let (path, fragment) = target.split_once('#').unwrap_or((target, ""));
    let place = match path {
        "" => page.to_owned(),
        path => page.parent().unwrap_or(Path::new("")).join(path),
    };
    let Ok(metadata) = fs::metadata(top().join(&place)) else {
        return Some(format!("{}: `{target}` leads nowhere", page.display()));
    };
    if fragment.is_empty() || metadata.is_dir() {
        return None;
    }
    let text = fs::read_to_string(top().join(&place)).expect("a page is text");
    let known =
        text.lines().filter(|line| line.starts_with('#')).any(|line| anchor(line) == fragment);
    (!known).then(|| format!("{}: `{target}` has no such heading", page.display()))
}

#[test]
fn links_between_pages_lead_somewhere() {
    let pages = pages();
    assert!(pages.len() > 5, "the walk found only {} pages", pages.len());
    let mut complaints = Vec::new();
    for page in &pages {
        let text = fs::read_to_string(top().join(page)).expect("a page is text");
        complaints.extend(links(&text).iter().filter_map(|target| broken(page, target)));
    }
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
}

#[test]
fn a_broken_link_is_seen() {
    let page = Path::new("README.md");
    assert_eq!(links("[a](x.md) `[b](y.md)` [c](https://z)"), ["x.md"]);
    assert!(broken(page, "docs/nowhere.md").is_some());
    assert!(broken(page, "docs/architecture.md#no-such-heading").is_some());
    assert!(broken(page, "docs/architecture.md").is_none());
}

#[test]
fn every_page_of_docs_is_reached_from_the_readme() {
    let mut reached = vec![PathBuf::from("README.md")];
    let mut at = 0;
    while let Some(page) = reached.get(at).cloned() {
        at += 1;
        let Ok(text) = fs::read_to_string(top().join(&page)) else { continue };
        for target in links(&text) {
            let path = target.split('#').next().unwrap_or("");
            let place = page.parent().unwrap_or(Path::new("")).join(path);
            let Ok(place) = fs::canonicalize(top().join(place)) else { continue };
            let inside = fs::canonicalize(top()).expect("the repository is there");
            let Ok(place) = place.strip_prefix(inside) else { continue };
            if place.extension().is_some_and(|e| e == "md") && !reached.iter().any(|p| p == place) {
                reached.push(place.to_owned());
            }
        }
    }
    let lost: Vec<_> = pages().into_iter().filter(|page| !reached.contains(page)).collect();
    assert!(lost.is_empty(), "no page leads to {lost:?}");
}

fn reasons() -> String {
    let mut page = format!(
        "# Reasons\n\n\
         <!-- Generated from src/telemetry/reason.rs by tests/docs.rs (UPDATE_GOLDEN=1). -->\n\n\
         An answer that a proxy made itself carries `{REASON_HEADER}`, and `{RULE_HEADER}` with the\n\
         id of the rule that decided where one did. The same words stand in logs, metrics and traces.\n\
         An answer without `{REASON_HEADER}` came from the application. Status `none`: the\n\
         connection ends without an answer.\n\n\
         | reason | status | what happened |\n|---|---|---|\n"
    );
    for reason in Reason::ALL {
        let status = match reason.status() {
            0 => "none".to_owned(),
            status => status.to_string(),
        };
        let line = format!("| `{}` | {status} | {} |", reason.as_str(), reason.meaning());
        writeln!(page, "{line}").expect("writing to a string cannot fail");
    }
    page
}

#[test]
fn the_page_of_reasons_is_what_the_code_says() {
    let path = top().join("docs/reference/reasons.md");
    let expected = reasons();
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        fs::write(&path, &expected).expect("the page can be written");
    }
    let found = fs::read_to_string(&path).expect("the page is in the repository");
    assert_eq!(found, expected, "run the tests with UPDATE_GOLDEN=1 to write it anew");
}

/// The limits that are counted, or those that are not, as a table.
fn limit_table(page: &mut String, counted: bool) {
    page.push_str("| limit | default | where | beyond |\n|---|---|---|---|\n");
    for limit in Limit::ALL.iter().filter(|limit| limit.is_counted() == counted) {
        let most = match limit.most() {
            0 => limit.unit().to_owned(),
            most => match limit.unit().strip_prefix("bytes") {
                Some(rest) if most % (1 << 20) == 0 => format!("{} MiB{rest}", most >> 20),
                Some(rest) => format!("{} KiB{rest}", most >> 10),
                None => format!("{most} {}", limit.unit()),
            },
        };
        let part = match limit.part() {
            Part::Proxy => "proxy",
            Part::ControlPlane => "control plane",
            Part::Both => "both",
        };
        let (word, beyond) = (limit.as_str(), limit.beyond());
        writeln!(page, "| `{word}` | {most} | {part} | {beyond} |").expect("to a string");
    }
}

fn limits() -> String {
    let mut page = "# Limits\n\n\
         <!-- Generated from src/telemetry/limits.rs by tests/docs.rs (UPDATE_GOLDEN=1). -->\n\n\
         Everything that somebody else could make grow has a bound. How often one was reached stands\n\
         in `/stats` of a proxy's admin server (`limits`), which `meshctl proxy stats` shows, and in the\n\
         family `meshctl_limit_hits_total` of [metrics](metrics.md); a limit that was never reached is\n\
         not shown.\n\n"
        .to_owned();
    limit_table(&mut page, true);
    page.push_str(
        "\nThese are not counted: a sender waits until there is room, the oldest makes way, or the library\n\
         of HTTP/2 refuses by itself.\n\n",
    );
    limit_table(&mut page, false);
    page.push_str(
        "\n## Memory\n\n\
         A proxy looks at the memory of its control group (version 1 or 2, and those above it), and at its own\n\
         where `--memory-limit` says how much it may have: four times per second, from 70 % on forty times, and\n\
         whenever 64 connections have come.\n\n\
         For the first of these marks each request that has begun within the last five seconds, goes on, and is\n\
         not in place of another that has ended, counts for 112 KiB besides what is used: thousands can begin at\n\
         once, and take most of what they ever do a moment later.\n\n\
         | memory in use | what happens | until |\n|---|---|---|\n\
         | 92 % | requests and opaque connections of clients that come new get 503 `overloaded`; unused connections and rooms are given back | 88 % |\n\
         | 95 % | so does every request, new connections are closed at once, and those that idle or stall for 5 s are cut | 92 % |\n",
    );
    page
}

#[test]
fn the_page_of_limits_is_what_the_code_says() {
    let path = top().join("docs/reference/limits.md");
    let expected = limits();
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        fs::write(&path, &expected).expect("the page can be written");
    }
    let found = fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(found, expected, "run the tests with UPDATE_GOLDEN=1 to write it anew");
}

/// One line of the table of rights.
fn right(rule: &Rule) -> String {
    let ticked = |words: &[&str]| {
        words.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ")
    };
    let group = if rule.group.is_empty() { "core" } else { rule.group };
    let where_to = if rule.own_namespace { "its own namespace" } else { "everywhere" };
    let which = match rule.names {
        [] => "all".to_owned(),
        names => ticked(names),
    };
    let (resources, verbs) = (ticked(rule.resources), ticked(rule.verbs));
    format!("| {group} | {resources} | {which} | {where_to} | {verbs} | {} |", rule.why)
}

#[test]
fn the_page_of_rights_is_what_is_installed() {
    const HEAD: &str =
        "| group | resources | which | where | verbs | what for |\n|---|---|---|---|---|---|\n";
    let path = top().join("docs/reference/rbac.md");
    let mut page = fs::read_to_string(&path).expect("the page is in the repository");
    let start = page.find(HEAD).expect("the page has the table") + HEAD.len();
    let end = page[start..].find("\n\n").expect("text follows the table") + start;
    let expected = control_plane_rules().iter().map(right).collect::<Vec<_>>().join("\n");
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        page.replace_range(start..end, &expected);
        fs::write(&path, &page).expect("the page can be written");
    }
    let end = page[start..].find("\n\n").expect("text follows the table") + start;
    assert_eq!(&page[start..end], expected, "run the tests with UPDATE_GOLDEN=1 to write it anew");
}
