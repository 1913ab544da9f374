//! `proxy wait`: asks the sidecar of this pod until it is ready, so that the application starts after
//! it. Run in the sidecar's own container, where there is nothing but this program.

use std::io::{self, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use clap::Args;

use super::super::address;
use super::super::exit::{Exit, Failure, Outcome};
use super::super::wait::TimeoutArgs;
use crate::names::sidecar::PROBE_PORT;

/// Between two questions.
const INTERVAL: Duration = Duration::from_millis(20);

/// How long one answer may take.
const ANSWER: Duration = Duration::from_secs(1);

/// The longest answer that is read, bytes.
const LONGEST: u64 = 4096;

/// Wait until the sidecar of this pod is ready.
///
/// Injected pods run it after the start of the sidecar, and no other container starts before it has
/// ended.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  meshctl proxy wait
  meshctl proxy wait --timeout 5m")]
pub(super) struct WaitArgs {
    #[command(flatten)]
    timeout: TimeoutArgs,
    /// Where the sidecar is asked [default: its probe port on loopback].
    #[arg(long, value_name = "ADDR:PORT", value_parser = address::connect)]
    address: Option<SocketAddr>,
}

pub(super) fn run(args: &WaitArgs) -> Outcome {
    let address = args.address.unwrap_or_else(|| (Ipv4Addr::LOCALHOST, PROBE_PORT).into());
    let deadline = Instant::now() + args.timeout.timeout;
    loop {
        let why = match ask(address) {
            Ok(None) => return Ok(Exit::Done),
            Ok(Some(why)) => why,
            Err(error) => format!("it does not answer on `{address}`: {error}"),
        };
        if Instant::now() >= deadline {
            let waited = args.timeout.timeout.as_secs_f32();
            return Err(Failure::new(format!("the sidecar is not ready after {waited} s: {why}"))
                .help(
                    "its log says what it waits for; `meshctl check` looks at the control plane",
                ));
        }
        std::thread::sleep(INTERVAL);
    }
}

/// `None` where the sidecar is ready, else why it is not.
fn ask(address: SocketAddr) -> io::Result<Option<String>> {
    let mut stream = TcpStream::connect_timeout(&address, ANSWER)?;
    stream.set_read_timeout(Some(ANSWER))?;
    stream.write_all(b"GET /ready HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")?;
    let mut answer = Vec::new();
    stream.take(LONGEST).read_to_end(&mut answer)?;
    let answer = String::from_utf8_lossy(&answer);
    match answer.strip_prefix("HTTP/1.1 200 ") {
        Some(_) => Ok(None),
        None => {
            let said = answer.split_once("\r\n\r\n").map_or(&*answer, |(_, body)| body);
            Ok(Some(said.trim().to_owned()))
        }
    }
}
