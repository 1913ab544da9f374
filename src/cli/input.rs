//! `-f`: files, directories, URLs and standard input with rules, read once for whoever needs them.

use std::path::{Path, PathBuf};

use super::exit::Failure;
use crate::rules::{self, Diagnostic, Document, MAX_TOTAL_BYTES};

mod fetch;

/// `-f` and `-R`.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct InputArgs {
    /// Files, directories or URLs with rules; `-` is standard input.
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
    /// Reads what is named, in that order. A file that is not there is a fault of the command line.
    pub(crate) fn read(paths: &[PathBuf], recursive: bool) -> Result<Self, Failure> {
        for path in paths {
            match fetch::address(path) {
                Some(address) => drop(address?),
                None if path.as_os_str() == "-" || path.exists() => {}
                None => return Err(absent(path)),
            }
        }
        let mut input = Self::default();
        let is_path = |path: &PathBuf| fetch::address(path).is_none();
        for paths in paths.chunk_by(|one, next| is_path(one) && is_path(next)) {
            match paths.first().and_then(|path| fetch::address(path)) {
                Some(url) => input.documents.push(fetch::fetch(&url?, fetch::Limits::default())?),
                None => input.files(paths, recursive),
            }
        }
        let total: u64 = input.documents.iter().map(|document| document.text.len() as u64).sum();
        if total > MAX_TOTAL_BYTES {
            let limit = MAX_TOTAL_BYTES >> 20;
            return Err(Failure::new(format!("the rules have more than {limit} MiB in all"))
                .help("split them over several runs"));
        }
        Ok(input)
    }

    fn files(&mut self, paths: &[PathBuf], recursive: bool) {
        match rules::read(paths, recursive, &mut std::io::stdin().lock()) {
            Ok(documents) => self.documents.extend(documents),
            Err(error) => {
                self.documents.extend(error.documents);
                self.unread.extend(error.diagnostics);
            }
        }
    }
}

/// Nothing of that name can be read.
fn absent(path: &Path) -> Failure {
    match path.to_str().and_then(|text| text.split_once("://")) {
        Some((scheme, _)) => Failure::usage(format!("`{}` cannot be fetched", path.display()))
            .help(format!("`http` and `https` are spoken, `{scheme}` is not")),
        None => Failure::usage(format!("there is no file `{}`", path.display()))
            .help("name a file, a directory or a URL; `-` is standard input"),
    }
}
