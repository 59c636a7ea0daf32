//! The statements of pages, each in the one form that the index meant for it serves.

use crate::domain::{EventKey, Timestamp};
use crate::store::connection::capabilities::Ties;
use crate::store::listing::access::{Access, Branch, Value};
use crate::store::listing::filter_sql::{self, Vector, is_words};
use crate::store::query::{Query, Seek};
use crate::store::row::SqlTime;
use sqlx::{Postgres, QueryBuilder};
use std::collections::VecDeque;

/// Where a piece of a walk through the timeline begins. Each is one range of the index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::store) enum Bound {
    /// At the end.
    Open,
    /// At a time or before it.
    AtTime(Timestamp),
    /// Strictly behind a time, in the direction of the walk.
    Beyond(Timestamp),
    /// Behind a key, or at it.
    Key { key: EventKey, inclusive: bool },
    /// Behind a key, or at it, but only events of its very time.
    Tie { key: EventKey, inclusive: bool },
}

/// The order in which a walk goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::store) struct Direction {
    /// Oldest first.
    pub(in crate::store) ascending: bool,
    /// Which of the events of one instant comes first.
    pub(in crate::store) ties: Ties,
    /// Ids are compared as bytes, so that the client can do the same; no index serves that on every table.
    pub(in crate::store) bytewise: bool,
}

impl Direction {
    fn time(self) -> &'static str {
        if self.ascending { "ASC" } else { "DESC" }
    }

    /// Whether ids rise along the walk.
    pub(in crate::store) fn ids_rise(self) -> bool {
        self.ascending == (self.ties == Ties::Aligned)
    }

    fn id(self) -> &'static str {
        match (self.bytewise, self.ids_rise()) {
            (false, true) => "event_id ASC",
            (false, false) => "event_id DESC",
            (true, true) => r#"event_id COLLATE "C" ASC"#,
            (true, false) => r#"event_id COLLATE "C" DESC"#,
        }
    }

    /// The pieces of a walk that begins there.
    pub(in crate::store) fn pieces(self, seek: &Seek) -> VecDeque<Bound> {
        match seek {
            Seek::Newest | Seek::Oldest => [Bound::Open].into(),
            Seek::AtOrBefore(time) => [Bound::AtTime(*time)].into(),
            Seek::OlderThan(key) | Seek::NewerThan(key) => self.behind(key, false),
            Seek::AtOrOlderThan(key) => self.behind(key, true),
        }
    }

    /// The pieces of a walk that goes on behind a key.
    pub(in crate::store) fn behind(self, key: &EventKey, inclusive: bool) -> VecDeque<Bound> {
        let (time, key) = (key.timestamp, key.clone());
        match self.ties {
            Ties::Aligned => [Bound::Key { key, inclusive }].into(),
            // Against the grain of a row comparison: the rest of the instant, then what lies behind it.
            Ties::Mirrored => [Bound::Tie { key, inclusive }, Bound::Beyond(time)].into(),
        }
    }
}

/// The statements of one query.
#[derive(Debug, Clone, Copy)]
pub(in crate::store) struct Statements<'a> {
    /// The table, in SQL.
    pub(in crate::store) table: &'a str,
    /// All its columns, in SQL.
    pub(in crate::store) everything: &'static str,
    /// What is asked for.
    pub(in crate::store) query: &'a Query,
    /// How its rows are found.
    pub(in crate::store) access: &'a Access,
    /// In which order.
    pub(in crate::store) direction: Direction,
    /// Where the words of an event come from.
    pub(in crate::store) vector: &'a Vector,
    /// What stands before each of them, such as `EXPLAIN `.
    pub(in crate::store) prefix: &'static str,
}

impl Statements<'_> {
    /// At most `limit` rows. A walk past rows that do not match ends after `steps` of them.
    pub(in crate::store) fn page(
        &self,
        columns: &'static str,
        bound: &Bound,
        limit: usize,
        steps: usize,
    ) -> QueryBuilder<Postgres> {
        let mut sql = QueryBuilder::new(self.prefix);
        match self.access {
            Access::Ordered { branches, covered: true } => match branches.as_slice() {
                [_] => {
                    sql.push("SELECT ").push(columns).push(" FROM ").push(self.table);
                    self.push_scope(&mut sql);
                    filter_sql::push_conditions(&mut sql, self.query, self.vector);
                    self.push_bound(&mut sql, bound);
                    self.push_order(&mut sql, limit);
                }
                branches => {
                    sql.push("SELECT ").push(columns).push(" FROM (");
                    self.push_branches(&mut sql, self.everything, branches, bound, limit);
                    sql.push(") e");
                    self.push_order(&mut sql, limit);
                }
            },
            Access::Ordered { branches, covered: false } => {
                // Only so many rows on the way are compared with the filter; a full page ends the statement early.
                sql.push("SELECT ").push(columns).push(" FROM (");
                self.push_branches(&mut sql, self.everything, branches, bound, steps);
                sql.push(") e WHERE true");
                filter_sql::push_conditions(&mut sql, self.query, self.vector);
                self.push_order(&mut sql, limit);
            }
            Access::Lookup { branches } => {
                // Kept apart, so that the planner does not walk the timeline in the hope of meeting the rows.
                sql.push("WITH found AS MATERIALIZED (");
                for (i, branch) in branches.iter().enumerate() {
                    sql.push(if i == 0 { "" } else { " UNION ALL " });
                    sql.push("SELECT ").push(self.everything).push(" FROM ").push(self.table);
                    self.push_scope(&mut sql);
                    push_equals(&mut sql, branch);
                }
                sql.push(") SELECT ").push(columns).push(" FROM found WHERE true");
                filter_sql::push_conditions(&mut sql, self.query, self.vector);
                self.push_bound(&mut sql, bound);
                self.push_order(&mut sql, limit);
            }
            Access::Words { function, .. } => {
                sql.push("WITH found AS MATERIALIZED (SELECT ").push(self.everything);
                sql.push(" FROM ").push(self.table);
                self.push_scope(&mut sql);
                if let Some(function) = function {
                    sql.push(" AND event_id = ANY (ARRAY(SELECT event_id FROM ");
                    push_function(&mut sql, function, self.query, None);
                    sql.push("))");
                }
                filter_sql::push_conditions(&mut sql, self.query, self.vector);
                sql.push(") SELECT ").push(columns).push(" FROM found WHERE true");
                self.push_bound(&mut sql, bound);
                self.push_order(&mut sql, limit);
            }
            Access::Scan | Access::Opaque => {
                sql.push("SELECT ").push(columns).push(" FROM ").push(self.table);
                self.push_scope(&mut sql);
                filter_sql::push_conditions(&mut sql, self.query, self.vector);
                self.push_bound(&mut sql, bound);
                self.push_order(&mut sql, limit);
            }
        }
        sql
    }

    /// As [`Self::page`], of the rows in some blocks of each table; `end` is the first block behind them.
    pub(in crate::store) fn blocks(
        &self,
        columns: &'static str,
        bound: &Bound,
        limit: usize,
        begin: u32,
        end: Option<u32>,
    ) -> QueryBuilder<Postgres> {
        let mut sql = QueryBuilder::new(self.prefix);
        sql.push("SELECT ").push(columns).push(" FROM ").push(self.table);
        self.push_scope(&mut sql);
        sql.push(format_args!(" AND ctid >= '({begin},0)'"));
        if let Some(end) = end {
            sql.push(format_args!(" AND ctid < '({end},0)'"));
        }
        filter_sql::push_conditions(&mut sql, self.query, self.vector);
        self.push_bound(&mut sql, bound);
        self.push_order(&mut sql, limit);
        sql
    }

    /// The key of the last of the `steps` rows on the way, from the index alone; no row when there are fewer.
    pub(in crate::store) fn boundary(&self, bound: &Bound, steps: usize) -> Option<QueryBuilder<Postgres>> {
        let Access::Ordered { branches, .. } = self.access else { return None };
        let mut sql = QueryBuilder::new("SELECT timestamp, event_id FROM (");
        self.push_branches(&mut sql, "timestamp, event_id", branches, bound, steps);
        sql.push(") e");
        self.push_order(&mut sql, 1);
        sql.push(" OFFSET ").push_bind(i64::try_from(steps.saturating_sub(1)).unwrap_or(i64::MAX));
        Some(sql)
    }

    /// The rows of all branches in the order of the walk, each branch ordered by its own index.
    fn push_branches(
        &self,
        sql: &mut QueryBuilder<Postgres>,
        columns: &'static str,
        branches: &[Branch],
        bound: &Bound,
        limit: usize,
    ) {
        let merged = branches.len() > 1;
        for (i, branch) in branches.iter().enumerate() {
            match (merged, i) {
                (false, _) => sql.push("SELECT "),
                (true, 0) => sql.push("SELECT * FROM ((SELECT "),
                (true, _) => sql.push(") UNION ALL (SELECT "),
            };
            sql.push(columns).push(" FROM ").push(self.table);
            self.push_scope(sql);
            push_equals(sql, branch);
            self.push_bound(sql, bound);
            self.push_order(sql, limit);
        }
        if merged {
            sql.push(")) merged");
            self.push_order(sql, limit);
        }
    }

    /// Organisation first, then time.
    fn push_scope(&self, sql: &mut QueryBuilder<Postgres>) {
        push_scope(sql, self.query);
    }

    /// The row comparison is a condition of the index; the bound on the time alone, which it implies, is what prunes
    /// partitions.
    fn push_bound(&self, sql: &mut QueryBuilder<Postgres>, bound: &Bound) {
        let ascending = self.direction.ascending;
        let (behind, at) = if ascending { (">", ">=") } else { ("<", "<=") };
        let id = if self.direction.bytewise { r#"event_id COLLATE "C""# } else { "event_id" };
        match bound {
            Bound::Open => {}
            Bound::AtTime(time) => {
                sql.push(" AND timestamp <= ").push_bind(SqlTime(*time));
            }
            Bound::Beyond(time) => {
                sql.push(format_args!(" AND timestamp {behind} ")).push_bind(SqlTime(*time));
            }
            Bound::Key { key, inclusive } => {
                let operator = if *inclusive { at } else { behind };
                sql.push(format_args!(" AND (timestamp, {id}) {operator} ("))
                    .push_bind(SqlTime(key.timestamp));
                sql.push(", ").push_bind(key.event_id.clone());
                sql.push(format_args!(") AND timestamp {at} ")).push_bind(SqlTime(key.timestamp));
            }
            Bound::Tie { key, inclusive } => {
                let operator = match (self.direction.ids_rise(), inclusive) {
                    (true, false) => ">",
                    (true, true) => ">=",
                    (false, false) => "<",
                    (false, true) => "<=",
                };
                sql.push(" AND timestamp = ").push_bind(SqlTime(key.timestamp));
                sql.push(format_args!(" AND {id} {operator} ")).push_bind(key.event_id.clone());
            }
        }
    }

    fn push_order(&self, sql: &mut QueryBuilder<Postgres>, limit: usize) {
        sql.push(format_args!(
            " ORDER BY timestamp {}, {} LIMIT ",
            self.direction.time(),
            self.direction.id()
        ));
        sql.push_bind(i64::try_from(limit).unwrap_or(i64::MAX));
    }
}

/// ` WHERE` the organisation and the time of a query.
pub(in crate::store) fn push_scope(sql: &mut QueryBuilder<Postgres>, query: &Query) {
    sql.push(" WHERE organization_id = ").push_bind(query.scope.organization().as_str().to_owned());
    if let Some(since) = query.range.since {
        sql.push(" AND timestamp >= ").push_bind(SqlTime(since));
    }
    if let Some(until) = query.range.until {
        sql.push(" AND timestamp < ").push_bind(SqlTime(until));
    }
}

pub(in crate::store) fn push_equals(sql: &mut QueryBuilder<Postgres>, branch: &Branch) {
    for (column, value) in &branch.equals {
        sql.push(format_args!(" AND {column} = "));
        match value {
            Value::AnyOf(texts) => sql.push("ANY (").push_bind(texts.clone()).push(")"),
            Value::Text(text) => sql.push_bind(text.clone()),
            Value::Address(text) => sql.push_bind(text.clone()).push("::inet"),
        };
    }
    if !branch.except.is_empty() {
        sql.push(" AND actor_id <> ALL (").push_bind(branch.except.clone()).push(")");
    }
}

/// The function that searches with the rights of the owner, for the words of a query in its organisation and range:
/// the newest `most` events, or all.
pub(in crate::store) fn push_function(
    sql: &mut QueryBuilder<Postgres>,
    function: &str,
    query: &Query,
    most: Option<u64>,
) {
    sql.push(function).push("(").push_bind(query.scope.organization().as_str().to_owned()).push(", ");
    filter_sql::push_words(sql, query.filter.conditions().iter().filter(|e| is_words(e)));
    sql.push(", ").push_bind(query.range.since.map(SqlTime)).push(", ");
    sql.push_bind(query.range.until.map(SqlTime)).push(", NULL, NULL, ");
    sql.push_bind(most.map(|most| i64::try_from(most).unwrap_or(i64::MAX))).push(")");
}
