//! Which columns of the real table the hash protects, as measured: each is changed in rows of a sample, in memory only, and
//! it is seen whether the hash notices.

use crate::chain::links::parse_hash;
use crate::chain::{Judge, Row, Scheme, changes_noticed};
use crate::store::StoreError;
use crate::store::scan::{Scanned, Sink, Skipped, Snapshot, Unreadable};
use serde::Serialize;

/// Rows of the sample.
const SAMPLE: u32 = 20;
/// Most bytes that the states of such a row take in the table.
const SAMPLE_BYTES: u32 = 32 << 10;

/// What became of changes of one column.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ColumnProtection {
    /// Its name.
    pub column: String,
    /// Rows in which it was changed; 0 for a column that is in no text that is hashed.
    pub changed: u64,
    /// In how many of them the hash was another one then.
    pub noticed: u64,
}

struct Changer {
    judge: Judge,
    columns: Vec<ColumnProtection>,
}

impl Sink for Changer {
    fn row(&mut self, row: &Scanned<'_>) {
        let Some(fields) = row.fields else { return };
        let row = Row { fields, hash: row.hash, previous_hash: row.previous_hash };
        // Of a row that does not fit as it is, a change proves nothing.
        if parse_hash(row.hash).is_none() || self.judge.hash(&row).ok() != parse_hash(row.hash) {
            return;
        }
        for (column, noticed) in changes_noticed(&mut self.judge, &row) {
            let known = self.columns.iter().position(|known| known.column == column);
            let at = known.unwrap_or_else(|| {
                self.columns.push(ColumnProtection { column: column.to_owned(), changed: 0, noticed: 0 });
                self.columns.len() - 1
            });
            if let Some(known) = self.columns.get_mut(at) {
                known.changed += 1;
                known.noticed += u64::from(noticed);
            }
        }
    }

    fn unreadable(&mut self, _: Unreadable) {}

    fn skipped(&mut self, _: Skipped) {}
}

/// Changes each column of sampled rows; columns that no scheme knows stand at the end.
pub(super) async fn measure(
    snapshot: &mut Snapshot<'_>,
    scheme: Scheme,
) -> Result<Vec<ColumnProtection>, StoreError> {
    let mut changer = Changer { judge: Judge::new(scheme), columns: Vec::new() };
    snapshot.sample(SAMPLE, SAMPLE_BYTES, &mut changer).await?;
    let mut columns = changer.columns;
    let others = snapshot.other_columns().iter();
    columns.extend(others.map(|name| ColumnProtection { column: name.clone(), changed: 0, noticed: 0 }));
    Ok(columns)
}
