//! `agenttrace config`

use super::Context;
use crate::config::{Config, default_path};
use crate::error::{Error, Result};
use clap::Subcommand;
use std::io::Write as _;

/// Arguments of `config`.
#[derive(Debug, Clone, clap::Args)]
pub struct ConfigArgs {
    #[command(subcommand)]
    command: ConfigCommand,
}

#[derive(Debug, Clone, Copy, Subcommand)]
enum ConfigCommand {
    /// Print the configuration in force, passwords as dots
    Print,
    /// Print where the configuration is looked for
    Path,
    /// Check the configuration and say what is wrong with it
    Check,
}

/// Runs it.
pub(super) fn run(context: &Context, args: &ConfigArgs) -> Result<()> {
    let explicit = context.global.config.as_deref();
    let path = explicit.map(std::path::Path::to_path_buf).or_else(default_path);
    let mut out = context.out.results();
    match args.command {
        ConfigCommand::Path => match &path {
            Some(path) => writeln!(out, "{}", path.display())?,
            None => return Err(Error::could_not_run("there is no home folder to keep a configuration in")),
        },
        ConfigCommand::Print => write!(out, "{}", Config::load(explicit)?.to_toml())?,
        ConfigCommand::Check => {
            let config = Config::load(explicit)?;
            match path.filter(|p| p.exists()) {
                Some(path) => {
                    writeln!(out, "{}: correct, {} profiles", path.display(), config.profiles.len())?;
                }
                None => writeln!(out, "no configuration file; the built-in values are in force")?,
            }
        }
    }
    out.flush()?;
    Ok(())
}
