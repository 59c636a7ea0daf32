//! Which table `audit_events` is read: found once in the catalogue, named in full ever after.

use super::super::StoreError;
use super::shape::{Shape, quoted};
use serde::Serialize;
#[expect(clippy::disallowed_types, reason = "our own statements with the name of a schema, quoted")]
use sqlx::AssertSqlSafe;
use sqlx::Row as _;
use sqlx::postgres::PgRow;
use std::fmt;

/// How the rows are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Layout {
    /// One table.
    Plain,
    /// Partitions by range, as of time.
    Range,
    /// Partitions by hash, as of the organisation.
    Hash,
    /// Partitions by list, a view, a foreign table.
    Other,
}

/// The name of the table, in whatever schema it is.
pub(crate) const TABLE: &str = "audit_events";

/// All tables of that name, with their places in the caller's own path of schemas. It runs before that path has been
/// put aside, so nothing in it is left to the path: neither functions nor operators nor types. Temporary tables do not
/// count, since behind a pooler they are other people's.
const CANDIDATES: &str = "
    SELECT n.nspname, pg_catalog.pg_get_userbyid(c.relowner), c.oid::pg_catalog.int8, c.relkind::pg_catalog.text,
        pg_catalog.array_position(pg_catalog.current_schemas(false), n.nspname),
        n.nspname OPERATOR(pg_catalog.=) CURRENT_USER
            AND pg_catalog.strpos(pg_catalog.current_setting('search_path'), '$user') OPERATOR(pg_catalog.>) 0
    FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) c.relnamespace
    WHERE c.relname OPERATOR(pg_catalog.=) {table}
        AND c.relkind OPERATOR(pg_catalog.=) ANY ('{r,p,v,m,f}'::pg_catalog.\"char\"[])
        AND NOT pg_catalog.starts_with(n.nspname::pg_catalog.text, 'pg_')";

/// The schemas in which the role may make a table, as further rows of [`CANDIDATES`] of the kind `n`. One that is named
/// like the role and belongs to it was made for it.
pub(super) const HOMES: &str = "
    UNION ALL SELECT n.nspname, pg_catalog.pg_get_userbyid(n.nspowner), n.oid::pg_catalog.int8, 'n',
        pg_catalog.array_position(pg_catalog.current_schemas(false), n.nspname),
        n.nspname OPERATOR(pg_catalog.=) CURRENT_USER
            AND pg_catalog.strpos(pg_catalog.current_setting('search_path'), '$user') OPERATOR(pg_catalog.>) 0
            AND pg_catalog.pg_get_userbyid(n.nspowner) OPERATOR(pg_catalog.<>) CURRENT_USER
    FROM pg_catalog.pg_namespace n
    WHERE NOT pg_catalog.starts_with(n.nspname::pg_catalog.text, 'pg_')
        AND n.nspname OPERATOR(pg_catalog.<>) 'information_schema'
        AND pg_catalog.has_schema_privilege(n.oid, 'CREATE')";

/// [`CANDIDATES`] of a name.
pub(super) fn candidates(table: &str) -> String {
    // The statement takes no parameters; the name may stand for itself also where backslashes are escapes.
    let literal = format!("E'{}'", table.replace('\\', "\\\\").replace('\'', "''"));
    CANDIDATES.replace("{table}", &literal)
}

/// The table that is read, or written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Relation {
    /// Its schema.
    pub schema: String,
    /// The role that it belongs to.
    pub owner: String,
    /// Its object id.
    pub oid: i64,
    /// Other schemas of the caller's path that have a table of this name, each with the owner of that table.
    pub others: Vec<(String, String)>,
    /// The schema was named by the configuration.
    pub configured: bool,
    /// Its name.
    pub name: String,
    qualified: String,
    /// How it is read; the reason in words where it cannot be.
    pub(in crate::store) shape: Result<Shape, String>,
}

impl Relation {
    fn new(name: &str, found: &Candidate, others: &[&Candidate], configured: bool) -> Self {
        Self {
            qualified: format!("{}.{}", quoted(&found.schema), quoted(name)),
            name: name.to_owned(),
            shape: Ok(Shape::default()),
            schema: found.schema.clone(),
            owner: found.owner.clone(),
            oid: found.oid,
            others: others.iter().map(|other| (other.schema.clone(), other.owner.clone())).collect(),
            configured,
        }
    }

    /// The table in SQL, as a thing of the catalogue: schema and name, both in quotes.
    pub fn named(&self) -> &str {
        &self.qualified
    }

    /// An expression in SQL for the table's object id now: a change of layout puts another table in its place.
    pub fn regclass(&self) -> String {
        format!("to_regclass('{}')", self.qualified.replace('\'', "''"))
    }

    /// What its events are read from, under our names and types: the table itself, or a query on it. It stands behind
    /// FROM, with an alias or without.
    pub fn sql(&self) -> &str {
        self.shape.as_ref().ok().and_then(|shape| shape.source.as_deref()).unwrap_or(&self.qualified)
    }

    /// All columns of what it is read from, the version of the row among them, in a list of SELECT.
    pub fn everything(&self) -> &'static str {
        if self.is_as_ours() { "*, xmin" } else { "*" }
    }

    /// Whether it has our columns in our types, so that it is read by its name.
    pub fn is_as_ours(&self) -> bool {
        self.shape.as_ref().is_ok_and(|shape| shape.source.is_none())
    }

    /// What has to be said before it is read.
    pub fn remarks(&self) -> Vec<String> {
        self.shape.as_ref().map(|shape| shape.remarks.clone()).unwrap_or_default()
    }

    /// Why its chain cannot be verified through it.
    pub fn unverifiable(&self) -> Option<&str> {
        self.shape.as_ref().ok()?.unverifiable.as_deref()
    }

    /// What stands behind FROM for the rows of a relation of the table's tree (`ONLY "s"."t"`), under our names and with
    /// what PostgreSQL itself has of a row.
    pub(in crate::store) fn rows_of(&self, relation: &str) -> String {
        match self.shape.as_ref().ok().and_then(|shape| shape.rows.as_ref()) {
            Some(list) => format!("(SELECT {list} FROM {relation}) AS audit_events"),
            None => relation.to_owned(),
        }
    }

    /// How a column of ours is called there.
    pub(in crate::store) fn their_name<'a>(&'a self, ours: &'a str) -> &'a str {
        let renamed = self.shape.as_ref().ok().and_then(|shape| shape.renamed.get(ours));
        renamed.map_or(ours, String::as_str)
    }

    /// Another object of the table's schema, in SQL.
    pub fn beside(&self, name: &str) -> String {
        beside(&self.schema, name)
    }

    /// A statement of ours with `{schema}` in it for the schema of the table.
    #[expect(clippy::disallowed_types, reason = "our own statements with the name of a schema, quoted")]
    pub(crate) fn name_in(&self, statement: &'static str) -> AssertSqlSafe<String> {
        AssertSqlSafe(statement.replace("{schema}", &quoted(&self.schema)))
    }

    /// What has to be said where several tables could have been meant.
    pub fn announcement(&self) -> Option<String> {
        if self.others.is_empty() {
            return None;
        }
        let others: Vec<String> =
            self.others.iter().map(|(schema, owner)| format!("{schema} (owner {owner})")).collect();
        Some(format!(
            "the table read is {}.{} (owner {}); other schemas of the search_path have a table of this name too: {}; \
             schema = \"…\" in the configuration says which one is meant",
            self.schema,
            self.name,
            self.owner,
            others.join(", ")
        ))
    }
}

impl fmt::Display for Relation {
    /// `public.audit_events (owner app, oid 16402)`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{} (owner {}, oid {})", self.schema, self.name, self.owner, self.oid)
    }
}

/// An object of a schema, in SQL.
pub(crate) fn beside(schema: &str, name: &str) -> String {
    format!("{}.{}", quoted(schema), quoted(name))
}

/// A table of that name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Candidate {
    schema: String,
    owner: String,
    oid: i64,
    /// It is a table; else a schema in which one could be made.
    is_table: bool,
    /// Its schema's place in the caller's own path.
    place: Option<i32>,
    /// Its schema stands in the path only because it is named like the role (`"$user"`).
    of_the_role: bool,
}

impl Candidate {
    pub(super) fn read(row: &PgRow) -> Result<Self, StoreError> {
        Ok(Self {
            schema: row.try_get(0)?,
            owner: row.try_get(1)?,
            oid: row.try_get(2)?,
            is_table: row.try_get::<&str, _>(3)? != "n",
            place: row.try_get(4)?,
            of_the_role: row.try_get(5)?,
        })
    }
}

/// The table that is meant: that of the configured schema, else the first one in the caller's path. A schema that stands
/// there merely because it is named like the role comes last: whoever may create schemas can make one, and nobody has
/// asked for it.
pub(super) fn choose(name: &str, candidates: &[Candidate], schema: Option<&str>) -> Option<Relation> {
    if let Some(schema) = schema {
        let found = candidates.iter().find(|found| found.is_table && found.schema == schema)?;
        return Some(Relation::new(name, found, &[], true));
    }
    let in_path = in_path(candidates, true);
    let (found, others) = in_path.split_first()?;
    Some(Relation::new(name, found, others, false))
}

/// The schema in which a table would be made: the configured one, else the first one of the caller's path in which the
/// role may make it.
pub(super) fn home(candidates: &[Candidate], schema: Option<&str>) -> Option<String> {
    let found = match schema {
        Some(schema) => candidates.iter().find(|found| !found.is_table && found.schema == schema),
        None => in_path(candidates, false).first().copied(),
    };
    found.map(|found| found.schema.clone())
}

fn in_path(candidates: &[Candidate], tables: bool) -> Vec<&Candidate> {
    let meant = |candidate: &&Candidate| candidate.is_table == tables && candidate.place.is_some();
    let mut found: Vec<&Candidate> = candidates.iter().filter(meant).collect();
    found.sort_by_key(|candidate| (candidate.of_the_role, candidate.place));
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn candidate(schema: &str, place: Option<i32>, of_the_role: bool) -> Candidate {
        let owner = format!("o-{schema}");
        Candidate { schema: schema.to_owned(), owner, oid: 7, is_table: true, place, of_the_role }
    }

    #[test]
    fn the_first_of_the_path_is_read_and_the_others_are_announced() {
        let found = [
            candidate("zoo", Some(2), false),
            candidate("app", Some(1), false),
            candidate("off", None, false),
        ];
        let relation = choose(TABLE, &found, None).unwrap();
        assert_eq!(relation.sql(), r#""app"."audit_events""#);
        assert_eq!(relation.others, [("zoo".to_owned(), "o-zoo".to_owned())]);
        let told = relation.announcement().unwrap();
        assert!(
            told.contains("app.audit_events (owner o-app)") && told.contains("zoo (owner o-zoo)"),
            "{told}"
        );
        assert!(!told.contains("off"), "{told}");
        assert_eq!(choose(TABLE, &found[2..], None), None);
    }

    #[test]
    fn a_schema_named_like_the_role_does_not_win_by_its_name() {
        let found = [candidate("analyst", Some(1), true), candidate("public", Some(2), false)];
        assert_eq!(choose(TABLE, &found, None).unwrap().schema, "public");
        // It is read where there is no other, and where it is asked for.
        assert_eq!(choose(TABLE, &found[..1], None).unwrap().schema, "analyst");
        let asked = choose(TABLE, &found, Some("analyst")).unwrap();
        assert_eq!((asked.schema.as_str(), asked.announcement()), ("analyst", None));
        assert_eq!(choose(TABLE, &found, Some("Public")), None);
    }

    #[test]
    fn a_table_is_made_where_the_path_begins_or_where_it_was_said() {
        let schema =
            |name, place, of_the_role| Candidate { is_table: false, ..candidate(name, place, of_the_role) };
        let found = [
            schema("analyst", Some(1), true),
            schema("public", Some(2), false),
            schema("trail", None, false),
            candidate("off", Some(3), false),
        ];
        assert_eq!(home(&found, None).as_deref(), Some("public"));
        assert_eq!(home(&found, Some("trail")).as_deref(), Some("trail"));
        assert_eq!(home(&found, Some("off")), None);
        assert_eq!(choose(TABLE, &found, None).unwrap().schema, "off");
    }

    #[test]
    fn names_stay_names() {
        let relation = Relation::new(TABLE, &candidate("a\"; DROP", None, false), &[], true);
        assert_eq!(relation.sql(), r#""a""; DROP"."audit_events""#);
        assert_eq!(relation.beside("x"), r#""a""; DROP"."x""#);
    }
}
