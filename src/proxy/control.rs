//! The control thread: discovery and agent streams, renewal, last good configuration.
//!
//! One loop owns all of it; it never blocks the data plane, which reads the [`Directory`]. Goes in:
//! names that requests asked for, messages of the control plane, [`Order`]s of `run`. Comes out:
//! what is in use, acknowledged; reports; a renewed certificate. Without a control plane the loop
//! goes on and tries again with full jitter up to `LONGEST_RETRY`, longer only when asked to.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use tokio::sync::{mpsc, watch};
use tokio::task::{self, JoinSet};

use crate::certs::Tls;
use crate::net::backoff::Backoff;
use crate::net::causes::chain;
use crate::resource::{Key, Resource};
use crate::xds::agent::{self, Up, up};
use crate::xds::subscription::Subscription;

use super::directory::{Directory, Loader};
use super::handover::ProcessId;
use super::join::{Applicant, JoinError, Joined};
use super::last_good::{Keeper, LastGood, Names};
use super::view::{Status, View};
use answers::Answers;
use link::{Link, LinkError};
use renewal::Renewal;
pub use reports::{Registration, Serves};
use succession::Standing;

mod agency;
mod answers;
mod certificate;
mod connection;
mod discovery;
mod link;
mod pools;
mod renewal;
mod reports;
mod succession;
#[cfg(test)]
mod tests;

/// The longest wait between two tries to connect.
const LONGEST_RETRY: Duration = Duration::from_secs(1);

/// The first wait is shorter than this.
const FIRST_RETRY: Duration = Duration::from_millis(100);

/// How often what depends on time is looked at.
const TICK: Duration = Duration::from_millis(250);

/// How often metrics go up.
const REPORT: Duration = Duration::from_secs(1);

/// How long the last words may take.
const FAREWELL: Duration = Duration::from_millis(500);

/// What `run` tells the control thread.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// Everything listens, and whoever calls is answered.
    Serving,
    /// A newer process is about to register as this proxy; that one speaks for it from now on.
    Yield(ProcessId),
    /// That process is gone: this one is the proxy again.
    Resume(ProcessId),
    /// Take no new work: the endpoint is to be removed now.
    Drain,
    /// Say goodbye and end.
    Leave,
}

/// What the control thread is made of.
#[derive(Debug)]
pub struct Parts {
    /// Who joins, and where it keeps things.
    pub applicant: Applicant,
    /// How it registers.
    pub registration: Registration,
    /// What it fills.
    pub directory: Arc<Directory>,
    /// What others see of it.
    pub view: View,
    /// Where it says how it is.
    pub status: watch::Sender<Status>,
    /// Where the control plane is, `address:port`; the home directory has a newer word on it.
    pub control_plane: String,
    /// Where it says why the control plane does not take it, while that is so.
    pub refusal: watch::Sender<Option<String>>,
}

/// Something that was done beside the loop.
enum Done {
    Opened(Result<Box<Link>, LinkError>),
    Renewed(Result<Box<Joined>, JoinError>),
    Written(std::io::Result<()>),
    /// One of the above panicked.
    Panicked(task::Id),
}

/// See the head of this file.
pub struct Control {
    applicant: Applicant,
    registration: Registration,
    directory: Arc<Directory>,
    view: View,
    tls: Arc<Tls>,
    status: watch::Sender<Status>,
    refusal: watch::Sender<Option<String>>,
    control_plane: String,
    loader: Loader,
    subscription: Subscription,
    answers: Answers,
    keeper: Keeper,
    renewal: Renewal,
    agency: agency::Agency,
    standing: Standing,
    link: Option<Box<Link>>,
    /// The job that opens a link, and that which renews the certificate.
    opening: Option<task::Id>,
    renewing: Option<task::Id>,
    retry_at: tokio::time::Instant,
    backoff: Backoff,
    jobs: JoinSet<Done>,
}

/// What woke the loop.
enum Event {
    Order(Option<Order>),
    Wanted,
    Tick,
    Retry,
    Done(Done),
    Link(Box<link::Message>),
    Spans,
}

impl Control {
    /// Nothing is connected yet; [`Control::restore`] may follow, then [`Control::run`].
    pub fn new(parts: Parts, now: Instant) -> Self {
        let Parts { applicant, registration, directory, view, status, control_plane, refusal } =
            parts;
        let tls = Arc::clone(&view.tls);
        let credentials = tls.credentials();
        let keeper = Keeper::new(
            &applicant.directory,
            applicant.proxy.clone(),
            credentials.identity().clone(),
            Arc::clone(&view.accepted),
            now,
        );
        Self {
            loader: Loader::new(Arc::clone(&directory), now),
            renewal: Renewal::new(&credentials, fastrand::u64(..)),
            subscription: Subscription::new(),
            answers: Answers::default(),
            agency: agency::Agency::default(),
            standing: Standing::of(&registration),
            link: None,
            opening: None,
            renewing: None,
            retry_at: tokio::time::Instant::now(),
            backoff: Backoff::new(FIRST_RETRY, LONGEST_RETRY),
            jobs: JoinSet::new(),
            applicant,
            registration,
            directory,
            view,
            tls,
            status,
            refusal,
            control_plane,
            keeper,
        }
    }

    /// Begins with what the run before had.
    pub fn restore(&mut self, last_good: LastGood, now: Instant) {
        for name in &last_good.services {
            self.loader.want(name, now);
        }
        for name in &last_good.not_services {
            self.loader.want(name, now);
            self.loader.gone(&Key::service(name), now);
        }
        for &address in &last_good.outside {
            self.loader.want_address(address, now);
            self.loader.gone(&Key::address(address), now);
        }
        for &ip in &last_good.outside_hosts {
            self.loader.want_host(ip, now);
            self.loader.gone(&Key::host(ip), now);
        }
        for (resource, encoded) in last_good.resources {
            match &resource {
                Resource::Address(found) => self.loader.want_address(found.address, now),
                Resource::Host(host) => self.loader.want_host(host.ip, now),
                _ => {}
            }
            let ticket = self.answers.recall(encoded);
            self.offer(resource, ticket, now);
        }
        if self.control_plane.is_empty() {
            self.control_plane = last_good.control_plane;
        }
        self.act();
        self.status.send_modify(|status| status.last_good = true);
    }

    /// Runs until [`Order::Leave`], or until whoever gives orders is gone.
    pub async fn run(mut self, mut orders: mpsc::Receiver<Order>) {
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            self.act();
            match self.next(&mut orders, &mut tick).await {
                Event::Order(Some(Order::Serving)) => self.serve(),
                Event::Order(Some(Order::Yield(newer))) => self.yield_to(newer),
                Event::Order(Some(Order::Resume(newer))) => self.resume_from(newer),
                Event::Order(Some(Order::Drain)) => {
                    self.status.send_modify(|status| status.draining = true);
                }
                Event::Order(Some(Order::Leave) | None) => break,
                Event::Wanted => {
                    let now = Instant::now();
                    for name in self.directory.take_wanted() {
                        self.loader.want(&name, now);
                    }
                    for address in self.directory.take_wanted_addresses() {
                        self.loader.want_address(address, now);
                    }
                    for ip in self.directory.take_wanted_hosts() {
                        self.loader.want_host(ip, now);
                    }
                }
                Event::Tick => self.on_tick(Instant::now(), SystemTime::now()),
                Event::Retry => self.connect(),
                Event::Done(done) => self.on_done(done),
                Event::Link(message) => self.on_message(*message),
                Event::Spans => self.report_spans(),
            }
        }
        self.leave().await;
    }

    async fn next(
        &mut self,
        orders: &mut mpsc::Receiver<Order>,
        tick: &mut tokio::time::Interval,
    ) -> Event {
        let idle =
            self.link.is_none() && self.opening.is_none() && self.standing != Standing::Yielded;
        tokio::select! {
            order = orders.recv() => Event::Order(order),
            Some(done) = self.jobs.join_next() => match done {
                Ok(done) => Event::Done(done),
                Err(panic) => Event::Done(Done::Panicked(panic.id())),
            },
            message = Link::message(&mut self.link), if self.link.is_some() => {
                Event::Link(Box::new(message))
            }
            () = self.directory.wanted() => Event::Wanted,
            () = self.agency.spans_due(&self.view.spans) => Event::Spans,
            () = tokio::time::sleep_until(self.retry_at), if idle => Event::Retry,
            _ = tick.tick() => Event::Tick,
        }
    }

    fn on_tick(&mut self, now: Instant, wall: SystemTime) {
        self.loader.tick(now);
        if self.link.is_some() {
            self.loader.let_go_idle(now);
        }
        let expired = self.renewal.is_expired(wall);
        if expired != self.status.borrow().cert_expired {
            if expired {
                let reason = crate::telemetry::reason::Reason::CertExpired.as_str();
                tracing::error!(reason, "the certificate has expired: nothing gets in or out");
            }
            self.status.send_modify(|status| status.cert_expired = expired);
        }
        // What lies in the directory is the business of one process.
        if self.standing == Standing::Own {
            if self.renewal.begin(wall, now) {
                self.renew(expired);
            }
            if let Some(write) = self.keeper.due(self.names(), now) {
                self.jobs.spawn_blocking(move || Done::Written(write.run()));
            }
        }
        if self.agency.is_due(now, REPORT) {
            self.report();
        }
        self.report_pools(now);
    }

    fn names(&self) -> Names {
        Names {
            services: self.loader.services(),
            not_services: self.loader.not_services(),
            outside: self.loader.outside(),
            outside_hosts: self.loader.outside_hosts(),
        }
    }

    fn on_done(&mut self, done: Done) {
        match done {
            Done::Opened(Ok(link)) => self.connected(link),
            Done::Opened(Err(error)) => {
                self.opening = None;
                self.subscription.end();
                if let LinkError::Refused(status) = &error {
                    self.note_refusal(status);
                }
                self.lost(&error.to_string(), error.pushback());
            }
            Done::Renewed(Ok(joined)) => self.renewed(*joined),
            Done::Renewed(Err(error)) => {
                let why = chain(&error);
                tracing::warn!(error = why, "the certificate was not renewed");
                let at = (SystemTime::now(), Instant::now());
                let refused = !error.is_transient();
                let waiting = self.renewal.failed(refused, at, fastrand::u64(..));
                self.reply_all(&waiting, &Err(why));
            }
            Done::Written(outcome) => {
                if let Err(error) = &outcome {
                    tracing::warn!(%error, "the last good configuration could not be saved");
                }
                self.keeper.written(&outcome);
            }
            Done::Panicked(job) => self.panicked(job),
        }
    }

    /// A job has ended without a word: as if it had failed.
    fn panicked(&mut self, job: task::Id) {
        tracing::error!("a job of the control thread panicked");
        if self.opening == Some(job) {
            self.opening = None;
            self.subscription.end();
            self.lost("opening a connection panicked", None);
        } else if self.renewing == Some(job) {
            let at = (SystemTime::now(), Instant::now());
            let waiting = self.renewal.failed(false, at, fastrand::u64(..));
            self.reply_all(&waiting, &Err("the renewal panicked".to_owned()));
        } else {
            self.keeper.written(&Err(std::io::ErrorKind::Other.into()));
        }
    }

    /// Sends what is left and says goodbye, within [`FAREWELL`]; meanwhile saves what is not saved. Where
    /// another process is the proxy, that one does the rest.
    async fn leave(mut self) {
        self.report();
        if self.standing != Standing::Own {
            return farewell(self.link.take()).await;
        }
        self.send(reports::wrap(up::Message::Goodbye(agent::Goodbye {})));
        let link = self.link.take();
        tokio::join!(farewell(link), self.save());
    }

    /// Ends the jobs beside the loop, all but a write under way, and writes what is left.
    async fn save(&mut self) {
        self.jobs.abort_all();
        while let Some(done) = self.jobs.join_next().await {
            match done {
                Ok(Done::Written(outcome)) => self.keeper.written(&outcome),
                Ok(_) => {}
                Err(_) => self.keeper.written(&Err(std::io::ErrorKind::Interrupted.into())),
            }
        }
        let Some(write) = self.keeper.rest(self.names()) else { return };
        let written = tokio::task::spawn_blocking(move || write.run()).await;
        if let Err(error) = written.unwrap_or_else(|_| Err(std::io::ErrorKind::Other.into())) {
            tracing::warn!(%error, "the last good configuration could not be saved");
        }
    }
}

/// Waits until the control plane has read what was sent.
async fn farewell(link: Option<Box<Link>>) {
    let Some(mut link) = link else { return };
    // The queue is written out once its sender is gone; the other end then ends the stream.
    let (closed, _) = mpsc::channel::<Up>(1);
    drop(std::mem::replace(&mut link.ups, closed));
    let ended = async { while let Ok(Some(_)) = link.downs.message().await {} };
    let _ = tokio::time::timeout(FAREWELL, ended).await;
}
