//! `certs`: which certificates proxies have in use, one in detail, renewed now.

use clap::{Args, Subcommand};
use clap_complete::engine::ArgValueCandidates;
use jiff::Timestamp;

use super::args::{Context, NamespaceArgs};
use super::client::Client;
use super::complete;
use super::diagnostics::plural;
use super::exit::{Exit, Failure, Outcome};
use super::output::{Cell, Format, FormatArgs, Table, View, until};
use super::watch::{self, WatchArgs};
use crate::control::api::shapes::{
    API_VERSION, CertificateList, CertificateStatus, RotateRequest, RotateResult,
};

#[cfg(test)]
mod tests;

/// Show and renew the certificates of workloads.
#[derive(Debug, Args)]
#[command(
    subcommand_required = true,
    after_help = "\
Examples:
  meshctl certs list                     what every proxy has in use
  meshctl certs inspect reviews-v1-0     one of them in detail
  meshctl certs rotate                   renew all now, without a failed request"
)]
pub(crate) struct CertsArgs {
    #[command(subcommand)]
    command: CertsCommand,
}

#[derive(Debug, Subcommand)]
enum CertsCommand {
    List(ListArgs),
    Inspect(InspectArgs),
    Rotate(RotateArgs),
}

/// List the certificates in use.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  meshctl certs list
  meshctl certs list -o json")]
struct ListArgs {
    #[command(flatten)]
    format: FormatArgs,
    #[command(flatten)]
    watch: WatchArgs,
}

/// Show one workload's certificate.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  meshctl certs inspect reviews-v1-0
  meshctl certs inspect shop/web-0 -o yaml")]
struct InspectArgs {
    /// The proxy, NAME or NAMESPACE/NAME.
    #[arg(value_name = "WORKLOAD", add = ArgValueCandidates::new(complete::proxies))]
    workload: String,
    #[command(flatten)]
    namespace: NamespaceArgs,
    #[command(flatten)]
    format: FormatArgs,
}

/// Renew certificates now; traffic goes on.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  meshctl certs rotate                    of every connected proxy
  meshctl certs rotate reviews            of all proxies of a service
  meshctl certs rotate shop/web-0         of one proxy")]
struct RotateArgs {
    /// Proxies or services, NAME or NAMESPACE/NAME; none for all.
    #[arg(value_name = "WORKLOAD", add = ArgValueCandidates::new(complete::workloads))]
    workloads: Vec<String>,
    #[command(flatten)]
    namespace: NamespaceArgs,
    #[command(flatten)]
    format: FormatArgs,
}

pub(crate) fn run(args: &CertsArgs, context: &Context) -> Outcome {
    let client = || Client::of(context);
    match &args.command {
        CertsCommand::List(args) => {
            let client = client()?;
            watch::show(args.watch, args.format.output, context, || {
                list(&client.get("/v1/certificates", &[])?, Timestamp::now())
            })
        }
        CertsCommand::Inspect(args) => {
            let wanted = qualified(&args.workload, args.namespace.namespace.as_str())?;
            let all: CertificateList = client()?.get("/v1/certificates", &[])?;
            let found = all.certificates.into_iter().find(|it| it.workload == wanted);
            let found = found.ok_or_else(|| {
                Failure::new(format!("no proxy `{wanted}` has told of a certificate"))
                    .help("see which have with `meshctl certs list`")
            })?;
            context.printer.view(args.format.output, &inspect(&found, Timestamp::now())?)?;
            Ok(Exit::Done)
        }
        CertsCommand::Rotate(args) => {
            let client = client()?;
            client.announce(context);
            rotate(args, &client, context)
        }
    }
}

fn list(all: &CertificateList, now: Timestamp) -> Result<View, Failure> {
    let mut table = Table::new(&["WORKLOAD", "IDENTITY", "SERIAL", ">EXPIRES IN", "+ROOT"]);
    for it in &all.certificates {
        table.row([
            it.workload.as_str().into(),
            it.identity.as_str().into(),
            it.serial.as_str().into(),
            left(it, now),
            it.root.as_str().into(),
        ]);
    }
    Ok(View {
        value: serde_json::to_value(all)?,
        tables: vec![table],
        names: all.certificates.iter().map(name).collect(),
        empty: "no proxy has a certificate yet".into(),
        ..View::default()
    })
}

fn inspect(it: &CertificateStatus, now: Timestamp) -> Result<View, Failure> {
    let mut value = serde_json::to_value(it)?;
    if let Some(fields) = value.as_object_mut() {
        fields.shift_insert(0, "apiVersion".into(), API_VERSION.into());
        fields.shift_insert(1, "kind".into(), "Certificate".into());
    }
    let lead = vec![
        format!("workload     {}", it.workload),
        format!("identity     {}", it.identity),
        format!("serial       {}", it.serial),
        format!("not before   {}", it.not_before),
        format!("not after    {} ({})", it.not_after, remaining(it, now)),
        format!("root         sha256:{}", it.root),
    ];
    Ok(View { value, lead, names: vec![name(it)], ..View::default() })
}

fn name(it: &CertificateStatus) -> String {
    format!("certificate/{}", it.workload)
}

fn remaining(it: &CertificateStatus, now: Timestamp) -> String {
    match it.not_after <= now {
        true => "expired".to_owned(),
        false => format!("{} left", until(it.not_after, now)),
    }
}

/// Time left; a certificate in its last third should have been renewed at half.
fn left(it: &CertificateStatus, now: Timestamp) -> Cell {
    let text = until(it.not_after, now);
    match last_third(it, now) {
        _ if it.not_after <= now => Cell::bad(text),
        true => Cell::warn(text),
        false => text.into(),
    }
}

/// Whether a certificate has less than a third of its life left.
pub(crate) fn last_third(it: &CertificateStatus, now: Timestamp) -> bool {
    let life = it.not_after.as_second() - it.not_before.as_second();
    it.not_after.as_second() - now.as_second() < life / 3
}

/// `namespace/name` of what may come without a namespace; a service label or a proxy's name.
pub(crate) fn qualified(name: &str, namespace: &str) -> Result<String, Failure> {
    let full = match name.contains('/') {
        true => name.to_owned(),
        false => format!("{namespace}/{name}"),
    };
    let parsed = full.parse::<crate::names::ProxyId>();
    parsed.map(|id| id.to_string()).map_err(Failure::misuse)
}

fn rotate(args: &RotateArgs, client: &Client, context: &Context) -> Outcome {
    let namespace = args.namespace.namespace.as_str();
    let workloads = args.workloads.iter().map(|name| qualified(name, namespace));
    let request = RotateRequest { workloads: workloads.collect::<Result<_, _>>()? };
    let result: RotateResult = client.post("/v1/rotate", &request)?;
    let mut table = Table::new(&["WORKLOAD", "SERIAL", "RESULT"]);
    for it in &result.workloads {
        table.row([
            it.workload.as_str().into(),
            it.serial.as_str().into(),
            match it.error.as_str() {
                "" => Cell::good("renewed"),
                error => Cell::bad(error),
            },
        ]);
    }
    let mut value = serde_json::json!({"apiVersion": API_VERSION, "kind": "RotationReport"});
    value["workloads"] = serde_json::to_value(&result.workloads)?;
    let view = View {
        value,
        tables: vec![table],
        names: result.workloads.iter().map(|it| format!("certificate/{}", it.workload)).collect(),
        empty: "no proxy is connected, there was nothing to renew".into(),
        ..View::default()
    };
    context.printer.view(args.format.output, &view)?;
    let failed = result.workloads.iter().filter(|it| !it.error.is_empty()).count();
    match failed {
        0 => Ok(Exit::Done),
        failed => {
            let failure = Failure::new(format!("{} not renewed", plural(failed, "certificate")));
            let shown = matches!(args.format.output, Format::Table | Format::Wide);
            Err(match shown {
                true => failure.help("those proxies go on with the certificate that they have"),
                false => failure.help("the reasons stand in the output"),
            })
        }
    }
}
