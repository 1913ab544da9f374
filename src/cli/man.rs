//! `man`: the manual pages, one for each command, from the same texts as `--help`.

use std::path::PathBuf;

use clap::{Args, CommandFactory as _};

use super::args::{Cli, Context};
use super::exit::{Exit, Failure, Outcome};

/// Print the manual page of meshctl, or write the pages of all commands.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  meshctl man | man -l -
  meshctl man --dir ~/.local/share/man/man1")]
pub(crate) struct ManArgs {
    /// Write one page for each command into this directory, which exists.
    #[arg(long, value_name = "DIR", value_hint = clap::ValueHint::DirPath)]
    dir: Option<PathBuf>,
}

pub(crate) fn run(args: &ManArgs, context: &Context) -> Outcome {
    let mut root = Cli::command();
    root.build();
    let Some(dir) = &args.dir else {
        context.printer.data(&page(root)?.1)?;
        return Ok(Exit::Done);
    };
    for (name, text) in pages(&root)? {
        let path = dir.join(&name);
        std::fs::write(&path, text).map_err(|error| {
            Failure::from(error).context(format!("cannot write `{}`", path.display()))
        })?;
        context.printer.line(&name)?;
    }
    Ok(Exit::Done)
}

/// Every page by file name: `meshctl.1`, `meshctl-apply.1`, `meshctl-proxy-run.1`.
fn pages(command: &clap::Command) -> Result<Vec<(String, String)>, Failure> {
    let mut all = vec![page(command.clone())?];
    for below in command.get_subcommands().filter(|it| !it.is_hide_set() && it.get_name() != "help")
    {
        all.extend(pages(below)?);
    }
    Ok(all)
}

fn page(command: clap::Command) -> Result<(String, String), Failure> {
    let name = command.get_bin_name().unwrap_or("meshctl").replace(' ', "-");
    let command = command.name(name.clone()).display_name(name.clone());
    let man = clap_mangen::Man::new(command).manual("meshctl manual").source("meshctl");
    let mut text = Vec::new();
    man.render(&mut text)?;
    Ok((format!("{name}.1"), String::from_utf8_lossy(&text).into_owned()))
}
