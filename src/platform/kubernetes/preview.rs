//! What applying an object would change, as the API server says by a dry run, field by field.

use kube::ResourceExt as _;
use kube::api::DynamicObject;
use serde_json::Value;

use super::client::Connection;
use super::client::fault::RequestError;
use super::objects::{Place, dry_run};

#[cfg(test)]
mod tests;

/// Of a field that lies deeper only the place above it is told.
const DEEPEST: usize = 6;

/// What would come of an object.
#[derive(Debug, Clone)]
pub struct Preview {
    /// The object as it would be.
    pub after: DynamicObject,
    /// Where it would differ from what it is, such as `spec.template.spec.containers[0].image`; the
    /// whole of one that is not there is not taken apart.
    pub fields: Vec<String>,
}

/// Asks what would come of `object`; `before` is what is there.
///
/// # Errors
/// [`RequestError`].
pub async fn ask(
    to: &Connection,
    place: &Place,
    object: &Value,
    before: Option<&DynamicObject>,
) -> Result<Preview, RequestError> {
    let after = dry_run(to, place, object).await?;
    let fields = before.map(|before| differences(before, &after)).unwrap_or_default();
    Ok(Preview { after, fields })
}

/// Where two objects differ, in order, without what the API server writes by itself.
fn differences(before: &DynamicObject, after: &DynamicObject) -> Vec<String> {
    let mut found = Vec::new();
    for (at, before, after) in [
        ("metadata.labels", before.labels(), after.labels()),
        ("metadata.annotations", before.annotations(), after.annotations()),
    ] {
        let [before, after] =
            [before, after].map(|it| serde_json::to_value(it).unwrap_or_default());
        compare((&before, &after), at, 2, &mut found);
    }
    let said = |object: &DynamicObject| {
        let mut data = object.data.clone();
        if let Some(data) = data.as_object_mut() {
            data.remove("status");
        }
        data
    };
    compare((&said(before), &said(after)), "", 0, &mut found);
    found
}

fn compare((before, after): (&Value, &Value), at: &str, depth: usize, found: &mut Vec<String>) {
    match (before, after) {
        (before, after) if before == after => {}
        (Value::Object(before), Value::Object(after)) if depth < DEEPEST => {
            let mut names: Vec<&String> = before.keys().chain(after.keys()).collect();
            names.sort_unstable();
            names.dedup();
            for name in names {
                let of = |it: &serde_json::Map<String, Value>| it.get(name).cloned();
                let pair = (of(before).unwrap_or_default(), of(after).unwrap_or_default());
                let at = if at.is_empty() { name.clone() } else { format!("{at}.{name}") };
                compare((&pair.0, &pair.1), &at, depth + 1, found);
            }
        }
        (Value::Array(before), Value::Array(after)) if before.len() == after.len() => {
            for (index, pair) in before.iter().zip(after).enumerate() {
                compare(pair, &format!("{at}[{index}]"), depth, found);
            }
        }
        _ => found.push(at.to_owned()),
    }
}
