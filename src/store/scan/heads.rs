//! What a snapshot shows of remembered heads, and of the record of heads that our own writer keeps in the database.

use super::super::StoreError;
use super::super::row::SqlTime;
use super::{Link, Snapshot};
use sqlx::{Postgres, QueryBuilder, Row as _};

/// What `audit_chain_heads` says of an organisation. It is a hint: foreign writers do not keep it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChainRecord {
    /// The newest event; `None` where only its hash is known.
    pub event_id: Option<String>,
    /// Its hash; empty where our writer has not written.
    pub hash: String,
    /// How many events there are.
    pub events: u64,
    /// Whether the trail has that event with that hash.
    pub is_there: bool,
    /// Whether another event refers to it.
    pub has_successors: bool,
}

/// What there is to see.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct HeadSight {
    /// All rows of the organisation with one of the event ids.
    pub rows: Vec<Link>,
    /// The organisation's oldest row.
    pub oldest: Option<Link>,
    /// The database's own record; `None` where there is none, or the role may not read it.
    pub record: Option<ChainRecord>,
    /// Row-level security decides which rows the role sees.
    pub row_security: bool,
}

impl Snapshot<'_> {
    /// Whether the table itself keeps event ids apart, so that an event is found at once by its id.
    pub fn has_unique_ids(&self) -> bool {
        self.table.unique_ids
    }

    /// Looks for the events of these ids and the database's own record, in scope or not, with one statement.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn heads(&mut self, event_ids: &[String]) -> Result<HeadSight, StoreError> {
        let (record, row_security) = self.chain_record().await?;
        let organization = self.request.scope.organization().as_str();
        let table = self.table.source();
        let mut sql = QueryBuilder::<Postgres>::new("WITH ");
        if let Some(record) = &record {
            sql.push("r AS MATERIALIZED (SELECT event_id::text, hash::text, event_count FROM ").push(record);
            sql.push(" WHERE organization_id = ").push_bind(organization).push("), ");
        }
        let columns = "timestamp, event_id::text, hash::text, previous_hash::text";
        sql.push(format_args!("e AS (SELECT {columns} FROM {table} WHERE organization_id = "));
        // By the column's own collation for its index, by bytes for what is meant.
        sql.push_bind(organization).push(" AND event_id = ANY (").push_bind(event_ids.to_vec());
        sql.push(") AND event_id::text COLLATE \"C\" = ANY (").push_bind(event_ids.to_vec()).push(")), ");
        sql.push(format_args!("o AS (SELECT {columns} FROM {table} WHERE organization_id = "));
        sql.push_bind(organization).push(" ORDER BY timestamp, event_id LIMIT 1)");
        sql.push(" SELECT 1, e.*, NULL::int8, NULL::bool, NULL::bool FROM e");
        sql.push(" UNION ALL SELECT 2, o.*, NULL, NULL, NULL FROM o");
        if record.is_some() {
            sql.push(" UNION ALL SELECT 3, NULL, r.event_id, r.hash, NULL, r.event_count, ");
            for (i, column) in ["hash", "previous_hash"].into_iter().enumerate() {
                sql.push(if i == 0 { "EXISTS" } else { ", EXISTS" });
                sql.push(format_args!(" (SELECT FROM {table} t WHERE t.organization_id = "))
                    .push_bind(organization);
                // Under another collation the index holds other keys.
                if !self.table.loose_hashes {
                    sql.push(format_args!(
                        " AND hashtextextended(t.{column}, 0) = hashtextextended(r.hash COLLATE \"C\", 0)"
                    ));
                }
                sql.push(format_args!(" AND t.{column}::text COLLATE \"C\" = r.hash COLLATE \"C\""));
                if i == 0 {
                    sql.push(" AND (r.event_id IS NULL OR t.event_id::text COLLATE \"C\" = r.event_id COLLATE \"C\")");
                }
                sql.push(")");
            }
            sql.push(" FROM r");
        }
        let mut sight = HeadSight { row_security, ..HeadSight::default() };
        for row in sql.build().persistent(false).fetch_all(&mut *self.c).await? {
            match row.try_get::<i32, _>(0)? {
                3 => {
                    sight.record = Some(ChainRecord {
                        event_id: row.try_get(2)?,
                        hash: row.try_get(3)?,
                        events: u64::try_from(row.try_get::<i64, _>(5)?).unwrap_or_default(),
                        is_there: row.try_get(6)?,
                        has_successors: row.try_get(7)?,
                    });
                }
                what => {
                    let link = Link {
                        timestamp: row.try_get::<SqlTime, _>(1)?.0,
                        event_id: row.try_get(2)?,
                        hash: row.try_get(3)?,
                        previous_hash: row.try_get(4)?,
                    };
                    if what == 1 { sight.rows.push(link) } else { sight.oldest = Some(link) }
                }
            }
        }
        Ok(sight)
    }

    /// The record of heads beside the table, qualified and quoted by the server, where it is a table of our shape that
    /// the role may read; and whether row-level security applies to the role.
    async fn chain_record(&mut self) -> Result<(Option<String>, bool), StoreError> {
        let row = sqlx::query(
            "SELECT (SELECT format('%I.%I', n.nspname, h.relname) \
                     FROM pg_catalog.pg_class h \
                     WHERE h.relnamespace = n.oid AND h.relname = 'audit_chain_heads' AND h.relkind = 'r' \
                       AND has_table_privilege(h.oid, 'SELECT') \
                       AND (SELECT count(*) FROM pg_catalog.pg_attribute a \
                            WHERE a.attrelid = h.oid AND a.attnum > 0 AND NOT a.attisdropped \
                              AND (a.attname, a.atttypid) IN (('organization_id', 'varchar'::regtype), \
                                  ('event_id', 'varchar'::regtype), ('hash', 'varchar'::regtype), \
                                  ('event_count', 'int8'::regtype))) = 4), \
                    pg_catalog.row_security_active(t.oid) \
             FROM pg_catalog.pg_class t JOIN pg_catalog.pg_namespace n ON n.oid = t.relnamespace \
             WHERE t.oid = $1::int8::oid",
        )
        .bind(self.table.oid())
        .persistent(false)
        .fetch_one(&mut *self.c)
        .await?;
        Ok((row.try_get(0)?, row.try_get(1)?))
    }
}
