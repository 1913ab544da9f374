//! `proxy run --capture`: on an ordinary machine, the outbound connections of one user, for as long
//! as the proxy runs.

use clap::Args;

use super::failure;
use crate::cli::exit::Failure;
use crate::net::ports;
use crate::platform::capture::{Capture, hold};
use crate::proxy::handover::Rules;

/// Where user names are looked up.
const USERS: &str = "/etc/passwd";

/// Whose connections are taken.
#[derive(Debug, Clone, Args)]
pub(in crate::cli::proxy) struct UserArgs {
    /// Also take what `--capture-user` sends by TCP, as if it went to `--outbound` [Linux; needs the
    /// capability `NET_ADMIN`].
    #[arg(long, requires = "capture_user", conflicts_with = "captured")]
    capture: bool,
    /// User whose connections are taken, by name or number; not the proxy's own.
    #[arg(long, value_name = "USER", requires = "capture", value_parser = user)]
    capture_user: Option<u32>,
}

impl UserArgs {
    /// Begins to take them, where that is asked for, or goes on as the process before did; until what
    /// comes back is dropped, however the process ends.
    ///
    /// # Errors
    /// The kernel refuses, or they would be the proxy's own.
    pub(in crate::cli::proxy) fn begin(
        &self,
        before: Option<Rules>,
    ) -> Result<Option<Rules>, Failure> {
        let Some(user) = self.capture_user.filter(|_| self.capture) else { return Ok(None) };
        if user == rustix::process::geteuid().as_raw() {
            let what = "`--capture-user` is the user of the proxy, whose own calls cannot be taken";
            return Err(Failure::usage(what)
                .help("run the application as a user of its own, and name that one"));
        }
        if let Some(before) = before.filter(|rules| rules.user == user) {
            return Ok(Some(before));
        }
        let port = ports::listen_quietly()?.local_addr()?.port();
        let rules = hold(&Capture::of_user(user, port)).map_err(failure)?;
        Ok(Some(Rules { user, port, descriptor: rules.into_descriptor()? }))
    }
}

/// A user by number or by name.
fn user(text: &str) -> Result<u32, String> {
    if let Ok(number) = text.parse() {
        return Ok(number);
    }
    let users = std::fs::read_to_string(USERS).map_err(|error| format!("`{USERS}`: {error}"))?;
    numbered(&users, text)
        .ok_or_else(|| format!("there is no user `{text}` in `{USERS}`, its number will do"))
}

/// The number of a user in the text of `/etc/passwd`: the third of the fields between colons.
pub(super) fn numbered(users: &str, name: &str) -> Option<u32> {
    let mut found = users.lines().map(|line| line.split(':'));
    found.find_map(|mut fields| {
        (fields.next() == Some(name)).then(|| fields.nth(1)?.parse().ok())?
    })
}
