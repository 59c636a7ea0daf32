//! Connection strings: what psql reaches with one, the program reaches, too.

use crate::support;
use agenttrace::server::{Options, PrivateServer, Purpose};
use sqlx::{Connection as _, Executor as _, PgConnection};
use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

const PASSWORD: &str = "Tr0ub4dor";

/// A server on a socket, 127.0.0.1 and, where the machine has it, ::1. `analyst` needs a password over TCP.
struct Everywhere {
    process: Child,
    programs: PathBuf,
    home: tempfile::TempDir,
    port: u16,
    has_v6: bool,
}

impl Everywhere {
    async fn start() -> Self {
        let home = support::scratch();
        let options = Options { folder: home.path().join("postgres"), purpose: Purpose::Keep };
        let made =
            tokio::task::spawn_blocking(move || PrivateServer::attach(&options)).await.unwrap().unwrap();
        let mut c = PgConnection::connect_with(&made.connect_options("postgres")).await.unwrap();
        let (programs, data): (String, String) = sqlx::query_as(
            "SELECT (SELECT setting FROM pg_config WHERE name = 'BINDIR'), current_setting('data_directory')",
        )
        .fetch_one(&mut c)
        .await
        .unwrap();
        for sql in ["CREATE ROLE analyst LOGIN PASSWORD 'Tr0ub4dor'", "CREATE DATABASE audit"] {
            c.execute(sql).await.unwrap();
        }
        // Whoever runs this comes in without naming a role, as on a machine of one's own.
        let user = whoami::username().unwrap();
        c.execute(sqlx::raw_sql(sqlx::AssertSqlSafe(format!("CREATE ROLE \"{user}\" LOGIN")))).await.unwrap();
        c.close().await.unwrap();
        tokio::task::spawn_blocking(move || drop(made)).await.unwrap();
        let data = PathBuf::from(data);
        fs::write(
            data.join("pg_hba.conf"),
            "local all all trust\nhost all analyst all scram-sha-256\nhost all all all trust\n",
        )
        .unwrap();
        let owner = fs::metadata(&data).unwrap();
        let run = home.path().join("run");
        fs::create_dir(&run).unwrap();
        std::os::unix::fs::chown(&run, Some(owner.uid()), Some(owner.gid())).unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let has_v6 = TcpListener::bind("[::1]:0").is_ok();
        let programs = PathBuf::from(programs);
        let mut command = Command::new(programs.join("postgres"));
        command.arg("-D").arg(&data).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let addresses = if has_v6 { "127.0.0.1,::1" } else { "127.0.0.1" };
        for setting in [
            format!("port={port}"),
            format!("listen_addresses={addresses}"),
            format!("unix_socket_directories={}", run.display()),
            "fsync=off".to_owned(),
        ] {
            command.args(["-c", &setting]);
        }
        if fs::metadata(home.path()).unwrap().uid() != owner.uid() {
            command.uid(owner.uid()).gid(owner.gid());
        }
        let process = command.current_dir("/").spawn().unwrap();
        let mut server = Self { process, programs, home, port, has_v6 };
        let reached = format!("postgres://analyst:{PASSWORD}@127.0.0.1:{port}/audit");
        while PgConnection::connect(&reached).await.is_err() {
            assert!(server.process.try_wait().unwrap().is_none(), "it did not start");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        server
    }

    /// Role, database and address that psql reaches.
    fn by_psql(&self, text: &str, env: &[(String, String)]) -> Option<String> {
        let mut psql = Command::new(self.programs.join("psql"));
        psql.args(["-XAtw", "-d", text, "-c", ASK]).env_clear().envs(env.iter().cloned());
        let output = psql.output().unwrap();
        output.status.success().then(|| String::from_utf8(output.stdout).unwrap().trim().to_owned())
    }

    /// The same of the program's options.
    async fn by_us(&self, text: &str, env: &[(String, String)]) -> Result<String, String> {
        let look_up = |name: &str| env.iter().find(|(n, _)| n == name).map(|(_, value)| value.clone());
        let secret = agenttrace::config::Secret::new(text);
        let connection = agenttrace::config::connection(&secret, &look_up).map_err(|e| format!("{e:?}"))?;
        let wanted = connection.wanted;
        let options = agenttrace::store::connection::servers::first(
            &connection.servers,
            Duration::from_secs(10),
            |read_only, standby| wanted.accepts(read_only, standby),
            wanted.is_a_preference(),
            &mut |_| {},
        )
        .await
        .map_err(|e| e.to_string())?;
        let mut c = PgConnection::connect_with(&options).await.map_err(|e| e.to_string())?;
        let answer: String = sqlx::query_scalar(ASK).fetch_one(&mut c).await.map_err(|e| e.to_string())?;
        c.close().await.unwrap();
        Ok(answer)
    }
}

const ASK: &str = "SELECT concat_ws(' ', current_user, current_database(), inet_server_addr(), \
                   current_setting('geqo'))";

impl Drop for Everywhere {
    fn drop(&mut self) {
        // The immediate shutdown, which takes its children along.
        let _ = Command::new("kill").args(["-QUIT", &self.process.id().to_string()]).status();
        let _ = self.process.wait();
    }
}

fn write_private(path: &Path, text: &str) {
    fs::write(path, text).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
}

#[tokio::test]
async fn the_program_reaches_what_psql_reaches() {
    let server = Everywhere::start().await;
    let (port, home) = (server.port, server.home.path().to_path_buf());
    let run = home.join("run").display().to_string();
    let run_in_host = run.replace('/', "%2F");
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    write_private(&home.join("pw"), &format!("*:*:*:analyst:{PASSWORD}\n"));
    write_private(
        &home.join(".pg_service.conf"),
        &format!(
            "[aud]\nhost=127.0.0.1\nport={port}\ndbname=audit\nuser=analyst\n[sock]\nhost={run}\nport={port}\n"
        ),
    );
    let pw = home.join("pw").display().to_string();
    let base = [("HOME", home.to_str().unwrap()), ("PGPASSWORD", PASSWORD)];
    let port_text = port.to_string();
    let with = |more: &[(&str, &str)], without: &str| -> Vec<(String, String)> {
        let all = base.iter().chain(more).filter(|(name, _)| *name != without);
        all.map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    };
    let usual = with(&[], "");
    let mut table: Vec<(String, Vec<(String, String)>)> = [
        format!("postgres://analyst@127.0.0.1:{port}/audit"),
        format!("postgresql://analyst@localhost:{port}/audit"),
        format!("postgres://analyst@127.0.0.1:{port}/audit?"),
        format!("postgres://analyst@127.0.0.1:{port}"),
        format!("postgres://127.0.0.1:{port}/audit"),
        format!("postgres://127.0.0.1:{port}?dbname=audit&user=analyst"),
        format!("postgres://analyst@/audit?host={run}&port={port}"),
        format!("postgres:///audit?host={run}&port={port}"),
        format!("postgres://{run_in_host}:{port}/audit"),
        format!("postgres://analyst@{run_in_host}:{port}/audit?sslmode=verify-full"),
        format!("postgres://a:b@127.0.0.1:{port}/x?user=analyst&dbname=audit&password={PASSWORD}"),
        format!("postgres://analyst:wrong@127.0.0.1:{port}/audit"),
        format!("postgres://analyst:Tr0ub%34dor@127.0.0.1:{port}/audit"),
        format!("postgres://analyst@127.0.0.1:{port}/a%75dit"),
        format!("postgres://analyst@127.0.0.1:{port}/a%zzudit"),
        format!("postgres://analyst@127.0.0.1:{port}/audit?sslmod=disable"),
        format!("postgres://analyst@127.0.0.1:{port}/audit?sslmode=disable"),
        format!("postgres://analyst@127.0.0.1:{port}/audit?sslmode=on"),
        format!("postgres://analyst@127.0.0.1:{port}/audit?sslmode=require"),
        format!("postgres://analyst@127.0.0.1:{port}/audit?options=-c%20geqo%3Doff"),
        format!("postgres://analyst@127.0.0.1:{port}/audit?options=-cgeqo%3Doff&application_name=x"),
        format!("postgres://analyst@127.0.0.1:{port}/audit?target_session_attrs=read-only"),
        format!("postgres://analyst@127.0.0.1:{port}/audit?target_session_attrs=read-write"),
        format!("postgres://analyst@127.0.0.1:{port}/audit?target_session_attrs=standby"),
        format!("postgres://analyst@127.0.0.1:{port}/audit?target_session_attrs=prefer-standby"),
        format!("postgres://analyst@127.0.0.1:{port}/audit?target_session_attrs=master"),
        format!("postgres://analyst@127.0.0.1:{closed},127.0.0.1:{port}/audit"),
        format!("postgres://analyst@127.0.0.1:{closed}/audit"),
        format!("postgres://analyst@127.0.0.1,localhost:{port}/audit?port={closed},{port}"),
        "postgres://analyst@127.0.0.1:x/audit".to_owned(),
        format!("postgres://analyst@127.0.0.1:{port}/audit?connect_timeout=3&keepalives=0"),
        format!("postgres://analyst@127.0.0.1:{port}/audit?connect_timeout=soon"),
        format!("postgres://analyst@nope.invalid:{port}/audit?hostaddr=127.0.0.1&sslmode=disable"),
        format!("host=127.0.0.1 port={port} dbname=audit user=analyst"),
        format!("host = 127.0.0.1 port = '{port}' dbname='audit' user=analyst"),
        format!("host=127.0.0.1 port={port} dbname=audit user=analyst password='Tr0ub\\4dor'"),
        format!("host=127.0.0.1 port={port} dbname=audit user=analyst options='-c geqo=off'"),
        format!("host=127.0.0.1 port={port} dbname=audit user='analyst"),
        format!("host=127.0.0.1 port={port} databse=audit user=analyst"),
        format!("host={run} port={port} dbname=audit"),
        format!("hostaddr=127.0.0.1 port={port} dbname=audit user=analyst"),
        format!("host=127.0.0.1,127.0.0.1 port={closed},{port} dbname=audit user=analyst"),
        format!("host=127.0.0.1,127.0.0.1 port={closed},{port},1 dbname=audit user=analyst"),
        "service=aud".to_owned(),
        "postgres:///?service=aud".to_owned(),
        "postgres://?service=sock&dbname=audit".to_owned(),
        "service=nope".to_owned(),
        "service=aud dbname=postgres".to_owned(),
    ]
    .into_iter()
    .map(|text| (text, usual.clone()))
    .collect();
    for (text, more, without) in [
        (format!("postgres://analyst@127.0.0.1:{port}/audit?passfile={pw}"), &[][..], "PGPASSWORD"),
        (format!("postgres://analyst@127.0.0.1:{port}/audit"), &[("PGPASSFILE", &pw[..])], "PGPASSWORD"),
        (format!("postgres://analyst@127.0.0.1:{port}/audit"), &[], "PGPASSWORD"),
        (
            "postgres://".to_owned(),
            &[("PGHOST", "127.0.0.1"), ("PGPORT", &port_text), ("PGUSER", "analyst")],
            "",
        ),
        (
            "postgres://".to_owned(),
            &[("PGHOST", &run[..]), ("PGPORT", &port_text), ("PGDATABASE", "audit")],
            "",
        ),
        ("postgres://".to_owned(), &[("PGSERVICE", "aud")], ""),
        ("postgres://bob@".to_owned(), &[("PGSERVICE", "sock"), ("PGDATABASE", "audit")], ""),
        (format!("host={run} port={port}"), &[("PGDATABASE", "audit"), ("PGSSLMODE", "disable")], ""),
        (format!("postgres://analyst@127.0.0.1:{port}/audit"), &[("PGSSLMODE", "on")], ""),
        (format!("postgres://analyst@127.0.0.1:{port}/audit"), &[("PGTARGETSESSIONATTRS", "read-only")], ""),
    ] {
        table.push((text, with(more, without)));
    }
    if server.has_v6 {
        for text in [
            format!("postgres://analyst@[::1]:{port}/audit?sslmode=disable"),
            format!("postgres://analyst@[::1]:{port}/audit"),
            format!("host=::1 port={port} dbname=audit user=analyst"),
            format!("postgres://analyst@127.0.0.1:{closed},[::1]:{port}/audit"),
        ] {
            table.push((text, usual.clone()));
        }
    }
    let (mut wrong, mut reached) = (Vec::new(), 0);
    for (text, env) in &table {
        let (psql, ours) = (server.by_psql(text, env), server.by_us(text, env).await);
        reached += usize::from(psql.is_some());
        if psql.as_ref() != ours.as_ref().ok() {
            wrong.push(format!("{text} {env:?}\n  psql {psql:?}\n  ours {ours:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(reached > table.len() / 2 && reached < table.len(), "{reached} of {}", table.len());
}

/// Exit code and everything written by `agenttrace db status` at a home of its own.
fn status(home: &support::Home, arguments: &[&str], env: &[(&str, &str)]) -> (i32, String) {
    let mut program = home.agenttrace();
    program.args(arguments).args(["db", "status"]).envs(env.iter().copied());
    let output = program.output().unwrap();
    let text = [output.stdout, output.stderr].concat();
    let text = String::from_utf8(text).unwrap();
    assert!(!text.contains(PASSWORD), "{text}");
    (output.status.code().unwrap(), text)
}

#[tokio::test]
async fn what_cannot_be_reached_is_said_in_words() {
    let server = Everywhere::start().await;
    let home = support::Home::new();
    let at = format!("postgres://analyst@127.0.0.1:{}/audit", server.port);
    let told = |more: &str, env: &[(&str, &str)]| {
        let url = format!("{at}{more}");
        status(&home, &["--database-url", &url], env)
    };
    // There is no table: exit 1, and who is connected where.
    let (code, text) = told("", &[("PGPASSWORD", PASSWORD)]);
    assert!(code == 1 && text.contains("audit as analyst"), "{text}");
    let (code, text) = told("?sslmod=disable", &[]);
    assert!(
        code == 2 && text.contains("unknown parameter 'sslmod'") && text.contains("did you mean 'sslmode'?"),
        "{text}"
    );
    let (code, text) = told("?target_session_attrs=read-only", &[("PGPASSWORD", PASSWORD)]);
    assert!(code == 3 && text.contains("not of the kind that target_session_attrs asks for"), "{text}");
    let (code, text) = told("?sslmode=verify-full&sslrootcert=/nope.crt", &[]);
    assert!(code == 2 && text.contains("sslrootcert: /nope.crt: "), "{text}");

    let pgpass = home.path().join(".pgpass");
    write_private(&pgpass, &format!("*:*:*:analyst:{PASSWORD}\n"));
    assert_eq!(told("", &[]).0, 1);
    fs::set_permissions(&pgpass, fs::Permissions::from_mode(0o644)).unwrap();
    let (code, text) = told("", &[]);
    assert!(
        code == 3 && text.contains(".pgpass is ignored: others can read or write it (mode 0644)"),
        "{text}"
    );

    let port = server.port.to_string();
    fs::write(
        home.path().join(".pg_service.conf"),
        format!("[aud]\nhost=127.0.0.1\nport={port}\ndbname=audit\nuser=analyst\n"),
    )
    .unwrap();
    let (code, text) = status(&home, &[], &[("PGSERVICE", "aud"), ("PGPASSWORD", PASSWORD)]);
    assert!(code == 1 && text.contains("audit as analyst"), "{text}");
}

#[tokio::test]
async fn a_program_can_give_the_password() {
    let server = Everywhere::start().await;
    let home = support::Home::new();
    let file = home.path().join("c.toml");
    let with = |url: &str, command: &str| {
        fs::write(&file, format!("[profiles.p]\ndatabase_url = \"{url}\"\npassword_command = {command}\n"))
            .unwrap();
        // It outranks the environment.
        status(&home, &["--config", file.to_str().unwrap(), "--profile", "p"], &[("PGPASSWORD", "wrong")])
    };
    let url = format!("postgres://analyst@127.0.0.1:{}/audit", server.port);
    let (code, text) = with(&url, &format!("[\"printf\", \"{PASSWORD}\\\\nmore\"]"));
    assert!(code == 1 && text.contains("audit as analyst"), "{text}");
    // It is told which.
    let asked = format!(
        "test $PGUSER@$PGHOST:$PGPORT/$PGDATABASE = analyst@127.0.0.1:{}/audit && echo {PASSWORD}",
        server.port
    );
    let (code, text) = with(&url, &format!("[\"sh\", \"-c\", \"{asked}\"]"));
    assert!(code == 1 && text.contains("audit as analyst"), "{text}");
    // No shell unless one is named.
    let (code, text) = with(&url, "[\"echo password\"]");
    assert!(code == 3 && text.contains("cannot be run"), "{text}");
    let (code, text) = with(&url, "[\"false\"]");
    assert!(code == 3 && text.contains("password_command ('false')") && text.contains("it failed"), "{text}");
    let (code, text) = with(&url, "[\"true\"]");
    assert!(code == 3 && text.contains("it printed no password"), "{text}");
    let (code, text) = with(&url.replace("analyst@", &format!("analyst:{PASSWORD}@")), "[\"true\"]");
    assert!(code == 2 && text.contains("keep one of them"), "{text}");
    let (code, text) = with(&url, "[]");
    assert!(code == 2 && text.contains("the first element is the program to run"), "{text}");
}
