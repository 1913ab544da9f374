//! What the kernel of this thread's network namespace holds in nf_tables, dumped by netlink.

use netlink_packet_core::{NLM_F_DUMP, NLM_F_REQUEST, NetlinkMessage, NetlinkPayload};
use netlink_packet_netfilter::nftables::{
    NfTablesMessage, RuleAttribute, RuleMessage, TableAttribute, TableMessage,
};
use netlink_packet_netfilter::{
    NetfilterHeader, NetfilterMessage, NetfilterMessageInner, NetfilterProtoFamily,
};
use netlink_sys::{Socket, protocols::NETLINK_NETFILTER};

/// The names of all tables, sorted.
pub(super) fn tables() -> Vec<String> {
    let tables = dump(NfTablesMessage::GetTable(TableMessage { attributes: Vec::new() }));
    let names = tables.into_iter().filter_map(|message| match message {
        NfTablesMessage::NewTable(table) => Some(table.attributes),
        _ => None,
    });
    let mut names: Vec<String> = names
        .flatten()
        .filter_map(|attribute| match attribute {
            TableAttribute::Name(name) => Some(name),
            _ => None,
        })
        .collect();
    names.sort();
    names
}

/// All rules in their order, without what numbers them.
pub(super) fn rules() -> Vec<String> {
    let rules = dump(NfTablesMessage::GetRule(RuleMessage { attributes: Vec::new() }));
    let rules = rules.into_iter().filter_map(|message| match message {
        NfTablesMessage::NewRule(rule) => Some(rule.attributes),
        _ => None,
    });
    rules
        .map(|mut rule| {
            rule.retain(|it| !matches!(it, RuleAttribute::Handle(_) | RuleAttribute::Position(_)));
            format!("{rule:?}")
        })
        .collect()
}

fn dump(request: NfTablesMessage) -> Vec<NfTablesMessage> {
    let socket = Socket::new(NETLINK_NETFILTER).expect("a netlink socket");
    let header = NetfilterHeader::new(NetfilterProtoFamily::Inet, 0, 0);
    let mut message = NetlinkMessage::from(NetfilterMessage::new(header, request));
    message.header.flags = NLM_F_REQUEST | NLM_F_DUMP;
    message.finalize();
    let mut bytes = vec![0; message.buffer_len()];
    message.serialize(&mut bytes);
    socket.send(&bytes, 0).expect("sent");
    let mut found = Vec::new();
    loop {
        let (bytes, _) = socket.recv_from_full().expect("an answer");
        let mut rest = bytes.as_slice();
        while !rest.is_empty() {
            let message: NetlinkMessage<NetfilterMessage> =
                NetlinkMessage::deserialize(rest).expect("a message");
            let length = message.header.length.next_multiple_of(4) as usize;
            rest = rest.get(length..).unwrap_or_default();
            match message.payload {
                NetlinkPayload::Done(_) => return found,
                NetlinkPayload::InnerMessage(message) => match message.inner {
                    NetfilterMessageInner::NfTables(message) => found.push(message),
                    other => panic!("not of nf_tables: {other:?}"),
                },
                other => panic!("the kernel answers {other:?}"),
            }
        }
    }
}
