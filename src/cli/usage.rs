//! What is wrong with a command line, in one line and a remedy, exit 2.
//!
//! clap finds the fault; this words it as every other error is worded. What the documentation
//! names and this version does not have yet is told apart from what nobody knows.

use std::ffi::OsString;

use clap::ValueEnum as _;
use clap::error::{ContextKind, ContextValue, ErrorKind};

use super::exit::{Exit, Failure};
use super::output::{Color, Printer};

/// Commands that come later.
const LATER_COMMANDS: &[&str] = &[
    "upgrade",
    "inject",
    "uninject",
    "diff",
    "top",
    "tap",
    "explain",
    "endpoints",
    "token",
    "dashboard",
    "graph",
    "backup",
    "restore",
    "history",
    "rollback",
    "bug-report",
    "schema",
];

/// Flags that come later.
const LATER_FLAGS: &[&str] = &[
    "--context",
    "--kubeconfig",
    "--replicas",
    "--set",
    "--force",
    "--against",
    "--prune",
    "--effect",
    "--resolved",
    "--follow",
    "--from",
    "--issuer",
    "--root",
    "--plan",
    "--pause",
    "--resume",
    "--abort",
    "--control-plane",
    "--token-file",
    "--capture",
    "--capture-user",
];

/// Values that come later.
const LATER_VALUES: &[&str] = &["kubernetes", "github", "sarif", "junit"];

/// `--color` as it was typed, for what is said before the command line is understood.
pub(super) fn color(words: &[OsString]) -> Color {
    let words: Vec<&str> = words.iter().filter_map(|word| word.to_str()).collect();
    let joined = words.iter().find_map(|word| word.strip_prefix("--color="));
    let apart = words.windows(2).find_map(|pair| match pair {
        ["--color", value] => Some(*value),
        _ => None,
    });
    joined.or(apart).and_then(|value| Color::from_str(value, false).ok()).unwrap_or_default()
}

/// Says what clap found: help and version on stdout, faults on stderr.
pub(super) fn report(error: &clap::Error, printer: Printer) -> Exit {
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => {
            match printer.data(&error.render().ansi().to_string()) {
                Ok(()) => Exit::Done,
                Err(failure) if failure.is_closed_pipe() => Exit::Done,
                Err(failure) => failure.exit,
            }
        }
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            printer.complain(&error.render().ansi().to_string());
            Exit::Usage
        }
        _ => {
            printer.complain(&failure(error).render());
            Exit::Usage
        }
    }
}

/// The fault in our words.
fn failure(error: &clap::Error) -> Failure {
    let one = |kind| texts(error, kind).into_iter().next();
    let arg = one(ContextKind::InvalidArg).map(|arg| flag_of(&arg)).unwrap_or_default();
    match error.kind() {
        ErrorKind::UnknownArgument => unknown_argument(error, &arg),
        ErrorKind::InvalidSubcommand => {
            let name = one(ContextKind::InvalidSubcommand).unwrap_or_default();
            if LATER_COMMANDS.contains(&name.as_str()) {
                return later(&format!("`meshctl {name}`"));
            }
            let near = texts(error, ContextKind::SuggestedSubcommand);
            Failure::usage(format!("there is no command `{name}`")).help(suggest(&near, error))
        }
        ErrorKind::InvalidValue => invalid_value(error, &arg),
        ErrorKind::ValueValidation => {
            let value = one(ContextKind::InvalidValue).unwrap_or_default();
            let cause = std::error::Error::source(error).map(ToString::to_string);
            let cause = cause.unwrap_or_else(|| "it cannot be used".to_owned());
            let what = match cause.contains(&format!("`{value}`")) {
                true => format!("`{arg}`: {cause}"),
                false => format!("`{arg}`: `{value}`: {cause}"),
            };
            Failure::usage(what).help(see_help(error))
        }
        ErrorKind::MissingRequiredArgument => {
            let missing = texts(error, ContextKind::InvalidArg);
            let missing: Vec<_> = missing.iter().map(|arg| format!("`{arg}`")).collect();
            Failure::usage(format!("{} is missing", missing.join(" and "))).help(see_help(error))
        }
        ErrorKind::ArgumentConflict => {
            let prior = texts(error, ContextKind::PriorArg).join("`, `");
            match prior.is_empty() || prior.starts_with(arg.as_str()) {
                true => Failure::usage(format!("`{arg}` was given twice")),
                false => Failure::usage(format!("`{arg}` cannot be used with `{prior}`")),
            }
            .help(see_help(error))
        }
        ErrorKind::MissingSubcommand => {
            let commands = texts(error, ContextKind::ValidSubcommand).join("`, `");
            Failure::usage("a command is missing").help(format!("one of `{commands}`"))
        }
        ErrorKind::InvalidUtf8 => Failure::usage("an argument is not valid UTF-8"),
        _ => Failure::usage(first_line(error)).help(see_help(error)),
    }
}

fn unknown_argument(error: &clap::Error, arg: &str) -> Failure {
    let name = arg.split('=').next().unwrap_or(arg);
    if LATER_FLAGS.contains(&name) {
        return later(&format!("`{name}`"));
    }
    if !arg.starts_with('-') {
        return Failure::usage(format!("`{arg}` is one argument too many")).help(see_help(error));
    }
    let near = texts(error, ContextKind::SuggestedArg);
    let near: Vec<String> = near.iter().map(|arg| flag_of(arg)).collect();
    Failure::usage(format!("there is no flag `{name}`")).help(suggest(&near, error))
}

fn invalid_value(error: &clap::Error, arg: &str) -> Failure {
    let value = texts(error, ContextKind::InvalidValue).into_iter().next().unwrap_or_default();
    if value.is_empty() {
        return Failure::usage(format!("`{arg}` needs a value")).help(see_help(error));
    }
    if LATER_VALUES.contains(&value.as_str()) {
        return later(&format!("`{arg} {value}`"));
    }
    let what = format!("`{arg}` cannot be `{value}`");
    match texts(error, ContextKind::SuggestedValue).first() {
        Some(near) => Failure::usage(what).help(format!("did you mean `{near}`?")),
        None => {
            let known = texts(error, ContextKind::ValidValue).join("`, `");
            Failure::usage(what).help(format!("one of `{known}`"))
        }
    }
}

fn later(what: &str) -> Failure {
    Failure::later(what).help("see what there is with `meshctl --help`")
}

fn suggest(near: &[String], error: &clap::Error) -> String {
    match near.first() {
        Some(near) => format!("did you mean `{near}`?"),
        None => see_help(error),
    }
}

/// Points to the help of the command that was meant, which clap's usage line names.
fn see_help(error: &clap::Error) -> String {
    let usage = texts(error, ContextKind::Usage).into_iter().next().unwrap_or_default();
    let words = usage.split_whitespace().skip(1);
    let command: Vec<&str> =
        words.take_while(|word| word.starts_with(|c: char| c.is_ascii_lowercase())).collect();
    match command.is_empty() {
        true => "see `meshctl --help`".to_owned(),
        false => format!("see `{} --help`", command.join(" ")),
    }
}

/// `--flag` out of `--flag <VALUE>`, `-f, --flag` and the like; `NAME` out of `[NAME]`.
fn flag_of(arg: &str) -> String {
    let arg = arg.split(' ').next().unwrap_or(arg);
    arg.trim_matches(['[', ']', '<', '>']).trim_end_matches("...").to_owned()
}

fn texts(error: &clap::Error, kind: ContextKind) -> Vec<String> {
    match error.get(kind) {
        Some(ContextValue::String(text)) => vec![text.clone()],
        Some(ContextValue::Strings(texts)) => texts.clone(),
        Some(ContextValue::StyledStr(text)) => vec![text.to_string()],
        Some(ContextValue::StyledStrs(texts)) => texts.iter().map(ToString::to_string).collect(),
        _ => Vec::new(),
    }
}

fn first_line(error: &clap::Error) -> String {
    let text = error.render().to_string();
    text.lines().next().unwrap_or_default().trim_start_matches("error: ").to_owned()
}
