//! `agenttrace` without a command: the console.

use super::Context;
use crate::error::Result;

/// Opens the console on the configured target.
pub async fn run(context: &Context) -> Result<()> {
    let choice = context.choice()?;
    let _target = context.target(&choice).await?;
    todo!()
}
