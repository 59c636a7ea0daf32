//! `agenttrace bench`: what the program promises about speed, measured where it is used.

mod cancel;
mod evidence;
mod export;
mod ingest;
mod pages;
mod search;
mod states;
mod verify;

use super::{Context, Format};
use crate::domain::Safe;
use crate::error::{Error, Kind, Result};
use crate::export::json;
use serde::Serialize;
use std::fmt;
use std::io::Write;
use std::time::Duration;

const HELP: &str = "\
Only reads; ingest writes into a server of its own. A trail to measure with: agenttrace demo --database bench --events 1000000 --no-console, \
then agenttrace bench verify --profile demo --database bench --org acme. The words to search for are found in the data.

A measure over its bar is exit 1. Build with --release; keep the machine quiet.";

/// Arguments of `bench`.
#[derive(Debug, Clone, clap::Args)]
#[command(after_help = HELP)]
pub struct BenchArgs {
    /// What to measure
    #[arg(value_enum, value_name = "SUBJECT")]
    subject: Subject,
    /// Interleaved pairs of runs; the median counts. A search is measured four times for each
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=100))]
    pub pairs: u32,
    /// Readers of a verification
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=4))]
    pub jobs: u8,
}

/// What can be measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Subject {
    /// The generator of the demo trail; needs no database.
    Seed,
    /// The first page of common filters.
    Filters,
    /// A search for ghost changes in the whole organisation.
    Ghosts,
    /// An export of the whole trail against COPY of the same events as JSON.
    Export,
    /// A bundle of 500 events of the whole trail, verified without the database.
    Evidence,
    /// Verification against reading the same rows and dropping them.
    Verify,
    /// The newest 100 events with a rare, a medium and a common word, and how fast a search can be stopped.
    Search,
    /// A filter that no index serves, stopped half-way.
    Cancel,
    /// Large states compared, blamed, kept; needs no database.
    Diff,
    /// 3870 small gzip files against the same records in one, into a private server that is thrown away.
    Ingest,
    /// The console drawn at 200 × 60: with large states, and while a key is held on a distant database; needs none.
    Ui,
}

/// What a measured value must not go beyond.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Bar {
    AtLeast(f64),
    AtMost(f64),
}

/// A measured value.
#[derive(Debug, Clone, PartialEq, Serialize)]
struct Measure {
    name: &'static str,
    value: f64,
    unit: &'static str,
    /// Least and greatest value, where it is a median.
    spread: Option<(f64, f64)>,
    bar: Option<Bar>,
}

/// All values of a subject.
#[derive(Debug, Clone, PartialEq, Serialize)]
struct Measured {
    subject: &'static str,
    organization_id: String,
    events: u64,
    pairs: u32,
    measures: Vec<Measure>,
}

impl Measure {
    fn new(name: &'static str, value: f64, unit: &'static str) -> Self {
        Self { name, value, unit, spread: None, bar: None }
    }

    /// The median of several values.
    fn median(name: &'static str, unit: &'static str, mut values: Vec<f64>) -> Self {
        values.sort_by(f64::total_cmp);
        let at = |index: usize| values.get(index).copied().unwrap_or(f64::NAN);
        let middle = values.len() / 2;
        let value = if values.len().is_multiple_of(2) && middle > 0 {
            f64::midpoint(at(middle - 1), at(middle))
        } else {
            at(middle)
        };
        let spread = (at(0), at(values.len().saturating_sub(1)));
        Self { spread: Some(spread), ..Self::new(name, value, unit) }
    }

    /// The value that 95 of 100 do not go beyond, with least and greatest.
    fn p95(name: &'static str, unit: &'static str, mut values: Vec<f64>) -> Self {
        values.sort_by(f64::total_cmp);
        let at = |index: usize| values.get(index).copied().unwrap_or(f64::NAN);
        let value = at((values.len() * 95).div_ceil(100).saturating_sub(1));
        let spread = (at(0), at(values.len().saturating_sub(1)));
        Self { spread: Some(spread), ..Self::new(name, value, unit) }
    }

    fn at_least(self, bar: f64) -> Self {
        Self { bar: Some(Bar::AtLeast(bar)), ..self }
    }

    fn at_most(self, bar: f64) -> Self {
        Self { bar: Some(Bar::AtMost(bar)), ..self }
    }

    fn is_missed(&self) -> bool {
        // A value that could not be measured misses nothing.
        match self.bar {
            Some(Bar::AtLeast(bar)) => self.value < bar,
            Some(Bar::AtMost(bar)) => self.value > bar,
            None => false,
        }
    }
}

impl fmt::Display for Measure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let number = |value: f64| {
            let digits = if value.abs() >= 100.0 { 0 } else { 2 };
            format!("{value:.digits$}")
        };
        write!(f, "{:<44} {:>10} {:<10}", self.name, number(self.value), self.unit)?;
        if let Some((least, greatest)) = self.spread {
            write!(f, " {}–{}", number(least), number(greatest))?;
        }
        match self.bar {
            Some(Bar::AtLeast(bar)) => write!(f, "  bar ≥ {}", number(bar))?,
            Some(Bar::AtMost(bar)) => write!(f, "  bar ≤ {}", number(bar))?,
            None => return Ok(()),
        }
        f.write_str(if self.is_missed() { "  MISSED" } else { "  ok" })
    }
}

/// Runs it.
///
/// # Errors
/// Exit 1 when a measure is over its bar, beside those of every command.
pub(super) async fn run(context: &Context, args: BenchArgs) -> Result<()> {
    let as_json = match context.global.format {
        None | Some(Format::Table) => false,
        Some(Format::Json) => true,
        Some(_) => return Err(Error::usage("bench writes for people, or --format json")),
    };
    if cfg!(debug_assertions) {
        context.out.remark("this is a debug build: its numbers say nothing");
    }
    let measured = match args.subject {
        Subject::Diff => states::diff(args.pairs)?,
        Subject::Ui => states::ui(args.pairs)?,
        Subject::Ingest => Box::pin(ingest::measure(args.pairs)).await?,
        Subject::Seed => pages::seed(args.pairs)?,
        subject => Box::pin(on_database(context, subject, &args)).await?,
    };
    let mut out = context.out.results();
    if as_json {
        json::write_line(&mut out, &json::general_document(&measured))?;
    } else {
        let organization = Safe::from_untrusted(&measured.organization_id);
        writeln!(
            out,
            "bench {}: {} events of {organization}, {} pairs of runs",
            measured.subject, measured.events, measured.pairs
        )?;
        for measure in &measured.measures {
            writeln!(out, "  {measure}")?;
        }
    }
    out.flush()?;
    let missed: Vec<&str> = measured.measures.iter().filter(|m| m.is_missed()).map(|m| m.name).collect();
    if missed.is_empty() {
        Ok(())
    } else {
        Err(Error::new(Kind::Finding, format!("over the bar: {}", missed.join(", "))))
    }
}

/// Measures what needs a database.
async fn on_database(context: &Context, subject: Subject, args: &BenchArgs) -> Result<Measured> {
    let reader = context.reader().await?;
    let scope = context.scope(&reader).await?;
    let db = &reader.db;
    match subject {
        Subject::Search => Box::pin(search::measure(context, args, db, &scope)).await,
        Subject::Cancel => Box::pin(cancel::measure(context, args, db, &scope)).await,
        Subject::Filters => Box::pin(pages::filters(args, db, &scope)).await,
        Subject::Ghosts => Box::pin(pages::ghosts(args, db, &scope)).await,
        Subject::Evidence => Box::pin(evidence::measure(args, db, &reader.place, &scope)).await,
        Subject::Export => Box::pin(export::measure(args, db, &reader.place, &scope)).await,
        _ => Box::pin(verify::measure(context, args, db, &scope)).await,
    }
}

/// A time in milliseconds.
fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians_and_bars() {
        let odd = Measure::median("m", "s", vec![3.0, 1.0, 2.0]);
        assert!((odd.value - 2.0).abs() < 1e-9 && odd.spread == Some((1.0, 3.0)));
        let even = Measure::median("m", "s", vec![4.0, 1.0, 2.0, 3.0]);
        assert!((even.value - 2.5).abs() < 1e-9);
        assert!(odd.clone().at_least(2.1).is_missed() && !odd.clone().at_least(2.0).is_missed());
        assert!(odd.clone().at_most(1.9).is_missed() && !odd.at_most(2.0).is_missed());
        let hundred = Measure::p95("m", "ms", (1..=100).rev().map(f64::from).collect());
        assert!((hundred.value - 95.0).abs() < 1e-9 && hundred.spread == Some((1.0, 100.0)));
        assert!(Measure::p95("m", "ms", Vec::new()).value.is_nan());
        assert!(!Measure::new("unknown", f64::NAN, "MB").at_most(64.0).is_missed());
    }
}
