//! What a table of events is made of, and how it is read as if it had our columns: other names, other types, columns that
//! are missing or not granted, views and foreign tables.
//!
//! A table with the columns and types of the schema is read by its name. Any other is read through a query that stands
//! where the name would; PostgreSQL takes such queries apart, so indexes on columns that are taken over unchanged serve.

use crate::domain::{COLUMNS, Naming};
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// Columns without which a table holds no chain of events.
const NEEDED: [&str; 6] = ["event_id", "organization_id", "timestamp", "event_type", "hash", "previous_hash"];

/// Columns that always have a value in the schema; where they are missing, an empty text stands for them.
const NEVER_NULL: [&str; 9] = [
    "actor_type",
    "actor_id",
    "event_category",
    "event_severity",
    "resource_type",
    "resource_id",
    "action",
    "request_id",
    "event_type",
];

/// A column as the catalogue has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::store) struct Found {
    pub(in crate::store) name: String,
    /// As PostgreSQL prints the type.
    pub(in crate::store) type_name: String,
    /// As PostgreSQL prints the type below a domain, or an array's name; without length.
    pub(in crate::store) base: String,
    /// The role may read it.
    pub(in crate::store) granted: bool,
}

/// How a table is read.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Shape {
    /// What stands behind FROM, without an alias; `None`: its name.
    pub(super) source: Option<String>,
    /// Our columns that it has, with their own names: those whose indexes serve.
    pub(in crate::store) unchanged: BTreeMap<String, String>,
    /// Our columns that it does not have, or that the role may not read.
    pub missing: Vec<String>,
    /// What has to be said before it is read, in words.
    pub remarks: Vec<String>,
    /// Why its chain cannot be verified through it, and the remedy; `None` where it can.
    pub unverifiable: Option<String>,
    /// A list of SELECT for the rows of a table of other names, or of hashes or times that have to be converted, with what
    /// PostgreSQL itself has of a row. The types of the other columns are left as they are.
    pub(in crate::store) rows: Option<String>,
    /// Our columns that are called otherwise there, with their names.
    pub(in crate::store) renamed: BTreeMap<String, String>,
}

/// What a relation is, by `relkind`.
fn noun(kind: &str) -> &'static str {
    match kind {
        "v" => "a view",
        "m" => "a materialised view",
        "f" => "a foreign table",
        _ => "a table",
    }
}

impl Shape {
    /// The shape of a table, `name` in SQL, of a certain `relkind`; `whole` says that the role may read all of it.
    ///
    /// # Errors
    /// In words, when a column is needed that is not there, or is of a type that cannot stand for ours.
    pub(in crate::store) fn of(
        name: &str,
        kind: &str,
        whole: bool,
        found: &[Found],
        naming: &Naming,
        server_version: i32,
    ) -> Result<Self, String> {
        let mut shape = Self::default();
        let (mut list, mut rows) = (String::new(), String::new());
        let mut plain = naming.columns.is_empty() && matches!(kind, "r" | "p");
        let (mut zoneless, mut binary) = (false, false);
        let mut lost = Vec::new();
        for ours in COLUMNS {
            let theirs = naming.columns.get(ours).map_or(ours, String::as_str);
            let column = found.iter().find(|column| column.name == theirs);
            if let (None, true) = (column, naming.columns.contains_key(ours)) {
                return Err(format!("columns.{ours}: the table {name} has no column {theirs}"));
            }
            let separator = if list.is_empty() { "" } else { ", " };
            let Some(column) = column.filter(|column| column.granted) else {
                if NEEDED.contains(&ours) {
                    lost.push((ours, column.is_some()));
                    continue;
                }
                plain = false;
                shape.missing.push(ours.to_owned());
                let _ = write!(list, "{separator}{} AS {}", instead(ours), quoted(ours));
                continue;
            };
            let expression = expression(ours, column, naming, server_version).ok_or_else(|| {
                format!(
                    "the column {theirs} of {name} is of type {}, which cannot be read as {ours}",
                    column.type_name
                )
            })?;
            let converted =
                column.base == "bytea" || ours == "timestamp" && column.base != "timestamp with time zone";
            binary |= column.base == "bytea";
            zoneless |= ours == "timestamp" && converted;
            let as_read = expression.clone().filter(|_| converted).unwrap_or_else(|| quoted(theirs));
            let _ = write!(rows, "{as_read} AS {}, ", quoted(ours));
            match &expression {
                Some(expression) => {
                    plain = false;
                    let _ = write!(list, "{separator}{expression} AS {}", quoted(ours));
                }
                None => {
                    shape.unchanged.insert(theirs.to_owned(), ours.to_owned());
                    let _ = write!(list, "{separator}{} AS {}", quoted(theirs), quoted(ours));
                }
            }
        }
        if !lost.is_empty() {
            return Err(lacks(name, &lost));
        }
        if plain {
            return Ok(Self::default());
        }
        if found.iter().any(|c| c.name == "search_vector" && c.base == "tsvector" && c.granted) {
            list.push_str(", \"search_vector\"");
        }
        // Views and foreign tables have no rows of their own, and system columns are granted with the whole table only.
        let has_rows = matches!(kind, "r" | "p" | "m") && whole;
        list.push_str(if has_rows { ", xmin" } else { ", '0'::pg_catalog.xid AS xmin" });
        // A join in parentheses may go without an alias of its own, and may have one.
        shape.source =
            Some(format!("((SELECT {list} FROM {name}) AS audit_events CROSS JOIN (SELECT) AS nothing)"));
        if zoneless || binary || !naming.columns.is_empty() {
            shape.rows = Some(rows + "ctid, tableoid, xmin");
            shape.renamed.clone_from(&naming.columns);
        }
        let forbidden = |ours: &String| {
            let theirs = naming.columns.get(ours).unwrap_or(ours);
            found.iter().any(|column| column.name == *theirs && !column.granted)
        };
        let forbidden: Vec<String> = shape.missing.iter().filter(|ours| forbidden(ours)).cloned().collect();
        shape.say(name, kind, naming, zoneless, &forbidden.join(", "));
        Ok(shape)
    }

    fn say(&mut self, name: &str, kind: &str, naming: &Naming, zoneless: bool, forbidden: &str) {
        match kind {
            // A foreign table is read whole, as a partition is that is one.
            "r" | "p" | "f" => {}
            _ => {
                self.unverifiable = Some(format!(
                    "{name} is {}, and verification reads the table itself: name that one with --schema, or with schema, \
                     table and columns in the profile",
                    noun(kind)
                ));
            }
        }
        if zoneless {
            let zone = naming.zone.map_or("UTC", |zone| zone.name());
            let how = if naming.zone.is_some() {
                "as the profile says"
            } else {
                "zone = \"…\" in the profile names another"
            };
            self.remarks.push(format!("the times of {name} have no zone: they are read as {zone} ({how})"));
            // In an hour that a clock goes through twice, nobody knows of which instant a hash was made.
            if naming.zone != Some(chrono_tz::Tz::UTC) {
                self.unverifiable.get_or_insert(format!(
                    "the times of {name} have no zone, and hashes were made of instants: zone = \"UTC\" in the profile, if \
                     that is what they are, makes instants of them"
                ));
            }
        }
        if !self.missing.is_empty() {
            let missing = self.missing.join(", ");
            self.remarks.push(format!("{name} has no column {missing} that may be read: shown as empty"));
            let remedy = if forbidden.is_empty() {
                "columns = { … } in the profile says how they are called there, if they are".to_owned()
            } else {
                format!("GRANT SELECT ({forbidden}) lets the role verify")
            };
            self.unverifiable.get_or_insert(format!(
                "{name} lacks columns that hashes cover ({missing}): what an event held cannot be compared with its hash; \
                 {remedy}"
            ));
        }
    }
}

fn lacks(name: &str, lost: &[(&str, bool)]) -> String {
    let of = |granted: bool| {
        let names: Vec<&str> =
            lost.iter().filter(|(_, there)| *there == granted).map(|(name, _)| *name).collect();
        names.join(", ")
    };
    let (absent, forbidden) = (of(false), of(true));
    let mut out = Vec::new();
    if !absent.is_empty() {
        out.push(format!(
            "{name} has no column {absent}, which is needed; columns = {{ … }} in the profile says how it is called there"
        ));
    }
    if !forbidden.is_empty() {
        out.push(format!(
            "the role may not read the column {forbidden} of {name}: GRANT SELECT ({forbidden}) is needed"
        ));
    }
    out.join("; ")
}

/// What stands for a column that is not there.
fn instead(ours: &str) -> &'static str {
    match ours {
        "actor_ip" => "NULL::pg_catalog.inet",
        "previous_state" | "new_state" => "NULL::pg_catalog.jsonb",
        name if NEVER_NULL.contains(&name) => "''::pg_catalog.text",
        _ => "NULL::pg_catalog.text",
    }
}

/// A column as an expression of the type that is read; `Some(None)` where it is of that type, `None` where it cannot be.
fn expression(ours: &str, column: &Found, naming: &Naming, server_version: i32) -> Option<Option<String>> {
    let theirs = quoted(&column.name);
    let is_domain = column.base != without_length(&column.type_name);
    let cast = |to: &str| Some(Some(format!("{theirs}::pg_catalog.{to}")));
    match (ours, column.base.as_str()) {
        ("timestamp", "timestamp with time zone") => {
            if is_domain {
                cast("timestamptz")
            } else {
                Some(None)
            }
        }
        ("timestamp", "timestamp without time zone" | "date") => {
            let zone = naming.zone.map_or("UTC", |zone| zone.name());
            Some(Some(format!("{theirs}::pg_catalog.timestamp AT TIME ZONE '{zone}'")))
        }
        ("timestamp", _) => None,
        ("actor_ip", "inet") => {
            if is_domain {
                cast("inet")
            } else {
                Some(None)
            }
        }
        ("actor_ip", "cidr") => cast("inet"),
        ("actor_ip", "text" | "character varying" | "character") => {
            Some(Some(address(&theirs, server_version)))
        }
        ("actor_ip", _) => None,
        ("previous_state" | "new_state", "jsonb") => {
            if is_domain {
                cast("jsonb")
            } else {
                Some(None)
            }
        }
        ("previous_state" | "new_state", "json") => cast("jsonb"),
        // What is no JSON must not end a whole page: it is one string.
        ("previous_state" | "new_state", "text" | "character varying") => {
            Some(Some(format!("pg_catalog.to_jsonb({theirs}::pg_catalog.text)")))
        }
        ("previous_state" | "new_state", _) => None,
        ("hash" | "previous_hash", "bytea") => Some(Some(format!("pg_catalog.encode({theirs}, 'hex')"))),
        (_, "text" | "character varying") if !is_domain => Some(None),
        // Blanks that fill up a `character` go with the cast.
        _ => cast("text"),
    }
}

/// `character varying(64)` without the length.
fn without_length(type_name: &str) -> String {
    let mut out = String::new();
    let mut depth = 0;
    for c in type_name.chars() {
        match c {
            '(' => depth += 1,
            ')' => depth -= 1,
            c if depth == 0 => out.push(c),
            _ => {}
        }
    }
    out
}

/// A text as an address, NULL where it is none: a cast would end the whole page.
fn address(theirs: &str, server_version: i32) -> String {
    if server_version >= 160_000 {
        return format!(
            "CASE WHEN pg_catalog.pg_input_is_valid({theirs}, 'inet') THEN {theirs}::pg_catalog.inet END"
        );
    }
    const V4: &str = r"^((25[0-5]|2[0-4]\d|1?\d?\d)\.){3}(25[0-5]|2[0-4]\d|1?\d?\d)(/(3[0-2]|[12]?\d))?$";
    const V6: &str = r"^([0-9A-Fa-f]{1,4}:){7}[0-9A-Fa-f]{1,4}$|^(([0-9A-Fa-f]{1,4}:){0,5}[0-9A-Fa-f]{1,4})?::$|^::([0-9A-Fa-f]{1,4}:){0,5}[0-9A-Fa-f]{1,4}$|^[0-9A-Fa-f]{1,4}(:[0-9A-Fa-f]{1,4}){0,2}::[0-9A-Fa-f]{1,4}(:[0-9A-Fa-f]{1,4}){0,2}$";
    format!(
        "CASE WHEN {theirs} ~ '{V4}' OR {theirs} ~ '{V6}' THEN {theirs}::pg_catalog.text::pg_catalog.inet END"
    )
}

/// A name in SQL.
pub(super) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ours() -> Vec<Found> {
        let of = |name: &&str| {
            let type_name = match *name {
                "timestamp" => "timestamp with time zone",
                "actor_ip" => "inet",
                "previous_state" | "new_state" => "jsonb",
                _ => "character varying",
            };
            Found {
                name: (*name).to_owned(),
                type_name: format!("{type_name}(64)")
                    .replace("inet(64)", "inet")
                    .replace("jsonb(64)", "jsonb")
                    .replace("zone(64)", "zone"),
                base: type_name.to_owned(),
                granted: true,
            }
        };
        COLUMNS.iter().map(of).collect()
    }

    fn change(columns: &mut [Found], name: &str, base: &str) {
        let column = columns.iter_mut().find(|c| c.name == name).unwrap();
        (column.type_name, column.base) = (base.to_owned(), base.to_owned());
    }

    fn shape(kind: &str, columns: &[Found], naming: &Naming) -> Result<Shape, String> {
        Shape::of("\"s\".\"t\"", kind, true, columns, naming, 150_000)
    }

    #[test]
    fn a_table_of_our_columns_is_read_by_its_name() {
        let plain = shape("r", &ours(), &Naming::default()).unwrap();
        assert_eq!(plain, Shape::default());
        let view = shape("v", &ours(), &Naming::default()).unwrap();
        assert!(view.source.unwrap().contains("'0'::pg_catalog.xid AS xmin FROM \"s\".\"t\""));
        assert!(view.unverifiable.unwrap().contains("is a view"));
        assert_eq!(shape("f", &ours(), &Naming::default()).unwrap().unverifiable, None);
        assert_eq!(view.unchanged.len(), 22);
    }

    #[test]
    fn other_types_are_converted_and_what_cannot_be_is_named() {
        let mut columns = ours();
        for (name, base) in [
            ("timestamp", "timestamp without time zone"),
            ("hash", "bytea"),
            ("event_id", "uuid"),
            ("actor_ip", "text"),
            ("new_state", "json"),
        ] {
            change(&mut columns, name, base);
        }
        let naming = Naming { zone: Some(chrono_tz::Europe::Berlin), ..Naming::default() };
        let found = shape("r", &columns, &naming).unwrap();
        let source = found.source.unwrap();
        for part in [
            "\"timestamp\"::pg_catalog.timestamp AT TIME ZONE 'Europe/Berlin' AS \"timestamp\"",
            "pg_catalog.encode(\"hash\", 'hex') AS \"hash\"",
            "\"event_id\"::pg_catalog.text AS \"event_id\"",
            "\"new_state\"::pg_catalog.jsonb AS \"new_state\"",
            ", xmin FROM",
        ] {
            assert!(source.contains(part), "{part} in {source}");
        }
        assert!(
            found.remarks[0].contains("read as Europe/Berlin (as the profile says)"),
            "{:?}",
            found.remarks
        );
        assert!(!found.unchanged.contains_key("hash") && found.unchanged.contains_key("actor_id"));
        change(&mut columns, "timestamp", "bigint");
        assert!(
            shape("r", &columns, &naming)
                .unwrap_err()
                .contains("is of type bigint, which cannot be read as timestamp")
        );
    }

    #[test]
    fn columns_may_have_other_names_be_missing_or_forbidden() {
        let mut columns = ours();
        columns.iter_mut().find(|c| c.name == "timestamp").unwrap().name = "created \"at\"".to_owned();
        columns.retain(|c| c.name != "session_id" && c.name != "action");
        columns.iter_mut().find(|c| c.name == "new_state").unwrap().granted = false;
        let refused = shape("r", &columns, &Naming::default()).unwrap_err();
        assert!(refused.contains("has no column timestamp, which is needed; columns = "), "{refused}");
        let names = BTreeMap::from([("timestamp".to_owned(), "created \"at\"".to_owned())]);
        let naming = Naming { columns: names, ..Naming::default() };
        let found = shape("r", &columns, &naming).unwrap();
        let source = found.source.unwrap();
        assert!(source.contains("\"created \"\"at\"\"\" AS \"timestamp\""), "{source}");
        assert!(source.contains("''::pg_catalog.text AS \"action\""), "{source}");
        assert!(source.contains("NULL::pg_catalog.jsonb AS \"new_state\""), "{source}");
        assert_eq!(found.missing, ["action", "new_state", "session_id"]);
        let wrong =
            Naming { columns: BTreeMap::from([("hash".to_owned(), "nope".to_owned())]), ..Naming::default() };
        assert!(shape("r", &ours(), &wrong).unwrap_err().contains("columns.hash: the table"));
    }
}
