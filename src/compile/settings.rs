//! Every setting of a policy in the words of its fields: what `describe` tells people.
//!
//! The list has the same fields in the same order whatever the policy says, so that it can be held
//! against that of no policy at all.

use crate::compile::cluster::pool_policy;
use crate::compile::service::limits;
use crate::mesh::TrafficPolicy;
use crate::resource::words::{self, Setting};

/// What holds of calls to a service with that policy, or without any.
pub fn settings(policy: Option<&TrafficPolicy>) -> Vec<Setting> {
    let pool = pool_policy(policy);
    let (timeouts, retry) = limits(policy);
    words::settings(&pool, &timeouts, &retry)
}
