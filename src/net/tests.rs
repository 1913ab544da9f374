//! What the network parts promise.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, TcpStream};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::time::Duration;

use proptest::prelude::*;

use super::accept::{AcceptFailure, Acceptor, classify};
use super::backoff::Backoff;
use super::causes;
use super::file::{PrivateFileError, read_private, write_atomic};
use super::listen::bind;

proptest! {
    #[test]
    fn waits_stay_below_their_ceiling(randoms in prop::collection::vec(any::<u64>(), 1..60)) {
        let (first, longest) = (Duration::from_millis(100), Duration::from_secs(5));
        let mut backoff = Backoff::new(first, longest);
        let mut ceiling = first;
        for random in randoms {
            prop_assert!(backoff.fail(random) <= ceiling);
            ceiling = (ceiling * 2).min(longest);
        }
    }
}

#[test]
fn the_jitter_is_full_and_success_starts_again() {
    let mut backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(8));
    assert_eq!(backoff.fail(0), Duration::ZERO);
    assert!(backoff.fail(u64::MAX) > Duration::from_millis(1_999));
    assert_eq!(backoff.failures(), 2);
    backoff.succeed();
    assert!(backoff.fail(u64::MAX) <= Duration::from_secs(1));
}

/// What the system's `net.ipv6.bindv6only` says does not count.
#[test]
fn all_addresses_are_those_of_both_families() {
    let listener = bind((Ipv6Addr::UNSPECIFIED, 0).into()).unwrap();
    let port = listener.local_addr().unwrap().port();
    TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap();
}

#[test]
fn accept_errors_are_told_apart() {
    let of = |errno: rustix::io::Errno| classify(&io::Error::from(errno));
    assert_eq!(of(rustix::io::Errno::MFILE), AcceptFailure::Exhausted);
    assert_eq!(of(rustix::io::Errno::CONNABORTED), AcceptFailure::Connection);
    assert_eq!(of(rustix::io::Errno::BADF), AcceptFailure::Listener);
}

#[tokio::test]
async fn an_acceptor_hands_over_connections() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let mut acceptor = Acceptor::new(listener);
    let address = acceptor.local_addr().expect("bound");
    let client = tokio::net::TcpStream::connect(address).await.expect("connects");
    let (_, peer) = acceptor.accept().await.expect("accepts");
    assert_eq!(peer, client.local_addr().expect("connected"));
    assert_eq!(acceptor.exhausted(), 0);
}

/// Set for the process that is made to run out of descriptors.
const CHILD: &str = "MESHCTL_TEST_EXHAUSTED_ACCEPTOR";

/// The limit is the process's, so the test runs itself once more in one of its own.
#[test]
fn an_acceptor_outlives_exhausted_descriptors() {
    if std::env::var_os(CHILD).is_some() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.expect("a runtime").block_on(exhaust());
        return;
    }
    let child = std::process::Command::new(std::env::current_exe().expect("this test"))
        .args(["--exact", "net::tests::an_acceptor_outlives_exhausted_descriptors", "--nocapture"])
        .env(CHILD, "1")
        .output()
        .expect("starts");
    let said = String::from_utf8_lossy(&child.stdout);
    assert!(child.status.success() && said.contains("1 passed"), "{said}");
}

async fn exhaust() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let mut acceptor = Acceptor::new(listener);
    let address = acceptor.local_addr().expect("bound");
    let maximum = getrlimit(Resource::Nofile).maximum;
    setrlimit(Resource::Nofile, Rlimit { current: Some(64), maximum }).expect("lower is allowed");
    let mut held = Vec::new();
    while let Ok(file) = std::fs::File::open("/dev/null") {
        held.push(file);
    }
    // The one that is left goes to the client.
    held.pop();
    let _client = tokio::net::TcpStream::connect(address).await.expect("the backlog has room");
    let short = tokio::time::timeout(Duration::from_millis(600), acceptor.accept()).await;
    assert!(short.is_err(), "nothing is left to accept with");
    let tries = acceptor.exhausted();
    // Pauses of 10 to 250 ms: it neither gives up nor spins.
    assert!((1..=60).contains(&tries), "{tries}");
    held.clear();
    let accepted = tokio::time::timeout(Duration::from_secs(10), acceptor.accept()).await;
    accepted.expect("in time").expect("there is room again");
}

#[test]
fn descriptors_are_never_lowered() {
    let raised = super::descriptors::raise();
    assert!(raised.now >= raised.before);
    assert_eq!(super::descriptors::raise().before, raised.now);
}

#[test]
fn a_written_file_has_its_mode_and_leaves_nothing_beside_it() {
    let home = tempfile::tempdir().expect("a directory");
    let path = home.path().join("root.key");
    for content in [&b"first"[..], b"second"] {
        write_atomic(&path, content, 0o600).expect("writes");
        assert_eq!(read_private(&path, 64).expect("reads"), content);
    }
    write_atomic(&home.path().join("root.pem"), b"x", 0o644).expect("writes");
    let mut modes: Vec<_> = std::fs::read_dir(home.path())
        .expect("lists")
        .map(|entry| entry.expect("an entry").metadata().expect("its metadata"))
        .map(|metadata| metadata.permissions().mode() & 0o777)
        .collect();
    modes.sort_unstable();
    assert_eq!(modes, [0o600, 0o644]);
}

#[test]
fn a_failed_write_keeps_the_old_content() {
    let home = tempfile::tempdir().expect("a directory");
    let path = home.path().join("there").join("file");
    assert!(write_atomic(&path, b"x", 0o600).is_err());
    let directory = home.path().join("directory");
    std::fs::create_dir(&directory).expect("creates");
    assert!(write_atomic(&directory, b"x", 0o600).is_err());
    assert_eq!(std::fs::read_dir(home.path()).expect("lists").count(), 1);
}

#[test]
fn a_private_file_must_be_private() {
    let home = tempfile::tempdir().expect("a directory");
    let (path, link) = (home.path().join("key"), home.path().join("link"));
    assert!(matches!(read_private(&path, 9), Err(PrivateFileError::Missing(_))));
    write_atomic(&path, b"secret", 0o644).expect("writes");
    let refused = read_private(&path, 9).expect_err("others may read it").to_string();
    assert!(refused.contains("0644") && refused.contains("chmod 600"), "{refused}");
    write_atomic(&path, b"secret", 0o600).expect("writes");
    assert!(matches!(read_private(&path, 5), Err(PrivateFileError::TooLong { .. })));
    assert_eq!(read_private(&path, 6).expect("reads"), b"secret");
    symlink(&path, &link).expect("links");
    assert!(matches!(read_private(&link, 9), Err(PrivateFileError::Link(_))));
    assert!(matches!(read_private(home.path(), 9), Err(PrivateFileError::NotAFile(_))));
}

#[test]
fn an_error_is_told_with_its_causes_and_nothing_twice() {
    #[derive(Debug, thiserror::Error)]
    #[error("{text}")]
    struct Level {
        text: &'static str,
        #[source]
        cause: Option<Box<Level>>,
    }
    let of = |text, cause: Option<Level>| Level { text, cause: cause.map(Box::new) };
    let refused = of("connection refused", None);
    let sending = of("cannot send: connection refused", Some(refused));
    let error = of("no answer", Some(sending));
    assert_eq!(causes::chain(&error), "no answer: cannot send: connection refused");
}
