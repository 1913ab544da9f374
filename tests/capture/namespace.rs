//! A pod and what is outside of it: two network namespaces joined by a pair of interfaces. They
//! live as long as a process of the test's own that waits in each, and that ends with the test.

use std::io::{BufRead as _, BufReader};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsFd as _;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::time::Duration;

use rustix::thread::{LinkNameSpaceType, Uid, move_into_link_name_space, set_thread_uid};
use socket2::SockRef;

/// Longer than any connection within a machine takes.
const SOON: Duration = Duration::from_secs(10);

/// A network namespace.
#[derive(Debug)]
pub(super) struct Namespace {
    name: &'static str,
    holder: Child,
    _until_closed: ChildStdin,
}

impl Namespace {
    fn new(name: &'static str) -> Self {
        let script = "ip link set lo up && echo there && exec cat";
        let mut holder = Command::new("unshare")
            .args(["--net", "sh", "-c", script])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("`unshare` runs");
        let mut line = String::new();
        let stdout = holder.stdout.take().expect("piped");
        BufReader::new(stdout).read_line(&mut line).expect("readable");
        assert_eq!(line, "there\n", "a network namespace cannot be made; is this root?");
        let stdin = holder.stdin.take().expect("piped");
        Self { name, holder, _until_closed: stdin }
    }

    pub(super) fn pid(&self) -> u32 {
        self.holder.id()
    }

    /// A program that will run inside.
    pub(super) fn command(&self, program: &str) -> Command {
        let mut command = Command::new("nsenter");
        command.args(["--net", "--target", &self.pid().to_string(), program]);
        command
    }

    fn run(&self, line: &str) {
        let mut words = line.split(' ');
        let mut command = self.command(words.next().expect("a program"));
        assert!(command.args(words).status().expect("`nsenter` runs").success(), "{line}");
    }

    /// Runs this inside, on a thread of its own, as this user.
    pub(super) fn enter<T: Send + 'static>(
        &self,
        user: u32,
        inside: impl FnOnce() -> T + Send + 'static,
    ) -> T {
        let space = std::fs::File::open(format!("/proc/{}/ns/net", self.pid())).expect("there");
        let thread = std::thread::spawn(move || {
            move_into_link_name_space(space.as_fd(), Some(LinkNameSpaceType::Network))
                .expect("entered");
            if user != 0 {
                set_thread_uid(Uid::from_raw(user)).expect("root may be anybody");
            }
            inside()
        });
        thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }

    /// Listens on a port of all addresses inside, IPv4 and IPv6, and tells of what arrives.
    pub(super) fn listen(&self, port: u16) -> Listener {
        let (sender, arrivals) = mpsc::channel();
        let sockets = self.enter(0, move || {
            let bind = |all: &str| TcpListener::bind(SocketAddr::new(ip(all), port));
            let v6 = socket2::Socket::new(socket2::Domain::IPV6, socket2::Type::STREAM, None);
            let v6 = v6.expect("a socket");
            v6.set_only_v6(true).expect("set");
            v6.bind(&SocketAddr::new(ip("::"), port).into()).expect("a free port");
            v6.listen(8).expect("listens");
            [bind("0.0.0.0").expect("a free port"), v6.into()]
        });
        for socket in sockets {
            let (sender, name) = (sender.clone(), self.name);
            std::thread::spawn(move || {
                for stream in socket.incoming().map_while(Result::ok) {
                    let arrival = Arrival { namespace: name, port, meant: original(&stream) };
                    if sender.send((stream, arrival)).is_err() {
                        return;
                    }
                }
            });
        }
        Listener { arrivals }
    }

    /// Connects from inside as this user; where it arrives.
    #[track_caller]
    pub(super) fn connect(&self, at: &[Listener], user: u32, to: SocketAddr) -> Arrival {
        let stream = self.enter(user, move || TcpStream::connect_timeout(&to, SOON));
        let stream = stream.unwrap_or_else(|error| panic!("{to} from {}: {error}", self.name));
        let from = stream.local_addr().expect("an address");
        let began = std::time::Instant::now();
        loop {
            for listener in at {
                while let Ok((seen, arrival)) = listener.arrivals.try_recv() {
                    if seen.peer_addr().is_ok_and(|peer| peer.port() == from.port()) {
                        return arrival;
                    }
                }
            }
            assert!(began.elapsed() < SOON, "nobody took {to}");
            std::thread::yield_now();
        }
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        let _ = self.holder.kill();
        let _ = self.holder.wait();
    }
}

fn ip(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

/// Where the connection was meant to go, as a proxy asks the kernel.
fn original(stream: &TcpStream) -> SocketAddr {
    let local = stream.local_addr().expect("an address");
    let socket = SockRef::from(stream);
    let original =
        if local.is_ipv4() { socket.original_dst_v4() } else { socket.original_dst_v6() };
    original.ok().and_then(|address| address.as_socket()).unwrap_or(local)
}

/// A port that is listened on.
#[derive(Debug)]
pub(super) struct Listener {
    arrivals: Receiver<(TcpStream, Arrival)>,
}

/// A connection as its receiver sees it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Arrival {
    namespace: &'static str,
    port: u16,
    meant: SocketAddr,
}

impl Arrival {
    /// On this port of this namespace, meant for that address.
    pub(super) fn at(namespace: &Namespace, port: u16, address: IpAddr, meant: u16) -> Self {
        Self { namespace: namespace.name, port, meant: SocketAddr::new(address, meant) }
    }
}

/// A pod and what is outside of it.
pub(super) struct Link {
    pub(super) pod: Namespace,
    pub(super) outside: Namespace,
    /// More addresses of the outside, to be left out.
    pub(super) spared: [IpAddr; 2],
}

impl Link {
    pub(super) fn new() -> Self {
        let (pod, outside) = (Namespace::new("pod"), Namespace::new("outside"));
        let peer = outside.pid();
        pod.run(&format!("ip link add eth0 type veth peer name eth0 netns {peer}"));
        for (namespace, addresses) in [
            (&pod, &["192.0.2.2/24", "2001:db8::2/64"][..]),
            (&outside, &["192.0.2.1/24", "2001:db8::1/64", "198.51.100.1/32", "2001:db8:1::1/128"]),
        ] {
            for address in addresses {
                let at_once = if address.contains(':') { " nodad" } else { "" };
                namespace.run(&format!("ip address add {address} dev eth0{at_once}"));
            }
            namespace.run("ip link set eth0 up");
        }
        pod.run("ip route add default via 192.0.2.1");
        pod.run("ip -6 route add default via 2001:db8::1");
        Self { pod, outside, spared: [ip("198.51.100.1"), ip("2001:db8:1::1")] }
    }

    /// For IPv4 and IPv6: outside, the pod, what is left out, loopback.
    pub(super) fn addresses(&self) -> [(IpAddr, IpAddr, IpAddr, IpAddr); 2] {
        let [v4, v6] = self.spared;
        [
            (ip("192.0.2.1"), ip("192.0.2.2"), v4, ip("127.0.0.1")),
            (ip("2001:db8::1"), ip("2001:db8::2"), v6, ip("::1")),
        ]
    }
}
