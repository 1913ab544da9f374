//! The conversation of two processes, with peers that keep to it and peers that do not. Where somebody
//! waits in vain patience is short.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsFd as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::{Duration, SystemTime};

use tokio::net::UnixStream;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

use super::*;
use crate::names::ProxyId;
use crate::net::pass;
use crate::proxy::view::Status;

/// A proxy with one listener, and its door.
struct Running {
    directory: tempfile::TempDir,
    address: SocketAddr,
    happenings: mpsc::Receiver<Happening>,
    door: JoinHandle<()>,
}

fn proxy() -> ProxyId {
    "default/web-0".parse().expect("a name")
}

fn claim(proxy: &ProxyId) -> Claim {
    Claim {
        proxy: proxy.to_string(),
        service: "default/web".to_owned(),
        service_account: "web".to_owned(),
    }
}

fn goods(listener: &TcpListener) -> Goods {
    let (_, status) = watch::channel(Status { connected: true, ..Status::default() });
    Goods {
        claim: claim(&proxy()),
        process: ProcessId { pid: 7, started_ms: 11 },
        status,
        lock: tempfile::tempfile().expect("a file").into(),
        listeners: vec![("inbound".to_owned(), listener.try_clone().expect("room").into())],
        rules: None,
        bound: None,
    }
}

/// With little patience for one thing.
fn short(change: impl FnOnce(&mut Patience, Duration)) -> Patience {
    let mut patience = Patience::STANDARD;
    change(&mut patience, Duration::from_millis(50));
    patience
}

impl Running {
    fn new(change: impl FnOnce(&mut Goods)) -> Self {
        Self::patient(Patience::STANDARD, change)
    }

    fn patient(patience: Patience, change: impl FnOnce(&mut Goods)) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("bound");
        let mut goods = goods(&listener);
        change(&mut goods);
        let door = Door::open(directory.path(), patience).expect("opens");
        let (told, happenings) = mpsc::channel(8);
        let door = tokio::spawn(door.attend(goods, told));
        Self { directory, address, happenings, door }
    }

    fn path(&self) -> &Path {
        self.directory.path()
    }

    async fn ask(&self) -> Result<Inherited, TakeOverError> {
        take_over((&proxy(), claim(&proxy())), self.path(), SystemTime::now(), Patience::STANDARD)
            .await
    }

    /// Somebody at the door who has said nothing yet.
    fn knock(&self) -> UnixStream {
        door::connect(self.path()).expect("the door is there")
    }

    async fn next(&mut self) -> Happening {
        self.happenings.recv().await.expect("the door is attended")
    }

    #[track_caller]
    fn nothing_happened(&mut self) {
        assert!(self.happenings.try_recv().is_err());
        assert!(!self.door.is_finished());
    }
}

async fn answer(stream: &UnixStream) -> Option<Answer> {
    let message = pass::receive(stream).await.ok()??;
    Some(serde_json::from_slice(&message.bytes).expect("an answer"))
}

fn is_offered(happening: &Happening) -> bool {
    matches!(happening, Happening::Offered(newer) if newer.pid == std::process::id())
}

#[tokio::test]
async fn the_newer_process_gets_the_very_sockets_and_the_place() {
    let mut older = Running::new(|_| {});
    let mut inherited = older.ask().await.expect("an offer");
    assert!(is_offered(&older.next().await));
    assert_eq!(inherited.older.process, ProcessId { pid: 7, started_ms: 11 });
    assert!(inherited.older.connected);
    // It waits in the queue that both have.
    let client = TcpStream::connect(older.address).expect("connects");
    let any = "127.0.0.1:0".parse().expect("an address");
    let listener = inherited.listeners.take("inbound", any).expect("it was passed");
    let newer = tokio::spawn(inherited.older.ready());
    let Happening::Ready(handing) = older.next().await else { panic!("not ready") };
    handing.finish().await;
    newer.await.expect("no panic").expect("the place is its own");
    assert!(older.happenings.recv().await.is_none(), "the door is closed");
    listener.set_nonblocking(false).expect("a socket");
    let (_, from) = listener.accept().expect("what waited is there");
    assert_eq!(from, client.local_addr().expect("an address"));
}

#[tokio::test]
async fn a_socket_is_taken_for_its_purpose_and_address_alone() {
    let older = Running::new(|goods| {
        let file = tempfile::tempfile().expect("a file");
        goods.listeners.push(("admin".to_owned(), file.into()));
    });
    let listeners = &mut older.ask().await.expect("an offer").listeners;
    let other: SocketAddr = "127.0.0.1:1".parse().expect("an address");
    assert!(listeners.take("outbound", older.address).is_none());
    assert!(listeners.take("inbound", other).is_none());
    assert!(listeners.take("admin", older.address).is_none(), "it is no socket at all");
    assert!(listeners.take_unix("inbound", Path::new("/x")).is_none());
    assert!(listeners.take("inbound", older.address).is_some());
}

#[tokio::test]
async fn a_newer_process_that_dies_or_gives_up_leaves_all_as_it_was() {
    let mut older = Running::new(|_| {});
    for _ in 0..2 {
        drop(older.ask().await.expect("an offer"));
        assert!(is_offered(&older.next().await));
        assert!(matches!(older.next().await, Happening::Abandoned(_)));
        older.nothing_happened();
    }
}

#[tokio::test]
async fn a_newer_process_that_is_never_ready_is_told_that_it_is_too_late() {
    let mut older = Running::patient(short(|patience, time| patience.ready = time), |_| {});
    let inherited = older.ask().await.expect("an offer");
    assert!(is_offered(&older.next().await));
    assert!(matches!(older.next().await, Happening::Abandoned(_)));
    let late = inherited.older.ready().await;
    assert!(matches!(late, Err(TakeOverError::TakenBack(_))), "{late:?}");
    older.nothing_happened();
}

#[tokio::test]
async fn an_older_process_that_has_died_leaves_its_place_to_the_newer_one() {
    let older = Running::new(|_| {});
    let inherited = older.ask().await.expect("an offer");
    older.door.abort();
    inherited.older.ready().await.expect("nobody else has the place");
}

#[tokio::test]
async fn who_speaks_nonsense_or_nothing_keeps_nobody_out() {
    let mut older = Running::patient(short(|patience, time| patience.ask = time), |_| {});
    let (garbage, broken, flood, silent) =
        (older.knock(), older.knock(), older.knock(), older.knock());
    for (stream, bytes) in
        [(&garbage, &b"GET / HTTP/1.1\r\n\r\n"[..]), (&broken, &[0, 0, 0, 9, b'{'])]
    {
        stream.writable().await.expect("open");
        stream.try_write(bytes).expect("written");
    }
    drop(broken);
    let file = tempfile::tempfile().expect("a file");
    let many = vec![file.as_fd(); pass::MOST_DESCRIPTORS];
    pass::send(&flood, b"{}", &many).await.expect("sent");
    for stream in [garbage, flood, silent] {
        assert!(answer(&stream).await.is_none(), "it is hung up on");
    }
    older.nothing_happened();
    older.ask().await.expect("an offer");
    assert!(is_offered(&older.next().await));
}

#[tokio::test]
async fn a_second_newer_process_is_told_that_one_is_there() {
    let older = Running::new(|_| {});
    let first = older.ask().await.expect("an offer");
    let second = older.ask().await;
    let Err(TakeOverError::Refused(_, why)) = second else { panic!("{second:?}") };
    assert_eq!(why, "another process is about to take its place");
    drop(first);
}

#[tokio::test]
async fn what_cannot_be_handed_over_is_refused_in_words() {
    let mut bound = Running::new(|goods| goods.bound = Some("it runs its application".to_owned()));
    let refused = bound.ask().await.expect_err("refused").to_string();
    assert_eq!(refused, "the proxy `default/web-0` does not hand over: it runs its application");
    let name = "default/web-1".parse().expect("a name");
    let other =
        take_over((&name, claim(&name)), bound.path(), SystemTime::now(), Patience::STANDARD);
    let refused = other.await.expect_err("refused").to_string();
    assert!(
        refused.contains(": it is the proxy `default/web-0` of the service `default/web` with"),
        "{refused}"
    );

    let stream = bound.knock();
    let ask = br#"{"protocol": 2, "version": "9.0.0", "claim": {"proxy": "", "service": "", "serviceAccount": ""}, "process": {"pid": 1, "startedMs": 2}, "more": 3}"#;
    pass::send(&stream, ask, &[]).await.expect("sent");
    let Some(Answer::Refusal(why)) = answer(&stream).await else { panic!("no refusal") };
    assert!(why.contains("version 9.0.0 asks by protocol 2"), "{why}");
    bound.nothing_happened();
}

#[tokio::test]
async fn an_answer_that_is_none_is_refused() {
    let lock = r#"{"what": "lock"}, {"what": "of a later version", "more": 1}"#;
    let offer = |protocol: u32, descriptors: &str| {
        format!(
            r#"{{"offer": {{"protocol": {protocol}, "version": "9", "process": {{"pid": 1, "startedMs": 2}}, "connected": true, "descriptors": [{descriptors}]}}}}"#
        )
    };
    let cases = [
        (offer(1, lock), 2, None),
        (offer(1, lock), 1, Some("2 descriptors were named, 1 came")),
        (offer(2, lock), 2, Some("by protocol 2")),
        (offer(1, ""), 0, Some("the lock of its directory is missing")),
        ("\"yours\"".to_owned(), 0, Some("the last word came first")),
        ("garbage".to_owned(), 0, Some("expected value")),
    ];
    for (said, count, wrong) in cases {
        let directory = tempfile::tempdir().expect("a directory");
        let listener =
            tokio::net::UnixListener::bind(directory.path().join(SOCKET)).expect("bound");
        let file = tempfile::tempfile().expect("a file");
        let proxy = proxy();
        let (taken, ()) = tokio::join!(
            take_over(
                (&proxy, claim(&proxy)),
                directory.path(),
                SystemTime::now(),
                Patience::STANDARD
            ),
            async {
                let (stream, _) = listener.accept().await.expect("it asks");
                pass::receive(&stream).await.expect("readable").expect("it asks");
                pass::send(&stream, said.as_bytes(), &vec![file.as_fd(); count])
                    .await
                    .expect("sent");
            }
        );
        match (taken, wrong) {
            (Ok(_), None) => {}
            (Err(error), Some(wrong)) => assert!(error.to_string().contains(wrong), "{error}"),
            (taken, wrong) => panic!("{taken:?} instead of {wrong:?}"),
        }
    }
}

#[tokio::test]
async fn an_older_process_that_says_nothing_is_not_waited_for() {
    let directory = tempfile::tempdir().expect("a directory");
    let patience = short(|patience, time| patience.answer = time);
    let error =
        take_over((&proxy(), claim(&proxy())), directory.path(), SystemTime::now(), patience).await;
    assert!(matches!(error, Err(TakeOverError::Closed(..))), "no door: {error:?}");
    let _silent = tokio::net::UnixListener::bind(directory.path().join(SOCKET)).expect("bound");
    let error =
        take_over((&proxy(), claim(&proxy())), directory.path(), SystemTime::now(), patience).await;
    assert!(matches!(error, Err(TakeOverError::Closed(..))), "{error:?}");
}

#[tokio::test]
async fn the_door_is_the_users_own_and_a_path_of_any_length_leads_to_it() {
    let home = tempfile::tempdir().expect("a directory");
    let deep = home.path().join("n".repeat(120));
    std::fs::create_dir(&deep).expect("made");
    let _door = Door::open(&deep, Patience::STANDARD).expect("opens");
    let mode = std::fs::metadata(deep.join(SOCKET)).expect("there").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    door::connect(&deep).expect("reached");
    let _again =
        Door::open(&deep, Patience::STANDARD).expect("one that was left behind is replaced");
}

/// Only root can be somebody else.
#[tokio::test]
#[cfg(target_os = "linux")]
async fn another_user_is_hung_up_on() {
    use std::io::Read as _;

    if !rustix::process::geteuid().is_root() {
        return;
    }
    let mut older = Running::new(|_| {});
    // Were it not for the modes of file and directory, it would get this far.
    for (path, mode) in [(older.path().to_owned(), 0o711), (older.path().join(SOCKET), 0o666)] {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).expect("changed");
    }
    let path = older.path().join(SOCKET);
    let heard = tokio::task::spawn_blocking(move || {
        let other = std::thread::spawn(move || {
            let nobody = rustix::process::Uid::from_raw(65_534);
            rustix::thread::set_thread_uid(nobody).expect("root may");
            let mut stream = std::os::unix::net::UnixStream::connect(path)?;
            stream.set_read_timeout(Some(Duration::from_secs(20)))?;
            stream.read(&mut [0])
        });
        other.join().expect("no panic")
    });
    assert_eq!(heard.await.expect("no panic").expect("connected"), 0, "the end, and nothing else");
    older.nothing_happened();
}
