//! `agenttrace` without a command: the console.

use super::{Color, Context};
use crate::case::labels::{self, Labels};
use crate::config::{Choice, DEMO_PROFILE, Target, default_path};
use crate::console::core::keymap::Keymap;
use crate::console::{self, ColorChoice, Start};
use crate::domain::{OrgId, Safe};
use crate::error::{Error, Result};
use crate::investigation::activity::Via;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Opens the console on the configured target.
pub(super) async fn run(context: &Context) -> Result<()> {
    // A wrong file is told before anything is started.
    let keymap = keymap(context.global.config.as_deref())?;
    let choice = context.choice()?;
    let organization = context.named_organization(&choice)?;
    let target = context.target(&choice).await?;
    open(context, target, organization, &choice, keymap).await
}

/// Opens the console on a target that has been reached.
pub(super) async fn open(
    context: &Context,
    target: Target,
    organization: Option<OrgId>,
    choice: &Choice,
    keymap: Keymap,
) -> Result<()> {
    let color = match context.global.color {
        Color::Auto => ColorChoice::Auto,
        Color::Always => ColorChoice::Always,
        Color::Never => ColorChoice::Never,
    };
    let filter = context.global.all_time.then(|| "all-time".to_owned());
    let (settings, rules) = (context.read_settings(choice)?, context.rules()?);
    let flags = flags(context, target.server.is_some());
    let window = choice.window;
    // A wrong name is told before the screen is taken.
    let case = context.case_file()?.name;
    let theme = None;
    let activity = context.activity(Via::Console, &target.place)?;
    activity.check();
    if let Some(why) = activity.take_trouble() {
        context.out.remark(format_args!("activity log: {}", Safe::from_untrusted(&why)));
    }
    let labels = labels(context.global.config.as_deref())?;
    let masked = context.config()?.mask;
    let start = Start {
        target,
        flags,
        activity,
        settings,
        rules,
        keymap,
        organization,
        case,
        window,
        masked,
        labels,
        filter,
        color,
        theme,
    };
    let ended = console::run(start).await?;
    if let Some(line) = ended.way_back {
        context.out.remark(line);
    }
    // Whoever sent a signal knows of it.
    ended.by.map_or(Ok(()), |kind| Err(Error::silent(kind)))
}

/// Which key does what: the keys shipped, and those of the user's file.
///
/// # Errors
/// Exit 2, naming file and line, when the file is wrong; exit 3 when it cannot be read.
pub(super) fn keymap(config: Option<&Path>) -> Result<Keymap> {
    let shipped = Keymap::shipped().map_err(|e| Error::could_not_run(e.to_string()))?;
    let Some(path) = keymap_path(config) else { return Ok(shipped) };
    let text = match std::fs::read_to_string(&path) {
        Ok(text) => text,
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(shipped),
        Err(e) => {
            return Err(Error::could_not_run(format!("cannot read the keymap {}", path.display())).because(e));
        }
    };
    shipped.with(&text).map_err(|e| Error::usage(format!("{}:{}: {e}", path.display(), e.line)))
}

/// Where the keys of the user are looked for: beside the configuration.
pub(super) fn keymap_path(config: Option<&Path>) -> Option<PathBuf> {
    let config = config.map(Path::to_path_buf).or_else(default_path)?;
    Some(config.with_file_name("keymap.toml"))
}

/// What ids and networks are called here.
///
/// # Errors
/// Exit 2, naming the file, when it cannot be used.
pub(super) fn labels(config: Option<&Path>) -> Result<Arc<Labels>> {
    let config = config.map(Path::to_path_buf).or_else(default_path);
    let Some(path) = config.map(|config| config.with_file_name(labels::FILE)) else {
        return Ok(Arc::default());
    };
    let labels = Labels::load(&path);
    labels.map(Arc::new).map_err(|why| Error::usage(format!("{}: {why}", path.display())))
}

/// The options that lead to the same database again.
fn flags(context: &Context, is_private: bool) -> Vec<String> {
    let global = &context.global;
    let config = global.config.as_ref().map(|path| path.display().to_string());
    // The private server has a profile of its own, however one has come there.
    let demo = (is_private && global.profile.is_none() && global.database.is_none())
        .then(|| DEMO_PROFILE.to_owned());
    let options = [
        ("--config", config),
        ("--profile", global.profile.clone().or(demo)),
        ("--database-url", global.database_url.clone()),
        ("--replica-url", global.replica_url.clone()),
        ("--database", global.database.clone()),
        ("--schema", global.schema.clone()),
        ("--case", global.case.clone()),
    ];
    let as_superuser = global.as_superuser.then(|| "--as-superuser".to_owned());
    let named = options.into_iter().filter_map(|(name, value)| Some([name.to_owned(), value?])).flatten();
    named.chain(as_superuser).collect()
}
