//! `agenttrace` without a command: the console.

use super::{Color, Context};
use crate::config::{Span, Target};
use crate::console::{self, ColorChoice, Start};
use crate::domain::OrgId;
use crate::error::Result;

/// Opens the console on the configured target.
pub(super) async fn run(context: &Context) -> Result<()> {
    let choice = context.choice()?;
    let organization = context.named_organization(&choice)?;
    let target = context.target(&choice).await?;
    open(context, target, organization, choice.window).await
}

/// Opens the console on a target that has been reached.
pub(super) async fn open(
    context: &Context,
    target: Target,
    organization: Option<OrgId>,
    window: Span,
) -> Result<()> {
    let color = match context.global.color {
        Color::Auto => ColorChoice::Auto,
        Color::Always => ColorChoice::Always,
        Color::Never => ColorChoice::Never,
    };
    let filter = context.global.all_time.then(|| "all-time".to_owned());
    let (settings, rules) = (context.read_settings()?, context.rules()?);
    console::run(Start { target, settings, rules, organization, window, filter, color, theme: None }).await
}
