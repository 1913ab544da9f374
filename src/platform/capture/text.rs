//! The rules in the language of `nft`, word for word as `nft --numeric-priority list table` shows
//! them. Written for people, and for those who would rather program the kernel themselves.

use std::fmt;

use ipnet::IpNet;

use super::plan::{Chain, Hook, Match, PRIORITY, Rule, Verdict};

/// Writes a file that replaces the table, however often it is run.
pub(super) fn write(f: &mut fmt::Formatter<'_>, table: &str, chains: &[Chain]) -> fmt::Result {
    writeln!(f, "add table inet {table}\ndelete table inet {table}\ntable inet {table} {{")?;
    for (index, chain) in chains.iter().enumerate() {
        if index > 0 {
            writeln!(f)?;
        }
        writeln!(f, "\tchain {} {{", chain.name)?;
        let hook = chain.hook;
        writeln!(f, "\t\ttype nat hook {hook} priority {PRIORITY}; policy accept;")?;
        for Rule { matches, verdict } in &chain.rules {
            writeln!(f, "\t\t{matches} {verdict}")?;
        }
        writeln!(f, "\t}}")?;
    }
    writeln!(f, "}}")
}

impl fmt::Display for Hook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Prerouting => "prerouting",
            Self::Output => "output",
        })
    }
}

impl fmt::Display for Match {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Interface(name) => write!(f, "iifname \"{name}\""),
            Self::User(user) => write!(f, "meta skuid {user}"),
            Self::NotUser(user) => write!(f, "meta skuid != {user}"),
            Self::Network(network) => {
                let family = if network.addr().is_ipv4() { "ip" } else { "ip6" };
                write!(f, "{family} daddr {}", Destination(network))
            }
            Self::Port(port) => write!(f, "tcp dport {port}"),
            Self::Tcp => f.write_str("meta l4proto tcp"),
        }
    }
}

/// A network, or the one address that it is.
struct Destination<'a>(&'a IpNet);

impl fmt::Display for Destination<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.prefix_len() == self.0.max_prefix_len() {
            true => write!(f, "{}", self.0.addr()),
            false => write!(f, "{}", self.0),
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Return => f.write_str("return"),
            Self::Redirect(port) => write!(f, "redirect to :{port}"),
        }
    }
}
