//! The last good file: round trip, every kind of damage, strangers, and when it is written.

use std::os::unix::fs::PermissionsExt;

use super::*;
use crate::resource::{Mesh, OutboundMode};

fn proxy() -> ProxyId {
    "default/web-0".parse().unwrap()
}

fn identity(trust_domain: &str) -> Identity {
    format!("spiffe://{trust_domain}/ns/default/sa/web").parse().unwrap()
}

fn mesh(sampling_ppm: u32) -> Resource {
    Resource::Mesh(Mesh {
        trust_domain: "cluster.local".parse().unwrap(),
        roots: vec![vec![1, 2, 3]],
        outbound: OutboundMode::AllowAny,
        sampling_ppm,
    })
}

fn keeper(directory: &Path, now: Instant) -> Keeper {
    Keeper::new(directory, proxy(), identity("cluster.local"), Accepted::default(), now)
}

/// A directory with a file that was saved there.
fn saved() -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    let now = Instant::now();
    let mut keeper = keeper(directory.path(), now);
    keeper.accepted(codec::encode(&mesh(7)));
    keeper.moved("127.0.0.1:1");
    let names = Names {
        services: vec!["default/reviews".parse().unwrap(), "com/example".parse().unwrap()],
        not_services: vec!["com/example".parse().unwrap()],
        outside: vec!["192.0.2.1:80".parse().unwrap(), "[2001:db8::1]:443".parse().unwrap()],
        outside_hosts: vec!["192.0.2.1".parse().unwrap(), "2001:db8::1".parse().unwrap()],
    };
    keeper.due(names, now).expect("it changed").run().unwrap();
    directory
}

fn load_from(directory: &Path) -> Result<Option<LastGood>, LastGoodError> {
    load(directory, &proxy(), &identity("cluster.local"))
}

#[test]
fn what_was_saved_is_what_is_loaded() {
    let directory = saved();
    let loaded = load_from(directory.path()).unwrap().unwrap();
    assert_eq!(loaded.control_plane, "127.0.0.1:1");
    let [reviews, outside] = ["default/reviews", "com/example"].map(|name| name.parse().unwrap());
    assert_eq!(loaded.services, [reviews, outside]);
    assert_eq!(loaded.not_services, ["com/example".parse().unwrap()]);
    let addresses = ["192.0.2.1:80", "[2001:db8::1]:443"].map(|it| it.parse().unwrap());
    assert_eq!(loaded.outside, addresses);
    let hosts: [IpAddr; 2] = ["192.0.2.1", "2001:db8::1"].map(|it| it.parse().unwrap());
    assert_eq!(loaded.outside_hosts, hosts);
    let encoded = codec::encode(&mesh(7));
    assert_eq!(loaded.resources, [(mesh(7), encoded)]);
}

#[test]
fn without_a_file_there_is_nothing_and_no_error() {
    let directory = tempfile::tempdir().unwrap();
    assert!(load_from(directory.path()).unwrap().is_none());
}

#[test]
fn every_bit_and_every_length_counts() {
    let directory = saved();
    let path = directory.path().join(FILE);
    let good = std::fs::read(&path).unwrap();
    let refused = |content: &[u8], what: &str| {
        std::fs::write(&path, content).unwrap();
        assert!(load_from(directory.path()).is_err(), "{what}");
    };
    for position in 0..good.len() {
        let mut bad = good.clone();
        bad[position] ^= 1 << (position % 8);
        refused(&bad, &format!("a bit of byte {position} was turned"));
    }
    for length in 0..good.len() {
        refused(&good[..length], &format!("cut to {length} bytes"));
    }
    refused(&[&*good, b"x"].concat(), "a byte too many");
    std::fs::write(&path, good).unwrap();
    load_from(directory.path()).unwrap();
}

#[test]
fn another_proxy_identity_or_trust_domain_is_refused() {
    let directory = saved();
    let other = "default/web-1".parse().unwrap();
    for (proxy, identity) in [
        (other, identity("cluster.local")),
        (proxy(), identity("other.mesh")),
        (proxy(), "spiffe://cluster.local/ns/default/sa/admin".parse().unwrap()),
    ] {
        let error = load(directory.path(), &proxy, &identity).unwrap_err();
        assert!(matches!(error, LastGoodError::Foreign { .. }), "{error}");
    }
}

#[test]
fn a_file_that_others_may_write_is_refused() {
    let directory = saved();
    let path = directory.path().join(FILE);
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o666)).unwrap();
    let error = load_from(directory.path()).unwrap_err();
    assert!(matches!(error, LastGoodError::File(_)), "{error}");
}

#[test]
fn it_is_written_when_it_changed_at_most_every_second_and_one_at_a_time() {
    let directory = tempfile::tempdir().unwrap();
    let start = Instant::now();
    let mut keeper = keeper(directory.path(), start);
    let due = |keeper: &mut Keeper, millis| {
        keeper.due(Names::default(), start + Duration::from_millis(millis)).is_some()
    };
    assert!(!due(&mut keeper, 0), "nothing has changed");
    keeper.accepted(codec::encode(&mesh(1)));
    assert!(due(&mut keeper, 0));
    keeper.accepted(codec::encode(&mesh(2)));
    assert!(!due(&mut keeper, 2_000), "a write is under way");
    keeper.written(&Ok(()));
    assert!(due(&mut keeper, 2_000));
    keeper.written(&Err(std::io::ErrorKind::StorageFull.into()));
    assert!(!due(&mut keeper, 2_500));
    assert!(due(&mut keeper, 3_000), "what failed is tried again");
    keeper.written(&Ok(()));
    keeper.accepted(codec::encode(&mesh(2)));
    assert!(!due(&mut keeper, 9_000), "the same version is no change");
}
