//! Round trips of arbitrary resources, arbitrary bytes, what is refused and in which words, and
//! that the encoding stays what it is.

use std::collections::BTreeMap;

use proptest::prelude::*;
use prost::Message;

use super::*;
use crate::resource::Address;

mod arbitrary;
mod endpoints;
mod faults;
mod resilience;

fn address() -> Resource {
    Resource::Address(Address {
        address: "10.0.0.7:80".parse().unwrap(),
        service: "shop/web".parse().unwrap(),
        port: 8080,
    })
}

proptest! {
    #[test]
    fn what_was_encoded_is_decoded_to_the_same(resource in arbitrary::resource()) {
        let Encoded { key, version, body } = encode(&resource);
        let decoded = decode(key.kind, &key.name, &body);
        prop_assert_eq!(decoded.as_ref(), Ok(&resource));
        prop_assert_eq!(encode(&decoded.unwrap()).version, version);
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        for kind in Kind::ALL {
            let _ = decode(kind, "shop/web", &bytes);
        }
    }

    #[test]
    fn one_flipped_bit_never_panics(
        resource in arbitrary::resource(),
        at in any::<prop::sample::Index>(),
        bit in 0..8_u8,
    ) {
        let Encoded { key, body, .. } = encode(&resource);
        let mut bytes = body.to_vec();
        *at.get_mut(&mut bytes) ^= 1 << bit;
        if let Ok(other) = decode(key.kind, &key.name, &bytes) {
            prop_assert_eq!(other.key(), key);
        }
    }
}

#[test]
fn the_encoding_is_what_it_always_was() {
    let encoded = encode(&address());
    let body = b"\x0a\x04\x0a\x00\x00\x07\x10\x50\x1a\x08shop/web\x20\x90\x3f";
    assert_eq!(&encoded.body[..], body, "a change of it makes every proxy load everything anew");
    assert_eq!(encoded.version.len(), 16);
    assert_eq!(encoded.to_wire().resource.unwrap().value, encoded.body);
}

#[test]
fn a_body_under_another_name_is_refused() {
    let body = encode(&address()).body;
    let error = decode(Kind::Address, "address/10.0.0.8:80", &body).unwrap_err();
    assert_eq!(error.field, "name");
    assert!(error.reason.contains("address/10.0.0.7:80"), "{error}");
}

#[test]
fn a_later_field_is_skipped_unless_it_is_required() {
    #[derive(Clone, PartialEq, Message)]
    struct Newer {
        #[prost(bytes = "vec", tag = "1")]
        ip: Vec<u8>,
        #[prost(uint32, tag = "2")]
        address_port: u32,
        #[prost(string, tag = "3")]
        service: String,
        #[prost(uint32, tag = "4")]
        port: u32,
        #[prost(string, tag = "9")]
        novelty: String,
        #[prost(uint32, tag = "15")]
        requires: u32,
    }
    let mut newer = Newer::decode(encode(&address()).body).unwrap();
    newer.novelty = "unheard of".into();
    let read = |newer: &Newer| decode(Kind::Address, "address/10.0.0.7:80", &newer.encode_to_vec());
    assert_eq!(read(&newer), Ok(address()));
    newer.requires = field::RESILIENCE + 1;
    assert_eq!(read(&newer).unwrap_err().field, "requires");
}

/// Protobuf concatenation is merging, so a field can be set by appending it.
#[test]
fn an_error_names_the_field() {
    #[derive(Clone, PartialEq, Message)]
    struct Numbers {
        #[prost(uint32, tag = "2")]
        two: u32,
        #[prost(uint32, tag = "3")]
        three: u32,
        #[prost(uint32, tag = "4")]
        four: u32,
    }
    #[derive(Clone, PartialEq, Message)]
    struct Policy {
        #[prost(message, optional, tag = "3")]
        policy: Option<Numbers>,
    }
    let zero = Numbers::default();
    let body = [&encode(&address()).body[..], &Numbers { four: 65_536, ..zero }.encode_to_vec()];
    let error = decode(Kind::Address, "address/10.0.0.7:80", &body.concat()).unwrap_err();
    assert_eq!(error.to_string(), "port: 65536 is not a port (1 to 65535)");

    let error = decode(Kind::Cluster, "shop/web", &[]).unwrap_err();
    assert_eq!(error.to_string(), "policy: is missing");

    let policy = Policy { policy: Some(Numbers { four: 7, ..zero }) };
    let error = decode(Kind::Cluster, "shop/web", &policy.encode_to_vec()).unwrap_err();
    assert_eq!(error.field, "policy.load_balancer");
    assert_eq!(error.reason, "7 is not a value that this version knows");
    let known = Policy { policy: Some(Numbers { four: 6, ..zero }) };
    let error = decode(Kind::Cluster, "shop/web", &known.encode_to_vec()).unwrap_err();
    assert_eq!(error.field, "name", "6 is known");
}

#[test]
fn nested_errors_name_the_whole_path() {
    let service: crate::names::ServiceName = "shop/web".parse().unwrap();
    let port = |matches| crate::resource::ServicePort {
        port: 80,
        protocol: crate::names::Protocol::Http,
        matches,
        rules: Vec::new(),
        faults: Vec::new(),
    };
    let one = crate::resource::RouteMatch {
        rule: 0,
        path: crate::resource::PathMatch::Prefix("/".into()),
        method: None,
        headers: Vec::new(),
        query: Vec::new(),
    };
    let service = |ports| {
        let name = service.clone();
        Resource::Service(crate::resource::Service {
            name,
            consumer: None,
            overridden_in: Vec::new(),
            ports,
        })
    };
    let refused = |resource: &Resource| decode(Kind::Service, "shop/web", &encode(resource).body);
    let error = refused(&service(vec![port(vec![one])])).unwrap_err();
    assert_eq!(error.to_string(), "ports[0].matches[0].rule: there is no rule 0");
    let error = refused(&service(vec![port(vec![]), port(vec![])])).unwrap_err();
    assert_eq!(error.to_string(), "ports: is out of order or has duplicates");
}
