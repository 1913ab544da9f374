//! The long versions with their marks, which `.ci/soak` runs.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use super::{DESCRIPTORS, OK, command, crowd, get, is_hit, with_descriptors};
use crate::cli::installed::{Mesh, eventually};
use crate::cli::workload::{Proxy, TRACE, application, request};

/// How long an attack goes on.
const ATTACK: Duration = Duration::from_secs(60);

/// What a process may use of memory in its control group.
const MEMORY: u64 = 128 << 20;

/// Connections of clients that read nothing.
const STALLED: usize = 3_000;

/// CPU time of a process so far, from the scheduler.
fn cpu(pid: u32) -> Duration {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).expect("it runs");
    let of = |entry: std::io::Result<fs::DirEntry>| {
        let text = fs::read_to_string(entry.ok()?.path().join("schedstat")).ok()?;
        text.split(' ').next()?.parse::<u64>().ok()
    };
    Duration::from_nanos(tasks.filter_map(of).sum())
}

#[test]
#[ignore = "takes ten seconds of a quiet machine"]
#[expect(clippy::print_stderr, reason = "figures are what these tests are for")]
fn without_descriptors_a_proxy_does_not_spin() {
    let mesh = Mesh::install();
    let app = application().to_string();
    let few = with_descriptors(&mesh.home(), DESCRIPTORS);
    let reviews = Proxy::begin(few, &mesh.home(), "reviews", &["--app", app.as_str()]);
    let held = crowd(reviews.address("inbound"));
    let (begun, before) = (Instant::now(), cpu(reviews.pid()));
    std::thread::sleep(Duration::from_secs(5));
    let share = (cpu(reviews.pid()) - before).as_secs_f64() / begun.elapsed().as_secs_f64();
    drop(held);
    let gone = Instant::now();
    let web = Proxy::begin(command(&mesh.home()), &mesh.home(), "web", &[]);
    assert_eq!(request(web.address("outbound"), "reviews", TRACE), OK);
    eprintln!("{:.1} % of a core; back {:?} after the clients left", share * 100.0, gone.elapsed());
    assert!(share <= 0.3, "{:.1} % of a core", share * 100.0);
}

/// A control group that ends with the value; `None` where none can be made.
struct Group(PathBuf);

impl Group {
    fn new() -> Option<Self> {
        let name = format!("meshctl-test-{}", std::process::id());
        let places = [("memory", "memory.limit_in_bytes"), ("", "memory.max")];
        places.into_iter().find_map(|(controller, limit)| {
            let directory = PathBuf::from("/sys/fs/cgroup").join(controller).join(&name);
            fs::create_dir(&directory).ok()?;
            let group = Self(directory);
            fs::write(group.0.join(limit), MEMORY.to_string()).ok()?;
            Some(group)
        })
    }

    /// A command that runs the program in it.
    fn command(&self, mesh: &Mesh) -> Command {
        let program = command(&mesh.home());
        let mut command = Command::new("/bin/sh");
        let procs = self.0.join("cgroup.procs");
        let script = format!("echo $$ > {} && exec \"$0\" \"$@\"", procs.display());
        command.args(["-c", &script]).arg(program.get_program()).env_clear();
        command.envs(program.get_envs().filter_map(|(name, value)| Some((name, value?))));
        command
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // Its process may take a moment to be gone.
        for _ in 0..100 {
            if fs::remove_dir(&self.0).is_ok() {
                return;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

/// An application that answers `/large` with more than anybody reads, and all else with two bytes.
fn large() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { continue };
            // Thousands of threads that wait for a reader need no large stack.
            let thread = std::thread::Builder::new().stack_size(64 * 1024);
            let _ = thread.spawn(move || {
                let mut head = [0; 4096];
                while let Ok(count) = stream.read(&mut head)
                    && count > 0
                {
                    let answered = match head.starts_with(b"GET /large") {
                        true => {
                            let begin = b"HTTP/1.1 200 OK\r\ncontent-length: 1000000000\r\n\r\n";
                            stream.write_all(begin).and_then(|()| {
                                (0..15_000).try_for_each(|_| stream.write_all(&[b'x'; 65_536]))
                            })
                        }
                        false => {
                            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")
                        }
                    };
                    if answered.is_err() {
                        return;
                    }
                }
            });
        }
    });
    address
}

/// Requests on one connection that is opened again when it ends; answered, and not.
fn good_client(to: SocketAddr, stop: &AtomicBool) -> (usize, usize) {
    let (mut good, mut bad) = (0, 0);
    let mut stream = None;
    while !stop.load(Ordering::SeqCst) {
        let mut ask = || -> std::io::Result<bool> {
            let stream = match &mut stream {
                Some(stream) => stream,
                none => none.insert(TcpStream::connect(to)?),
            };
            stream.set_read_timeout(Some(Duration::from_secs(5)))?;
            stream.write_all(b"GET / HTTP/1.1\r\nhost: reviews\r\n\r\n")?;
            let mut answer = [0; 4096];
            let count = stream.read(&mut answer)?;
            Ok(answer[..count].starts_with(b"HTTP/1.1 200"))
        };
        match ask() {
            Ok(true) => good += 1,
            Ok(false) | Err(_) => {
                bad += 1;
                stream = None;
            }
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    (good, bad)
}

#[test]
#[ignore = "takes a minute, and root to make a control group"]
#[expect(clippy::print_stderr, reason = "figures are what these tests are for")]
fn a_proxy_in_little_memory_outlives_clients_that_read_nothing() {
    let Some(group) = Group::new() else {
        return eprintln!("no control group can be made here");
    };
    let mesh = Mesh::install();
    let app = large().to_string();
    let reviews = ["--app", app.as_str(), "--protocol", "http"];
    let _reviews = Proxy::begin(command(&mesh.home()), &mesh.home(), "reviews", &reviews);
    let mut web = Proxy::begin(group.command(&mesh), &mesh.home(), "web", &[]);
    let outbound = web.address("outbound");
    assert_eq!(request(outbound, "reviews", TRACE), OK);
    let (stop, most) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let stopped = Arc::clone(&stop);
    let good = std::thread::spawn(move || good_client(outbound, &stopped));
    meshctl::net::descriptors::raise();
    let begun = Instant::now();
    let mut stalled = Vec::new();
    while begun.elapsed() < ATTACK {
        let Ok(mut stream) = TcpStream::connect(outbound) else { continue };
        let _ = stream.write_all(b"GET /large HTTP/1.1\r\nhost: reviews\r\n\r\n");
        stalled.push(stream);
        if stalled.len() >= STALLED {
            // Those that were cut make way for new ones.
            stalled.drain(..STALLED / 10);
            std::thread::sleep(Duration::from_millis(200));
        }
        most.fetch_max(stalled.len(), Ordering::SeqCst);
        assert!(web.runs(), "it was killed with {} clients", stalled.len());
    }
    stop.store(true, Ordering::SeqCst);
    let (good, bad) = good.join().expect("no panic");
    let metrics = get(TcpStream::connect(web.address("admin")).expect("it serves"), "/metrics");
    let most = most.load(Ordering::SeqCst);
    eprintln!("{most} clients that read nothing; of the good one {good} answered, {bad} not");
    assert!(web.runs());
    assert!(is_hit(&metrics, "default/web-0", "memory"), "it never came near its limit");
    drop(stalled);
    eventually("new callers are let in again", || request(outbound, "reviews", TRACE) == OK);
    assert!(bad * 100 <= good + bad, "{bad} of {} failed", good + bad);
    drop((web, group));
}
