//! The private PostgreSQL: shared, killed, moved to awkward places, run by awkward users.

use agenttrace::server::{Options, PrivateServer, Purpose};
use sqlx::postgres::PgConnection;
use sqlx::{Connection as _, Row as _};
use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

/// A uid that no user database knows.
const NOBODY_KNOWS: u32 = 48_711;

fn keep(folder: impl Into<PathBuf>) -> Options {
    Options { folder: folder.into(), purpose: Purpose::Keep }
}

fn scratch() -> tempfile::TempDir {
    super::support::scratch()
}

fn ask(server: &PrivateServer, sql: &'static str) -> String {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let mut c = PgConnection::connect_with(&server.connect_options("postgres")).await.unwrap();
        let rows = sqlx::raw_sql(sql).fetch_all(&mut c).await.unwrap();
        c.close().await.unwrap();
        rows.first().map(|row| row.get::<String, _>(0)).unwrap_or_default()
    })
}

fn data_folder(folder: &Path) -> Option<PathBuf> {
    let entries = fs::read_dir(folder).ok()?;
    entries.flatten().map(|e| e.path()).find(|p| p.file_name().unwrap().to_string_lossy().starts_with("pg"))
}

fn postmaster(folder: &Path) -> Option<u32> {
    let text = fs::read(data_folder(folder)?.join("postmaster.pid")).ok()?;
    String::from_utf8_lossy(&text).lines().next()?.parse().ok()
}

fn kill(pid: u32) {
    assert!(Command::new("kill").args(["-9", &pid.to_string()]).status().unwrap().success());
}

fn is_root() -> bool {
    // A new file belongs to us.
    tempfile::tempfile().unwrap().metadata().unwrap().uid() == 0
}

fn until(what: &str, condition: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !condition() {
        assert!(Instant::now() < deadline, "not within 30 s: {what}");
        pause();
    }
}

#[expect(clippy::disallowed_methods, reason = "waits for other processes, outside any runtime")]
fn pause() {
    std::thread::sleep(Duration::from_millis(10));
}

/// Another program that uses a server: this test binary, started again as [`other_program`].
struct Other {
    child: Child,
    lines: BufReader<ChildStdout>,
}

impl Other {
    fn start(folder: &Path) -> Self {
        Self::start_with(folder, |c| c).unwrap()
    }

    fn start_with(folder: &Path, adjust: impl FnOnce(&mut Command) -> &mut Command) -> std::io::Result<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["--exact", "server::other_program", "--ignored", "--nocapture", "--test-threads=1"]);
        command.env("AGENTTRACE_TEST_OTHER", folder).current_dir("/");
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        adjust(&mut command);
        let mut child = command.spawn()?;
        let lines = BufReader::new(child.stdout.take().unwrap());
        Ok(Self { child, lines })
    }

    /// What it says next: `ready …` or `failed …`.
    fn says(&mut self) -> String {
        loop {
            let mut line = String::new();
            assert!(self.lines.read_line(&mut line).unwrap() > 0, "the other program ended without a word");
            // The test harness begins the line with its own words.
            if let Some(at) = line.find("other: ") {
                return line[at + "other: ".len()..].trim_end().to_owned();
            }
        }
    }

    fn leave(mut self) {
        drop(self.child.stdin.take());
        let mut rest = String::new();
        self.lines.read_to_string(&mut rest).unwrap();
        assert!(self.child.wait().unwrap().success(), "{rest}");
    }

    fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

#[test]
#[ignore = "the other program of the tests in this file"]
fn other_program() {
    let Some(folder) = std::env::var_os("AGENTTRACE_TEST_OTHER") else { return };
    let say = |text: String| {
        let mut out = std::io::stdout().lock();
        writeln!(out, "other: {text}").unwrap();
        out.flush().unwrap();
    };
    match PrivateServer::attach(&keep(folder)) {
        Ok(server) => {
            say(format!("ready {}", ask(&server, "SELECT current_user || ' ' || current_setting('port')")));
            std::io::stdin().read_to_end(&mut Vec::new()).unwrap();
        }
        Err(e) => say(format!("failed {e} | {}", e.hints.join(" | ")).replace('\n', " ")),
    }
}

#[test]
fn five_programs_at_once_share_one_server_and_the_last_stops_it() {
    let parent = scratch();
    let folder = parent.path().join("new");
    let mut programs: Vec<Other> = (0..5).map(|_| Other::start(&folder)).collect();
    for program in &mut programs {
        assert_eq!(program.says(), "ready agenttrace 5432");
    }
    let pid = postmaster(&folder).unwrap();
    let last = programs.pop().unwrap();
    for program in programs {
        program.leave();
    }
    assert_eq!(postmaster(&folder), Some(pid), "stopped while in use");
    last.leave();
    assert_eq!(postmaster(&folder), None, "left running");

    // What was stored is there in the next run, and the server is set up as promised.
    let server = PrivateServer::attach(&keep(&folder)).unwrap();
    ask(&server, "CREATE TABLE kept AS SELECT 'yes' AS it_is");
    drop(server);
    let server = PrivateServer::attach(&keep(&folder)).unwrap();
    assert_eq!(ask(&server, "SELECT it_is FROM kept"), "yes");
    let settings = "SELECT concat_ws(' ', current_setting('fsync'), current_setting('synchronous_commit'),
        current_setting('listen_addresses'), current_setting('server_encoding'), current_setting('max_connections'),
        current_setting('application_name'))";
    assert_eq!(ask(&server, settings), "on off  UTF8 200 agenttrace");
    assert!(ask(&server, "SELECT version()").starts_with(&format!("PostgreSQL {}", server.major())));
}

#[test]
fn a_killed_server_is_revived_with_its_data_even_while_a_query_runs_on() {
    let folder = scratch();
    let server = PrivateServer::attach(&keep(folder.path())).unwrap();
    server.revive().unwrap();
    let pid = postmaster(folder.path()).unwrap();
    ask(&server, "SET synchronous_commit = on; CREATE TABLE kept AS SELECT 'yes' AS it_is");

    // A session in the middle of a query does not notice that its postmaster is gone.
    let options = server.connect_options("postgres");
    let session = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let mut c = PgConnection::connect_with(&options).await.unwrap();
            sqlx::raw_sql("DO $$ BEGIN LOOP PERFORM 1; END LOOP; END $$").execute(&mut c).await.is_err()
        })
    });
    until("the query runs", || {
        ask(&server, "SELECT count(*)::text FROM pg_stat_activity WHERE query LIKE '%PERFORM 1%'") == "2"
    });
    kill(pid);
    server.revive().unwrap();
    assert!(session.join().unwrap(), "the old session lives on");
    assert_ne!(postmaster(folder.path()), Some(pid));
    assert_eq!(ask(&server, "SELECT it_is FROM kept"), "yes");
}

#[test]
fn a_killed_program_leaves_the_server_to_the_next_one() {
    let folder = scratch();
    let mut program = Other::start(folder.path());
    program.says();
    let pid = postmaster(folder.path()).unwrap();
    program.kill();
    let server = PrivateServer::attach(&keep(folder.path())).unwrap();
    assert_eq!(postmaster(folder.path()), Some(pid));
    drop(server);
    assert_eq!(postmaster(folder.path()), None, "the last one did not stop it");
}

#[test]
fn program_and_server_killed_together_are_survived() {
    let folder = scratch();
    let mut program = Other::start(folder.path());
    program.says();
    program.kill();
    kill(postmaster(folder.path()).unwrap());
    let server = PrivateServer::attach(&keep(folder.path())).unwrap();
    assert_eq!(ask(&server, "SELECT 'alive'"), "alive");
}

#[test]
fn a_stale_pid_that_belongs_to_somebody_else_by_now_does_not_keep_it_from_starting() {
    let folder = scratch();
    drop(PrivateServer::attach(&keep(folder.path())).unwrap());
    let data = data_folder(folder.path()).unwrap();
    let owner = fs::metadata(&data).unwrap();
    let mut command = Command::new("sleep");
    command.arg("60").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    if is_root() {
        // PostgreSQL looks for a process of its own user.
        command.uid(owner.uid()).gid(owner.gid());
    }
    let mut bystander = command.spawn().unwrap();
    let pid = bystander.id();
    let sockets = folder.path().canonicalize().unwrap().join("run");
    let stale =
        format!("{pid}\n{}\n1700000000\n5432\n{}\n\n   1  1\nready   \n", data.display(), sockets.display());
    fs::write(data.join("postmaster.pid"), &stale).unwrap();
    fs::write(sockets.join(".s.PGSQL.5432.lock"), &stale).unwrap();
    for file in [data.join("postmaster.pid"), sockets.join(".s.PGSQL.5432.lock")] {
        std::os::unix::fs::chown(file, Some(owner.uid()), Some(owner.gid())).unwrap();
    }

    let server = PrivateServer::attach(&keep(folder.path())).unwrap();
    assert_ne!(postmaster(folder.path()), Some(pid));
    assert_eq!(ask(&server, "SELECT 'alive'"), "alive");
    drop(server);
    assert!(bystander.try_wait().unwrap().is_none(), "the bystander was hit");
    bystander.kill().unwrap();
    bystander.wait().unwrap();
}

#[test]
fn awkward_and_long_paths_work() {
    let parent = scratch();
    let awkward = parent.path().join("Zoë's, \"own\" folder");
    let server = PrivateServer::attach(&keep(&awkward)).unwrap();
    assert_eq!(ask(&server, "SELECT 'alive'"), "alive");
    assert!(awkward.join("run/.s.PGSQL.5432").exists());
    drop(server);

    // A socket's path has at most 107 bytes.
    let long = parent.path().join("deep".repeat(30)).join("er");
    let server = PrivateServer::attach(&keep(&long)).unwrap();
    assert_eq!(ask(&server, "SELECT 'alive'"), "alive");
    let sockets =
        PathBuf::from(ask(&server, "SELECT current_setting('unix_socket_directories')").replace('"', ""));
    assert!(sockets.starts_with("/tmp"), "{}", sockets.display());
    assert_eq!(fs::metadata(&sockets).unwrap().permissions().mode() & 0o777, 0o700);
    let mut program = Other::start(&long);
    assert_eq!(program.says(), "ready agenttrace 5432");
    drop(server);
    program.leave();
    assert!(!sockets.exists(), "{} was left behind", sockets.display());
}

#[test]
fn a_throw_away_server_leaves_nothing_behind() {
    let parent = scratch();
    let options = Options { folder: parent.path().join("short-lived"), purpose: Purpose::ThrowAway };
    let first = PrivateServer::attach(&options).unwrap();
    let second = PrivateServer::attach(&options).unwrap();
    assert_eq!(ask(&first, "SELECT current_setting('fsync')"), "off");
    let pid = postmaster(&options.folder).unwrap();
    drop(first);
    assert_eq!(ask(&second, "SELECT 'alive'"), "alive");
    drop(second);
    assert_eq!(fs::read_dir(parent.path()).unwrap().count(), 0);
    until("the server is gone", || {
        !Command::new("kill").args(["-0", &pid.to_string()]).stderr(Stdio::null()).status().unwrap().success()
    });
}

#[test]
fn a_half_made_cluster_is_not_taken_for_a_whole_one() {
    let folder = scratch();
    fs::create_dir_all(folder.path().join("partial-1/base")).unwrap();
    let server = PrivateServer::attach(&keep(folder.path())).unwrap();
    assert_eq!(ask(&server, "SELECT 'alive'"), "alive");
    assert!(!folder.path().join("partial-1").exists());
}

#[test]
fn data_of_a_version_without_binaries_are_not_replaced_by_an_empty_cluster() {
    let folder = scratch();
    fs::create_dir(folder.path().join("pg9")).unwrap();
    let error = PrivateServer::attach(&keep(folder.path())).unwrap_err();
    assert!(error.to_string().contains("need PostgreSQL 9"), "{error}");
    assert!(!error.hints.is_empty());
}

#[test]
fn an_override_without_binaries_is_named() {
    let folder = scratch();
    let mut program =
        Other::start_with(folder.path(), |c| c.env("AGENTTRACE_PG_BIN_DIR", folder.path())).unwrap();
    let answer = program.says();
    assert!(answer.starts_with("failed AGENTTRACE_PG_BIN_DIR is "), "{answer}");
    assert!(answer.contains("pg_config --bindir"), "{answer}");
    program.leave();
}

/// A package that is upgraded puts new files in the place of old ones.
#[test]
fn binaries_that_were_updated_or_removed_under_the_running_server_are_named() {
    if !cfg!(target_os = "linux") {
        println!("skipped: only Linux tells");
        return;
    }
    let (folder, copied) = (scratch(), scratch());
    fs::set_permissions(copied.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let from = super::support::binaries::ensure().canonicalize().unwrap();
    let bin = copied.path().join("bin");
    fs::create_dir(&bin).unwrap();
    for name in ["postgres", "initdb"] {
        fs::copy(from.join(name), bin.join(name)).unwrap();
    }
    // Builds that can be moved find these beside it.
    for name in ["lib", "share"] {
        std::os::unix::fs::symlink(from.parent().unwrap().join(name), copied.path().join(name)).unwrap();
    }
    let mut program = Other::start_with(folder.path(), |c| c.env("AGENTTRACE_PG_BIN_DIR", &bin)).unwrap();
    assert_eq!(program.says(), "ready agenttrace 5432");
    let server = PrivateServer::attach(&keep(folder.path())).unwrap();
    assert_eq!(server.outdated(), None);
    fs::remove_file(bin.join("postgres")).unwrap();
    let said = server.outdated().unwrap();
    assert!(said.contains("were removed") && said.contains("install them again"), "{said}");
    fs::copy(from.join("postgres"), bin.join("postgres")).unwrap();
    let said = server.outdated().unwrap();
    assert!(said.contains("were updated") && said.contains(&bin.display().to_string()), "{said}");
    // It answers meanwhile, and the next one is a new one.
    assert_eq!(ask(&server, "SELECT 'alive'"), "alive");
    program.leave();
    drop(server);
    let server = PrivateServer::attach(&keep(folder.path())).unwrap();
    assert_eq!(server.outdated(), None);
}

#[test]
fn the_environment_of_psql_does_not_reach_the_server() {
    let folder = scratch();
    let hostile = [
        ("PGHOST", "/nowhere"),
        ("PGPORT", "1"),
        ("PGUSER", "eve"),
        ("PGDATA", "/nowhere"),
        ("PGSSLMODE", "require"),
        ("LC_ALL", "xx_XX"),
        ("PGDATABASE", "none"),
    ];
    let mut program = Other::start_with(folder.path(), |c| c.envs(hostile)).unwrap();
    assert_eq!(program.says(), "ready agenttrace 5432");
    program.leave();
}

#[test]
fn root_works_below_a_folder_that_only_root_may_enter() {
    if !is_root() || !user_namespaces_work() {
        println!("skipped: needs root and user namespaces");
        return;
    }
    let parent = scratch();
    fs::set_permissions(parent.path(), fs::Permissions::from_mode(0o700)).unwrap();
    let folder = parent.path().join("inner");
    for _ in 0..2 {
        let server = PrivateServer::attach(&keep(&folder)).unwrap();
        assert_eq!(ask(&server, "SELECT 'alive'"), "alive");
        assert_eq!(fs::metadata(data_folder(&folder).unwrap()).unwrap().uid(), 0);
        kill(postmaster(&folder).unwrap());
        server.revive().unwrap();
        assert_eq!(ask(&server, "SELECT 'alive'"), "alive");
    }
    // The owner of the data decides, also when the path has been opened meanwhile.
    fs::set_permissions(parent.path(), fs::Permissions::from_mode(0o755)).unwrap();
    assert_eq!(ask(&PrivateServer::attach(&keep(&folder)).unwrap(), "SELECT 'alive'"), "alive");
}

#[test]
fn a_user_without_an_entry_works_and_root_can_join() {
    if !is_root() || !user_namespaces_work() {
        println!("skipped: needs root and user namespaces");
        return;
    }
    shares_with_root(NOBODY_KNOWS);
}

#[test]
fn an_ordinary_user_works_and_root_can_join() {
    if !is_root() {
        println!("skipped: needs root");
        return;
    }
    shares_with_root(65534);
}

/// The user makes the server, root joins, the user joins root's server, and everything stays the user's.
fn shares_with_root(uid: u32) {
    let parent = scratch();
    std::os::unix::fs::chown(parent.path(), Some(uid), Some(uid)).unwrap();
    let folder = parent.path().join("mine");
    let as_user = || Other::start_with(&folder, |c| c.uid(uid).gid(uid).env_remove("HOME"));
    let mut program = match as_user() {
        Ok(program) => program,
        Err(e) if e.kind() == std::io::ErrorKind::PermissionDenied => {
            println!("skipped: the test program is in a folder that uid {uid} may not enter");
            return;
        }
        Err(e) => panic!("{e}"),
    };
    assert_eq!(program.says(), "ready agenttrace 5432");
    let pid = postmaster(&folder).unwrap();
    let server = PrivateServer::attach(&keep(&folder)).unwrap();
    program.leave();
    assert_eq!(postmaster(&folder), Some(pid));
    kill(pid);
    if uid == NOBODY_KNOWS {
        // Root cannot become a user that PostgreSQL cannot look up; the user's own program starts it again.
        drop(server);
    } else {
        server.revive().unwrap();
        assert_eq!(ask(&server, "SELECT 'alive'"), "alive");
        drop(server);
    }
    let mut program = as_user().unwrap();
    assert_eq!(program.says(), "ready agenttrace 5432");
    program.leave();
    let owners: Vec<u32> =
        fs::read_dir(&folder).unwrap().flatten().map(|e| e.metadata().unwrap().uid()).collect();
    assert!(owners.iter().all(|owner| *owner == uid), "{owners:?}");
}

fn user_namespaces_work() -> bool {
    let status = Command::new("unshare").args(["--user", "true"]).stderr(Stdio::null()).status();
    status.is_ok_and(|status| status.success())
}
