//! The triggers that keep the table append-only, on the table and on everything below it.

use crate::store::connection::Link;
use crate::store::migrations::body_of;
use crate::store::{StoreError, WriteDb};
use serde::Serialize;
use sqlx::{PgConnection, Row as _};

/// The function of the triggers.
const FUNCTION: &str = "agenttrace_refuse";

/// A trigger of the append-only guard.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Guard {
    /// Its name.
    pub trigger: String,
    /// Where it is, or should be; `None` for the table itself.
    pub relation: Option<String>,
    /// It is there.
    pub present: bool,
    /// It fires in every session (ENABLE ALWAYS), also with `session_replication_role = replica`.
    pub always: bool,
    /// It fires in no session (`ALTER TABLE … DISABLE TRIGGER`).
    pub disabled: bool,
    /// It is as the migrations make it, and so is its function.
    pub unaltered: bool,
}

impl Guard {
    /// It does what it is there for.
    pub fn holds(&self) -> bool {
        self.present && self.always && self.unaltered
    }

    /// What is wrong with it, in words.
    pub fn problem(&self) -> Option<String> {
        let place = self.relation.as_deref().map(|name| format!(" on {name}")).unwrap_or_default();
        let trigger = &self.trigger;
        if !self.present {
            Some(format!("the trigger {trigger} is missing{place}: the table is not append-only"))
        } else if self.disabled {
            Some(format!(
                "the trigger {trigger}{place} is disabled, it fires in no session: the table is not append-only"
            ))
        } else if !self.always {
            Some(format!("the trigger {trigger}{place} does not fire in every session"))
        } else if !self.unaltered {
            Some(format!("the trigger {trigger}{place}, or its function, is not as the migrations make it"))
        } else {
            None
        }
    }
}

/// The table's own first, and of the relations below it those that do not hold. Types: BEFORE UPDATE OR DELETE of each
/// row, BEFORE TRUNCATE of the statement.
const TRIGGERS: &str = "
    WITH RECURSIVE tree (oid) AS (
        SELECT to_regclass($1)::oid
        UNION SELECT i.inhrelid FROM tree JOIN pg_catalog.pg_inherits i ON i.inhparent = tree.oid)
    SELECT wanted.name, CASE WHEN c.oid <> to_regclass($1) THEN format('%I.%I', n.nspname, c.relname) END,
        t.oid IS NOT NULL, coalesce(t.tgenabled = 'A', false), coalesce(t.tgenabled = 'D', false),
        coalesce(t.tgtype = wanted.type AND t.tgqual IS NULL AND t.tgattr::text = '' AND p.proname = 'agenttrace_refuse'
            AND p.prosrc = $2, false)
    FROM tree JOIN pg_catalog.pg_class c ON c.oid = tree.oid JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
        CROSS JOIN (VALUES ('refuse_row', 27), ('refuse_truncate', 34)) wanted (name, type)
        LEFT JOIN pg_catalog.pg_trigger t ON t.tgrelid = c.oid AND t.tgname = wanted.name
        LEFT JOIN pg_catalog.pg_proc p ON p.oid = t.tgfoid
    WHERE c.relkind IN ('r', 'p', 'f')
    ORDER BY c.oid <> to_regclass($1), 2, 1";

/// Looks at the guard of a table, qualified and quoted.
pub(in crate::store) async fn look(c: &mut PgConnection, table: &str) -> Result<Vec<Guard>, sqlx::Error> {
    let rows = sqlx::query(TRIGGERS)
        .bind(table)
        .bind(body_of(FUNCTION).unwrap_or_default())
        .persistent(false)
        .fetch_all(c)
        .await?;
    let mut all = Vec::new();
    for row in &rows {
        let guard = Guard {
            trigger: row.try_get(0)?,
            relation: row.try_get(1)?,
            present: row.try_get(2)?,
            always: row.try_get(3)?,
            disabled: row.try_get(4)?,
            unaltered: row.try_get(5)?,
        };
        if guard.relation.is_none() || !guard.holds() {
            all.push(guard);
        }
    }
    Ok(all)
}

/// Makes the guard of our own schema whole again where it does not hold, and says what was done.
///
/// # Errors
/// When the role may not do it.
pub(super) async fn restore(db: &WriteDb) -> Result<Vec<String>, StoreError> {
    let relation = db.relation()?;
    let table = relation.sql();
    let mut work = db.begin().await?;
    let broken = look(work.bare(), table).await?;
    let broken: Vec<Guard> = broken.into_iter().filter(|guard| !guard.holds()).collect();
    if broken.is_empty() {
        work.roll_back().await;
        return Ok(Vec::new());
    }
    let function = relation.beside(FUNCTION);
    let mut done = Vec::new();
    if broken.iter().any(|guard| guard.present && !guard.unaltered) {
        let body = body_of(FUNCTION).unwrap_or_default();
        work.run(format!(
            "CREATE OR REPLACE FUNCTION {function}() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp \
             AS $${body}$$"
        ))
        .await?;
    }
    // The table first: its row trigger is that of its partitions, too.
    for guard in &broken {
        let place = guard.relation.as_deref().unwrap_or(table);
        // What was mended with the table is not mended again; only partitions have a guard of ours below it.
        let (there, ours): (Vec<Guard>, bool) = (look(work.bare(), table).await?, guard.relation.is_none());
        let now =
            there.into_iter().find(|now| now.trigger == guard.trigger && now.relation == guard.relation);
        let Some(now) = now.filter(|now| !now.holds()) else {
            done.push(format!("guard {}{}", guard.trigger, on(guard)));
            continue;
        };
        if !ours && !is_partition(&mut work, place).await? {
            continue;
        }
        let name = &now.trigger;
        let (event, level) = match name.as_str() {
            "refuse_row" => ("UPDATE OR DELETE", "ROW"),
            _ => ("TRUNCATE", "STATEMENT"),
        };
        let mut sql = String::new();
        if !(now.present && now.unaltered) {
            sql = format!(
                "DROP TRIGGER IF EXISTS {name} ON {place}; \
                 CREATE TRIGGER {name} BEFORE {event} ON {place} FOR EACH {level} EXECUTE FUNCTION {function}();"
            );
        }
        sql.push_str(&format!("ALTER TABLE {place} ENABLE ALWAYS TRIGGER {name}"));
        work.run(sql).await?;
        done.push(format!("guard {name}{}", on(guard)));
    }
    work.commit().await?;
    Ok(done)
}

fn on(guard: &Guard) -> String {
    guard.relation.as_deref().map(|name| format!(" on {name}")).unwrap_or_default()
}

async fn is_partition(c: &mut Link, relation: &str) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar("SELECT relispartition FROM pg_catalog.pg_class WHERE oid = to_regclass($1)")
        .bind(relation)
        .fetch_one(c)
        .await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_is_said_with_its_place() {
        let guard = Guard {
            trigger: "refuse_row".to_owned(),
            relation: Some("public.audit_events_2026_01".to_owned()),
            present: true,
            always: true,
            disabled: false,
            unaltered: true,
        };
        assert_eq!(guard.problem(), None);
        let origin = Guard { always: false, ..guard.clone() };
        assert_eq!(
            origin.problem().unwrap(),
            "the trigger refuse_row on public.audit_events_2026_01 does not fire in every session"
        );
        for wrong in [Guard { present: false, ..guard.clone() }, Guard { unaltered: false, ..guard }] {
            assert!(!wrong.holds() && wrong.problem().is_some());
        }
    }
}
