//! A connection as a task of its worker, from its beginning to its end.

use std::rc::Rc;

use tokio::net::TcpStream;

use super::{Arrival, Role};
use crate::proxy::serve::{self, Connection};
use crate::proxy::stream::{Side, Stream};
use crate::proxy::worker::{Presence, Worker};
use crate::proxy::{captured, inbound, outbound, tcp};

#[cfg(test)]
mod tests;

/// Begins to serve a connection in a task of its own.
pub(super) fn begin(worker: &Rc<Worker>, arrival: Arrival) {
    let presence = worker.enter();
    let Arrival { stream, role } = arrival;
    if let Ok(tcp) = TcpStream::from_std(stream) {
        tokio::task::spawn_local(task(Rc::clone(worker), presence, (tcp, role)));
    }
}

/// A connection from its beginning to its end.
fn task(
    worker: Rc<Worker>,
    presence: Presence,
    (tcp, role): (TcpStream, Role),
) -> impl Future<Output = Option<()>> {
    let panics = worker.shared.metrics.panics.clone();
    // Boxed: what is over soon must not make every idle connection larger.
    let arriving = Box::pin(arrive(worker, tcp, role));
    panics.contain("a connection", async move {
        let _presence = presence;
        if let Some(connection) = arriving.await {
            serve::serve(connection).await;
        }
    })
}

/// A connection that speaks HTTP/1.1, to be served; any other was served to its end.
async fn arrive(worker: Rc<Worker>, tcp: TcpStream, role: Role) -> Option<Box<Connection>> {
    match role {
        Role::Inbound => {
            let app = worker.app.clone();
            inbound::arrive(worker, tcp, app).await
        }
        Role::CapturedInbound => captured::arrive_inbound(worker, tcp).await,
        Role::CapturedOutbound => captured::arrive_outbound(worker, tcp).await,
        Role::Outbound => outbound::arrive(worker, Side::new(Stream::Plain(tcp))).await,
        Role::Upstream(service, port) => {
            tcp::arrive_upstream(worker, Side::new(Stream::Plain(tcp)), service, port).await
        }
    }
}
