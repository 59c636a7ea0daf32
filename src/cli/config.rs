//! `agenttrace config`

use super::Context;
use crate::error::Result;

/// Arguments of `config`.
#[derive(Debug, Clone, clap::Args)]
pub struct ConfigArgs {}

/// Runs it.
pub async fn run(context: &Context, args: ConfigArgs) -> Result<()> {
    todo!()
}
