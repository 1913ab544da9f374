//! Network namespaces: machines of a test's own, with interfaces, addresses and loopback of their own.
//! Needs root; gone with the value.

use std::fs::File;
use std::io::Read as _;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsFd as _;
use std::process::{Child, Command, Stdio};

use meshctl::names::sidecar::SIDECAR_UID;
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space, set_thread_uid};

use super::{Conn, DEADLINE};

/// One namespace, kept by a process that waits for us to end.
pub(crate) struct Namespace {
    holder: Child,
    file: File,
}

/// Who acts in a namespace.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Who {
    /// The application, whose connections may be captured.
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

    /// Two on one wire, `eth0` in both, each with loopback and its address with the prefix's length.
    pub(crate) fn wired(ours: &str, theirs: &str) -> (Self, Self) {
        let (one, other) = (Self::new(), Self::new());
        let peer = other.pid();
        one.shell(&format!("ip link add eth0 type veth peer name eth0 netns {peer}"));
        for (namespace, address) in [(&one, ours), (&other, theirs)] {
            namespace.shell(&format!(
                "ip link set lo up
                ip addr add {address} dev eth0
                ip link set eth0 up"
            ));
        }
        (one, other)
    }

    /// The process that keeps it.
    pub(crate) fn pid(&self) -> u32 {
        self.holder.id()
    }

    /// A program that will run inside.
    pub(crate) fn command(&self, program: &str) -> Command {
        let mut command = Command::new("nsenter");
        command.args(["--net", "-t", &self.pid().to_string(), program]);
        command
    }

    /// Runs a shell script inside.
    #[track_caller]
    pub(crate) fn shell(&self, script: &str) {
        let output =
            self.command("sh").args(["-ec", script]).output().expect("util-linux is there");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{script}\n{said}");
    }

    /// Acts inside, on a thread of its own; the sockets made there stay there, and so do threads.
    pub(crate) fn act<T: Send>(&self, who: Who, act: impl FnOnce() -> T + Send) -> T {
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
    pub(crate) fn connect(&self, who: Who, address: &str) -> Conn {
        let address: SocketAddr = address.parse().expect("an address");
        let stream = self.act(who, || TcpStream::connect_timeout(&address, DEADLINE));
        let stream = stream.expect("somebody takes it");
        stream.set_nodelay(true).expect("a TCP socket");
        Conn::new(stream)
    }

    /// A listener inside.
    #[track_caller]
    pub(crate) fn listen(&self, address: &str) -> TcpListener {
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
