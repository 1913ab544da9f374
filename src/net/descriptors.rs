//! The limit of open descriptors: raised to what the process may have, once, at start.
//!
//! Soft limits are low by default for the sake of `select`, which nothing here uses. What is
//! started as a child (a wrapped application) gets the old limit back from [`Raised::before`].

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// More than this is never asked for: some systems have an infinite hard limit.
const MOST: u64 = 1 << 20;

/// What [`raise`] did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Raised {
    /// The soft limit found.
    pub before: u64,
    /// The soft limit now.
    pub now: u64,
}

/// Raises the soft limit of descriptors to the hard one. Failure is no error: the old limit stays.
pub fn raise() -> Raised {
    let found = getrlimit(Resource::Nofile);
    let before = found.current.unwrap_or(MOST);
    let wanted = found.maximum.unwrap_or(MOST).min(MOST);
    let limit = Rlimit { current: Some(wanted), maximum: found.maximum };
    let now = match wanted > before && setrlimit(Resource::Nofile, limit).is_ok() {
        true => wanted,
        false => before,
    };
    Raised { before, now }
}

/// How many descriptors the process may have now.
pub fn limit() -> u64 {
    getrlimit(Resource::Nofile).current.unwrap_or(MOST)
}
