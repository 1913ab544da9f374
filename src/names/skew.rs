//! Versions of the two ends of a stream, and how far apart they may be: at most one minor version.
//!
//! Messages only gain fields, so that neighbours understand each other; nobody tests more than that.
//! A version that cannot be read, such as that of a build by hand, is let in.

/// The version of this program.
pub const OWN: &str = env!("CARGO_PKG_VERSION");

/// Minor versions that may lie between two.
const APART: u64 = 1;

/// Two versions that are too far apart.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "version {theirs} is too far from version {ours}: at most one minor version may lie between a proxy and its control plane"
)]
pub struct Skew {
    ours: String,
    theirs: String,
}

/// Whether this program, of version `ours`, works with one of version `theirs`.
///
/// # Errors
/// [`Skew`].
pub fn check(ours: &str, theirs: &str) -> Result<(), Skew> {
    let (Some(one), Some(other)) = (parse(ours), parse(theirs)) else {
        return Ok(());
    };
    match one.0 == other.0 && one.1.abs_diff(other.1) <= APART {
        true => Ok(()),
        false => Err(Skew { ours: ours.to_owned(), theirs: shown(theirs) }),
    }
}

/// A version that somebody else says of itself, short enough and fit to be shown.
pub fn shown(theirs: &str) -> String {
    theirs.chars().take(40).flat_map(char::escape_debug).collect()
}

/// Whether `one` is a later version than `other`; never where either cannot be read.
pub fn is_later(one: &str, other: &str) -> bool {
    let (Some(one), Some(other)) = (parse(one), parse(other)) else { return false };
    one > other
}

/// Major, minor, patch.
fn parse(version: &str) -> Option<(u64, u64, u64)> {
    let plain = version.split(['-', '+']).next()?;
    let mut parts = plain.split('.').map(|part| part.parse().ok());
    let parsed = (parts.next()??, parts.next()??, parts.next()??);
    parts.next().is_none().then_some(parsed)
}
