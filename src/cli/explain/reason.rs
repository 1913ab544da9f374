//! From a word, as it stands in `meshctl-reason`, to its status and to what it means: the one table of
//! reasons, for people and for scripts.

use serde_json::json;

use super::sections::{Sections, line};
use super::typed;
use crate::cli::exit::Failure;
use crate::cli::output::View;
use crate::explain;
use crate::rules::nearest;
use crate::telemetry::reason::Reason;

/// Whether a text has the form of a reason.
pub(super) fn is_word(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_')
}

pub(super) fn view(word: &str) -> Result<View, Failure> {
    let reason = explain::reason(word).ok_or_else(|| {
        let known = Reason::ALL.iter().map(|reason| reason.as_str());
        Failure::usage(format!("`{word}` is neither a reason nor a request")).help(
            match nearest(word, known) {
                Some(near) => format!("did you mean `{near}`?"),
                None => "write a reason as it stands in `meshctl-reason`, such as `no_route`, or \
                         `--from SERVICE http://HOST/PATH`"
                    .to_owned(),
            },
        )
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
