//! A database of its own for each test, and the program in an environment of its own.
//!
//! The databases are on the server that `AGENTTRACE_TEST_DATABASE_URL` names, else on a throw-away one that all tests of
//! a run share and that ends with the run. `DATABASE_URL` and `AGENTTRACE_DATABASE_URL` are never read.
//!
//! With `AGENTTRACE_TEST_COLLATION=icu` all of them sort text as people do in the United States, unless a column says
//! otherwise.

pub(crate) mod binaries;
mod keeper;

use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{Connection as _, Executor as _};
use std::fmt::Write as _;
use std::hash::{BuildHasher as _, RandomState};
use std::ops::{Deref, DerefMut};
use std::path::Path;
use std::str::FromStr as _;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

static MIGRATIONS: sqlx::migrate::Migrator = sqlx::migrate!("assets/migrations");

/// Options of the server's maintenance database.
pub(crate) fn server() -> PgConnectOptions {
    match std::env::var("AGENTTRACE_TEST_DATABASE_URL") {
        Ok(url) => PgConnectOptions::from_str(&url).unwrap(),
        Err(_) => keeper::server().connect_options("postgres"),
    }
}

/// Whether the tests use a server that is not theirs.
pub(crate) fn is_elsewhere() -> bool {
    std::env::var_os("AGENTTRACE_TEST_DATABASE_URL").is_some()
}

/// What the tests' own server has written to its log.
pub(crate) fn server_log() -> String {
    String::from_utf8_lossy(&std::fs::read(keeper::folder().join("server.log")).unwrap()).into_owned()
}

/// A database that goes away with [`TestDatabase::drop_now`], or with the server.
pub(crate) struct TestDatabase {
    pub(crate) options: PgConnectOptions,
    pub(crate) name: String,
    admin: PgConnectOptions,
}

/// How a database sorts text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Collation {
    /// As its server does: by bytes.
    Bytes,
    /// By bytes, of an encoding that has few characters.
    Latin1,
    /// By ICU's rules for American English, where `a` < `B` < `c`, and `-` counts last.
    Icu,
}

impl Collation {
    /// That of this run.
    fn of_run() -> Self {
        match std::env::var("AGENTTRACE_TEST_COLLATION").as_deref() {
            Ok("icu") => Self::Icu,
            Ok(other) => panic!("AGENTTRACE_TEST_COLLATION is 'icu' or not set, not '{other}'"),
            Err(_) => Self::Bytes,
        }
    }

    /// For CREATE DATABASE.
    fn clause(self) -> &'static str {
        match self {
            Self::Bytes => "",
            Self::Latin1 => "TEMPLATE template0 ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C'",
            Self::Icu => "TEMPLATE template0 LOCALE_PROVIDER icu ICU_LOCALE 'en-US'",
        }
    }
}

/// Waits until all transactions are over that other tests have under way on the same server: what was written later than
/// the first of them began is not called verified.
pub(crate) async fn others_have_ended(database: &TestDatabase) {
    let mut c = PgConnection::connect_with(&database.options).await.unwrap();
    let written: i64 =
        sqlx::query_scalar("SELECT pg_current_xact_id()::text::bigint").fetch_one(&mut c).await.unwrap();
    let oldest = "SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint";
    while sqlx::query_scalar::<_, i64>(oldest).fetch_one(&mut c).await.unwrap() <= written {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    c.close().await.unwrap();
}

/// A new, migrated database without events.
pub(crate) async fn database() -> TestDatabase {
    static TEMPLATE: tokio::sync::OnceCell<String> = tokio::sync::OnceCell::const_new();
    let template = TEMPLATE.get_or_init(template).await;
    create(&format!("TEMPLATE {template}")).await
}

/// Waits until no session of the program in the database of `c` is at work: that it was told to stop takes a moment to be
/// seen.
pub(crate) async fn until_idle(c: &mut PgConnection) {
    let active = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()
        AND application_name = 'agenttrace' AND pid <> pg_backend_pid() AND state <> 'idle'";
    let begun = Instant::now();
    while sqlx::query_scalar::<_, i64>(active).fetch_one(&mut *c).await.unwrap() > 0 {
        assert!(begun.elapsed() < Duration::from_secs(30), "a statement goes on");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// A new, empty database.
pub(crate) async fn bare_database() -> TestDatabase {
    bare_database_in(Collation::of_run()).await
}

/// A new, empty database that sorts text so.
pub(crate) async fn bare_database_in(collation: Collation) -> TestDatabase {
    create(collation.clause()).await
}

async fn create(how: &str) -> TestDatabase {
    // Unlike a process id, unique also among containers and runs that share a server.
    static PROCESS: LazyLock<u64> = LazyLock::new(|| RandomState::new().hash_one(std::process::id()));
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let admin = server();
    let name = format!("at_{:016x}_{}", *PROCESS, NEXT.fetch_add(1, Ordering::Relaxed));
    let mut c = PgConnection::connect_with(&admin).await.unwrap();
    run(&mut c, format!("CREATE DATABASE {name} {how}")).await;
    c.close().await.unwrap();
    TestDatabase { options: admin.clone().database(&name), name, admin }
}

/// A database with these very migrations, made by whoever comes first; a copy of it costs less than migrating.
async fn template() -> String {
    // Any number will do that nobody else locks.
    const LOCK: &str = "pg_advisory_lock(7310579042)";
    let checksums: Vec<u8> = MIGRATIONS.iter().flat_map(|m| m.checksum.iter().copied()).collect();
    let collation = Collation::of_run().clause();
    let name = format!("at_template_{}", short_hash(&[&checksums, collation.as_bytes()].concat()));
    let admin = server();
    let mut c = PgConnection::connect_with(&admin).await.unwrap();
    run(&mut c, format!("SELECT {LOCK}")).await;
    let found: bool = sqlx::query_scalar("SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)")
        .bind(&name)
        .fetch_one(&mut c)
        .await
        .unwrap();
    if !found {
        // Under its final name only when it is whole.
        let draft = format!("{name}_draft");
        run(&mut c, format!("DROP DATABASE IF EXISTS {draft} WITH (FORCE)")).await;
        run(&mut c, format!("CREATE DATABASE {draft} {collation}")).await;
        let mut inside = PgConnection::connect_with(&admin.clone().database(&draft)).await.unwrap();
        MIGRATIONS.run(&mut inside).await.unwrap();
        inside.close().await.unwrap();
        run(&mut c, format!("ALTER DATABASE {draft} RENAME TO {name}")).await;
    }
    // Closing gives the lock back.
    c.close().await.unwrap();
    name
}

async fn run(c: &mut PgConnection, sql: String) {
    // Names made above, of letters, digits and underscores.
    let sql = sqlx::AssertSqlSafe(sql);
    c.execute(sqlx::raw_sql(sql)).await.unwrap();
}

impl TestDatabase {
    /// For `--database-url`; without a password.
    pub(crate) fn url(&self) -> String {
        let user = self.options.get_username();
        match self.options.get_socket() {
            Some(folder) => {
                let host = percent_encoded(folder);
                format!("postgres://{user}@localhost:{}/{}?host={host}", self.options.get_port(), self.name)
            }
            None => {
                format!(
                    "postgres://{user}@{}:{}/{}",
                    self.options.get_host(),
                    self.options.get_port(),
                    self.name
                )
            }
        }
    }

    pub(crate) async fn drop_now(self) {
        let mut c = PgConnection::connect_with(&self.admin).await.unwrap();
        run(&mut c, format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", self.name)).await;
        c.close().await.unwrap();
    }
}

fn percent_encoded(path: &Path) -> String {
    let mut text = String::new();
    for &byte in path.as_os_str().as_encoded_bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' => text.push(char::from(byte)),
            _ => write!(text, "%{byte:02X}").unwrap(),
        }
    }
    text
}

fn short_hash(bytes: &[u8]) -> String {
    use sha2::Digest as _;
    sha2::Sha256::digest(bytes).iter().take(8).fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").unwrap();
        text
    })
}

/// A folder that every user may enter: as root the private server runs as another user.
pub(crate) fn scratch() -> tempfile::TempDir {
    binaries::ensure();
    let everybody = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    tempfile::Builder::new()
        .prefix("agenttrace-test-")
        .permissions(everybody)
        .tempdir_in(agenttrace::server::throw_away_parent())
        .unwrap()
}

/// A home folder for the program: its configuration, its data and its private server, gone with the value.
pub(crate) struct Home(tempfile::TempDir);

impl Home {
    pub(crate) fn new() -> Self {
        Self(scratch())
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    /// The program at home here. Of the environment it gets only what finds programs.
    pub(crate) fn agenttrace(&self) -> assert_cmd::Command {
        let mut command = assert_cmd::Command::new(env!("CARGO_BIN_EXE_agenttrace"));
        command.env_clear();
        for name in ["PATH", "TMPDIR", "LD_LIBRARY_PATH", "LLVM_PROFILE_FILE"] {
            if let Some(value) = std::env::var_os(name) {
                command.env(name, value);
            }
        }
        // Wherever they come from; the home is too new to have any.
        command.env("AGENTTRACE_PG_BIN_DIR", binaries::ensure());
        let home = self.path();
        command.env("HOME", home).env("AGENTTRACE_DATA_DIR", home.join("data"));
        for (name, folder) in [("CONFIG", "config"), ("DATA", "data"), ("STATE", "state"), ("CACHE", "cache")]
        {
            command.env(format!("XDG_{name}_HOME"), home.join(folder));
        }
        command.current_dir(home);
        command
    }
}

/// The program with a home of its own.
pub(crate) struct Program {
    command: assert_cmd::Command,
    _home: Home,
}

impl Deref for Program {
    type Target = assert_cmd::Command;

    fn deref(&self) -> &assert_cmd::Command {
        &self.command
    }
}

impl DerefMut for Program {
    fn deref_mut(&mut self) -> &mut assert_cmd::Command {
        &mut self.command
    }
}

/// The program with a new, empty home: nothing configured, no data. Several runs at one home: [`Home`].
pub(crate) fn agenttrace() -> Program {
    let home = Home::new();
    Program { command: home.agenttrace(), _home: home }
}

#[tokio::test]
async fn each_test_has_a_database_of_its_own_that_its_url_reaches() {
    for (db, tables) in [(database().await, 1), (database().await, 1), (bare_database().await, 0)] {
        let mut c = PgConnection::connect(&db.url()).await.unwrap();
        let found: (String, i64) = sqlx::query_as(
            "SELECT current_database()::text, (SELECT count(*) FROM pg_tables WHERE tablename = 'audit_events')",
        )
        .fetch_one(&mut c)
        .await
        .unwrap();
        assert_eq!(found, (db.name.clone(), tables));
        c.close().await.unwrap();
        db.drop_now().await;
    }
}
