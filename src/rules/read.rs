//! Files, directories and standard input to text, within bounds on size that hold before memory
//! grows.
//!
//! Only regular files are opened, and without blocking, so that a FIFO or a device neither hangs
//! nor floods the reader. What cannot be read does not hide the rest: everything else comes back
//! with the problems.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use crate::rules::codes::{self, Code};
use crate::rules::{Diagnostic, Document, Severity};

#[cfg(test)]
mod tests;

/// The largest file.
pub const MAX_FILE_BYTES: u64 = 16 << 20;
/// The most that one run reads.
pub const MAX_TOTAL_BYTES: u64 = 64 << 20;
/// How many files one run reads.
pub const MAX_FILES: usize = 100_000;
/// How deep directories are walked.
const MAX_DEPTH: usize = 64;
/// What stands for standard input.
const STDIN: &str = "-";

/// Something could not be read. `Display` lists what.
#[derive(Debug, thiserror::Error)]
#[error("{}", lines(.diagnostics))]
pub struct ReadError {
    /// What could not be read, and why.
    pub diagnostics: Vec<Diagnostic>,
    /// What could, so that its problems can be reported too.
    pub documents: Vec<Document>,
}

fn lines(diagnostics: &[Diagnostic]) -> String {
    let line = |d: &Diagnostic| format!("{}: {}", d.file, d.message);
    diagnostics.iter().map(line).collect::<Vec<_>>().join("\n")
}

/// Reads what `paths` name, in that order: files; directories, their `*.yaml`, `*.yml` and `*.json`
/// sorted by name, those of directories below too if `recursive`; `-` for `stdin`.
///
/// # Errors
/// [`ReadError`] with every problem and with the files that could be read.
pub fn read(
    paths: &[PathBuf],
    recursive: bool,
    stdin: &mut dyn Read,
) -> Result<Vec<Document>, ReadError> {
    let mut reader = Reader::new(MAX_FILES);
    for path in paths {
        if path.as_os_str() == STDIN {
            reader.stream(STDIN.to_owned(), stdin);
            continue;
        }
        match fs::metadata(path) {
            Ok(metadata) if metadata.is_dir() => reader.directory(path, recursive),
            Ok(_) => reader.file(path),
            Err(error) => reader.unreadable(path, &error),
        }
    }
    match reader.found.is_empty() {
        true => Ok(reader.documents),
        false => Err(ReadError { diagnostics: reader.found, documents: reader.documents }),
    }
}

struct Reader {
    /// Files of directories that may still be read.
    files: usize,
    /// Bytes that may still be read.
    left: u64,
    documents: Vec<Document>,
    found: Vec<Diagnostic>,
}

impl Reader {
    fn new(files: usize) -> Self {
        Self { files, left: MAX_TOTAL_BYTES, documents: Vec::new(), found: Vec::new() }
    }

    fn directory(&mut self, path: &Path, recursive: bool) {
        let (before, mut files) = (self.found.len(), Vec::new());
        self.walk(path, recursive, 1, &mut files);
        if files.is_empty() && self.found.len() == before {
            self.report(path.display().to_string(), codes::NO_FILES, codes::NO_FILES.summary);
        }
        if files.len() > self.files {
            let message = format!("more than {MAX_FILES} files in all");
            self.report(path.display().to_string(), codes::TOO_LARGE, &message);
            files.truncate(self.files);
        }
        self.files -= files.len();
        for file in files {
            self.file(&file);
        }
    }

    /// Gathers files, one more than may be read where there are so many. What is left out is
    /// reported: who prunes takes what was not read for what is to go.
    fn walk(&mut self, path: &Path, recursive: bool, depth: usize, files: &mut Vec<PathBuf>) {
        let entries = fs::read_dir(path).and_then(Iterator::collect::<io::Result<Vec<_>>>);
        let mut entries = match entries {
            Ok(entries) => entries,
            Err(error) => return self.unreadable(path, &error),
        };
        entries.sort_by_key(fs::DirEntry::file_name);
        for entry in entries {
            let child = entry.path();
            // Not through symbolic links: they may lead back up.
            let is_directory = entry.file_type().is_ok_and(|kind| kind.is_dir());
            let is_rules =
                child.extension().is_some_and(|e| e == "yaml" || e == "yml" || e == "json");
            if files.len() > self.files {
                return;
            }
            if is_directory && recursive && depth == MAX_DEPTH {
                let message = format!("directories nest deeper than {MAX_DEPTH}");
                self.report(child.display().to_string(), codes::TOO_LARGE, &message);
            } else if is_directory && recursive {
                self.walk(&child, recursive, depth + 1, files);
            } else if !is_directory && is_rules {
                files.push(child);
            }
        }
    }

    fn file(&mut self, path: &Path) {
        let name = path.display().to_string();
        // Looked at before it is opened: opening some devices has effects of its own.
        match fs::metadata(path) {
            Ok(metadata) if !metadata.is_file() => {
                return self.report(name, codes::NOT_A_FILE, codes::NOT_A_FILE.summary);
            }
            Ok(metadata) if metadata.len() > MAX_FILE_BYTES => return self.too_large(name),
            Ok(_) => {}
            Err(error) => return self.unreadable(path, &error),
        }
        let open = || -> io::Result<File> {
            let flags = rustix::fs::OFlags::NONBLOCK | rustix::fs::OFlags::CLOEXEC;
            let flags = flags.bits().cast_signed();
            OpenOptions::new().read(true).custom_flags(flags).open(path)
        };
        match open().and_then(|file| Ok((file.metadata()?.is_file(), file))) {
            Ok((true, mut file)) => self.stream(name, &mut file),
            Ok((false, _)) => self.report(name, codes::NOT_A_FILE, codes::NOT_A_FILE.summary),
            Err(error) => self.unreadable(path, &error),
        }
    }

    fn stream(&mut self, name: String, stream: &mut dyn Read) {
        let limit = self.left.min(MAX_FILE_BYTES);
        let mut bytes = Vec::new();
        if let Err(error) = stream.take(limit + 1).read_to_end(&mut bytes) {
            return self.unreadable(Path::new(&name), &error);
        }
        let size = bytes.len() as u64;
        if size > limit {
            return self.too_large(name);
        }
        self.left -= size;
        match String::from_utf8(bytes) {
            Ok(text) if !text.contains('\0') => {
                self.documents.push(Document { source: name, text });
            }
            Ok(_) => self.report(
                name,
                codes::NOT_UTF8,
                "the file has NUL bytes: it is no text, or UTF-16",
            ),
            Err(error) => {
                let why = match error.as_bytes() {
                    [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => {
                        "the file is UTF-16, not UTF-8".to_owned()
                    }
                    _ => format!(
                        "the file is not UTF-8 from byte {} on",
                        error.utf8_error().valid_up_to()
                    ),
                };
                self.report(name, codes::NOT_UTF8, &why);
            }
        }
    }

    fn too_large(&mut self, name: String) {
        let message = match self.left < MAX_FILE_BYTES {
            true => "more than 64 MiB in all",
            false => "more than 16 MiB in one file",
        };
        self.report(name, codes::TOO_LARGE, message);
    }

    fn unreadable(&mut self, path: &Path, error: &io::Error) {
        let why = match error.kind() {
            io::ErrorKind::NotFound => "there is no such file or directory".to_owned(),
            io::ErrorKind::PermissionDenied => "permission denied".to_owned(),
            _ => error.to_string(),
        };
        self.report(path.display().to_string(), codes::UNREADABLE, &why);
    }

    fn report(&mut self, file: String, code: &Code, message: &str) {
        self.found.push(Diagnostic {
            severity: Severity::Error,
            code: code.code.to_owned(),
            message: message.to_owned(),
            file,
            line: 1,
            column: 1,
            field: String::new(),
            help: code.help.to_owned(),
            missing: String::new(),
        });
    }
}
