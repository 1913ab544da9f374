//! `version`: the product, this program, and the control plane where one runs.

use std::time::Duration;

use clap::Args;
use serde_json::json;

use super::args::Context;
use super::client::{Client, Fault};
use super::exit::{Exit, Outcome};
use super::output::{FormatArgs, View};
use crate::control::api::shapes::{API_VERSION, Version};

/// This program.
pub(crate) const CLIENT: &str = env!("CARGO_PKG_VERSION");

/// The longest that a version is waited for.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Show the versions of this program and of the control plane.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  meshctl version
  meshctl version --client
  meshctl version -o json")]
pub(crate) struct VersionArgs {
    /// Do not ask the control plane.
    #[arg(long)]
    client: bool,
    #[command(flatten)]
    format: FormatArgs,
}

pub(crate) fn run(args: &VersionArgs, context: &Context) -> Outcome {
    let mut lead = vec![format!("client         {CLIENT}")];
    let mut value = json!({
        "apiVersion": API_VERSION,
        "kind": "Version",
        "product": "meshctl",
        "client": CLIENT,
        "controlPlane": null,
    });
    if !args.client {
        let client = Client::of(context)?.within(TIMEOUT);
        match client.ask::<Version>("/v1/version", &[]) {
            Ok(version) => {
                lead.push(format!("control plane  {}", version.version));
                value["controlPlane"] = version.version.into();
            }
            Err(Fault::NotRunning) => lead.push("control plane  not running".into()),
            Err(fault) => return Err(client.failure(fault)),
        }
    }
    let view = View { value, lead, names: vec!["meshctl".into()], ..View::default() };
    context.printer.view(args.format.output, &view)?;
    Ok(Exit::Done)
}
