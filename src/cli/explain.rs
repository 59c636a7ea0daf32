//! `agenttrace explain`

use super::Context;
use super::asked::{Window, wants_json};
use super::filter::{FilterArgs, HELP};
use crate::error::Result;
use crate::export::{json, report};
use crate::store::listing::explain::{self, Explanation};
use crate::store::query::{Query, Seek};
use std::io::Write;

/// Arguments of `explain`.
#[derive(Debug, Clone, clap::Args)]
#[command(after_help = HELP)]
pub struct ExplainArgs {
    /// What is to be explained
    #[command(flatten)]
    pub asked: FilterArgs,
    /// Run the statement too, to tell real rows, blocks and times
    #[arg(long)]
    pub analyze: bool,
    /// Rows of the page
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub limit: u32,
}

/// Runs it.
///
/// # Errors
/// Exit 2 for a filter that cannot be read, exit 3 when the database cannot be.
pub(super) async fn run(context: &Context, args: ExplainArgs) -> Result<()> {
    let json = wants_json(context, "explain")?;
    let reader = context.reader().await?;
    let scope = context.scope(&reader).await?;
    let cancel = super::cancel_on_interrupt();
    let query = args.asked.query(context, &reader, scope, &cancel).await?;
    let explanation =
        explain::page(&reader.db, &query, &Seek::Newest, args.limit as usize, args.analyze, &cancel).await?;
    let mut out = context.out.results();
    if json {
        json::write_line(&mut out, &document(&query, &explanation))?;
    } else {
        // On a terminal the end is what stays to be seen.
        let width = context.out.style().width;
        report::write(&mut out, &report::statements(&explanation, width))?;
        writeln!(out)?;
        report::write(&mut out, &report::findings(&query, &explanation, width))?;
    }
    Ok(out.flush()?)
}

fn document<'a>(query: &'a Query, explanation: &'a Explanation) -> impl serde::Serialize + 'a {
    #[derive(serde::Serialize)]
    struct Body<'a> {
        filter: String,
        window: Window,
        #[serde(flatten)]
        explanation: &'a Explanation,
    }
    json::document(
        query.scope.organization().as_str(),
        Body { filter: query.filter.canonical(), window: query.range.into(), explanation },
    )
}
