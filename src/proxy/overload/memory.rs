//! How full the memory is that this process may use: that of its control group (version 2 or 1, and
//! of every group above it), and what `--memory-limit` allows.
//!
//! Of a group, what the kernel can take back at once (files that nobody used lately) does not count,
//! as the kubelet counts it. Reading costs a few small files; nothing is kept open, so it works with
//! no descriptor to spare only after one is free again: the last level stays until then.

use std::fs;
use std::path::{Path, PathBuf};

/// Where control groups are mounted.
const MOUNT: &str = "/sys/fs/cgroup";

/// A limit above this is none (version 1 says so in numbers).
const NO_LIMIT: u64 = 1 << 60;

/// See the head of this file.
#[derive(Debug, Default)]
pub struct Gauge {
    groups: Vec<Group>,
    /// What the process itself may use, bytes.
    own: Option<u64>,
}

/// How full the memory is, thousandths.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fill {
    /// Now.
    pub used: u32,
    /// When those who have just come have taken what they may; not less.
    pub soon: u32,
}

impl Fill {
    /// So full, and nobody has just come.
    pub fn of(used: u32) -> Self {
        Self { used, soon: used }
    }
}

/// A control group with a limit.
#[derive(Debug)]
struct Group {
    directory: PathBuf,
    version: Version,
    limit: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Version {
    One,
    Two,
}

impl Version {
    fn limit(self) -> &'static str {
        match self {
            Self::One => "memory.limit_in_bytes",
            Self::Two => "memory.max",
        }
    }

    fn usage(self) -> &'static str {
        match self {
            Self::One => "memory.usage_in_bytes",
            Self::Two => "memory.current",
        }
    }

    /// The line of `memory.stat` about files that were not used lately.
    fn inactive(self) -> &'static str {
        match self {
            Self::One => "total_inactive_file ",
            Self::Two => "inactive_file ",
        }
    }
}

impl Gauge {
    /// Of this process: its control groups, and `limit` bytes for itself where that is given.
    pub fn of_process(limit: Option<u64>) -> Self {
        let membership = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
        Self { groups: groups(Path::new(MOUNT), &membership), own: limit }
    }

    /// Whether there is anything to measure against.
    pub fn is_limited(&self) -> bool {
        self.own.is_some() || !self.groups.is_empty()
    }

    /// How full the fullest is, and when `coming` bytes more are used; `None` where nothing can be read.
    pub fn fill(&self, coming: u64) -> Option<Fill> {
        let groups = self.groups.iter().filter_map(|group| Some((group.usage()?, group.limit)));
        let own = self.own.and_then(|limit| Some((resident()?, limit)));
        let all = groups.chain(own).map(|(used, limit)| Fill {
            used: share(used, limit),
            soon: share(used.saturating_add(coming), limit),
        });
        all.reduce(|one, other| Fill {
            used: one.used.max(other.used),
            soon: one.soon.max(other.soon),
        })
    }
}

impl Group {
    fn usage(&self) -> Option<u64> {
        let usage = number(&self.directory.join(self.version.usage()))?;
        let stat = fs::read_to_string(self.directory.join("memory.stat")).unwrap_or_default();
        let inactive = stat.lines().find_map(|line| line.strip_prefix(self.version.inactive()));
        let inactive = inactive.and_then(|text| text.trim().parse().ok()).unwrap_or(0);
        Some(usage.saturating_sub(inactive))
    }
}

/// The groups with a limit that `membership` (`/proc/self/cgroup`) names, from its own up to `mount`.
fn groups(mount: &Path, membership: &str) -> Vec<Group> {
    let mut found = Vec::new();
    for line in membership.lines() {
        let mut parts = line.splitn(3, ':');
        let (Some(_), Some(controllers), Some(path)) = (parts.next(), parts.next(), parts.next())
        else {
            continue;
        };
        let (version, root) = match controllers {
            "" => (Version::Two, mount.to_owned()),
            _ if controllers.split(',').any(|one| one == "memory") => {
                (Version::One, mount.join("memory"))
            }
            _ => continue,
        };
        // In a container the path may be that of the host, which is not there: then the mount is it.
        let own = root.join(path.trim_start_matches('/'));
        let own = if own.is_dir() { own } else { root.clone() };
        for directory in own.ancestors().take_while(|one| one.starts_with(&root)) {
            let limit = number(&directory.join(version.limit()));
            if let Some(limit) = limit.filter(|limit| (1..NO_LIMIT).contains(limit)) {
                found.push(Group { directory: directory.to_owned(), version, limit });
            }
        }
    }
    found
}

/// The number that a file holds; `None` for `max`, and where there is none.
fn number(path: &Path) -> Option<u64> {
    fs::read_to_string(path).ok()?.trim().parse().ok()
}

/// Bytes of this process that are in memory.
fn resident() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: u64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(kib.saturating_mul(1024))
}

fn share(used: u64, limit: u64) -> u32 {
    let share = u128::from(used) * 1_000 / u128::from(limit.max(1));
    u32::try_from(share).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests;
