//! `agenttrace events`

use super::Context;
use crate::error::Result;

/// Arguments of `events`.
#[derive(Debug, Clone, clap::Args)]
pub struct EventsArgs {}

/// Runs it.
pub async fn run(context: &Context, args: EventsArgs) -> Result<()> {
    todo!()
}
