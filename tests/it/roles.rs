//! Roles and row-level security, held against the server itself.

use crate::support::{self, TestDatabase};
use crate::timeline::{self as fixture, never, query};
use crate::writer::event;

use agenttrace::store::schema::{self, Layout};
use agenttrace::store::timeline::{self, Count, Seek};
use agenttrace::store::writer::{Fate, Writer, WriterSettings};
use agenttrace::store::{ReadDb, ReadSettings, WriteDb, organizations};
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{AssertSqlSafe, Connection as _};
use std::time::Duration;

/// A role that logs in, of this database only.
async fn member(test: &TestDatabase, c: &mut PgConnection, of: &str, more: &str) -> PgConnectOptions {
    let name = format!("{}_{}", test.name, of.trim_start_matches("agenttrace_"));
    let sql = format!("CREATE ROLE {name} LOGIN {more}; GRANT {of} TO {name}");
    sqlx::raw_sql(AssertSqlSafe(sql)).execute(c).await.unwrap();
    test.options.clone().username(&name)
}

async fn drop_members(test: &TestDatabase, c: &mut PgConnection) {
    for of in ["reader", "writer"] {
        let sql = format!("DROP ROLE IF EXISTS {}_{of}", test.name);
        sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut *c).await.unwrap();
    }
}

async fn code(c: &mut PgConnection, sql: &str) -> String {
    let error = sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).execute(c).await.unwrap_err();
    error.as_database_error().unwrap().code().unwrap().into_owned()
}

#[tokio::test]
async fn each_role_can_do_its_work_and_nothing_else() {
    for layout in [Layout::Plain, Layout::Range] {
        let test = support::database().await;
        let db = WriteDb::connect(test.options.clone()).await.unwrap();
        schema::change_layout(&db, layout, &|_| {}).await.unwrap();
        schema::make_roles(&db, false).await.unwrap();
        schema::make_roles(&db, false).await.unwrap();
        let mut admin = PgConnection::connect_with(&test.options).await.unwrap();
        let writes = member(&test, &mut admin, "agenttrace_writer", "").await;
        let reads = member(&test, &mut admin, "agenttrace_reader", "").await;

        let write_db = WriteDb::connect(writes.clone()).await.unwrap();
        let mut writer = Writer::new(write_db.clone(), WriterSettings::default());
        assert_eq!(writer.append(vec![event("a", "e-1")]).await.unwrap(), [Fate::Stored]);
        write_db.close().await;
        let mut c = PgConnection::connect_with(&writes).await.unwrap();
        for sql in [
            "DELETE FROM audit_events",
            "UPDATE audit_events SET action = 'read'",
            "TRUNCATE audit_events",
            "DROP TABLE audit_events",
            "ALTER TABLE audit_events DISABLE TRIGGER refuse_row",
        ] {
            assert_eq!(code(&mut c, sql).await, "42501", "{sql}");
        }
        c.close().await.unwrap();

        let reader = ReadDb::connect(reads.clone(), ReadSettings::default()).await.unwrap();
        let page = timeline::page(&reader, &query("a", ""), &Seek::Newest, 9, &never()).await.unwrap();
        assert_eq!(page.rows.len(), 1);
        assert!(!reader.capabilities(&never()).await.unwrap().can_insert);
        assert_eq!(schema::status(&reader, &never()).await.unwrap().problems, [""; 0]);
        reader.close().await;
        let mut c = PgConnection::connect_with(&reads).await.unwrap();
        for sql in [
            "INSERT INTO audit_chain_heads VALUES ('x')",
            "DELETE FROM audit_events",
            "SELECT agenttrace_ensure_partition('2031-01-01Z')",
        ] {
            assert_eq!(code(&mut c, sql).await, "42501", "{sql}");
        }
        c.close().await.unwrap();
        drop_members(&test, &mut admin).await;
        admin.close().await.unwrap();
        db.close().await;
        test.drop_now().await;
    }
}

#[tokio::test]
async fn with_row_level_security_no_sql_reaches_another_organisation() {
    for layout in [Layout::Plain, Layout::Range] {
        let test = support::database().await;
        fixture::fill(&test.options, 600, 10).await;
        let db = WriteDb::connect(test.options.clone()).await.unwrap();
        schema::change_layout(&db, layout, &|_| {}).await.unwrap();
        schema::make_roles(&db, true).await.unwrap();
        let mut admin = PgConnection::connect_with(&test.options).await.unwrap();
        let reads = member(&test, &mut admin, "agenttrace_reader", "").await;
        sqlx::query("INSERT INTO agenttrace_grants VALUES ($1, 'o-1')")
            .bind(reads.get_username())
            .execute(&mut admin)
            .await
            .unwrap();

        let reader = ReadDb::connect(reads.clone(), ReadSettings::default()).await.unwrap();
        assert!(reader.capabilities(&never()).await.unwrap().row_security);
        let listed = organizations::list(&reader, &never()).await.unwrap();
        assert_eq!(listed.iter().map(|o| o.id.as_str()).collect::<Vec<_>>(), ["o-1"]);
        for filter in ["", "sev:critical", "actor:user-3", "actor:user3@example.org"] {
            let own =
                timeline::count(&reader, &query("o-1", filter), Duration::from_secs(20), &never()).await;
            let Count::Exact(own) = own.unwrap() else { panic!("{filter}") };
            let page =
                timeline::page(&reader, &query("o-1", filter), &Seek::Newest, 999, &never()).await.unwrap();
            assert_eq!(page.rows.len() as u64, own, "{filter}");
            assert!(own > 0, "{filter}");
            let other =
                timeline::page(&reader, &query("o-2", filter), &Seek::Newest, 999, &never()).await.unwrap();
            assert_eq!(other.rows, [], "{filter}");
        }
        reader.close().await;

        // Raw SQL, whatever is set.
        let mut c = PgConnection::connect_with(&reads).await.unwrap();
        for setting in [
            "SELECT 1",
            "SET agenttrace.organization_id = 'o-2'",
            "SET row_security = on",
            "SET search_path = pg_temp, public",
        ] {
            sqlx::raw_sql(setting).execute(&mut c).await.unwrap();
            let seen: Vec<String> =
                sqlx::query_scalar("SELECT DISTINCT organization_id::text FROM public.audit_events")
                    .fetch_all(&mut c)
                    .await
                    .unwrap();
            assert_eq!(seen, ["o-1"], "{setting}");
        }
        for sql in [
            "SET row_security = off; SELECT * FROM public.audit_events",
            "SELECT * FROM public.agenttrace_grants",
            "SELECT * FROM public.audit_daily_summary",
            "INSERT INTO public.agenttrace_grants VALUES (session_user, 'o-2')",
            "CREATE FUNCTION public.agenttrace_granted() RETURNS varchar[] LANGUAGE sql AS 'SELECT NULL::varchar[]'",
        ] {
            let code = code(&mut c, sql).await;
            assert!(code == "42501" || code == "42723", "{sql}: {code}");
        }
        if layout == Layout::Range {
            assert_eq!(code(&mut c, "SELECT * FROM public.audit_events_2026_01").await, "42501");
        }
        c.close().await.unwrap();
        drop_members(&test, &mut admin).await;
        admin.close().await.unwrap();
        db.close().await;
        test.drop_now().await;
    }
}
