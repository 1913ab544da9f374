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
const LATER_COMMANDS: &[&str] = &["top", "tap", "dashboard", "graph"];

/// Flags that come later, by their command.
const LATER_FLAGS: &[(&str, &[&str])] = &[
    ("meshctl trace", &["--from"]),
    ("meshctl certs rotate", &["--issuer", "--root", "--plan", "--pause", "--resume", "--abort"]),
];

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
pub(super) fn report(
    error: &clap::Error,
    root: &mut clap::Command,
    words: &[OsString],
    printer: Printer,
) -> Exit {
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => {
            match printer.data(&error.render().ansi().to_string()) {
                Ok(()) => Exit::Done,
                Err(failure) if failure.is_closed_pipe() => Exit::Done,
                Err(failure) => failure.exit,
            }
        }
        ErrorKind::MissingSubcommand | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            root.build();
            let help = meant(root, words).clone().render_help();
            printer.complain(&help.ansi().to_string());
            Exit::Usage
        }
        _ => {
            root.build();
            let meant = meant(root, words);
            printer.complain(&Fault { error, meant }.failure().render());
            Exit::Usage
        }
    }
}

/// The command that was meant: as deep as the words name commands.
fn meant<'a>(root: &'a clap::Command, words: &[OsString]) -> &'a clap::Command {
    let mut command = root;
    for word in words.iter().skip(1).take_while(|word| *word != "--") {
        command = command.find_subcommand(word).unwrap_or(command);
    }
    command
}

/// What clap found, and the command in which.
struct Fault<'a> {
    error: &'a clap::Error,
    meant: &'a clap::Command,
}

impl Fault<'_> {
    /// The fault in our words.
    fn failure(&self) -> Failure {
        let error = self.error;
        let one = |kind| texts(error, kind).into_iter().next();
        let arg = one(ContextKind::InvalidArg).map(|arg| flag_of(&arg)).unwrap_or_default();
        match error.kind() {
            ErrorKind::UnknownArgument => self.unknown_argument(&arg),
            ErrorKind::InvalidSubcommand => {
                let name = one(ContextKind::InvalidSubcommand).unwrap_or_default();
                if LATER_COMMANDS.contains(&name.as_str()) {
                    return Failure::later(&format!("`{} {name}`", self.name()))
                        .help(self.see_help());
                }
                let near = texts(error, ContextKind::SuggestedSubcommand);
                Failure::usage(format!("there is no command `{name}`")).help(self.suggest(&near))
            }
            ErrorKind::InvalidValue => self.invalid_value(&arg),
            ErrorKind::ValueValidation => {
                let value = one(ContextKind::InvalidValue).unwrap_or_default();
                let cause = std::error::Error::source(error).map(ToString::to_string);
                let cause = cause.unwrap_or_else(|| "it cannot be used".to_owned());
                let what = match (number(&value, &cause), cause.contains(&format!("`{value}`"))) {
                    (Some(number), _) => format!("`{arg}`: {number}"),
                    (None, true) => format!("`{arg}`: {cause}"),
                    (None, false) => format!("`{arg}`: `{value}`: {cause}"),
                };
                Failure::usage(what).help(self.see_help())
            }
            ErrorKind::MissingRequiredArgument => {
                let missing = texts(error, ContextKind::InvalidArg);
                let missing: Vec<_> =
                    missing.iter().map(|arg| format!("`{}`", named(arg))).collect();
                Failure::usage(format!("{} is missing", missing.join(" and ")))
                    .help(self.see_help())
            }
            ErrorKind::ArgumentConflict => {
                let prior = texts(error, ContextKind::PriorArg).join("`, `");
                match prior.is_empty() || prior.starts_with(arg.as_str()) {
                    true => Failure::usage(format!("`{arg}` was given twice")),
                    false => Failure::usage(format!("`{arg}` cannot be used with `{prior}`")),
                }
                .help(self.see_help())
            }
            ErrorKind::TooManyValues => {
                Failure::usage(format!("`{arg}` takes no value")).help(self.see_help())
            }
            ErrorKind::InvalidUtf8 => Failure::usage("an argument is not valid UTF-8"),
            _ => Failure::usage(first_line(error)).help(self.see_help()),
        }
    }

    fn unknown_argument(&self, arg: &str) -> Failure {
        let error = self.error;
        let name = arg.split('=').next().unwrap_or(arg);
        let is_later =
            |(command, flags): &(&str, &[&str])| *command == self.name() && flags.contains(&name);
        if LATER_FLAGS.iter().any(is_later) {
            return Failure::later(&format!("`{name}`")).help(self.see_help());
        }
        if !arg.starts_with('-') {
            return Failure::usage(format!("`{arg}` is one argument too many"))
                .help(self.see_help());
        }
        let near = texts(error, ContextKind::SuggestedArg);
        let near: Vec<String> = near.iter().map(|arg| flag_of(arg)).collect();
        Failure::usage(format!("there is no flag `{name}`")).help(self.suggest(&near))
    }

    fn invalid_value(&self, arg: &str) -> Failure {
        let error = self.error;
        let value = texts(error, ContextKind::InvalidValue).into_iter().next().unwrap_or_default();
        if value.is_empty()
            && let Some(name) = self.empty_variable(arg)
        {
            return Failure::usage(format!("the environment variable `{name}` is empty"))
                .help("give it a value, or unset it");
        }
        if value.is_empty() {
            return Failure::usage(format!("`{arg}` needs a value")).help(self.see_help());
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

    /// The variable that gives a flag its value, where it is set to nothing.
    fn empty_variable(&self, flag: &str) -> Option<&str> {
        let mut known = self.meant.get_arguments();
        let arg = known.find(|it| it.get_long().is_some_and(|long| flag == format!("--{long}")))?;
        let name = arg.get_env()?;
        std::env::var_os(name).filter(|value| value.is_empty())?;
        name.to_str()
    }

    /// How the command is called.
    fn name(&self) -> &str {
        self.meant.get_bin_name().unwrap_or("meshctl")
    }

    /// The nearest, which clap names last.
    fn suggest(&self, near: &[String]) -> String {
        match near.last() {
            Some(near) => format!("did you mean `{near}`?"),
            None => self.see_help(),
        }
    }

    /// Points to the help of the command that was meant.
    fn see_help(&self) -> String {
        format!("see `{} --help`", self.name())
    }
}

/// What clap says of a number, in words: that it is none, or the range that it must be in.
fn number(value: &str, cause: &str) -> Option<String> {
    if cause == "invalid digit found in string" {
        return Some(format!("`{value}` is not a whole number"));
    }
    let (first, last) = cause.strip_prefix(&format!("{value} is not in "))?.split_once("..")?;
    let last: u64 = match last.strip_prefix('=') {
        Some(last) => last.parse().ok()?,
        None => last.parse::<u64>().ok()?.checked_sub(1)?,
    };
    // As many as a type holds is no limit that anybody meant.
    let range = match last >= u64::from(u32::MAX) {
        true => format!("of at least {first}"),
        false => format!("from {first} to {last}"),
    };
    Some(format!("`{value}` is not a whole number {range}"))
}

/// `--flag <VALUE>` as it is, `NAME` out of `<NAME>...`.
fn named(arg: &str) -> String {
    if arg.starts_with('-') { arg.to_owned() } else { flag_of(arg) }
}

/// `--flag` out of `--flag <VALUE>`, `-f, --flag` and the like; `NAME` out of `[NAME]`.
fn flag_of(arg: &str) -> String {
    let arg = arg.split(' ').next().unwrap_or(arg);
    arg.trim_end_matches("...").trim_matches(['[', ']', '<', '>']).to_owned()
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
