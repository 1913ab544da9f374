//! What the passing of time does to the configuration: services whose clusters do not come are
//! refused, services that nobody uses are let go, tables out of use are freed.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::{Known, Loader, Slot};
use crate::names::ServiceName;
use crate::resource::Key;

/// A service or address that nobody called for so long is let go. Whoever keeps its cell sees that it is
/// retired; connections under way keep the endpoint that they have.
pub(super) const IDLE: Duration = Duration::from_secs(10 * 60);

/// The same for one that is no service, or about which nothing has been answered.
pub(super) const IDLE_NOTHING: Duration = Duration::from_secs(60);

/// Tables out of use that are waited for; beyond it the last worker frees its own.
const MAX_REPLACED: usize = 1024;

impl Loader {
    /// Does what is due at `now`; to be called every few hundred milliseconds.
    ///
    /// What is idle is not let go here but by [`Loader::let_go_idle`].
    pub fn tick(&mut self, now: Instant) {
        self.directory.clock.store(self.seconds(now), Ordering::Relaxed);
        self.remind(now);
        self.refuse_overdue(now);
        self.replaced.retain(|table| Arc::strong_count(table) > 1);
        let surplus = self.replaced.len().saturating_sub(MAX_REPLACED);
        self.replaced.drain(..surplus);
    }

    /// Whoever waits goes on wishing: only the first of a queue says what it waits for, and under
    /// steady calls a queue never empties. What is asked for is not idle then, and what was turned
    /// away or let go is asked for again.
    fn remind(&mut self, now: Instant) {
        // Who waits is looked up first: a queue is not held while anything is done about it.
        let names = self.directory.waiting.lock().names();
        let addresses = self.directory.addresses.waiting.lock().names();
        let hosts = self.directory.hosts.waiting.lock().names();
        names.iter().for_each(|name| self.want(name, now));
        addresses.into_iter().for_each(|address| self.want_address(address, now));
        hosts.into_iter().for_each(|ip| self.want_host(ip, now));
    }

    /// The services somebody uses, in order; what a restart asks for at once.
    pub fn services(&self) -> Vec<ServiceName> {
        let mut names: Vec<_> = self.slots.keys().cloned().collect();
        names.sort_unstable();
        names
    }

    /// The names that are known to be no service, in order.
    pub fn not_services(&self) -> Vec<ServiceName> {
        let nothing = |(name, known): (&ServiceName, &Known)| {
            matches!(known, Known::Nothing(_)).then(|| name.clone())
        };
        let mut names: Vec<_> = self.known.iter().filter_map(nothing).collect();
        names.sort_unstable();
        names
    }

    fn refuse_overdue(&mut self, now: Instant) {
        let overdue = |slot: &Slot| {
            let staged = slot.staged.as_ref()?;
            staged.deadline.filter(|deadline| *deadline <= now)?;
            Some(self.pools.missing(&staged.needs))
        };
        let overdue: Vec<_> = self
            .slots
            .iter()
            .filter_map(|(name, slot)| Some((name.clone(), overdue(slot)?)))
            .collect();
        for (name, missing) in overdue {
            self.refuse_staged(&name, format!("no answer about the cluster {missing}"));
        }
    }

    /// Lets go of what nobody called for long. Not for times without a control plane: what is let
    /// go then could not be asked for again.
    pub fn let_go_idle(&mut self, now: Instant) {
        self.let_go_idle_addresses(now);
        let idle: Vec<_> =
            self.slots.keys().filter(|name| self.is_idle(name, now)).cloned().collect();
        for name in idle {
            self.let_go(&name);
        }
    }

    fn is_idle(&self, name: &ServiceName, now: Instant) -> bool {
        let since =
            |second: u32| Duration::from_secs(u64::from(self.seconds(now).saturating_sub(second)));
        match self.known.get(name) {
            Some(Known::Service(cell)) => since(cell.last_used.load(Ordering::Relaxed)) >= IDLE,
            Some(Known::Nothing(used)) => since(used.load(Ordering::Relaxed)) >= IDLE_NOTHING,
            None => {
                let asked = self.slots.get(name).map(|slot| slot.asked);
                asked.is_some_and(|asked| now.saturating_duration_since(asked) >= IDLE_NOTHING)
            }
        }
    }

    fn let_go(&mut self, name: &ServiceName) {
        self.unstage(name, &Ok(()));
        let Some(slot) = self.slots.remove(name) else { return };
        let own = slot.own.map(|_| Key::service_for(name, &self.directory.namespace));
        for key in [Key::service(name)].into_iter().chain(own) {
            self.effects.push(super::Effect::Unsubscribe(key));
        }
        self.put(name, None);
        self.release(&slot.uses);
    }

    /// Lets go of the name that is no service and was not asked for the longest; whether there
    /// was one.
    pub(super) fn make_room(&mut self) -> bool {
        let nothing = |(name, known): (&ServiceName, &Known)| match known {
            Known::Nothing(used) => Some((used.load(Ordering::Relaxed), name.clone())),
            Known::Service(_) => None,
        };
        let oldest = self.known.iter().filter_map(nothing).min();
        match oldest {
            Some((_, name)) => {
                self.let_go(&name);
                true
            }
            None => false,
        }
    }
}
