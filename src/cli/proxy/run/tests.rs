//! The command line of a sidecar, resolved.

use clap::Parser as _;

use super::super::super::args::{Cli, Command};
use super::super::ProxyCommand;
use super::*;

fn resolved(words: &[&str]) -> Result<Config, Failure> {
    let words = ["meshctl", "proxy", "run"].iter().chain(words);
    let cli = Cli::try_parse_from(words).expect("parses");
    match cli.command {
        Command::Proxy(args) => match args.command {
            ProxyCommand::Run(args) => resolve(*args, "/home/mesh".into()),
            other => panic!("another command: {other:?}"),
        },
        other => panic!("another command: {other:?}"),
    }
}

#[test]
fn what_is_left_out_has_the_documented_defaults() {
    let config = resolved(&["--service", "reviews"]).expect("resolves");
    assert_eq!(config.service.to_string(), "default/reviews");
    assert_eq!(config.service_account.as_str(), "reviews");
    assert_eq!(config.inbound.to_string(), "127.0.0.1:0");
    assert_eq!(config.outbound.to_string(), "127.0.0.1:0");
    assert_eq!(config.admin, AdminAddress::Tcp(([127, 0, 0, 1], 0).into()));
    assert_eq!(config.protocol, Protocol::Detect);
    assert_eq!(config.drain, crate::proxy::run::DRAIN);
    assert!(config.workers.get() <= WORKERS);
    assert!(config.app.is_none() && config.name.is_none() && config.command.is_empty());
}

#[test]
fn upstreams_name_services_of_any_namespace() {
    let args = ["--service=web", "-n", "shop", "--upstream=a:80=81", "--upstream=b.x:80=0"];
    let config = resolved(&args).expect("resolves");
    let shown: Vec<_> = config
        .upstreams
        .iter()
        .map(|it| format!("{}:{}={}", it.service, it.port, it.local_port))
        .collect();
    assert_eq!(shown, ["shop/a:80=81", "x/b:80=0"]);
    for wrong in ["a", "a:80", "a=80", "a:0=1", "a:80=x", "A:80=1"] {
        assert!(resolved(&["--service=web", "--upstream", wrong]).is_err(), "{wrong}");
    }
}

#[test]
fn a_label_given_twice_is_refused() {
    assert!(resolved(&["--service=web", "--label=a=1", "--label=a=2"]).is_err());
    let config = resolved(&["--service=web", "--label=a=1"]).expect("resolves");
    assert_eq!(config.labels.get("a").map(String::as_str), Some("1"));
}

#[test]
fn what_no_control_plane_takes_is_refused_before_it_is_asked() {
    for wrong in ["a", "=1", "a=1=2", "a b=c", "a=b c"] {
        assert!(label(wrong).is_err(), "{wrong}");
    }
    assert_eq!(count("64").expect("a count").get(), WORKERS_MAX);
    for wrong in ["0", "65", "-1", "two", "18446744073709551616"] {
        assert!(count(wrong).is_err(), "{wrong}");
    }
}

#[test]
fn the_command_keeps_its_own_flags() {
    let config = resolved(&["--service=web", "--", "./web", "--port", "8"]).expect("resolves");
    assert_eq!(config.command, ["./web", "--port", "8"]);
}
