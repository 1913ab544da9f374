//! The report as people read it, and what counts as broken.

use super::*;

#[test]
fn failures_come_with_a_remedy_and_are_counted() {
    let checks = vec![
        Finding::passed("it runs"),
        Finding::warning("it is new", "it is old", "meshctl install"),
        Finding::failed("it answers", "it does not", "look into its log"),
    ];
    let groups = [Group { group: "control plane", checks }];
    let shown = anstream::adapter::strip_str(&text(&groups)).to_string();
    assert_eq!(
        shown,
        "control plane\n  ✔ it runs\n  ‼ it is new\n      it is old\n      remedy: meshctl install\n  \
         × it answers\n      it does not\n      remedy: look into its log\n\n1 failed, 1 warning\n"
    );
    assert_eq!(count(&groups, Verdict::Failed), 1);
}

#[test]
fn a_home_that_others_can_read_fails() {
    use std::os::unix::fs::PermissionsExt as _;
    let dir = tempfile::tempdir().expect("a directory");
    std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o755)).expect("mode");
    let found = before::checks(dir.path());
    let failed: Vec<_> = found.iter().filter(|it| it.result == Verdict::Failed).collect();
    assert_eq!(failed.len(), 1, "{found:?}");
    assert!(failed[0].remedy.starts_with("chmod 700 "), "{found:?}");
}

#[test]
fn an_application_beyond_loopback_is_found() {
    let sockets = || ["127.0.0.1:9381", "0.0.0.0:8080", "[::1]:9382"].into_iter();
    let beyond = |port| exposed::beyond(sockets().map(|it| it.parse().expect("one")), port);
    assert_eq!(beyond(8080), Some(([0, 0, 0, 0], 8080).into()));
    assert_eq!((beyond(9381), beyond(9382)), (None, None));
    let narrow = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    assert_eq!(exposed::beyond_loopback(narrow.local_addr().expect("an address")), None);
}

#[test]
fn a_root_that_ends_soon_is_worth_a_warning() {
    let now = Timestamp::from_second(1_000_000_000).expect("a time");
    for (days, wanted) in [(-1, Verdict::Failed), (89, Verdict::Warning), (90, Verdict::Passed)] {
        let ends = now + jiff::SignedDuration::from_hours(24 * days);
        assert_eq!(root(ends, now, "anew").result, wanted, "{days}");
    }
}

#[test]
fn another_version_is_not_an_uninstallation() {
    assert_eq!(control_plane::version(super::super::version::CLIENT).result, Verdict::Passed);
    assert_eq!(control_plane::version("0.0.1").remedy, "meshctl upgrade");
    let later = control_plane::version("99.0.0").remedy;
    assert_eq!(later, "use that version of meshctl, or a later one");
}
