//! `token`: what lets a workload on another machine into a mesh that runs on this one.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use clap::{Args, Subcommand};
use clap_complete::engine::ArgValueCandidates;
use jiff::Timestamp;

use super::args::{Context, NamespaceArgs};
use super::client::Client;
use super::endpoints::pool::scoped;
use super::exit::{Exit, Failure, Outcome};
use super::installation::Installation;
use super::output::{Cell, FormatArgs, Table, View, age, until};
use super::{complete, duration};
use crate::control::api::shapes::{
    JoinToken, RevokeRequest, TokenList, TokenRequest, TokenState, TokenStatus,
};
use crate::names::{DEFAULT_NAMESPACE, ServiceAccount, ServiceLabel};

#[cfg(test)]
mod tests;

/// Make, list and take back join tokens for proxies on other machines.
///
/// A token lets one proxy in, once and not for long, as one workload. It also names the root of the
/// mesh, so that the proxy talks to no other control plane. What has joined renews its certificate
/// by itself. On Kubernetes pods join by the token of their service account; there is none to make.
#[derive(Debug, Args)]
#[command(
    subcommand_required = true,
    after_help = "\
Examples:
  meshctl token create --service reviews > token     one that is good for an hour
  meshctl token list                                 which there are, and who used them
  meshctl token revoke 4f0c2a9d5be81763              take one back that was not used"
)]
pub(crate) struct TokenArgs {
    #[command(subcommand)]
    command: TokenCommand,
}

#[derive(Debug, Subcommand)]
enum TokenCommand {
    Create(CreateArgs),
    List(ListArgs),
    Revoke(RevokeArgs),
}

/// Make a join token and print it; it is a secret, and never shown again.
///
/// It is good once, until it expires, and for the workload that is named here. The proxy on the
/// other machine takes it from a file: `meshctl proxy run --control-plane URL --token-file FILE`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  meshctl token create --service reviews > token
  meshctl token create --service reviews -n shop --service-account backend --expires 10m
  meshctl token create --service reviews -o json      with its id, expiry and the address to join at")]
struct CreateArgs {
    /// Service that the workload belongs to.
    #[arg(long, value_name = "NAME", add = ArgValueCandidates::new(complete::services))]
    service: ServiceLabel,
    #[command(flatten)]
    namespace: NamespaceArgs,
    /// Service account of the identity [default: as the service].
    #[arg(long, value_name = "NAME")]
    service_account: Option<ServiceAccount>,
    /// How long it can be used, at most a week.
    #[arg(long, value_name = "TIME", default_value = "1h", value_parser = duration::parse)]
    expires: Duration,
    #[command(flatten)]
    format: FormatArgs,
}

/// List join tokens: for whom, until when, and by whom they were used.
///
/// Those that were used or have expired are remembered for a week. Secrets are not kept.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  meshctl token list
  meshctl token list -o json")]
struct ListArgs {
    #[command(flatten)]
    format: FormatArgs,
}

/// Take back a join token that was not used.
///
/// What has joined by a token is not touched: its certificate proves it from then on.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  meshctl token revoke 4f0c2a9d5be81763")]
struct RevokeArgs {
    /// Its id, as `token list` shows it.
    #[arg(value_name = "ID")]
    id: String,
}

pub(crate) fn run(args: &TokenArgs, context: &Context) -> Outcome {
    if let Installation::Kubernetes(_) = context.installation()? {
        return Err(Failure::usage(
            "join tokens are for a mesh on machines, this one is on a cluster",
        )
        .help("pods join by the token of their service account, which `meshctl inject` sees to"));
    }
    let client = Client::of(context)?;
    match &args.command {
        TokenCommand::Create(args) => create(args, &client, context),
        TokenCommand::List(args) => {
            let all: TokenList = client.get("/v1/tokens", &[])?;
            context.printer.view(args.format.output, &view(&all, Timestamp::now())?)?;
            Ok(Exit::Done)
        }
        TokenCommand::Revoke(args) => {
            let request = RevokeRequest { id: args.id.clone() };
            let gone: TokenStatus = client.post("/v1/tokens/revoke", &request)?;
            context.printer.line(&format!("token/{} revoked", gone.id))?;
            Ok(Exit::Done)
        }
    }
}

fn create(args: &CreateArgs, client: &Client, context: &Context) -> Outcome {
    let account = args.service_account.as_ref().map(ServiceAccount::as_str);
    let request = TokenRequest {
        namespace: args.namespace.namespace.to_string(),
        service: args.service.to_string(),
        service_account: account.unwrap_or(args.service.as_str()).to_owned(),
        // Rounded up: never shorter than was asked for.
        seconds: u64::try_from(args.expires.as_millis().div_ceil(1_000))
            .map_err(Failure::misuse)?,
    };
    let made: JoinToken = client.post("/v1/tokens", &request)?;
    let view = View {
        value: serde_json::to_value(&made)?,
        lead: vec![made.token.clone()],
        names: vec![format!("token/{}", made.status.id)],
        ..View::default()
    };
    context.printer.view(args.format.output, &view)?;
    context.printer.notes(&what_now(&made, Timestamp::now()));
    Ok(Exit::Done)
}

/// What to do with a token.
fn what_now(made: &JoinToken, now: Timestamp) -> String {
    let it = &made.status;
    let (name, left) = (scoped(&it.namespace, &it.service), until(it.expires, now));
    let mut text = format!("token {} is good once, for {name}, for {left}\n", it.id);
    let mut words = format!(
        "meshctl proxy run --control-plane https://{} --token-file FILE --service {}",
        place(&made.control_plane),
        it.service
    );
    if it.namespace != DEFAULT_NAMESPACE {
        words.push_str(&format!(" --namespace {}", it.namespace));
    }
    if it.service_account != it.service {
        words.push_str(&format!(" --service-account {}", it.service_account));
    }
    text.push_str(&format!("on the other machine: {words}\n"));
    if listens_here_alone(&made.control_plane) {
        text.push_str(
            "warning: the control plane listens on loopback alone; other machines reach it after \
             `meshctl uninstall` (data is kept), then `meshctl install --listen ADDR:PORT`\n",
        );
    }
    text
}

/// Where other machines connect to: of all addresses it is not known which they reach.
fn place(address: &str) -> String {
    match address.parse::<SocketAddr>() {
        Ok(address) if address.ip().is_unspecified() => format!("HOST:{}", address.port()),
        _ => address.to_owned(),
    }
}

/// Whether no other machine reaches that address.
pub(crate) fn listens_here_alone(address: &str) -> bool {
    address.parse().is_ok_and(|address: SocketAddr| IpAddr::is_loopback(&address.ip()))
}

fn view(all: &TokenList, now: Timestamp) -> Result<View, Failure> {
    let mut table = Table::new(&[
        "TOKEN",
        "SERVICE",
        "ACCOUNT",
        "STATE",
        ">EXPIRES",
        ">AGE",
        "USED BY",
        "+USED FROM",
    ]);
    for it in &all.tokens {
        let dash = |text: &str| if text.is_empty() { "-".into() } else { Cell::from(text) };
        let (state, expires) = match it.state {
            TokenState::Unused => (Cell::good("Unused"), until(it.expires, now)),
            TokenState::Used => ("Used".into(), "-".to_owned()),
            TokenState::Expired => (Cell::warn("Expired"), "-".to_owned()),
        };
        table.row([
            it.id.as_str().into(),
            scoped(&it.namespace, &it.service).into(),
            it.service_account.as_str().into(),
            state,
            expires.into(),
            age(it.created, now).into(),
            dash(&it.used_by),
            dash(&it.used_from),
        ]);
    }
    Ok(View {
        value: serde_json::to_value(all)?,
        tables: vec![table],
        names: all.tokens.iter().map(|it| format!("token/{}", it.id)).collect(),
        empty: "no token is remembered; make one with `meshctl token create`".into(),
        ..View::default()
    })
}
