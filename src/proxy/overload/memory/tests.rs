//! Control groups are made of files, so a directory stands for them.

use std::path::Path;

use super::{Gauge, groups, share};

fn write(directory: &Path, files: &[(&str, &str)]) {
    std::fs::create_dir_all(directory).expect("a directory");
    for (name, content) in files {
        std::fs::write(directory.join(name), content).expect("a file");
    }
}

fn fill(mount: &Path, membership: &str) -> Option<u32> {
    Gauge { groups: groups(mount, membership), own: None }.fill(0).map(|fill| fill.used)
}

#[test]
fn the_fullest_of_a_group_and_those_above_it_counts() {
    let mount = tempfile::tempdir().expect("a directory");
    let (above, own) = (mount.path().join("pods"), mount.path().join("pods/web"));
    write(mount.path(), &[("memory.stat", "")]);
    write(&above, &[("memory.max", "1000\n"), ("memory.current", "500\n")]);
    write(&own, &[("memory.max", "max\n"), ("memory.current", "400\n")]);
    assert_eq!(fill(mount.path(), "0::/pods/web\n"), Some(500));
    // Files that nobody used lately are given up by the kernel before anything else.
    write(&own, &[("memory.max", "500\n"), ("memory.stat", "anon 1\ninactive_file 100\n")]);
    assert_eq!(fill(mount.path(), "0::/pods/web\n"), Some(600));
    write(&above, &[("memory.current", "990\n")]);
    assert_eq!(fill(mount.path(), "0::/pods/web\n"), Some(990));
}

#[test]
fn version_1_is_read_where_it_is_mounted() {
    let mount = tempfile::tempdir().expect("a directory");
    let membership = "5:cpu,cpuacct:/x\n4:memory:/docker/of-the-host\n1:name=systemd:/x\n";
    let files = [
        ("memory.limit_in_bytes", "2000\n"),
        ("memory.usage_in_bytes", "1900\n"),
        ("memory.stat", "inactive_file 7\ntotal_inactive_file 100\n"),
    ];
    write(&mount.path().join("memory"), &files);
    assert_eq!(fill(mount.path(), membership), Some(900));
    write(&mount.path().join("memory"), &[("memory.limit_in_bytes", "9223372036854771712\n")]);
    assert_eq!(fill(mount.path(), membership), None);
}

#[test]
fn without_a_limit_nothing_is_measured() {
    let mount = tempfile::tempdir().expect("a directory");
    assert!(groups(mount.path(), "0::/\n").is_empty());
    assert!(groups(mount.path(), "nonsense\n:\n").is_empty());
    assert_eq!(Gauge::default().fill(0), None);
    assert!(!Gauge::default().is_limited());
}

#[test]
fn a_limit_of_its_own_is_held_against_what_is_resident() {
    let gauge = |own| Gauge { groups: Vec::new(), own: Some(own) };
    assert!(gauge(1).fill(0).expect("read").used > 1_000);
    assert!(gauge(u64::MAX / 2).fill(0).expect("read").used < 100);
    assert_eq!(share(1, 0), 1_000);
}
