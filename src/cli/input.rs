//! `-f`: files, directories and standard input with rules, read once for whoever needs them.

use std::path::PathBuf;

use super::exit::Failure;
use crate::rules::{self, Diagnostic, Document};

/// `-f` and `-R`.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct InputArgs {
    /// Files or directories with rules; `-` is standard input.
    #[arg(
        short,
        long,
        required = true,
        value_name = "FILE",
        value_hint = clap::ValueHint::AnyPath
    )]
    pub(crate) filename: Vec<PathBuf>,
    /// Read directories below directories too.
    #[arg(short = 'R', long)]
    pub(crate) recursive: bool,
}

/// What could be read, and what could not.
#[derive(Debug, Default)]
pub(crate) struct Input {
    /// The files.
    pub(crate) documents: Vec<Document>,
    /// Why others are missing.
    pub(crate) unread: Vec<Diagnostic>,
}

impl Input {
    /// Reads what is named. A file that is not there is a fault of the command line.
    pub(crate) fn read(paths: &[PathBuf], recursive: bool) -> Result<Self, Failure> {
        for path in paths {
            let text = path.to_string_lossy();
            if text.starts_with("http://") || text.starts_with("https://") {
                return Err(Failure::later("reading rules from a URL")
                    .help("fetch it yourself: `curl URL | meshctl … -f -`"));
            }
            if text != "-" && !path.exists() {
                return Err(Failure::usage(format!("there is no file `{text}`")));
            }
        }
        Ok(match rules::read(paths, recursive, &mut std::io::stdin().lock()) {
            Ok(documents) => Self { documents, unread: Vec::new() },
            Err(error) => Self { documents: error.documents, unread: error.diagnostics },
        })
    }
}
