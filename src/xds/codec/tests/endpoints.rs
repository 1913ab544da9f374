//! One body after the other under one name: what comes of it is what the body says, and what is the
//! same as before is shared.

use proptest::collection::vec;

use super::*;
use crate::resource::{Cluster, ClusterPolicy, Endpoint};

fn endpoint(number: u8, weight: u32) -> Arc<Endpoint> {
    Arc::new(Endpoint {
        workload: format!("web-{number:03}").parse().unwrap(),
        addresses: vec![[10, 0, 0, number].into()],
        ports: Vec::new(),
        identity: (!number.is_multiple_of(3))
            .then(|| "spiffe://a.mesh/ns/shop/sa/web".parse().unwrap()),
        version: String::new(),
        weight,
        zone: String::new(),
    })
}

fn cluster(endpoints: &BTreeMap<u8, u32>) -> Resource {
    Resource::Cluster(Cluster {
        name: "shop/web".parse().unwrap(),
        ports: Vec::new(),
        policy: ClusterPolicy::default(),
        endpoints: endpoints.iter().map(|(number, weight)| endpoint(*number, *weight)).collect(),
    })
}

fn endpoints(resource: &Resource) -> &[Arc<Endpoint>] {
    match resource {
        Resource::Cluster(cluster) => &cluster.endpoints,
        other => panic!("{other:?}"),
    }
}

/// Who comes, goes or weighs another from body to body.
fn bodies() -> impl Strategy<Value = Vec<BTreeMap<u8, u32>>> {
    let change = (0..20_u8, prop_oneof![Just(None), (1..4_u32).prop_map(Some)]);
    vec(vec(change, 0..6), 1..8).prop_map(|steps| {
        let mut now: BTreeMap<u8, u32> = (0..12).map(|number| (number, 1)).collect();
        let step = |changes: Vec<(u8, Option<u32>)>| {
            for (number, weight) in changes {
                match weight {
                    Some(weight) => drop(now.insert(number, weight)),
                    None => drop(now.remove(&number)),
                }
            }
            now.clone()
        };
        steps.into_iter().map(step).collect()
    })
}

proptest! {
    #[test]
    fn what_was_before_changes_nothing_but_who_is_shared(bodies in bodies()) {
        let mut decoder = Decoder::default();
        let mut before: Option<Resource> = None;
        for body in &bodies {
            let resource = cluster(body);
            let encoded = encode(&resource);
            let decoded = decoder.decode(Kind::Cluster, "shop/web", encoded.body).unwrap();
            prop_assert_eq!(&decoded, &resource);
            let known = before.as_ref().map_or(&[][..], endpoints);
            for one in endpoints(&decoded) {
                let same = known.iter().find(|known| known == &one);
                prop_assert!(same.is_none_or(|same| Arc::ptr_eq(same, one)), "{:?}", one);
            }
            before = Some(decoded);
        }
    }
}

#[test]
fn a_body_that_is_refused_leaves_nothing_behind() {
    let good = encode(&cluster(&[(1, 1), (2, 1)].into()));
    let mut decoder = Decoder::default();
    let mut decode =
        |body: &[u8]| decoder.decode(Kind::Cluster, "shop/web", Bytes::copy_from_slice(body));
    let first = decode(&good.body).unwrap();
    // Twice the same endpoint.
    let twice = [&good.body[..], b"\x22\x09\x0a\x07web-002"].concat();
    assert_eq!(decode(&twice).unwrap_err().field, "endpoints");
    assert_eq!(decode(&good.body[..good.body.len() - 1]).unwrap_err().field, "");
    assert_eq!(decode(&good.body).unwrap(), first);
}
