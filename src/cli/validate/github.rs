//! `-o github`: workflow commands of GitHub Actions, which become annotations at the lines of a
//! change.
//!
//! One command is one line, so what would end a line or a property is escaped as the runner reads
//! it: `%`, CR and LF everywhere, `:` and `,` in properties too. Everything else is text to it.

use super::Report;

/// Every problem as one command, and the summary as a plain line of the log.
pub(super) fn render(report: &Report<'_>) -> String {
    let mut text = String::new();
    for it in report.found {
        let command = if report.is_fatal(it) { "error" } else { "warning" };
        let mut properties = Vec::new();
        if it.file != "-" {
            properties.push(format!("file={}", property(&it.file)));
            properties.push(format!("line={}", it.line));
            properties.push(format!("col={}", it.column));
        }
        properties.push(format!("title={}", property(&it.code)));
        let message = message(&super::paragraph(it));
        text += &format!("::{command} {}::{message}\n", properties.join(","));
    }
    text + &report.ending() + "\n"
}

fn message(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

fn property(text: &str) -> String {
    message(text).replace(':', "%3A").replace(',', "%2C")
}
