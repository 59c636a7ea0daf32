//! What the catalogue says of the columns. A value may change while its row stays what it was, with its version, its
//! address and its file: a label of an enum is renamed, a column is put in the place of another, or gets a value from the
//! catalogue where rows have none. What is remembered of rows is remembered with this.

use super::super::connection::Link;
use super::super::{ReadDb, StoreError};
use crate::chain::sha256;
use serde::{Deserialize, Serialize};
use sqlx::{PgConnection, Row as _};
use std::collections::BTreeMap;
use tokio_util::sync::CancellationToken;

/// The state of the columns of each relation that lists read, and of their types: object ids and digests. Empty where
/// nothing can be remembered of rows: under row-level security rows come into sight that have been there before, and
/// the values of a virtual column are those of a function.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Catalogue(BTreeMap<String, String>);

impl Catalogue {
    /// Whether what was remembered of rows under this one is true of them now. Relations that were not there then hold
    /// no such row.
    pub fn holds_in(&self, now: &Self) -> bool {
        !self.0.is_empty() && self.0.iter().all(|(relation, digest)| now.0.get(relation) == Some(digest))
    }
}

/// A line for each column and for each type that occurs in one, by relation; the first one says whether rows can be told
/// at all.
const STATE: &str = "
    WITH RECURSIVE tree (oid) AS (
        SELECT $1::int8::oid
        UNION SELECT i.inhrelid FROM tree JOIN pg_catalog.pg_inherits i ON i.inhparent = tree.oid),
    used (relation, type) AS (
        SELECT a.attrelid, a.atttypid FROM tree JOIN pg_catalog.pg_attribute a ON a.attrelid = tree.oid
        WHERE a.attnum > 0 AND NOT a.attisdropped
        UNION SELECT u.relation, inner_type.oid FROM used u JOIN pg_catalog.pg_type t ON t.oid = u.type,
            LATERAL (SELECT t.typbasetype UNION SELECT t.typelem
                UNION SELECT f.atttypid FROM pg_catalog.pg_attribute f
                    WHERE t.typtype = 'c' AND f.attrelid = t.typrelid AND f.attnum > 0) inner_type (oid)
        WHERE inner_type.oid <> 0),
    made (relation, type, function) AS (
        SELECT u.relation, t.oid, f.oid FROM used u JOIN pg_catalog.pg_type t ON t.oid = u.type,
            LATERAL (SELECT t.typoutput::oid UNION SELECT t.typsend::oid
                UNION SELECT c.castfunc FROM pg_catalog.pg_cast c
                    WHERE c.castsource = t.oid AND c.casttarget = 'text'::regtype) f (oid)
        WHERE t.oid >= 16384)
    SELECT tree.oid::int8, concat_ws(' ', row_security_active(tree.oid),
        EXISTS (SELECT FROM pg_catalog.pg_attribute a WHERE a.attrelid = tree.oid AND a.attgenerated = 'v')) FROM tree
    UNION ALL
    SELECT a.attrelid::int8, concat_ws(' ', 'column', a.attnum, quote_ident(a.attname), a.atttypid::oid, a.atttypmod,
        a.attisdropped, a.atthasmissing, quote_nullable(a.attmissingval::text), a.attgenerated,
        quote_nullable(pg_get_expr(d.adbin, d.adrelid)), l.oid::oid, l.collname, l.collisdeterministic, l.collversion)
    FROM tree JOIN pg_catalog.pg_attribute a ON a.attrelid = tree.oid AND a.attnum > 0
        LEFT JOIN pg_catalog.pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
        LEFT JOIN pg_catalog.pg_collation l ON l.oid = a.attcollation
    UNION ALL
    SELECT u.relation::int8, concat_ws(' ', 'type', t.oid, quote_ident(t.typname), t.typtype, t.typbasetype, t.typtypmod,
        t.typelem, t.typoutput::oid, t.typsend::oid, t.typcollation, quote_nullable(t.typdefault),
        (SELECT string_agg(concat_ws(' ', e.oid, e.enumsortorder, quote_literal(e.enumlabel)), ',' ORDER BY e.oid)
            FROM pg_catalog.pg_enum e WHERE e.enumtypid = t.oid),
        (SELECT string_agg(concat_ws(' ', f.attnum, quote_ident(f.attname), f.atttypid), ',' ORDER BY f.attnum)
            FROM pg_catalog.pg_attribute f WHERE t.typtype = 'c' AND f.attrelid = t.typrelid))
    FROM used u JOIN pg_catalog.pg_type t ON t.oid = u.type
    UNION ALL
    SELECT m.relation::int8, concat_ws(' ', 'function', m.type, p.oid, quote_nullable(p.prosrc), quote_nullable(p.probin))
    FROM made m JOIN pg_catalog.pg_proc p ON p.oid = m.function
    ORDER BY 1, 2";

/// The state of the columns, in the transaction that reads.
pub(super) async fn of(c: &mut PgConnection, table: i64) -> Result<Catalogue, sqlx::Error> {
    let mut lines: BTreeMap<i64, Vec<String>> = BTreeMap::new();
    for row in sqlx::query(STATE).bind(table).persistent(false).fetch_all(c).await? {
        lines.entry(row.try_get(0)?).or_default().push(row.try_get(1)?);
    }
    if lines.values().flatten().any(|line| matches!(line.as_str(), "t f" | "f t" | "t t")) {
        return Ok(Catalogue::default());
    }
    let digest = |lines: &Vec<String>| {
        let mut text = sha256(lines.join("\n"));
        text.truncate(32);
        text
    };
    // Texts as keys: a record flattened into another one cannot be read back with numbers.
    Ok(Catalogue(lines.iter().map(|(relation, lines)| (relation.to_string(), digest(lines))).collect()))
}

/// The state of the columns now.
///
/// # Errors
/// [`StoreError`].
pub async fn catalogue(db: &ReadDb, cancel: &CancellationToken) -> Result<Catalogue, StoreError> {
    let table = db.relation(cancel).await?.oid;
    db.run(cancel, async |c: &mut Link| of(c.bare(), table).await).await
}

#[cfg(test)]
mod tests {
    use super::Catalogue;

    #[test]
    fn what_is_remembered_holds_as_long_as_no_relation_of_then_has_changed() {
        let state = |all: &[(i32, &str)]| {
            Catalogue(
                all.iter().map(|(relation, digest)| (relation.to_string(), (*digest).to_owned())).collect(),
            )
        };
        let then = state(&[(1, "a"), (2, "b")]);
        assert!(then.holds_in(&then) && then.holds_in(&state(&[(1, "a"), (2, "b"), (3, "c")])));
        for now in [state(&[(1, "a"), (2, "c")]), state(&[(1, "a")]), Catalogue::default()] {
            assert!(!then.holds_in(&now), "{now:?}");
        }
        assert!(!Catalogue::default().holds_in(&Catalogue::default()), "a record of an older program");
    }
}
