//! Writers and migrations in hostile databases: nothing of others runs, what has to run is announced, nothing is left on a
//! session, and the schema that was named is the one that is written.
//!
//! The objects are harmless, as in `trust`.

use crate::support::{self, Home, TestDatabase};
use crate::trust::{
    Pooler, Said, Scene, execute, fill, login, recorded, recorder, run, scene, session, set_traps,
};

use sqlx::Connection as _;
use sqlx::postgres::PgConnection;
use std::fs;

/// Records that `ingest` takes, of an organisation of their own.
fn records(home: &Home, name: &str, from: usize, to: usize) -> String {
    let path = home.path().join(name);
    let lines: Vec<String> = (from..to)
        .map(|i| {
            format!(
                r#"{{"event_id":"w-{i}","timestamp":"2026-02-0{}T10:00:00Z","organization_id":"acme","actor_type":"user","actor_id":"u-1","event_category":"data","event_type":"doc.read","event_severity":"info","resource_type":"doc","resource_id":"d-1","action":"read","request_id":"r-{i}"}}"#,
                i % 9 + 1
            )
        })
        .collect();
    fs::write(&path, lines.join("\n")).unwrap();
    path.display().to_string()
}

fn ok(said: &Said, what: &[&str]) {
    assert_eq!(said.code, Some(0), "{what:?} {said:?}");
}

/// The one value that a statement gives.
async fn value(c: &mut PgConnection, sql: &str) -> i64 {
    sqlx::query_scalar(sqlx::AssertSqlSafe(sql.to_owned())).fetch_one(c).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn writers_and_migrations_run_nothing_of_others() {
    if support::is_elsewhere() {
        println!("skipped: the log of that server cannot be read");
        return;
    }
    let database = support::bare_database().await;
    let superuser = database.options.get_username().to_owned();
    let mut c = PgConnection::connect_with(&database.options).await.unwrap();
    let (mallory, _) = login(&mut c, &database, "mallory").await;
    let (collector, collector_url) = login(&mut c, &database, "collector").await;
    set_traps(&mut c, &mallory).await;
    // Names like ours, which the owner of everything must not be given.
    let sql = format!(
        "SET ROLE {mallory}; CREATE FUNCTION public.agenttrace_evil() RETURNS int LANGUAGE sql SECURITY DEFINER AS 'SELECT 1';
         CREATE TABLE public.audit_notes (n int); RESET ROLE"
    );
    execute(&mut c, &sql).await;
    let home = Home::new();
    let file = records(&home, "records.ndjson", 0, 40);
    for arguments in [
        &["db", "migrate"][..],
        &["db", "migrate", "--with-roles"],
        &["ingest", &file],
        &["db", "migrate", "--layout", "monthly"],
    ] {
        ok(&run(&home, &database.url(), arguments), arguments);
    }
    // A name that the policies need is taken.
    let said = run(&home, &database.url(), &["db", "migrate", "--rls"]);
    assert_eq!(said.code, Some(3), "{said:?}");
    assert!(
        said.remarks.contains("public.agenttrace_search(") && said.remarks.contains(&mallory),
        "{said:?}"
    );
    execute(
        &mut c,
        "DO $$ DECLARE f regprocedure; BEGIN
             FOR f IN SELECT oid FROM pg_proc WHERE proname = 'agenttrace_search' LOOP
                 EXECUTE format('DROP FUNCTION %s', f); END LOOP; END $$",
    )
    .await;
    for arguments in [
        &["db", "migrate", "--rls"][..],
        &["db", "grant", &collector, "acme"],
        &["db", "grants"],
        &["db", "partitions", "ensure"],
        &["db", "summary", "refresh"],
        &["db", "revoke", &collector, "acme"],
        &["db", "status"],
        &["verify", "--org", "acme"],
    ] {
        ok(&run(&home, &database.url(), arguments), arguments);
    }
    execute(&mut c, &format!("GRANT agenttrace_writer TO {collector}")).await;
    let more = records(&home, "more.ndjson", 20, 60);
    ok(&run(&home, &collector_url, &["ingest", &more]), &["ingest", "as a writer under row-level security"]);
    assert_eq!(value(&mut c, "SELECT count(*) FROM public.audit_events").await, 60);
    for role in [&superuser, &collector, "agenttrace_owner"] {
        assert_eq!(recorded(&database, role), 0, "something of others has run as {role}");
    }
    let theirs = format!(
        "SELECT (SELECT count(*) FROM pg_proc WHERE proname = 'agenttrace_evil' AND proowner = '{mallory}'::regrole)
              + (SELECT count(*) FROM pg_class WHERE relname = 'audit_notes' AND relowner = '{mallory}'::regrole)"
    );
    assert_eq!(
        value(&mut c, &theirs).await,
        2,
        "the owner of everything was given what others had put there"
    );
    // The traps work.
    execute(&mut c, "SELECT lower('A'::varchar)").await;
    assert_eq!(recorded(&database, &superuser), 1);
    c.close().await.unwrap();
    database.drop_now().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_command_works_on_the_schema_that_was_named() {
    let database = support::bare_database().await;
    let mut c = PgConnection::connect_with(&database.options).await.unwrap();
    let home = Home::new();
    let file = records(&home, "records.ndjson", 0, 20);
    let at =
        |arguments: &[&str]| run(&home, &database.url(), &[arguments, &["--schema", "The trail"]].concat());
    // It is made by whoever means it, not by a slip of the pen.
    let said = at(&["db", "migrate"]);
    assert!(said.code == Some(3) && said.remarks.contains("CREATE SCHEMA"), "{said:?}");
    execute(&mut c, "CREATE SCHEMA \"The trail\"").await;
    for arguments in [
        &["db", "migrate", "--layout", "monthly"][..],
        &["ingest", &file],
        &["db", "migrate", "--rls"],
        &["db", "partitions", "ensure"],
        &["db", "partitions", "list"],
        &["db", "summary", "refresh"],
        &["db", "grant", "agenttrace_reader", "acme"],
        &["db", "grants"],
        &["db", "status"],
        &["events", "--org", "acme"],
        &["verify", "--org", "acme"],
    ] {
        ok(&at(arguments), arguments);
    }
    assert_eq!(value(&mut c, "SELECT count(*) FROM \"The trail\".audit_events").await, 20);
    // Which table it was is said: schema, owner, object id.
    let oid = value(&mut c, "SELECT '\"The trail\".audit_events'::regclass::oid::int8").await;
    let spoken = format!("The trail.audit_events, owner agenttrace_owner, oid {oid}");
    for (arguments, words) in [
        (&["db", "status"][..], spoken.as_str()),
        (
            &["verify", "--org", "acme"],
            &format!("table The trail.audit_events (owner agenttrace_owner, oid {oid})"),
        ),
    ] {
        let mut program = home.agenttrace();
        program.args(arguments).args(["--database-url", &database.url(), "--schema", "The trail"]);
        let out = String::from_utf8(program.output().unwrap().stdout).unwrap();
        assert!(out.contains(words), "{words}: {out}");
        let json = at(&[arguments, &["--format", "json"]].concat());
        let json: serde_json::Value = serde_json::from_str(&json.results).unwrap();
        let table = &json["table"];
        let found = (table["schema"].as_str(), table["owner"].as_str(), table["oid"].as_i64());
        assert_eq!(found, (Some("The trail"), Some("agenttrace_owner"), Some(oid)), "{json:#}");
    }
    let elsewhere = "SELECT count(*) FROM pg_class WHERE relnamespace = 'public'::regnamespace";
    assert_eq!(value(&mut c, elsewhere).await, 0);
    // Whoever names none has none, and none is made by a command that does not make any.
    let said = run(&home, &database.url(), &["ingest", &file]);
    assert!(said.code == Some(3) && said.remarks.contains("no table audit_events"), "{said:?}");
    c.close().await.unwrap();
    database.drop_now().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn code_that_runs_for_writers_is_announced_and_never_has_a_superusers_rights() {
    let Some(Scene { database, mut c, analyst, url, mallory }) = scene().await else { return };
    let superuser = database.options.get_username().to_owned();
    let home = Home::new();
    let file = records(&home, "records.ndjson", 0, 3);
    // Of our own schema nothing is said, although it has triggers and a generated column.
    let own = format!(
        "CREATE ROLE {mallory}_o; ALTER TABLE public.audit_events OWNER TO {mallory}_o;
         GRANT SELECT, INSERT, UPDATE ON ALL TABLES IN SCHEMA public TO {analyst}"
    );
    execute(&mut c, &own).await;
    let said = run(&home, &url, &["ingest", &file]);
    assert!(said.code == Some(0) && !said.remarks.contains("runs code"), "{said:?}");

    let sql = format!(
        "GRANT CREATE ON SCHEMA public TO {mallory}; ALTER TABLE public.audit_events OWNER TO {mallory};
         SET ROLE {mallory}; {}
         CREATE FUNCTION public.spy() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
             RAISE LOG 'RECORDED in % for % by spy', current_database(), current_user; RETURN NEW; END $$;
         CREATE TRIGGER spy BEFORE INSERT ON public.audit_events FOR EACH ROW EXECUTE FUNCTION public.spy();
         ALTER TABLE public.audit_events ADD COLUMN seen text DEFAULT public.look('x');
         ALTER TABLE public.audit_events ADD COLUMN leak text DEFAULT pg_catalog.pg_ls_dir('.')::text;
         CREATE RULE r AS ON UPDATE TO public.audit_events DO ALSO NOTHING; RESET ROLE",
        recorder("look", "text", "text", "'seen'"),
    )
    .replace("pg_ls_dir('.')", "current_setting('server_version')");
    execute(&mut c, &sql).await;
    let before = recorded(&database, &superuser);
    for arguments in [
        &["ingest", &file][..],
        &["db", "migrate"],
        &["db", "summary", "refresh"],
        &["db", "partitions", "ensure"],
    ] {
        let said = run(&home, &database.url(), arguments);
        assert_eq!(said.code, Some(5), "{arguments:?} {said:?}");
        assert!(
            said.remarks.contains("a superuser does nothing here: writing runs code of")
                && said.remarks.contains("--as-superuser"),
            "{}",
            said.remarks
        );
    }
    assert_eq!(recorded(&database, &superuser), before, "it has run before it was refused");

    let more = records(&home, "more.ndjson", 3, 6);
    let said = run(&home, &url, &["ingest", &more]);
    assert_eq!(said.code, Some(0), "{said:?}");
    let told = format!("writing runs code of {mallory} with the rights of the role {analyst}: ");
    for part in [
        told.as_str(),
        "a function of the default of leak",
        "a function of the default of seen",
        "a function of the trigger spy",
        "and 1 more",
    ] {
        assert!(said.remarks.contains(part), "{part}: {}", said.remarks);
    }
    let place = |text: &str| said.remarks.find(text).unwrap();
    assert!(place("writing to ") < place(&told), "{}", said.remarks);
    // The one that could not be avoided, so that what is announced is known to be true.
    assert!(recorded(&database, &analyst) > 0);
    let last = records(&home, "last.ndjson", 6, 9);
    let said = run(&home, &database.url(), &["ingest", &last, "--as-superuser"]);
    assert_eq!(said.code, Some(0), "{said:?}");
    assert!(said.remarks.contains(&format!("with the rights of the superuser {superuser}")), "{said:?}");
    assert!(recorded(&database, &superuser) > before);
    // The profile's key says the same, to readers, too.
    let profile = format!(
        "[profiles.p]\ndatabase_url = \"{0}\"\n[profiles.q]\ndatabase_url = \"{0}\"\nas_superuser = true\n",
        database.url()
    );
    execute(
        &mut c,
        &format!("SET ROLE {mallory}; CREATE INDEX i ON public.audit_events (event_id) WHERE public.look('x') = 'seen'; RESET ROLE"),
    )
    .await;
    fs::write(home.path().join("c.toml"), profile).unwrap();
    for (name, code) in [("p", 5), ("q", 0)] {
        for arguments in [&["events", "--org", "acme"][..], &["ingest", &last]] {
            let mut program = home.agenttrace();
            let output =
                program.args(["--config", "c.toml", "--profile", name]).args(arguments).output().unwrap();
            assert_eq!(output.status.code(), Some(code), "{name} {arguments:?} {output:?}");
        }
    }
    c.close().await.unwrap();
    database.drop_now().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn writers_leave_nothing_on_the_sessions_of_a_pooler() {
    let database = support::database().await;
    fill(&database).await;
    let Some(pooler) = Pooler::start(&database, "transaction").await else {
        println!("skipped: there is no pgbouncer, or no socket to reach the server by");
        return;
    };
    let home = Home::new();
    let mut application = PgConnection::connect_with(&pooler.options(&database)).await.unwrap();
    execute(&mut application, "CREATE TABLE public.theirs (n int)").await;
    let before = session(&mut application).await;
    let commands = records(&home, "records.ndjson", 0, 10);
    for arguments in [
        &["ingest", &commands][..],
        &["db", "migrate"],
        &["db", "migrate", "--layout", "monthly"],
        &["db", "migrate", "--rls"],
        &["db", "partitions", "ensure"],
        &["db", "summary", "refresh"],
        &["db", "grants"],
        &["ingest", &commands],
    ] {
        ok(&run(&home, &pooler.url(&database), arguments), arguments);
        assert_eq!(session(&mut application).await, before, "{arguments:?}");
        let left = "SELECT (SELECT count(*) FROM pg_prepared_statements WHERE name <> '')
            + (SELECT count(*) FROM pg_class WHERE relname = 'agenttrace_batch')
            + (SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND database = (SELECT oid FROM pg_database
                 WHERE datname = current_database()))";
        let left: i64 = sqlx::query_scalar(left).persistent(false).fetch_one(&mut application).await.unwrap();
        assert_eq!(left, 0, "{arguments:?}");
        execute(&mut application, "INSERT INTO public.theirs VALUES (1)").await;
    }
    application.close().await.unwrap();
    drop(pooler);
    database.drop_now().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn on_the_private_server_nobody_is_suspected() {
    let home = Home::new();
    let mut demo = home.agenttrace();
    demo.args(["demo", "--no-console", "--events", "2000"]).assert().success();
    let folder = home.path().join("data");
    let private = agenttrace::server::PrivateServer::attach(&agenttrace::server::Options {
        folder: folder.join("postgres"),
        purpose: agenttrace::server::Purpose::Keep,
    })
    .unwrap();
    let mut c = PgConnection::connect_with(&private.connect_options("agenttrace")).await.unwrap();
    execute(
        &mut c,
        "CREATE ROLE mallory; GRANT CREATE ON SCHEMA public TO mallory; ALTER TABLE audit_events OWNER TO mallory;
         SET ROLE mallory; CREATE FUNCTION look(text) RETURNS boolean LANGUAGE sql IMMUTABLE AS 'SELECT true';
         CREATE INDEX i ON audit_events (event_id) WHERE look('x'); RESET ROLE",
    )
    .await;
    c.close().await.unwrap();
    let file = records(&home, "records.ndjson", 0, 3);
    for arguments in [&["events", "--org", "acme"][..], &["ingest", &file]] {
        let output = home.agenttrace().args(["--profile", "demo"]).args(arguments).output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(0), "{arguments:?} {said}");
        assert!(!said.contains("runs code"), "{said}");
    }
    tokio::task::spawn_blocking(move || drop(private)).await.unwrap();
}

/// A database whose programs were of an earlier build has one function less to fear.
#[tokio::test(flavor = "multi_thread")]
async fn the_function_that_makes_months_trusts_no_schema_of_others() {
    let database: TestDatabase = support::database().await;
    let mut c = PgConnection::connect_with(&database.options).await.unwrap();
    let paths = "SELECT count(*) FROM pg_proc WHERE proname = 'agenttrace_ensure_partition'
        AND 'search_path=pg_catalog, pg_temp' = ANY (proconfig)";
    assert_eq!(value(&mut c, paths).await, 1);
    c.close().await.unwrap();
    database.drop_now().await;
}
