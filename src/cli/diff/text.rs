//! Documents as text that can be compared line by line, and the comparison.

use diffy::DiffOptions;
use serde_json::{Map, Value};

use crate::cli::exit::Failure;
use crate::cli::output::yaml;

/// What is said of metadata by whoever writes a rule; the rest is the mesh's.
const WRITTEN: [&str; 4] = ["name", "namespace", "labels", "annotations"];

/// Lines around a change.
const AROUND: usize = 3;

/// A document without what the mesh adds, its fields in alphabetical order.
pub(super) fn written(document: &Value) -> Result<String, Failure> {
    let mut wanted = document.clone();
    if let Some(fields) = wanted.as_object_mut() {
        fields.shift_remove("status");
        if let Some(metadata) = fields.get_mut("metadata").and_then(Value::as_object_mut) {
            metadata.retain(|field, value| {
                WRITTEN.contains(&field.as_str())
                    && value.as_object().is_none_or(|it| !it.is_empty())
            });
        }
    }
    Ok(yaml(&sorted(wanted))?)
}

fn sorted(value: Value) -> Value {
    match value {
        Value::Object(fields) => {
            let mut fields: Vec<_> = fields.into_iter().collect();
            fields.sort_by(|(one, _), (other, _)| one.cmp(other));
            let fields = fields.into_iter().map(|(name, value)| (name, sorted(value)));
            Value::Object(fields.collect::<Map<_, _>>())
        }
        Value::Array(items) => items.into_iter().map(sorted).collect(),
        other => other,
    }
}

/// The change from one text to another, as `diff -u` writes it; nothing where there is none.
pub(super) fn unified(was: &str, is: &str, (from, to): (&str, &str)) -> String {
    if was == is {
        return String::new();
    }
    let mut options = DiffOptions::new();
    options.set_context_len(AROUND);
    options.set_original_filename(from.to_owned()).set_modified_filename(to.to_owned());
    options.create_patch(was, is).to_string()
}

/// With what is added and taken away in colour.
pub(super) fn coloured(diff: &str) -> String {
    use anstyle::{AnsiColor, Color, Style};
    let of = |color| Style::new().fg_color(Some(Color::Ansi(color)));
    let line = |line: &str| {
        let style = match line.as_bytes() {
            [b'+', b'+', b'+', ..] | [b'-', b'-', b'-', ..] => Style::new().bold(),
            [b'+', ..] => of(AnsiColor::Green),
            [b'-', ..] => of(AnsiColor::Red),
            [b'@', ..] => of(AnsiColor::Cyan),
            _ => Style::new(),
        };
        format!("{style}{line}{style:#}")
    };
    diff.lines().map(line).collect::<Vec<_>>().join("\n")
}
