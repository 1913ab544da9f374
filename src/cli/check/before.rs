//! What an installation needs of this machine.

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use rustix::process::{Resource, getrlimit};

use super::Finding;
use crate::control::home::Home;

/// A proxy with fewer descriptors refuses connections early.
const DESCRIPTORS: u64 = 1024;
/// What the path of a Unix socket may have at most, `sun_path` less the final NUL.
const SOCKET_PATH_MAX: usize = 107;

pub(super) fn checks(home: &Path) -> Vec<Finding> {
    vec![private(home), socket_path(home), loopback(), descriptors(), only_program()]
}

/// The home directory is ours alone, or can be made.
fn private(home: &Path) -> Finding {
    let name = format!("the home directory `{}` is private and writable", home.display());
    let Ok(meta) = std::fs::symlink_metadata(home) else {
        let above = home.ancestors().skip(1).find(|dir| dir.exists());
        let writable = above.is_some_and(|dir| {
            rustix::fs::access(dir, rustix::fs::Access::WRITE_OK | rustix::fs::Access::EXEC_OK)
                .is_ok()
        });
        return match (writable, above) {
            (true, _) => {
                Finding::passed(format!("the home directory `{}` can be created", home.display()))
            }
            (false, Some(dir)) => Finding::failed(
                name,
                format!("it is not there, and `{}` is not writable", dir.display()),
                "choose another directory with `--home` or `MESHCTL_HOME`",
            ),
            (false, None) => {
                Finding::failed(name, "it cannot be created", "choose another with `--home`")
            }
        };
    };
    let user = rustix::process::getuid().as_raw();
    let mode = meta.mode() & 0o7777;
    match () {
        () if !meta.is_dir() => {
            Finding::failed(name, "it is not a directory", "choose another directory with `--home`")
        }
        () if meta.uid() != user => Finding::failed(
            name,
            format!("it belongs to user {}, not to user {user}", meta.uid()),
            "run as that user, or choose another directory with `--home`",
        ),
        () if mode & 0o077 != 0 => Finding::failed(
            name,
            format!("its mode is {mode:04o}, others could get at its keys"),
            &format!("chmod 700 {}", home.display()),
        ),
        () => Finding::passed(name),
    }
}

fn socket_path(home: &Path) -> Finding {
    let name = "sockets in the home directory have a path that the system takes";
    let length = Home::new(home).admin_socket().as_os_str().len();
    match length <= SOCKET_PATH_MAX {
        true => Finding::passed(name),
        false => Finding::failed(
            name,
            format!("it has {length} bytes, at most {SOCKET_PATH_MAX} are possible"),
            "choose a shorter directory with `--home`",
        ),
    }
}

fn loopback() -> Finding {
    let name = "programs can listen on 127.0.0.1";
    match std::net::TcpListener::bind(("127.0.0.1", 0)) {
        Ok(_) => Finding::passed(name),
        Err(error) => Finding::failed(name, error.to_string(), "bring the loopback interface up"),
    }
}

fn descriptors() -> Finding {
    let name = format!("a process may have {DESCRIPTORS} files and connections");
    match getrlimit(Resource::Nofile).maximum {
        Some(most) if most < DESCRIPTORS => Finding::warning(
            name,
            format!("at most {most}"),
            "raise the hard limit of open files (`ulimit -Hn`)",
        ),
        _ => Finding::passed(name),
    }
}

/// No other program of the same name comes first on PATH.
fn only_program() -> Finding {
    let name = "no other `meshctl` comes first on PATH";
    let ours = std::env::current_exe().and_then(std::fs::canonicalize).ok();
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path).map(|dir| dir.join("meshctl")).find(|it| it.is_file());
    match found.map(|it| (std::fs::canonicalize(&it).unwrap_or(it.clone()), it)) {
        Some((real, shown)) if Some(&real) != ours.as_ref() => Finding::warning(
            name,
            format!("`{}` does", shown.display()),
            &format!(
                "call this one as `{}`",
                ours.unwrap_or_else(|| PathBuf::from("meshctl")).display()
            ),
        ),
        _ => Finding::passed(name),
    }
}
