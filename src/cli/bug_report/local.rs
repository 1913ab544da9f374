//! A mesh of this machine: its log, and which files there are, never what is in them.

use std::fmt::Write as _;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use super::{LONGEST, Report};
use crate::cli::args::Context;
use crate::control::home::Home;

/// Files that are listed.
const LISTED: usize = 2_000;

pub(super) fn collect(report: &mut Report, context: &Context) {
    let home = match context.home() {
        Ok(dir) => Home::new(dir),
        Err(failure) => return report.absent("home", &failure.what()),
    };
    let mut text = format!("{}\n", home.dir().display());
    let mut left = LISTED;
    list(home.dir(), home.dir(), &mut left, &mut text);
    report.text("home.txt", &text);
    let log = home.log();
    let mut aside = log.clone().into_os_string();
    aside.push(".1");
    for path in [log.as_path(), Path::new(&aside)] {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        match end(path) {
            Ok(bytes) => report.log(&name, &bytes),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => report.absent(&name, &error.to_string()),
        }
    }
}

/// The last bytes of a file.
fn end(path: &Path) -> std::io::Result<Vec<u8>> {
    let mut file = std::fs::File::open(path)?;
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(LONGEST as u64)))?;
    let mut bytes = Vec::new();
    file.take(LONGEST as u64).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Mode, owner, size and name of everything below.
fn list(top: &Path, dir: &Path, left: &mut usize, text: &mut String) {
    let Ok(entries) = std::fs::read_dir(dir) else {
        let _ = writeln!(text, "cannot read {}", dir.display());
        return;
    };
    let mut paths: Vec<_> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    paths.sort_unstable();
    for path in paths {
        if *left == 0 {
            return;
        }
        *left -= 1;
        let Ok(meta) = std::fs::symlink_metadata(&path) else { continue };
        let name = path.strip_prefix(top).unwrap_or(&path).display();
        let _ = writeln!(text, "{:06o} {:>5} {:>9} {name}", meta.mode(), meta.uid(), meta.len());
        if meta.is_dir() {
            list(top, &path, left, text);
        }
    }
}
