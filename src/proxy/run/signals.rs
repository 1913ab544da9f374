//! The signals of a process as messages, so that a test or a second proxy can send its own.

use std::io;

use tokio::signal::unix;
use tokio::sync::mpsc;

/// Signals that wait to be read; more are the same again.
const WAITING: usize = 16;

/// What somebody tells the process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Signal(pub SignalKind);

/// The signals that mean something here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SignalKind {
    /// SIGTERM: drain and end.
    Terminate,
    /// SIGINT: the same.
    Interrupt,
    /// SIGQUIT: the same.
    Quit,
    /// SIGHUP: for the application; without one, the terminal is gone: drain and end.
    Hangup,
    /// SIGUSR1: for the application.
    User1,
    /// SIGUSR2: for the application.
    User2,
    /// SIGWINCH: for the application.
    WindowChange,
}

impl SignalKind {
    const ALL: [Self; 7] = [
        Self::Terminate,
        Self::Interrupt,
        Self::Quit,
        Self::Hangup,
        Self::User1,
        Self::User2,
        Self::WindowChange,
    ];

    /// Whether it asks the process to end; `wraps`: it has an application.
    pub(super) fn ends(self, wraps: bool) -> bool {
        match self {
            Self::Terminate | Self::Interrupt | Self::Quit => true,
            Self::Hangup => !wraps,
            Self::User1 | Self::User2 | Self::WindowChange => false,
        }
    }

    /// As the application gets it.
    pub(super) fn to_system(self) -> rustix::process::Signal {
        use rustix::process::Signal;
        match self {
            Self::Terminate => Signal::TERM,
            Self::Interrupt => Signal::INT,
            Self::Quit => Signal::QUIT,
            Self::Hangup => Signal::HUP,
            Self::User1 => Signal::USR1,
            Self::User2 => Signal::USR2,
            Self::WindowChange => Signal::WINCH,
        }
    }
}

/// Takes over all of them; to be called on a runtime, which then listens until it ends.
pub(super) fn listen() -> io::Result<mpsc::Receiver<Signal>> {
    let (sender, receiver) = mpsc::channel(WAITING);
    for kind in SignalKind::ALL {
        let raw = unix::SignalKind::from_raw(kind.to_system().as_raw());
        let mut stream = unix::signal(raw)?;
        let sender = sender.clone();
        tokio::spawn(async move {
            while stream.recv().await.is_some() {
                if sender.send(Signal(kind)).await.is_err() {
                    return;
                }
            }
        });
    }
    Ok(receiver)
}

/// Returns when the process is to end, before there is an application.
pub(super) async fn told_to_end(signals: &mut mpsc::Receiver<Signal>) {
    while let Some(Signal(kind)) = signals.recv().await {
        if kind.ends(false) {
            return;
        }
    }
}
