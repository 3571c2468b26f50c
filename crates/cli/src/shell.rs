//! `mcp-proxy completions SHELL` and `mcp-proxy man`, both made from the one table of commands.

use anyhow::Context as _;
use clap::CommandFactory;

use crate::{Cli, Exit, output};

/// Options of `completions`.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "Examples:\n  \
    mcp-proxy completions bash > ~/.local/share/bash-completion/completions/mcp-proxy\n  \
    mcp-proxy completions zsh > ~/.zfunc/_mcp-proxy\n  \
    mcp-proxy completions fish > ~/.config/fish/completions/mcp-proxy.fish")]
pub(crate) struct CompletionsArgs {
    /// The shell to complete in
    shell: clap_complete::Shell,
}

pub(crate) fn completions(args: &CompletionsArgs) -> anyhow::Result<Exit> {
    output::data(&completion_script(args.shell)?)?;
    Ok(Exit::Done)
}

fn completion_script(shell: clap_complete::Shell) -> anyhow::Result<String> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "mcp-proxy", &mut script);
    Ok(String::from_utf8(script)?)
}

/// Options of `man`.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "Examples:\n  \
    mcp-proxy man | man -l -\n  \
    mcp-proxy man audit query | man -l -")]
pub(crate) struct ManArgs {
    /// The command whose page is wanted, as `audit query` [default: the program itself]
    command: Vec<String>,
}

pub(crate) fn manual(args: &ManArgs) -> anyhow::Result<Exit> {
    output::data(&manual_page(&args.command)?)?;
    Ok(Exit::Done)
}

fn manual_page(path: &[String]) -> anyhow::Result<String> {
    let mut program = Cli::command();
    program.build();
    let mut command = &program;
    for name in path {
        command = command.find_subcommand(name).with_context(|| {
            format!("there is no command `{name}`; `mcp-proxy help` lists them")
        })?;
    }
    let mut page = Vec::new();
    clap_mangen::Man::new(command.clone()).render(&mut page)?;
    Ok(String::from_utf8(page)?)
}

#[cfg(test)]
mod tests;
