//! Who may speak to the admin server, and what it may bind.

use super::*;

#[test]
fn only_names_of_this_machine_are_hosts() {
    for host in
        ["127.0.0.1", "127.0.0.1:15000", "localhost:1", "LocalHost", "[::1]:80", "127.9.9.9"]
    {
        assert!(is_local_host(host), "{host}");
    }
    for host in [
        "",
        "evil.example",
        "localhost.evil.example",
        "127.0.0.1.evil.example",
        "10.0.0.1",
        "0.0.0.0",
        "[::]",
        "u@127.0.0.1",
        "127.0.0.1/x",
        "2130706433",
        "?",
    ] {
        assert!(!is_local_host(host), "{host}");
    }
}

#[test]
fn a_page_of_another_site_is_no_origin() {
    assert!(is_local_origin("http://localhost:3000"));
    for origin in ["http://evil.example", "null", "", "file://"] {
        assert!(!is_local_origin(origin), "{origin}");
    }
}

fn bind(address: &AdminAddress) -> io::Result<Admin> {
    Admin::bind(address, &mut Listeners::default())
}

#[tokio::test]
async fn a_socket_left_behind_is_replaced_and_a_live_one_is_not() {
    let directory = tempfile::tempdir().unwrap();
    let address = AdminAddress::Unix(directory.path().join("admin.sock"));
    let first = bind(&address).unwrap();
    assert_eq!(first.address().unwrap(), None);
    let AdminAddress::Unix(path) = &address else { panic!("it is a socket") };
    let mode = std::fs::metadata(path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let error = bind(&address).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
    drop(first);
    bind(&address).unwrap();
    std::fs::remove_file(path).unwrap();
    std::fs::write(path, "a file").unwrap();
    bind(&address).unwrap_err();
    assert_eq!(std::fs::read(path).unwrap(), b"a file");
}
