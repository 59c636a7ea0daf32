//! `agenttrace demo`

use super::Context;
use crate::error::Result;

/// Arguments of `demo`.
#[derive(Debug, Clone, clap::Args)]
pub struct DemoArgs {
    /// How many events to generate
    #[arg(long, default_value_t = 100_000, value_name = "N")]
    pub events: u64,
    /// Seed of the generator; the same seed and --until make the same trail
    #[arg(long, default_value_t = 1, value_name = "S")]
    pub seed: u64,
    /// End of the trail, RFC 3339 [default: now]
    #[arg(long, value_name = "TIME")]
    pub until: Option<String>,
    /// Drop what is there and build it anew
    #[arg(long)]
    pub fresh: bool,
    /// Answer yes to questions
    #[arg(long)]
    pub yes: bool,
    /// Prepare and print how to connect, without opening the console
    #[arg(long)]
    pub no_console: bool,
    /// Download pinned PostgreSQL binaries when none are installed
    #[arg(long)]
    pub fetch_postgres: bool,
}

/// Runs it.
pub async fn run(context: &Context, args: DemoArgs) -> Result<()> {
    todo!()
}
