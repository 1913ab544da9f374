//! `describe`: one rule or service with everything that applies to it.

use clap::Args;
use clap_complete::engine::ArgValueCandidates;
use serde_json::{Value, json};

use super::args::{Context, NamespaceArgs};
use super::client::Client;
use super::exit::{Exit, Failure, Outcome};
use super::output::{FormatArgs, View};
use super::{complete, kind};
use crate::control::api::shapes::{API_VERSION, Description};

#[cfg(test)]
mod tests;

/// Show a rule or service with everything that applies to it.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  meshctl describe service reviews           its ports, routes, policy and endpoints
  meshctl describe httproute/reviews         its rules, and which proxies have them
  meshctl describe trafficpolicy reviews     with the defaults that it leaves")]
pub(crate) struct DescribeArgs {
    /// KIND NAME… or KIND/NAME….
    #[arg(required = true, value_name = "KIND", add = ArgValueCandidates::new(complete::objects))]
    what: Vec<String>,
    #[command(flatten)]
    namespace: NamespaceArgs,
    #[command(flatten)]
    format: FormatArgs,
}

pub(crate) fn run(args: &DescribeArgs, context: &Context) -> Outcome {
    let mut wanted = Vec::new();
    for (kind, name) in kind::resolve(&args.what)? {
        let name = name.ok_or_else(|| Failure::usage(format!("which {}?", kind.as_str())));
        let name = name.map_err(|error| {
            error.help(format!("write `meshctl describe {} NAME`", kind::word(kind.as_str())))
        })?;
        wanted.push(kind::object(kind, &args.namespace.namespace, &name)?);
    }
    let names = wanted.iter().map(|id| format!("{}/{}", kind::word(&id.kind), id.name)).collect();
    let client = Client::of(context)?;
    let mut described: Vec<Description> = Vec::new();
    for id in &wanted {
        let query = [("kind", &*id.kind), ("namespace", &*id.namespace), ("name", &*id.name)];
        described.push(client.get("/v1/describe", &query)?);
    }
    context.printer.view(args.format.output, &view(&described, names)?)?;
    Ok(Exit::Done)
}

fn view(described: &[Description], names: Vec<String>) -> Result<View, Failure> {
    let items: Vec<Value> = described.iter().map(typed).collect::<Result<_, _>>()?;
    let value = match <[Value; 1]>::try_from(items) {
        Ok([one]) => one,
        Err(items) => json!({ "apiVersion": API_VERSION, "kind": "List", "items": items }),
    };
    let text: Vec<String> = described.iter().map(|one| text(one).trim_end().to_owned()).collect();
    Ok(View { value, lead: vec![text.join("\n\n")], names, ..View::default() })
}

/// A description as other documents are: with its version and kind.
fn typed(description: &Description) -> Result<Value, Failure> {
    let mut value = json!({ "apiVersion": API_VERSION, "kind": "Description" });
    let fields = serde_json::to_value(description)?;
    if let (Some(all), Value::Object(fields)) = (value.as_object_mut(), fields) {
        all.extend(fields);
    }
    Ok(value)
}

/// Title, then sections with their keys aligned; an empty key continues the line above, and where there
/// is nothing it says so.
pub(super) fn text(description: &Description) -> String {
    let bold = anstyle::Style::new().bold();
    let mut text = format!("{bold}{}{bold:#}\n", description.title);
    for section in &description.sections {
        let width = section.lines.iter().map(|(key, _)| key.chars().count()).max().unwrap_or(0);
        text += &format!("\n{bold}{}{bold:#}\n", section.heading);
        if section.lines.is_empty() {
            text += "  none\n";
        }
        for (key, value) in &section.lines {
            match width {
                0 => text += &format!("  {value}\n"),
                _ => text += &format!("  {key:width$}  {value}\n"),
            }
        }
    }
    text
}
