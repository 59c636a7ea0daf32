//! Roles, grants, the append-only guard and row-level security, by what the server refuses.

use crate::support::{self, TestDatabase};
use crate::writer::event;
use agenttrace::domain::{NewEvent, OrgId, OrgScope, TimeRange, Timestamp};
use agenttrace::filter::Filter;
use agenttrace::store::aggregate::organizations;
use agenttrace::store::listing::explain;
use agenttrace::store::listing::timeline;
use agenttrace::store::query::{Query, Seek};
use agenttrace::store::schema::{self, Layout, Protection};
use agenttrace::store::writer::{Fate, Writer, WriterSettings};
use agenttrace::store::{ReadDb, ReadSettings, StoreError, WriteDb};
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{Connection as _, Row as _};
use std::sync::atomic::{AtomicU32, Ordering};
use tokio_util::sync::CancellationToken;

const PASSWORD: &str = "only for tests";

/// A migrated database with three events of `acme` and two of `globex`, protected as asked.
async fn protected(protection: Protection) -> TestDatabase {
    let database = support::database().await;
    fill(&database, &[("acme", 3), ("globex", 2)]).await;
    protect(&database.options, protection).await.unwrap();
    database
}

async fn fill(database: &TestDatabase, organizations: &[(&str, usize)]) {
    let mut writer = writer(&database.options).await;
    for (organization, count) in organizations {
        let events = (0..*count).map(|i| event(organization, &format!("{organization}-{i}"))).collect();
        assert_eq!(writer.append(events).await.unwrap(), vec![Fate::Stored; *count]);
    }
}

async fn writer(options: &PgConnectOptions) -> Writer {
    Writer::new(WriteDb::connect(options.clone()).await.unwrap(), WriterSettings::default())
}

async fn protect(options: &PgConnectOptions, protection: Protection) -> Result<(), StoreError> {
    let db = WriteDb::connect(options.clone()).await.unwrap();
    let done = schema::protect(&db, protection).await;
    db.close().await;
    done
}

async fn status(options: &PgConnectOptions) -> schema::Status {
    let db = reader(options).await;
    let status = schema::status(&db, &CancellationToken::new()).await.unwrap();
    db.close().await;
    status
}

async fn reader(options: &PgConnectOptions) -> ReadDb {
    ReadDb::connect(options.clone(), ReadSettings::default()).await.unwrap()
}

async fn superuser(database: &TestDatabase) -> PgConnection {
    PgConnection::connect_with(&database.options).await.unwrap()
}

/// SQL of this file, with names made by it.
async fn execute(c: &mut PgConnection, sql: &str) -> Result<u64, String> {
    match sqlx::raw_sql(sqlx::AssertSqlSafe(sql.to_owned())).execute(c).await {
        Ok(done) => Ok(done.rows_affected()),
        Err(e) => Err(e
            .as_database_error()
            .and_then(sqlx::error::DatabaseError::code)
            .unwrap_or_default()
            .into_owned()),
    }
}

/// What the first column of all rows holds, as text.
async fn texts(c: &mut PgConnection, sql: &str) -> Vec<String> {
    let rows = sqlx::raw_sql(sqlx::AssertSqlSafe(sql.to_owned())).fetch_all(c).await.unwrap();
    rows.iter().map(|row| row.try_get_unchecked::<String, _>(0).unwrap()).collect()
}

/// Somebody who can log in, a member of `roles`; no other role has the name.
struct Login {
    name: String,
    options: PgConnectOptions,
}

impl Login {
    async fn new(database: &TestDatabase, roles: &str) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("{}_login_{}", database.name, NEXT.fetch_add(1, Ordering::Relaxed));
        let mut c = superuser(database).await;
        let members = if roles.is_empty() { String::new() } else { format!("IN ROLE {roles}") };
        execute(&mut c, &format!("CREATE ROLE {name} LOGIN PASSWORD '{PASSWORD}' {members}")).await.unwrap();
        let options = database.options.clone().username(&name).password(PASSWORD);
        Self { name, options }
    }

    /// Lets it see an organisation.
    async fn grant(self, database: &TestDatabase, organization: &str) -> Self {
        sqlx::query("INSERT INTO agenttrace_grants (role_name, organization_id) VALUES ($1, $2)")
            .bind(&self.name)
            .bind(organization)
            .execute(&mut superuser(database).await)
            .await
            .unwrap();
        self
    }

    async fn connect(&self) -> PgConnection {
        PgConnection::connect_with(&self.options).await.unwrap()
    }
}

/// Drops the database, then the logins, on which nothing depends any more.
async fn drop_all(database: TestDatabase, logins: Vec<Login>) {
    let mut c = PgConnection::connect_with(&database.options.clone().database("postgres")).await.unwrap();
    database.drop_now().await;
    for login in logins {
        execute(&mut c, &format!("DROP ROLE {}", login.name)).await.unwrap();
    }
}

#[tokio::test]
async fn roles_are_made_by_several_programs_in_several_databases_at_once() {
    let databases = [support::database().await, support::database().await];
    let mut programs = tokio::task::JoinSet::new();
    for database in databases.iter().cycle().take(6) {
        let options = database.options.clone();
        programs.spawn(async move { protect(&options, Protection::RowSecurity).await });
    }
    for done in programs.join_all().await {
        done.unwrap();
    }
    for database in databases {
        let status = status(&database.options).await;
        assert_eq!(status.problems, Vec::<String>::new());
        let access = status.access.unwrap();
        assert!(access.roles && access.row_security && !access.confined, "{access:?}");
        let mut c = superuser(&database).await;
        // Whatever a migration adds has to be named in the grants.
        let strangers = "SELECT relname::text FROM pg_class WHERE relnamespace = 'public'::regnamespace \
                         AND relkind IN ('r', 'p', 'm', 'v') AND pg_get_userbyid(relowner) <> 'agenttrace_owner'";
        assert_eq!(texts(&mut c, strangers).await, Vec::<String>::new());
        let open = "SELECT relname::text FROM pg_class WHERE relnamespace = 'public'::regnamespace \
                    AND relkind IN ('r', 'p', 'm', 'v') AND relname <> 'agenttrace_grants' \
                    AND has_table_privilege('agenttrace_reader', oid, 'SELECT') ORDER BY 1";
        assert_eq!(
            texts(&mut c, open).await,
            [
                "_sqlx_migrations",
                "audit_archive_segments",
                "audit_chain_heads",
                "audit_daily_summary_granted",
                "audit_events"
            ]
        );
        c.close().await.unwrap();
        database.drop_now().await;
    }
}

/// A row of its own for INSERT.
const ROW: &str = "INSERT INTO audit_events (event_id, timestamp, organization_id, actor_type, actor_id, event_category, \
     event_type, event_severity, resource_type, resource_id, action, request_id, hash) \
     VALUES ('e-1', '2026-01-05T08:01:01Z', 'acme', 'user', 'u-1', 'auth', 'login', 'info', 'session', 's-1', 'create', \
     'r-1', 'h')";

#[tokio::test]
async fn each_role_may_do_what_it_needs_and_no_more() {
    for protection in [Protection::Roles, Protection::RowSecurity] {
        let database = protected(protection).await;
        let mut logins = Vec::new();
        for (role, allowed) in [
            ("agenttrace_reader", &[][..]),
            ("agenttrace_writer", &["INSERT", "HEADS"][..]),
            ("agenttrace_maintainer", &["DELETE", "SEGMENTS"][..]),
        ] {
            let login = Login::new(&database, role).await;
            let mut c = login.connect().await;
            for (name, statement) in [
                ("INSERT", ROW),
                ("UPDATE", "UPDATE audit_events SET action = 'read'"),
                // Of nothing, so that the guard, which looks at rows, has no say.
                ("DELETE", "DELETE FROM audit_events WHERE false"),
                ("TRUNCATE", "TRUNCATE audit_events"),
                ("HEADS", "UPDATE audit_chain_heads SET event_count = event_count"),
                ("HEADS", "INSERT INTO audit_chain_heads (organization_id) VALUES ('initech')"),
                ("NEVER", "DELETE FROM audit_chain_heads"),
                (
                    "SEGMENTS",
                    "INSERT INTO audit_archive_segments (organization_id, since, until, first_hash, last_hash, \
                    event_count, merkle_root, file_sha256) VALUES ('acme', '-infinity', now(), '', '', 1, '', '')",
                ),
                ("NEVER", "DELETE FROM audit_archive_segments"),
                ("NEVER", "ALTER TABLE audit_events DISABLE TRIGGER ALL"),
                ("NEVER", "ALTER TABLE audit_events DISABLE ROW LEVEL SECURITY"),
                ("NEVER", "DROP TABLE audit_events"),
                ("NEVER", "CREATE TABLE public.mine ()"),
                ("NEVER", "SET ROLE agenttrace_owner"),
                ("NEVER", "SET session_replication_role = replica"),
                (
                    "NEVER",
                    "INSERT INTO agenttrace_grants (role_name, organization_id) VALUES (current_user, 'acme')",
                ),
            ] {
                execute(&mut c, "BEGIN").await.unwrap();
                let done = execute(&mut c, statement).await;
                execute(&mut c, "ROLLBACK").await.unwrap();
                if statement.contains("agenttrace_grants") && protection == Protection::Roles {
                    assert_eq!(done, Err("42P01".to_owned()), "{role}: {statement}");
                } else if allowed.contains(&name) {
                    assert!(done.is_ok(), "{role}: {statement}: {done:?}");
                } else {
                    assert_eq!(done, Err("42501".to_owned()), "{role}: {statement}");
                }
            }
            logins.push(login);
        }
        // Outside of the roles there is nothing to be had.
        let stranger = Login::new(&database, "").await;
        let mut c = stranger.connect().await;
        assert_eq!(execute(&mut c, "SELECT FROM audit_events").await, Err("42501".to_owned()));
        drop(c);
        logins.push(stranger);
        drop_all(database, logins).await;
    }
}

#[tokio::test]
async fn the_guard_refuses_the_owner_and_whoever_is_no_maintainer() {
    let database = protected(Protection::Roles).await;
    let owner = Login::new(&database, "agenttrace_owner").await;
    let mut c = owner.connect().await;
    for setting in ["RESET agenttrace.maintenance", "SET agenttrace.maintenance = 'ticket 4711'"] {
        execute(&mut c, setting).await.unwrap();
        for statement in
            ["UPDATE audit_events SET action = 'read'", "DELETE FROM audit_events", "TRUNCATE audit_events"]
        {
            assert_eq!(execute(&mut c, statement).await, Err("42501".to_owned()), "{setting}: {statement}");
        }
    }
    // What an owner can still do is in docs/guide/security.md: take the guard away.
    assert!(execute(&mut c, "ALTER TABLE audit_events DISABLE TRIGGER refuse_row").await.is_ok());
    assert_eq!(
        status(&database.options).await.problems,
        ["the trigger refuse_row is disabled, it fires in no session: the table is not append-only"]
    );
    execute(&mut c, "ALTER TABLE audit_events ENABLE ALWAYS TRIGGER refuse_row").await.unwrap();

    let maintainer = Login::new(&database, "agenttrace_maintainer").await;
    let mut c = maintainer.connect().await;
    let delete = "DELETE FROM audit_events WHERE event_id = 'acme-0'";
    assert_eq!(execute(&mut c, delete).await, Err("42501".to_owned()));
    execute(&mut c, "SET agenttrace.maintenance = 'retention 2026'").await.unwrap();
    assert_eq!(execute(&mut c, delete).await, Ok(1));
    // The grants still hold.
    assert_eq!(execute(&mut c, "TRUNCATE audit_events").await, Err("42501".to_owned()));
    drop_all(database, vec![owner, maintainer]).await;
}

/// As on a server that somebody else runs: no superuser, but the owner of the database, allowed to make roles.
#[tokio::test]
async fn the_owner_of_a_database_needs_no_superuser() {
    let database = support::bare_database().await;
    let owner = Login::new(&database, "").await;
    let mut admin = superuser(&database).await;
    let give = format!("ALTER DATABASE {} OWNER TO {}", database.name, owner.name);
    execute(&mut admin, &give).await.unwrap();
    let db = WriteDb::connect(owner.options.clone()).await.unwrap();
    schema::migrate(&db).await.unwrap();
    db.close().await;
    let refused = protect(&owner.options, Protection::RowSecurity).await.map_err(|e| e.to_string());
    let plain = format!("ALTER ROLE {} CREATEROLE", owner.name);
    execute(&mut admin, &plain).await.unwrap();
    let done = protect(&owner.options, Protection::RowSecurity).await;
    // Before PostgreSQL 16 that suffices; since then it takes the right to hand on roles that others made.
    if admin.server_version_num().is_some_and(|v| v < 160_000) {
        assert!(refused.unwrap_err().contains("superuser"));
        done.unwrap();
        assert_eq!(status(&owner.options).await.problems, Vec::<String>::new());
        // It can still migrate.
        let db = WriteDb::connect(owner.options.clone()).await.unwrap();
        assert!(schema::migrate(&db).await.unwrap().is_empty());
        db.close().await;
    }
    drop(admin);
    drop_all(database, vec![owner]).await;
}

/// What `db sql` prints for somebody else to run does what `db migrate` would.
#[tokio::test]
async fn the_printed_statements_protect_as_well() {
    let database = support::database().await;
    let mut c = superuser(&database).await;
    for topic in ["roles", "rls"] {
        let output = support::agenttrace().args(["db", "sql", topic]).output().unwrap();
        execute(&mut c, &String::from_utf8(output.stdout).unwrap()).await.unwrap();
    }
    let status = status(&database.options).await;
    assert_eq!(status.problems, Vec::<String>::new());
    assert!(status.access.is_some_and(|access| access.roles && access.row_security));
    drop(c);
    drop_all(database, Vec::new()).await;
}

/// An administrator may let nothing but psql make the schema.
#[tokio::test]
async fn the_printed_schema_is_protected_by_the_printed_statements() {
    let database = support::bare_database().await;
    let mut c = superuser(&database).await;
    for topic in ["schema", "roles", "rls"] {
        let output = support::agenttrace().args(["db", "sql", topic]).output().unwrap();
        execute(&mut c, &String::from_utf8(output.stdout).unwrap()).await.expect(topic);
    }
    let may: (bool, bool, bool) = sqlx::query_as(
        "SELECT has_table_privilege('agenttrace_reader', 'audit_events', 'SELECT'), \
                has_table_privilege('agenttrace_reader', 'audit_events', 'INSERT'), \
                relrowsecurity FROM pg_class WHERE oid = 'audit_events'::regclass",
    )
    .fetch_one(&mut c)
    .await
    .unwrap();
    assert_eq!(may, (true, false, true));
    drop(c);
    drop_all(database, Vec::new()).await;
}

#[tokio::test]
async fn privileges_beyond_the_roles_are_reported() {
    let database = protected(Protection::RowSecurity).await;
    let mut c = superuser(&database).await;
    execute(
        &mut c,
        "GRANT UPDATE ON audit_events TO agenttrace_reader; GRANT SELECT ON audit_daily_summary TO PUBLIC; \
         ALTER TABLE audit_archive_segments OWNER TO CURRENT_USER",
    )
    .await
    .unwrap();
    let problems = status(&database.options).await.problems;
    let user = database.options.get_username();
    for expected in [
        "the role agenttrace_reader may UPDATE the relation audit_events".to_owned(),
        "the relation audit_daily_summary shows every organisation, in spite of row-level security"
            .to_owned(),
        format!("the relation audit_archive_segments belongs to {user}, not to agenttrace_owner"),
    ] {
        assert!(problems.contains(&expected), "{problems:?}");
    }
    assert_eq!(problems.len(), 3, "{problems:?}");
    // Once more, and all is well but for the privilege, which somebody gave on purpose.
    protect(&database.options, Protection::Roles).await.unwrap();
    assert_eq!(
        status(&database.options).await.problems,
        ["the role agenttrace_reader may UPDATE the relation audit_events"]
    );
    drop_all(database, Vec::new()).await;
}

#[tokio::test]
async fn whatever_a_reader_sets_it_sees_its_own_organisation_only() {
    let database = protected(Protection::RowSecurity).await;
    execute(&mut superuser(&database).await, "REFRESH MATERIALIZED VIEW audit_daily_summary").await.unwrap();
    let reader = Login::new(&database, "agenttrace_reader").await.grant(&database, "acme").await;
    let nobody = Login::new(&database, "agenttrace_reader").await;
    let reads = [
        "SELECT DISTINCT organization_id::text FROM audit_events",
        "SELECT organization_id::text FROM audit_events WHERE organization_id = 'globex'",
        "SELECT organization_id::text FROM audit_events WHERE event_id = 'globex-0'",
        "SELECT organization_id::text FROM ONLY public.audit_events TABLESAMPLE BERNOULLI (100)",
        "SELECT organization_id::text FROM audit_events WHERE ctid = ANY (ARRAY(SELECT format('(0,%s)', n)::tid \
         FROM generate_series(1, 20) n))",
        "SELECT organization_id::text FROM audit_chain_heads",
        "SELECT organization_id::text FROM audit_archive_segments",
        "SELECT organization_id::text FROM audit_daily_summary_granted",
        "SELECT unnest(agenttrace_organizations())",
        "SELECT DISTINCT split_part(event_id, '-', 1) FROM agenttrace_search('acme', 'user', NULL, NULL, NULL, NULL, 100)",
        // Statistics hold values of all organisations; they are hidden where rows are.
        "SELECT most_common_vals::text FROM pg_stats WHERE tablename = 'audit_events' AND attname = 'organization_id'",
        "SELECT xml::text FROM query_to_xml('SELECT DISTINCT organization_id FROM audit_events', false, true, '') x(xml)",
    ];
    let settings = [
        "SELECT",
        "SET agenttrace.organization_id = 'globex'",
        "SET agenttrace.organization_id = 'acme'",
        "SET agenttrace.organization_id = ''",
        "SET agenttrace.maintenance = 'x'",
        "SET ROLE agenttrace_reader",
        "SET SESSION AUTHORIZATION DEFAULT",
        "SET search_path = pg_temp, public; \
         CREATE TEMPORARY TABLE agenttrace_grants AS SELECT session_user::text AS role_name, 'globex'::text AS organization_id; \
         CREATE FUNCTION pg_temp.pg_has_role(name, oid, text) RETURNS boolean LANGUAGE sql AS 'SELECT true'; \
         CREATE FUNCTION pg_temp.agenttrace_organizations() RETURNS text[] LANGUAGE sql AS 'SELECT ARRAY[''acme'',''globex'']'",
        // A function that tells what it sees is asked before the policy only if it is leakproof.
        "CREATE FUNCTION pg_temp.tell(text) RETURNS boolean LANGUAGE plpgsql COST 0.0001 AS \
         $$ BEGIN RAISE EXCEPTION '%', $1; END $$",
        "SET plan_cache_mode = force_generic_plan; SET enable_indexscan = off; SET enable_seqscan = off",
    ];
    let mut looked = 0;
    for setting in settings {
        let mut c = reader.connect().await;
        let mut other = nobody.connect().await;
        execute(&mut c, setting).await.unwrap();
        execute(&mut other, setting).await.unwrap();
        for read in reads {
            // What the session shadows is its own.
            let read = read.replace("SELECT unnest(agent", "SELECT unnest(public.agent");
            let read = read.replace("FROM agenttrace_search('acme'", "FROM public.agenttrace_search('acme'");
            let narrowed = setting.contains("'globex'") && setting.contains(".organization_id");
            let shown = match sqlx::raw_sql(sqlx::AssertSqlSafe(read.clone())).fetch_all(&mut c).await {
                Ok(rows) => rows.iter().map(|r| r.try_get_unchecked::<String, _>(0).unwrap()).collect(),
                Err(e) => {
                    let code =
                        e.as_database_error().and_then(sqlx::error::DatabaseError::code).unwrap_or_default();
                    assert!(
                        narrowed && read.contains("agenttrace_search") && code == "42501",
                        "{setting}: {read}: {e}"
                    );
                    Vec::new()
                }
            };
            assert!(!shown.iter().any(|text| text.contains("globex")), "{setting}: {read}: {shown:?}");
            looked += shown.len();
            if !read.contains("agenttrace_search") {
                let shown = texts(&mut other, &read).await;
                assert!(
                    !shown.iter().any(|text| text.contains("acme") || text.contains("globex")),
                    "{setting}: {read}"
                );
            }
        }
        let told = "SELECT 1 FROM audit_events WHERE pg_temp.tell(organization_id)";
        if setting.contains("tell") {
            let error = sqlx::query(told).fetch_all(&mut c).await.unwrap_err();
            assert_eq!(error.as_database_error().unwrap().message(), "acme");
            assert!(sqlx::query(told).fetch_all(&mut other).await.unwrap().is_empty());
        }
    }
    // It did see its own.
    assert!(looked > 50, "{looked}");

    // Settings that would lift it are refused, or turn the statement into an error.
    let mut c = reader.connect().await;
    for (statement, code) in [
        ("SET ROLE agenttrace_owner", "42501"),
        ("SET ROLE agenttrace_writer", "42501"),
        ("SET SESSION AUTHORIZATION agenttrace_owner", "42501"),
        ("SET row_security = off; SELECT FROM audit_events", "42501"),
        ("SELECT FROM audit_daily_summary", "42501"),
        ("SELECT FROM agenttrace_grants", "42501"),
        ("SELECT FROM pg_statistic", "42501"),
        ("SELECT agenttrace_search('globex', 'user', NULL, NULL, NULL, NULL, 100)", "42501"),
        ("SELECT agenttrace_search(NULL, 'user', NULL, NULL, NULL, NULL, 100)", "42501"),
        ("COPY audit_events TO PROGRAM 'cat'", "42501"),
    ] {
        assert_eq!(execute(&mut c, statement).await, Err(code.to_owned()), "{statement}");
    }
    drop((c, nobody.connect().await));
    drop_all(database, vec![reader, nobody]).await;
}

#[tokio::test]
async fn a_reader_without_a_grant_is_told_so() {
    let database = protected(Protection::RowSecurity).await;
    let login = Login::new(&database, "agenttrace_reader").await;
    let db = reader(&login.options).await;
    let listed = organizations::list(&db, &CancellationToken::new()).await;
    assert!(matches!(listed, Err(StoreError::NothingGranted)), "{listed:?}");
    db.close().await;
    let url = database.url().replacen(database.options.get_username(), &login.name, 1);
    let mut program = support::agenttrace();
    program.arg("events").env("AGENTTRACE_DATABASE_URL", &url).env("PGPASSWORD", PASSWORD);
    let output = program.output().unwrap();
    let text = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(3), "{text}");
    assert!(text.contains("shows this role no events") && text.contains("agenttrace db grant"), "{text}");
    drop_all(database, vec![login]).await;
}

/// What the program says and how it ends, run by this login.
fn run(database: &TestDatabase, login: Option<&Login>, args: &[&str]) -> (i32, String, String) {
    let mut url = database.url();
    if let Some(login) = login {
        url = url.replacen(database.options.get_username(), &login.name, 1);
    }
    let mut program = support::agenttrace();
    program.args(args).env("AGENTTRACE_DATABASE_URL", &url).env("PGPASSWORD", PASSWORD);
    let output = program.output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

#[tokio::test]
async fn organisations_are_granted_and_revoked_by_command() {
    let database = protected(Protection::RowSecurity).await;
    let login = Login::new(&database, "agenttrace_reader").await;
    let sees =
        || run(&database, Some(&login), &["events", "--org", "acme", "--format", "ndjson"]).1.lines().count();
    assert_eq!(sees(), 0);
    let (code, _, said) = run(&database, None, &["db", "grant", &login.name, "acme"]);
    assert!(code == 0 && said.contains("sees acme now") && !said.contains("no events"), "{said}");
    let (_, _, said) = run(&database, None, &["db", "grant", &login.name, "amce"]);
    assert!(said.contains("sees amce now") && said.contains("amce has no events yet"), "{said}");
    assert_eq!(run(&database, None, &["db", "revoke", &login.name, "amce"]).0, 0);
    assert!(run(&database, None, &["db", "grant", &login.name, "acme"]).2.contains("saw acme already"));
    assert_eq!(sees(), 3);
    let (_, listed, _) = run(&database, None, &["db", "grants", "--format", "json"]);
    let listed: serde_json::Value = serde_json::from_str(&listed).unwrap();
    let granted = &listed["grants"][0];
    assert!(
        granted["role"] == *login.name
            && granted["organization_id"] == "acme"
            && granted["role_exists"] == true
    );
    assert_eq!(run(&database, None, &["db", "revoke", &login.name, "acme"]).0, 0);
    assert_eq!(sees(), 0);
    // What cannot be granted, and by whom.
    let (code, _, said) = run(&database, None, &["db", "grant", "nobody's", "acme"]);
    assert!(code == 3 && said.contains("there is no role 'nobody's'"), "{said}");
    let (code, _, said) = run(&database, Some(&login), &["db", "grant", &login.name, "acme"]);
    assert!(code == 3 && said.contains("made by members of agenttrace_owner"), "{said}");
    drop_all(database, vec![login]).await;
    let open = support::database().await;
    let (code, _, said) = run(&open, None, &["db", "grant", "agenttrace_reader", "acme"]);
    assert!(code == 3 && said.contains("agenttrace db migrate --rls"), "{said}");
    open.drop_now().await;
}

#[tokio::test]
async fn the_view_of_days_is_refreshed_by_its_owner_and_others_are_told() {
    let database = protected(Protection::Roles).await;
    let writer = Login::new(&database, "agenttrace_writer").await;
    let owner = Login::new(&database, "agenttrace_owner").await;
    let (code, _, said) = run(&database, Some(&writer), &["db", "summary", "refresh"]);
    assert!(code == 3 && said.contains("as a member of agenttrace_owner"), "{said}");
    let (code, _, said) = run(&database, Some(&owner), &["db", "summary", "refresh"]);
    assert!(code == 0 && said.contains("has been refreshed"), "{said}");
    drop_all(database, vec![writer, owner]).await;
}

#[tokio::test]
async fn a_grant_to_a_group_is_one_to_its_members_and_ends_with_the_membership() {
    let database = protected(Protection::RowSecurity).await;
    let team = Login::new(&database, "agenttrace_reader").await.grant(&database, "globex").await;
    let member = Login::new(&database, &team.name).await.grant(&database, "acme").await;
    let mut c = member.connect().await;
    let read = "SELECT DISTINCT organization_id::text FROM audit_events ORDER BY 1";
    assert_eq!(texts(&mut c, read).await, ["acme", "globex"]);
    execute(&mut c, "SET agenttrace.organization_id = 'globex'").await.unwrap();
    assert_eq!(texts(&mut c, read).await, ["globex"]);
    execute(&mut c, "RESET agenttrace.organization_id").await.unwrap();
    let mut admin = superuser(&database).await;
    let leave = format!("REVOKE {} FROM {}; GRANT agenttrace_reader TO {1}", team.name, member.name);
    execute(&mut admin, &leave).await.unwrap();
    assert_eq!(texts(&mut c, read).await, ["acme"]);
    drop((c, admin));
    drop_all(database, vec![member, team]).await;
}

/// Words that many events have, and one that few have.
const CROWD: &str = "INSERT INTO audit_events (event_id, timestamp, organization_id, actor_type, actor_id, event_category, \
     event_type, event_severity, resource_type, resource_id, action, request_id, hash) \
     SELECT 'x-' || n, timestamptz '2026-01-01Z' + n * interval '1 minute', CASE n % 2 WHEN 0 THEN 'acme' ELSE 'globex' END, \
         'user', 'u-' || n % 50, 'auth', CASE n % 5000 WHEN 0 THEN 'login.rare' ELSE 'login.usual' END, 'info', 'session', \
         's-' || n, 'create', 'r-1', 'h' || n FROM generate_series(1, 20000) n";

#[tokio::test]
async fn full_text_search_keeps_its_index_under_row_level_security() {
    let database = protected(Protection::RowSecurity).await;
    let mut admin = superuser(&database).await;
    execute(&mut admin, CROWD).await.unwrap();
    // Empties the list of what is still to be put into the index, which has to be read through.
    execute(&mut admin, "VACUUM (ANALYZE) audit_events").await.unwrap();
    let reader = Login::new(&database, "agenttrace_reader").await.grant(&database, "acme").await;
    let mut c = reader.connect().await;
    let plain = "SELECT event_id::text FROM audit_events WHERE organization_id = 'acme' AND search_vector @@ 'rare'::tsquery";
    let explain = |sql: &str| format!("EXPLAIN {sql}");
    // Why there is a function: the operator is not leakproof.
    assert!(!texts(&mut c, &explain(plain)).await.join("\n").contains("idx_audit_search"));
    let as_owner = texts(&mut admin, &explain(plain)).await.join("\n");
    assert!(as_owner.contains("idx_audit_search"), "{as_owner}");

    let search = "SELECT event_id::text FROM agenttrace_search('acme', 'rare', NULL, NULL, NULL, NULL, 100)";
    let scans = "SELECT pg_stat_get_xact_numscans('idx_audit_search'::regclass)::text";
    execute(&mut c, "BEGIN").await.unwrap();
    assert_eq!(texts(&mut c, scans).await, ["0"]);
    assert_eq!(texts(&mut c, search).await, ["x-20000", "x-15000", "x-10000", "x-5000"].map(str::to_owned));
    assert_eq!(texts(&mut c, scans).await, ["1"]);
    execute(&mut c, "COMMIT").await.unwrap();
    // Its bounds.
    for (arguments, expected) in [
        ("NULL, NULL, '2026-01-07 22:40Z', 'x-10000', 100", &["x-5000"][..]),
        ("NULL, NULL, '2026-01-07 22:40Z', 'x-10001', 1", &["x-10000"]),
        ("'2026-01-07 22:40Z', '2026-01-11 10:00Z', NULL, NULL, 100", &["x-10000"]),
        ("NULL, NULL, NULL, NULL, 2", &["x-20000", "x-15000"]),
    ] {
        let sql = format!("SELECT event_id::text FROM agenttrace_search('acme', 'rare', {arguments})");
        assert_eq!(texts(&mut c, &sql).await, expected, "{arguments}");
    }
    drop((c, admin));
    drop_all(database, vec![reader]).await;
}

/// What the program finds with the function is what it finds with the index itself, whatever else is asked for.
#[tokio::test]
async fn the_program_searches_by_the_index_under_row_level_security() {
    let database = protected(Protection::RowSecurity).await;
    let mut admin = superuser(&database).await;
    execute(&mut admin, CROWD).await.unwrap();
    execute(&mut admin, "VACUUM (ANALYZE) audit_events").await.unwrap();
    let login = Login::new(&database, "agenttrace_reader").await.grant(&database, "acme").await;
    let (free, confined) = (reader(&database.options).await, reader(&login.options).await);
    let cancel = CancellationToken::new();
    let scope = OrgScope::enter(OrgId::new("acme").unwrap());
    let early = Some(Timestamp::from_micros(1_768_089_600_000_000)); // 2026-01-11
    for (filter, until, found) in [
        ("rare", None, 4),
        ("rare actor:u-0", None, 4),
        ("rare actor:u-1", None, 0),
        ("rare login", None, 4),
        ("rare usual", None, 0),
        ("rare OR unheard", None, 4),
        ("login.rare", early, 2),
        ("(rare OR usual) -actor:u-0", None, 100),
        ("unheard", None, 0),
    ] {
        let range = TimeRange { since: None, until };
        let query = Query { scope: scope.clone(), filter: Filter::parse(filter).unwrap(), range };
        for seek in [Seek::Newest, Seek::Oldest] {
            let page = timeline::page(&confined, &query, &seek, 100, &cancel).await.unwrap();
            assert_eq!(page.rows, timeline::page(&free, &query, &seek, 100, &cancel).await.unwrap().rows);
            assert_eq!(page.rows.len(), found, "{filter}");
        }
    }
    let query = Query { scope, filter: Filter::parse("rare").unwrap(), range: TimeRange::default() };
    let plan = explain::page(&confined, &query, &Seek::Newest, 100, true, &cancel).await.unwrap();
    assert!(plan.statements[0].sql.contains(r#""public"."agenttrace_search"("#), "{plan:?}");
    // Where the organisation is not granted there is nothing to be found, and no error.
    let query = Query { scope: OrgScope::enter(OrgId::new("globex").unwrap()), ..query };
    assert!(timeline::page(&confined, &query, &Seek::Newest, 100, &cancel).await.unwrap().rows.is_empty());
    free.close().await;
    confined.close().await;
    drop(admin);
    drop_all(database, vec![login]).await;
}

#[tokio::test]
async fn a_change_of_layout_keeps_roles_and_row_level_security() {
    for layout in [Layout::Range, Layout::Hash] {
        let database = protected(Protection::RowSecurity).await;
        let db = WriteDb::connect(database.options.clone()).await.unwrap();
        schema::change_layout(&db, layout, &|_| {}).await.unwrap();
        schema::refresh_summary(&db).await.unwrap();
        db.close().await;
        let after = status(&database.options).await;
        assert_eq!(after.problems, Vec::<String>::new());
        let access = after.access.unwrap();
        assert!(access.roles && access.row_security, "{access:?}");

        // A month that is made by the writer is as protected as the others.
        let writing = Login::new(&database, "agenttrace_writer").await;
        let mut writer = writer(&writing.options).await;
        let later = Timestamp::from_micros(1_767_600_061_000_000 + 40 * 86_400_000_000);
        for organization in ["acme", "globex"] {
            let event =
                NewEvent { timestamp: later, ..event(organization, &format!("{organization}-later")) };
            assert_eq!(writer.append(vec![event]).await.unwrap(), [Fate::Stored]);
        }
        assert_eq!(status(&database.options).await.problems, Vec::<String>::new());

        let reading = Login::new(&database, "agenttrace_reader").await.grant(&database, "acme").await;
        let mut c = reading.connect().await;
        let parts = "SELECT relid::regclass::text FROM pg_partition_tree('audit_events') ORDER BY 1";
        let mut seen = 0;
        for part in texts(&mut c, parts).await {
            let organizations = texts(&mut c, &format!("SELECT organization_id::text FROM {part}")).await;
            assert!(organizations.iter().all(|id| id == "acme"), "{part}: {organizations:?}");
            seen += organizations.len();
        }
        // Four events, each in the table and in a partition.
        assert_eq!(seen, 8);
        assert_eq!(
            texts(&mut c, "SELECT DISTINCT organization_id::text FROM audit_daily_summary_granted").await,
            ["acme"]
        );
        drop(c);
        let db = reader(&reading.options).await;
        let capabilities = db.capabilities(&CancellationToken::new()).await.unwrap();
        assert_eq!(capabilities.daily_summary, Some(r#""public"."audit_daily_summary_granted""#.to_owned()));
        db.close().await;
        let url = database.url().replacen(database.options.get_username(), &reading.name, 1);
        for arguments in
            [&["verify", "--org", "acme"][..], &["summary", "--by", "day", "--org", "acme", "--all-time"]]
        {
            let mut program = support::agenttrace();
            program.args(arguments).env("AGENTTRACE_DATABASE_URL", &url).env("PGPASSWORD", PASSWORD);
            let output = program.output().unwrap();
            assert_eq!(output.status.code(), Some(0), "{arguments:?}: {output:?}");
        }
        drop(writer);
        drop_all(database, vec![writing, reading]).await;
    }
}

#[tokio::test]
async fn events_are_written_and_chained_under_row_level_security() {
    let database = protected(Protection::RowSecurity).await;
    let login = Login::new(&database, "agenttrace_writer").await;
    // PostgreSQL refuses COPY here; the writer goes round it, also batch after batch.
    let mut writer = writer(&login.options).await;
    for (batch, count) in [(1, 3), (2, 1), (3, 500)] {
        let events = (0..count).map(|i| event("acme", &format!("new-{batch}-{i}"))).collect();
        assert_eq!(writer.append(events).await.unwrap(), vec![Fate::Stored; count]);
    }
    let again = vec![event("acme", "acme-0"), event("globex", "acme-1"), event("initech", "first")];
    let fates = writer.append(again).await.unwrap();
    assert!(matches!(&fates[..], [Fate::Duplicate, Fate::Rejected(_), Fate::Stored]), "{fates:?}");
    let mut c = superuser(&database).await;
    assert_eq!(crate::writer::chain(&mut c, "acme").await.len(), 507);
    drop((c, writer));
    drop_all(database, vec![login]).await;
}

#[tokio::test]
async fn the_program_works_as_a_reader() {
    for protection in [Protection::Roles, Protection::RowSecurity] {
        let database = protected(protection).await;
        let confined = protection == Protection::RowSecurity;
        let mut reader = Login::new(&database, "agenttrace_reader").await;
        if confined {
            reader = reader.grant(&database, "acme").await;
        }
        let url = database.url().replacen(database.options.get_username(), &reader.name, 1);
        for (arguments, code, needle) in [
            (&["db", "status"][..], 0, if confined { "on: this role sees 1 organisation" } else { "off:" }),
            (&["events", "--org", "acme", "--all-time", "--format", "json"], 0, "acme-2"),
            (&["show", "acme-1", "--org", "acme"], 0, "acme-1"),
            (
                &["verify", "--org", "acme"],
                0,
                "chain intact · newest end not proven: no earlier head · 3 events",
            ),
            (&["verify", "--org", "acme", "--jobs", "2", "--format", "json"], 0, "\"verdict\":\"intact\""),
            (&["diff", "acme-1", "--org", "acme"], 1, "viewer"),
            (&["resource", "user", "u-2", "--org", "acme"], 0, "acme-2"),
            // Without --org: the only organisation that is to be seen, else the question which.
            (
                &["events", "--all-time", "--format", "json"],
                if confined { 0 } else { 2 },
                if confined { "acme-2" } else { "" },
            ),
            (
                &["events", "--org", "globex", "--all-time", "--format", "json"],
                if confined { 4 } else { 0 },
                if confined { "\"events\":[]" } else { "globex-1" },
            ),
            (&["db", "migrate"], 3, ""),
            (&["db", "migrate", "--rls"], 3, ""),
        ] {
            let output = support::agenttrace()
                .args(arguments)
                .env("AGENTTRACE_DATABASE_URL", &url)
                .env("PGPASSWORD", PASSWORD)
                .output()
                .unwrap();
            let text = String::from_utf8_lossy(&output.stdout).into_owned();
            assert!(
                text.contains(needle),
                "{arguments:?}: {text}\n{}",
                String::from_utf8_lossy(&output.stderr)
            );
            assert_eq!(output.status.code(), Some(code), "{arguments:?}: {output:?}");
        }
        drop_all(database, vec![reader]).await;
    }
}

#[tokio::test]
async fn one_address_is_counted_in_the_organisations_that_the_role_may_see_and_loudly() {
    let database = protected(Protection::RowSecurity).await;
    let mut c = superuser(&database).await;
    // acme has three events, globex two, one of them from elsewhere.
    for sql in [
        "ALTER TABLE audit_events DISABLE TRIGGER USER",
        "UPDATE audit_events SET actor_ip = '203.0.113.70'",
        "UPDATE audit_events SET actor_ip = '203.0.113.71' WHERE event_id = 'globex-1'",
    ] {
        execute(&mut c, sql).await.unwrap();
    }
    drop(c);
    let login = Login::new(&database, "agenttrace_reader").await.grant(&database, "globex").await;
    let asked = ["summary", "--all-orgs", "--quiet", "--all-time", "ip:203.0.113.70", "--format", "json"];
    let counts = |text: &str| -> Vec<(String, u64)> {
        let document: serde_json::Value = serde_json::from_str(text).unwrap();
        assert_eq!((&document["crosses_organizations"], &document["complete"]), (&true.into(), &true.into()));
        let organizations = document["organizations"].as_array().unwrap().iter();
        organizations
            .map(|o| (o["organization_id"].as_str().unwrap().to_owned(), o["events"].as_u64().unwrap()))
            .collect()
    };

    let (code, text, said) = run(&database, None, &asked);
    assert_eq!((code, counts(&text)), (0, vec![("acme".to_owned(), 3), ("globex".to_owned(), 1)]), "{said}");
    assert!(
        said.contains("CROSSES ORGANISATIONS") && said.contains("all 2 (row-level security does not confine"),
        "{said}"
    );

    let (code, text, said) = run(&database, Some(&login), &asked);
    assert_eq!((code, counts(&text)), (0, vec![("globex".to_owned(), 1)]), "{said}");
    let which = format!("the 1 that row-level security shows to role '{}'", login.name);
    assert!(said.contains("CROSSES ORGANISATIONS") && said.contains(&which), "even with --quiet: {said}");
    assert!(!text.contains("globex-") && !text.contains("acme"), "no event, no other organisation: {text}");

    let (code, text, _) = run(&database, None, &["summary", "--all-orgs", "--all-time", "ip:203.0.113.70"]);
    let lines: Vec<Vec<&str>> = text.lines().map(|line| line.split_whitespace().take(2).collect()).collect();
    assert_eq!((code, lines), (0, vec![vec!["acme", "3"], vec!["globex", "1"]]));
    for more in [
        &["ip:203.0.113.0/24"][..],
        &["ip:203.0.113.70", "actor:eve"],
        &["ip:203.0.113.70,203.0.113.71"],
        &["sev:critical"],
        &[],
        &["ip:203.0.113.70", "--org", "acme"],
    ] {
        let (code, text, said) = run(&database, None, &[&["summary", "--all-orgs"], more].concat());
        assert!(code == 2 && text.is_empty() && said.contains("hint: "), "{more:?}: {text}{said}");
    }
    drop_all(database, vec![login]).await;
}

#[tokio::test]
async fn a_reading_session_cannot_write_and_keeps_its_settings_whatever_the_environment_says() {
    let database = support::bare_database().await;
    let mut c = superuser(&database).await;
    // A table that tries to write when it is read, as nothing else makes the program do so.
    execute(
        &mut c,
        "CREATE TABLE victim (n int); INSERT INTO victim VALUES (1); CREATE TABLE plan (statement text);
         CREATE FUNCTION meddle() RETURNS text LANGUAGE plpgsql AS $$
             DECLARE what text; BEGIN
                 SELECT statement INTO what FROM public.plan;
                 IF what IS NOT NULL THEN EXECUTE what; END IF;
                 RETURN current_setting('TimeZone') || current_setting('lock_timeout');
             END $$;
         CREATE VIEW audit_events AS SELECT meddle() AS organization_id, now() AS timestamp, 'e' AS event_id,
             't' AS event_type, '' AS hash, '' AS previous_hash",
    )
    .await
    .unwrap();
    let hostile = [
        ("default_transaction_read_only", "off"),
        ("transaction_read_only", "off"),
        ("TimeZone", "Asia/Tokyo"),
        ("lock_timeout", "0"),
    ];
    for options in [database.options.clone(), database.options.clone().options(hostile)] {
        let db = reader(&options).await;
        let cancel = CancellationToken::new();
        execute(&mut c, "TRUNCATE plan").await.unwrap();
        let list = organizations::list(&db, &cancel).await.unwrap();
        assert_eq!(list[0].id.as_str(), "UTC2s");
        for statement in [
            "INSERT INTO public.victim VALUES (2)",
            "UPDATE public.victim SET n = 2",
            "DELETE FROM public.victim",
            "TRUNCATE public.victim",
            "CREATE TABLE public.other ()",
        ] {
            sqlx::query("WITH gone AS (DELETE FROM plan) INSERT INTO plan VALUES ($1)")
                .bind(statement)
                .execute(&mut c)
                .await
                .unwrap();
            let refused = organizations::list(&db, &cancel).await.unwrap_err();
            let StoreError::Database(error) = &refused else { panic!("{statement}: {refused:?}") };
            let code = error.as_database_error().and_then(sqlx::error::DatabaseError::code).unwrap();
            assert_eq!(code, "25006", "{statement}: {error}");
        }
        db.close().await;
    }
    assert_eq!(texts(&mut c, "SELECT n::text FROM victim").await, ["1"]);
    database.drop_now().await;
}
