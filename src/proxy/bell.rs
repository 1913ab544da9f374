//! How pools call other threads: workers to close idle connections that somebody waits for, the
//! warden to look at the time again.

use tokio::sync::{Notify, watch};

/// One for all pools of a proxy.
#[derive(Debug, Default)]
pub struct Bell {
    shortage: watch::Sender<()>,
    changed: Notify,
}

impl Bell {
    /// Somebody waits for a connection: whoever keeps idle ones closes those whose
    /// [`Permit::is_waited_for`](super::circuit::Permit::is_waited_for).
    pub fn ring_shortage(&self) {
        self.shortage.send_replace(());
    }

    /// Changes whenever somebody begins to wait; for each worker one.
    pub fn shortages(&self) -> watch::Receiver<()> {
        self.shortage.subscribe()
    }

    /// An endpoint's standing has changed.
    pub fn ring_changed(&self) {
        self.changed.notify_one();
    }

    /// Returns when something has changed since it last did; for one listener, the warden.
    pub async fn changed(&self) {
        self.changed.notified().await;
    }
}
