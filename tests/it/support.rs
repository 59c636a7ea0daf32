//! A database of its own for each test, on one shared throw-away server.

use sqlx::Connection as _;
use sqlx::postgres::{PgConnectOptions, PgConnection};
use std::str::FromStr as _;
use std::sync::atomic::{AtomicU32, Ordering};

/// A migrated, empty database that goes away with the value's [`TestDatabase::drop_now`] (or with the server).
pub struct TestDatabase {
    pub options: PgConnectOptions,
    pub name: String,
    admin: PgConnectOptions,
}

static NEXT: AtomicU32 = AtomicU32::new(0);

/// Options of the shared server's maintenance database.
pub fn server() -> PgConnectOptions {
    let url = std::env::var("AGENTTRACE_TEST_DATABASE_URL").expect("AGENTTRACE_TEST_DATABASE_URL");
    PgConnectOptions::from_str(&url).unwrap()
}

/// A new database, migrated unless `bare`.
pub async fn database() -> TestDatabase {
    let db = bare_database().await;
    let mut c = PgConnection::connect_with(&db.options).await.unwrap();
    sqlx::migrate!("assets/migrations").run(&mut c).await.unwrap();
    c.close().await.unwrap();
    db
}

/// A new, empty database.
pub async fn bare_database() -> TestDatabase {
    let admin = server();
    let name = format!("at_{}_{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
    let mut c = PgConnection::connect_with(&admin).await.unwrap();
    sqlx::raw_sql(sqlx::AssertSqlSafe(format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)")))
        .execute(&mut c)
        .await
        .unwrap();
    sqlx::raw_sql(sqlx::AssertSqlSafe(format!("CREATE DATABASE {name}"))).execute(&mut c).await.unwrap();
    c.close().await.unwrap();
    TestDatabase { options: admin.clone().database(&name), name, admin }
}

impl TestDatabase {
    pub async fn drop_now(self) {
        let mut c = PgConnection::connect_with(&self.admin).await.unwrap();
        let sql = format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", self.name);
        sqlx::raw_sql(sqlx::AssertSqlSafe(sql)).execute(&mut c).await.unwrap();
        c.close().await.unwrap();
    }
}

/// A folder that every user may enter: as root the private server runs as another user.
pub fn scratch() -> tempfile::TempDir {
    let everybody = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    tempfile::Builder::new()
        .prefix("agenttrace-test-")
        .permissions(everybody)
        .tempdir_in(agenttrace::server::throw_away_parent())
        .unwrap()
}

/// The program itself, with no target from the environment.
pub fn agenttrace() -> assert_cmd::Command {
    let mut command = assert_cmd::Command::cargo_bin("agenttrace").unwrap();
    for name in ["DATABASE_URL", "AGENTTRACE_DATABASE_URL"] {
        command.env_remove(name);
    }
    command
}
