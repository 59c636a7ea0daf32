//! The search vector of our own schema as the catalogue defines it, against the migration that makes it.
//!
//! A generated column is as good as its expression: whoever owns the table can drop that, or put another function behind
//! it, and events are no longer found by their words, while every hash still fits.

use super::body_of;
use sqlx::Row as _;
use sqlx::postgres::PgRow;

/// The function that computes it.
const FUNCTION: &str = "agenttrace_search_vector_v1";
/// What `pg_get_expr` prints of the column's expression, the schema of the function left out.
const EXPRESSION: &str = "agenttrace_search_vector_v1((((((((((((event_type)::text || ' '::text) || (resource_type)::text) || \
     ' '::text) || (resource_id)::text) || ' '::text) || (COALESCE(resource_name, ''::character varying))::text) || \
     ' '::text) || (actor_id)::text) || ' '::text) || (COALESCE(actor_email, ''::character varying))::text), new_state, \
     previous_state)";
/// The makings of a table that makes the vector.
const MIGRATION: &str = include_str!("../../../assets/migrations/0001_audit_events.sql");

/// Rows `v, relation, generated, expression, functions, texts` for each relation of our own schema's table `{oid}` that has
/// the column: whether it is generated and stored, its expression, how many functions that are not PostgreSQL's own it
/// needs, and their texts where they are of the language, volatility and settings of ours. A last row, without a relation,
/// where the text search configuration is not PostgreSQL's own.
pub(in crate::store) const DEFINITION: &str = "
    WITH RECURSIVE tree (oid) AS (
        SELECT {oid}::oid
        UNION SELECT i.inhrelid FROM tree JOIN pg_catalog.pg_inherits i ON i.inhparent = tree.oid),
    ours AS (SELECT FROM pg_catalog.pg_class c WHERE c.oid = {oid} AND (
        coalesce(obj_description(c.oid, 'pg_class') LIKE 'agenttrace: %', false) OR EXISTS (
            SELECT FROM pg_catalog.pg_class h
            WHERE h.relnamespace = c.relnamespace AND h.relname = 'audit_chain_heads')))
    SELECT 'v', format('%I.%I', n.nspname, c.relname), a.attgenerated = 's' AND a.atttypid = 'tsvector'::regtype,
        pg_get_expr(d.adbin, d.adrelid),
        (SELECT count(*) FROM pg_catalog.pg_depend p JOIN pg_catalog.pg_proc f ON f.oid = p.refobjid
         WHERE p.classid = 'pg_attrdef'::regclass AND p.objid = d.oid AND p.refclassid = 'pg_proc'::regclass),
        ARRAY(SELECT f.prosrc FROM pg_catalog.pg_depend p JOIN pg_catalog.pg_proc f ON f.oid = p.refobjid
              JOIN pg_catalog.pg_language l ON l.oid = f.prolang
         WHERE p.classid = 'pg_attrdef'::regclass AND p.objid = d.oid AND p.refclassid = 'pg_proc'::regclass
           AND l.lanname = 'plpgsql' AND f.provolatile = 'i' AND NOT f.proisstrict
           AND f.proconfig IS NULL)
    FROM ours, tree JOIN pg_catalog.pg_class c ON c.oid = tree.oid
        JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
        JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attname = 'search_vector' AND NOT a.attisdropped
        LEFT JOIN pg_catalog.pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum
    WHERE c.relkind IN ('r', 'p')
    UNION ALL
    SELECT 'v', NULL, false, NULL, 0, '{}' FROM ours WHERE EXISTS (
        SELECT FROM pg_catalog.pg_ts_config_map m
        WHERE m.mapcfg = 'pg_catalog.simple'::regconfig AND m.mapdict <> 'pg_catalog.simple'::regdictionary)
      OR (SELECT count(*) FROM pg_catalog.pg_ts_config_map m WHERE m.mapcfg = 'pg_catalog.simple'::regconfig) <> 19
      OR EXISTS (SELECT FROM pg_catalog.pg_ts_dict t
                 WHERE t.oid = 'pg_catalog.simple'::regdictionary AND t.dictinitoption IS NOT NULL)
    ORDER BY 2";

/// A relation whose search vector is not defined as the migrations define it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AlteredVector {
    /// The relation, qualified and quoted by the server; empty where it is about the whole database.
    pub relation: String,
    /// What is not as it must be, after the relation's name.
    pub what: &'static str,
}

impl AlteredVector {
    /// `public.audit_events: search_vector is not computed from the row`
    pub fn words(&self) -> String {
        if self.relation.is_empty() {
            self.what.to_owned()
        } else {
            format!("{}: {}", self.relation, self.what)
        }
    }
}

/// What one row of [`DEFINITION`] says; `None` when all is as it must be.
pub(in crate::store) fn altered(row: &PgRow) -> Result<Option<AlteredVector>, sqlx::Error> {
    let relation: Option<String> = row.try_get(1)?;
    let texts: Vec<String> = row.try_get(5)?;
    let what = match &relation {
        None => Some("the text search configuration pg_catalog.simple is not as PostgreSQL makes it"),
        Some(_) => judge(row.try_get(2)?, row.try_get(3)?, row.try_get(4)?, &texts),
    };
    Ok(what.map(|what| AlteredVector { relation: relation.unwrap_or_default(), what }))
}

fn judge(
    generated: bool,
    expression: Option<&str>,
    functions: i64,
    texts: &[String],
) -> Option<&'static str> {
    let Some(expression) = expression.filter(|_| generated) else {
        return Some("search_vector is not computed from the row: it holds whatever was put there");
    };
    let of_ours = |expression: &str| {
        let (schema, call) = expression.split_at(expression.find(FUNCTION).unwrap_or_default());
        (schema.is_empty() || schema.ends_with('.') && !schema.contains('(')) && call == EXPRESSION
    };
    if !of_ours(expression) {
        return Some("search_vector is computed from something else than the words of the row");
    }
    match texts {
        [text] if functions == 1 && Some(text.as_str()) == body_of(FUNCTION) => None,
        _ => Some("the function that computes search_vector is not as the migrations make it"),
    }
}

/// SQL that computes the vector anew, by the text of the migration rather than by the function in the database, from
/// `ids`, `new_state` and `previous_state`.
pub(in crate::store) fn computed() -> &'static str {
    between(body_of(FUNCTION).unwrap_or_default(), "RETURN ", ";\nEXCEPTION")
}

/// The same for a row of which a state cannot be turned into text or words.
pub(in crate::store) fn computed_without_states() -> &'static str {
    let body = body_of(FUNCTION).unwrap_or_default();
    between(body.split_once("EXCEPTION").map_or("", |(_, after)| after), "RETURN ", ";\nEND")
}

/// SQL of the words that are no states.
pub(in crate::store) fn identifiers() -> &'static str {
    between(
        MIGRATION,
        "GENERATED ALWAYS AS (agenttrace_search_vector_v1(",
        ",\n        new_state, previous_state)) STORED",
    )
}

fn between(text: &'static str, begin: &str, end: &str) -> &'static str {
    let after = text.split_once(begin).map_or("", |(_, after)| after);
    after.split_once(end).map_or("", |(inner, _)| inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sql_is_that_of_the_migration() {
        assert!(
            computed().starts_with("pg_catalog.setweight(") && computed().ends_with("'C')"),
            "{}",
            computed()
        );
        assert!(computed_without_states().ends_with("'A')") && !computed_without_states().contains("state"));
        assert!(
            identifiers().starts_with("\n        event_type || ' '")
                && identifiers().ends_with("coalesce(actor_email, '')")
        );
    }

    #[test]
    fn only_the_definition_of_the_migrations_is_taken_for_it() {
        let body = body_of(FUNCTION).unwrap().to_owned();
        let texts = std::slice::from_ref(&body);
        for expression in
            [EXPRESSION.to_owned(), format!("public.{EXPRESSION}"), format!("\"x.y\".{EXPRESSION}")]
        {
            assert_eq!(judge(true, Some(&expression), 1, texts), None, "{expression}");
            assert!(judge(false, Some(&expression), 1, texts).is_some());
            assert!(judge(true, Some(&expression), 2, texts).is_some());
            assert!(judge(true, Some(&expression), 1, &[]).is_some());
            assert!(judge(true, Some(&expression), 1, &[body.replace("32768", "3276")]).is_some());
        }
        for expression in [
            "''::tsvector".to_owned(),
            EXPRESSION.replace("actor_id", "request_id"),
            format!("f({EXPRESSION})"),
        ] {
            assert!(judge(true, Some(&expression), 1, texts).is_some(), "{expression}");
        }
        assert!(judge(true, None, 1, texts).is_some());
    }
}
