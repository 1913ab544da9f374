//! Network namespaces as pods have them: two machines on one wire, each with addresses of both
//! families, and the kernel's rules that redirect their connections. Needs root; gone with the value.

use std::fs::File;
use std::io::Read as _;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsFd as _;
use std::process::{Child, Command, Stdio};

use meshctl::names::sidecar::SIDECAR_UID;
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space, set_thread_uid};

use crate::support::{Conn, DEADLINE};

/// A port outside of the mesh.
pub(super) const OUTSIDE: u16 = 9000;

/// Another one, of a server that speaks first.
pub(super) const OUTSIDE_MAIL: u16 = 9025;

/// One namespace, kept by a process that waits for us to end.
pub(super) struct Namespace {
    holder: Child,
    file: File,
}

/// Who acts in a namespace.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Who {
    /// The application, whose connections are captured.
    Application,
    /// The sidecar's user, whose connections are not.
    Sidecar,
}

impl Namespace {
    fn new() -> Self {
        let mut holder = Command::new("unshare")
            .args(["--net", "sh", "-c", "echo; exec cat"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("util-linux is there");
        // The first byte says that the namespace is made.
        let made = holder.stdout.as_mut().expect("piped").read(&mut [0]);
        assert_eq!(made.expect("readable"), 1, "no namespace: these tests run as root");
        let file = File::open(format!("/proc/{}/ns/net", holder.id())).expect("it lives");
        Self { holder, file }
    }

    /// Runs a shell script inside.
    #[track_caller]
    pub(super) fn shell(&self, script: &str) {
        let mut command = Command::new("nsenter");
        command.args(["--net", "-t", &self.holder.id().to_string(), "sh", "-ec", script]);
        let output = command.output().expect("util-linux is there");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{script}\n{said}");
    }

    /// Acts inside, on a thread of its own; the sockets made there stay there, and so do threads.
    pub(super) fn act<T: Send>(&self, who: Who, act: impl FnOnce() -> T + Send) -> T {
        let run = || {
            let network = Some(LinkNameSpaceType::Network);
            move_into_link_name_space(self.file.as_fd(), network).expect("as root");
            if who == Who::Sidecar {
                set_thread_uid(rustix::process::Uid::from_raw(SIDECAR_UID)).expect("as root");
            }
            act()
        };
        std::thread::scope(|scope| scope.spawn(run).join()).expect("no panic inside")
    }

    /// A connection of the application, or one that nothing captures.
    #[track_caller]
    pub(super) fn connect(&self, who: Who, address: &str) -> Conn {
        let address: SocketAddr = address.parse().expect("an address");
        let stream = self.act(who, || TcpStream::connect_timeout(&address, DEADLINE));
        let stream = stream.expect("somebody takes it");
        stream.set_nodelay(true).expect("a TCP socket");
        Conn::new(stream)
    }

    /// A listener inside.
    #[track_caller]
    pub(super) fn listen(&self, address: &str) -> TcpListener {
        let address: SocketAddr = address.parse().expect("an address");
        self.act(Who::Application, || TcpListener::bind(address)).expect("it is free")
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.holder.kill();
        let _ = self.holder.wait();
    }
}

/// Two pods on one wire: `10.77.0.1` with `fd77::1`, and `10.77.0.2` with `fd77::2`. On the
/// second machine connections to two ports are not captured: the world outside.
pub(super) fn wired() -> (Namespace, Namespace) {
    let (one, other) = (Namespace::new(), Namespace::new());
    let peer = other.holder.id();
    one.shell(&format!("ip link add eth0 type veth peer name eth0 netns {peer}"));
    for (namespace, last) in [(&one, 1), (&other, 2)] {
        namespace.shell(&format!(
            "ip link set lo up
            ip addr add 10.77.0.{last}/24 dev eth0
            ip -6 addr add fd77::{last}/64 dev eth0 nodad
            ip link set eth0 up
            ip route add default dev eth0
            ip -6 route add default dev eth0
            {} proxy capture --exclude-inbound-ports {OUTSIDE},{OUTSIDE_MAIL}",
            env!("CARGO_BIN_EXE_meshctl"),
        ));
    }
    (one, other)
}
