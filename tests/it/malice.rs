//! Servers that do not keep to the protocol, and poolers that do not keep to their word: an error in one line and exit 3
//! (or 4), in bounded time and memory, whatever they answer.
//!
//! A proxy stands before the tests' server and spoils what that says.

use crate::cancel::{FILL, SLOW};
use crate::support::{self, Home, TestDatabase};
use crate::timeline::{never, query};
use crate::trust::{READING, fill};

use agenttrace::store::listing::timeline;
use agenttrace::store::query::Seek;
use agenttrace::store::{ReadDb, ReadSettings};
use sqlx::Connection as _;
use sqlx::postgres::PgConnection;
use std::fs;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{UnixListener, UnixStream};

/// What is done to the answers, from the first of them that it can be done to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Trick {
    /// Bytes that are no message.
    Garbage,
    /// The connection ends in the middle of a message.
    Cut,
    /// A message of a kind that there is not.
    UnknownKind,
    /// A message that is shorter than its own length.
    ShortLength,
    /// A row with so many columns.
    Columns(u16),
    /// A row whose first value has this length.
    ValueLength(i32),
    /// Other types than were asked for.
    Types,
    /// Names of columns that are no text.
    Names,
    /// An error without an end.
    OpenError,
    /// An error whose text is for the terminal.
    HostileError,
    /// COPY where nobody asked for it.
    Copy,
    /// Nothing any more.
    Silence,
    /// A message of 4 GiB is announced.
    Announced,
    /// A message of 4 GiB is announced, and comes.
    Flood,
    /// The same row for ever.
    Rows,
    /// Notices for ever.
    Notices,
    /// The end of the answer for ever.
    Ends,
    /// Parameters for ever, each of another name.
    Parameters,
}

/// What breaks at once.
const QUICK: [Trick; 13] = [
    Trick::Garbage,
    Trick::Cut,
    Trick::UnknownKind,
    Trick::ShortLength,
    Trick::Columns(0),
    Trick::Columns(300),
    Trick::ValueLength(i32::MAX),
    Trick::ValueLength(-5),
    Trick::Types,
    Trick::Names,
    Trick::OpenError,
    Trick::HostileError,
    Trick::Copy,
];
/// What goes on until a limit.
const ENDLESS: [Trick; 7] = [
    Trick::Silence,
    Trick::Announced,
    Trick::Flood,
    Trick::Rows,
    Trick::Notices,
    Trick::Ends,
    Trick::Parameters,
];

/// What is sent instead of a message.
enum Answer {
    Once(Vec<u8>),
    /// Then the connection ends.
    Last(Vec<u8>),
    /// Then nothing.
    Hang(Vec<u8>),
    /// The first, and the second for ever.
    Forever(Vec<u8>, Vec<u8>),
}

fn message(kind: u8, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len() + 4).unwrap();
    [&[kind][..], &length.to_be_bytes(), body].concat()
}

impl Trick {
    /// `None` where this message is left as it is.
    fn answer(self, kind: u8, body: &[u8], nth: usize) -> Option<Answer> {
        let row = kind == b'D' && body.len() > 6;
        let whole = || message(kind, body);
        Some(match self {
            Self::Garbage => Answer::Last((0..200_u8).map(|n| n.wrapping_mul(37) ^ 0xa5).collect()),
            Self::Cut => {
                let mut bytes = whole();
                bytes.truncate(bytes.len() / 2);
                Answer::Last(bytes)
            }
            Self::UnknownKind => Answer::Once(message(b'!', b"what\0")),
            Self::ShortLength => Answer::Last(vec![kind, 0, 0, 0, 2, 0, 0]),
            Self::Columns(n) if row => {
                Answer::Once(message(kind, &[&n.to_be_bytes()[..], &body[2..]].concat()))
            }
            Self::ValueLength(n) if row => {
                Answer::Once(message(kind, &[&body[..2], &n.to_be_bytes(), &body[6..]].concat()))
            }
            Self::Types if kind == b'T' => Answer::Once(message(kind, &with_types(body))),
            Self::Names if kind == b'T' => {
                let end = body.iter().skip(2).position(|byte| *byte == 0).unwrap_or(0) + 2;
                Answer::Once(message(kind, &[&body[..2], &[0xff, 0xfe, 0xc0], &body[end..]].concat()))
            }
            Self::OpenError => Answer::Last(message(b'E', b"SERROR\0Mno end")),
            Self::HostileError => {
                let text = "\u{1b}]0;owned\u{7}\u{9b}31m\u{202e}line\nline\r\u{1b}[2J".repeat(200);
                let body = [b"SERROR\0VERROR\0C42P01\0M".as_slice(), text.as_bytes(), b"\0\0"].concat();
                Answer::Last(message(b'E', &body))
            }
            Self::Copy if kind == b'T' => Answer::Once(message(b'H', &[1, 0, 0])),
            Self::Silence => Answer::Hang(Vec::new()),
            Self::Announced => Answer::Hang(vec![b'D', 0xff, 0xff, 0xff, 0xf0, 0, 1]),
            Self::Flood => Answer::Forever(vec![b'D', 0xff, 0xff, 0xff, 0xf0], vec![0; 1 << 16]),
            Self::Rows if row => Answer::Forever(Vec::new(), whole().repeat(50)),
            Self::Notices => {
                let notice = message(b'N', b"SNOTICE\0VNOTICE\0C00000\0Mhere is one more\0\0");
                Answer::Forever(Vec::new(), notice.repeat(100))
            }
            Self::Ends => Answer::Forever(Vec::new(), message(b'Z', b"I").repeat(1000)),
            // Distinct names are made where it is sent.
            Self::Parameters => Answer::Forever(Vec::new(), format!("{nth}").into_bytes()),
            _ => return None,
        })
    }
}

/// A description of rows in which every column is of type `bool`, or `int4`, in turn.
fn with_types(body: &[u8]) -> Vec<u8> {
    let (mut out, mut at) = (body[..2].to_vec(), 2);
    let mut turn = 0;
    while at < body.len() {
        let end = at + body[at..].iter().position(|byte| *byte == 0).unwrap() + 1;
        out.extend_from_slice(&body[at..end + 6]);
        let oid: u32 = if turn % 2 == 0 { 16 } else { 23 };
        out.extend_from_slice(&oid.to_be_bytes());
        out.extend_from_slice(&body[end + 10..end + 18]);
        at = end + 18;
        turn += 1;
    }
    out
}

/// A proxy that plays a trick once so many answers have ended well on a connection.
struct Spoiler {
    home: tempfile::TempDir,
    /// How often it was played.
    played: Arc<AtomicUsize>,
}

impl Spoiler {
    fn before(database: &TestDatabase, trick: Trick, after: usize) -> Option<Self> {
        let port = database.options.get_port();
        let server = database.options.get_socket()?.join(format!(".s.PGSQL.{port}"));
        let home = support::scratch();
        let listener = UnixListener::bind(home.path().join(format!(".s.PGSQL.{port}"))).unwrap();
        let played = Arc::new(AtomicUsize::new(0));
        let count = played.clone();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let server = UnixStream::connect(&server).await.unwrap();
                let (mut from_client, to_client) = client.into_split();
                let (from_server, mut to_server) = server.into_split();
                tokio::spawn(async move { tokio::io::copy(&mut from_client, &mut to_server).await });
                let count = count.clone();
                tokio::spawn(async move {
                    // A client that has had enough closes the connection.
                    let _ = spoil(from_server, to_client, trick, after, &count).await;
                });
            }
        });
        Some(Self { home, played })
    }

    fn url(&self, database: &TestDatabase) -> String {
        let folder = self.home.path().to_str().unwrap().replace('/', "%2F");
        let (user, port) = (database.options.get_username(), database.options.get_port());
        format!("postgres://{user}@localhost:{port}/{}?host={folder}", database.name)
    }
}

async fn spoil(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    trick: Trick,
    after: usize,
    played: &AtomicUsize,
) -> std::io::Result<()> {
    let mut ended = 0;
    loop {
        let kind = from.read_u8().await?;
        let length = from.read_u32().await?;
        let mut body = vec![0; length as usize - 4];
        from.read_exact(&mut body).await?;
        let answer = if ended >= after { trick.answer(kind, &body, ended) } else { None };
        ended += usize::from(kind == b'Z');
        let Some(answer) = answer else {
            to.write_all(&message(kind, &body)).await?;
            continue;
        };
        played.fetch_add(1, Ordering::SeqCst);
        match answer {
            Answer::Once(bytes) => to.write_all(&bytes).await?,
            Answer::Last(bytes) => {
                to.write_all(&bytes).await?;
                return to.shutdown().await;
            }
            Answer::Hang(bytes) => {
                to.write_all(&bytes).await?;
                std::future::pending::<()>().await;
            }
            Answer::Forever(first, _) if trick == Trick::Parameters => {
                to.write_all(&first).await?;
                for n in 0_u64.. {
                    let some: Vec<u8> = (0..100)
                        .flat_map(|m| message(b'S', format!("p{n}_{m}\0{}\0", "x".repeat(200)).as_bytes()))
                        .collect();
                    to.write_all(&some).await?;
                }
            }
            Answer::Forever(first, again) => {
                to.write_all(&first).await?;
                loop {
                    to.write_all(&again).await?;
                }
            }
        }
    }
}

/// How a run ended.
#[derive(Debug)]
struct Ended {
    /// `None`: by a signal.
    code: Option<i32>,
    stderr: String,
    took: Duration,
    /// Most memory that it took, in MiB.
    most: u64,
}

/// Runs the program, and looks at its memory while it runs.
async fn run(home: &Home, url: &str, arguments: &[&str]) -> Ended {
    let mut command = Command::new(env!("CARGO_BIN_EXE_agenttrace"));
    command.env_clear().env("HOME", home.path()).env("AGENTTRACE_DATA_DIR", home.path().join("data"));
    command.env("RUST_BACKTRACE", "1").current_dir(home.path());
    command.args(arguments).args(["--database-url", url]);
    let begun = Instant::now();
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    let said = home.path().join(format!("stderr-{}", NEXT.fetch_add(1, Ordering::Relaxed)));
    let file = fs::File::create(&said).unwrap();
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(file).spawn().unwrap();
    let status = format!("/proc/{}/status", child.id());
    let mut most = 0;
    let code = loop {
        if let Some(ended) = child.try_wait().unwrap() {
            break ended.code();
        }
        let text = fs::read_to_string(&status).unwrap_or_default();
        let peak = text.lines().find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB"));
        most = most.max(peak.and_then(|kb| kb.trim().parse::<u64>().ok()).unwrap_or(0) / 1024);
        if begun.elapsed() > Duration::from_secs(120) {
            child.kill().unwrap();
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    };
    let stderr = String::from_utf8(fs::read(&said).unwrap()).unwrap();
    Ended { code, stderr, took: begun.elapsed(), most }
}

/// What holds of every end, whatever the server did.
fn is_decent(ended: &Ended, what: &str) {
    let text = &ended.stderr;
    assert!(ended.code.is_some_and(|code| code <= 5), "{what}: {ended:?}");
    for wrong in ["panicked", "backtrace", "\u{1b}", "\u{7}", "\u{202e}", "RUST_", "   0:"] {
        // The hint for whoever wants to know more names the variable.
        let text = text.replace("RUST_BACKTRACE=1 says on a terminal where it comes from", "");
        assert!(!text.contains(wrong), "{what}: {wrong:?} in {text}");
    }
    assert!(text.lines().filter(|line| line.starts_with("error: ")).count() <= 1, "{what}: {text}");
    let known = ["error: ", "  hint: ", "writing to ", "warning: ", "stopping ", "audit_daily"];
    for line in text.lines() {
        let known = known.iter().any(|known| line.starts_with(known)) || line.contains(": recognised as ");
        assert!(known, "{what}: {line:?} in {text}");
    }
}

/// Every command, those that write with a file.
fn commands(file: &str) -> Vec<Vec<String>> {
    let writing: [&[&str]; 5] = [
        &["ingest", file],
        &["db", "migrate"],
        &["db", "partitions", "ensure"],
        &["db", "summary", "refresh"],
        &["db", "grants"],
    ];
    let all = READING.into_iter().chain(writing);
    all.map(|arguments| arguments.iter().map(|&argument| argument.to_owned()).collect()).collect()
}

fn records(home: &Home) -> String {
    let path = home.path().join("records.ndjson");
    let record = r#"{"event_id":"w-1","timestamp":"2026-02-01T10:00:00Z","organization_id":"acme","actor_type":"user","actor_id":"u-1","event_category":"data","event_type":"doc.read","event_severity":"info","resource_type":"doc","resource_id":"d-1","action":"read","request_id":"r-1"}"#;
    fs::write(&path, record).unwrap();
    path.display().to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_answer_is_an_error_of_every_command() {
    let database = support::database().await;
    fill(&database).await;
    let home = Home::new();
    let commands = commands(&records(&home));
    let (mut played, mut wrong) = (0, Vec::new());
    for (n, trick) in QUICK.into_iter().enumerate() {
        for (m, arguments) in commands.iter().enumerate() {
            // Within the login, the first transaction, the first statement, and later.
            let after = [0, 1, 2, 4][(n + m) % 4];
            let Some(spoiler) = Spoiler::before(&database, trick, after) else {
                println!("skipped: the server has no socket");
                return;
            };
            let url = spoiler.url(&database);
            let arguments: Vec<&str> =
                arguments.iter().map(String::as_str).chain(["--timeout", "20s"]).collect();
            let what = format!("{trick:?} after {after}: {arguments:?}");
            let ended = run(&home, &url, &arguments).await;
            is_decent(&ended, &what);
            let was_played = spoiler.played.load(Ordering::SeqCst) > 0;
            played += usize::from(was_played);
            // The last one may have come when all was said and done.
            if was_played && !matches!(ended.code, Some(3 | 4)) && after < 4 {
                wrong.push(format!("{what}: {ended:?}"));
            }
            assert!(ended.took < Duration::from_secs(60) && ended.most < 300, "{what}: {ended:?}");
        }
    }
    assert!(wrong.is_empty(), "{} of {played}:\n{}", wrong.len(), wrong.join("\n"));
    assert!(played > 100, "played {played} times only");
    database.drop_now().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_without_an_end_have_one_in_time_and_memory() {
    let database = support::database().await;
    fill(&database).await;
    let home = Home::new();
    let file = records(&home);
    for (n, trick) in ENDLESS.into_iter().enumerate() {
        let commands: [&[&str]; 3] =
            [&["events", "--format", "json"], &["verify", "--jobs", "1"], &["ingest", &file]];
        // Beside one another, as most of them last until the limit.
        let runs = commands.into_iter().enumerate().map(async |(m, arguments)| {
            let after = [1, 2, 0][(n + m) % 3];
            let Some(spoiler) = Spoiler::before(&database, trick, after) else { return };
            let url = spoiler.url(&database);
            let arguments = [arguments, &["--timeout", "2s"]].concat();
            let what = format!("{trick:?} after {after}: {arguments:?}");
            let ended = run(&home, &url, &arguments).await;
            println!("{what}: exit {:?} after {:?}, {} MiB", ended.code, ended.took, ended.most);
            is_decent(&ended, &what);
            assert!(matches!(ended.code, Some(3 | 4)), "{what}: {ended:?}");
            // The limit, and what may pass until it has been seen and the process is gone.
            assert!(ended.took < Duration::from_secs(60), "{what}: {ended:?}");
            assert!(ended.most < 3_500, "{what}: {ended:?}");
        });
        futures_util::future::join_all(runs).await;
    }
    database.drop_now().await;
}

/// A pooler of another kind: it gives the first message of a transaction to one server, and the others to another.
async fn split(listener: UnixListener, server: std::path::PathBuf) {
    while let Ok((mut client, _)) = listener.accept().await {
        let server = server.clone();
        tokio::spawn(async move {
            let mut servers =
                [UnixStream::connect(&server).await.unwrap(), UnixStream::connect(&server).await.unwrap()];
            let Ok(length) = client.read_u32().await else { return };
            let mut startup = vec![0; length as usize - 4];
            client.read_exact(&mut startup).await.unwrap();
            let startup = [&length.to_be_bytes()[..], &startup].concat();
            // Both are logged in; the client sees the first one's greeting.
            for (n, server) in servers.iter_mut().enumerate() {
                server.write_all(&startup).await.unwrap();
                let greeting = until_ready(server).await;
                if n == 0 {
                    client.write_all(&greeting).await.unwrap();
                }
            }
            loop {
                let Ok((kind, bytes)) = one(&mut client).await else { return };
                let begins = bytes.windows(5).any(|window| window == b"BEGIN");
                let at = usize::from(!(kind == b'Q' && begins));
                if servers[at].write_all(&bytes).await.is_err() {
                    return;
                }
                if matches!(kind, b'Q' | b'S') {
                    let answer = until_ready(&mut servers[at]).await;
                    if client.write_all(&answer).await.is_err() {
                        return;
                    }
                }
            }
        });
    }
}

/// A message with its kind.
async fn one(from: &mut UnixStream) -> std::io::Result<(u8, Vec<u8>)> {
    let kind = from.read_u8().await?;
    let length = from.read_u32().await?;
    let mut body = vec![0; length as usize - 4];
    from.read_exact(&mut body).await?;
    Ok((kind, message(kind, &body)))
}

async fn until_ready(server: &mut UnixStream) -> Vec<u8> {
    let mut all = Vec::new();
    loop {
        // It has ended the session, for a reason that the client is told.
        let Ok((kind, bytes)) = one(server).await else { return all };
        all.extend_from_slice(&bytes);
        // A COPY goes on until it has ended, too.
        if kind == b'Z' {
            return all;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_that_is_split_over_two_servers_verifies_nothing() {
    let database = support::database().await;
    fill(&database).await;
    let Some(folder) = database.options.get_socket() else {
        println!("skipped: the server has no socket");
        return;
    };
    let port = database.options.get_port();
    let home = support::scratch();
    let listener = UnixListener::bind(home.path().join(format!(".s.PGSQL.{port}"))).unwrap();
    tokio::spawn(split(listener, folder.join(format!(".s.PGSQL.{port}"))));
    let at = home.path().to_str().unwrap().replace('/', "%2F");
    let user = database.options.get_username();
    let url = format!("postgres://{user}@localhost:{port}/{}?host={at}", database.name);
    let homes = Home::new();
    for arguments in [
        &["verify", "--jobs", "1"][..],
        &["verify", "--jobs", "2"],
        &["verify", "--jobs", "1", "--all-orgs"],
        &["verify", "--jobs", "1", "--links-only"],
    ] {
        let ended = run(&homes, &url, arguments).await;
        is_decent(&ended, &format!("{arguments:?}"));
        assert!(matches!(ended.code, Some(3 | 4)), "{arguments:?}: {ended:?}");
    }
    database.drop_now().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_statement_behind_a_pool_of_one_session_can_be_stopped() {
    let database = support::database().await;
    fill(&database).await;
    let mut watch = PgConnection::connect_with(&database.options).await.unwrap();
    sqlx::query(FILL).bind(6_000).execute(&mut watch).await.unwrap();
    // The pulse below waits for 2.4 s, which the statement has to outlast on any machine.
    let long = (0..20).map(|part| SLOW.replace('.', &format!(".p{part}"))).collect::<Vec<_>>().join(" OR ");
    let Some(pooler) = crate::trust::Pooler::start_with(&database, "transaction", 1).await else {
        println!("skipped: there is no pgbouncer, or no socket to reach the server by");
        return;
    };
    let settings = ReadSettings { walk: 1_000_000, ..ReadSettings::default() };
    let db = ReadDb::connect(pooler.options(&database), settings).await.unwrap();
    assert!(db.is_pooled());
    let stop = never();
    let working = tokio::spawn({
        let (db, stop) = (db.clone(), stop.clone());
        async move { timeline::page(&db, &query("o-1", &long), &Seek::Newest, 1_000_000, &stop).await.map(drop) }
    });
    let active =
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()
        AND state = 'active' AND query LIKE '%new_state%'";
    while sqlx::query_scalar::<_, i64>(active).fetch_one(&mut watch).await.unwrap() == 0 {
        assert!(!working.is_finished(), "it was over before it was stopped");
    }
    // The only session is at work: that is no silence.
    db.pulse().await.unwrap();
    assert!(!working.is_finished(), "it was over before it was stopped");
    let begun = Instant::now();
    stop.cancel();
    assert!(working.await.unwrap().is_err());
    // The request cannot pass the pooler; the connection is closed instead, which the pooler tells the server.
    assert!(begun.elapsed() < Duration::from_secs(8), "{:?}", begun.elapsed());
    while sqlx::query_scalar::<_, i64>(active).fetch_one(&mut watch).await.unwrap() > 0 {
        assert!(begun.elapsed() < Duration::from_secs(10), "it still runs");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    println!("stopped after {:?}", begun.elapsed());
    let page = timeline::page(&db, &query("acme", ""), &Seek::Newest, 9, &never()).await.unwrap();
    assert_eq!(page.rows.len(), 5);
    db.close().await;
    watch.close().await.unwrap();
    drop(pooler);
    database.drop_now().await;
}
