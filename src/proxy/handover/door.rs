//! The older process's side: lets in one newer process at a time, offers it what there is, and tells
//! [`Happening`]s to whoever runs the proxy.

use std::fs::Permissions;
use std::io;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

use super::{
    Answer, Ask, Claim, Offer, PROTOCOL, Passed, Patience, ProcessId, Rules, SOCKET, VERSION, Word,
};
use crate::net::pass;
use crate::proxy::view::Status;

/// Further ones that are told to wait at the same time; more wait unheard.
const TURNED_AWAY: usize = 4;

/// After `accept` failed.
const PAUSE: Duration = Duration::from_millis(250);

/// The socket at which newer processes ask.
#[derive(Debug)]
pub struct Door {
    listener: UnixListener,
    patience: Patience,
}

/// What there is to hand over.
#[derive(Debug)]
pub struct Goods {
    /// Whose place it is.
    pub claim: Claim,
    /// The process that has it.
    pub process: ProcessId,
    /// How the proxy is.
    pub status: watch::Receiver<Status>,
    /// The lock of its directory.
    pub lock: OwnedFd,
    /// Its sockets, by what they are for.
    pub listeners: Vec<(String, OwnedFd)>,
    /// What redirects connections to it.
    pub rules: Option<Rules>,
    /// Why it cannot be handed over, where it cannot.
    pub bound: Option<String>,
}

/// What happens at the door.
#[derive(Debug)]
pub enum Happening {
    /// A newer process has the sockets, and is about to register.
    Offered(ProcessId),
    /// It is gone, or too late: all is as before.
    Abandoned(ProcessId),
    /// It could take the connections.
    Ready(Handing),
}

/// The end of a conversation that went well: the newer process waits for the last word.
#[derive(Debug)]
pub struct Handing {
    /// The newer process.
    pub newer: ProcessId,
    stream: UnixStream,
    patience: Patience,
}

impl Handing {
    /// Says that this process takes no more connections.
    pub async fn finish(self) {
        let said = say(&self.stream, &Answer::Yours, &[]);
        if !matches!(tokio::time::timeout(self.patience.word, said).await, Ok(Ok(()))) {
            tracing::warn!("the newer process did not hear that the place is its own");
        }
    }
}

impl Door {
    /// Opens it in the proxy's directory, which must be locked: a socket that lies there is one that
    /// was left behind, or that of the process whose place was taken.
    ///
    /// # Errors
    /// That of the file system.
    pub fn open(directory: &Path, patience: Patience) -> io::Result<Self> {
        let path = directory.join(SOCKET);
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let way = Way::to(directory)?;
        let listener = UnixListener::bind(way.path())?;
        std::fs::set_permissions(&path, Permissions::from_mode(0o600))?;
        Ok(Self { listener, patience })
    }

    /// Answers whoever asks, until the future is dropped or the proxy is handed over.
    pub async fn attend(self, goods: Goods, told: mpsc::Sender<Happening>) {
        loop {
            let stream = self.next(&goods).await;
            let Some(newer) = admit(&stream, &goods, self.patience).await else { continue };
            if told.send(Happening::Offered(newer)).await.is_err() {
                return;
            }
            let why = match self.offer(&stream, &goods).await {
                Err(why) => why.to_string(),
                Ok(()) => {
                    // From here on the newer process has a lock and sockets of its own.
                    let patience = self.patience;
                    drop((self, goods));
                    let handing = Handing { newer, stream, patience };
                    let _ = told.send(Happening::Ready(handing)).await;
                    return;
                }
            };
            tracing::warn!(
                pid = newer.pid,
                why,
                "the newer process does not take this one's place; this one goes on"
            );
            let refusal = Answer::Refusal(why);
            let _ = tokio::time::timeout(self.patience.word, say(&stream, &refusal, &[])).await;
            if told.send(Happening::Abandoned(newer)).await.is_err() {
                return;
            }
        }
    }

    /// Passes everything, and waits until the newer process is ready. Others are told to come back.
    async fn offer(&self, stream: &UnixStream, goods: &Goods) -> io::Result<()> {
        let mut turned_away = JoinSet::new();
        let mut passing = std::pin::pin!(pass_on(stream, goods, self.patience));
        loop {
            tokio::select! {
                passed = &mut passing => return passed,
                other = self.next(goods), if turned_away.len() < TURNED_AWAY => {
                    turned_away.spawn(turn_away(other, self.patience));
                }
                Some(_) = turned_away.join_next() => {}
            }
        }
    }

    /// The next that knocks and is of the same user.
    async fn next(&self, goods: &Goods) -> UnixStream {
        loop {
            match self.listener.accept().await {
                Ok((stream, _)) => {
                    let uid = stream.peer_cred().ok().map(|peer| peer.uid());
                    if uid == Some(rustix::process::geteuid().as_raw()) {
                        return stream;
                    }
                    tracing::warn!(target: "audit", proxy = goods.claim.proxy, ?uid, "take-over refused: another user");
                }
                Err(error) => {
                    tracing::warn!(%error, "cannot accept on the take-over socket");
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
    }
}

/// Tells one that knocks during a take-over to come back.
async fn turn_away(stream: UnixStream, patience: Patience) {
    let why = "another process is about to take its place".to_owned();
    let _ = tokio::time::timeout(patience.ask, async {
        let _ = pass::receive(&stream).await;
        say(&stream, &Answer::Refusal(why), &[]).await
    })
    .await;
}

/// Hears what somebody wants; the newer process, where it is one that gets it.
async fn admit(stream: &UnixStream, goods: &Goods, patience: Patience) -> Option<ProcessId> {
    let ask = match tokio::time::timeout(patience.ask, hear::<Ask>(stream)).await {
        Ok(Ok(ask)) => ask,
        Ok(Err(error)) => {
            tracing::warn!(%error, "somebody at the take-over socket is no proxy");
            return None;
        }
        Err(_) => {
            tracing::warn!("somebody at the take-over socket said nothing");
            return None;
        }
    };
    let (pid, version) = (ask.process.pid, &ask.version);
    if let Some(why) = goods.why_not(&ask) {
        tracing::warn!(pid, version, why, "a newer process was refused");
        let refusal = Answer::Refusal(why);
        let _ = tokio::time::timeout(patience.word, say(stream, &refusal, &[])).await;
        return None;
    }
    tracing::info!(pid, version, "a newer process asks for the place of this one");
    Some(ask.process)
}

/// The two steps of [`Door::offer`].
async fn pass_on(stream: &UnixStream, goods: &Goods, patience: Patience) -> io::Result<()> {
    let late = |what: &'static str| move |_| io::Error::new(io::ErrorKind::TimedOut, what);
    let (offer, descriptors) = goods.offer();
    let offer = Answer::Offer(offer);
    let said = tokio::time::timeout(patience.word, say(stream, &offer, &descriptors)).await;
    said.map_err(late("it did not read the offer"))??;
    let ready = tokio::time::timeout(patience.ready, hear::<Word>(stream)).await;
    let Word::Ready = ready.map_err(late("it was not ready in time"))??;
    Ok(())
}

impl Goods {
    /// Why this one gets nothing.
    fn why_not(&self, ask: &Ask) -> Option<String> {
        if ask.protocol != PROTOCOL {
            return Some(format!(
                "it is version {VERSION} and hands over by protocol {PROTOCOL}, version {} asks by protocol {}; end it by SIGTERM, and start the other one",
                ask.version.escape_debug(),
                ask.protocol
            ));
        }
        if ask.claim != self.claim {
            return Some(format!("it is the {}", self.claim));
        }
        self.bound.clone()
    }

    /// What is said, and the descriptors that go with it.
    fn offer(&self) -> (Offer, Vec<BorrowedFd<'_>>) {
        let mut descriptors = vec![(Passed::Lock, self.lock.as_fd())];
        for (role, socket) in &self.listeners {
            descriptors.push((Passed::Listener { role: role.clone() }, socket.as_fd()));
        }
        if let Some(Rules { user, port, descriptor }) = &self.rules {
            let (user, port) = (*user, *port);
            descriptors.push((Passed::Rules { user, port }, descriptor.as_fd()));
        }
        let (named, descriptors) = descriptors.into_iter().unzip();
        let offer = Offer {
            protocol: PROTOCOL,
            version: VERSION.to_owned(),
            process: self.process,
            connected: self.status.borrow().connected,
            descriptors: named,
        };
        (offer, descriptors)
    }
}

async fn say(
    stream: &UnixStream,
    answer: &Answer,
    descriptors: &[BorrowedFd<'_>],
) -> io::Result<()> {
    pass::send(stream, &serde_json::to_vec(answer)?, descriptors).await
}

/// One message of the newer process; that it has ended is an error.
async fn hear<T: serde::de::DeserializeOwned>(stream: &UnixStream) -> io::Result<T> {
    let gone = || io::Error::new(io::ErrorKind::UnexpectedEof, "it has ended");
    let message = pass::receive(stream).await?.ok_or_else(gone)?;
    Ok(serde_json::from_slice(&message.bytes)?)
}

/// Connects to the door in a proxy's directory.
pub(super) fn connect(directory: &Path) -> io::Result<UnixStream> {
    let way = Way::to(directory)?;
    let stream = std::os::unix::net::UnixStream::connect(way.path())?;
    stream.set_nonblocking(true)?;
    UnixStream::from_std(stream)
}

/// A path to the socket that is short, however long that of the directory is: an address of a Unix socket
/// has at most 108 bytes.
struct Way {
    path: PathBuf,
    _directory: Option<OwnedFd>,
}

impl Way {
    #[cfg(target_os = "linux")]
    fn to(directory: &Path) -> io::Result<Self> {
        use rustix::fs::{Mode, OFlags, open};
        use std::os::fd::AsRawFd as _;
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let opened = open(directory, flags, Mode::empty())?;
        let path = PathBuf::from(format!("/proc/self/fd/{}", opened.as_raw_fd())).join(SOCKET);
        Ok(Self { path, _directory: Some(opened) })
    }

    #[cfg(not(target_os = "linux"))]
    fn to(directory: &Path) -> io::Result<Self> {
        Ok(Self { path: directory.join(SOCKET), _directory: None })
    }

    fn path(&self) -> &Path {
        &self.path
    }
}
