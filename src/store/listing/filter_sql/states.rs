//! Conditions on the states: SQL/JSON paths in strict mode, bound like every other value.
//!
//! Strict, because the lax mode looks through arrays on the way to a member. A path that leads nowhere is an error in
//! strict mode, which the functions are told to keep to themselves.

use crate::domain::CALL_RECORDS;
use crate::filter::{Change, PartialSides, Path, Side, StateMatch, Step, Test, Value, json_string};
use crate::store::listing::filter_sql::AnyOf;
use sqlx::{Postgres, QueryBuilder};

const OLD: &str = "previous_state";
const NEW: &str = "new_state";

/// `new.path:a,b`
pub(super) fn push_match(sql: &mut QueryBuilder<Postgres>, found: &StateMatch) {
    sql.push('(');
    let mut any_of = AnyOf { sql, empty: true };
    if found.side != Side::New {
        push_tests(&mut any_of, OLD, &found.path, &found.any_of);
    }
    if found.side != Side::Old {
        push_tests(&mut any_of, NEW, &found.path, &found.any_of);
    }
    sql.push(')');
}

/// `path:from->to`
pub(super) fn push_change(sql: &mut QueryBuilder<Postgres>, change: &Change, sides: &PartialSides) {
    let Change { path, from, to } = change;
    sql.push('(');
    push_no_call(sql);
    push_side(sql, OLD, path, from.as_ref(), to.as_ref());
    sql.push(" AND ");
    push_side(sql, NEW, path, to.as_ref(), from.as_ref());
    sql.push(" AND ");
    push_differs(sql, path, sides);
    sql.push(')');
}

/// One side of a change: the value is `is`, or, where that is left open, not what the other side is.
fn push_side(
    sql: &mut QueryBuilder<Postgres>,
    column: &'static str,
    path: &Path,
    is: Option<&Test>,
    other: Option<&Test>,
) {
    let Some(test) = is.or(other) else {
        sql.push("true");
        return;
    };
    sql.push('(');
    push_tests(&mut AnyOf { sql, empty: true }, column, path, std::slice::from_ref(test));
    sql.push(if is.is_some() { ")" } else { ") IS NOT TRUE" });
}

/// Adds the alternatives to `any_of`.
fn push_tests(any_of: &mut AnyOf<'_>, column: &'static str, path: &Path, tests: &[Test]) {
    let place = place(path);
    let mut conditions = Vec::new();
    let mut values = Vec::new();
    for test in tests {
        let condition = match test {
            Test::Null => {
                push_exists(any_of.next(), column, format!("{place} ? (@ != null)"), "{}".to_owned());
                any_of.sql.push(" IS NOT TRUE");
                continue;
            }
            Test::Missing => {
                push_exists(any_of.next(), column, place.clone(), "{}".to_owned());
                any_of.sql.push(" IS NOT TRUE");
                continue;
            }
            Test::Present => {
                conditions.push("@ != null".to_owned());
                continue;
            }
            Test::Equals(value) => format!("@ == {}", bind(&mut values, value)),
            Test::Prefix(text) => {
                format!("@ starts with {}", bind(&mut values, &Value::Text(text.clone())))
            }
            // The pattern must be a literal; the flag takes away its meaning as a pattern.
            Test::Contains(text) => format!("@ like_regex {} flag \"q\"", json_string(text)),
            Test::Compare(comparison, value) => {
                format!("@ {} {}", comparison.sign(), bind(&mut values, value))
            }
            Test::Range(from, to) => {
                format!("@ >= {} && @ <= {}", bind(&mut values, from), bind(&mut values, to))
            }
        };
        // An array holds what one of its elements holds. Each is tried by itself: in one comparison, an element of
        // another type would make the answer unknown for all.
        conditions.push(format!("({condition}) || exists(@[*] ? ({condition}))"));
    }
    if !conditions.is_empty() {
        let condition = format!("{place} ? ({})", conditions.join(" || "));
        push_exists(any_of.next(), column, condition, format!("{{{}}}", values.join(",")));
    }
}

/// Takes note of a variable of the path; returns its name.
fn bind(values: &mut Vec<String>, value: &Value) -> String {
    let name = format!("v{}", values.len());
    values.push(format!("\"{name}\":{}", value.to_json()));
    format!("${name}")
}

fn push_exists(sql: &mut QueryBuilder<Postgres>, column: &'static str, path: String, variables: String) {
    sql.push(format_args!("jsonb_path_exists({column}, ")).push_bind(path).push("::jsonpath, ");
    sql.push_bind(variables).push("::jsonb, true)");
}

/// The path as SQL/JSON path. At any depth: every object that has it.
fn place(path: &Path) -> String {
    let steps: String = path
        .steps
        .iter()
        .map(|step| match step {
            Step::Key(key) => format!(".{}", json_string(key)),
            Step::Index(index) => format!("[{index}]"),
        })
        .collect();
    if path.anywhere {
        format!("strict $.** ? (exists(@{steps})){steps}")
    } else {
        format!("strict ${steps}")
    }
}

/// `changed:a,b`
pub(super) fn push_changed(sql: &mut QueryBuilder<Postgres>, paths: &[Path], sides: &PartialSides) {
    sql.push('(');
    push_no_call(sql);
    super::push_joined(sql, paths, " OR ", |sql, path| push_differs(sql, path, sides));
    sql.push(')');
}

/// The event does not record a call: what such a record holds is no state, and changed nothing. The same question as
/// [`crate::domain::CallRecord::of`] answers.
fn push_no_call(sql: &mut QueryBuilder<Postgres>) {
    for kind in CALL_RECORDS {
        let (all, any) = (kind.all.join(","), kind.any.join(","));
        // The operators look into arrays, too.
        sql.push(format_args!(
            "({OLD} IS NULL AND {NEW} ?& '{{{all}}}' AND {NEW} ?| '{{{any}}}' AND jsonb_typeof({NEW}) = 'object') \
             IS NOT TRUE AND "
        ));
    }
}

/// The values at a path differ; an absent state counts as empty.
fn push_differs(sql: &mut QueryBuilder<Postgres>, path: &Path, sides: &PartialSides) {
    if path.is_whole() {
        sql.push('(');
        push_whole_differs(sql, sides);
        sql.push(')');
        return;
    }
    let place = place(path);
    let (function, absent) = if path.anywhere {
        // All values, in the order of the state.
        ("jsonb_path_query_array", "[]")
    } else {
        ("jsonb_path_query_first", "{}")
    };
    let value = |sql: &mut QueryBuilder<Postgres>, column: &'static str| {
        sql.push(format_args!("{function}(coalesce("));
        push_state(sql, column, sides);
        sql.push(format_args!(", '{absent}'), ")).push_bind(place.clone());
        sql.push("::jsonpath, '{}', true)");
    };
    sql.push('(');
    value(sql, OLD);
    sql.push(" IS DISTINCT FROM ");
    value(sql, NEW);
    sql.push(')');
}

/// The states differ; an absent one counts as empty.
fn push_whole_differs(sql: &mut QueryBuilder<Postgres>, sides: &PartialSides) {
    for (n, column) in [OLD, NEW].into_iter().enumerate() {
        sql.push(if n == 0 { "coalesce(" } else { " <> coalesce(" });
        push_state(sql, column, sides);
        sql.push(", '{}')");
    }
}

/// A state, completed from the other one where only that one is whole.
fn push_state(sql: &mut QueryBuilder<Postgres>, column: &'static str, sides: &PartialSides) {
    let (types, whole) = if column == NEW { (&sides.new, OLD) } else { (&sides.previous, NEW) };
    if types.is_empty() {
        sql.push(column);
        return;
    }
    sql.push("(CASE WHEN resource_type = ANY(").push_bind(types.clone()).push(format_args!(
        ") AND jsonb_typeof({whole}) = 'object' AND jsonb_typeof({column}) = 'object' \
         THEN {whole} || {column} ELSE {column} END)"
    ));
}

/// `onlychanged:a,b`: something differs, and nothing does once these places are taken out.
pub(super) fn push_only_changed(sql: &mut QueryBuilder<Postgres>, paths: &[Path], sides: &PartialSides) {
    sql.push('(');
    push_no_call(sql);
    push_whole_differs(sql, sides);
    sql.push(" AND ");
    push_without(sql, OLD, paths, sides);
    sql.push(" = ");
    push_without(sql, NEW, paths, sides);
    sql.push(')');
}

/// A state without some places. One subquery for each place (`OFFSET 0` keeps the planner from merging them, which
/// would write the state out three times a level), after those keys of the root that can go at once.
fn push_without(
    sql: &mut QueryBuilder<Postgres>,
    column: &'static str,
    paths: &[Path],
    sides: &PartialSides,
) {
    let is_root = |path: &&Path| matches!(path.steps.as_slice(), [Step::Key(_)]);
    let keys: Vec<String> =
        paths.iter().filter(is_root).filter_map(|p| p.root().map(str::to_owned)).collect();
    let deeper: Vec<&Path> = paths.iter().filter(|p| !is_root(p)).collect();
    for _ in &deeper {
        // Where the path leads nowhere, `#-` may refuse the state.
        sql.push(
            "(SELECT CASE WHEN jsonb_path_exists(s, p, '{}', true) THEN s #- d ELSE s END FROM (SELECT ",
        );
    }
    sql.push(format_args!("(CASE jsonb_typeof({column}) WHEN 'object' THEN "));
    push_state(sql, column, sides);
    sql.push(" - ").push_bind(keys);
    sql.push(format_args!("::text[] ELSE coalesce({column}, '{{}}') END)"));
    for path in deeper {
        let steps: Vec<String> = path
            .steps
            .iter()
            .map(|step| match step {
                Step::Key(key) => key.clone(),
                Step::Index(index) => index.to_string(),
            })
            .collect();
        sql.push(" AS s, ").push_bind(self::place(path)).push("::jsonpath AS p, ");
        sql.push_bind(steps).push("::text[] AS d OFFSET 0) q)");
    }
}
