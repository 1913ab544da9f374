//! What is said about a control plane that is not this user's.

use std::os::unix::fs::{MetadataExt as _, chown};
use std::os::unix::net::UnixListener;

use super::{Client, Fault};

#[test]
fn a_control_plane_of_another_user_that_closes_the_door_is_told_apart() {
    let home = tempfile::tempdir().expect("a directory");
    let socket = home.path().join("admin.sock");
    let listener = UnixListener::bind(&socket).expect("a socket");
    let door = std::thread::spawn(move || (0..2).for_each(|_| drop(listener.accept())));
    let client = Client::new(home.path()).expect("a client");
    let asked = || client.ask::<serde_json::Value>("/v1/version", &[]);
    assert!(matches!(asked(), Err(Fault::Other(_))), "our own only broke off");
    // Only root can have another user's files.
    let is_root = chown(&socket, Some(65_534), None).is_ok();
    let owner = std::fs::metadata(&socket).expect("it is there").uid();
    let fault = asked().expect_err("nobody answers");
    assert_eq!(matches!(fault, Fault::Forbidden), is_root, "{fault:?}, of user {owner}");
    door.join().expect("both were let in");
    let said = format!("{:?}", client.failure(Fault::NotRunning));
    assert_eq!(said.contains("which belongs to user 65534"), is_root, "{said}");
}
