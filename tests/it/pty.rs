//! The real program in a real terminal: what is on the screen, what was sent to it, and what is left behind.
//! Nothing here waits for a time; every step waits for what the screen shows.

use super::support::{self, TestDatabase};
use base64::Engine as _;
use portable_pty::{Child, CommandBuilder, MasterPty, PtySize, native_pty_system};
use sqlx::postgres::PgConnection;
use sqlx::{Connection as _, Executor as _};
use std::io::{Read as _, Write};
use std::num::NonZeroU16;
use std::path::Path;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

/// Longest wait for anything; reached only by a test that fails.
const PATIENCE: Duration = Duration::from_mins(1);

/// A terminal with the program in it.
pub(crate) struct Terminal {
    master: Box<dyn MasterPty + Send>,
    keyboard: Box<dyn Write + Send>,
    child: Box<dyn Child + Send + Sync>,
    output: Receiver<Vec<u8>>,
    screen: vt100::Parser,
    /// Every byte the program has sent.
    raw: Vec<u8>,
    /// Removed with the terminal.
    home: Option<tempfile::TempDir>,
}

impl Terminal {
    fn open(columns: u16, lines: u16, arguments: &[&str]) -> Self {
        let home = tempfile::tempdir().unwrap();
        let mut terminal = Self::open_at(columns, lines, home.path(), arguments);
        terminal.home = Some(home);
        terminal
    }

    /// The program at home in a folder, with what it remembers there.
    pub(crate) fn open_at(columns: u16, lines: u16, home: &Path, arguments: &[&str]) -> Self {
        Self::open_as("xterm-256color", columns, lines, home, arguments)
    }

    fn open_as(term: &str, columns: u16, lines: u16, home: &Path, arguments: &[&str]) -> Self {
        Self::open_in(&[("TERM", term)], columns, lines, home, arguments)
    }

    /// The program in an environment of these variables, besides what it cannot do without.
    pub(crate) fn open_in(
        variables: &[(&str, &str)],
        columns: u16,
        lines: u16,
        home: &Path,
        arguments: &[&str],
    ) -> Self {
        let size = PtySize { rows: lines, cols: columns, pixel_width: 0, pixel_height: 0 };
        let pair = native_pty_system().openpty(size).unwrap();
        let mut command = CommandBuilder::new(env!("CARGO_BIN_EXE_agenttrace"));
        command.args(arguments);
        command.cwd(home);
        command.env_clear();
        command.env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command.env("HOME", home);
        command.env("AGENTTRACE_DATA_DIR", home.join("data"));
        command.env("TZ", "UTC");
        for (name, value) in variables {
            command.env(name, value);
        }
        let child = pair.slave.spawn_command(command).unwrap();
        drop(pair.slave);
        let mut reader = pair.master.try_clone_reader().unwrap();
        let (sender, output) = channel();
        std::thread::spawn(move || {
            let mut buffer = [0; 8_192];
            while let Ok(n) = reader.read(&mut buffer) {
                if n == 0 || sender.send(buffer[..n].to_vec()).is_err() {
                    break;
                }
            }
        });
        Self {
            keyboard: pair.master.take_writer().unwrap(),
            master: pair.master,
            child,
            output,
            screen: vt100::Parser::new(nonzero(lines), nonzero(columns), 0),
            raw: Vec::new(),
            home: None,
        }
    }

    /// Every byte that the program has sent so far.
    pub(crate) fn sent(&self) -> &[u8] {
        &self.raw
    }

    /// What was last copied to the clipboard of the terminal.
    pub(crate) fn copied(&self) -> Vec<u8> {
        const COPY: &[u8] = b"\x1b]52;c;";
        let at = self.raw.windows(COPY.len()).rposition(|w| w == COPY).expect("something was copied");
        let rest = &self.raw[at + COPY.len()..];
        let end =
            rest.iter().position(|b| !b.is_ascii_alphanumeric() && !b"+/=".contains(b)).unwrap_or(rest.len());
        base64::engine::general_purpose::STANDARD.decode(&rest[..end]).expect("base64")
    }

    pub(crate) fn contents(&self) -> String {
        self.screen.screen().contents()
    }

    /// Whether the last frame has come whole.
    fn is_whole(&self) -> bool {
        const SYNCHRONIZED: &[u8] = b"\x1b[?2026";
        let last = self.raw.windows(SYNCHRONIZED.len() + 1).rev().find(|w| w.starts_with(SYNCHRONIZED));
        last.is_some_and(|w| w.ends_with(b"l"))
    }

    /// Reads until the screen is as wanted.
    pub(crate) fn wait(&mut self, what: &str, wanted: impl Fn(&str) -> bool) -> String {
        let deadline = Instant::now() + PATIENCE;
        while !self.is_whole() || !wanted(&self.contents()) {
            match self.output.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(bytes) => {
                    self.screen.process(&bytes);
                    self.raw.extend(bytes);
                }
                Err(e) => panic!("waiting for {what} ({e}); the screen:\n{}", self.contents()),
            }
        }
        self.contents()
    }

    pub(crate) fn wait_for(&mut self, text: &str) -> String {
        self.wait(text, |screen| screen.contains(text))
    }

    pub(crate) fn press(&mut self, keys: &str) {
        self.keyboard.write_all(keys.as_bytes()).unwrap();
        self.keyboard.flush().unwrap();
    }

    fn resize(&mut self, columns: u16, lines: u16) {
        self.screen.screen_mut().set_size(nonzero(lines), nonzero(columns));
        self.master.resize(PtySize { rows: lines, cols: columns, pixel_width: 0, pixel_height: 0 }).unwrap();
    }

    pub(crate) fn signal(&self, signal: libc::c_int) {
        let pid = self.child.process_id().unwrap();
        let status =
            std::process::Command::new("kill").args([format!("-{signal}"), pid.to_string()]).status();
        assert!(status.unwrap().success());
    }

    /// Waits for the end of a program that could not give the terminal back.
    pub(crate) fn wait_for_death(&mut self) {
        self.child.wait().unwrap();
    }

    /// Reads to the end of the program, and checks that the terminal is as it was.
    pub(crate) fn wait_for_end(&mut self) -> portable_pty::ExitStatus {
        let deadline = Instant::now() + PATIENCE;
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            match self.output.recv_timeout(Duration::from_millis(50)) {
                Ok(bytes) => {
                    self.screen.process(&bytes);
                    self.raw.extend(bytes);
                }
                Err(RecvTimeoutError::Disconnected | RecvTimeoutError::Timeout) => {}
            }
            assert!(Instant::now() < deadline, "the program does not end; the screen:\n{}", self.contents());
        };
        while let Ok(bytes) = self.output.recv_timeout(Duration::from_millis(200)) {
            self.screen.process(&bytes);
            self.raw.extend(bytes);
        }
        let screen = self.screen.screen();
        assert!(!screen.alternate_screen(), "the alternate screen is left");
        assert!(!screen.hide_cursor(), "the cursor is shown");
        assert!(!screen.bracketed_paste(), "bracketed paste is off");
        #[cfg(unix)]
        if let Some(modes) = self.master.get_termios() {
            use nix_flags::{ECHO, ICANON};
            let local = modes.local_flags.bits();
            assert!(local & ECHO != 0 && local & ICANON != 0, "raw mode is off");
        }
        status
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // Gone already, if the test went well.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The two flags that tell raw mode, as the C library numbers them.
#[cfg(unix)]
mod nix_flags {
    pub(super) const ECHO: libc::tcflag_t = libc::ECHO;
    pub(super) const ICANON: libc::tcflag_t = libc::ICANON;
}

fn nonzero(n: u16) -> NonZeroU16 {
    NonZeroU16::new(n).unwrap()
}

const PAGE_DOWN: &str = "\x1b[6~";
pub(crate) const ESCAPE: &str = "\x1b";

/// `acme` with `events` events, a minute apart, the newest at noon of 2026-06-30; `globex` with three. The newest event
/// of `acme` has a hostile user agent, the one before a large state.
pub(crate) async fn trail(events: u32) -> TestDatabase {
    const SQL: &str = "
        INSERT INTO audit_events (event_id, timestamp, organization_id, actor_type, actor_id, actor_email,
            actor_user_agent, event_category, event_type, event_severity, resource_type, resource_id, action,
            new_state, request_id, hash)
        SELECT org || '-' || lpad(i::text, 6, '0'), timestamptz '2026-06-30 12:00Z' - (n - i) * interval '1 minute', org,
            'user', 'user-' || i % 7, CASE WHEN i % 10 = 0 THEN 'eve' ELSE 'alice' END || '@corp.example',
            CASE WHEN i = n THEN E'\\x1b]52;c;RVZJTA==\\x07 \\u202E\\u2066 \\u009B2J' END,
            'data', 'dataset.read', CASE WHEN i % 50 = 0 THEN 'critical' ELSE 'info' END, 'dataset', 'ds-' || i, 'read',
            CASE WHEN i = n - 1 THEN jsonb_build_object('blob', repeat('x', 300000), 'n', 1.10) END, 'req-' || i,
            md5(i::text)
        FROM (VALUES ('acme', $1), ('globex', 3)) AS o (org, n), generate_series(1, n) AS i";
    let db = support::database().await;
    let mut c = PgConnection::connect_with(&db.options).await.unwrap();
    sqlx::query(SQL).bind(i32::try_from(events).unwrap()).execute(&mut c).await.unwrap();
    c.execute("ANALYZE audit_events").await.unwrap();
    c.close().await.unwrap();
    db
}

#[test]
fn a_terminal_that_cannot_show_the_console_is_told_of_what_can_be_read_there() {
    let home = tempfile::tempdir().unwrap();
    let nowhere = ["--database-url", "postgres://nobody@127.0.0.1:9/none"];
    let mut t = Terminal::open_as("dumb", 80, 24, home.path(), &nowhere);
    assert_eq!(t.wait_for_end().exit_code(), 3);
    let said = t.contents();
    assert!(said.contains("TERM is 'dumb'") && said.contains("agenttrace events"), "{said}");
    assert!(!t.sent().contains(&0x1b), "no sequence was sent");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_investigation_from_start_to_quit() {
    let db = trail(5_000).await;
    let mut t = Terminal::open(120, 40, &["--database-url", &db.url()]);

    t.wait_for("globex");
    t.press("\r");
    let first = t.wait_for("1 of 5 000");
    assert!(first.contains("Tue 2026-06-30 UTC"), "{first}");
    assert!(first.contains(" 12:00:00 CRIT dataset.read dataset/ds-5000 eve@corp.example"), "{first}");
    // Beside the timeline stand what changed, and the event.
    t.wait_for("dataset/ds-5000");
    t.wait_for("acme-005000");

    // Holding the page key goes through everything, without a gap and to the very end.
    for _ in 0..200 {
        t.press(PAGE_DOWN);
    }
    t.wait("paging", |s| s.contains("of 5 000") && !s.contains(" 12:00:00 CRIT"));
    t.press("G");
    t.wait_for("5 000 of 5 000");
    t.wait_for("acme-000001");
    t.press("g");
    t.wait_for("1 of 5 000");

    // An event, with the states and every digit of its numbers.
    t.press("j\r");
    t.wait_for("acme-004999");
    t.press("z");
    t.wait_for("\"n\": 1.10");
    // A key that follows at once would be taken for one with Alt.
    t.press("z");
    t.wait_for("4 Integrity");
    t.press(ESCAPE);
    t.wait_for("Enter open");

    // A mistake is pointed at; the corrected filter runs; the selection stays on its event where it matches.
    t.press("factr:eve");
    t.wait_for("did you mean 'actor'?");
    t.press("\r\x15");
    t.press("actor:eve@corp.example\r");
    t.wait_for("of 500");
    t.wait_for("acme-004990");
    t.press("<");
    t.wait_for("acme-004990");
    t.wait_for("of 5 000");

    // Nothing matches: it is said, and how to go on.
    t.press("funtil:2026-06-01\r");
    t.wait_for("No event from");
    t.wait_for("The newest event, of 2026-06-30 12:00Z, is after that");
    t.press("q");
    t.wait_for("of 5 000");

    t.press("s");
    t.wait_for("Organisations");
    t.wait_for("globex");
    t.press("j\r");
    t.wait("globex", |s| s.contains("1 of 3") && s.contains("globex-000003"));

    for (columns, lines) in [(1, 1), (3, 2), (80, 24), (200, 60), (7, 50), (120, 40)] {
        t.resize(columns, lines);
    }
    t.wait("the old size", |s| s.contains("1 of 3") && s.contains("globex-000003"));

    t.press("?");
    t.wait_for("search this view");
    t.press(ESCAPE);
    t.wait("help closed", |s| !s.contains("search this view"));
    // Back through the views; where an event is marked, a question.
    t.press("q");
    t.wait_for("of 5 000");
    t.press(" q");
    t.wait_for("Leave the console?");
    t.press("y");
    assert!(t.wait_for_end().success());
    db.drop_now().await;
}

/// `acme` with thirty versions of one resource, a minute apart; between the 20th and the 21st it was changed without an
/// event.
async fn life() -> TestDatabase {
    const SQL: &str = "
        INSERT INTO audit_events (event_id, timestamp, organization_id, actor_type, actor_id, event_category, event_type,
            event_severity, resource_type, resource_id, action, previous_state, new_state, request_id, hash)
        SELECT 'v-' || lpad(i::text, 2, '0'), timestamptz '2026-06-30 12:00Z' + i * interval '1 minute', 'acme', 'user',
            'alice', 'admin', 'role.changed', 'info', 'role', 'r-1', 'update',
            jsonb_build_object('quota', CASE WHEN i = 21 THEN 999 ELSE i - 1 END, 'roles',
                jsonb_build_array(jsonb_build_object('permissions', '[1, 2]'::jsonb))),
            jsonb_build_object('quota', i, 'roles', jsonb_build_array(jsonb_build_object('permissions', '[1, 2]'::jsonb))),
            'req', md5(i::text)
        FROM generate_series(1, 30) AS i";
    let db = support::database().await;
    let mut c = PgConnection::connect_with(&db.options).await.unwrap();
    sqlx::query(SQL).execute(&mut c).await.unwrap();
    c.close().await.unwrap();
    db
}

#[tokio::test(flavor = "multi_thread")]
async fn the_life_of_a_resource() {
    let db = life().await;
    let mut t = Terminal::open(100, 30, &["--database-url", &db.url()]);
    t.wait_for("1 of 30");

    // The event as a tree, and a path in it by its letters.
    t.press("J");
    t.wait_for("▾ \"new_state\": {2 members}");
    t.press("prolperm");
    t.wait_for("▸ /new_state/roles/0/permissions");
    t.press("\r");
    t.wait_for("new_state /roles/0/permissions");
    t.press("/999\r");
    t.wait_for("no match in this tree");
    t.press("q");

    // Through the versions, with the gap between two of them.
    t.press("3@");
    t.wait("the bar", |s| s.contains("version 30 of 30") && s.contains('┄'));
    t.press("{");
    t.wait("the first version", |s| s.contains("version  1 of 30") && s.contains("\"quota\": 1"));
    t.press("T2026-06-30T12:20Z\r");
    t.wait("a time", |s| s.contains("version 20 of 30") && s.contains("? changed without an event"));
    t.press("]");
    t.wait_for("version 21 of 30");

    // That gap is a ghost; from the list one goes to the event that saw it.
    t.press("!o");
    t.wait_for("1 change without an event");
    t.wait_for("/quota");
    t.press("\r");
    t.wait("the event", |s| s.contains("role/r-1") && s.contains("version 21 of 30"));
    // Nothing runs, nothing is marked: no question.
    t.press("qqq");
    assert!(t.wait_for_end().success());
    db.drop_now().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_hostile_reaches_the_terminal() {
    let db = trail(10).await;
    let mut t = Terminal::open(80, 24, &["--database-url", &db.url(), "--org", "acme"]);
    t.wait_for("1 of 10");
    t.press("\r");
    t.wait_for("\\x1B]52;c;RVZJTA==\\x07 \\u{202E}\\u{2066} \\x9B2J");
    // Pasted back into the filter it is shown just as harmlessly.
    t.press("f\x1b[200~ua:\u{202e}x\x1b[201~");
    t.wait_for("ua:\\u{202E}x");
    t.press("\x03\x03");
    t.wait_for_end();
    let sent = String::from_utf8_lossy(&t.raw);
    assert!(!sent.contains("\x1b]52"), "an OSC 52 was sent");
    let hidden = |c: char| matches!(c, '\u{80}'..='\u{9f}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    assert!(!sent.contains(hidden), "a bidi or C1 character was sent");
    db.drop_now().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn signals_leave_the_terminal_as_it_was() {
    let db = trail(10).await;
    for (signal, code) in [(libc::SIGTERM, 143), (libc::SIGHUP, 129), (libc::SIGQUIT, 131)] {
        let mut t = Terminal::open(80, 24, &["--database-url", &db.url(), "--org", "acme"]);
        t.wait_for("1 of 10");
        assert!(t.screen.screen().alternate_screen() && t.screen.screen().bracketed_paste());
        t.signal(signal);
        assert_eq!(t.wait_for_end().exit_code(), code);
        assert!(says_the_way_back(&t), "{}", t.contents());
    }
    // The first one from elsewhere cancels what runs, the second one leaves.
    let mut t = Terminal::open(80, 24, &["--database-url", &db.url(), "--org", "acme"]);
    t.wait_for("1 of 10");
    t.signal(libc::SIGINT);
    t.wait_for("Ctrl-c again leaves");
    // It counts within two seconds only, which a machine that is busy may take.
    let deadline = Instant::now() + PATIENCE;
    while t.child.try_wait().unwrap().is_none() && Instant::now() < deadline {
        t.signal(libc::SIGINT);
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(t.wait_for_end().exit_code(), 130);
    assert!(says_the_way_back(&t), "{}", t.contents());
    db.drop_now().await;
}

/// Whether the command that opens the same view stands below what was there before, as broken by the width.
fn says_the_way_back(t: &Terminal) -> bool {
    let said = t.contents().replace('\n', "");
    said.contains("come back with: agenttrace --database-url ") && said.contains(" --org acme")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signal_stops_what_runs_on_the_server() {
    const WAITING: &str = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
    let db = trail(10).await;
    let mut t = Terminal::open(80, 24, &["--database-url", &db.url(), "--org", "acme"]);
    t.wait_for("1 of 10");
    let mut holder = PgConnection::connect_with(&db.options).await.unwrap();
    holder.execute("BEGIN; LOCK TABLE audit_events IN ACCESS EXCLUSIVE MODE").await.unwrap();
    // Another one looks: within a transaction the activity is seen as it was at first.
    let mut c = PgConnection::connect_with(&db.options).await.unwrap();
    t.press("R");
    let deadline = Instant::now() + PATIENCE;
    let mut waiting = async |some: bool| {
        while (sqlx::query_scalar::<_, i64>(WAITING).fetch_one(&mut c).await.unwrap() > 0) != some {
            assert!(Instant::now() < deadline, "statements that wait for the lock: {some} was expected");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    waiting(true).await;
    t.signal(libc::SIGTERM);
    assert_eq!(t.wait_for_end().exit_code(), 143);
    // The lock is still held: they were cancelled.
    waiting(false).await;
    c.close().await.unwrap();
    holder.close().await.unwrap();
    db.drop_now().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_paste_begins_a_filter_and_leaving_says_how_to_come_back() {
    let db = trail(100).await;
    let mut t = Terminal::open(120, 40, &["--database-url", &db.url(), "--org", "acme"]);
    t.wait_for("1 of 100");
    t.press("\x1b[200~sev:critical\r\x1b[201~");
    t.wait_for("filter sev:critical");
    t.press("\r");
    t.wait_for("1 of 2");
    t.press("qq");
    assert!(t.wait_for_end().success());
    assert!(says_the_way_back(&t), "{}", t.contents());
    db.drop_now().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn redrawing_and_suspending_keep_the_keys() {
    let db = trail(10).await;
    let mut t = Terminal::open(80, 24, &["--database-url", &db.url(), "--org", "acme"]);
    t.wait_for("1 of 10");
    t.press("\x0cj");
    t.wait_for("2 of 10");
    // In a terminal without a shell nobody could continue it: the kernel leaves it running, and so must the console.
    t.press("\x1a");
    t.press("j");
    t.wait_for("3 of 10");
    // Stopped from elsewhere and continued, it takes the terminal again.
    let taken = |t: &Terminal| t.raw.windows(8).filter(|w| w == b"\x1b[?1049h").count();
    let before = taken(&t);
    t.signal(libc::SIGSTOP);
    t.signal(libc::SIGCONT);
    t.press("j");
    t.wait_for("4 of 10");
    assert!(taken(&t) > before);
    t.press("\x03\x03");
    t.wait_for_end();
    db.drop_now().await;
}

/// With 120 ms on the way everything comes a little later; moving waits for nothing of it: it goes on while the line is
/// silent.
#[tokio::test(flavor = "multi_thread")]
async fn moving_waits_for_no_answer_of_a_distant_server() {
    let db = trail(300).await;
    let (options, silent) = crate::pulse::distant(&db.options, Duration::from_millis(60)).await;
    let url = format!(
        "postgres://{}@127.0.0.1:{}/{}?sslmode=disable",
        db.options.get_username(),
        options.get_port(),
        db.name
    );
    let mut t = Terminal::open(120, 40, &["--database-url", &url, "--org", "acme"]);
    t.wait_for("1 of 300");
    t.wait_for("dataset/ds-300");
    silent.send(true).unwrap();
    for place in 2..=9 {
        t.press("j");
        t.wait_for(&format!("{place} of 300"));
    }
    silent.send(false).unwrap();
    t.press("j");
    t.wait_for("10 of 300");
    t.press("\x03\x03");
    t.wait_for_end();
    db.drop_now().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_console_works_through_a_pooler_of_one_session() {
    let db = trail(300).await;
    let Some(pooler) = crate::trust::Pooler::start_with(&db, "transaction", 1).await else {
        println!("skipped: there is no pgbouncer, or no socket to reach the server by");
        return;
    };
    let mut t = Terminal::open(120, 40, &["--database-url", &pooler.url(&db), "--org", "acme"]);
    t.wait_for("1 of 300");
    t.press("j");
    t.wait_for("2 of 300");
    t.press("fsev:critical\r");
    // The place is kept: the first critical event behind it.
    t.wait_for("2 of 6");
    // Longer than a pulse takes: the only session is not taken for a dead server.
    tokio::time::sleep(Duration::from_secs(7)).await;
    t.press("j");
    let screen = t.wait_for("3 of 6");
    assert!(!screen.contains("LOST"), "{screen}");
    t.press("\x03\x03");
    t.wait_for_end();
    drop(pooler);
    db.drop_now().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_connection_is_said_and_the_place_is_kept() {
    let db = trail(1_000).await;
    let mut t = Terminal::open(100, 30, &["--database-url", &db.url(), "--org", "acme"]);
    t.wait_for("1 of 1 000");
    t.press("jjjj");
    t.wait_for("5 of 1 000");
    // Nobody may connect any more, and who is connected is thrown out.
    let mut admin = PgConnection::connect_with(&support::server()).await.unwrap();
    let name = &db.name;
    let forbid = format!("ALTER DATABASE {name} ALLOW_CONNECTIONS false");
    admin.execute(sqlx::raw_sql(sqlx::AssertSqlSafe(forbid))).await.unwrap();
    let kick = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1";
    sqlx::query(kick).bind(name).execute(&mut admin).await.unwrap();
    let lost = t.wait_for("LOST since");
    assert!(lost.contains("5 of 1 000"), "the rows stay: {lost}");
    let allow = format!("ALTER DATABASE {name} ALLOW_CONNECTIONS true");
    admin.execute(sqlx::raw_sql(sqlx::AssertSqlSafe(allow))).await.unwrap();
    t.wait("the connection", |s| s.contains("connected") && !s.contains("LOST") && s.contains("5 of 1 000"));
    t.press("\x03\x03");
    t.wait_for_end();
    admin.close().await.unwrap();
    db.drop_now().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_terminal_it_says_what_to_use() {
    let db = support::bare_database().await;
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_agenttrace"))
        .args(["--database-url", &db.url()])
        .stdin(std::process::Stdio::null())
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(3));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("the console needs a terminal") && said.contains("agenttrace events"), "{said}");
    db.drop_now().await;
}
