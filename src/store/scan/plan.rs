//! What to read and in which pieces.
//!
//! A unit is a range of blocks of one table or partition (read as a TID range), or a list of row addresses. Both are
//! read in the order of the addresses, so that after an error the row that caused it is known: the one behind those
//! that arrived. Row addresses are valid for the length of the snapshot only and are never kept.

use super::super::StoreError;
use super::super::connection::Relation;
use super::super::row::SqlTime;
use super::decode::{COLUMNS, Form, LINK_COLUMNS};
use super::parts::{Leaf, Parts, Way};
use super::ranges::{self, Earlier, File, Piece};
use super::unit::{Place, Tid, Unit, Which, parse_tid};
use crate::domain::{OrgScope, TimeRange};
use futures_util::TryStreamExt as _;
use sqlx::{PgConnection, Postgres, QueryBuilder, Row as _};
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// Tables of fewer blocks are read whole.
const SMALL: i64 = 1024;
/// The types `bytea` and `timestamp without time zone`.
const BYTEA: i64 = 17;
const TIMESTAMP: i64 = 1114;
/// When the scope is expected to hold less than this part of the table, its rows are looked up first.
const SHARE: u64 = 8;

/// The table, as this reader sees it.
#[derive(Debug, Clone)]
pub(super) struct Table {
    /// Qualified and quoted by the server.
    pub(super) name: String,
    relation: Relation,
    oid: i64,
    /// What it consists of.
    pub(super) parts: Parts,
    pub(super) forms: [Form; 22],
    /// The condition of the scope, its values quoted by the server: COPY takes no parameters.
    condition: String,
    /// Rows that the planner expects in the scope.
    pub(super) estimate: u64,
    links_only: bool,
    /// Whether a valid constraint keeps event ids apart within an organisation.
    pub(super) unique_ids: bool,
    /// A column of hashes has a collation to which different texts may be equal.
    pub(super) loose_hashes: bool,
    /// Columns that no scheme knows.
    pub(super) other_columns: Vec<String>,
}

impl Table {
    /// Looks at the catalogue, in the transaction that will read.
    pub(super) async fn look_at(
        c: &mut PgConnection,
        relation: &Relation,
        scope: &OrgScope,
        range: TimeRange,
        links_only: bool,
    ) -> Result<Self, StoreError> {
        // By its name: a change of layout puts another table in its place.
        let table = sqlx::query(
            "SELECT c.oid::int8, c.relkind::text
             FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
             WHERE n.nspname = $1 AND c.relname = $2",
        )
        .bind(&relation.schema)
        .bind(&relation.name)
        .persistent(false)
        .fetch_optional(&mut *c)
        .await?
        .ok_or(StoreError::NoTable)?;
        let (oid, kind): (i64, String) = (table.try_get(0)?, table.try_get(1)?);
        let name = relation.named().to_owned();
        if let Some(why) = relation.unverifiable() {
            return Err(StoreError::Other(why.to_owned()));
        }
        if !matches!(kind.as_str(), "r" | "p" | "f") {
            return Err(StoreError::Other(
                "audit_events is not a table here but a view; verification reads the table itself".to_owned(),
            ));
        }
        let forms = forms(c, oid, relation).await?;
        let condition = condition(c, scope, range).await?;
        let parts = Parts::of(c, oid, relation, &condition).await?;
        // The key of a table says nothing of what inherits from it.
        let unique_ids = !parts.inherits && unique_ids(c, oid, relation).await?;
        let loose_hashes = loose_hashes(c, oid, relation).await?;
        let other_columns = other_columns(c, oid, relation).await?;
        let mut table = Self {
            name,
            relation: relation.clone(),
            oid,
            parts,
            forms,
            condition,
            estimate: 0,
            links_only,
            unique_ids,
            loose_hashes,
            other_columns,
        };
        table.estimate = estimate(c, &table.source(), &table.condition).await?;
        Ok(table)
    }

    /// Cuts the scope into pieces, and says how many rows there are when that had to be counted. Where earlier scans
    /// have read, their ranges are pieces of their own.
    pub(super) async fn pieces(
        &self,
        c: &mut PgConnection,
        earlier: &[Earlier],
    ) -> Result<(Vec<Piece>, Option<u64>), StoreError> {
        let leaves = &self.parts.leaves;
        let whole = leaves.iter().enumerate().filter(|(_, leaf)| leaf.way != Way::Addresses);
        let mut pieces: Vec<Piece> = whole.map(|(at, leaf)| ranges::whole(leaf.file(at))).collect();
        let files = leaves.iter().enumerate().filter(|(_, leaf)| leaf.way == Way::Addresses);
        let files = files.map(|(at, leaf)| leaf.file(at));
        if self.goes_by_index() {
            let tids = self.addresses(c).await?;
            let count = tids.values().map(|tids| tids.len() as u64).sum();
            let known = pieces.is_empty();
            pieces.extend(files.flat_map(|file| {
                tids.get(&file.leaf).map(|tids| ranges::of_rows(file, tids, earlier)).unwrap_or_default()
            }));
            return Ok((pieces, known.then_some(count)));
        }
        pieces.extend(files.flat_map(|file| ranges::of_blocks(file, earlier)));
        Ok((pieces, None))
    }

    /// Whether the rows of the scope are so few that they are looked up first.
    pub(super) fn goes_by_index(&self) -> bool {
        self.blocks() > SMALL && self.estimate.saturating_mul(SHARE) < self.rows()
    }

    /// Rows of all organisations by the planner's statistics.
    pub(super) fn rows(&self) -> u64 {
        self.parts.leaves.iter().map(|leaf| leaf.rows).sum::<f32>() as u64
    }

    /// Blocks of all that is read by row addresses.
    pub(super) fn blocks(&self) -> i64 {
        self.parts.leaves.iter().map(|leaf| leaf.blocks).sum()
    }

    /// What stands behind FROM for questions about all that can be read: the table, as lists read it; without a part
    /// that cannot be read, the others.
    pub(super) fn source(&self) -> String {
        if self.parts.skipped.is_empty() {
            return self.relation.rows_of(&self.name);
        }
        let one = |leaf: &Leaf| match &leaf.way {
            Way::Through(_) => None,
            _ => {
                let rows = self.relation.rows_of(&format!("ONLY {}", leaf.name));
                Some(format!("SELECT {} FROM {rows}", COLUMNS.join(", ")))
            }
        };
        let all: Vec<String> = self.parts.leaves.iter().filter_map(one).collect();
        if all.is_empty() {
            return self.relation.rows_of(&format!("ONLY {}", self.name));
        }
        format!("({}) audit_events", all.join(" UNION ALL "))
    }

    /// The addresses of the rows of the scope, by relation, ascending.
    pub(super) async fn addresses(
        &self,
        c: &mut PgConnection,
    ) -> Result<BTreeMap<usize, Vec<Tid>>, StoreError> {
        let mut sql = QueryBuilder::<Postgres>::new("");
        if self.parts.leaves.iter().all(|leaf| leaf.way == Way::Addresses) {
            sql.push("SELECT tableoid::int8, ctid::text FROM ").push(self.relation.rows_of(&self.name));
            sql.push(" WHERE ").push(&self.condition);
        } else {
            // Only of those that are read by their addresses.
            let by_address = self.parts.leaves.iter().filter(|leaf| leaf.way == Way::Addresses);
            for (at, leaf) in by_address.enumerate() {
                sql.push(if at == 0 { "" } else { " UNION ALL " });
                let rows = self.relation.rows_of(&format!("ONLY {}", leaf.name));
                sql.push("SELECT tableoid::int8, ctid::text FROM ").push(rows);
                sql.push(" WHERE ").push(&self.condition);
            }
        }
        let mut found: BTreeMap<usize, Vec<Tid>> = BTreeMap::new();
        {
            let mut rows = sql.build().persistent(false).fetch(&mut *c);
            while let Some(row) = rows.try_next().await? {
                let oid: i64 = row.try_get(0)?;
                let leaf = self.parts.leaves.iter().position(|leaf| leaf.oid == oid);
                let leaf =
                    leaf.ok_or_else(|| StoreError::Other("a partition was attached just now".to_owned()))?;
                found.entry(leaf).or_default().push(parse_tid(row.try_get(1)?)?);
            }
        }
        for tids in found.values_mut() {
            tids.sort_unstable();
        }
        Ok(found)
    }

    /// COPY of a piece, by the server process of this transaction: another one, where a pooler sends it there, has another
    /// snapshot and gives no rows.
    pub(super) fn copy(&self, unit: &Unit, backend: i32) -> String {
        let mut columns = String::new();
        if self.reads_links_only(unit) {
            for (i, name) in LINK_COLUMNS.iter().enumerate() {
                let cast = if *name == "timestamp" { "" } else { "::text" };
                let _ = write!(columns, "{}{name}{cast}", if i == 0 { "" } else { ", " });
            }
        } else {
            for (i, (name, form)) in COLUMNS.iter().zip(self.forms).enumerate() {
                let cast = if form == Form::Cast { "::text" } else { "" };
                let _ = write!(columns, "{}{name}{cast}", if i == 0 { "" } else { ", " });
            }
        }
        format!(
            "COPY (SELECT {columns} FROM {} AND pg_catalog.pg_backend_pid() = {backend}) TO STDOUT (FORMAT binary)",
            self.from(unit)
        )
    }

    /// What is behind FROM for a piece.
    pub(super) fn from(&self, unit: &Unit) -> String {
        let place = match &unit.place {
            Place::Blocks { after: (block, place), end } => {
                let end = end.map(|end| format!(" AND ctid < '({end},0)'")).unwrap_or_default();
                format!("ctid > '({block},{place})'{end}")
            }
            Place::Rows(tids) => {
                let mut list = String::with_capacity(tids.len() * 14);
                for (i, (block, place)) in tids.iter().enumerate() {
                    let _ = write!(list, "{}\"({block},{place})\"", if i == 0 { "" } else { "," });
                }
                format!("ctid = ANY ('{{{list}}}'::tid[])")
            }
            Place::Whole => "true".to_owned(),
        };
        // Transactions are numbered modulo 2^32 in a row: of two, the one up to 2^31 behind is the earlier one.
        // Of numbers below 3, which are no transactions, nothing follows.
        let earlier = |transaction: i64| {
            format!(
                "(xmin::text::int8 >= 3 AND (({transaction} - xmin::text::int8) & 4294967295) BETWEEN 1 AND 2147483647)"
            )
        };
        let which = match unit.which {
            Which::All => String::new(),
            Which::Known(transaction) => format!(" AND {}", earlier(transaction)),
            Which::Later(transaction) => format!(" AND NOT {}", earlier(transaction)),
        };
        let condition = &self.condition;
        match self.parts.leaves.get(unit.leaf) {
            Some(Leaf { way: Way::Through(oids), .. }) => {
                let oids: Vec<String> = oids.iter().map(i64::to_string).collect();
                format!(
                    "{} WHERE tableoid = ANY ('{{{}}}'::oid[]) AND {condition}",
                    self.relation.rows_of(&self.name),
                    oids.join(",")
                )
            }
            leaf => {
                let name = leaf.map_or(self.name.as_str(), |leaf| leaf.name.as_str());
                let rows = self.relation.rows_of(&format!("ONLY {name}"));
                format!("{rows} WHERE {place}{which} AND {condition}")
            }
        }
    }

    /// A sample of the scope, as COPY: of the first rows, those whose states take no more than `bytes` in the table. Of
    /// a state that is stored elsewhere only the size is looked at.
    pub(super) fn sample(&self, limit: u32, bytes: u32) -> String {
        let columns: Vec<String> = COLUMNS
            .iter()
            .zip(self.forms)
            .map(|(name, form)| format!("{name}{}", if form == Form::Cast { "::text" } else { "" }))
            .collect();
        let columns = columns.join(", ");
        format!(
            "COPY (SELECT {columns} FROM (SELECT * FROM {} WHERE {} LIMIT {}) first \
             WHERE coalesce(pg_column_size(previous_state), 0) + coalesce(pg_column_size(new_state), 0) <= {bytes} \
             LIMIT {limit}) TO STDOUT (FORMAT binary)",
            self.source(),
            self.condition,
            u64::from(limit) * 10,
        )
    }

    /// Whether only ids, times and hashes are read of a unit.
    pub(super) fn reads_links_only(&self, unit: &Unit) -> bool {
        self.links_only || matches!(unit.which, Which::Known(_))
    }

    /// Name of the relation of a unit, or of the first one of several.
    pub(super) fn part(&self, unit: &Unit) -> String {
        self.parts.leaves.get(unit.leaf).map_or(&self.name, |leaf| &leaf.name).clone()
    }

    /// The condition of the scope.
    pub(super) fn condition(&self) -> &str {
        &self.condition
    }

    /// How a column of ours is called in the table.
    pub(super) fn their_name<'a>(&'a self, ours: &'a str) -> &'a str {
        self.relation.their_name(ours)
    }

    /// The identity of the table in its database.
    pub(super) fn oid(&self) -> i64 {
        self.oid
    }

    /// Copies the events of the scope as JSON, oldest first.
    pub(super) fn copy_as_json(&self) -> String {
        format!(
            "COPY (SELECT pg_catalog.row_to_json(e) FROM (SELECT {} FROM {} WHERE {} ORDER BY timestamp, event_id) e) \
             TO STDOUT",
            COLUMNS.join(", "),
            self.relation.sql(),
            self.condition
        )
    }
}

impl Leaf {
    fn file(&self, leaf: usize) -> File {
        let blocks = u32::try_from(self.blocks).unwrap_or(u32::MAX);
        File { leaf, table: self.oid, number: self.file, blocks }
    }
}

async fn forms(c: &mut PgConnection, oid: i64, relation: &Relation) -> Result<[Form; 22], StoreError> {
    let rows = sqlx::query(
        "SELECT attname::text, atttypid::int8, format_type(atttypid, atttypmod) FROM pg_catalog.pg_attribute
         WHERE attrelid = $1::int8::oid AND attnum > 0 AND NOT attisdropped",
    )
    .bind(oid)
    .persistent(false)
    .fetch_all(c)
    .await?;
    let mut types: BTreeMap<String, (i64, String)> = BTreeMap::new();
    for row in rows {
        types.insert(row.try_get(0)?, (row.try_get(1)?, row.try_get(2)?));
    }
    let mut forms = [Form::Text; 22];
    for (form, name) in forms.iter_mut().zip(COLUMNS) {
        let theirs = relation.their_name(name);
        let Some((oid, type_name)) = types.get(theirs) else {
            return Err(StoreError::Other(format!(
                "the table {} has no column {theirs}; verification needs it",
                relation.named()
            )));
        };
        *form = match (name, *oid) {
            // They are converted where they are read.
            ("timestamp", TIMESTAMP) => Form::Timestamp,
            ("hash" | "previous_hash", BYTEA) => Form::Text,
            (_, oid) => Form::of_type(oid),
        };
        if (name == "timestamp") != (*form == Form::Timestamp) {
            return Err(StoreError::Other(format!(
                "the column {theirs} of {} is of type {type_name}",
                relation.named()
            )));
        }
    }
    Ok(forms)
}

async fn condition(c: &mut PgConnection, scope: &OrgScope, range: TimeRange) -> Result<String, StoreError> {
    let row = sqlx::query(
        "SELECT quote_literal($1::text), quote_literal($2::timestamptz), quote_literal($3::timestamptz)",
    )
    .bind(scope.organization().as_str())
    .bind(range.since.map(SqlTime))
    .bind(range.until.map(SqlTime))
    .persistent(false)
    .fetch_one(c)
    .await?;
    let mut condition = format!("organization_id = {}", row.try_get::<String, _>(0)?);
    for (at, operator) in [(1, ">="), (2, "<")] {
        if let Some(bound) = row.try_get::<Option<String>, _>(at)? {
            let _ = write!(condition, " AND timestamp {operator} {bound}::timestamptz");
        }
    }
    Ok(condition)
}

async fn other_columns(
    c: &mut PgConnection,
    oid: i64,
    relation: &Relation,
) -> Result<Vec<String>, sqlx::Error> {
    let known: Vec<String> = COLUMNS.iter().map(|name| relation.their_name(name).to_owned()).collect();
    sqlx::query_scalar(
        "WITH RECURSIVE tree (oid) AS (
            SELECT $1::int8::oid
            UNION SELECT i.inhrelid FROM tree JOIN pg_catalog.pg_inherits i ON i.inhparent = tree.oid)
         SELECT a.attname::text FROM tree JOIN pg_catalog.pg_attribute a ON a.attrelid = tree.oid
         WHERE a.attnum > 0 AND NOT a.attisdropped AND a.attname <> ALL ($2::text[])
           AND NOT (a.attname = 'search_vector' AND a.attgenerated = 's')
         GROUP BY a.attname ORDER BY min(a.attnum)",
    )
    .bind(oid)
    .bind(known)
    .persistent(false)
    .fetch_all(c)
    .await
}

async fn loose_hashes(c: &mut PgConnection, oid: i64, relation: &Relation) -> Result<bool, sqlx::Error> {
    let hashes = ["hash", "previous_hash"].map(|name| relation.their_name(name).to_owned()).to_vec();
    sqlx::query_scalar(
        "SELECT EXISTS (SELECT FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_collation l ON l.oid = a.attcollation
             WHERE a.attrelid = $1::int8::oid AND a.attname = ANY ($2::text[])
               AND NOT l.collisdeterministic)",
    )
    .bind(oid)
    .bind(hashes)
    .persistent(false)
    .fetch_one(c)
    .await
}

async fn unique_ids(c: &mut PgConnection, oid: i64, relation: &Relation) -> Result<bool, StoreError> {
    let ids = ["event_id", "organization_id"].map(|name| relation.their_name(name).to_owned()).to_vec();
    let row = sqlx::query(
        "SELECT EXISTS (SELECT FROM pg_catalog.pg_index i
             WHERE i.indrelid = $1::int8::oid AND i.indisunique AND i.indisvalid AND i.indpred IS NULL
               AND NOT EXISTS (SELECT FROM unnest(i.indkey[0:i.indnkeyatts - 1]) k
                   LEFT JOIN pg_catalog.pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k
                   WHERE a.attname IS NULL OR a.attname <> ALL ($2::text[])))",
    )
    .bind(oid)
    .bind(ids)
    .persistent(false)
    .fetch_one(c)
    .await?;
    Ok(row.try_get(0)?)
}

async fn estimate(c: &mut PgConnection, name: &str, condition: &str) -> Result<u64, StoreError> {
    let mut sql = QueryBuilder::<Postgres>::new("EXPLAIN SELECT FROM ");
    sql.push(name).push(" WHERE ").push(condition);
    let row = sql.build().persistent(false).fetch_one(c).await?;
    let line: String = row.try_get(0)?;
    let rows = line.split_once("rows=").map_or("", |(_, after)| after);
    let digits: String = rows.chars().take_while(char::is_ascii_digit).collect();
    Ok(digits.parse().unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_go_on_behind_a_row() {
        let unit = |place: Place| Unit { leaf: 1, place, which: Which::Known(5) };
        let blocks = unit(Place::Blocks { after: (0, 0), end: Some(9) });
        assert_eq!(blocks.behind((4, 2)), Some(unit(Place::Blocks { after: (4, 2), end: Some(9) })));
        let rows = unit(Place::Rows(vec![(1, 1), (1, 2), (3, 1)]));
        assert_eq!(rows.behind((1, 1)), Some(unit(Place::Rows(vec![(1, 2), (3, 1)]))));
        assert_eq!(rows.behind((3, 1)), None);
        assert_eq!(rows.only((1, 2)), unit(Place::Rows(vec![(1, 2)])));
    }

    #[test]
    fn row_addresses_are_read_strictly() {
        assert_eq!(parse_tid("(12,3)").unwrap(), (12, 3));
        for text in ["", "(12)", "12,3", "(12,3", "(-1,3)", "(1,70000)", "(1,2,3)"] {
            assert!(parse_tid(text).is_err(), "{text}");
        }
    }
}
