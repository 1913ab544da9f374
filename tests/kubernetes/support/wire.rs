//! What passes between pods, read from outside of them: every frame on the node's links.
//!
//! It stands where an eavesdropper would, in the node's network and not in any pod's, so it works
//! only on the cluster that `.ci/kubernetes` makes.

use std::io::{ErrorKind, Read as _};
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, Type};

/// Every protocol, as the kernel wants it: in network order.
const ALL_FRAMES: i32 = 0x0003_u16.to_be() as i32;

/// The content type and version that every TLS record of application data begins with.
const TLS_DATA: [u8; 3] = [0x17, 0x03, 0x03];

/// A reader of frames that is running.
pub(crate) struct Wire {
    stop: Arc<AtomicBool>,
    reader: JoinHandle<Vec<Vec<u8>>>,
}

/// The frames that passed.
pub(crate) struct Seen(Vec<Vec<u8>>);

impl Wire {
    /// Begins to listen on every link of this network.
    pub(crate) fn tap() -> Self {
        let socket = Socket::new(Domain::PACKET, Type::RAW, Some(Protocol::from(ALL_FRAMES)))
            .expect("tests on a cluster of ours run as root");
        socket.set_recv_buffer_size(8 << 20).expect("a size");
        socket.set_read_timeout(Some(Duration::from_millis(50))).expect("a time limit");
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let reader = std::thread::spawn(move || frames(socket, &stopped));
        Self { stop, reader }
    }

    /// Ends it. What had been sent before is in it.
    pub(crate) fn seen(self) -> Seen {
        self.stop.store(true, Ordering::Relaxed);
        Seen(self.reader.join().expect("the reader does not panic"))
    }
}

/// Reads until it is told to stop and nothing more is waiting.
fn frames(mut socket: Socket, stop: &AtomicBool) -> Vec<Vec<u8>> {
    let mut frames = Vec::new();
    let mut buffer = vec![0; 1 << 16];
    loop {
        match socket.read(&mut buffer) {
            Ok(read) => frames.push(buffer.iter().take(read).copied().collect()),
            Err(why) if matches!(why.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                if stop.load(Ordering::Relaxed) {
                    return frames;
                }
            }
            Err(why) => panic!("the wire cannot be read: {why}"),
        }
    }
}

impl Seen {
    /// Whether these words passed in the clear.
    pub(crate) fn holds(&self, words: &str) -> bool {
        self.0.iter().any(|frame| memchr::memmem::find(frame, words.as_bytes()).is_some())
    }

    /// How many frames to or from this address carried TLS's application data.
    pub(crate) fn encrypted(&self, address: IpAddr) -> usize {
        let address = match address {
            IpAddr::V4(address) => address.octets().to_vec(),
            IpAddr::V6(address) => address.octets().to_vec(),
        };
        let has = |frame: &[u8], part: &[u8]| memchr::memmem::find(frame, part).is_some();
        self.0.iter().filter(|frame| has(frame, &address) && has(frame, &TLS_DATA)).count()
    }
}
