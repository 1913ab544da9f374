//! The programs that users have on both sides of a mesh, as they are: curl, nginx, Python.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};

use crate::support::{Mesh, Origin, eventually};

mod clients;
mod servers;

/// A program in the background; killed with the value.
struct Server {
    child: Child,
    address: SocketAddr,
    _dir: tempfile::TempDir,
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs a program; one that is missing is a failure that names the package.
fn spawn(package: &str, command: &mut Command) -> Child {
    let program = command.get_program().to_string_lossy().into_owned();
    let missing = |error| panic!("cannot run `{program}`, of the package `{package}`: {error}");
    command.spawn().unwrap_or_else(missing)
}

/// nginx with a document root that holds `hello.txt`, and what `server` says beside.
fn nginx(server: &str) -> Server {
    let dir = tempfile::tempdir().expect("a directory");
    std::fs::write(dir.path().join("hello.txt"), "hello from nginx\n").expect("a file");
    // nginx cannot choose a port itself; that somebody else takes this one first is tried again.
    for _ in 0..5 {
        let free = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = free.local_addr().expect("it is bound");
        drop(free);
        let root = dir.path().display();
        let config = format!(
            "daemon off; master_process off; pid {root}/pid; error_log {root}/error.log;\n\
             events {{}}\n\
             http {{\n access_log off;\n client_body_temp_path {root}/body;\n\
             proxy_temp_path {root}/proxy; fastcgi_temp_path {root}/fcgi;\n\
             uwsgi_temp_path {root}/uwsgi; scgi_temp_path {root}/scgi;\n\
             server {{ listen {address}; root {root}; {server} }}\n}}\n"
        );
        let file = dir.path().join("nginx.conf");
        std::fs::write(&file, config).expect("a file");
        let log = dir.path().join("error.log");
        let mut command = Command::new("nginx");
        command.arg("-c").arg(&file).arg("-p").arg(dir.path()).arg("-e").arg(log);
        let mut child = spawn("nginx", command.stderr(Stdio::null()));
        let up = eventually("nginx listens", || {
            if TcpStream::connect(address).is_ok() {
                return Some(true);
            }
            child.try_wait().expect("its own child").map(|_| false)
        });
        if up {
            return Server { child, address, _dir: dir };
        }
    }
    panic!("nginx did not start");
}

/// Python's own server, which speaks HTTP/1.0, with a directory that holds `hello.txt`.
fn python() -> Server {
    let dir = tempfile::tempdir().expect("a directory");
    std::fs::write(dir.path().join("hello.txt"), "hello from python\n").expect("a file");
    let mut command = Command::new("python3");
    command.args(["-u", "-m", "http.server", "--bind", "127.0.0.1", "0"]);
    command.current_dir(dir.path()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = spawn("python3", &mut command);
    let mut line = String::new();
    let mut said = BufReader::new(child.stdout.take().expect("it is piped"));
    said.read_line(&mut line).expect("it says where it listens");
    let port = line.split(' ').skip_while(|word| *word != "port").nth(1);
    let port = port.and_then(|port| port.parse().ok()).expect("a port");
    Server { child, address: SocketAddr::from(([127, 0, 0, 1], port)), _dir: dir }
}

/// What curl said.
struct Said {
    body: String,
    status: u16,
}

/// curl through the outbound side of `web` as its HTTP proxy, with `input` as its stdin.
fn curl(mesh: &Mesh, words: &[&str], input: &[u8]) -> Said {
    let proxy = format!("http://{}", mesh.proxy("web").addresses().outbound);
    let mut command = Command::new("curl");
    command.args(["--silent", "--show-error", "--max-time", "20", "--noproxy", ""]);
    command.args(["--proxy", &proxy, "--write-out", "\n%{http_code}"]).args(words);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = spawn("curl", &mut command);
    let mut stdin = child.stdin.take().expect("it is piped");
    let input = input.to_owned();
    let writer = std::thread::spawn(move || {
        // A program that needs no input may have ended.
        let _ = stdin.write_all(&input);
    });
    let output = child.wait_with_output().expect("it ends");
    writer.join().expect("no panic");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "curl {words:?}: {errors}");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let (body, status) = text.rsplit_once('\n').expect("the status on a line of its own");
    Said { body: body.to_owned(), status: status.parse().expect("a status") }
}

/// `web` calls `app`.
fn with(app: &Origin) -> Mesh {
    Mesh::new().caller("web").service("app", app).start()
}
