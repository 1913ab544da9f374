//! How long a proxy that has been started waits before it says that it is ready: for its configuration,
//! for its application, and until the mesh counts on it. One that takes the place of another is
//! stricter, because that one serves well meanwhile.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::time::timeout;

use super::{Config, RunError};
use crate::net::backoff::Backoff;
use crate::proxy::control::Order;
use crate::proxy::handover::{Older, TakeOverError};
use crate::proxy::view::Status;

/// How long a fresh proxy waits for the mesh's settings before it says that it is ready.
const FIRST_CONFIGURATION: Duration = Duration::from_secs(5);

/// How long a fresh proxy waits until the mesh counts on it before it says that it is ready.
const ANNOUNCEMENT: Duration = Duration::from_secs(1);

/// How long the application may take to take one connection.
const CONNECTION: Duration = Duration::from_secs(1);

/// The first wait between two looks at the application is shorter than this.
const FIRST_LOOK: Duration = Duration::from_millis(10);

/// … and the longest than this: for so long callers go without somebody who could answer.
const LONGEST_LOOK: Duration = Duration::from_millis(50);

/// How long one that takes the place of another may take until it has all that the other one has.
const PREPARATION: Duration = Duration::from_secs(10);

/// Waits for the mesh's settings: in a pod without end, because to end would only be to begin again.
pub(super) async fn configured(
    config: &Config,
    status: &mut watch::Receiver<Status>,
    refused: &watch::Receiver<Option<String>>,
) -> Result<(), RunError> {
    let mut configured = std::pin::pin!(status.wait_for(|status| status.configured));
    if timeout(FIRST_CONFIGURATION, configured.as_mut()).await.is_ok() {
        return Ok(());
    }
    let refused = refused.borrow().clone();
    match (config.is_pod(), refused) {
        (true, why) => {
            tracing::warn!(why, "no configuration yet; waiting for the control plane");
            let _ = configured.await;
        }
        (false, Some(why)) => return Err(RunError::Refused(why)),
        (false, None) => {
            tracing::warn!(
                "no configuration yet: what is outside of the mesh is refused until then"
            );
        }
    }
    Ok(())
}

/// The application, where it does not listen yet and the mesh is not to count on it before it does. In a
/// pod that is the kubelet's business, and who takes the place of another is counted on already.
pub(super) async fn unheard(config: &Config, succeeds: bool) -> Option<SocketAddr> {
    let app = config.app.filter(|_| !config.is_pod() && !succeeds && !config.app_wait.is_zero())?;
    // What is started later cannot listen now; whoever does has taken its port.
    if config.command.is_empty() {
        if listens(app).await {
            return None;
        }
        tracing::info!(%app, "the application does not listen yet: no calls are sent here until it does");
    }
    Some(app)
}

/// Waits until the application listens, but not for ever: that it is late is for callers to see then.
pub(super) async fn listening(app: SocketAddr, within: Duration) {
    let mut backoff = Backoff::new(FIRST_LOOK, LONGEST_LOOK);
    let heard = async {
        while !listens(app).await {
            tokio::time::sleep(backoff.fail(fastrand::u64(..))).await;
        }
    };
    if timeout(within, heard).await.is_err() {
        tracing::warn!(%app, ?within, "the application does not listen yet: calls are sent here all the same");
    }
}

async fn listens(app: SocketAddr) -> bool {
    matches!(timeout(CONNECTION, connect(app)).await, Ok(Ok(_)))
}

/// Connects from another port than the one that is asked: where nobody listens on that, the system may else
/// choose it for this end too, and a connection to itself would be taken for the application, in whose way it is.
async fn connect(app: SocketAddr) -> io::Result<TcpStream> {
    let (socket, any) = match app {
        SocketAddr::V4(_) => (TcpSocket::new_v4()?, IpAddr::from(Ipv4Addr::UNSPECIFIED)),
        SocketAddr::V6(_) => (TcpSocket::new_v6()?, IpAddr::from(Ipv6Addr::UNSPECIFIED)),
    };
    socket.bind((any, 0).into())?;
    if socket.local_addr()?.port() == app.port() {
        return Err(io::ErrorKind::ConnectionRefused.into());
    }
    socket.connect(app).await
}

/// Everything listens: waits until the mesh counts on us, because whoever sees the ready file calls
/// at once. Without a control plane nobody new could learn of us.
pub(super) async fn announced(orders: &mpsc::Sender<Order>, mut status: watch::Receiver<Status>) {
    let _ = orders.send(Order::Serving).await;
    let announced = status.wait_for(|status| status.announced || !status.connected);
    let _ = timeout(ANNOUNCEMENT, announced).await;
}

/// Waits until this process is as good as the older one: registered and configured by the control plane,
/// or, where that is away for both, configured by what was good last.
pub(super) async fn prepared(
    older: &Older,
    status: &mut watch::Receiver<Status>,
    refused: &watch::Receiver<Option<String>>,
) -> Result<(), RunError> {
    let is_good = |status: &Status| status.configured && (status.announced || !older.connected);
    if timeout(PREPARATION, status.wait_for(is_good)).await.is_ok() {
        return Ok(());
    }
    Err(match refused.borrow().clone() {
        Some(why) => RunError::Refused(why),
        None if status.borrow().configured => TakeOverError::Disconnected.into(),
        None => TakeOverError::NotConfigured(PREPARATION).into(),
    })
}
