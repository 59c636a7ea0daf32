//! `agenttrace ingest`

use super::Context;
use crate::error::Result;

/// Arguments of `ingest`.
#[derive(Debug, Clone, clap::Args)]
pub struct IngestArgs {}

/// Runs it.
pub async fn run(context: &Context, args: IngestArgs) -> Result<()> {
    todo!()
}
