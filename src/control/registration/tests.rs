//! What a proxy may say about itself.

use super::*;

/// A workload as the `reviews` of the demo would present itself.
pub(crate) fn hello(name: &str, service: &str) -> Hello {
    Hello {
        namespace: "default".to_owned(),
        name: name.to_owned(),
        service: service.to_owned(),
        version: "v1".to_owned(),
        service_account: service.to_owned(),
        addresses: vec!["127.0.0.1".to_owned()],
        ports: vec![HelloPort {
            app_port: 9080,
            dial_port: 41001,
            service_port: 80,
            protocol: "http".to_owned(),
        }],
        ..Hello::default()
    }
}

#[test]
fn labels_name_the_service_and_version() {
    let registration = Registration::from_hello(&hello("reviews-v1-0", "reviews")).expect("valid");
    let workload = registration.workload(&"cluster.local".parse().expect("valid"), None);
    assert_eq!(workload.labels.get("app").map(AsRef::as_ref), Some("reviews"));
    assert_eq!(workload.labels.get("version").map(AsRef::as_ref), Some("v1"));
    assert_eq!(workload.identity.to_string(), "spiffe://cluster.local/ns/default/sa/reviews");
    assert!(!workload.ready, "it has not said so yet");
}

#[test]
fn survives_being_kept() {
    let registration = Registration::from_hello(&hello("reviews-v1-0", "reviews")).expect("valid");
    let text = serde_json::to_string(&registration).expect("serializes");
    assert_eq!(serde_json::from_str::<Registration>(&text).expect("parses"), registration);
}

#[test]
fn a_service_port_of_zero_was_not_said() {
    let mut hello = hello("reviews-v1-0", "reviews");
    let said = |hello: &Hello| Registration::from_hello(hello).expect("valid").ports[0].service;
    assert_eq!(said(&hello), Some(80));
    hello.ports[0].service_port = 0;
    assert_eq!(said(&hello), None);
}

#[test]
fn what_is_no_name_port_or_address_is_refused_with_its_field() {
    type Case = (&'static str, fn(&mut Hello));
    let cases: [Case; 8] = [
        ("name", |hello| hello.name = "../x".to_owned()),
        ("service", |hello| hello.service = "Reviews".to_owned()),
        ("addresses", |hello| hello.addresses = vec!["localhost".to_owned()]),
        ("addresses", |hello| hello.addresses.clear()),
        ("app port", |hello| hello.ports[0].app_port = 70_000),
        ("service port", |hello| hello.ports[0].service_port = 70_000),
        ("labels", |hello| {
            hello.labels.insert("meshctl.dev/weight".to_owned(), "0".to_owned());
        }),
        ("labels", |hello| drop(hello.labels.insert("a\n".to_owned(), "b".to_owned()))),
    ];
    for (field, change) in cases {
        let mut hello = hello("reviews-v1-0", "reviews");
        change(&mut hello);
        let error = Registration::from_hello(&hello).expect_err(field);
        assert!(error.contains(field), "{field}: {error}");
    }
}
