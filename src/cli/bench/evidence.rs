//! The subject `evidence`: 500 events spread over the whole trail, proven to somebody without the database. The log is
//! signed with a key of its own, in a folder that goes with the benchmark.

use super::pages::query;
use super::verify::{forget_peak, peak_memory};
use super::{BenchArgs, Measure, Measured};
use crate::case::keys;
use crate::domain::{Event, OrgScope};
use crate::error::{Error, Kind, Result};
use crate::evidence::bundle::{self, Level, State};
use crate::evidence::note::PublicKey;
use crate::investigation::evidence::{self, Job};
use crate::investigation::{Records, casework, checkpoint, export};
use crate::store::ReadDb;
use std::fs::File;
use std::io::BufReader;
use std::path::Path;
use std::time::Instant;
use tokio_util::sync::CancellationToken;

/// Events of the bundles.
const EVENTS: usize = 500;

/// Ids of events at equal distances, in the order in which they are exported.
async fn spread(db: &ReadDb, scope: &OrgScope, of: u64, cancel: &CancellationToken) -> Result<Vec<String>> {
    let all = query(scope, "all-time")?;
    let step = (of / EVENTS as u64).max(1);
    let (mut ids, mut at) = (Vec::new(), 0);
    Box::pin(export::stream(db, &all, None, cancel, async |events: Vec<Event>| {
        for event in &events {
            if at % step == step / 2 && ids.len() < EVENTS {
                ids.push(event.row.event_id.clone());
            }
            at += 1;
        }
        Ok::<_, Error>(())
    }))
    .await?;
    Ok(ids)
}

/// Seconds until a bundle is verified.
fn verified(path: &Path, trusted: &[PublicKey]) -> Result<f64> {
    let begun = Instant::now();
    let report = bundle::verify(BufReader::with_capacity(1 << 16, File::open(path)?), trusted)
        .map_err(|e| Error::new(Kind::Finding, "the bundle of the benchmark is none").because(e))?;
    let elapsed = begun.elapsed().as_secs_f64();
    if [&report.content, &report.inclusion, &report.signature].iter().any(|part| part.state != State::Shown) {
        return Err(Error::new(Kind::Finding, "the bundle of the benchmark does not verify")
            .hint("agenttrace verify says what is wrong with the trail"));
    }
    Ok(elapsed)
}

/// Measures it.
pub(super) async fn measure(
    args: &BenchArgs,
    db: &ReadDb,
    place: &str,
    scope: &OrgScope,
) -> Result<Measured> {
    let cancel = super::super::cancel_on_interrupt();
    let home = tempfile::tempdir()?;
    let folder = home.path().to_owned();
    let key = keys::generate(&folder, "bench")?;
    let trusted = [key.public()];
    let mut records = Records::from_folder(folder.clone(), place);
    forget_peak();
    let begun = Instant::now();
    let (scoped, own) = (scope.clone(), folder.clone());
    let created = checkpoint::create(db, place, own, &mut records, scoped, Some(key), |_| {}, &cancel);
    let created = Box::pin(created).await?;
    let signing = begun.elapsed().as_secs_f64();
    let events = created.signed.map_or(0, |signed| signed.trail.checkpoint.size);
    let mut measures = vec![
        Measure::new("trail verified and signed", signing, "s"),
        Measure::new("peak memory of that", peak_memory(), "MB").at_most(64.0),
    ];
    let ids = spread(db, scope, events, &cancel).await?;
    if ids.is_empty() {
        return Err(Error::new(Kind::Incomplete, "the organisation has no events to measure with")
            .hint("agenttrace demo --database bench --events 1000000 --no-console makes some"));
    }
    let names = [
        (Level::Hashes, "level hashes: exported", "level hashes: verified off-line", "level hashes: bundle"),
        (Level::None, "level none: exported", "level none: verified off-line", "level none: bundle"),
    ];
    for (level, exported, verified_name, size) in names {
        let path = home.path().join(level.name());
        let query = casework::by_ids(scope, ids.clone());
        let words = Some("500 events of the whole trail".to_owned());
        let job =
            Job { query, words, level, key: None, path: path.clone(), replace: false, redact: Vec::new() };
        let begun = Instant::now();
        let made = evidence::export(db, place, folder.clone(), job, &|_| {}, None, &cancel);
        let made = Box::pin(made).await?;
        measures.push(Measure::new(exported, begun.elapsed().as_secs_f64(), "s"));
        measures.push(Measure::new(size, made.written.bytes as f64 / 1e6, "MB"));
        forget_peak();
        let times: Result<Vec<f64>> = (0..args.pairs).map(|_| verified(&path, &trusted)).collect();
        measures.push(Measure::median(verified_name, "s", times?).at_most(2.0));
        measures
            .push(Measure::new("peak memory of this program meanwhile", peak_memory(), "MB").at_most(64.0));
    }
    Ok(Measured {
        subject: "evidence",
        organization_id: scope.organization().as_str().to_owned(),
        events,
        pairs: args.pairs,
        measures,
    })
}
