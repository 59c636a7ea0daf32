//! `agenttrace config`

use super::Context;
use crate::config::{Config, Place, default_path};
use crate::domain::Safe;
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

/// What names the database, and which, passwords as dots; `None` where nothing does.
fn target(context: &Context) -> Result<Option<String>> {
    let choice = match context.choice() {
        Ok(choice) => choice,
        Err(_) if context.global.database_url.is_none() && context.global.profile.is_none() => {
            return Ok(None);
        }
        Err(e) => return Err(e),
    };
    let named = if choice.is_profile { format!("the profile {}", choice.label) } else { choice.label };
    Ok(Some(match choice.place {
        Place::Private { database } => format!("'{database}' on the private server, by {named}"),
        Place::Remote { url, .. } => format!("{url}, by {named}"),
    }))
}

/// Runs it.
pub(super) fn run(context: &Context, args: &ConfigArgs) -> Result<()> {
    let explicit = context.global.config.as_deref();
    let path = explicit.map(std::path::Path::to_path_buf).or_else(default_path);
    let mut out = context.out.results();
    match args.command {
        ConfigCommand::Path => match &path {
            Some(path) => writeln!(out, "{}", Safe::from_untrusted(&path.display().to_string()))?,
            None => return Err(Error::could_not_run("there is no home folder to keep a configuration in")),
        },
        ConfigCommand::Print => {
            let config = Config::load(explicit)?;
            if let Some(target) = target(context)? {
                writeln!(out, "# the database in force: {}", Safe::composed(&target))?;
            }
            for line in config.to_toml().lines() {
                writeln!(out, "{}", Safe::composed(line))?;
            }
        }
        ConfigCommand::Check => {
            let config = Config::load(explicit)?;
            match path.filter(|p| p.exists()) {
                Some(path) => {
                    let path = Safe::from_untrusted(&path.display().to_string());
                    writeln!(out, "{path}: correct, {} profiles", config.profiles.len())?;
                }
                None => writeln!(out, "no configuration file; the built-in values are in force")?,
            }
            #[cfg(feature = "console")]
            check_keymap(explicit, &mut out)?;
        }
    }
    out.flush()?;
    Ok(())
}

/// Checks the keys of the user, where there are any.
#[cfg(feature = "console")]
fn check_keymap(config: Option<&std::path::Path>, out: &mut impl std::io::Write) -> Result<()> {
    super::console::keymap(config)?;
    if let Some(path) = super::console::keymap_path(config).filter(|path| path.exists()) {
        writeln!(out, "{}: correct", Safe::from_untrusted(&path.display().to_string()))?;
    }
    Ok(())
}
