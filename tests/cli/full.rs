//! A disk that is full, for the store, the proxies' directories and the log: a file system of 4 MiB in
//! a mount namespace of its own, gone with the test.

use std::io::Read as _;
use std::process::{Child, Command, Output, Stdio};

use super::installed::eventually;
use super::killed::Running;
use super::workload::{application, request};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4737";

/// The small file system, mounted where only what runs inside sees it.
struct Disk {
    holder: Child,
    dir: tempfile::TempDir,
}

impl Disk {
    fn new() -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        std::fs::create_dir(dir.path().join("disk")).expect("it is ours");
        let mount = format!(
            "mount -t tmpfs -o size=4m,mode=700 tmpfs {0}/disk && mkdir -m 700 {0}/disk/home && echo && exec cat",
            dir.path().display()
        );
        let mut command = Command::new("unshare");
        // Only root may mount; anybody is root in a user namespace.
        let user: &[&str] = if is_root() { &[] } else { &["--user", "--map-root-user"] };
        command.args(user).args(["--mount", "sh", "-c", &mount]);
        let mut holder = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("util-linux is there");
        let made = holder.stdout.as_mut().expect("piped").read(&mut [0]).expect("readable");
        assert_eq!(made, 1, "the file system was not mounted");
        Self { holder, dir }
    }

    /// A shell script inside; `$HOME` is the home directory of the mesh.
    fn shell(&self, script: &str) -> Command {
        let mut command = Command::new("nsenter");
        command.args(["-t", &self.holder.id().to_string(), "--mount"]);
        if !is_root() {
            command.args(["--user", "--preserve-credentials"]);
        }
        command.args(["sh", "-c", script]).env_clear().env("PATH", "/usr/bin:/bin:/usr/sbin:/sbin");
        command.env("MESHCTL_HOME", self.dir.path().join("disk/home"));
        command.env("DISK", self.dir.path().join("disk")).env("DIR", self.dir.path());
        command.env("MESHCTL", env!("CARGO_BIN_EXE_meshctl")).stdin(Stdio::null());
        command
    }

    fn run(&self, script: &str) -> Output {
        self.shell(script).output().expect("util-linux is there")
    }

    #[track_caller]
    fn done(&self, script: &str) -> String {
        let output = self.run(script);
        assert!(output.status.success(), "{script}: {output:?}");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// A process inside whose log is on the disk.
    fn start(&self, words: &str) -> Running {
        let script = format!("exec \"$MESHCTL\" {words} 2>>\"$DISK/log\" >/dev/null");
        Running(self.shell(&script).spawn().expect("util-linux is there"))
    }

    fn proxy(&self, service: &str, words: &str) -> (Running, serde_json::Value) {
        let running = self
            .start(&format!("proxy run --service {service} --ready-file $DIR/{service} {words}"));
        let file = self.dir.path().join(service);
        eventually("the proxy is ready", || file.exists());
        let text = std::fs::read(&file).expect("it is there");
        (running, serde_json::from_slice(&text).expect("JSON"))
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = self.holder.kill();
        let _ = self.holder.wait();
    }
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// A rule about `reviews`.
fn rule(weight: u32) -> String {
    format!(
        "apiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {{name: reviews}}\nspec:\n  \
         parentRefs: [{{group: \"\", kind: Service, name: reviews, port: 80}}]\n  rules:\n  \
         - backendRefs: [{{name: reviews, port: 80, weight: {weight}}}]\n"
    )
}

#[test]
fn a_full_disk_refuses_rules_and_stops_nothing_else() {
    let disk = Disk::new();
    let _control_plane = disk.start("control-plane run");
    eventually("the control plane serves", || disk.run("\"$MESHCTL\" status").status.success());
    let app = application();
    let (_reviews, _) = disk.proxy("reviews", &format!("--app {app}"));
    let (_other, _) = disk.proxy("other", &format!("--app {app}"));
    let (_web, web) = disk.proxy("web", "");
    let outbound = web["outbound"].as_str().expect("a text").parse().expect("an address");
    std::fs::write(disk.dir.path().join("one"), rule(1)).expect("ours");
    std::fs::write(disk.dir.path().join("two"), rule(2)).expect("ours");
    disk.done("\"$MESHCTL\" apply -f $DIR/one --wait");
    assert_eq!(request(outbound, "reviews", TRACE), "HTTP/1.1 200 OK");

    disk.run("dd if=/dev/zero of=$DISK/fill bs=4096; dd if=/dev/zero of=$DISK/fill2 bs=1");
    let refused = disk.run("\"$MESHCTL\" apply -f $DIR/two");
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert_eq!(refused.status.code(), Some(1), "{said}");
    assert!(said.contains("no space is left for the store"), "{said}");
    assert!(said.contains("help: make room on that file system"), "{said}");
    let weight = || disk.done("\"$MESHCTL\" get httproute reviews -o yaml | grep weight:");
    assert!(weight().contains("weight: 1"), "the rules are as they were");
    for _ in 0..50 {
        assert_eq!(request(outbound, "reviews", TRACE), "HTTP/1.1 200 OK");
    }
    // What is new to the proxy comes over its stream, and certificates are renewed.
    assert_eq!(request(outbound, "other", TRACE), "HTTP/1.1 200 OK");
    disk.done("\"$MESHCTL\" certs rotate");
    assert_eq!(request(outbound, "other", TRACE), "HTTP/1.1 200 OK");
    let failed = disk.run("\"$MESHCTL\" backup $DIR/b --passphrase-file $DIR/two");
    assert_eq!(failed.status.code(), Some(1), "{failed:?}");

    disk.done("rm $DISK/fill $DISK/fill2");
    disk.done("\"$MESHCTL\" apply -f $DIR/two --wait");
    assert!(weight().contains("weight: 2"), "nothing had to be started again");
    let unchanged = disk.done("\"$MESHCTL\" status -o json");
    assert!(!unchanged.contains("Disconnected"), "{unchanged}");
}
