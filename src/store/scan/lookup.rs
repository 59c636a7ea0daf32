//! Questions about single hashes and ids, asked of the snapshot that was read.

use super::super::StoreError;
use super::super::row::SqlTime;
use super::{Link, Snapshot};
use crate::chain::links::{Found, Hash, Node};
use crate::chain::to_hex;
use crate::domain::{TimeRange, Timestamp};
use sqlx::postgres::PgRow;
use sqlx::{Postgres, QueryBuilder, Row as _};

/// Hashes of one statement.
const AT_ONCE: usize = 20_000;

/// Reads time, id and both hashes from column `first` on.
pub(super) fn link(row: &PgRow, first: usize) -> Result<Link, sqlx::Error> {
    Ok(Link {
        timestamp: row.try_get::<SqlTime, _>(first)?.0,
        event_id: row.try_get(first + 1)?,
        hash: row.try_get(first + 2)?,
        previous_hash: row.try_get(first + 3)?,
    })
}

impl Snapshot<'_> {
    /// All events of the organisation, in scope or not, that have one of these as their hash or as that of their
    /// predecessor.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn nodes(&mut self, hashes: &[Hash]) -> Result<Found, StoreError> {
        let mut found = Found::default();
        for chunk in hashes.chunks(AT_ONCE) {
            let texts: Vec<String> = chunk.iter().map(to_hex).collect();
            let keys = self.keys(&texts).await?;
            for column in ["hash", "previous_hash"] {
                let mut sql = QueryBuilder::<Postgres>::new(
                    "SELECT timestamp, event_id::text, hash::text, previous_hash::text FROM ",
                );
                sql.push(self.table.source()).push(" WHERE organization_id = ");
                sql.push_bind(self.request.scope.organization().as_str());
                self.push_any(&mut sql, column, &keys, &texts);
                let into = if column == "hash" { &mut found.producing } else { &mut found.wanting };
                for row in sql.build().persistent(false).fetch_all(&mut *self.c).await? {
                    let link = link(&row, 0)?;
                    into.push(Node {
                        in_scope: in_scope(self.request.range, link.timestamp),
                        time: link.timestamp.as_micros(),
                        event_id: link.event_id,
                        hash: link.hash,
                        previous_hash: link.previous_hash,
                    });
                }
            }
        }
        Ok(found)
    }

    /// Other organisations that have an event with one of these hashes: pairs of hash and organisation, sorted.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn found_elsewhere(&mut self, hashes: &[String]) -> Result<Vec<(String, String)>, StoreError> {
        let mut found = Vec::new();
        for texts in hashes.chunks(AT_ONCE) {
            let keys = self.keys(texts).await?;
            let mut sql =
                QueryBuilder::<Postgres>::new("SELECT DISTINCT hash::text, organization_id::text FROM ");
            sql.push(self.table.source()).push(" WHERE organization_id <> ");
            sql.push_bind(self.request.scope.organization().as_str());
            self.push_any(&mut sql, "hash", &keys, texts);
            for row in sql.build().persistent(false).fetch_all(&mut *self.c).await? {
                found.push((row.try_get(0)?, row.try_get(1)?));
            }
        }
        found.sort();
        Ok(found)
    }

    /// Event ids that several rows of the scope have, each with one of its rows and their number; empty at once where
    /// the table itself forbids it.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn duplicate_ids(&mut self, limit: i64) -> Result<Vec<(String, Timestamp, i64)>, StoreError> {
        if self.table.unique_ids {
            return Ok(Vec::new());
        }
        let mut sql = QueryBuilder::<Postgres>::new(
            "SELECT event_id::text COLLATE \"C\", min(timestamp), count(*) FROM ",
        );
        sql.push(self.table.source()).push(" WHERE ").push(self.table.condition());
        sql.push(" GROUP BY 1 HAVING count(*) > 1 ORDER BY 2, 1 LIMIT ").push_bind(limit);
        let rows = sql.build().persistent(false).fetch_all(&mut *self.c).await?;
        rows.iter()
            .map(|row| Ok((row.try_get(0)?, row.try_get::<SqlTime, _>(1)?.0, row.try_get(2)?)))
            .collect()
    }

    /// The oldest event of the organisation that has no predecessor, in scope or not.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn first_genesis(&mut self) -> Result<Option<Link>, StoreError> {
        let mut sql = QueryBuilder::<Postgres>::new(
            "SELECT timestamp, event_id::text, hash::text, previous_hash::text FROM ",
        );
        sql.push(self.table.source()).push(" WHERE organization_id = ");
        sql.push_bind(self.request.scope.organization().as_str());
        sql.push(" AND previous_hash::text COLLATE \"C\" = '' ORDER BY timestamp, event_id LIMIT 1");
        let row = sql.build().persistent(false).fetch_optional(&mut *self.c).await?;
        Ok(row.map(|row| link(&row, 0)).transpose()?)
    }

    /// Time of the earliest event of the organisation that has a hash, in scope or not.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn first_hashed(&mut self) -> Result<Option<Timestamp>, StoreError> {
        let mut sql = QueryBuilder::<Postgres>::new("SELECT timestamp FROM ");
        sql.push(self.table.source()).push(" WHERE organization_id = ");
        sql.push_bind(self.request.scope.organization().as_str());
        sql.push(" AND hash <> '' ORDER BY timestamp LIMIT 1");
        let row = sql.build().persistent(false).fetch_optional(&mut *self.c).await?;
        Ok(row.map(|row| row.try_get::<SqlTime, _>(0)).transpose()?.map(|time| time.0))
    }

    /// Place in the chain of single events of the scope.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn links_of(&mut self, event_ids: &[String]) -> Result<Vec<Link>, StoreError> {
        let mut found = Vec::new();
        for ids in event_ids.chunks(AT_ONCE) {
            let mut sql = QueryBuilder::<Postgres>::new(
                "SELECT timestamp, event_id::text, hash::text, previous_hash::text FROM ",
            );
            sql.push(self.table.source()).push(" WHERE ").push(self.table.condition());
            sql.push(" AND event_id::text COLLATE \"C\" = ANY (").push_bind(ids).push(")");
            for row in sql.build().persistent(false).fetch_all(&mut *self.c).await? {
                found.push(link(&row, 0)?);
            }
        }
        Ok(found)
    }

    /// The eight bytes of each hash that our own index holds.
    async fn keys(&mut self, hashes: &[String]) -> Result<Vec<i64>, StoreError> {
        let row =
            sqlx::query("SELECT array_agg(hashtextextended(h COLLATE \"C\", 0)) FROM unnest($1::text[]) h")
                .bind(hashes)
                .persistent(false)
                .fetch_one(&mut *self.c)
                .await?;
        Ok(row.try_get::<Option<Vec<i64>>, _>(0)?.unwrap_or_default())
    }

    /// ` AND column is one of texts`, byte by byte, in the form that our own index serves; without it, one pass over the
    /// table. Under a collation to which different texts are equal, that index holds something else.
    fn push_any(&self, sql: &mut QueryBuilder<Postgres>, column: &str, keys: &[i64], texts: &[String]) {
        if !self.table.loose_hashes {
            sql.push(format_args!(" AND hashtextextended({column}, 0) = ANY (")).push_bind(keys.to_vec());
            sql.push(")");
        }
        sql.push(format_args!(" AND {column}::text COLLATE \"C\" = ANY ("))
            .push_bind(texts.to_vec())
            .push(")");
    }
}

fn in_scope(range: TimeRange, time: Timestamp) -> bool {
    range.since.is_none_or(|since| since <= time) && range.until.is_none_or(|until| time < until)
}
