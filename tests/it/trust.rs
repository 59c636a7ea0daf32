//! Hostile databases, poolers and slow networks: nothing of others runs, nothing is left behind, nothing is asked twice.
//!
//! The objects are harmless: they write a line to the server's log, which the tests read.

use crate::support::{self, Home, TestDatabase};
use crate::timeline::{never, query};
use crate::writer::event;

use agenttrace::store::listing::timeline;
use agenttrace::store::query::Seek;
use agenttrace::store::writer::{Fate, Writer, WriterSettings};
use agenttrace::store::{ReadDb, ReadSettings, WriteDb};
use sqlx::Connection as _;
use sqlx::postgres::{PgConnectOptions, PgConnection};
use std::fs;
use std::os::unix::fs::{MetadataExt as _, chown};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{UnixListener, UnixStream};

/// Every command that reads, as it is given to the program.
pub(crate) const READING: [&[&str]; 12] = [
    &["events", "--format", "json"],
    &["show", "acme-1", "--format", "json"],
    &["actor", "u-1", "--format", "json"],
    &["resource", "user", "u-2", "--format", "json"],
    &["search", "admin", "--format", "json"],
    &["summary", "--by", "actor", "--format", "json"],
    &["histogram", "--format", "json"],
    &["diff", "acme-1", "acme-2", "--format", "json"],
    &["ghosts", "--format", "json"],
    &["explain", "actor:u-1"],
    &["db", "status"],
    &["verify", "--jobs", "1", "--format", "json"],
];

/// SQL of this file, with names made by it.
pub(crate) async fn execute(c: &mut PgConnection, sql: &str) {
    sqlx::raw_sql(sqlx::AssertSqlSafe(sql.to_owned())).execute(c).await.unwrap();
}

pub(crate) async fn fill(database: &TestDatabase) {
    let db = WriteDb::connect(database.options.clone()).await.unwrap();
    let mut writer = Writer::new(db.clone(), WriterSettings::default());
    let events: Vec<_> = (0..5).map(|i| event("acme", &format!("acme-{i}"))).collect();
    assert_eq!(writer.append(events).await.unwrap(), vec![Fate::Stored; 5]);
    drop(writer);
    db.close().await;
}

/// What a run says: its code, its results without what changes from run to run, and its remarks.
#[derive(Debug, PartialEq)]
pub(crate) struct Said {
    pub(crate) code: Option<i32>,
    pub(crate) results: String,
    pub(crate) remarks: String,
}

pub(crate) fn run(home: &Home, url: &str, arguments: &[&str]) -> Said {
    let mut program = home.agenttrace();
    let output = program.args(arguments).args(["--database-url", url]).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let results = match serde_json::from_str::<serde_json::Value>(&text) {
        Ok(serde_json::Value::Object(mut document)) => {
            for key in ["elapsed_ms", "events_per_second", "snapshot_at", "pins", "limits"] {
                document.remove(key);
            }
            serde_json::Value::Object(document).to_string()
        }
        // Plans and sizes are not the same from run to run.
        _ => String::new(),
    };
    Said { code: output.status.code(), results, remarks: String::from_utf8(output.stderr).unwrap() }
}

/// A login role of the database's own, with a URL for it.
pub(crate) async fn login(c: &mut PgConnection, database: &TestDatabase, name: &str) -> (String, String) {
    let role = format!("{}_{name}", database.name);
    execute(c, &format!("CREATE ROLE {role} LOGIN")).await;
    let url = database.url().replacen(database.options.get_username(), &role, 1);
    (role, url)
}

/// Lines that the recorders wrote for this database and role.
pub(crate) fn recorded(database: &TestDatabase, role: &str) -> usize {
    let mark = format!("RECORDED in {} for {role}", database.name);
    support::server_log().lines().filter(|line| line.contains(&mark) && line.contains("LOG:")).count()
}

/// A function that writes to the log, with these arguments and this result.
pub(crate) fn recorder(name: &str, arguments: &str, result: &str, value: &str) -> String {
    format!(
        "CREATE FUNCTION public.{name}({arguments}) RETURNS {result} LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN
             RAISE LOG 'RECORDED in % for % by {name}', current_database(), current_user; RETURN {value}; END $$;
         GRANT EXECUTE ON FUNCTION public.{name}({arguments}) TO PUBLIC;"
    )
}

/// A filled database, somebody who reads it, and somebody else.
pub(crate) struct Scene {
    pub(crate) database: TestDatabase,
    pub(crate) c: PgConnection,
    pub(crate) analyst: String,
    pub(crate) url: String,
    pub(crate) mallory: String,
}

/// `None` where the log of the server, in which recorders write, cannot be read.
pub(crate) async fn scene() -> Option<Scene> {
    if support::is_elsewhere() {
        println!("skipped: the log of that server cannot be read");
        return None;
    }
    let database = support::database().await;
    fill(&database).await;
    let mut c = PgConnection::connect_with(&database.options).await.unwrap();
    let (analyst, url) = login(&mut c, &database, "analyst").await;
    let (mallory, _) = login(&mut c, &database, "mallory").await;
    Some(Scene { database, c, analyst, url, mallory })
}

/// Operators, functions and a type of a role that may create in `public`, each of which fits better than PostgreSQL's own.
pub(crate) async fn set_traps(c: &mut PgConnection, mallory: &str) {
    execute(&mut *c, &format!("GRANT CREATE ON SCHEMA public TO {mallory}; SET ROLE {mallory}")).await;
    for (n, (left, right)) in [
        ("varchar", "varchar"),
        ("varchar", "text"),
        ("text", "varchar"),
        ("text", "name"),
        ("name", "varchar"),
        ("timestamptz", "date"),
        ("xid", "int8"),
        ("\"char\"", "text"),
    ]
    .iter()
    .enumerate()
    {
        let name = format!("op_{n}");
        execute(&mut *c, &recorder(&name, &format!("{left}, {right}"), "boolean", "true")).await;
        for operator in ["=", "<>", "<", ">=", "~~", "||"] {
            execute(
                &mut *c,
                &format!(
                    "CREATE OPERATOR public.{operator} (LEFTARG = {left}, RIGHTARG = {right}, FUNCTION = public.{name})"
                ),
            )
            .await;
        }
    }
    for (name, arguments, result, value) in [
        ("lower", "varchar", "text", "'x'"),
        ("hashtextextended", "varchar, int", "bigint", "1"),
        ("octet_length", "varchar", "int", "1"),
        ("left", "varchar, int", "text", "'x'"),
        ("concat", "inet", "text", "'x'"),
        ("current_setting", "varchar", "text", "'x'"),
        ("set_config", "varchar, varchar, boolean", "text", "'x'"),
        ("has_table_privilege", "int8, text", "boolean", "true"),
        ("pg_backend_pid", "VARIADIC int[]", "int", "1"),
        // What writers and migrations call.
        ("format", "text, text", "text", "'x'"),
        ("format", "text, text, text", "text", "'x'"),
        ("format", "text, name, text", "text", "'x'"),
        ("quote_ident", "name", "text", "'x'"),
        ("quote_ident", "varchar", "text", "'x'"),
        ("current_schema", "VARIADIC int[]", "text", "'x'"),
        ("to_regclass", "varchar", "text", "'x'"),
        ("date_trunc", "varchar, timestamptz, varchar", "timestamptz", "now()"),
        ("pg_notify", "varchar, text", "text", "'x'"),
        ("row_security_active", "regclass", "boolean", "false"),
        ("pg_partition_tree", "varchar", "text", "'x'"),
        ("replace", "varchar, text, text", "text", "'x'"),
        ("agenttrace_ensure_partition", "timestamp", "text", "'x'"),
        (
            "agenttrace_search",
            "text, tsquery, timestamptz, timestamptz, timestamptz, text, bigint",
            "text",
            "'x'",
        ),
    ] {
        execute(&mut *c, &recorder(name, arguments, result, value)).await;
    }
    execute(
        &mut *c,
        "CREATE TYPE public.odd AS (a int); CREATE FUNCTION public.odd_text(public.odd) RETURNS text LANGUAGE sql AS
             'SELECT ''x'''; CREATE CAST (public.odd AS text) WITH FUNCTION public.odd_text AS IMPLICIT; RESET ROLE",
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn objects_of_others_neither_run_nor_change_what_is_read() {
    let Some(Scene { database, mut c, analyst, url, mallory }) = scene().await else { return };
    execute(&mut c, &format!("GRANT SELECT ON ALL TABLES IN SCHEMA public TO {analyst}")).await;
    let all = |home: &Home| READING.map(|arguments| run(home, &url, arguments));
    let before = all(&Home::new());
    for (said, arguments) in before.iter().zip(READING) {
        assert!(
            said.code == Some(0) || arguments[0] == "diff" || arguments[0] == "ghosts",
            "{arguments:?} {said:?}"
        );
    }

    set_traps(&mut c, &mallory).await;
    // A schema that comes first in the path by its name alone, with a forged trail.
    execute(
        &mut c,
        &format!(
            "CREATE SCHEMA {analyst} AUTHORIZATION {mallory}; GRANT USAGE ON SCHEMA {analyst} TO PUBLIC;
             CREATE TABLE {analyst}.audit_events AS SELECT * FROM public.audit_events WHERE false;
             ALTER TABLE {analyst}.audit_events OWNER TO {mallory};
             GRANT SELECT ON {analyst}.audit_events TO PUBLIC"
        ),
    )
    .await;

    // The trap works: a session that is not careful falls into it.
    let careless: PgConnectOptions = database.options.clone().username(&analyst);
    let mut careless = PgConnection::connect_with(&careless).await.unwrap();
    execute(&mut careless, "SELECT lower('A'::varchar) WHERE 'a'::varchar = 'b'::varchar").await;
    assert_eq!(recorded(&database, &analyst), 2);
    careless.close().await.unwrap();

    let after = all(&Home::new());
    for ((before, after), arguments) in before.iter().zip(&after).zip(READING) {
        assert_eq!((before.code, &before.results), (after.code, &after.results), "{arguments:?}");
        // Which table it is, among several, is said before.
        let told =
            format!("the table read is public.audit_events (owner {})", database.options.get_username());
        assert!(after.remarks.contains(&told) && after.remarks.contains(&mallory), "{}", after.remarks);
    }
    assert_eq!(recorded(&database, &analyst), 2, "something of others has run");
    // Whoever asks for the other one gets it.
    let forged = run(&Home::new(), &url, &["db", "status", "--schema", &analyst]);
    assert!(!forged.remarks.contains("the table read is"), "{forged:?}");
    c.close().await.unwrap();
    database.drop_now().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn code_of_the_owner_is_announced_and_never_has_a_superusers_rights() {
    let Some(Scene { database, mut c, analyst, url, mallory }) = scene().await else { return };
    let superuser = database.options.get_username().to_owned();
    let sql = format!(
        "GRANT SELECT ON ALL TABLES IN SCHEMA public TO {analyst}; GRANT CREATE ON SCHEMA public TO {mallory};
         ALTER TABLE public.audit_events OWNER TO {mallory}; SET ROLE {mallory}; {}
         ALTER TABLE public.audit_events ENABLE ROW LEVEL SECURITY;
         CREATE POLICY p ON public.audit_events USING (public.look(event_id)); RESET ROLE",
        recorder("look", "text", "boolean", "true"),
    );
    execute(&mut c, &sql).await;
    let said = run(&Home::new(), &url, READING[0]);
    assert_eq!(said.code, Some(0), "{said:?}");
    assert!(said.results.contains("acme-4"), "{said:?}");
    let told =
        format!("reading runs code of {mallory} with the rights of the role {analyst}: the row policy p");
    assert!(said.remarks.contains(&told), "{}", said.remarks);
    assert!(recorded(&database, &analyst) > 0);

    // Policies do not hold for a superuser: nothing runs, nothing is said.
    let said = run(&Home::new(), &database.url(), READING[0]);
    assert_eq!((said.code, said.remarks.contains("code of")), (Some(0), false), "{said:?}");
    // The planner computes a function of constants for whoever reads.
    let index =
        "SET ROLE {}; CREATE INDEX i ON public.audit_events (event_id) WHERE public.look('x'); RESET ROLE";
    execute(&mut c, &index.replace("{}", &mallory)).await;
    let before = recorded(&database, &superuser);
    for arguments in READING {
        let said = run(&Home::new(), &database.url(), arguments);
        assert_eq!(said.code, Some(5), "{arguments:?} {said:?}");
        assert!(
            said.remarks.contains("a function of the index i") && said.remarks.contains("--as-superuser")
        );
    }
    assert_eq!(recorded(&database, &superuser), before, "it has run before it was refused");
    let said = run(&Home::new(), &database.url(), &["events", "--as-superuser"]);
    assert_eq!(said.code, Some(0), "{said:?}");
    let told = format!("code of {mallory} with the rights of the superuser {superuser}");
    assert!(said.remarks.contains(&told), "{}", said.remarks);
    // The one that could not be avoided, so that what is announced is known to be true.
    assert!(recorded(&database, &superuser) > before);
    c.close().await.unwrap();
    database.drop_now().await;
}

/// PgBouncer before the tests' server, until the value is dropped.
pub(crate) struct Pooler {
    process: Child,
    home: tempfile::TempDir,
}

impl Pooler {
    /// `None` where it is not installed.
    pub(crate) async fn start(database: &TestDatabase, mode: &str) -> Option<Self> {
        Self::start_with(database, mode, 2).await
    }

    /// With so many sessions of the server.
    pub(crate) async fn start_with(database: &TestDatabase, mode: &str, sessions: u32) -> Option<Self> {
        const PORT: u16 = 6432;
        let program =
            ["/usr/sbin/pgbouncer", "/usr/bin/pgbouncer"].into_iter().find(|p| Path::new(p).exists())?;
        let sockets = database.options.get_socket()?;
        let home = support::scratch();
        let user = database.options.get_username();
        let at = home.path().display().to_string();
        let config = format!(
            "[databases]\n* = host={} port={}\n[pgbouncer]\nlisten_addr =\nlisten_port = {PORT}\n\
             unix_socket_dir = {at}\nauth_type = trust\nauth_file = {at}/users\npool_mode = {mode}\n\
             default_pool_size = {sessions}\nlogfile = {at}/log\n",
            sockets.display(),
            database.options.get_port(),
        );
        fs::write(home.path().join("config"), config).unwrap();
        fs::write(home.path().join("users"), format!("\"{user}\" \"\"\n")).unwrap();
        let mut command = Command::new(program);
        command
            .arg(home.path().join("config"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        // It refuses to be root, and has to reach the server's socket.
        let owner = fs::metadata(sockets).unwrap();
        if fs::metadata(home.path()).unwrap().uid() != owner.uid() {
            chown(home.path(), Some(owner.uid()), Some(owner.gid())).unwrap();
            command.uid(owner.uid()).gid(owner.gid());
        }
        let pooler = Self { process: command.spawn().unwrap(), home };
        let socket = pooler.home.path().join(format!(".s.PGSQL.{PORT}"));
        while std::os::unix::net::UnixStream::connect(&socket).is_err() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Some(pooler)
    }

    pub(crate) fn options(&self, database: &TestDatabase) -> PgConnectOptions {
        // An application that knows about poolers.
        database.options.clone().socket(self.home.path()).port(6432).extra_float_digits(None)
    }

    pub(crate) fn url(&self, database: &TestDatabase) -> String {
        let host = self.home.path().to_str().unwrap().replace('/', "%2F");
        format!("postgres://{}@localhost:6432/{}?host={host}", database.options.get_username(), database.name)
    }
}

impl Drop for Pooler {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Everything that the session of the other application is set to.
pub(crate) async fn session(c: &mut PgConnection) -> Vec<(String, String)> {
    // A language that was loaded has its own, with their defaults.
    let all = "SELECT name, setting FROM pg_settings WHERE name <> 'application_name' AND name NOT LIKE 'plpgsql.%' ORDER BY name";
    sqlx::query_as(all).persistent(false).fetch_all(c).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn another_application_behind_the_same_pooler_never_notices() {
    let database = support::database().await;
    fill(&database).await;
    let Some(pooler) = Pooler::start(&database, "transaction").await else {
        println!("skipped: there is no pgbouncer, or no socket to reach the server by");
        return;
    };
    let home = Home::new();
    let direct = READING.map(|arguments| run(&Home::new(), &database.url(), arguments));
    let mut application = PgConnection::connect_with(&pooler.options(&database)).await.unwrap();
    sqlx::raw_sql("CREATE TABLE public.theirs (n int)").execute(&mut application).await.unwrap();
    let before = session(&mut application).await;
    for (arguments, direct) in READING.into_iter().zip(direct) {
        let said = run(&home, &pooler.url(&database), arguments);
        assert_eq!((said.code, &said.results), (direct.code, &direct.results), "{arguments:?} {said:?}");
        assert_eq!(session(&mut application).await, before, "{arguments:?}");
        let prepared: i64 =
            sqlx::query_scalar("SELECT count(*) FROM pg_prepared_statements WHERE name <> ''")
                .persistent(false)
                .fetch_one(&mut application)
                .await
                .unwrap();
        assert_eq!(prepared, 0, "{arguments:?}");
        sqlx::raw_sql("INSERT INTO public.theirs VALUES (1)").execute(&mut application).await.unwrap();
    }
    // What the program itself knows.
    let options = database.options.clone().socket(pooler.home.path()).port(6432);
    let db = ReadDb::connect(options, ReadSettings::default()).await.unwrap();
    assert!(db.is_pooled() && db.facts().await.unwrap().pooled);
    for _ in 0..3 {
        let page = timeline::page(&db, &query("acme", ""), &Seek::Newest, 9, &never()).await.unwrap();
        assert_eq!(page.rows.len(), 5);
    }
    db.close().await;
    let db = ReadDb::connect(database.options.clone(), ReadSettings::default()).await.unwrap();
    assert!(!db.is_pooled());
    db.close().await;
    application.close().await.unwrap();
    drop(pooler);

    let pooler = Pooler::start(&database, "statement").await.unwrap();
    let said = run(&home, &pooler.url(&database), READING[0]);
    assert_eq!(said.code, Some(3), "{said:?}");
    assert!(said.remarks.contains("the connection pooler works in statement mode"), "{}", said.remarks);
    drop(pooler);
    database.drop_now().await;
}

/// Counts the round trips of every connection to a server.
pub(crate) struct Line {
    /// One counter a connection, in the order in which they were made.
    trips: Arc<Mutex<Vec<Arc<AtomicU64>>>>,
    home: tempfile::TempDir,
}

impl Line {
    fn before(database: &TestDatabase) -> Option<Self> {
        let server = database.options.get_socket()?.join(format!(".s.PGSQL.{}", database.options.get_port()));
        let home = support::scratch();
        let listener =
            UnixListener::bind(home.path().join(format!(".s.PGSQL.{}", database.options.get_port())))
                .unwrap();
        let trips = Arc::new(Mutex::new(Vec::new()));
        let connections = trips.clone();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let server = UnixStream::connect(&server).await.unwrap();
                let counter = Arc::new(AtomicU64::new(0));
                connections.lock().unwrap().push(counter.clone());
                tokio::spawn(carry(client, server, counter));
            }
        });
        Some(Self { trips, home })
    }

    /// The round trips of each connection, once nothing more is said: nobody waits for the end of a transaction. What is
    /// compared are the connections that there were before, since on a busy machine a statement may take so long that a
    /// connection for its cancelling is made beside.
    async fn at_rest(&self) -> Vec<u64> {
        let trips =
            || -> Vec<u64> { self.trips.lock().unwrap().iter().map(|n| n.load(Ordering::SeqCst)).collect() };
        let mut last = trips();
        loop {
            tokio::time::sleep(Duration::from_millis(500)).await;
            let now = trips();
            if now == last {
                return now;
            }
            last = now;
        }
    }
}

/// Passes on what both sides say. A round trip is a `Query` or a `Sync` of the client, since the server answers each with
/// one `ReadyForQuery` (PostgreSQL, "Message Flow"); how the bytes are cut into packets says nothing.
async fn carry(client: UnixStream, server: UnixStream, trips: Arc<AtomicU64>) {
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let back = tokio::spawn(async move { tokio::io::copy(&mut from_server, &mut to_client).await });
    // The first message of a connection has no type.
    let mut kind = None;
    while let Ok(length) = from_client.read_u32().await {
        let mut body = vec![0; length as usize - 4];
        if from_client.read_exact(&mut body).await.is_err() {
            break;
        }
        if matches!(kind, Some(b'Q' | b'S')) {
            trips.fetch_add(1, Ordering::SeqCst);
        }
        let message = [kind.as_slice(), &length.to_be_bytes(), &body].concat();
        if to_server.write_all(&message).await.is_err() {
            break;
        }
        let Ok(next) = from_client.read_u8().await else { break };
        kind = Some(next);
    }
    back.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_costs_one_round_trip_more_than_its_statement() {
    let database = support::database().await;
    fill(&database).await;
    let Some(line) = Line::before(&database) else {
        println!("skipped: the server has no socket");
        return;
    };
    let db = ReadDb::connect(database.options.clone().socket(line.home.path()), ReadSettings::default())
        .await
        .unwrap();
    assert!(!db.is_pooled());
    let all = query("acme", "");
    // The beginning, which shows the connection to be alive and was a ping before; the statement, at first with its
    // preparation; the end. So three round trips are waited for at most, and one more is made than without transactions.
    for (cost, seek) in [(4, Seek::Newest), (3, Seek::Newest), (3, Seek::Newest), (4, Seek::Oldest)] {
        let before = line.at_rest().await;
        let page = timeline::page(&db, &all, &seek, 3, &never()).await.unwrap();
        assert_eq!(page.rows.len(), 3);
        let after = line.at_rest().await;
        let trips: u64 = before.iter().zip(after).map(|(old, new)| new - old).sum();
        assert_eq!(trips, cost, "{seek:?}");
    }
    db.close().await;
    database.drop_now().await;
}

/// Tables are named by what was found in the catalogue, so no statement may name them by itself: neither those that read
/// nor those that write, nor the scripts that administrators may run.
#[test]
fn no_statement_leaves_the_schema_open() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let scripts = ["assets/roles.sql", "assets/rls.sql"].map(|name| root.join(name));
    let (mut paths, mut looked_at, mut wrong) = (vec![root.join("src/store")], 0, Vec::new());
    paths.extend(scripts);
    while let Some(path) = paths.pop() {
        if path.is_dir() {
            paths.extend(fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()));
            continue;
        }
        looked_at += 1;
        let text = fs::read_to_string(&path).unwrap();
        for (n, line) in text.lines().enumerate() {
            let code = line.split("//").next().unwrap_or_default().split("--").next().unwrap_or_default();
            // Advice to people, hostile values, and what tests look for.
            const OTHERS: [&str; 5] = [
                "ANALYZE audit_events\"",
                "CONCURRENTLY ON audit",
                "replace(\"ON ",
                "for open in",
                "'; DROP TABLE",
            ];
            if OTHERS.iter().any(|other| line.contains(other)) {
                continue;
            }
            for verb in [
                "FROM ",
                "JOIN ",
                "INTO ",
                "UPDATE ",
                "TABLE ",
                "TRUNCATE ",
                "COPY ",
                "ANALYZE ",
                "LOCK ",
                "VIEW ",
                "ON ",
            ] {
                for object in ["audit_", "_sqlx_", "agenttrace_grants", "agenttrace_org", "agenttrace_sea"] {
                    if code.contains(&format!("{verb}{object}")) {
                        wrong.push(format!("{}:{}: {line}", path.display(), n + 1));
                    }
                }
            }
            for open in
                ["regclass('audit", "'audit_events'::regclass", "SELECT agenttrace_", "search_path = {"]
            {
                if code.contains(open) {
                    wrong.push(format!("{}:{}: {line}", path.display(), n + 1));
                }
            }
        }
    }
    assert!(looked_at > 60, "only {looked_at} files were looked at");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
