//! `agenttrace show`

use super::Context;
use crate::error::Result;

/// Arguments of `show`.
#[derive(Debug, Clone, clap::Args)]
pub struct ShowArgs {}

/// Runs it.
pub async fn run(context: &Context, args: ShowArgs) -> Result<()> {
    todo!()
}
