//! Reading from a real streaming replica: its lag, and what it cannot know yet.

use crate::support;
use crate::timeline::{never, query, scope};
use crate::writer::event;

use agenttrace::chain::head::Memory;
use agenttrace::server::{Options, PrivateServer, Purpose};
use agenttrace::store::listing::timeline;
use agenttrace::store::query::Seek;
use agenttrace::store::writer::{Fate, Writer, WriterSettings};
use agenttrace::store::{ReadDb, ReadSettings, Standing, StoreError, WriteDb, schema};
use agenttrace::verify::{self, Gauge, Report, Request, Verdict};
use sqlx::Connection as _;
use sqlx::postgres::{PgConnectOptions, PgConnection};
use std::fs::{self, Metadata, Permissions};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

/// A server that listens in a folder of its own, until the value is dropped.
struct Server {
    process: Child,
    sockets: PathBuf,
}

/// Programs, and the user they run as: PostgreSQL refuses to be root.
struct Tools {
    programs: PathBuf,
    owner: Metadata,
    home: tempfile::TempDir,
}

impl Tools {
    fn run_as_owner(&self, name: &str) -> Command {
        let mut command = Command::new(self.programs.join(name));
        if fs::metadata(self.home.path()).unwrap().uid() != self.owner.uid() {
            command.uid(self.owner.uid()).gid(self.owner.gid());
        }
        command.stdin(Stdio::null()).stdout(Stdio::null()).current_dir("/");
        command
    }

    /// A folder in which the owner may write.
    fn folder(&self, name: &str) -> PathBuf {
        let folder = self.home.path().join(name);
        fs::create_dir(&folder).unwrap();
        fs::set_permissions(&folder, Permissions::from_mode(0o700)).unwrap();
        chown(&folder, Some(self.owner.uid()), Some(self.owner.gid())).unwrap();
        folder
    }

    async fn serve(&self, data: &Path, sockets: &str) -> Server {
        let sockets = self.folder(sockets);
        let mut command = self.run_as_owner("postgres");
        command.arg("-D").arg(data).stderr(Stdio::null());
        for setting in
            ["listen_addresses=", "port=5432", "fsync=off", "wal_level=replica", "max_wal_senders=4"]
        {
            command.args(["-c", setting]);
        }
        command.arg("-c").arg(format!("unix_socket_directories={}", sockets.display()));
        let mut server = Server { process: command.spawn().unwrap(), sockets };
        while PgConnection::connect_with(&server.options("postgres")).await.is_err() {
            assert!(server.process.try_wait().unwrap().is_none(), "it did not start");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        server
    }
}

impl Server {
    fn options(&self, database: &str) -> PgConnectOptions {
        PgConnectOptions::new_without_pgpass()
            .host("localhost")
            .socket(&self.sockets)
            .port(5432)
            .username("agenttrace")
            .database(database)
    }

    fn url(&self) -> String {
        let host = self.sockets.to_str().unwrap().replace('/', "%2F");
        format!("postgres://agenttrace@localhost:5432/postgres?host={host}")
    }

    async fn ask(&self, sql: &'static str) {
        let mut c = PgConnection::connect_with(&self.options("postgres")).await.unwrap();
        sqlx::raw_sql(sql).execute(&mut c).await.unwrap();
        c.close().await.unwrap();
    }

    fn stop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop();
    }
}

/// A cluster, a replica of it made by `pg_basebackup`, and the programs behind them.
async fn primary_and_replica() -> (Server, Server, Tools) {
    let home = support::scratch();
    let folder = home.path().join("postgres");
    // Made as private servers are, then run by other rules.
    let options = Options { folder, purpose: Purpose::Keep };
    let made = tokio::task::spawn_blocking(move || PrivateServer::attach(&options)).await.unwrap().unwrap();
    let mut c = PgConnection::connect_with(&made.connect_options("postgres")).await.unwrap();
    let (programs, data): (String, String) = sqlx::query_as(
        "SELECT (SELECT setting FROM pg_config WHERE name = 'BINDIR'), current_setting('data_directory')",
    )
    .fetch_one(&mut c)
    .await
    .unwrap();
    c.close().await.unwrap();
    tokio::task::spawn_blocking(move || drop(made)).await.unwrap();
    let tools = Tools { programs: PathBuf::from(programs), owner: fs::metadata(&data).unwrap(), home };
    let primary = tools.serve(Path::new(&data), "primary").await;
    let copy = tools.folder("copy");
    let mut backup = tools.run_as_owner("pg_basebackup");
    backup.args(["--write-recovery-conf", "--wal-method=stream", "--checkpoint=fast", "--no-sync"]);
    backup
        .args(["--username=agenttrace", "--port=5432", "--host"])
        .arg(&primary.sockets)
        .arg("--pgdata")
        .arg(&copy);
    let copied = backup.output().unwrap();
    assert!(copied.status.success(), "{}", String::from_utf8_lossy(&copied.stderr));
    let replica = tools.serve(&copy, "replica").await;
    (primary, replica, tools)
}

async fn write(primary: &Server, range: std::ops::Range<usize>) {
    let db = WriteDb::connect(primary.options("postgres")).await.unwrap();
    schema::migrate(&db).await.unwrap();
    let events = range.map(|i| event("acme", &format!("e-{i:03}"))).collect();
    Writer::new(db.clone(), WriterSettings::default()).append(events).await.unwrap();
    db.close().await;
}

async fn standing(db: &ReadDb, wanted: impl Fn(Standing) -> bool) -> Standing {
    for _ in 0..1_000 {
        let standing = db.facts().await.unwrap().standing;
        if wanted(standing) {
            return standing;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("it stays at {:?}", db.facts().await);
}

async fn verified(db: &ReadDb, memory: &Memory) -> Report {
    let request = Request { jobs: 2, memory: memory.clone(), ..Request::whole(scope("acme")) };
    verify::verify(db, &request, &Arc::new(Gauge::new()), &never()).await.unwrap()
}

/// What a verification leaves to be compared by the next ones.
fn remember(report: &Report) -> Memory {
    let records = vec![report.remembered("primary").unwrap()];
    Memory { place: "primary".to_owned(), records, refused: None }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_is_read_says_how_far_it_is_behind_and_is_not_taken_for_a_cut_trail() {
    let (primary, mut replica, _tools) = primary_and_replica().await;
    write(&primary, 0..40).await;
    let (beside, replica_url) = (replica.options("postgres"), replica.url());
    let near = async || {
        let (primary, replica) = (primary.options("postgres"), Some(beside.clone()));
        ReadDb::connect_near(primary, replica, ReadSettings::default()).await.unwrap()
    };
    let there = ReadDb::connect(primary.options("postgres"), ReadSettings::default()).await.unwrap();
    let here = near().await;
    let caught_up = |s: Standing| matches!(s, Standing::Replica(lag) if lag.is_caught_up());
    let events = async |db: &ReadDb| {
        match timeline::page(db, &query("acme", ""), &Seek::Newest, 100, &never()).await {
            Ok(page) => page.rows.len(),
            // It has not received the table yet.
            Err(StoreError::NoTable) => 0,
            Err(error) => panic!("{error}"),
        }
    };
    while events(&here).await < 40 {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    standing(&here, caught_up).await;
    assert_eq!(there.facts().await.unwrap().standing, Standing::Primary);
    let whole = verified(&here, &Memory::default()).await;
    assert_eq!((whole.verdict, whole.events), (Verdict::Intact, 40));

    // It stands still while the primary goes on and is verified.
    replica.ask("SELECT pg_wal_replay_pause()").await;
    write(&primary, 40..70).await;
    let memory = remember(&verified(&there, &Memory::default()).await);
    assert_eq!((events(&there).await, events(&here).await), (70, 40));
    let behind = standing(&here, |s| matches!(s, Standing::Replica(lag) if lag.waiting_bytes > 0)).await;
    assert!(behind.to_string().ends_with(" behind"), "{behind}");
    let judged = verified(&here, &memory).await;
    assert_eq!((judged.verdict, judged.pins.checked, judged.pins.matched), (Verdict::Incomplete, 1, 0));
    let finding = judged.findings.iter().find(|finding| finding.event_id == "e-069").unwrap();
    assert!(finding.detail.contains("is not there yet: the last change"), "{finding:?}");
    let run = |args: &[&str]| {
        let mut program = support::agenttrace();
        program.args(["--database-url", &primary.url(), "--replica-url", &replica_url]).args(args);
        let output = program.output().unwrap();
        (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap())
    };
    let (listed, said) = run(&["events", "--format", "ndjson", "--limit", "100"]);
    assert_eq!(listed.lines().count(), 40);
    assert!(
        said.contains("reading from a replica, ") && said.contains("newer events may be missing"),
        "{said}"
    );
    assert!(run(&["db", "status"]).0.contains(" behind\n"));

    // It goes on: what the primary's verification has left fits here too.
    replica.ask("SELECT pg_wal_replay_resume()").await;
    standing(&here, caught_up).await;
    let report = verified(&here, &memory).await;
    assert_eq!((report.verdict, report.pins.matched), (Verdict::Intact, 1));
    assert!(run(&["db", "status"]).0.contains("replica, caught up\n"));
    // Events cut off at the newest end are found on a replica that has applied what came after.
    primary
        .ask(
            "BEGIN; ALTER TABLE audit_events DISABLE TRIGGER ALL; DELETE FROM audit_events WHERE event_id = 'e-069';
             ALTER TABLE audit_events ENABLE TRIGGER ALL; COMMIT",
        )
        .await;
    while events(&here).await > 69 {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let report = verified(&here, &memory).await;
    assert_eq!((report.verdict, report.pins.matched), (Verdict::Broken, 0));

    // Away: the primary is read, and that is said.
    replica.stop();
    // Its children outlive a killed postmaster until they look: one of them may answer once more.
    let gone = async {
        loop {
            match here.facts().await {
                Ok(_) => tokio::time::sleep(Duration::from_millis(20)).await,
                Err(error) => break error,
            }
        }
    };
    let gone = tokio::time::timeout(Duration::from_secs(10), gone).await.unwrap();
    assert!(matches!(gone, StoreError::Connection(_)), "{gone:?}");
    let instead = near().await;
    assert_eq!(instead.facts().await.unwrap().standing, Standing::InsteadOfReplica);
    assert_eq!(events(&instead).await, 69);
    let (listed, said) = run(&["events", "--format", "ndjson", "--limit", "100"]);
    assert_eq!(listed.lines().count(), 69);
    assert!(said.contains("the replica is away") && said.contains("reading from the primary"), "{said}");
    for db in [there, here, instead] {
        db.close().await;
    }
}

/// The twin of a log that got shorter overnight: here nothing is gone, it has only not arrived.
#[tokio::test(flavor = "multi_thread")]
async fn a_lagging_replica_is_not_bundled_as_a_trail_that_was_cut() {
    let (primary, replica, _tools) = primary_and_replica().await;
    write(&primary, 0..40).await;
    let here = ReadDb::connect(replica.options("postgres"), ReadSettings::default()).await.unwrap();
    while here.relation(&never()).await.is_err() {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    standing(&here, |s| matches!(s, Standing::Replica(lag) if lag.is_caught_up())).await;
    replica.ask("SELECT pg_wal_replay_pause()").await;
    write(&primary, 40..70).await;
    let home = support::Home::new();
    let run = |args: &[&str], near: bool| {
        let mut program = home.agenttrace();
        program.args(["--database-url", &primary.url(), "--org", "acme"]);
        if near {
            program.args(["--replica-url", &replica.url()]);
        }
        let output = program.args(args).output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap() + &String::from_utf8(output.stdout).unwrap();
        (output.status.code().unwrap(), said)
    };
    assert_eq!(run(&["pin", "keygen", "k"], false).0, 0);
    let (code, said) = run(&["pin", "create", "--sign"], true);
    assert!(code == 4 && said.contains("a replica may lack the newest events"), "{said}");
    let (code, said) = run(&["pin", "create", "--sign"], false);
    assert_eq!(code, 0, "{said}");
    let published = home.path().join("published").display().to_string();
    assert_eq!(run(&["pin", "publish", "-o", &published], false).0, 0);
    let file = home.path().join("bundle").display().to_string();
    let export = ["evidence", "export", "--all-time", "-o", &file];
    let (code, said) = run(&export, true);
    assert!(
        code == 4 && said.contains("what has not arrived would look as if it were gone"),
        "{code} {said}"
    );
    let (code, said) = run(&["pin", "check", "--published", &published], true);
    assert!(code == 4 && said.contains("not compared") && !said.contains("CONTRADICTED"), "{code} {said}");

    replica.ask("SELECT pg_wal_replay_resume()").await;
    standing(&here, |s| matches!(s, Standing::Replica(lag) if lag.is_caught_up())).await;
    let (code, said) = run(&export, true);
    assert_eq!(code, 0, "{said}");
    let (code, said) = run(&["evidence", "verify", &file], false);
    assert!(code == 0 && said.contains("70 events: shown"), "{code} {said}");
    assert_eq!(run(&["pin", "check", "--published", &published], true).0, 0);
    here.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_of_another_cluster_is_no_replica() {
    let (primary, replica, _tools) = primary_and_replica().await;
    let (other, _, _more_tools) = primary_and_replica().await;
    write(&primary, 0..3).await;
    let near = async |replica: &Server| {
        let replica = Some(replica.options("postgres"));
        ReadDb::connect_near(primary.options("postgres"), replica, ReadSettings::default()).await
    };
    near(&replica).await.unwrap().close().await;
    // A profile may name one server twice.
    near(&primary).await.unwrap().close().await;
    let refused = near(&other).await;
    assert!(matches!(refused, Err(StoreError::ForeignReplica { .. })), "{refused:?}");
    let mut program = support::agenttrace();
    program.args(["--database-url", &primary.url(), "--replica-url", &other.url(), "events"]);
    let output = program.output().unwrap();
    let text = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{text}");
    assert!(text.contains("does not belong to this primary") && output.stdout.is_empty(), "{text}");
}

/// pgpool-II before both, which sends queries to the replica where it can; where it listens. `None`: it is not installed.
async fn pgpool(tools: &Tools, primary: &Server, replica: &Server) -> Option<(Pgpool, u16)> {
    let program = Path::new("/usr/sbin/pgpool");
    if !program.exists() {
        return None;
    }
    let folder = tools.folder("pgpool");
    let free = || std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let (at, port) = (folder.display(), free());
    let config = format!(
        "listen_addresses = '127.0.0.1'\nport = {port}\nsocket_dir = '{at}'\npcp_socket_dir = '{at}'\npcp_port = {}\n\
         backend_clustering_mode = 'streaming_replication'\nbackend_hostname0 = '{}'\nbackend_port0 = 5432\n\
         backend_weight0 = 0\nbackend_flag0 = 'ALWAYS_PRIMARY'\nbackend_hostname1 = '{}'\nbackend_port1 = 5432\n\
         backend_weight1 = 1\nload_balance_mode = on\nnum_init_children = 8\nenable_pool_hba = off\n\
         pid_file_name = '{at}/pid'\nlogdir = '{at}'\nuse_watchdog = off\nsr_check_period = 0\n",
        free(),
        primary.sockets.display(),
        replica.sockets.display(),
    );
    fs::write(folder.join("config"), config).unwrap();
    fs::write(folder.join("pcp"), "").unwrap();
    let mut command = Command::new(program);
    command.arg("-n").arg("-f").arg(folder.join("config")).arg("-F").arg(folder.join("pcp"));
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    if fs::metadata(tools.home.path()).unwrap().uid() != tools.owner.uid() {
        command.uid(tools.owner.uid()).gid(tools.owner.gid());
    }
    let mut pgpool = Pgpool(command.spawn().unwrap());
    while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
        assert!(pgpool.0.try_wait().unwrap().is_none(), "pgpool did not start");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Some((pgpool, port))
}

/// Ends it, and the processes that it has.
struct Pgpool(Child);

impl Drop for Pgpool {
    fn drop(&mut self) {
        let _ = Command::new("kill").arg(self.0.id().to_string()).status();
        let _ = self.0.wait();
    }
}

/// A message of several statements goes to the primary only, and pgpool-II does not see that it begins a transaction.
#[tokio::test]
async fn behind_pgpool_with_a_standby_a_transaction_stays_with_one_server() {
    let (primary, replica, tools) = primary_and_replica().await;
    let Some((_pgpool, port)) = pgpool(&tools, &primary, &replica).await else {
        println!("skipped: there is no pgpool");
        return;
    };
    write(&primary, 0..40).await;
    let direct = ReadDb::connect(primary.options("postgres"), ReadSettings::default()).await.unwrap();
    let options = PgConnectOptions::new_without_pgpass()
        .host("127.0.0.1")
        .port(port)
        .username("agenttrace")
        .password("")
        .ssl_mode(sqlx::postgres::PgSslMode::Disable)
        .database("postgres");
    // It does send queries to the replica.
    let mut c = PgConnection::connect_with(&options).await.unwrap();
    let settings = "SELECT current_setting('primary_conninfo') <> ''";
    let (of_replica,): (bool,) = sqlx::query_as(settings).fetch_one(&mut c).await.unwrap();
    assert!(of_replica);
    c.close().await.unwrap();
    let db = ReadDb::connect(options.clone(), ReadSettings::default()).await.unwrap();
    assert!(db.is_pooled());
    let request = Request::whole(scope("acme"));
    let there = verify::verify(&db, &request, &Arc::new(Gauge::new()), &never()).await.unwrap();
    let here = verify::verify(&direct, &request, &Arc::new(Gauge::new()), &never()).await.unwrap();
    assert_eq!((here.verdict, here.events), (Verdict::Intact, 40), "{here:#?}");
    // A savepoint that is rolled back makes pgpool spread what follows once more: that is seen, and nothing is verified.
    assert_eq!(there.verdict, Verdict::Incomplete, "{there:#?}");
    assert!(
        there.findings.iter().all(|finding| finding.class == verify::Class::ScanIncomplete),
        "{there:#?}"
    );
    let first = |db: &ReadDb| {
        let db = db.clone();
        async move { timeline::page(&db, &query("acme", ""), &Seek::Newest, 100, &never()).await.unwrap() }
    };
    assert_eq!(first(&db).await.rows, first(&direct).await.rows);
    // Writing sees what was written a moment ago, which the replica may not have received.
    let write_db = WriteDb::connect(options).await.unwrap();
    let mut writer = Writer::new(write_db, WriterSettings::default());
    let events: Vec<_> = (30..60).map(|i| event("acme", &format!("e-{i:03}"))).collect();
    let fates = writer.append(events).await.unwrap();
    let stored = fates.iter().filter(|fate| **fate == Fate::Stored).count();
    assert_eq!(stored, 20, "{fates:?}");
}
