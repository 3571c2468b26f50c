//! `mcp-proxy config validate|show|schema|init`: the configuration without a gateway.

mod validate;

use std::fs::OpenOptions;
use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use settings::{Loaded, Settings};

use crate::{Exit, Format, output};

/// The commands below `config`.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum ConfigCommand {
    /// Check the configuration and what it names, without serving
    Validate(validate::ValidateArgs),
    /// Show every value and where it comes from, with secrets masked
    Show(ShowArgs),
    /// Print the JSON Schema of the configuration file
    Schema,
    /// Write a configuration file with every key, its default and its documentation
    Init(InitArgs),
}

/// Options of `config show`.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "Examples:\n  \
    mcp-proxy config show --config config/proxy.yaml\n  \
    mcp-proxy config show --format json | jq .origins")]
pub(crate) struct ShowArgs {
    /// The configuration file; without one, `MCP_*` and the defaults are shown
    #[arg(long, short, value_name = "FILE")]
    config: Option<PathBuf>,

    /// YAML with the origin of each value, or one JSON object `{settings, origins}`
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

/// Options of `config init`.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "Examples:\n  \
    mcp-proxy config init\n  \
    mcp-proxy config init /etc/mcp-proxy/proxy.yaml\n  \
    mcp-proxy config init -")]
pub(crate) struct InitArgs {
    /// The file, which must not exist; `-` is standard output
    #[arg(value_name = "FILE", default_value = "config/proxy.yaml")]
    file: PathBuf,
}

pub(crate) fn execute(command: ConfigCommand) -> anyhow::Result<Exit> {
    match command {
        ConfigCommand::Validate(args) => return validate::execute(&args),
        ConfigCommand::Show(args) => show(&args)?,
        ConfigCommand::Schema => output::line(&output::json(&Settings::schema())?)?,
        ConfigCommand::Init(args) => init(&args.file)?,
    }
    Ok(Exit::Done)
}

/// The configuration that a command other than `run` works on.
///
/// # Errors
///
/// What is wrong with the file, the environment or the values.
pub(crate) fn load(path: Option<&Path>) -> anyhow::Result<Loaded> {
    Ok(Settings::load(path, crate::environment().into_iter())?)
}

fn show(args: &ShowArgs) -> anyhow::Result<()> {
    let loaded = load(args.config.as_deref())?;
    warn(&loaded);
    match args.format {
        Format::Pretty => output::data(&loaded.show()),
        Format::Json => output::line(&output::json(&loaded.show_json())?),
    }
}

fn warn(loaded: &Loaded) {
    for warning in &loaded.warnings {
        output::note(&format!("warning: {warning}"));
    }
}

fn init(file: &Path) -> anyhow::Result<()> {
    let text = settings::render_yaml();
    if file == Path::new("-") {
        return output::data(&text);
    }
    let shown = file.display();
    if let Some(folder) = file.parent() {
        std::fs::create_dir_all(folder)
            .with_context(|| format!("cannot create the folder `{}`", folder.display()))?;
    }
    let opened = OpenOptions::new().write(true).create_new(true).open(file);
    if opened.as_ref().is_err_and(|error| error.kind() == ErrorKind::AlreadyExists) {
        bail!("`{shown}` exists and is left as it is; name another file");
    }
    opened
        .and_then(|mut file| file.write_all(text.as_bytes()))
        .with_context(|| format!("cannot write `{shown}`"))?;
    output::note(&format!(
        "wrote `{shown}`; check it with `mcp-proxy config validate --config {shown}`"
    ));
    Ok(())
}

#[cfg(test)]
mod tests;
