//! Whose place a proxy takes that is to take one, found by the lock of its directory.

use std::time::SystemTime;

use super::{Config, RunError, place};
use crate::names::ProxyId;
use crate::proxy::handover::{Claim, Inherited, Patience, take_over};

/// Which workload a proxy of this configuration stands for.
pub(super) fn claim(config: &Config, proxy: &ProxyId) -> Claim {
    Claim {
        proxy: proxy.to_string(),
        service: config.service.to_string(),
        service_account: config.service_account.to_string(),
    }
}

/// The proxies that run in this home and could be the one that `config` means: that of its name, or all
/// of its service and version.
pub fn running(config: &Config) -> Vec<ProxyId> {
    place::running(config)
}

/// Asks the one proxy that `config` means for its place; `None` where none runs. Blocks, for seconds at
/// most. What comes back is for [`run`](super::run); dropped, the other one goes on as before.
///
/// # Errors
/// Several could be meant, or the one does not hand over.
pub fn ask(config: &Config) -> Result<Option<Inherited>, RunError> {
    let proxies = running(config);
    let proxy = match proxies.as_slice() {
        [] => return Ok(None),
        [proxy] => proxy,
        _ => return Err(RunError::Several(proxies)),
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| RunError::System("ask the proxy that runs", error))?;
    let directory = place::directory(config, proxy);
    let whose = (proxy, claim(config, proxy));
    let asking = take_over(whose, &directory, SystemTime::now(), Patience::STANDARD);
    let taken = runtime.block_on(asking);
    Ok(Some(taken?))
}
