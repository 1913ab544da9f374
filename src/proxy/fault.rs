//! Faults that are put in on purpose: which one a request meets, and how it fails.
//!
//! In go the faults of a service's port; those that are not about this proxy's own identity are left
//! out when the table is built, so that a port without faults costs a request one branch. A request
//! meets the first that it fits; chance says for its delay and for its abort. What only counts
//! (`mode: Shadow`) is counted and passed over.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::names::{Identity, RuleId};
use crate::proxy::head::Head;
use crate::proxy::service::{BuildError, Match, build_match};
use crate::resource::{self, AbortHow, FaultAbort, FaultDelay, FaultSource, PARTS_PER_MILLION};
use crate::telemetry::faults::{FaultCounts, FaultKind, FaultMode};
use crate::telemetry::reason::Reason;

#[cfg(test)]
mod tests;

/// The faults of one port that are about this proxy, in the order in which they are tried.
#[derive(Debug, Default)]
pub struct Faults(Vec<Entry>);

/// A fault that is about this proxy.
#[derive(Debug)]
pub struct Entry {
    /// `FaultPolicy/namespace/name`.
    pub id: RuleId,
    /// Empty: every request.
    matches: Vec<Match>,
    /// They wait.
    pub delay: Option<FaultDelay>,
    /// They fail.
    pub abort: Option<FaultAbort>,
    /// Not from then on; seconds since the Unix epoch.
    pub expires: Option<u64>,
    /// Nothing happens, it is only counted.
    pub shadow: bool,
}

/// What is put in at one request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Injected {
    /// `FaultPolicy/namespace/name`.
    pub id: RuleId,
    /// It waits.
    pub delay: Option<Duration>,
    /// Then it fails.
    pub abort: Option<AbortHow>,
}

/// What a fault depends on beside the request.
pub struct Chance<'a> {
    /// Seconds since the Unix epoch; asked only where a fault expires.
    pub now: &'a dyn Fn() -> u64,
    /// A number below a million, each as likely.
    pub random: &'a dyn Fn() -> u32,
    /// What was put in, and what would have been.
    pub counts: &'a FaultCounts,
}

impl Faults {
    /// Those of `faults` whose calls are those of `me`. `field` is where they stand in the resource.
    ///
    /// # Errors
    /// [`BuildError`] names the field that this proxy cannot honour, whoever it is about.
    pub fn build(
        faults: &[resource::Fault],
        me: &Identity,
        field: &str,
    ) -> Result<Self, BuildError> {
        let mut entries = Vec::new();
        for (index, fault) in faults.iter().enumerate() {
            let mut matches = Vec::with_capacity(fault.matches.len());
            for (at, found) in fault.matches.iter().enumerate() {
                let field = format!("{field}[{index}].matches[{at}]");
                matches.push(build_match(found, 1, &field)?);
            }
            if is_about(&fault.from, me) {
                entries.push(Entry {
                    id: fault.id.clone(),
                    matches,
                    delay: fault.delay,
                    abort: fault.abort,
                    expires: fault.expires,
                    shadow: fault.shadow,
                });
            }
        }
        Ok(Self(entries))
    }

    /// Whether no request meets any.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What is put in at a request, on this machine's clock and by its chance.
    pub fn meet(&self, head: &impl Head, counts: &FaultCounts) -> Option<Box<Injected>> {
        let now = || SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let random = || fastrand::u32(..PARTS_PER_MILLION);
        self.put_in(head, &Chance { now: &now, random: &random, counts })
    }

    /// Those that `head` fits at `now` (seconds since the Unix epoch), in the order in which they are
    /// tried; the first that is not a shadow is the one that is put in.
    pub fn fitting(&self, head: &impl Head, now: u64) -> Vec<&Entry> {
        self.0.iter().filter(|entry| entry.fits(head, &|| now)).collect()
    }

    fn put_in(&self, head: &impl Head, chance: &Chance<'_>) -> Option<Box<Injected>> {
        for entry in self.0.iter().filter(|entry| entry.fits(head, chance.now)) {
            let injected = entry.draw(chance);
            let mode = if entry.shadow { FaultMode::Shadow } else { FaultMode::Enforce };
            for kind in injected.kinds() {
                chance.counts.count(&entry.id, kind, mode);
            }
            if !entry.shadow {
                return injected.kinds().next().is_some().then(|| Box::new(injected));
            }
        }
        None
    }
}

impl Entry {
    fn fits(&self, head: &impl Head, now: &dyn Fn() -> u64) -> bool {
        let matches = self.matches.is_empty() || self.matches.iter().any(|it| it.matches(head));
        matches && self.expires.is_none_or(|expires| now() < expires)
    }

    fn draw(&self, chance: &Chance<'_>) -> Injected {
        let hit = |ppm| (chance.random)() < ppm;
        Injected {
            id: self.id.clone(),
            delay: self.delay.filter(|delay| hit(delay.ppm)).map(|delay| delay.duration),
            abort: self.abort.filter(|abort| hit(abort.ppm)).map(|abort| abort.how),
        }
    }
}

impl Injected {
    fn kinds(&self) -> impl Iterator<Item = FaultKind> + use<> {
        let delay = self.delay.map(|_| FaultKind::Delay);
        delay.into_iter().chain(self.abort.map(|_| FaultKind::Abort))
    }

    /// What becomes of a request that may take `limit`: how long it waits, and how it ends then;
    /// `None`: it is sent.
    pub fn course(&self, limit: Option<Duration>) -> (Duration, Option<Reason>) {
        let delay = self.delay.unwrap_or_default();
        match limit {
            Some(limit) if limit <= delay => (limit, Some(Reason::RequestTimeout)),
            _ => (delay, self.abort.map(|_| Reason::FaultInjected)),
        }
    }
}

/// Nobody named is everybody. The identities are those of the mesh's own trust domain, as `me` is.
fn is_about(from: &[FaultSource], me: &Identity) -> bool {
    let named = |source: &FaultSource| match source {
        FaultSource::Identity(namespace, account) => {
            *namespace == me.namespace && *account == me.service_account
        }
        FaultSource::Namespace(namespace) => *namespace == me.namespace,
    };
    from.is_empty() || from.iter().any(named)
}

/// The HTTP status of a call that fails in that way; 0 where none is sent. Of a gRPC code that of
/// `google.rpc.Code`, but for what it has outside of the standard (499).
pub fn status(how: AbortHow) -> u16 {
    match how {
        AbortHow::Status(status) => status,
        AbortHow::Reset => 0,
        AbortHow::Grpc(code) => match code {
            1 => 408,
            3 | 9 | 11 => 400,
            4 => 504,
            5 => 404,
            6 | 10 => 409,
            7 => 403,
            8 => 429,
            12 => 501,
            14 => 503,
            16 => 401,
            _ => 500,
        },
    }
}
