//! Resources at random: everything that a resource may be, and nothing that it may not.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use proptest::collection::{btree_map, btree_set, vec};
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;

use crate::names::{
    Identity, Namespace, ObjectName, Protocol, ProxyId, RuleId, ServiceAccount, ServiceName,
    TrustDomain,
};
use crate::resource::*;

mod pools;

const LABEL: &str = "[a-z0-9]([a-z0-9-]{0,8}[a-z0-9])?";

fn namespace() -> impl Strategy<Value = Namespace> {
    LABEL.prop_map(|text| text.parse().unwrap())
}

fn object_name() -> impl Strategy<Value = ObjectName> {
    (LABEL, LABEL).prop_map(|(one, two)| format!("{one}.{two}").parse().unwrap())
}

fn service_name() -> impl Strategy<Value = ServiceName> {
    (namespace(), LABEL).prop_map(|(ns, name)| ServiceName::new(ns, name.parse().unwrap()))
}

fn trust_domain() -> impl Strategy<Value = TrustDomain> {
    LABEL.prop_map(|text| text.parse().unwrap())
}

fn identity() -> impl Strategy<Value = Identity> {
    (trust_domain(), namespace(), LABEL).prop_map(|(trust_domain, namespace, account)| {
        let service_account: ServiceAccount = account.parse().unwrap();
        Identity { trust_domain, namespace, service_account }
    })
}

fn protocol() -> impl Strategy<Value = Protocol> {
    use Protocol::{Detect, Grpc, Http, Http2, Tcp};
    select(vec![Detect, Http, Http2, Grpc, Tcp])
}

fn mtls() -> impl Strategy<Value = MtlsMode> {
    select(vec![MtlsMode::Strict, MtlsMode::Permissive])
}

fn port() -> impl Strategy<Value = u16> {
    1..=u16::MAX
}

fn duration() -> impl Strategy<Value = Duration> {
    any::<u64>().prop_map(Duration::from_micros)
}

fn mesh() -> impl Strategy<Value = Mesh> {
    let roots = vec(vec(any::<u8>(), 1..40), 1..4);
    let outbound = select(vec![OutboundMode::AllowAny, OutboundMode::RegistryOnly]);
    (trust_domain(), roots, outbound, 0..=PARTS_PER_MILLION).prop_map(
        |(trust_domain, roots, outbound, sampling_ppm)| Mesh {
            trust_domain,
            roots,
            outbound,
            sampling_ppm,
        },
    )
}

fn workload() -> impl Strategy<Value = Workload> {
    let proxy = (namespace(), object_name()).prop_map(|(ns, name)| ProxyId::new(ns, name));
    let ports = btree_map(port(), (protocol(), mtls()), 0..4).prop_map(|ports| {
        let port = |(port, (protocol, mtls))| InboundPort { port, protocol, mtls };
        ports.into_iter().map(port).collect()
    });
    (proxy, identity(), vec(service_name(), 0..3), mtls(), ports, "[a-z0-9-]{0,4}").prop_map(
        |(proxy, identity, services, mtls, ports, zone)| Workload {
            proxy,
            identity,
            services,
            zone,
            mtls,
            ports,
        },
    )
}

fn edit() -> impl Strategy<Value = HeaderEdit> {
    let field = || {
        let field = ("[a-z][a-z0-9-]{0,8}", "([!-~]([ -~]{0,8}[!-~])?)?");
        vec(field.prop_map(|(name, value)| Field { name, value }), 0..3)
    };
    (field(), field(), vec("[a-z][a-z0-9-]{0,8}", 0..3)).prop_map(|(set, add, remove)| HeaderEdit {
        set,
        add,
        remove,
    })
}

fn field_match(name: &'static str) -> impl Strategy<Value = FieldMatch> {
    let value = prop_oneof![
        any::<String>().prop_map(ValueMatch::Exact),
        any::<String>().prop_map(ValueMatch::Regex),
    ];
    (name, value).prop_map(|(name, value)| FieldMatch { name, value })
}

fn route_match(rules: u32) -> impl Strategy<Value = RouteMatch> {
    let path = prop_oneof![
        "/[a-z/]{0,10}".prop_map(PathMatch::Exact),
        "/[a-z/]{0,10}".prop_map(PathMatch::Prefix),
        any::<String>().prop_map(PathMatch::Regex),
    ];
    let headers = vec(field_match("[a-z][a-z0-9-]{0,8}"), 0..3);
    let query = vec(field_match("[A-Za-z ]{0,8}"), 0..3);
    (0..rules, path, option::of("[A-Z]{1,7}"), headers, query).prop_map(
        |(rule, path, method, headers, query)| RouteMatch { rule, path, method, headers, query },
    )
}

fn path_edit() -> impl Strategy<Value = PathEdit> {
    let part = "(/[a-z%]{1,6}){0,3}";
    prop_oneof![
        "/[a-z/]{0,10}".prop_map(PathEdit::Full),
        (part, part).prop_map(|(matched, replacement)| PathEdit::Prefix { matched, replacement }),
    ]
}

fn rewrite() -> impl Strategy<Value = Rewrite> {
    (option::of(LABEL), option::of(path_edit()))
        .prop_map(|(hostname, path)| Rewrite { hostname, path })
}

fn redirect() -> impl Strategy<Value = Redirect> {
    let scheme = option::of(select(vec![Scheme::Http, Scheme::Https]));
    let status = select(Redirect::STATUSES.to_vec());
    (scheme, option::of(LABEL), option::of(path_edit()), option::of(port()), status).prop_map(
        |(scheme, hostname, path, port, status)| Redirect { scheme, hostname, path, port, status },
    )
}

fn rule() -> impl Strategy<Value = Rule> {
    let backend = (service_name(), port(), any::<u32>(), any::<bool>(), edit(), edit(), rewrite())
        .prop_map(
            |(service, port, weight, resolved, request_headers, response_headers, rewrite)| {
                Backend {
                    service,
                    port,
                    weight,
                    resolved,
                    request_headers,
                    response_headers,
                    rewrite,
                }
            },
        );
    let timeouts = (option::of(duration()), option::of(duration()))
        .prop_map(|(request, backend_request)| Timeouts { request, backend_request });
    let target = (option::of(redirect()), rewrite());
    let limits = (timeouts, pools::retry());
    ("[!-~]{1,20}", vec(backend, 0..3), edit(), edit(), target, limits).prop_map(
        |(id, backends, request_headers, response_headers, target, (timeouts, retry))| Rule {
            id: RuleId(id.into()),
            backends,
            request_headers,
            response_headers,
            redirect: target.0,
            rewrite: target.1,
            timeouts,
            retry,
        },
    )
}

fn fault() -> impl Strategy<Value = Fault> {
    let source = (namespace(), option::of(LABEL)).prop_map(|(namespace, account)| match account {
        Some(account) => FaultSource::Identity(namespace, account.parse().unwrap()),
        None => FaultSource::Namespace(namespace),
    });
    let share = || 0..=PARTS_PER_MILLION;
    let delay = (0..=3_600_000_000_u64, share())
        .prop_map(|(us, ppm)| FaultDelay { duration: Duration::from_micros(us), ppm });
    let how = prop_oneof![
        (400..=599_u16).prop_map(AbortHow::Status),
        (1..=16_u32).prop_map(AbortHow::Grpc),
        Just(AbortHow::Reset),
    ];
    let abort = (how, share()).prop_map(|(how, ppm)| FaultAbort { how, ppm });
    let whom = (vec(source, 0..3), vec(route_match(1), 0..3));
    let when = (option::of(any::<u64>()), any::<bool>());
    ("[!-~]{1,20}", whom, option::of(delay), option::of(abort), when).prop_map(
        |(id, (from, matches), delay, abort, (expires, shadow))| Fault {
            id: RuleId(id.into()),
            from,
            matches,
            delay,
            abort,
            expires,
            shadow,
        },
    )
}

fn service() -> impl Strategy<Value = Service> {
    let port_body = (protocol(), vec(rule(), 1..3)).prop_flat_map(|(protocol, rules)| {
        let matches = vec(route_match(u32::try_from(rules.len()).unwrap()), 0..3);
        (Just(protocol), matches, Just(rules), vec(fault(), 0..2))
    });
    let ports = btree_map(port(), port_body, 0..3).prop_map(|ports| {
        let port = |(port, (protocol, matches, rules, faults))| ServicePort {
            port,
            protocol,
            matches,
            rules,
            faults,
        };
        ports.into_iter().map(port).collect()
    });
    let consumers = prop_oneof![
        namespace().prop_map(|consumer| (Some(consumer), Vec::new())),
        btree_set(namespace(), 0..3).prop_map(|names| (None, names.into_iter().collect())),
    ];
    (service_name(), consumers, ports).prop_map(|(name, (consumer, overridden_in), ports)| {
        Service { name, consumer, overridden_in, ports }
    })
}

fn address() -> impl Strategy<Value = Address> {
    (any::<IpAddr>(), port(), service_name(), port()).prop_map(|(ip, at, service, port)| Address {
        address: SocketAddr::new(ip, at),
        service,
        port,
    })
}

fn host() -> impl Strategy<Value = Host> {
    let ports = btree_map(port(), protocol(), 0..4);
    let who = (service_name(), object_name(), option::of(identity()), "[a-z0-9.]{0,8}");
    (any::<IpAddr>(), who, ports).prop_map(|(ip, (service, workload, identity, version), ports)| {
        Host { ip, service, workload, identity, version, ports: ports.into_iter().collect() }
    })
}

/// Any resource of any kind.
pub(super) fn resource() -> impl Strategy<Value = Resource> {
    prop_oneof![
        mesh().prop_map(Resource::Mesh),
        workload().prop_map(Resource::Workload),
        pools::cluster().prop_map(Resource::Cluster),
        service().prop_map(Resource::Service),
        address().prop_map(Resource::Address),
        host().prop_map(Resource::Host),
    ]
}
