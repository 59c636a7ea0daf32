//! The search vectors of rows, computed anew: a row whose vector is another one is not found by its words.
//!
//! They are computed on the server, by the text of our migration in the statement itself, so that a function that was put in
//! the place of ours is neither believed nor run. Reading them makes a scan half as large again and computing them costs
//! some 30 µs a row, so a sample is what every verification does, and all rows are what was asked for.

use super::super::{StoreError, said};
use super::parts::Way;
use super::unit::{Place, Unit, Which};
use super::{AFTER_UNIT, BEFORE_UNIT, Link, Snapshot, is_about_a_row, lookup};
use crate::store::migrations::vector::{self, AlteredVector, DEFINITION};
#[expect(clippy::disallowed_types, reason = "a statement of this crate with the number of the table")]
use sqlx::AssertSqlSafe;
use sqlx::{PgConnection, Postgres, QueryBuilder, Row as _};
use std::collections::BTreeSet;
use std::hash::{BuildHasher as _, RandomState};

/// Blocks of a sample: some hundred and fifty rows, a few hundredths of a second.
const SAMPLE_BLOCKS: usize = 16;
/// Rows of a sample where they are few among those of other organisations.
const SAMPLE_ROWS: usize = 160;
/// Blocks of one statement over all rows.
const BLOCKS: u32 = 1024;
/// Rows of one statement that are looked up.
const ROWS: usize = 4096;
/// Rows that are named; beyond that they are counted.
const MOST: usize = 10_000;

/// A row whose search vector is not that of its words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OtherVector {
    /// The event.
    pub link: Link,
    /// MD5 of the vector that is stored, to tell it from other wrong ones.
    pub digest: String,
}

/// What comparing search vectors comes to.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Vectors {
    /// Relations whose definition is not that of the migrations.
    pub altered: Vec<AlteredVector>,
    /// Rows of which the vector was computed anew.
    pub compared: u64,
    /// Whether these are all rows of the scope.
    pub all: bool,
    /// Rows with another one, at most ten thousand.
    pub others: Vec<OtherVector>,
    /// How many more there are.
    pub more: u64,
    /// Why nothing was compared, in the server's words.
    pub refused: Option<String>,
}

/// How many rows are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Depth {
    /// Some of them, chosen at random.
    Sample,
    /// All.
    All,
}

impl Snapshot<'_> {
    /// Compares the search vector of our own schema: its definition, and its values in rows of the scope. `None` for another
    /// schema, and where the table has no such column.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn vectors(&mut self, depth: Depth) -> Result<Option<Vectors>, StoreError> {
        let table = self.table.oid();
        let defined = sqlx::raw_sql(AssertSqlSafe(DEFINITION.replace("{oid}", &table.to_string())));
        let rows = defined.fetch_all(&mut *self.c).await?;
        if !rows.iter().any(|row| row.try_get::<Option<&str>, _>(1).is_ok_and(|relation| relation.is_some()))
        {
            return Ok(None);
        }
        let altered = rows.iter().map(vector::altered).filter_map(Result::transpose);
        let altered = altered.collect::<Result<Vec<_>, _>>()?;
        let mut vectors = Vectors { altered, all: depth == Depth::All, ..Vectors::default() };
        let units = match depth {
            Depth::All => self.all_units().await?,
            Depth::Sample => self.sampled_units().await?,
        };
        let at_once = if depth == Depth::All { 1 } else { units.len().max(1) };
        for some in units.chunks(at_once) {
            self.compare(some.to_vec(), &mut vectors).await?;
            if vectors.refused.is_some() {
                break;
            }
        }
        Ok(Some(vectors))
    }

    /// Everything in scope, in statements of a few tenths of a second.
    async fn all_units(&mut self) -> Result<Vec<Unit>, StoreError> {
        let leaves = || self.table.parts.leaves.iter().enumerate();
        let mut units: Vec<Unit> = leaves()
            .filter(|(_, leaf)| leaf.way != Way::Addresses)
            .map(|(at, _)| unit(at, Place::Whole))
            .collect();
        if self.table.goes_by_index() {
            for (leaf, tids) in self.table.addresses(self.c).await? {
                units.extend(tids.chunks(ROWS).map(|some| unit(leaf, Place::Rows(some.to_vec()))));
            }
            return Ok(units);
        }
        for (at, leaf) in leaves().filter(|(_, leaf)| leaf.way == Way::Addresses) {
            let blocks = u32::try_from(leaf.blocks).unwrap_or(u32::MAX);
            let mut from: u32 = 0;
            loop {
                let to = from.saturating_add(BLOCKS);
                // The last one has no end: rows that the snapshot sees may lie behind the size that was read.
                let end = (to < blocks).then_some(to);
                units.push(unit(at, Place::Blocks { after: (from, 0), end }));
                match end {
                    Some(end) => from = end,
                    None => break,
                }
            }
        }
        Ok(units)
    }

    /// Blocks at random, or rows at random where those of the scope are few; all where there are not many.
    async fn sampled_units(&mut self) -> Result<Vec<Unit>, StoreError> {
        let chance = Chance(RandomState::new());
        if self.table.goes_by_index() {
            let found = self.table.addresses(self.c).await?;
            let drawn = chance.draw(found.values().map(|tids| tids.len() as u64).sum(), SAMPLE_ROWS);
            let mut units = Vec::new();
            let mut before = 0;
            for (leaf, tids) in found {
                let of_leaf = drawn.range(before..before + tids.len() as u64);
                let at = |n: &u64| usize::try_from(n - before).ok().and_then(|n| tids.get(n).copied());
                units.push(unit(leaf, Place::Rows(of_leaf.filter_map(at).collect())));
                before += tids.len() as u64;
            }
            return Ok(units);
        }
        let leaves = self.table.parts.leaves.iter().enumerate();
        let by_address: Vec<(usize, u64)> = leaves
            .filter(|(_, leaf)| leaf.way == Way::Addresses)
            .map(|(at, leaf)| (at, leaf.blocks.unsigned_abs()))
            .collect();
        let drawn = chance.draw(by_address.iter().map(|(_, blocks)| blocks).sum(), SAMPLE_BLOCKS);
        let mut units = Vec::new();
        let mut before = 0;
        for (leaf, blocks) in by_address {
            for n in drawn.range(before..before + blocks) {
                let block = u32::try_from(n - before).unwrap_or(u32::MAX);
                units.push(unit(leaf, Place::Blocks { after: (block, 0), end: block.checked_add(1) }));
            }
            before += blocks;
        }
        Ok(units)
    }

    /// Compares the rows of these units with one statement; where a row makes it fail, with one for each half.
    async fn compare(&mut self, units: Vec<Unit>, vectors: &mut Vectors) -> Result<(), StoreError> {
        let mut rest = vec![units];
        while let Some(mut units) = rest.pop() {
            let error = match self.compare_by(&units, vector::computed(), vectors).await {
                Ok(()) => continue,
                Err(error @ sqlx::Error::Database(_)) if !self.cancel.is_cancelled() => error,
                Err(error) => return Err(error.into()),
            };
            let is_whole = units.iter().any(|unit| unit.place == Place::Whole);
            if !is_about_a_row(&error) || is_whole {
                vectors.refused = Some(said(&error));
                return Ok(());
            }
            if units.len() > 1 {
                let other = units.split_off(units.len() / 2);
                rest.extend([units, other]);
                continue;
            }
            let Some(unit) = units.pop() else { continue };
            match halves(self.c, self.table.from(&unit), unit.clone()).await? {
                Some(halves) => rest.extend(halves.map(|half| vec![half])),
                // A row of which a state cannot be turned into words; the vector of ours then has the others. One that
                // cannot be read at all is found to be unreadable elsewhere.
                None => match self.compare_by(&[unit], vector::computed_without_states(), vectors).await {
                    Err(error) if !is_about_a_row(&error) => return Err(error.into()),
                    _ => {}
                },
            }
        }
        Ok(())
    }

    /// Compares what each row has with what `by` computes from it.
    async fn compare_by(
        &mut self,
        units: &[Unit],
        by: &str,
        vectors: &mut Vectors,
    ) -> Result<(), sqlx::Error> {
        if units.is_empty() {
            return Ok(());
        }
        let mut sql = QueryBuilder::<Postgres>::new(
            "WITH r AS MATERIALIZED (SELECT timestamp, event_id, hash, previous_hash, search_vector IS DISTINCT FROM (",
        );
        sql.push(by).push(") AS other, md5(search_vector::text) AS digest FROM (");
        for (n, unit) in units.iter().enumerate() {
            sql.push(if n == 0 { "" } else { " UNION ALL " });
            sql.push("SELECT timestamp, event_id, hash, previous_hash, ").push(vector::identifiers());
            sql.push(" AS ids, new_state, previous_state, search_vector FROM ").push(self.table.from(unit));
        }
        sql.push(
            ") e) SELECT NULL, NULL, NULL, NULL, NULL, count(*), count(*) FILTER (WHERE other) FROM r \
             UNION ALL (SELECT timestamp, event_id::text, hash::text, previous_hash::text, digest, 0, 0 FROM r \
             WHERE other ORDER BY timestamp, event_id LIMIT ",
        );
        sql.push_bind(i64::try_from(MOST).unwrap_or(i64::MAX)).push(")");
        sqlx::raw_sql(BEFORE_UNIT).execute(&mut *self.c).await?;
        let answered = sql.build().persistent(false).fetch_all(&mut *self.c).await;
        sqlx::raw_sql(AFTER_UNIT).execute(&mut *self.c).await?;
        for row in answered? {
            let (compared, others): (i64, i64) = (row.try_get(5)?, row.try_get(6)?);
            if row.try_get::<Option<&str>, _>(1)?.is_none() {
                vectors.compared += compared.unsigned_abs();
                vectors.more += others.unsigned_abs();
            } else if vectors.others.len() < MOST {
                let digest: Option<String> = row.try_get(4)?;
                let link = lookup::link(&row, 0)?;
                vectors.others.push(OtherVector { link, digest: digest.unwrap_or_default() });
                vectors.more = vectors.more.saturating_sub(1);
            }
        }
        Ok(())
    }
}

fn unit(leaf: usize, place: Place) -> Unit {
    Unit { leaf, place, which: Which::All }
}

/// A unit in two; `None` for one row, and for what has no addresses.
async fn halves(c: &mut PgConnection, from: String, unit: Unit) -> Result<Option<[Unit; 2]>, StoreError> {
    let part = |place: Place| Unit { place, ..unit.clone() };
    let rows = match &unit.place {
        Place::Blocks { after: (from, _), end: Some(end) } if end - from > 1 => {
            let middle = from + (end - from) / 2;
            let first = part(Place::Blocks { after: (*from, 0), end: Some(middle) });
            return Ok(Some([first, part(Place::Blocks { after: (middle, 0), end: Some(*end) })]));
        }
        Place::Blocks { .. } => {
            let mut sql = QueryBuilder::<Postgres>::new("SELECT ctid::text FROM ");
            let found = sql.push(from).build().persistent(false).fetch_all(c).await?;
            let mut tids = Vec::with_capacity(found.len());
            for row in &found {
                tids.push(super::unit::parse_tid(row.try_get(0)?)?);
            }
            tids.sort_unstable();
            tids
        }
        Place::Rows(tids) => tids.clone(),
        Place::Whole => return Ok(None),
    };
    let (one, other) = rows.split_at(rows.len() / 2);
    let both = !one.is_empty() && !other.is_empty();
    Ok(both.then(|| [part(Place::Rows(one.to_vec())), part(Place::Rows(other.to_vec()))]))
}

/// Choices that differ from run to run.
struct Chance(RandomState);

impl Chance {
    /// At most `most` of the numbers below `all`.
    fn draw(&self, all: u64, most: usize) -> BTreeSet<u64> {
        if all <= most as u64 {
            return (0..all).collect();
        }
        // Hardly any is drawn twice where there are many more of them.
        (0..most).map(|n| self.0.hash_one(n) % all).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_is_of_what_there_is() {
        let chance = Chance(RandomState::new());
        assert_eq!(chance.draw(3, 24).into_iter().collect::<Vec<_>>(), [0, 1, 2]);
        assert!(chance.draw(0, 24).is_empty());
        let drawn = chance.draw(1_000_000, 24);
        assert!(
            drawn.len() > 12 && drawn.iter().all(|n| *n < 1_000_000) && drawn.last() > Some(&1000),
            "{drawn:?}"
        );
    }
}
