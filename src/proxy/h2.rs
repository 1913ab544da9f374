//! HTTP/2: one task per connection, one per stream.

use std::rc::Rc;
use std::time::Duration;

use crate::proxy::serve::Origin;
use crate::proxy::stream::Side;
use crate::proxy::worker::Worker;

/// Shared connections to endpoints.
#[derive(Debug, Default)]
pub struct Http2Pool {}

impl Http2Pool {
    /// Closes what is too old.
    pub fn sweep(&mut self, _now: Duration) {}
}

/// Serves a client that speaks HTTP/2.
pub async fn serve(_worker: Rc<Worker>, _side: Side, _origin: Origin, _life: Duration) {}
