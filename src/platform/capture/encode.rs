//! The rules as the kernel takes them: messages of one nf_tables transaction.
//!
//! Pure. Numbers inside attributes are big-endian, but what `meta skuid` is compared with is in the
//! machine's own order. Source of the numbers: Linux, `include/uapi/linux/netfilter/nf_tables.h`.

use std::net::IpAddr;

use ipnet::IpNet;
use netlink_packet_core::{DefaultNla, NLM_F_APPEND, NLM_F_CREATE, NLM_F_EXCL};
use netlink_packet_netfilter::nftables::{
    Bitwise, ChainAttribute, ChainMessage, Cmp, DataAttribute, ExpressionAttribute, Expressions,
    Hook, Immediate, InetHookNumber, ListAttribute, Meta, MetaKey, NfTablesMessage, Operator,
    Payload, Register, RuleAttribute, RuleMessage, TableAttribute, TableFlags, TableMessage,
    Verdict, VerdictAttribute,
};

use super::plan::{self, Chain, Match, PRIORITY, Rule};

/// `IPPROTO_TCP`.
const TCP: u8 = 6;
/// `NFPROTO_IPV4` and `NFPROTO_IPV6`.
const IPV4: u8 = 2;
const IPV6: u8 = 10;
/// `NFT_PAYLOAD_NETWORK_HEADER` and `NFT_PAYLOAD_TRANSPORT_HEADER`.
const NETWORK_HEADER: u32 = 1;
const TRANSPORT_HEADER: u32 = 2;
/// Where the destination stands in the headers of IPv4, IPv6 and TCP.
const IPV4_DESTINATION: u32 = 16;
const IPV6_DESTINATION: u32 = 24;
const TCP_DESTINATION: u32 = 2;
/// `IFNAMSIZ`.
const INTERFACE_NAME: usize = 16;
/// `NF_ACCEPT`.
const ACCEPT: u32 = 1;
/// `NFTA_REDIR_REG_PROTO_MIN`.
const REDIRECT_PORT: u16 = 1;

/// One message of a transaction.
#[derive(Debug)]
pub(super) struct Step {
    /// What it does, after `cannot`.
    pub(super) what: String,
    /// Its flags beyond those of every request.
    pub(super) flags: u16,
    pub(super) message: NfTablesMessage,
}

/// Replaces the table, or makes it.
pub(super) fn replace(table: &str, chains: &[Chain]) -> Vec<Step> {
    let mut steps = vec![
        // What is not there cannot be deleted, and making what is there changes nothing.
        new_table(table, TableFlags::empty(), NLM_F_CREATE),
        delete(table),
        new_table(table, TableFlags::empty(), NLM_F_CREATE),
    ];
    steps.extend(contents(table, chains));
    steps
}

/// Makes a table that goes with the socket that made it, however its process ends.
pub(super) fn own(table: &str, chains: &[Chain]) -> Vec<Step> {
    let mut steps = vec![new_table(table, TableFlags::Owner, NLM_F_CREATE | NLM_F_EXCL)];
    steps.extend(contents(table, chains));
    steps
}

/// Removes the table with all that is in it.
pub(super) fn delete(table: &str) -> Step {
    let attributes = vec![TableAttribute::Name(table.to_owned())];
    Step {
        what: format!("remove the table `{table}`"),
        flags: 0,
        message: NfTablesMessage::DeleteTable(TableMessage { attributes }),
    }
}

fn new_table(table: &str, flags: TableFlags, how: u16) -> Step {
    let attributes = vec![TableAttribute::Name(table.to_owned()), TableAttribute::Flags(flags)];
    Step {
        what: format!("make the table `{table}`"),
        flags: how,
        message: NfTablesMessage::NewTable(TableMessage { attributes }),
    }
}

fn contents(table: &str, chains: &[Chain]) -> Vec<Step> {
    let chain = |chain: &Chain| {
        let rules = chain.rules.iter().map(|rule| new_rule(table, chain.name, rule));
        std::iter::once(new_chain(table, chain)).chain(rules).collect::<Vec<_>>()
    };
    chains.iter().flat_map(chain).collect()
}

fn new_chain(table: &str, chain: &Chain) -> Step {
    let hook = match chain.hook {
        plan::Hook::Prerouting => InetHookNumber::PreRouting,
        plan::Hook::Output => InetHookNumber::LocalOut,
    };
    let attributes = vec![
        ChainAttribute::Table(table.to_owned()),
        ChainAttribute::Name(chain.name.to_owned()),
        ChainAttribute::Hook(vec![
            Hook::Number(hook.into()),
            Hook::Priority(PRIORITY.cast_unsigned()),
        ]),
        ChainAttribute::Policy(ACCEPT),
        ChainAttribute::Type("nat".to_owned()),
    ];
    Step {
        what: format!("make a chain of type `nat` for {}", chain.hook),
        flags: NLM_F_CREATE,
        message: NfTablesMessage::NewChain(ChainMessage { attributes }),
    }
}

fn new_rule(table: &str, chain: &str, rule: &Rule) -> Step {
    let mut expressions = matching(&rule.matches);
    expressions.extend(verdict(rule.verdict));
    let expressions: Vec<ListAttribute<ExpressionAttribute>> =
        expressions.into_iter().map(Into::into).collect();
    let attributes = vec![
        RuleAttribute::Table(table.to_owned()),
        RuleAttribute::Chain(chain.to_owned()),
        RuleAttribute::Expressions(expressions),
    ];
    Step {
        what: format!("add the rule `{} {}`", rule.matches, rule.verdict),
        flags: NLM_F_CREATE | NLM_F_APPEND,
        message: NfTablesMessage::NewRule(RuleMessage { attributes }),
    }
}

/// Loads what is looked at and goes on with the rule only where it is as wanted.
fn matching(matches: &Match) -> Vec<Expressions> {
    match matches {
        Match::Interface(name) => {
            let mut padded = name.as_bytes().to_vec();
            padded.resize(INTERFACE_NAME, 0);
            vec![meta(MetaKey::Iifname), equal(padded)]
        }
        Match::User(user) => {
            vec![meta(MetaKey::SocketUserId), equal(user.to_ne_bytes().to_vec())]
        }
        Match::NotUser(user) => {
            let user = user.to_ne_bytes().to_vec();
            vec![meta(MetaKey::SocketUserId), compare(Operator::NotEqual, user)]
        }
        Match::Network(network) => destination(network),
        Match::Port(port) => {
            let mut all = tcp();
            all.push(payload(TRANSPORT_HEADER, TCP_DESTINATION, 2));
            all.push(equal(port.to_be_bytes().to_vec()));
            all
        }
        Match::Tcp => tcp(),
    }
}

fn tcp() -> Vec<Expressions> {
    vec![meta(MetaKey::L4Proto), equal(vec![TCP])]
}

fn destination(network: &IpNet) -> Vec<Expressions> {
    let (family, offset) = match network {
        IpNet::V4(_) => (IPV4, IPV4_DESTINATION),
        IpNet::V6(_) => (IPV6, IPV6_DESTINATION),
    };
    let address = octets(network.network());
    let length = u32::from(network.max_prefix_len() / 8);
    let mut all =
        vec![meta(MetaKey::Nfproto), equal(vec![family]), payload(NETWORK_HEADER, offset, length)];
    if network.prefix_len() < network.max_prefix_len() {
        all.push(Expressions::Bitwise(vec![
            Bitwise::SourceRegister(Register::Reg1),
            Bitwise::DestinationRegister(Register::Reg1),
            Bitwise::Length(length),
            Bitwise::Mask(DataAttribute::Value(octets(network.netmask()))),
            Bitwise::Xor(DataAttribute::Value(vec![0; address.len()])),
        ]));
    }
    all.push(equal(address));
    all
}

fn octets(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    }
}

fn meta(key: MetaKey) -> Expressions {
    Expressions::Meta(vec![Meta::DestinationRegister(Register::Reg1), Meta::Key(key)])
}

fn payload(base: u32, offset: u32, length: u32) -> Expressions {
    Expressions::Payload(vec![
        Payload::DestinationRegister(Register::Reg1),
        Payload::Base(base),
        Payload::Offset(offset),
        Payload::Len(length),
    ])
}

fn equal(value: Vec<u8>) -> Expressions {
    compare(Operator::Equal, value)
}

fn compare(operator: Operator, value: Vec<u8>) -> Expressions {
    Expressions::Cmp(vec![
        Cmp::SourceRegister(Register::Reg1),
        Cmp::Op(operator),
        Cmp::Data(DataAttribute::Value(value)),
    ])
}

fn verdict(verdict: plan::Verdict) -> Vec<Expressions> {
    match verdict {
        plan::Verdict::Return => vec![immediate(
            Register::Verdict,
            DataAttribute::Verdict(vec![VerdictAttribute::Code(Verdict::Return)]),
        )],
        plan::Verdict::Redirect(port) => vec![
            immediate(Register::Reg1, DataAttribute::Value(port.to_be_bytes().to_vec())),
            Expressions::Other {
                expression_type: "redir".to_owned(),
                attributes: vec![DefaultNla::new(
                    REDIRECT_PORT,
                    u32::from(Register::Reg1).to_be_bytes().to_vec(),
                )],
            },
        ],
    }
}

fn immediate(register: Register, data: DataAttribute) -> Expressions {
    Expressions::Immediate(vec![Immediate::DestinationRegister(register), Immediate::Data(data)])
}
