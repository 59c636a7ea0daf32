//! `agenttrace db`

use super::Context;
use crate::error::Result;

/// Arguments of `db`.
#[derive(Debug, Clone, clap::Args)]
pub struct DbArgs {}

/// Runs it.
pub async fn run(context: &Context, args: DbArgs) -> Result<()> {
    todo!()
}
