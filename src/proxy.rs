//! The data plane: one file per stage of a request, named after it.
//!
//! Accept (`captured`) → detect → `inbound` or `outbound` → route (`service`) → choose an endpoint
//! (`cluster`, `balance`) → take or open a connection (`pool`, `connect`) → forward → record.
//! Nothing on the way of an HTTP/1.1 request takes a lock, sends through a channel, spawns a task
//! or allocates.
//!
//! Beside that way lies what feeds it, on a thread of its own: `directory` (the configuration, a
//! cell per service), `control` (discovery and agent streams), `join`, `last_good`, `admin`,
//! `command`, `ready`, `probes`, `handover` (to a newer process); `run` ties all of it into one process.
//!
//! What goes on at a service is counted in its `circuit` (`budget`, `adaptive`), which every request
//! asks by its `admission`, whatever the protocol. What endpoints answer is told by `flight` and
//! counted in their `vitals`; `ward` brings that before the machine in `ejection`, and `warden` looks
//! at the time and asks endpoints how they are (`health`). `overload` sheds load before memory or
//! descriptors run out.

pub mod adaptive;
pub mod admin;
pub mod admission;
pub mod alarm;
pub mod balance;
pub mod bell;
pub mod budget;
pub mod captured;
pub mod circuit;
pub mod clock;
pub mod cluster;
pub mod command;
pub mod connect;
pub mod control;
pub mod dataplane;
pub mod decide;
pub mod detect;
pub mod directory;
pub mod ejection;
pub mod exchange;
pub mod fault;
pub mod flight;
pub mod forward;
pub mod h1;
pub mod h2;
pub mod handover;
pub mod head;
pub mod health;
pub mod inbound;
pub mod join;
pub mod last_good;
pub mod outbound;
pub mod overload;
pub mod pool;
pub mod probes;
pub mod pump;
pub mod ready;
pub mod record;
pub mod redirect;
pub mod reply;
pub mod resolve;
pub mod run;
pub mod serve;
pub mod service;
pub mod slots;
pub mod spent;
pub mod stream;
pub mod tcp;
pub mod trace;
pub mod tries;
pub mod view;
pub mod vitals;
pub mod ward;
pub mod warden;
pub mod worker;
