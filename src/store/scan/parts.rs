//! The relations whose rows a list of events shows: the table itself, its partitions, and whatever inherits from it.
//!
//! A statement on the table reads all of them, so verification does: each by itself where that can be done in the order
//! of row addresses, the others whole. What cannot be read is named.

use super::super::connection::Relation;
use super::super::{StoreError, said};
use sqlx::{PgConnection, Postgres, QueryBuilder, Row as _};

/// A relation that has rows of its own, or several that are read with one statement.
#[derive(Debug, Clone)]
pub(super) struct Leaf {
    pub(super) oid: i64,
    /// The number of its file; it changes when the table is rewritten. 0 without one.
    pub(super) file: i64,
    /// Qualified and quoted by the server.
    pub(super) name: String,
    pub(super) blocks: i64,
    pub(super) rows: f32,
    pub(super) way: Way,
}

/// How the rows of a [`Leaf`] are read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Way {
    /// By ranges of row addresses.
    Addresses,
    /// With one statement: a foreign table, or one whose storage has no ranges of addresses. The snapshot of a foreign
    /// server is that of one connection.
    Whole { foreign: bool },
    /// Through the table: the role may read these relations in no other way.
    Through(Vec<i64>),
}

/// A relation of which not all was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Skipped {
    /// Qualified and quoted by the server.
    pub relation: String,
    /// Why, in the server's words.
    pub reason: String,
}

/// A relation under the table of our own schema that our migrations do not make.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unexpected {
    /// Qualified and quoted by the server.
    pub relation: String,
    /// Its object id.
    pub oid: i64,
    /// What it is: `a table that inherits from audit_events`.
    pub what: &'static str,
}

/// What a list of events reads.
#[derive(Debug, Clone, Default)]
pub(super) struct Parts {
    pub(super) leaves: Vec<Leaf>,
    pub(super) skipped: Vec<Skipped>,
    pub(super) unexpected: Vec<Unexpected>,
    /// The table is one of our own schema.
    pub(super) ours: bool,
    /// Some of them are no partitions.
    pub(super) inherits: bool,
}

/// The table and all below it, as a statement on the table finds them: without partitions that are being detached, and
/// without other sessions' temporary tables.
const TREE: &str = "
    WITH RECURSIVE tree (oid) AS (
        SELECT $1::int8::oid
        UNION SELECT i.inhrelid FROM tree JOIN pg_catalog.pg_inherits i ON i.inhparent = tree.oid
        WHERE NOT i.inhdetachpending)
    SELECT c.oid::int8, c.relkind::text, format('%I.%I', n.nspname, c.relname),
        coalesce(pg_relation_filenode(c.oid), 0)::int8,
        CASE WHEN c.relkind = 'r' THEN pg_relation_size(c.oid) / current_setting('block_size')::int8 ELSE 0 END,
        greatest(c.reltuples, 0), coalesce(a.amname = 'heap', false),
        c.oid = root.oid OR has_table_privilege(c.oid, 'SELECT')
            AND row_security_active(c.oid) = row_security_active(root.oid),
        c.relispartition, c.relowner = root.relowner AND c.relnamespace = root.relnamespace,
        coalesce(obj_description(root.oid, 'pg_class') LIKE 'agenttrace: %', false) OR EXISTS (
            SELECT FROM pg_catalog.pg_class h WHERE h.relnamespace = root.relnamespace AND h.relname = 'audit_chain_heads')
    FROM tree JOIN pg_catalog.pg_class c ON c.oid = tree.oid
        JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
        LEFT JOIN pg_catalog.pg_am a ON a.oid = c.relam
        JOIN pg_catalog.pg_class root ON root.oid = $1::int8::oid
    WHERE c.relpersistence <> 't' OR c.relnamespace = pg_my_temp_schema()
    ORDER BY c.oid";

impl Parts {
    /// Looks at the catalogue, and at the foreign relations, with the statements that will read them.
    pub(super) async fn of(
        c: &mut PgConnection,
        table: i64,
        relation: &Relation,
        condition: &str,
    ) -> Result<Self, StoreError> {
        let mut parts = Self::default();
        let mut through: Option<Leaf> = None;
        for row in sqlx::query(TREE).bind(table).persistent(false).fetch_all(&mut *c).await? {
            let (oid, kind): (i64, String) = (row.try_get(0)?, row.try_get(1)?);
            let (heap, direct): (bool, bool) = (row.try_get(6)?, row.try_get(7)?);
            let mut leaf = Leaf {
                oid,
                file: row.try_get(3)?,
                name: row.try_get(2)?,
                blocks: row.try_get(4)?,
                rows: row.try_get(5)?,
                way: Way::Addresses,
            };
            let (ours, partition): (bool, bool) = (row.try_get(10)?, row.try_get(8)?);
            parts.ours |= ours;
            parts.inherits |= oid != table && !partition;
            if let Some(what) = unexpected(&kind, partition, row.try_get(9)?)
                && ours
                && oid != table
            {
                parts.unexpected.push(Unexpected { relation: leaf.name.clone(), oid, what });
            }
            match kind.as_str() {
                "p" => {}
                "r" | "f" if !direct => match &mut through {
                    Some(Leaf { way: Way::Through(oids), rows, .. }) => {
                        oids.push(oid);
                        *rows += leaf.rows;
                    }
                    _ => through = Some(Leaf { way: Way::Through(vec![oid]), blocks: 0, file: 0, ..leaf }),
                },
                "r" if heap => parts.leaves.push(leaf),
                "r" => {
                    leaf.way = Way::Whole { foreign: false };
                    parts.leaves.push(leaf);
                }
                "f" => {
                    leaf.way = Way::Whole { foreign: true };
                    match answers(c, &relation.rows_of(&format!("ONLY {}", leaf.name)), condition).await? {
                        None => parts.leaves.push(leaf),
                        Some(reason) => parts.skipped.push(Skipped { relation: leaf.name, reason }),
                    }
                }
                other => parts.skipped.push(Skipped {
                    relation: leaf.name,
                    reason: format!("it is a relation of the kind '{}'", other.escape_debug()),
                }),
            }
        }
        parts.leaves.extend(through);
        Ok(parts)
    }
}

/// What is unexpected about a relation below the table; `None` for a partition as our migrations make them.
fn unexpected(kind: &str, partition: bool, same_owner_and_schema: bool) -> Option<&'static str> {
    match (kind, partition) {
        ("f", true) => Some("a foreign table that is a partition"),
        ("f", false) => Some("a foreign table that inherits"),
        (_, false) => Some("a table that inherits"),
        ("p", true) => Some("a partition that is partitioned again"),
        (_, true) if !same_owner_and_schema => Some("a partition of another owner or in another schema"),
        (_, true) => None,
    }
}

/// Whether a foreign relation can be read at all; else what the server says. It is asked in a savepoint and without
/// COPY, of which a refusal would cost the connection.
async fn answers(c: &mut PgConnection, rows: &str, condition: &str) -> Result<Option<String>, StoreError> {
    sqlx::raw_sql("SAVEPOINT agenttrace_part").execute(&mut *c).await?;
    let mut sql = QueryBuilder::<Postgres>::new("SELECT FROM ");
    sql.push(rows).push(" WHERE ").push(condition).push(" LIMIT 1");
    let asked = sql.build().persistent(false).fetch_optional(&mut *c).await;
    let reason = match asked {
        Ok(_) => None,
        Err(error @ sqlx::Error::Database(_)) => Some(said(&error)),
        Err(error) => return Err(error.into()),
    };
    sqlx::raw_sql("ROLLBACK TO SAVEPOINT agenttrace_part; RELEASE SAVEPOINT agenttrace_part")
        .execute(c)
        .await?;
    Ok(reason)
}

#[cfg(test)]
mod tests {
    use super::unexpected;

    #[test]
    fn only_partitions_as_the_migrations_make_them_are_expected() {
        assert_eq!(unexpected("r", true, true), None);
        for (kind, partition, same) in
            [("r", false, true), ("r", true, false), ("f", true, true), ("f", false, true), ("p", true, true)]
        {
            assert!(unexpected(kind, partition, same).is_some(), "{kind} {partition} {same}");
        }
    }
}
