//! The subject `search`: the newest events with a rare, a medium and a common word, and how fast a search is stopped.

use super::super::Context;
use super::cancel::stop_after;
use super::{BenchArgs, Measure, Measured, milliseconds};
use crate::domain::{OrgScope, TimeRange};
use crate::error::{Error, Kind, Result};
use crate::filter::Filter;
use crate::store::ReadDb;
use crate::store::bench::words;
use crate::store::listing::search::Engine;
use crate::store::listing::timeline;
use crate::store::query::{Looked, Pace, Query, Seek};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;

/// Events of a page.
const PAGE: usize = 100;
/// Events whose words are looked at to find some that are rare, medium and common.
const SAMPLE: u32 = 30_000;
/// Words of each class.
const WORDS: usize = 3;
/// Most words of the sample that are counted in the whole trail to find rare ones.
const CANDIDATES: usize = 12;
/// More events than this are not rare.
const RARE: u64 = 100;
/// Searches for each word, for each pair that is asked for.
const ROUNDS: u32 = 4;
/// How often a search is stopped half-way.
const STOPS: u32 = 10;
/// The bar of a page, and of a step of a search by an index that is not ours, in ms.
const BAR: f64 = 150.0;
/// The bar of stopping, in ms.
const STOP_BAR: f64 = 50.0;

/// Words of one class, and what searching for them took.
struct Class {
    /// Names of the measures: middle, P95, longest step.
    names: [&'static str; 3],
    words: Vec<(String, u64)>,
    /// Of pages, in ms.
    times: Vec<f64>,
    /// The longest step of each page, in ms.
    steps: Vec<f64>,
}

struct Bench<'a> {
    db: &'a ReadDb,
    scope: &'a OrgScope,
    cancel: CancellationToken,
}

impl Bench<'_> {
    fn query(&self, filter: &str) -> Result<Query> {
        let filter = Filter::parse(filter).map_err(|e| Error::could_not_run(e.to_string()))?;
        Ok(Query { scope: self.scope.clone(), filter, range: TimeRange::default() })
    }

    /// How many events have a word.
    async fn count(&self, word: &str) -> Result<u64> {
        let query = self.query(&phrase(word))?;
        let limit = self.db.settings().statement_timeout;
        Ok(timeline::count(self.db, &query, limit, &self.cancel).await?.value().unwrap_or_default())
    }

    /// One page; all of it, and its longest step.
    async fn page(&self, word: &str) -> Result<(f64, f64)> {
        let query = self.query(&phrase(word))?;
        let begun = Instant::now();
        let steps = Mutex::new((begun, Duration::ZERO));
        let step = |_: &Looked| {
            let mut steps = steps.lock().unwrap_or_else(PoisonError::into_inner);
            *steps = (Instant::now(), steps.1.max(steps.0.elapsed()));
        };
        let pace = Pace { patience: None, progress: Some(&step) };
        timeline::page_at(self.db, &query, &Seek::Newest, PAGE, pace, &self.cancel).await?;
        let (last, longest) = steps.into_inner().unwrap_or_else(PoisonError::into_inner);
        Ok((milliseconds(begun.elapsed()), milliseconds(longest.max(last.elapsed()))))
    }

    /// Words of the data: some that few events have, some that about one in 300 has, some that most have.
    async fn classes(&self) -> Result<[Class; 3]> {
        let sampled = words::sample(self.db, self.scope, SAMPLE, &self.cancel).await?;
        let plain = |word: &str| word.len() >= 3 && word.chars().all(char::is_alphabetic);
        let words: Vec<&(String, u64)> = sampled.words.iter().filter(|(word, _)| plain(word)).collect();
        let share = |events: u64| events as f64 / sampled.events.max(1) as f64;
        let take = |from: f64, to: f64| {
            let fit = words.iter().filter(move |(_, events)| (from..to).contains(&share(*events)));
            fit.take(WORDS).map(|(word, _)| word.clone()).collect::<Vec<_>>()
        };
        let mut rare: Vec<(String, u64)> = Vec::new();
        let seldom = sampled.words.iter().rev().filter(|(word, _)| word.chars().all(char::is_alphanumeric));
        for (word, _) in seldom.take(CANDIDATES) {
            let events = self.count(word).await?;
            if (1..=RARE).contains(&events) && rare.len() < WORDS {
                rare.push((word.clone(), events));
            }
        }
        let mut counted = [Vec::new(), Vec::new()];
        for (list, words) in counted.iter_mut().zip([take(0.000_5, 0.005), take(0.1, 1.1)]) {
            for word in words {
                list.push((word.clone(), self.count(&word).await?));
            }
        }
        let [medium, common] = counted;
        let class = |names, words| Class { names, words, times: Vec::new(), steps: Vec::new() };
        Ok([
            class(["rare word, median", "rare word, P95", "rare word, longest step"], rare),
            class(["medium word, median", "medium word, P95", "medium word, longest step"], medium),
            class(["common word, median", "common word, P95", "common word, longest step"], common),
        ])
    }
}

/// Measures it.
pub(super) async fn measure(
    context: &Context,
    args: &BenchArgs,
    db: &ReadDb,
    scope: &OrgScope,
) -> Result<Measured> {
    let bench = Bench { db, scope, cancel: super::super::cancel_on_interrupt() };
    let engine = Engine::of(&*db.capabilities(&bench.cancel).await?);
    let everything = bench.query("")?;
    let limit = db.settings().statement_timeout;
    let events = timeline::count(db, &everything, limit, &bench.cancel).await?.value().unwrap_or_default();
    if events == 0 {
        return Err(Error::new(Kind::Incomplete, "the organisation has no events to measure with")
            .hint("agenttrace demo --database bench --events 1000000 --no-console makes some"));
    }
    let mut classes = bench.classes().await?;
    context.out.remark(format_args!("engine: {}", engine.name()));
    for class in &classes {
        let words: Vec<String> =
            class.words.iter().map(|(word, events)| format!("{word} ({events})")).collect();
        context.out.remark(format_args!("{}: {}", class.names[1], words.join(", ")));
        // Once for nothing: caches fill, connections are made.
        for (word, _) in &class.words {
            bench.page(word).await?;
        }
    }
    for _ in 0..args.pairs * ROUNDS {
        for class in &mut classes {
            for (word, _) in &class.words {
                let (time, step) = bench.page(word).await?;
                class.times.push(time);
                class.steps.push(step);
            }
        }
    }
    let frequent = classes.iter().rev().find_map(|class| class.words.first()).map(|(word, _)| word.clone());
    // A search without end: everything on the way is looked at.
    let endless =
        bench.query(&format!("\"{}\" /no such text: [0-9]{{40}}x/", frequent.unwrap_or_default()))?;
    let watcher = context.reader().await?;
    let mut stops = Vec::new();
    for stop in 0..STOPS {
        let after = Duration::from_millis(20 + u64::from(stop) * 17);
        let stopped = stop_after(db, &watcher.db, &endless, after, &bench.cancel).await?;
        stops.extend(stopped.map(|(server, _)| server));
    }
    let slowest = stops.iter().copied().fold(f64::NAN, f64::max);
    let mut measures = Vec::new();
    for Class { names: [median, p95, step], times, steps, .. } in classes {
        measures.push(Measure::median(median, "ms", times.clone()));
        let whole = Measure::p95(p95, "ms", times);
        let step = Measure::p95(step, "ms", steps);
        // An index that is not ours cannot be made to give a page at once, but what comes comes step by step.
        if matches!(engine, Engine::Vector) {
            measures.push(whole.at_most(BAR));
        } else {
            measures.extend([whole, step.at_most(BAR)]);
        }
    }
    measures.push(Measure::new("searches stopped half-way", stops.len() as f64, ""));
    measures.push(
        Measure::new("until the server is idle after a stop, slowest", slowest, "ms").at_most(STOP_BAR),
    );
    Ok(Measured {
        subject: "search",
        organization_id: scope.organization().as_str().to_owned(),
        events,
        pairs: args.pairs,
        measures,
    })
}

/// The word as a term of a filter.
fn phrase(word: &str) -> String {
    format!("\"{word}\"")
}
