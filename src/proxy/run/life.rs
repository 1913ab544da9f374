//! From ready to gone: the application, signals, a newer process that takes its place, drain, exit code.
//! Where the proxy starts its application, it is ready when that listens.
//!
//! The first SIGTERM drains and is passed on to the application, the second ends everything at
//! once. When the application ends by itself, so does the proxy, with its exit code.

use std::io::Write as _;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};
use tokio_util::task::AbortOnDropHandle;

use super::place::Place;
use super::signals::Signal;
use super::start::{Servers, Started};
use super::wait::{announced, listening};
use super::{Config, RunError};
use crate::net::descriptors::Raised;
use crate::proxy::command::Application;
use crate::proxy::control::Order;
use crate::proxy::dataplane::{LAST_CALLS, Running};
use crate::proxy::handover::{Door, Goods, Handing, Happening, Patience, ProcessId};
use crate::proxy::ready::{Ready, ReadyFile};
use crate::proxy::view::Status;

/// How long connections may take to end when the application has gone already.
const DRAIN_WITHOUT_APPLICATION: Duration = Duration::from_secs(1);

/// How long the control thread may take to end.
const LEAVE: Duration = Duration::from_secs(2);

/// What has happened at the door and is not looked at yet.
const HAPPENINGS: usize = 4;

/// Why a life comes to its end.
enum End {
    /// A newer process has taken its place.
    Succeeded(ProcessId),
    /// Somebody said so.
    Told,
    /// The application ended, with this exit code.
    Application(u8),
    /// Something broke that must not.
    Broken(RunError),
}

impl End {
    /// How long connections may take.
    fn within(&self, config: &Config) -> Duration {
        match self {
            Self::Told | Self::Succeeded(_) => config.drain,
            Self::Application(_) | Self::Broken(_) => config.drain.min(DRAIN_WITHOUT_APPLICATION),
        }
    }

    /// The exit code; `code` is that of an application that has ended in time.
    async fn code(
        self,
        application: Option<Application>,
        code: Option<u8>,
    ) -> Result<u8, RunError> {
        match self {
            Self::Application(code) => Ok(code),
            Self::Succeeded(_) => Ok(0),
            Self::Broken(error) => Err(error),
            Self::Told => Ok(match (application, code) {
                (Some(mut application), None) => killed(&mut application).await,
                (_, code) => code.unwrap_or(0),
            }),
        }
    }

    /// Says why the proxy ends, and how long it may take.
    fn log(&self, within: Duration) {
        match self {
            Self::Succeeded(newer) => {
                let pid = newer.pid;
                tracing::info!(
                    pid,
                    ?within,
                    "a newer process has taken this one's place: connections may end by themselves"
                );
            }
            Self::Told => tracing::info!(?within, "told to end: connections may end by themselves"),
            Self::Application(code) => tracing::info!(code, ?within, "the application has ended"),
            Self::Broken(error) => {
                tracing::error!(%error, "a part of the proxy has ended, so all of it ends");
            }
        }
    }
}

/// Starts the application, says that the proxy is ready, lives until told otherwise; the exit code.
pub(super) async fn live(
    (mut started, unheard): (Started, Option<SocketAddr>),
    config: &Config,
    raised: Option<Raised>,
    mut signals: mpsc::Receiver<Signal>,
    told: oneshot::Sender<Ready>,
) -> Result<u8, RunError> {
    let (happened, mut happenings) = mpsc::channel(HAPPENINGS);
    // Before anybody sees that it is ready, and asks.
    let door = attend(&started.place, started.goods, happened);
    let mut application = application(config, &started.ready, raised)?;
    let Started { ready, mut running, orders, mut control, mut servers, status, .. } = started;
    let mut place = Some(started.place);
    let late = unheard.map(|app| hear(app, config, orders.clone(), status.clone()));
    let mut word = Word::begin(config, (ready, told), late, application.is_some())?;
    let end = loop {
        tokio::select! {
            Err(error) = word.due() => break End::Broken(error),
            signal = signals.recv() => match signal {
                None => break End::Told,
                Some(Signal(kind)) => {
                    if let Some(application) = &application {
                        application.signal(kind.to_system());
                    }
                    if kind.ends(application.is_some()) {
                        break End::Told;
                    }
                }
            },
            Some(happening) = happenings.recv() => match happening {
                Happening::Offered(newer) => drop(orders.send(Order::Yield(newer)).await),
                Happening::Abandoned(newer) => drop(orders.send(Order::Resume(newer)).await),
                Happening::Ready(handing) => {
                    let held = (word.file.take(), place.take());
                    break hand_over(handing, &mut running, &mut servers, held).await;
                }
            },
            code = ended(&mut application) => break End::Application(code),
            _ = &mut control => break End::Broken(RunError::Ended("control thread")),
            _ = &mut servers.admin => break End::Broken(RunError::Ended("admin server")),
            _ = &mut started.warden => break End::Broken(RunError::Ended("watch over endpoints")),
            () = ended_if_any(&mut started.overload) => break End::Broken(RunError::Ended("watch over memory")),
            () = ended_if_any(&mut servers.probes) => break End::Broken(RunError::Ended("probe server")),
        }
    };
    drop((word, door));
    let _ = orders.send(Order::Drain).await;
    let within = end.within(config);
    // Where nobody calls us, hears of our end or could be answered, there is nothing to wait for;
    // without the application a refused connection is what sends a caller elsewhere.
    let serves = matches!(end, End::Told) && config.serves();
    let heard = status.borrow().connected || running.connections() > 0;
    let last_calls = if serves && heard { LAST_CALLS } else { Duration::ZERO };
    end.log(within);
    let code = tokio::select! {
        code = drained(running.drain(within, last_calls), &mut application, within) => code,
        () = told_again(&mut signals) => {
            tracing::warn!("told twice to end: connections are cut");
            None
        }
    };
    let _ = orders.send(Order::Leave).await;
    if !control.is_finished() {
        let _ = tokio::time::timeout(LEAVE, &mut control).await;
    }
    drop(servers);
    end.code(application, code).await
}

/// Leaves new connections, ready file and directory to the newer process, and tells it.
async fn hand_over(
    handing: Handing,
    running: &mut Running,
    servers: &mut Servers,
    held: (Option<ReadyFile>, Option<Place>),
) -> End {
    let newer = handing.newer;
    running.succeeded().await;
    servers.leave();
    drop(held);
    handing.finish().await;
    End::Succeeded(newer)
}

/// Lets newer processes ask. Where that cannot be, the proxy is none the worse for it.
fn attend(
    place: &Place,
    goods: Goods,
    told: mpsc::Sender<Happening>,
) -> Option<AbortOnDropHandle<()>> {
    match Door::open(&place.directory, Patience::STANDARD) {
        Ok(door) => Some(AbortOnDropHandle::new(tokio::spawn(door.attend(goods, told)))),
        Err(error) => {
            tracing::warn!(%error, "no newer process will be able to take this one's place");
            None
        }
    }
}

/// That the proxy is ready: said once, to whoever waits for it.
struct Word<'c> {
    config: &'c Config,
    ready: Ready,
    told: Option<oneshot::Sender<Ready>>,
    /// Ends when the application listens.
    late: Option<AbortOnDropHandle<()>>,
    /// Removed when this is dropped.
    file: Option<ReadyFile>,
}

impl<'c> Word<'c> {
    /// What was started here is ready as a whole, with its application; one beside it is somebody else's.
    fn begin(
        config: &'c Config,
        (ready, told): (Ready, oneshot::Sender<Ready>),
        late: Option<AbortOnDropHandle<()>>,
        wraps: bool,
    ) -> Result<Self, RunError> {
        let mut word = Self { config, ready, told: Some(told), late, file: None };
        if word.late.is_none() || !wraps {
            word.say()?;
        }
        Ok(word)
    }

    /// Waits for an application that is late, and says what is not said yet.
    async fn due(&mut self) -> Result<(), RunError> {
        ended_if_any(&mut self.late).await;
        self.late = None;
        self.say()
    }

    /// Writes the ready file, where there is to be one, and says it on stderr.
    fn say(&mut self) -> Result<(), RunError> {
        let Some(told) = self.told.take() else { return Ok(()) };
        if let Some(path) = self.config.ready_file.as_deref() {
            let written = ReadyFile::write(path, &self.ready);
            self.file = Some(written.map_err(|error| RunError::ReadyFile(path.to_owned(), error))?);
        }
        announce(&self.ready);
        // Nobody may be waiting for it.
        let _ = told.send(self.ready.clone());
        Ok(())
    }
}

/// Waits for an application that does not listen yet, and has the mesh count on it then.
fn hear(
    app: SocketAddr,
    config: &Config,
    orders: mpsc::Sender<Order>,
    status: watch::Receiver<Status>,
) -> AbortOnDropHandle<()> {
    let within = config.app_wait;
    AbortOnDropHandle::new(tokio::spawn(async move {
        listening(app, within).await;
        announced(&orders, status).await;
    }))
}

/// Starts the application, where there is one.
fn application(
    config: &Config,
    ready: &Ready,
    raised: Option<Raised>,
) -> Result<Option<Application>, RunError> {
    let Some(program) = config.command.first() else { return Ok(None) };
    Application::start(&config.command, ready.outbound, raised)
        .map(Some)
        .map_err(|error| RunError::Command(program.to_string_lossy().into_owned(), error))
}

/// Waits for connections and application alike; the exit code of an application that ended.
async fn drained(
    connections: impl Future<Output = ()>,
    application: &mut Option<Application>,
    within: Duration,
) -> Option<u8> {
    tokio::join!(connections, ended_within(application, within)).1
}

/// The exit code of the application; pends for ever without one.
async fn ended(application: &mut Option<Application>) -> u8 {
    match application {
        Some(application) => application.ended().await.unwrap_or(u8::MAX),
        None => std::future::pending().await,
    }
}

/// The end of a server; pends for ever without one.
async fn ended_if_any<T>(server: &mut Option<AbortOnDropHandle<T>>) {
    match server {
        Some(server) => drop(server.await),
        None => std::future::pending().await,
    }
}

/// The exit code of the application, where there is one and it ends in time.
async fn ended_within(application: &mut Option<Application>, within: Duration) -> Option<u8> {
    let application = application.as_mut()?;
    let ended = tokio::time::timeout(within, application.ended()).await.ok()?;
    Some(ended.unwrap_or(u8::MAX))
}

/// Ends an application that did not end by itself.
async fn killed(application: &mut Application) -> u8 {
    application.kill().await;
    application.ended().await.unwrap_or(u8::MAX)
}

/// A second word to end; that nobody can say it any more is none.
async fn told_again(signals: &mut mpsc::Receiver<Signal>) {
    while let Some(Signal(kind)) = signals.recv().await {
        if kind.ends(false) {
            return;
        }
    }
    std::future::pending::<()>().await;
}

/// Says on stderr what was chosen; a closed stderr is no error.
fn announce(ready: &Ready) {
    let mut text = format!(
        "proxy {}/{} is ready as {}\n  inbound  {}\n  outbound {}\n  admin    {}\n",
        ready.namespace, ready.proxy, ready.identity, ready.inbound, ready.outbound, ready.admin
    );
    for (name, address) in &ready.upstreams {
        text.push_str(&format!("  upstream {name} {address}\n"));
    }
    let _ = std::io::stderr().lock().write_all(text.as_bytes());
}
