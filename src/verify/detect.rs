//! Which scheme a table was written with, from a sample of its rows.

use super::heads::{self, Looked};
use super::report::SchemeUsed;
use crate::chain::head::Memory;
use crate::chain::links::parse_hash;
use crate::chain::{Judge, Judgement, NO_SCHEME, Row, Scheme};
use crate::domain::{Event, OrgScope, TimeRange};
use crate::store::scan::{self, Scanned, Sink, Skipped, Snapshot, Unreadable};
use crate::store::{ReadDb, StoreError};
use tokio_util::sync::CancellationToken;

/// Rows of the sample.
const SAMPLE: u32 = 100;
/// Most bytes that the states of such a row take in the table: compressed, so that it may be a hundred times as much.
const SAMPLE_BYTES: u32 = 32 << 10;
/// Bytes hashed in search of other spellings, for each scheme: some tenths of a second.
const BUDGET: u64 = 256 << 20;
/// Rows of the sample where states are so large that there are fewer than [`FOREIGN`] others.
const LARGE_SAMPLE: u32 = 10;
/// Rows of it for which other spellings are tried.
const CLOSE_LOOKS: u32 = 20;

/// From this many rows on, a table of which not one fits a scheme is taken to have another scheme.
pub(super) const FOREIGN: u64 = 10;
/// What a row without a hash comes to when nothing is known of the others.
const NO_HASH: &str = "the row has no hash; a verification of the whole trail tells whether it is from before hashing or lost its hash";
/// What fits such a table.
pub(super) const FOREIGN_FITS: &[&str] =
    &["a writer that hashes another text", "an edit of all events after they were written"];

/// How the hashes of a trail are made, as far as a sample tells.
#[derive(Debug, Clone, PartialEq)]
pub struct Detected {
    /// The scheme.
    pub scheme: Scheme,
    /// How sure that is.
    pub used: SchemeUsed,
    /// Rows of the sample.
    pub rows: u64,
}

impl Detected {
    /// Of enough rows, not one fits: that says something about the scheme, and nothing about the rows.
    pub fn is_foreign(&self) -> bool {
        self.used.guessed && self.rows >= FOREIGN
    }

    /// Whether more rows may tell more.
    pub fn is_tentative(&self) -> bool {
        self.used.guessed && self.rows < FOREIGN
    }

    /// The same trail, by a scheme that is known otherwise than from the sample.
    pub(super) fn known(self, scheme: Scheme) -> Self {
        let used = SchemeUsed { name: scheme.name(), guessed: false, ..self.used };
        Self { scheme, used, ..self }
    }

    /// The same trail, by the remembered scheme where its own is only a guess.
    pub(super) fn or_remembered(self, looked: &Looked, memory: &Memory) -> Self {
        match looked.scheme(memory) {
            Some(scheme) if self.used.guessed => self.known(scheme),
            _ => self,
        }
    }

    /// Judges the content of one event of the trail by a judge of its scheme.
    pub fn judge(&self, judge: &mut Judge, event: &Event) -> Judgement {
        if event.row.hash.is_empty() {
            return Judgement::Undecided(NO_HASH.to_owned());
        }
        // A hash that is none is one under no scheme.
        let foreign = self.is_foreign() && parse_hash(&event.row.hash).is_some();
        match judge.judge(&Row::from(event)) {
            Judgement::Mismatch(mismatch) if foreign && mismatch.proves != Some(self.scheme) => {
                Judgement::Undecided(NO_SCHEME.to_owned())
            }
            judgement => judgement,
        }
    }
}

/// What tells the scheme of a trail besides its rows.
#[derive(Debug, Clone, Copy)]
pub enum SchemeSource<'a> {
    /// Somebody says so.
    Given(Scheme),
    /// Earlier verifications, of which a head is still in the trail.
    Remembered(&'a Memory),
}

/// Finds out the scheme of an organisation's trail.
///
/// # Errors
/// [`StoreError`].
pub async fn detect(
    db: &ReadDb,
    scope: &OrgScope,
    known: SchemeSource<'_>,
    cancel: &CancellationToken,
) -> Result<Detected, StoreError> {
    let whole = || scan::Request { scope: scope.clone(), range: TimeRange::default(), links_only: false };
    let given = match known {
        SchemeSource::Given(scheme) => Some(scheme),
        SchemeSource::Remembered(_) => None,
    };
    let detected = scan::with_snapshot(db, whole(), cancel, async |snapshot: &mut Snapshot<'_>| {
        scheme(snapshot, given).await
    })
    .await?;
    let memory = match known {
        SchemeSource::Remembered(memory) if detected.used.guessed && !memory.records.is_empty() => memory,
        _ => return Ok(detected),
    };
    // Before the snapshot is taken: what was applied by then is in it.
    let applied = db.applied_until().await?;
    let looked = scan::with_snapshot(db, whole(), cancel, async |snapshot: &mut Snapshot<'_>| {
        heads::look(snapshot, memory, applied).await
    })
    .await?;
    Ok(detected.or_remembered(&looked, memory))
}

struct Sampler {
    /// Each scheme with the number of rows it fits.
    candidates: Vec<(Judge, u64)>,
    rows: u64,
    close_looks: u32,
}

impl Sampler {
    fn begin_anew(&mut self) {
        self.candidates.iter_mut().for_each(|(_, fits)| *fits = 0);
        (self.rows, self.close_looks) = (0, 0);
    }
}

impl Sink for Sampler {
    fn row(&mut self, row: &Scanned<'_>) {
        // A row from before hashing says nothing about the scheme.
        let Some(fields) = row.fields.filter(|_| !row.hash.is_empty()) else { return };
        let row = Row { fields, hash: row.hash, previous_hash: row.previous_hash };
        let stored = parse_hash(row.hash);
        self.rows += 1;
        let mut fitted = false;
        for (judge, fits) in &mut self.candidates {
            if stored.is_some() && judge.hash(&row).ok() == stored {
                *fits += 1;
                fitted = true;
            }
        }
        if !fitted && self.close_looks < CLOSE_LOOKS {
            self.close_looks += 1;
            for (judge, fits) in &mut self.candidates {
                let proven = match judge.judge(&row) {
                    Judgement::VerifiedAlternative(_) => true,
                    // What it was edited from fits.
                    Judgement::Mismatch(mismatch) => mismatch.proves == Some(judge.scheme()),
                    Judgement::Verified | Judgement::Undecided(_) => false,
                };
                *fits += u64::from(proven);
            }
        }
    }

    fn unreadable(&mut self, _: Unreadable) {}

    fn skipped(&mut self, _: Skipped) {}
}

/// The scheme that fits most rows of a sample; the first one, as a guess, when none fits any. One that is forced is no
/// guess, however few rows it fits.
pub(super) async fn scheme(
    snapshot: &mut Snapshot<'_>,
    forced: Option<Scheme>,
) -> Result<Detected, StoreError> {
    let schemes = forced.as_ref().map_or(Scheme::ALL, std::slice::from_ref);
    let candidates = schemes.iter().map(|scheme| (Judge::within(*scheme, BUDGET), 0)).collect();
    let mut sampler = Sampler { candidates, rows: 0, close_looks: 0 };
    snapshot.sample(SAMPLE, SAMPLE_BYTES, &mut sampler).await?;
    if sampler.rows < FOREIGN {
        sampler.begin_anew();
        snapshot.sample(LARGE_SAMPLE, u32::MAX, &mut sampler).await?;
    }
    let mut best = (forced.unwrap_or(Scheme::V1), 0);
    for (judge, fits) in &sampler.candidates {
        if *fits > best.1 {
            best = (judge.scheme(), *fits);
        }
    }
    let (scheme, fits) = best;
    let confidence = if sampler.rows == 0 { 0.0 } else { fits as f64 / sampler.rows as f64 };
    let used = SchemeUsed { name: scheme.name(), guessed: fits == 0 && forced.is_none(), confidence };
    Ok(Detected { scheme, used, rows: sampler.rows })
}
