//! What a `meshctl-reason` says.

use serde_json::json;

use super::sections::{Sections, line};
use super::typed;
use crate::cli::exit::Failure;
use crate::cli::output::View;
use crate::explain;

pub(super) fn view(word: &str) -> Result<View, Failure> {
    let reason = explain::reason(word).ok_or_else(|| {
        Failure::usage(format!("there is no reason `{word}`"))
            .help("they stand in docs/reference/reasons.md")
    })?;
    let status = match reason.status() {
        0 => "none, the connection ends".to_owned(),
        status => status.to_string(),
    };
    let mut sections = Sections::default();
    let lines = vec![line("status", status), line("meaning", reason.meaning())];
    sections.add("Reason", lines);
    let content = json!({ "reason": word, "status": reason.status(), "meaning": reason.meaning() });
    Ok(View {
        value: typed("Reason", &content)?,
        lead: vec![sections.render(format!("meshctl-reason: {word}")).trim_end().to_owned()],
        names: vec![word.to_owned()],
        ..View::default()
    })
}
