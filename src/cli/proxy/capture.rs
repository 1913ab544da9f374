//! `proxy capture`: what the init container of an injected pod runs before all others.

use std::net::IpAddr;

use clap::Args;
use ipnet::IpNet;

use super::super::args::Context;
use super::super::confirm::{ConfirmArgs, confirm};
use super::super::exit::{Exit, Failure, Outcome};
use crate::names::sidecar;
use crate::platform::capture::{self, Capture, CaptureError, TABLE};

#[cfg(test)]
mod tests;
mod user;

pub(super) use user::UserArgs;

/// Hand every TCP connection of this network namespace to a sidecar.
///
/// The init container of an injected pod runs it; on an ordinary machine use `proxy run --capture`.
/// It programs nftables in one transaction and can be repeated. Loopback, UDP and TCP port 53 are
/// left alone, and so is what the sidecar itself sends.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  meshctl proxy capture --yes --exclude-outbound-ports 5432,3306
      leave connections to these ports alone
  meshctl proxy capture --print
      print what it does as text for `nft -f`, and do nothing
  meshctl proxy capture --undo
      remove all of it")]
pub(super) struct CaptureArgs {
    /// User that the sidecar runs as.
    #[arg(long, value_name = "UID", default_value_t = sidecar::SIDECAR_UID)]
    user: u32,
    /// Ports of the application that are reached past the sidecar.
    #[arg(long, value_name = "PORT,…", value_delimiter = ',', value_parser = port)]
    exclude_inbound_ports: Vec<u16>,
    /// Ports that are called past the sidecar.
    #[arg(long, value_name = "PORT,…", value_delimiter = ',', value_parser = port)]
    exclude_outbound_ports: Vec<u16>,
    /// Networks that are called past the sidecar.
    #[arg(long, value_name = "CIDR,…", value_delimiter = ',', value_parser = network)]
    exclude_outbound_cidrs: Vec<IpNet>,
    /// Print the rules as text for `nft -f` and do nothing.
    #[arg(long, conflicts_with = "undo")]
    print: bool,
    /// Remove the rules.
    #[arg(long)]
    undo: bool,
    #[command(flatten)]
    confirm: ConfirmArgs,
}

pub(super) fn run(args: &CaptureArgs, context: &Context) -> Outcome {
    let capture = capture(args);
    if args.print {
        context.printer.data(&capture.to_string())?;
        return Ok(Exit::Done);
    }
    if args.undo {
        let removed = capture::unload().map_err(failure)?;
        context.printer.note(&match removed {
            true => format!("table inet {TABLE} removed"),
            false => format!("there is no table inet {TABLE}"),
        });
        return Ok(Exit::Done);
    }
    // Somebody may sit at the other end of SSH.
    let what = "capture every TCP connection of this network namespace, this shell's included";
    confirm(args.confirm, context.printer, what)?;
    capture::load(&capture).map_err(failure)?;
    let Capture { inbound, outbound } = &capture;
    let inbound = inbound.as_ref().map(|inbound| format!("inbound to port {}, ", inbound.to));
    context.printer.note(&format!(
        "TCP is captured: {}outbound to port {}, but for user {}",
        inbound.unwrap_or_default(),
        outbound.to,
        args.user
    ));
    Ok(Exit::Done)
}

fn capture(args: &CaptureArgs) -> Capture {
    let mut capture = Capture::of_pod(args.user);
    if let Some(inbound) = &mut capture.inbound {
        inbound.except_ports.extend(&args.exclude_inbound_ports);
    }
    capture.outbound.except_ports.clone_from(&args.exclude_outbound_ports);
    capture.outbound.except_networks.clone_from(&args.exclude_outbound_cidrs);
    capture
}

/// What to do about what the kernel refuses.
pub(super) fn failure(error: CaptureError) -> Failure {
    let help = match &error {
        CaptureError::NotPermitted => {
            "run it as root, or with the capability: in a pod by `securityContext.capabilities.add: [NET_ADMIN]`"
        }
        CaptureError::NoNfTables | CaptureError::Unsupported(_) => {
            "load the modules `nf_tables`, `nft_redir` and `nft_chain_nat` on the machine, or use a kernel that has them"
        }
        CaptureError::Taken(_) => "end that proxy first, or capture another user",
        CaptureError::System(..) | CaptureError::Platform => "",
    };
    Failure::from(error).context("cannot capture connections").help(help)
}

fn port(text: &str) -> Result<u16, String> {
    text.trim().parse().ok().filter(|port| *port > 0).ok_or_else(|| {
        format!("`{text}` is no port, write whole numbers from 1 to 65535 with commas between")
    })
}

/// A network, or one address.
fn network(text: &str) -> Result<IpNet, String> {
    let text = text.trim();
    let network = text.parse().or_else(|_| text.parse::<IpAddr>().map(IpNet::from));
    network.map_err(|_| format!("`{text}` is no network, write for example `10.0.0.0/8`"))
}
