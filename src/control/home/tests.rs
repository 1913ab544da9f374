//! What a home directory refuses, and that its lock is exclusive.

use std::os::unix::fs::PermissionsExt;

use super::*;

fn temporary() -> (tempfile::TempDir, Home) {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let home = Home::new(dir.path().join("home"));
    (dir, home)
}

#[test]
fn is_created_for_its_owner_alone() {
    let (_dir, home) = temporary();
    home.prepare().expect("prepared");
    for dir in [home.dir().to_owned(), home.ca(), home.proxies()] {
        let mode = std::fs::metadata(&dir).expect("there").permissions().mode() & 0o777;
        assert_eq!(mode, 0o700, "{}", dir.display());
    }
    home.prepare().expect("twice changes nothing");
}

#[test]
fn refuses_a_directory_open_to_others_and_prints_the_fix() {
    let (_dir, home) = temporary();
    home.prepare().expect("prepared");
    let open = std::fs::Permissions::from_mode(0o777);
    std::fs::set_permissions(home.dir(), open).expect("changed");
    let error = home.prepare().expect_err("refused");
    assert!(error.help().starts_with("run `chmod 700 /"), "{}", error.help());
    assert!(error.to_string().contains("0777"), "{error}");
}

#[test]
fn a_second_holder_is_told_who_has_the_lock() {
    let (_dir, home) = temporary();
    home.prepare().expect("prepared");
    let lock = home.lock().expect("free");
    let text = home.lock().expect_err("held").to_string();
    assert!(text.contains(&format!("pid {}", std::process::id())), "{text}");
    drop(lock);
    home.lock().expect("free again");
}

#[test]
fn a_path_too_long_for_a_socket_is_refused_by_name() {
    let (dir, _) = temporary();
    let home = Home::new(dir.path().join("x".repeat(100)));
    let error = home.prepare().expect_err("refused");
    assert!(matches!(error, HomeError::SocketPath { length, .. } if length > 107), "{error}");
    assert!(!home.dir().exists(), "nothing was created");
}

#[test]
fn says_that_it_runs_and_takes_it_back() {
    let (_dir, home) = temporary();
    home.prepare().expect("prepared");
    assert_eq!(home.read_running(), None);
    let running = Running {
        pid: 1,
        address: "127.0.0.1:1".to_owned(),
        admin_socket: home.admin_socket(),
        join_socket: home.join_socket(),
        version: "0".to_owned(),
    };
    home.write_running(&running).expect("written");
    assert_eq!(home.read_running(), Some(running));
    home.clear_running();
    assert_eq!(home.read_running(), None);
}

#[test]
fn a_purge_takes_what_a_mesh_has_made_and_nothing_else() {
    let (_dir, home) = temporary();
    home.prepare().expect("made");
    assert!(!home.is_lived_in(), "an empty `ca` and `proxies` are anybody's");
    let write = |path: &str| {
        let path = home.dir().join(path);
        std::fs::create_dir_all(path.parent().expect("below")).expect("made");
        std::fs::write(path, "").expect("written");
    };
    let own = [
        "ca/root.pem",
        "ca/root.key",
        "ca/.write-a.tmp",
        "store.db",
        "store.db-wal",
        "store.prev.db",
        "store.v3.db",
        "store.mark",
        "before-upgrade.meshctl",
        "before-restore/ca/root.key",
        "control-plane.log.1",
        "lock",
        "proxies/default/web-0/lock",
        "proxies/default/web-0/key.pem",
    ];
    own.iter().for_each(|path| write(path));
    assert!(home.is_lived_in());
    // An authority, proxies and a shop of somebody who lives here.
    // And the record of a mesh on a cluster, as that of this one is gone by then.
    let others = [
        "ca/openssl.cnf",
        "installation.json",
        "proxies/squid/etc/squid.conf",
        "store/till",
        "thesis.tex",
    ];
    others.iter().for_each(|path| write(path));
    let left = ["ca", "installation.json", "proxies", "store", "thesis.tex"];
    assert_eq!(home.purge().expect("purged"), left);
    assert!(own.iter().all(|path| !home.dir().join(path).exists()));
    assert!(others.iter().all(|path| home.dir().join(path).exists()));
    assert!(!home.dir().join("proxies/default").exists());

    for path in left {
        let path = home.dir().join(path);
        if path.is_dir() { std::fs::remove_dir_all(path) } else { std::fs::remove_file(path) }
            .expect("removed");
    }
    own.iter().for_each(|path| write(path));
    assert_eq!(home.purge().expect("purged"), [""; 0]);
    assert!(!home.dir().exists());
    assert_eq!(home.purge().expect("nothing there"), [""; 0]);
}
