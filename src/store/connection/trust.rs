//! Code that runs when the table is read or written, whatever search_path is in force: that of views, policies, triggers,
//! rules and expressions which belong to the table. Who owns the table can put it there, and it runs with the rights of
//! whoever reads or writes.

use crate::store::connection::{Link, Relation};
use crate::store::migrations::{FUNCTIONS, body_of};
#[expect(clippy::disallowed_types, reason = "our own statement with names that are quoted")]
use sqlx::AssertSqlSafe;
use sqlx::Row as _;

/// Rows `x, what, owner, owner is a superuser` for the table `{oid}` and its partitions: code of roles other than the
/// one that asks. An expression with a function of its own counts where the planner may compute it for a reader, which
/// it does with constant arguments: of indexes, statistics, constraints, and generated columns that are not stored.
/// Functions whose text is verbatim that of our own schema do not count.
const CODE: &str = "
    WITH tree AS (SELECT {oid} AS oid UNION SELECT relid FROM pg_partition_tree({oid}) {tables}),
    relations AS (SELECT c.oid, c.relname, c.relkind, c.relowner FROM tree JOIN pg_catalog.pg_class c ON c.oid = tree.oid),
    parts AS (
        SELECT 'pg_class'::regclass AS class, x.indexrelid AS id, 'index ' || i.relname AS what, r.relowner AS owner,
            NULL::text AS tree
        FROM relations r JOIN pg_catalog.pg_index x ON x.indrelid = r.oid JOIN pg_catalog.pg_class i ON i.oid = x.indexrelid
        UNION ALL
        SELECT 'pg_statistic_ext', s.oid, 'statistics ' || s.stxname, s.stxowner, NULL
        FROM relations r JOIN pg_catalog.pg_statistic_ext s ON s.stxrelid = r.oid
        UNION ALL
        SELECT 'pg_constraint', k.oid, 'constraint ' || k.conname, r.relowner, k.conbin::text
        FROM relations r JOIN pg_catalog.pg_constraint k ON k.conrelid = r.oid
        UNION ALL
        SELECT 'pg_attrdef', d.oid, 'generated column ' || a.attname, r.relowner, NULL
        FROM relations r JOIN pg_catalog.pg_attrdef d ON d.adrelid = r.oid
            JOIN pg_catalog.pg_attribute a ON a.attrelid = r.oid AND a.attnum = d.adnum AND a.attgenerated = 'v'
        UNION ALL
        SELECT 'pg_class', r.oid, 'partition key of ' || r.relname, r.relowner, NULL FROM relations r WHERE r.relkind = 'p'
        {parts}),
    code AS (
        SELECT 'the view ' || r.relname AS what, r.relowner AS owner FROM relations r WHERE r.relkind = 'v'
        UNION
        SELECT 'the row policy ' || p.polname, r.relowner
        FROM relations r JOIN pg_catalog.pg_policy p ON p.polrelid = r.oid
        WHERE p.polcmd IN ({commands}) AND row_security_active(r.oid)
            AND (p.polroles = '{0}' OR EXISTS (SELECT FROM unnest(p.polroles) who (id) WHERE pg_has_role(who.id, 'USAGE')))
            AND (coalesce(pg_get_expr(p.polqual, r.oid), 'true') <> 'true'
                 OR coalesce(pg_get_expr(p.polwithcheck, r.oid), 'true') <> 'true')
        UNION
        SELECT 'a function of the ' || parts.what, coalesce(f.proowner, parts.owner)
        FROM parts JOIN pg_catalog.pg_depend d ON d.classid = parts.class AND d.objid = parts.id
            LEFT JOIN pg_catalog.pg_operator o ON d.refclassid = 'pg_operator'::regclass AND o.oid = d.refobjid
            JOIN pg_catalog.pg_proc f
                ON f.oid = CASE WHEN d.refclassid = 'pg_proc'::regclass THEN d.refobjid ELSE o.oprcode END
        WHERE f.oid >= 16384 AND f.prosrc <> ALL ({ours})
        {code})
    SELECT 'x', code.what, o.rolname::text, o.rolsuper FROM code JOIN pg_catalog.pg_roles o ON o.oid = code.owner
    WHERE o.rolname <> current_user ORDER BY 1, 2, 3";

/// The other tables that a writer writes to.
const TABLES: &str = "
    UNION SELECT h.oid FROM pg_catalog.pg_class h JOIN pg_catalog.pg_class c ON c.oid = {oid}
    WHERE h.relnamespace = c.relnamespace
        AND h.relname IN ('audit_chain_heads', 'audit_archive_segments', 'agenttrace_grants', '_sqlx_migrations')";

/// What holds code that runs for whoever adds or changes a row.
const PARTS: &str = "
    UNION ALL
    SELECT 'pg_attrdef', d.oid, CASE a.attgenerated WHEN '' THEN 'default of ' ELSE 'generated column ' END || a.attname,
        r.relowner, d.adbin::text
    FROM relations r JOIN pg_catalog.pg_attrdef d ON d.adrelid = r.oid
        JOIN pg_catalog.pg_attribute a ON a.attrelid = r.oid AND a.attnum = d.adnum
    UNION ALL
    SELECT 'pg_trigger', t.oid, 'trigger ' || t.tgname, r.relowner, t.tgqual::text
    FROM relations r JOIN pg_catalog.pg_trigger t ON t.tgrelid = r.oid
    WHERE NOT t.tgisinternal AND t.tgenabled <> 'D' AND t.tgtype::int4 & 20 <> 0
    UNION ALL
    SELECT 'pg_constraint', k.oid, 'domain of ' || a.attname, t.typowner, k.conbin::text
    FROM relations r JOIN pg_catalog.pg_attribute a ON a.attrelid = r.oid AND a.attnum > 0 AND NOT a.attisdropped
        JOIN pg_catalog.pg_type t ON t.oid = a.atttypid JOIN pg_catalog.pg_constraint k ON k.contypid = t.oid";

/// Rules; and functions of PostgreSQL's own that do or tell more than a value depends on, which the catalogue knows from
/// the expressions only.
const RULES: &str = "
    UNION
    SELECT 'the rule ' || w.rulename, r.relowner
    FROM relations r JOIN pg_catalog.pg_rewrite w ON w.ev_class = r.oid WHERE w.ev_type <> '1'
    UNION
    SELECT 'a function of the ' || parts.what, parts.owner
    FROM parts, LATERAL regexp_matches(parts.tree, ':(?:op)?funcid ([0-9]+)', 'g') found (id)
        JOIN pg_catalog.pg_proc f ON f.oid = found.id[1]::oid
    WHERE f.oid < 16384 AND f.provolatile <> 'i'
        AND f.proname NOT IN ('now', 'transaction_timestamp', 'statement_timestamp', 'clock_timestamp', 'nextval', 'random',
            'gen_random_uuid')";

/// The statement that finds what reading the table runs; `table` is an expression for its object id.
pub(in crate::store) fn of_reading(table: &str) -> String {
    let commands = "'r', '*'";
    statement(table, [("{tables}", ""), ("{parts}", ""), ("{commands}", commands), ("{code}", "")])
}

/// What writing the table runs.
pub(in crate::store) async fn of_writing(c: &mut Link, relation: &Relation) -> Result<Trust, sqlx::Error> {
    let table = relation.regclass();
    let commands = "'r', 'a', 'w', '*'";
    let sql = statement(
        &table,
        [("{tables}", TABLES), ("{parts}", PARTS), ("{commands}", commands), ("{code}", RULES)],
    );
    let sql = format!("{sql}; SELECT 'r', current_user::text, current_setting('is_superuser') = 'on'");
    let rows = sqlx::raw_sql(AssertSqlSafe(sql)).fetch_all(c).await?;
    let mut trust = Trust { writing: true, ..Trust::default() };
    for row in rows {
        if row.try_get::<&str, _>(0)? == "x" {
            trust.code.push(Code::read(&row)?);
        } else {
            (trust.role, trust.superuser) = (row.try_get(1)?, row.try_get(2)?);
        }
    }
    Ok(trust)
}

fn statement(table: &str, pieces: [(&str, &str); 4]) -> String {
    let bodies: Vec<String> = FUNCTIONS
        .into_iter()
        .filter_map(body_of)
        .map(|body| format!("'{}'", body.replace('\'', "''")))
        .collect();
    let sql = pieces.into_iter().fold(CODE.to_owned(), |sql, (place, piece)| sql.replace(place, piece));
    sql.replace("{oid}", table).replace("{ours}", &format!("ARRAY[{}]", bodies.join(", ")))
}

/// Code of another role.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Code {
    /// What holds it, such as `the row policy p`.
    pub what: String,
    /// The role that it belongs to.
    pub owner: String,
    /// That role is a superuser, who could do anything without it.
    pub of_superuser: bool,
}

impl Code {
    /// From a row of [`of_reading`].
    pub(in crate::store) fn read(row: &sqlx::postgres::PgRow) -> Result<Self, sqlx::Error> {
        Ok(Self { what: row.try_get(1)?, owner: row.try_get(2)?, of_superuser: row.try_get(3)? })
    }
}

/// What reading or writing a table runs, and with whose rights.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Trust {
    /// It is about writing.
    pub writing: bool,
    /// The role that reads, or writes.
    pub role: String,
    /// It is a superuser.
    pub superuser: bool,
    /// Code of other roles.
    pub code: Vec<Code>,
}

impl Trust {
    /// Whether a role gains a superuser's rights by being read, or written to.
    pub fn endangers_superuser(&self) -> bool {
        self.superuser && self.code.iter().any(|code| !code.of_superuser)
    }

    /// What has to be said before the table is read, or written: a sentence for each role whose code runs.
    pub fn remarks(&self) -> Vec<String> {
        const NAMED: usize = 3;
        let mut owners: Vec<&str> = self.code.iter().map(|code| code.owner.as_str()).collect();
        owners.sort_unstable();
        owners.dedup();
        let verb = if self.writing { "writing" } else { "reading" };
        let rights = if self.superuser { "the superuser" } else { "the role" };
        owners
            .into_iter()
            .map(|owner| {
                let all: Vec<&str> = self
                    .code
                    .iter()
                    .filter(|code| code.owner == owner)
                    .map(|code| code.what.as_str())
                    .collect();
                let more = all.len().saturating_sub(NAMED);
                let more = if more > 0 { format!(" and {more} more") } else { String::new() };
                let named: Vec<&str> = all.into_iter().take(NAMED).collect();
                format!(
                    "{verb} runs code of {owner} with the rights of {rights} {}: {}{more}",
                    self.role,
                    named.join(", ")
                )
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_superuser_is_endangered_by_whoever_is_none() {
        let code = |owner: &str, of_superuser| Code {
            what: "the view v".to_owned(),
            owner: owner.to_owned(),
            of_superuser,
        };
        let trust = |superuser, code| Trust { writing: false, role: "me".to_owned(), superuser, code };
        assert!(trust(true, vec![code("mallory", false)]).endangers_superuser());
        assert!(!trust(true, vec![code("postgres", true)]).endangers_superuser());
        assert!(!trust(false, vec![code("mallory", false)]).endangers_superuser());
        assert_eq!(
            trust(false, vec![code("b", false), code("a", false), code("b", false)]).remarks(),
            [
                "reading runs code of a with the rights of the role me: the view v",
                "reading runs code of b with the rights of the role me: the view v, the view v"
            ]
        );
        assert!(trust(true, Vec::new()).remarks().is_empty());
    }
}
