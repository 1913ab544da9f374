//! Asking one proxy: a command goes down its agent stream, and its answer is waited for.
//!
//! The stream itself pairs answers with questions; here is only how long one waits, and why there
//! is no answer.

use std::time::Duration;

use tokio::sync::oneshot;

use crate::control::plane::Plane;
use crate::control::proxies::Ask;
use crate::names::ProxyId;
use crate::xds::agent::command;

/// Tells a proxy to do something, and waits for its answer.
///
/// # Errors
/// Why there is none, for people.
pub(in crate::control) async fn ask(
    plane: &Plane,
    id: &ProxyId,
    action: command::Action,
    patience: Duration,
) -> Result<String, AskError> {
    let asks = {
        let board = plane.board.lock();
        let proxy = board.proxies.get(id).ok_or(AskError::Unknown)?;
        proxy.agent.as_ref().ok_or(AskError::Away)?.asks.clone()
    };
    let (answer, answered) = oneshot::channel();
    let wait = async {
        asks.send(Box::new(Ask { action, answer })).await.map_err(|_| AskError::Away)?;
        answered.await.map_err(|_| AskError::Away)?.map_err(AskError::Failed)
    };
    tokio::time::timeout(patience, wait).await.map_err(|_| AskError::Late(patience))?
}

/// Why a proxy did not answer a command.
#[derive(Debug, thiserror::Error)]
pub(in crate::control) enum AskError {
    #[error("none of that name is registered")]
    Unknown,
    #[error("it is disconnected")]
    Away,
    #[error("it did not answer within {} s", .0.as_secs())]
    Late(Duration),
    #[error("{0}")]
    Failed(String),
}
