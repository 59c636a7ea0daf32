//! Which scheme a table was written with, from a sample of its rows.

use super::report::SchemeUsed;
use crate::chain::links::parse_hash;
use crate::chain::{Judge, Judgement, Row, Scheme};
use crate::store::StoreError;
use crate::store::scan::{Scanned, Sink, Snapshot, Unreadable};

/// Rows of the sample.
const SAMPLE: u32 = 100;
/// Rows of it for which other spellings are tried.
const CLOSE_LOOKS: u32 = 20;

struct Sampler {
    /// Each scheme with the number of rows it fits.
    candidates: Vec<(Judge, u64)>,
    rows: u64,
    close_looks: u32,
}

impl Sink for Sampler {
    fn row(&mut self, row: &Scanned<'_>) {
        let Some(fields) = row.fields else { return };
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
                if matches!(judge.judge(&row), Judgement::VerifiedAlternative(_)) {
                    *fits += 1;
                }
            }
        }
    }

    fn unreadable(&mut self, _: Unreadable) {}
}

/// The scheme that fits most rows of a sample; the first one, as a guess, when none fits any.
pub(super) async fn scheme(snapshot: &mut Snapshot<'_>) -> Result<(Scheme, SchemeUsed), StoreError> {
    let candidates = Scheme::ALL.iter().map(|scheme| (Judge::new(*scheme), 0)).collect();
    let mut sampler = Sampler { candidates, rows: 0, close_looks: 0 };
    snapshot.sample(SAMPLE, &mut sampler).await?;
    let mut best = (Scheme::V1, 0);
    for (judge, fits) in &sampler.candidates {
        if *fits > best.1 {
            best = (judge.scheme(), *fits);
        }
    }
    let (scheme, fits) = best;
    let confidence = if sampler.rows == 0 { 0.0 } else { fits as f64 / sampler.rows as f64 };
    Ok((scheme, SchemeUsed { name: scheme.name(), guessed: fits == 0, confidence }))
}
