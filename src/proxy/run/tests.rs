//! What a configuration may say, and what a name keeps across restarts.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use super::place::{Place, Ports, recall};
use super::*;
use crate::names::Protocol;

fn config(home: &Path) -> Config {
    let loopback: SocketAddr = "127.0.0.1:0".parse().unwrap();
    Config {
        home: home.to_owned(),
        token: None,
        service: "default/reviews".parse().unwrap(),
        version: None,
        name: None,
        service_account: "reviews".parse().unwrap(),
        labels: BTreeMap::new(),
        app: None,
        app_wait: APP_WAIT,
        protocol: Protocol::Detect,
        service_port: None,
        advertise: None,
        inbound: loopback,
        outbound: loopback,
        admin: AdminAddress::Tcp(loopback),
        captured: Default::default(),
        probes: None,
        upstreams: Vec::new(),
        workers: NonZeroUsize::MIN,
        memory_limit: None,
        ready_file: None,
        drain: DRAIN,
        command: Vec::new(),
    }
}

fn upstream(service: &str, local_port: u16) -> Upstream {
    Upstream { service: service.parse().unwrap(), port: 80, local_port }
}

#[test]
fn what_would_lend_out_the_identity_is_refused() {
    let good = config(Path::new("/nowhere"));
    good.check().unwrap();
    let open: SocketAddr = "0.0.0.0:80".parse().unwrap();
    let bad = Config { outbound: open, ..good.clone() };
    assert_eq!(bad.check(), Err(ConfigError::OutboundBeyondLoopback(open)));
    let bad = Config { admin: AdminAddress::Tcp(open), ..good.clone() };
    assert_eq!(bad.check(), Err(ConfigError::AdminBeyondLoopback(open)));
    let bad = Config { inbound: open, app: Some(open), ..good };
    assert_eq!(bad.check(), Err(ConfigError::AdvertiseMissing(open)));
    Config { advertise: Some("10.0.0.1".parse().unwrap()), ..bad }.check().unwrap();
}

#[test]
fn what_is_named_twice_is_refused() {
    let good = config(Path::new("/nowhere"));
    let with = |upstreams| Config { upstreams, ..good.clone() }.check();
    with(vec![upstream("default/a", 0), upstream("default/b", 0)]).unwrap();
    with(vec![upstream("default/a", 0), upstream("default/a", 1)]).unwrap_err();
    with(vec![upstream("default/a", 7), upstream("default/b", 7)]).unwrap_err();
    let labels = BTreeMap::from([("version".to_owned(), "v9".to_owned())]);
    Config { labels, ..good.clone() }.check().unwrap_err();
    let version = Some("v1".to_owned());
    let labels = Config { version, ..good }.all_labels();
    assert_eq!((&*labels["app"], &*labels["version"]), ("reviews", "v1"));
}

#[test]
fn a_name_is_the_lowest_that_is_free() {
    let home = tempfile::tempdir().unwrap();
    let v1 = Config { version: Some("v1".into()), ..config(home.path()) };
    let claim = || Place::claim(&v1).unwrap();
    let (first, second, third) = (claim(), claim(), claim());
    let names = [&first, &second, &third].map(|place| place.proxy.to_string());
    let expected = [0, 1, 2].map(|number| format!("default/reviews-v1-{number}"));
    assert_eq!(names, expected);
    drop(second);
    assert_eq!(claim().proxy.to_string(), "default/reviews-v1-1");
    let mode = std::fs::metadata(&first.directory).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o700);
    let given = Config { name: Some("reviews-v1-0".parse().unwrap()), ..v1.clone() };
    assert!(matches!(Place::claim(&given), Err(PlaceError::Taken(..))));
}

#[test]
fn a_lock_that_was_passed_on_is_held_by_whoever_has_it() {
    let home = tempfile::tempdir().unwrap();
    let config = config(home.path());
    assert!(running(&config).is_empty());
    let place = Place::claim(&config).unwrap();
    let proxy = place.proxy.clone();
    assert_eq!(running(&config), std::slice::from_ref(&proxy));
    let lock = place.share().unwrap();
    drop(place);
    assert_eq!(running(&config), std::slice::from_ref(&proxy), "one copy is enough");
    let inherited = Place::inherit(&config, proxy.clone(), lock);
    let named = Config { name: Some(proxy.name.clone()), ..config.clone() };
    assert!(matches!(Place::claim(&named), Err(PlaceError::Taken(..))));
    assert_eq!(running(&named), [proxy]);
    let version = Config { version: Some("v1".into()), ..config.clone() };
    assert!(running(&version).is_empty(), "it is of another version");
    drop(inherited);
    assert!(running(&config).is_empty());
}

#[test]
fn a_directory_that_others_may_read_is_refused() {
    let home = tempfile::tempdir().unwrap();
    let place = Place::claim(&config(home.path())).unwrap();
    let directory = place.directory.clone();
    drop(place);
    std::fs::set_permissions(&directory, std::fs::Permissions::from_mode(0o755)).unwrap();
    let error = Place::claim(&config(home.path())).unwrap_err();
    assert!(error.help().contains("chmod 700"), "{error}: {}", error.help());
}

#[test]
fn a_home_that_others_may_write_to_is_refused() {
    let home = tempfile::tempdir().unwrap();
    let open = |mode| {
        std::fs::set_permissions(home.path(), std::fs::Permissions::from_mode(mode)).unwrap();
    };
    open(0o777);
    let error = Place::claim(&config(home.path())).unwrap_err();
    assert!(matches!(&error, PlaceError::Mode { path, mode: 0o777 } if path == home.path()));
    assert!(!home.path().join("proxies").exists(), "nothing was made there");
    open(0o755);
    assert!(Place::claim(&config(home.path())).is_ok());
}

#[test]
fn ports_are_kept_and_used_while_they_are_free() {
    let home = tempfile::tempdir().unwrap();
    let place = Place::claim(&config(home.path())).unwrap();
    assert_eq!(place.ports(), Ports::default());
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let upstreams = BTreeMap::from([("default/ratings:80".to_owned(), 4)]);
    let ports = Ports { inbound: port, outbound: 2, admin: 3, upstreams };
    place.keep(&ports).unwrap();
    assert_eq!(place.ports(), ports);
    let any: SocketAddr = "127.0.0.1:0".parse().unwrap();
    assert_eq!(recall(any, port), any, "somebody else has it");
    drop(listener);
    assert_eq!(recall(any, port).port(), port);
    let said: SocketAddr = "127.0.0.1:9".parse().unwrap();
    assert_eq!(recall(said, port), said, "a port that is said is no choice");
}
