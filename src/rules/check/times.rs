//! Times of a route's rule, with what the called service's policy adds to them: whether what is to
//! happen fits into them.
//!
//! What stands in one document contradicts itself there already; here the parts come from two.

use crate::mesh::{HttpRoute, RouteRule, TrafficPolicy};
use crate::rules::ParsedObject;
use crate::rules::check::Check;
use crate::rules::codes;
use crate::rules::values::show;

impl Check<'_> {
    pub(super) fn times(&mut self, object: &ParsedObject, route: &HttpRoute) {
        for (index, rule) in route.rules.iter().enumerate() {
            let own = [rule.request_timeout, rule.backend_request_timeout];
            if own == [None, None] && rule.retry.is_none() {
                continue;
            }
            let fault = route.parents.iter().find_map(|parent| {
                let policy = self.after.policy_of(&parent.service);
                fault(rule, policy.as_deref())
            });
            if let Some((field, message)) = fault {
                let field = format!("spec.rules[{index}]{field}");
                self.warn(object, codes::SHORT_TIMEOUT, field, message);
            }
        }
    }
}

/// What does not fit, and the field of the rule at which to say so.
fn fault(rule: &RouteRule, policy: Option<&TrafficPolicy>) -> Option<(&'static str, String)> {
    let whole = rule.request_timeout.unwrap_or(policy.and_then(|it| it.request_timeout))?;
    let one = rule.backend_request_timeout.unwrap_or(policy.and_then(|it| it.try_timeout))?;
    let field = match (rule.request_timeout, rule.backend_request_timeout) {
        (Some(_), _) => ".timeouts.request",
        (None, Some(_)) => ".timeouts.backendRequest",
        (None, None) => ".retry",
    };
    let by = |own: bool| match (own, policy) {
        (false, Some(policy)) => format!(" of `{}`", policy.reference()),
        _ => String::new(),
    };
    let whole_by = by(rule.request_timeout.is_some());
    let one_by = by(rule.backend_request_timeout.is_some());
    if one > whole {
        let message = format!(
            "one try may take {}{one_by}, the whole request only {}{whole_by}",
            show(one),
            show(whole)
        );
        return Some((field, message));
    }
    let repeated = policy.and_then(|policy| policy.retry.as_ref());
    let attempts = match &rule.retry {
        Some(own) => own.over(repeated).attempts,
        None => repeated?.attempts,
    };
    let tries = attempts.saturating_add(1);
    (attempts > 0 && one.saturating_mul(tries) > whole).then(|| {
        let message = format!(
            "{tries} tries of {} each{one_by}, and the waits between them, do not fit into {}{whole_by}",
            show(one),
            show(whole)
        );
        (field, message)
    })
}
