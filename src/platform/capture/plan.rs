//! What is to be captured as rules: chains of matches, each with what happens to what matches.
//!
//! Pure: [`Capture`] in, [`Chain`]s out, in the order in which the kernel asks them. The last rule
//! of each chain is the one that captures; all before it say what is left alone.

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use std::net::{Ipv4Addr, Ipv6Addr};

use super::{Capture, Inbound, Outbound, Users};

/// DNS over TCP goes where the application sends it, as over UDP.
const DNS: u16 = 53;

/// A base chain of type `nat`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Chain {
    pub(super) name: &'static str,
    pub(super) hook: Hook,
    pub(super) rules: Vec<Rule>,
}

/// Where in the kernel a chain is asked, once for each new connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Hook {
    /// What arrives.
    Prerouting,
    /// What a process here sends.
    Output,
}

/// The priority of both chains, that of translating destinations.
pub(super) const PRIORITY: i32 = -100;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Rule {
    pub(super) matches: Match,
    pub(super) verdict: Verdict,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Match {
    /// It arrived on this interface.
    Interface(&'static str),
    /// The process that sends it belongs to this user.
    User(u32),
    /// It does not.
    NotUser(u32),
    /// It goes into this network.
    Network(IpNet),
    /// It goes to this TCP port.
    Port(u16),
    /// It is TCP.
    Tcp,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It goes on as it is.
    Return,
    /// It goes to this port of this machine.
    Redirect(u16),
}

/// The chains of a capture.
pub(super) fn plan(capture: &Capture) -> Vec<Chain> {
    let inbound = capture.inbound.as_ref().map(inbound);
    inbound.into_iter().chain([outbound(&capture.outbound)]).collect()
}

fn inbound(inbound: &Inbound) -> Chain {
    let mut rules = vec![spared(Match::Interface("lo"))];
    rules.extend(ports(&inbound.except_ports));
    rules.push(captured(inbound.to));
    Chain { name: "inbound", hook: Hook::Prerouting, rules }
}

fn outbound(outbound: &Outbound) -> Chain {
    let mut rules = vec![spared(match outbound.of {
        Users::AllBut(user) => Match::User(user),
        Users::Only(user) => Match::NotUser(user),
    })];
    let loopback = [
        Ipv4Net::new_assert(Ipv4Addr::new(127, 0, 0, 0), 8).into(),
        Ipv6Net::new_assert(Ipv6Addr::LOCALHOST, 128).into(),
    ];
    let networks = loopback.iter().chain(&outbound.except_networks);
    rules.extend(networks.map(|network| spared(Match::Network(network.trunc()))));
    rules.push(spared(Match::Port(DNS)));
    rules.extend(ports(&outbound.except_ports));
    rules.push(captured(outbound.to));
    Chain { name: "outbound", hook: Hook::Output, rules }
}

fn ports(ports: &[u16]) -> impl Iterator<Item = Rule> {
    ports.iter().map(|port| spared(Match::Port(*port)))
}

fn spared(matches: Match) -> Rule {
    Rule { matches, verdict: Verdict::Return }
}

fn captured(to: u16) -> Rule {
    Rule { matches: Match::Tcp, verdict: Verdict::Redirect(to) }
}
