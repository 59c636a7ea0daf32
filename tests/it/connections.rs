//! Encrypted connections, with a real server and certificates of its own; and passwords, which are shown nowhere.

use crate::support;
use agenttrace::config::{Secret, Target};
use agenttrace::server::{Options, PrivateServer, Purpose};
use agenttrace::store::{ReadDb, ReadSettings, StoreError, WriteDb};
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{Connection as _, Executor as _};
use std::fs::{self, Permissions};
use std::net::TcpListener;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// A PostgreSQL that listens on 127.0.0.1 with TLS. Its certificate names `localhost`, signed by `authority`.
struct TlsServer {
    process: Child,
    authority: PathBuf,
    port: u16,
    data: PathBuf,
    home: tempfile::TempDir,
}

impl TlsServer {
    /// `None` where there is no openssl to make certificates with.
    async fn start() -> Option<Self> {
        let home = support::scratch();
        let folder = home.path().join("postgres");
        let authority = home.path().join("authority.pem");
        make_certificates(home.path())?;
        // Made and configured as private servers are, then run by other rules.
        let options = Options { folder, purpose: Purpose::Keep };
        let server =
            tokio::task::spawn_blocking(move || PrivateServer::attach(&options)).await.unwrap().unwrap();
        let mut c = PgConnection::connect_with(&server.connect_options("postgres")).await.unwrap();
        let (programs, data): (String, String) = sqlx::query_as(
            "SELECT (SELECT setting FROM pg_config WHERE name = 'BINDIR'), current_setting('data_directory')",
        )
        .fetch_one(&mut c)
        .await
        .unwrap();
        c.execute("ALTER SYSTEM SET ssl = on").await.unwrap();
        c.close().await.unwrap();
        tokio::task::spawn_blocking(move || drop(server)).await.unwrap();

        let data = PathBuf::from(data);
        let owner = fs::metadata(&data).unwrap();
        for name in ["server.crt", "server.key"] {
            fs::copy(home.path().join(name), data.join(name)).unwrap();
            fs::set_permissions(data.join(name), Permissions::from_mode(0o600)).unwrap();
            chown(data.join(name), Some(owner.uid()), Some(owner.gid())).unwrap();
        }
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut command = Command::new(Path::new(&programs).join("postgres"));
        command.arg("-D").arg(&data).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        for setting in
            [&format!("port={port}"), "listen_addresses=127.0.0.1", "unix_socket_directories=", "fsync=off"]
        {
            command.args(["-c", setting]);
        }
        if fs::metadata(home.path()).unwrap().uid() != owner.uid() {
            command.uid(owner.uid()).gid(owner.gid());
        }
        let process = command.current_dir("/").spawn().unwrap();
        let mut server = Self { process, authority, port, data, home };
        while PgConnection::connect(&server.url("sslmode=disable")).await.is_err() {
            assert!(server.process.try_wait().unwrap().is_none(), "it did not start");
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
        Some(server)
    }

    /// Makes it show another certificate from now on.
    async fn serve(&self, name: &str) {
        for kind in ["crt", "key"] {
            let to = self.data.join(format!("server.{kind}"));
            // Written in place: owner and mode stay.
            fs::write(to, fs::read(self.home.path().join(format!("{name}.{kind}"))).unwrap()).unwrap();
        }
        let mut c = PgConnection::connect(&self.url("sslmode=disable")).await.unwrap();
        c.execute("SELECT pg_reload_conf()").await.unwrap();
        c.close().await.unwrap();
        tokio::time::sleep(std::time::Duration::from_millis(300)).await;
    }

    fn url(&self, parameters: &str) -> String {
        format!(
            "postgres://agenttrace@localhost:{}/postgres?hostaddr=127.0.0.1&host=localhost&{parameters}",
            self.port
        )
    }
}

impl Drop for TlsServer {
    fn drop(&mut self) {
        // The immediate shutdown, which takes its children along.
        let pid = self.process.id().to_string();
        let _ = Command::new("kill").args(["-QUIT", &pid]).status();
        let _ = self.process.wait();
    }
}

/// An authority, and a certificate of it for `localhost`.
fn make_certificates(folder: &Path) -> Option<()> {
    let openssl = |arguments: &str| {
        let done = Command::new("openssl").args(arguments.split(' ')).current_dir(folder).output().ok()?;
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        Some(())
    };
    fs::write(folder.join("names"), "subjectAltName=DNS:localhost\nbasicConstraints=CA:FALSE\n").unwrap();
    let key = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes";
    openssl(&format!(
        "req -x509 {key} -keyout authority.key -out authority.pem -subj /CN=test-authority -days 2"
    ))?;
    openssl(&format!("req {key} -keyout server.key -out server.csr -subj /CN=localhost"))?;
    // As PostgreSQL's manual has it: an authority of its own.
    openssl(&format!(
        "req -x509 {key} -keyout self.key -out self.crt -subj /CN=localhost -days 2 \
         -addext subjectAltName=DNS:localhost"
    ))?;
    // Without extensions OpenSSL makes version 1 of it, up to its own version 3.1.
    openssl(
        "x509 -req -in server.csr -CA authority.pem -CAkey authority.key -CAcreateserial -out old.crt -days 2",
    )?;
    fs::copy(folder.join("server.key"), folder.join("old.key")).unwrap();
    openssl(
        "x509 -req -in server.csr -CA authority.pem -CAkey authority.key -CAcreateserial -out server.crt -days 2 \
         -extfile names",
    )
}

/// A certificate of the authority for a client, whose name is that of a role, and another of nobody's.
fn make_client_certificates(folder: &Path, role: &str) {
    let openssl = |arguments: &str| {
        let done = Command::new("openssl").args(arguments.split(' ')).current_dir(folder).output().unwrap();
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    };
    fs::write(folder.join("of_clients"), "basicConstraints=CA:FALSE\nextendedKeyUsage=clientAuth\n").unwrap();
    for (file, name) in [("client", role), ("stranger", "mallory")] {
        openssl(&format!(
            "req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout {file}.key -out {file}.csr -subj /CN={name}"
        ));
        openssl(&format!(
            "x509 -req -in {file}.csr -CA authority.pem -CAkey authority.key -CAcreateserial -out {file}.crt -days 2 \
             -extfile of_clients"
        ));
        fs::set_permissions(folder.join(format!("{file}.key")), Permissions::from_mode(0o600)).unwrap();
    }
}

async fn reach(url: &str) -> Result<ReadDb, StoreError> {
    let mut connection = agenttrace::config::connection(&Secret::new(url), &|_| None).unwrap();
    let options = connection.servers.remove(0);
    ReadDb::connect(options, ReadSettings::default()).await
}

#[tokio::test]
async fn a_server_has_to_prove_its_name() {
    let Some(server) = TlsServer::start().await else {
        println!("skipped: there is no openssl");
        return;
    };
    let authority = server.authority.display().to_string();
    let verified = server.url(&format!("sslmode=verify-full&sslrootcert={authority}"));
    reach(&verified).await.unwrap();
    let mut c = PgConnection::connect(&verified).await.unwrap();
    let encrypted: bool = sqlx::query_scalar("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()")
        .fetch_one(&mut c)
        .await
        .unwrap();
    assert!(encrypted);

    let unknown = reach(&server.url("sslmode=verify-full")).await.unwrap_err();
    assert!(matches!(&unknown, StoreError::Certificate(why) if why.contains("UnknownIssuer")), "{unknown:?}");
    let other = verified.replace("@localhost:", "@127.0.0.1:").replace("&host=localhost", "");
    let other = reach(&other).await.unwrap_err();
    assert!(
        matches!(&other, StoreError::Certificate(why) if why.contains("not valid for name")),
        "{other:?}"
    );
    // Whoever asks for less gets it.
    reach(&server.url("sslmode=require")).await.unwrap();

    // What a person sees.
    let program = |url: &str| {
        let mut program = support::agenttrace();
        let output = program.args(["events"]).env("AGENTTRACE_DATABASE_URL", url).output().unwrap();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    let (code, text) = program(&server.url("sslmode=verify-full"));
    assert_eq!(code, Some(3), "{text}");
    assert!(text.contains("certificate is not accepted") && text.contains("sslrootcert=FILE"), "{text}");

    // Certificates as people make them.
    server.serve("old").await;
    let (code, text) = program(&server.url("sslmode=require"));
    assert_eq!(code, Some(3), "{text}");
    assert!(text.contains("X.509 version 1") && text.contains("docs/guide/connecting.md"), "{text}");
    let (_, text) = program(&server.url("sslmode=prefer"));
    assert!(text.contains("the connection is not encrypted (sslmode=prefer)"), "{text}");
    assert!(!text.contains("X.509"), "{text}");
    // What then asks for a password in plain text is told before it gets one. (The rules are in force after the reload.)
    let (rules, trusting) = (server.data.join("pg_hba.conf"), "host all all all trust\n");
    fs::write(&rules, "hostssl all all all trust\nhostnossl all all all password\n").unwrap();
    server.serve("old").await;
    let (code, text) = program(&server.url("sslmode=prefer").replace("agenttrace@", "agenttrace:sesame@"));
    assert_eq!(code, Some(3), "{text}");
    let warning = format!("warning: what listens at 127.0.0.1:{} has no TLS", server.port);
    assert!(text.contains(&warning) && text.contains("asks for the password in plain text"), "{text}");
    fs::write(&rules, trusting).unwrap();
    let pid = server.process.id().to_string();
    assert!(Command::new("kill").args(["-HUP", &pid]).status().unwrap().success());
    tokio::time::sleep(std::time::Duration::from_millis(500)).await;
    server.serve("self").await;
    let itself = server.home.path().join("self.crt").display().to_string();
    let (code, text) = program(&server.url(&format!("sslmode=verify-full&sslrootcert={itself}")));
    assert_eq!(code, Some(3), "{text}");
    assert!(text.contains("it is the certificate of an authority (CA:TRUE)"), "{text}");
    reach(&server.url("sslmode=require")).await.unwrap();
    reach(&server.url("sslmode=prefer")).await.unwrap();

    c.execute("ALTER SYSTEM SET ssl = off").await.unwrap();
    c.execute("SELECT pg_reload_conf()").await.unwrap();
    c.close().await.unwrap();
    // New connections follow the setting as soon as the server has read it.
    while !matches!(reach(&verified).await, Err(StoreError::NotEncrypted)) {
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    let (code, text) = program(&verified);
    assert_eq!(code, Some(3), "{text}");
    assert!(
        text.contains("does not offer an encrypted connection") && text.contains("sslmode=disable"),
        "{text}"
    );
}

#[tokio::test]
async fn a_server_that_asks_for_a_clients_certificate_gets_it() {
    let Some(server) = TlsServer::start().await else {
        println!("skipped: there is no openssl");
        return;
    };
    let at = server.home.path();
    make_client_certificates(at, "agenttrace");
    let data = &server.data;
    let owner = fs::metadata(data).unwrap();
    fs::copy(&server.authority, data.join("root.crt")).unwrap();
    chown(data.join("root.crt"), Some(owner.uid()), Some(owner.gid())).unwrap();
    // Certificates in place of a password; local connections are ours to configure by.
    fs::write(data.join("pg_hba.conf"), "hostssl all all all cert clientcert=verify-full\n").unwrap();
    let verified = server.url(&format!("sslmode=verify-full&sslrootcert={}", server.authority.display()));
    let mut c = PgConnection::connect(&verified).await.unwrap();
    c.execute("ALTER SYSTEM SET ssl_ca_file = 'root.crt'").await.unwrap();
    c.execute("SELECT pg_reload_conf()").await.unwrap();
    let program = |name: &str| {
        let mut url = verified.clone();
        if !name.is_empty() {
            let file = at.join(name).display().to_string();
            url = format!("{url}&sslcert={file}.crt&sslkey={file}.key");
        }
        let mut program = support::agenttrace();
        let output = program.args(["db", "status"]).env("AGENTTRACE_DATABASE_URL", url).output().unwrap();
        let text = [output.stdout, output.stderr].concat();
        (output.status.code(), String::from_utf8(text).unwrap())
    };
    // New connections follow the setting as soon as the server has read it.
    while reach(&verified).await.is_ok() {
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    let (code, text) = program("client");
    // There is no table: exit 1, and who is connected where.
    assert!(code == Some(1) && text.contains("as agenttrace"), "{text}");
    for (name, why) in [("", "certificate"), ("stranger", "certificate")] {
        let (code, text) = program(name);
        assert!(code == Some(3) && text.contains(why), "{name}: {text}");
    }
    let (code, text) = program("absent");
    assert!(code == Some(2) && text.contains("absent.crt"), "{text}");
    c.close().await.unwrap();
}

#[tokio::test]
async fn errors_are_told_apart_by_their_code_whatever_their_language() {
    let database = support::database().await;
    let mut c = PgConnection::connect_with(&database.options).await.unwrap();
    type Told = fn(&StoreError) -> bool;
    let told: [(&str, Told); 4] = [
        ("40001", |e| matches!(e, StoreError::ReplicaConflict)),
        ("25P04", |e| e.is_connection_loss() && e.to_string().contains("Grund (SQLSTATE 25P04)")),
        ("57P04", StoreError::is_connection_loss),
        ("42501", |e| matches!(e, StoreError::Database(_))),
    ];
    for (code, is_told) in told {
        let sql = format!("DO $$ BEGIN RAISE EXCEPTION 'Grund' USING ERRCODE = '{code}'; END $$");
        let error = c.execute(sqlx::raw_sql(sqlx::AssertSqlSafe(sql))).await.unwrap_err();
        let error = StoreError::from(error);
        assert!(is_told(&error), "{code}: {error:?}");
    }
    c.close().await.unwrap();
    database.drop_now().await;
}

#[tokio::test]
async fn a_command_takes_no_longer_than_it_may() {
    let database = support::database().await;
    crate::timeline::fill(&database.options, 2_000, 1).await;
    let run = |args: &[&str]| {
        let mut program = support::agenttrace();
        let begun = std::time::Instant::now();
        let output =
            program.args(["--database-url", &database.url(), "--org", "o-1"]).args(args).output().unwrap();
        let text = String::from_utf8(output.stderr).unwrap();
        (output.status.code().unwrap(), text, begun.elapsed().as_secs())
    };
    // 2 000 events at 100 a second.
    let (code, text, took) = run(&["verify", "--throttle", "100", "--timeout", "1s"]);
    assert_eq!(code, 3, "{text}");
    assert!(text.contains("took longer than --timeout 1s and was stopped") && took < 15, "{took} s: {text}");
    // A lock that somebody holds, before a command that looks at no token.
    let mut c = PgConnection::connect_with(&database.options).await.unwrap();
    c.execute("BEGIN; LOCK TABLE _sqlx_migrations").await.unwrap();
    let (code, text, took) = run(&["db", "migrate", "--timeout", "1s"]);
    assert_eq!(code, 3, "{text}");
    assert!(text.contains("--timeout 1s") && took < 20, "{took} s: {text}");
    c.close().await.unwrap();
    assert_eq!(run(&["verify", "--timeout", "soon"]).0, 2);
    assert_eq!(run(&["events", "--timeout", "1min"]).0, 0);
    database.drop_now().await;
}

#[tokio::test]
async fn passwords_are_in_no_output() {
    const PASSWORD: &str = "Tr0ub4dor";
    let database = support::database().await;
    let options = database.options.clone().password(PASSWORD);
    let read = ReadDb::connect(options.clone(), ReadSettings::default()).await.unwrap();
    let write = WriteDb::connect(options.clone()).await.unwrap();
    let target = Target {
        place: String::new(),
        options: options.clone(),
        replica: None,
        connect_timeout: None,
        label: "x".to_owned(),
        production: false,
        warnings: Vec::new(),
        server: None,
    };
    let shown = format!("{read:?} {read:#?} {write:?} {write:#?} {target:?} {target:#?}");
    assert!(shown.contains("ReadDb") && !shown.contains(PASSWORD), "{shown}");

    // Errors: of the server, of the way there, of the URL. Nothing listens on port 1.
    let nobody: PgConnectOptions = options.clone().username("at_nobody_of_that_name");
    for error in [
        ReadDb::connect(nobody, ReadSettings::default()).await.unwrap_err(),
        reach(&format!("postgres://u:{PASSWORD}@127.0.0.1:1/d")).await.unwrap_err(),
    ] {
        let text = format!("{error} {error:?} {error:#?}");
        assert!(!text.contains(PASSWORD), "{text}");
    }
    for (url, code) in [
        (format!("postgres://u:{PASSWORD}@127.0.0.1:1/d"), 3),
        (format!("postgres://u:x/{PASSWORD}@127.0.0.1:1/d"), 2),
        (format!("host=127.0.0.1 port=1 password={PASSWORD}"), 3),
        (format!("host=127.0.0.1 port=1 password='{PASSWORD}"), 2),
        (format!("host=127.0.0.1 port=1 pasword={PASSWORD}"), 2),
        (format!("postgres://u@127.0.0.1:1/d?sslmode={PASSWORD}"), 2),
    ] {
        for command in [&["events"][..], &["db", "migrate"]] {
            let mut program = support::agenttrace();
            let output = program.args(command).env("AGENTTRACE_DATABASE_URL", &url).output().unwrap();
            let text = format!(
                "{}{}",
                String::from_utf8_lossy(&output.stdout),
                String::from_utf8_lossy(&output.stderr)
            );
            assert!(!text.contains(PASSWORD), "{text}");
            assert_eq!(output.status.code(), Some(code), "{text}");
        }
    }
    for url in [format!("postgres://u:{PASSWORD}@h/d"), format!("postgres://u@h/d?password={PASSWORD}")] {
        let output = support::agenttrace().args(["events", "--database-url", &url]).output().unwrap();
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(text.contains("carries a password") && !text.contains(PASSWORD), "{text}");
        assert_eq!(output.status.code(), Some(2));
    }
    read.close().await;
    write.close().await;
    database.drop_now().await;
}
