//! The neighbours of an event in the chain of its organisation, looked up by hash.

use crate::domain::{EventRow, OrgScope};
use crate::store::connection::Link;
use crate::store::connection::capabilities::Index;
use crate::store::row::{self, ROW_COLUMNS};
use crate::store::{ReadDb, StoreError};
use sqlx::{Postgres, QueryBuilder};
use tokio_util::sync::CancellationToken;

/// More events than this with one hash, or behind one hash, are not listed.
pub const MAX_NEIGHBOURS: i64 = 100;

/// The events of the organisation whose hash is `hash`, in the order of the timeline, oldest first. More than one is
/// an anomaly. At most [`MAX_NEIGHBOURS`]; none for the empty hash, which is what a genesis names.
///
/// # Errors
/// [`StoreError`], also when the look-up takes too long because the table has no index on hashes.
pub async fn with_hash(
    db: &ReadDb,
    scope: &OrgScope,
    hash: &str,
    cancel: &CancellationToken,
) -> Result<Vec<EventRow>, StoreError> {
    find(db, scope, "hash", hash, cancel).await
}

/// The events of the organisation that name `hash` as their predecessor, as [`with_hash`]. More than one is a fork.
///
/// # Errors
/// As [`with_hash`].
pub async fn behind_hash(
    db: &ReadDb,
    scope: &OrgScope,
    hash: &str,
    cancel: &CancellationToken,
) -> Result<Vec<EventRow>, StoreError> {
    find(db, scope, "previous_hash", hash, cancel).await
}

/// Blocks of a table that is read through at once.
const SMALL: u32 = 1024;

/// Whether both look-ups are quick on this table: it is small, or has indexes on the two columns as our own schema
/// makes them.
///
/// # Errors
/// [`StoreError`].
pub async fn are_quick(db: &ReadDb, cancel: &CancellationToken) -> Result<bool, StoreError> {
    let table = db.capabilities(cancel).await?;
    let indexed = |column: &str| {
        let first = |index: &Index| index.keys.first().is_some_and(|key| is_hash_of(&key.of, column));
        table.indexes.iter().any(|index| index.valid && index.predicate.is_none() && first(index))
    };
    Ok(table.blocks <= SMALL || (indexed("hash") && indexed("previous_hash")))
}

/// Whether an index key, as the server prints it, is the one that [`find`] asks for.
fn is_hash_of(key: &str, column: &str) -> bool {
    // With or without blanks, parentheses and the casts of its arguments.
    let plain = key.replace("::text", "").replace("::bigint", "").replace(['(', ')', ' '], "");
    plain == format!("hashtextextended{column},0")
}

async fn find(
    db: &ReadDb,
    scope: &OrgScope,
    column: &'static str,
    hash: &str,
    cancel: &CancellationToken,
) -> Result<Vec<EventRow>, StoreError> {
    if hash.is_empty() {
        return Ok(Vec::new());
    }
    let loose = db.capabilities(cancel).await?.columns.iter().any(|c| c.name == column && c.is_loose);
    let mut sql = QueryBuilder::<Postgres>::new("SELECT ");
    sql.push(ROW_COLUMNS).push(" FROM ").push(db.relation(cancel).await?.sql());
    sql.push(" WHERE organization_id = ");
    sql.push_bind(scope.organization().as_str());
    // The index holds eight bytes of the hash; the whole hash decides, byte by byte. Under a collation that takes
    // different texts for equal, the index holds eight bytes of something else.
    if !loose {
        sql.push(format_args!(" AND hashtextextended({column}, 0) = hashtextextended(")).push_bind(hash);
        sql.push(r#" COLLATE "C", 0)"#);
    }
    sql.push(format_args!(r#" AND {column}::text COLLATE "C" = "#)).push_bind(hash);
    sql.push(" ORDER BY timestamp, event_id LIMIT ").push_bind(MAX_NEIGHBOURS);
    let rows = db.run(cancel, async |c: &mut Link| sql.build().fetch_all(c).await).await?;
    rows.iter().map(row::event_row).collect()
}

#[cfg(test)]
mod tests {
    use super::is_hash_of;

    #[test]
    fn only_the_expression_that_is_asked_for_is_recognised() {
        assert!(is_hash_of("hashtextextended((hash)::text, (0)::bigint)", "hash"));
        assert!(is_hash_of("hashtextextended(previous_hash, 0::bigint)", "previous_hash"));
        for other in [
            "hash",
            "hashtextextended((hash)::text, (1)::bigint)",
            "hashtextextended((previous_hash)::text, (0)::bigint)",
        ] {
            assert!(!is_hash_of(other, "hash"), "{other}");
        }
    }
}
