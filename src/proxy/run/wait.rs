//! How long a proxy that has been started waits before it says that it is ready: for its configuration,
//! and until the mesh counts on it. One that takes the place of another is stricter, because that one
//! serves well meanwhile.

use std::time::Duration;

use tokio::sync::{mpsc, watch};

use super::{Config, RunError};
use crate::proxy::control::Order;
use crate::proxy::handover::{Older, TakeOverError};
use crate::proxy::view::Status;

/// How long a fresh proxy waits for the mesh's settings before it says that it is ready.
const FIRST_CONFIGURATION: Duration = Duration::from_secs(5);

/// How long a fresh proxy waits until the mesh counts on it before it says that it is ready.
const ANNOUNCEMENT: Duration = Duration::from_secs(1);

/// How long one that takes the place of another may take until it has all that the other one has.
const PREPARATION: Duration = Duration::from_secs(10);

/// Waits for the mesh's settings: in a pod without end, because to end would only be to begin again.
pub(super) async fn configured(
    config: &Config,
    status: &mut watch::Receiver<Status>,
    refused: &watch::Receiver<Option<String>>,
) -> Result<(), RunError> {
    let mut configured = std::pin::pin!(status.wait_for(|status| status.configured));
    if tokio::time::timeout(FIRST_CONFIGURATION, configured.as_mut()).await.is_ok() {
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

/// Everything listens: waits until the mesh counts on us, because whoever sees the ready file calls
/// at once. Without a control plane nobody new could learn of us.
pub(super) async fn announced(orders: &mpsc::Sender<Order>, mut status: watch::Receiver<Status>) {
    let _ = orders.send(Order::Serving).await;
    let announced = status.wait_for(|status| status.announced || !status.connected);
    let _ = tokio::time::timeout(ANNOUNCEMENT, announced).await;
}

/// Waits until this process is as good as the older one: registered and configured by the control plane,
/// or, where that is away for both, configured by what was good last.
pub(super) async fn prepared(
    older: &Older,
    status: &mut watch::Receiver<Status>,
    refused: &watch::Receiver<Option<String>>,
) -> Result<(), RunError> {
    let is_good = |status: &Status| status.configured && (status.announced || !older.connected);
    if tokio::time::timeout(PREPARATION, status.wait_for(is_good)).await.is_ok() {
        return Ok(());
    }
    Err(match refused.borrow().clone() {
        Some(why) => RunError::Refused(why),
        None if status.borrow().configured => TakeOverError::Disconnected.into(),
        None => TakeOverError::NotConfigured(PREPARATION).into(),
    })
}
