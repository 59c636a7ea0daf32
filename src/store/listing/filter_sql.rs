//! A filter as SQL conditions, values bound.

mod states;
mod text;

use crate::filter::{Expr, Hours, Kind, Match, Matcher, PartialSides, Selection, Weekdays};
use crate::store::query::Query;
use sqlx::{Postgres, QueryBuilder};
pub(in crate::store) use text::{SEARCHED, Vector, push_types_met, push_vector};

/// Adds ` AND condition` for every condition of the filter; its time terms have become bounds of the query.
pub(in crate::store) fn push_conditions(sql: &mut QueryBuilder<Postgres>, query: &Query, vector: &Vector) {
    let organization = query.scope.organization().as_str();
    let sides = query.filter.partial_sides();
    let setting = Setting { zone: query.filter.zone().name(), vector, organization, sides };
    for condition in query.filter.conditions() {
        sql.push(" AND ");
        push_expr(sql, condition, setting);
    }
}

/// Conditions on words, all of which hold, as one expression of type `tsquery`; null when one of them cannot hold.
pub(in crate::store) fn push_words<'a>(
    sql: &mut QueryBuilder<Postgres>,
    conditions: impl Iterator<Item = &'a Expr>,
) {
    for (n, condition) in conditions.enumerate() {
        sql.push(if n == 0 { "" } else { " && " });
        text::push_query(sql, condition);
    }
}

/// What conditions depend on beside themselves.
#[derive(Clone, Copy)]
struct Setting<'a> {
    zone: &'static str,
    vector: &'a Vector,
    organization: &'a str,
    sides: &'a PartialSides,
}

/// Adds a condition that can stand in an AND.
fn push_expr(sql: &mut QueryBuilder<Postgres>, expr: &Expr, setting: Setting<'_>) {
    match expr {
        Expr::And(parts) => push_joined(sql, parts, " AND ", |sql, part| push_expr(sql, part, setting)),
        Expr::Or(parts) => push_joined(sql, parts, " OR ", |sql, part| push_expr(sql, part, setting)),
        Expr::Not(inner) => {
            push_expr(sql, inner, setting);
            // Not `NOT`: a null column is not the value either.
            sql.push(" IS NOT TRUE");
        }
        Expr::Match(found) => push_match(sql, found),
        Expr::State(found) => states::push_match(sql, found),
        Expr::Changed(paths) => states::push_changed(sql, paths, setting.sides),
        Expr::OnlyChanged(paths) => states::push_only_changed(sql, paths, setting.sides),
        Expr::Change(change) => states::push_change(sql, change, setting.sides),
        Expr::Words(words) => text::push_words(sql, words, setting),
        Expr::Regex(regex) => text::push_regex(sql, regex),
        Expr::Hours(any_of) => {
            push_joined(sql, any_of, " OR ", |sql, hours| push_hours(sql, *hours, setting.zone));
        }
        Expr::Weekdays(days) => push_weekdays(sql, *days, setting.zone),
        Expr::Local(local) => match &local.answer {
            Some(answer) => push_selection(sql, answer),
            // Nobody knows. `Filter::range` has refused such a filter.
            None => drop(sql.push("(NULL::boolean)")),
        },
    }
}

/// Several conditions in parentheses.
fn push_joined<T>(
    sql: &mut QueryBuilder<Postgres>,
    parts: &[T],
    separator: &'static str,
    push: impl Fn(&mut QueryBuilder<Postgres>, &T),
) {
    sql.push('(');
    for (n, part) in parts.iter().enumerate() {
        sql.push(if n == 0 { "" } else { separator });
        push(sql, part);
    }
    sql.push(')');
}

fn push_hours(sql: &mut QueryBuilder<Postgres>, hours: Hours, zone: &'static str) {
    let bound = |sql: &mut QueryBuilder<Postgres>, sign: &'static str, second: u32| {
        sql.push("(timestamp AT TIME ZONE ").push_bind(zone).push(")::time").push(sign);
        let clock = format!("{:02}:{:02}:{:02}", second / 3_600, second / 60 % 60, second % 60);
        sql.push_bind(clock).push("::time");
    };
    sql.push('(');
    bound(sql, " >= ", hours.from);
    sql.push(if hours.from < hours.to { " AND " } else { " OR " });
    bound(sql, " < ", hours.to);
    sql.push(')');
}

fn push_weekdays(sql: &mut QueryBuilder<Postgres>, days: Weekdays, zone: &'static str) {
    let days: Vec<i32> = days.iso().map(i32::from).collect();
    sql.push("(extract(isodow FROM timestamp AT TIME ZONE ").push_bind(zone).push(")::int = ANY(");
    sql.push_bind(days).push("))");
}

fn push_selection(sql: &mut QueryBuilder<Postgres>, selection: &Selection) {
    match selection {
        Selection::Only(ids) => drop(sql.push("(event_id = ANY(").push_bind(ids.clone()).push("))")),
        Selection::AllBut(ids) => drop(sql.push("(event_id <> ALL(").push_bind(ids.clone()).push("))")),
        Selection::Before { transaction, but } => {
            sql.push('(');
            push_before(sql, *transaction);
            sql.push(" AND event_id <> ALL(").push_bind(but.clone()).push("))");
        }
        Selection::Since { transaction } => {
            sql.push("(NOT ");
            push_before(sql, *transaction);
            sql.push(')');
        }
        Selection::AnyOf(sets) => push_joined(sql, sets, " OR ", push_selection),
    }
}

/// Whether a row has stood as it is since before a transaction. Rows name transactions modulo 2^32: of two, the one up to
/// 2^31 behind is the earlier one. That holds as long as the server itself is no further on, which is looked at once.
fn push_before(sql: &mut QueryBuilder<Postgres>, transaction: i64) {
    // Numbers below 3 are no transactions: of such a row it cannot be told.
    sql.push("(xmin::text::int8 >= 3 AND ((")
        .push_bind(transaction)
        .push(" - xmin::text::int8) & 4294967295) BETWEEN 1 AND 2147483647");
    sql.push(" AND (SELECT pg_snapshot_xmax(pg_current_snapshot())::text::int8) - ").push_bind(transaction);
    sql.push(" BETWEEN 0 AND 2147483647)");
}

/// What a text is compared with: a column, or an expression over it. Never user input.
#[derive(Clone, Copy)]
enum Subject {
    Column(&'static str),
    /// ASCII letters in either case; the bound value is in lower case.
    Folded(&'static str),
}

impl Subject {
    fn sql(self) -> String {
        match self {
            Self::Column(name) => name.to_owned(),
            Self::Folded(name) => format!(r#"lower({name} COLLATE "C")"#),
        }
    }

    fn fold(self, text: &str) -> String {
        match self {
            Self::Column(_) => text.to_owned(),
            Self::Folded(_) => text.to_ascii_lowercase(),
        }
    }
}

/// Alternatives in parentheses, joined by OR.
struct AnyOf<'a> {
    sql: &'a mut QueryBuilder<Postgres>,
    empty: bool,
}

impl AnyOf<'_> {
    fn next(&mut self) -> &mut QueryBuilder<Postgres> {
        if !std::mem::replace(&mut self.empty, false) {
            self.sql.push(" OR ");
        }
        self.sql
    }
}

fn push_match(sql: &mut QueryBuilder<Postgres>, found: &Match) {
    sql.push('(');
    let mut any_of = AnyOf { sql, empty: true };
    match found.field.kind() {
        Kind::Actor => {
            push_text(&mut any_of, Subject::Column("actor_id"), &found.any_of);
            // A whole value without @ is no address; leaving the address out lets the index on the id be used.
            let addresses =
                found.any_of.iter().filter(|m| !matches!(m, Matcher::Equals(v) if !v.contains('@')));
            push_text(&mut any_of, Subject::Folded("actor_email"), &addresses.cloned().collect::<Vec<_>>());
        }
        Kind::Email => push_text(&mut any_of, Subject::Folded(found.field.column()), &found.any_of),
        Kind::Text | Kind::Word => {
            push_text(&mut any_of, Subject::Column(found.field.column()), &found.any_of);
        }
        Kind::Address => push_addresses(&mut any_of, found.field.column(), &found.any_of),
        Kind::Resource => push_resources(&mut any_of, &found.any_of),
    }
    if any_of.empty {
        any_of.next().push("false");
    }
    sql.push(')');
}

fn push_text(any_of: &mut AnyOf<'_>, subject: Subject, matchers: &[Matcher]) {
    let expr = subject.sql();
    let whole: Vec<String> = matchers
        .iter()
        .filter_map(|m| if let Matcher::Equals(v) = m { Some(subject.fold(v)) } else { None })
        .collect();
    match whole.as_slice() {
        [] => {}
        [one] => {
            any_of.next().push(format_args!("{expr} = ")).push_bind(one.clone());
        }
        _ => {
            any_of.next().push(format_args!("{expr} = ANY(")).push_bind(whole).push(")");
        }
    }
    for matcher in matchers {
        match matcher {
            Matcher::Prefix(prefix) => push_prefix(any_of.next(), &expr, &subject.fold(prefix)),
            Matcher::Contains(part) => {
                any_of
                    .next()
                    .push(format_args!("strpos({expr}, "))
                    .push_bind(subject.fold(part))
                    .push(") > 0");
            }
            other => push_presence(any_of, &expr, other),
        }
    }
}

fn push_presence(any_of: &mut AnyOf<'_>, expr: &str, matcher: &Matcher) {
    match matcher {
        Matcher::Present => any_of.next().push(format_args!("{expr} IS NOT NULL")),
        Matcher::Absent => any_of.next().push(format_args!("{expr} IS NULL")),
        _ => return,
    };
}

/// A prefix as a range in byte order, which an index can use (LIKE cannot, in most collations).
fn push_prefix(sql: &mut QueryBuilder<Postgres>, expr: &str, prefix: &str) {
    sql.push(format_args!(r#"({expr} COLLATE "C" >= "#)).push_bind(prefix.to_owned());
    if let Some(end) = successor(prefix) {
        sql.push(format_args!(r#" AND {expr} COLLATE "C" < "#)).push_bind(end);
    }
    sql.push(')');
}

/// The first text in byte order behind everything that begins with `prefix`; `None` when there is none.
fn successor(prefix: &str) -> Option<String> {
    let mut head = prefix.to_owned();
    while let Some(last) = head.pop() {
        // The order of the bytes of UTF-8 is that of the code points; surrogates are none.
        let next = match last {
            '\u{d7ff}' => Some('\u{e000}'),
            c => char::from_u32(u32::from(c) + 1),
        };
        if let Some(next) = next {
            head.push(next);
            return Some(head);
        }
    }
    None
}

fn push_addresses(any_of: &mut AnyOf<'_>, column: &'static str, matchers: &[Matcher]) {
    for matcher in matchers {
        if let Matcher::Network(network) = matcher {
            let text = network.to_string();
            let operator = if text.contains('/') { "<<=" } else { "=" };
            any_of.next().push(format_args!("{column} {operator} ")).push_bind(text).push("::inet");
        } else {
            push_presence(any_of, column, matcher);
        }
    }
}

fn push_resources(any_of: &mut AnyOf<'_>, matchers: &[Matcher]) {
    for matcher in matchers {
        if let Matcher::Resource { resource_type, id, prefix } = matcher {
            let sql = any_of.next();
            sql.push("(resource_type = ").push_bind(resource_type.clone());
            match (id.as_str(), prefix) {
                ("", true) => {}
                (id, true) => push_prefix(sql.push(" AND "), "resource_id", id),
                (id, false) => {
                    sql.push(" AND resource_id = ").push_bind(id.to_owned());
                }
            }
            sql.push(')');
        } else {
            push_presence(any_of, "resource_id", matcher);
        }
    }
}

/// Whether the index on words alone can find the events.
pub(in crate::store) fn is_words(expr: &Expr) -> bool {
    match expr {
        Expr::Words(_) => true,
        Expr::Or(parts) => parts.iter().all(is_words),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{OrgId, OrgScope, TimeRange};
    use crate::filter::Filter;
    use crate::store::listing::search::TextIndex;
    use proptest::prelude::*;

    fn sql_by(filter: &str, vector: &Vector) -> String {
        let mut sql = QueryBuilder::new("");
        let scope = OrgScope::enter(OrgId::new("acme").unwrap());
        let query = Query { scope, filter: Filter::parse(filter).unwrap(), range: TimeRange::default() };
        push_conditions(&mut sql, &query, vector);
        sql.into_string()
    }

    fn sql(filter: &str) -> String {
        sql_by(filter, &Vector::Stored)
    }

    #[test]
    fn values_are_bound_and_never_written() {
        insta::assert_snapshot!(sql("actor:eve type:login.*,logout -proj:p-7"), @r#" AND (actor_id = $1) AND (event_type = $2 OR (event_type COLLATE "C" >= $3 AND event_type COLLATE "C" < $4)) AND (project_id = $5) IS NOT TRUE"#);
        insta::assert_snapshot!(sql("actor:eve@x,bob sev>=warning"), @r#" AND (actor_id = ANY($1) OR lower(actor_email COLLATE "C") = $2) AND (event_severity = ANY($3))"#);
        insta::assert_snapshot!(sql("ip:10.0.0.0/8,2001:db8::1,null res:trace/*,key/k-1 ua~curl"), @" AND (actor_ip <<= $1::inet OR actor_ip = $2::inet OR actor_ip IS NULL) AND ((resource_type = $3) OR (resource_type = $4 AND resource_id = $5)) AND (strpos(actor_user_agent, $6) > 0)");
        assert!(!sql(r#"type:"'; DROP TABLE audit_events; --""#).contains("DROP"));
    }

    /// One filter with a mark in every place that takes text of the user.
    #[test]
    fn nothing_that_is_typed_stands_in_the_statement() {
        let filter = "type:zq7x,zq7x*,\"'zq7x\" -ua~zq7x res:zq7x/zq7x* email:zq7x sess:null,zq7x new.zq7x:zq7x,zq7x* \
                      old.**.\"zq7x'\".a[0]>zq7x any.zq7x~zq7x,\"zq7x\\\"\" new.zq7x:a..zq7x zq7x:zq7x->zq7x \
                      changed:zq7x,**.zq7x onlychanged:zq7x,a.zq7x zq7x \"zq7x zq7x\" zq7x* (/zq7x/i OR tag:zq7x) \
                      since:-7d";
        assert_eq!(
            Filter::parse(filter).unwrap().canonical().matches("zq7x").count(),
            filter.matches("zq7x").count()
        );
        let index = TextIndex {
            table: "t".to_owned(),
            name: "idx".to_owned(),
            expression: "to_tsvector('english'::regconfig, event_type::text)".to_owned(),
            configuration: "'english'::regconfig".to_owned(),
            columns: vec!["event_type".to_owned()],
            categories: Some(vec!["auth".to_owned()]),
        };
        for vector in [Vector::Stored, Vector::Computed, Vector::Indexed(index.into())] {
            assert!(!sql_by(filter, &vector).to_lowercase().contains("zq7x"));
        }
    }

    #[test]
    fn states_and_words_become_paths_and_queries() {
        insta::assert_snapshot!(sql("new.roles:admin,5,null changed:a.b -role:x->"), @" AND (jsonb_path_exists(new_state, $1::jsonpath, $2::jsonb, true) IS NOT TRUE OR jsonb_path_exists(new_state, $3::jsonpath, $4::jsonb, true)) AND ((previous_state IS NULL AND new_state ?& '{eventVersion,eventType}' AND new_state ?| '{userIdentity,insightDetails,requestParameters,responseElements,serviceEventDetails}' AND jsonb_typeof(new_state) = 'object') IS NOT TRUE AND (previous_state IS NULL AND new_state ?& '{source_format,source_record}' AND new_state ?| '{source_record}' AND jsonb_typeof(new_state) = 'object') IS NOT TRUE AND ((jsonb_path_query_first(coalesce(previous_state, '{}'), $5::jsonpath, '{}', true) IS DISTINCT FROM jsonb_path_query_first(coalesce(new_state, '{}'), $6::jsonpath, '{}', true)))) AND ((previous_state IS NULL AND new_state ?& '{eventVersion,eventType}' AND new_state ?| '{userIdentity,insightDetails,requestParameters,responseElements,serviceEventDetails}' AND jsonb_typeof(new_state) = 'object') IS NOT TRUE AND (previous_state IS NULL AND new_state ?& '{source_format,source_record}' AND new_state ?| '{source_record}' AND jsonb_typeof(new_state) = 'object') IS NOT TRUE AND (jsonb_path_exists(previous_state, $7::jsonpath, $8::jsonb, true)) AND (jsonb_path_exists(new_state, $9::jsonpath, $10::jsonb, true)) IS NOT TRUE AND (jsonb_path_query_first(coalesce(previous_state, '{}'), $11::jsonpath, '{}', true) IS DISTINCT FROM jsonb_path_query_first(coalesce(new_state, '{}'), $12::jsonpath, '{}', true))) IS NOT TRUE");
        insta::assert_snapshot!(sql("onlychanged:seen,meta.at"), @" AND ((previous_state IS NULL AND new_state ?& '{eventVersion,eventType}' AND new_state ?| '{userIdentity,insightDetails,requestParameters,responseElements,serviceEventDetails}' AND jsonb_typeof(new_state) = 'object') IS NOT TRUE AND (previous_state IS NULL AND new_state ?& '{source_format,source_record}' AND new_state ?| '{source_record}' AND jsonb_typeof(new_state) = 'object') IS NOT TRUE AND coalesce(previous_state, '{}') <> coalesce(new_state, '{}') AND (SELECT CASE WHEN jsonb_path_exists(s, p, '{}', true) THEN s #- d ELSE s END FROM (SELECT (CASE jsonb_typeof(previous_state) WHEN 'object' THEN previous_state - $1::text[] ELSE coalesce(previous_state, '{}') END) AS s, $2::jsonpath AS p, $3::text[] AS d OFFSET 0) q) = (SELECT CASE WHEN jsonb_path_exists(s, p, '{}', true) THEN s #- d ELSE s END FROM (SELECT (CASE jsonb_typeof(new_state) WHEN 'object' THEN new_state - $4::text[] ELSE coalesce(new_state, '{}') END) AS s, $5::jsonpath AS p, $6::text[] AS d OFFSET 0) q))");
        insta::assert_snapshot!(sql("\"a.b c\" OR x*"), @" AND ((search_vector @@ phraseto_tsquery('pg_catalog.simple', $1)) OR (search_vector @@ (nullif(phraseto_tsquery('pg_catalog.simple', $2)::text, '') || ':*')::tsquery))");
        insta::assert_snapshot!(sql("tod:22:00..06:00 dow:sat"), @" AND (((timestamp AT TIME ZONE $1)::time >= $2::time OR (timestamp AT TIME ZONE $3)::time < $4::time)) AND (extract(isodow FROM timestamp AT TIME ZONE $5)::int = ANY($6))");
    }

    #[test]
    fn successors_at_the_edges() {
        assert_eq!(successor("ab").as_deref(), Some("ac"));
        assert_eq!(successor("a\u{d7ff}").as_deref(), Some("a\u{e000}"));
        assert_eq!(successor("a\u{10ffff}").as_deref(), Some("b"));
        assert_eq!(successor("\u{10ffff}"), None);
        assert_eq!(successor(""), None);
    }

    proptest! {
        #[test]
        fn the_range_of_a_prefix_holds_what_begins_with_it(prefix in ".{0,3}", text in ".{0,5}", tail in ".{0,3}") {
            let inside = |t: &str| t >= prefix.as_str() && successor(&prefix).is_none_or(|end| t < end.as_str());
            prop_assert_eq!(inside(&text), text.starts_with(&prefix));
            let longer = prefix.clone() + &tail;
            prop_assert!(inside(&longer));
        }
    }
}
