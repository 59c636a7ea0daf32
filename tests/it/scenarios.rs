//! Investigations as an analyst plays them, in a real terminal on the demo's planted truth: the answers stand on the
//! screen, and every key is counted. Nothing waits for a time.

use crate::pty::Terminal;
use crate::support::{self, TestDatabase};
use crate::timeline::{never, reader, scope};
use agenttrace::demo::{self, Settings};
use agenttrace::domain::{TimeRange, Timestamp};
use agenttrace::filter::Filter;
use agenttrace::store::WriteDb;
use agenttrace::store::listing::timeline;
use agenttrace::store::query::{Query, Seek};
use sqlx::postgres::PgConnection;
use sqlx::{Connection as _, Executor as _};
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

const ESCAPE: &str = "\x1b";
const CLEAR: &str = "\x15";

/// Sizes of the screen, and whether there are colours.
const SCREENS: [(u16, u16, bool); 3] = [(80, 24, true), (160, 50, true), (80, 24, false)];

/// Somebody at a terminal.
struct Analyst {
    terminal: Terminal,
    keys: usize,
    colours: bool,
    _home: tempfile::TempDir,
}

impl Analyst {
    fn sits_down(database: &TestDatabase, (columns, lines, colours): (u16, u16, bool)) -> Self {
        let home = tempfile::tempdir().unwrap();
        let arguments = ["--database-url", &database.url(), "--org", "acme"];
        let variables = [("TERM", "xterm-256color"), ("NO_COLOR", "1")];
        let variables = if colours { &variables[..1] } else { &variables[..] };
        let mut terminal = Terminal::open_in(variables, columns, lines, home.path(), &arguments);
        terminal.wait_for("1 of 10 800");
        Self { terminal, keys: 0, colours, _home: home }
    }

    /// Presses keys, each of one character.
    fn types(&mut self, keys: &str) {
        self.keys += keys.chars().count();
        self.terminal.press(keys);
    }

    /// Waits until all of these stand on the screen.
    fn sees(&mut self, wanted: &[&str]) -> String {
        self.terminal.wait(&wanted.join(", "), |screen| wanted.iter().all(|text| screen.contains(text)))
    }

    /// Opens the view of a filter, instead of the one there is.
    fn filters(&mut self, filter: &str, wanted: &[&str]) -> String {
        self.types("f");
        self.sees(&["Enter submit"]);
        self.types(&format!("{CLEAR}{filter}"));
        self.sees(&[filter]);
        self.types("\r");
        self.sees(wanted)
    }

    /// Goes down a list, a line at a time, until all of these stand on the screen.
    fn goes_down_to(&mut self, wanted: &[&str]) -> String {
        let mut screen = self.terminal.contents();
        for _ in 0..60 {
            if wanted.iter().all(|text| screen.contains(text)) {
                break;
            }
            self.types("j");
            screen = self.terminal.wait_for_frame();
        }
        self.sees(wanted)
    }

    /// Closes what lies on top, or ends what is shown in the place of something.
    fn closes(&mut self, gone: &str) {
        self.types(ESCAPE);
        self.terminal.wait(&format!("{gone} gone"), |screen| !screen.contains(gone));
    }

    fn leaves(mut self) -> usize {
        self.terminal.press("\x03\x03");
        self.terminal.wait_for_end();
        let coloured = self.terminal.sent().windows(5).any(|w| w == b"\x1b[38;" || w == b"\x1b[48;");
        assert_eq!(coloured, self.colours, "colours as asked for");
        self.keys
    }
}

/// A line of the screen that has all of these.
fn has_line(screen: &str, parts: &[&str]) -> bool {
    screen.lines().any(|line| parts.iter().all(|part| line.contains(part)))
}

/// 20 000 events, of which 10 800 are of acme; Tuesday is 2026-06-23.
async fn trail() -> TestDatabase {
    let test = support::database().await;
    let db = WriteDb::connect(test.options.clone()).await.unwrap();
    let until = Timestamp::parse("2026-07-01T09:30:00Z").unwrap();
    crate::demo::load(&db, Settings::new(1, until, 20_000).unwrap()).await;
    let mut c = PgConnection::connect_with(&test.options).await.unwrap();
    c.execute("ANALYZE audit_events").await.unwrap();
    c.close().await.unwrap();
    test
}

#[tokio::test(flavor = "multi_thread")]
async fn the_scenarios_are_played_to_their_answers() {
    let test = trail().await;
    the_41_events(&test).await;
    for screen in SCREENS {
        let (columns, lines, colours) = screen;
        let all = [
            ("6.1 what was done with the leaked key", leaked_key(&test, screen)),
            ("6.1 all 41 events in one view", with_what_it_created(&test, screen)),
            ("6.2 who made mallory an admin", who_made_an_admin(&test, screen)),
            ("6.3 what a leaver took", leaver(&test, screen)),
            ("6.6 the configuration at a time", configuration_at_a_time(&test, screen)),
            ("6.8 a slow day", slow_day(&test, screen).await),
        ];
        for (name, keys) in all {
            println!("{columns}×{lines}{} {name}: {keys} keys", if colours { "" } else { " NO_COLOR" });
        }
        assert!(all[1].1 <= 40, "{} keys to the 41 events", all[1].1);
    }
    test.drop_now().await;
}

/// The filter that [`with_what_it_created`] ends with, once it is spelled out, has exactly the events of the incident.
async fn the_41_events(test: &TestDatabase) {
    let filter = "all-time (actor:svc-deploy,svc-ci-backup,user-33 OR res:api_key/ak-77) -ip:10.100.0.24 \
        -ip:2001:db8:64:231::22 -ip:198.51.100.11 -ip:198.51.100.13";
    let db = reader(&test.options).await;
    let query =
        Query { scope: scope("acme"), filter: Filter::parse(filter).unwrap(), range: TimeRange::default() };
    let page = timeline::page(&db, &query, &Seek::Newest, 100, &never()).await.unwrap();
    let found: BTreeSet<String> = page.rows.into_iter().map(|row| row.event_id).collect();
    let incident = demo::planted().into_iter().find(|fact| fact.name == "incident").unwrap();
    assert_eq!(found, incident.event_ids.into_iter().collect());
    db.close().await;
}

/// ① the key and whom it is for, ② what that account did since Tuesday, ③ who else came from that address.
fn leaked_key(test: &TestDatabase, screen: (u16, u16, bool)) -> usize {
    let mut she = Analyst::sits_down(test, screen);
    she.types("fres:api_key/ak-42\r");
    she.sees(&["1 of 5", "api_key.created"]);
    she.types("G");
    she.sees(&["5 of 5"]);
    she.types("3");
    she.sees(&["+ owner user-3", "+ service_account svc-deploy"]);
    // From the value in the state to what that account did. How many lines the values above it take depends on the width.
    she.types("jjp");
    for _ in 0..4 {
        let menu = she.sees(&["New view of", "l lineage"]);
        if has_line(&menu, &["what it did", "svc-deploy"]) {
            break;
        }
        she.closes("New view of");
        she.types("jp");
    }
    let menu = she.sees(&["what it did"]);
    assert!(has_line(&menu, &["what it did", "svc-deploy"]), "{menu}");
    she.types("A");
    she.sees(&["actor:svc-deploy", "svc-deploy", "of 98"]);
    she.types("f");
    she.sees(&["Enter submit"]);
    she.types(" since:2026-06-23 zone:Europe/Berlin\r");
    // The zone of the filter's own day: Tuesday began at 22:00Z of Monday.
    she.sees(&["of 37"]);
    she.types("S");
    she.sees(&["Totals of this view", "svc-deploy"]);
    let totals = she.goes_down_to(&["203.0.113.66", "10.100.0.24"]);
    assert!(
        has_line(&totals, &["203.0.113.66", "34"]) && has_line(&totals, &["10.100.0.24", "3"]),
        "{totals}"
    );
    she.closes("Totals of this view");
    she.types("G");
    she.sees(&["37 of 37"]);
    she.types("pi");
    she.sees(&["39 of 39"]);
    she.types("g");
    // `mallory@acme.example`, with her name cut where there is no room.
    let behind = she.sees(&["1 of 39", "ry@acme.example"]);
    assert!(behind.contains("svc-deploy"), "two actors behind one address: {behind}");
    she.leaves()
}

/// ⑤ What the key's account created, and what that did: one view of everything, and nothing else.
fn with_what_it_created(test: &TestDatabase, screen: (u16, u16, bool)) -> usize {
    let mut she = Analyst::sits_down(test, screen);
    she.types("fres:api_key/ak-42\r");
    she.sees(&["1 of 5", "svc-deploy"]);
    she.types("jj");
    she.sees(&["3 of 5"]);
    she.types("pl");
    let hops = she.sees(&["Lineage", "api_key/ak-77 created by svc-deploy", "opens the view of 4"]);
    assert!(hops.contains("svc-ci-backup (/service_account) · 2 events since, none before"), "{hops}");
    assert!(hops.contains("user-33 (/owner) · 7 events since, active before"), "{hops}");
    she.types("\r");
    she.sees(&["of 190"]);
    // Away with the addresses that one knows.
    for (end, left) in [("g", "of 126"), ("g", "of 94"), ("g", "of 93"), ("G", "of 41")] {
        she.types(end);
        let last = if end == "g" { "1 of " } else { "93 of 93" };
        she.sees(&[last]);
        she.types("-");
        she.sees(&["Exclude"]);
        she.types("i");
        she.sees(&[left]);
    }
    she.leaves()
}

/// Blame names the account, the request behind the false trail its human; and the role was used.
fn who_made_an_admin(test: &TestDatabase, screen: (u16, u16, bool)) -> usize {
    let mut she = Analyst::sits_down(test, screen);
    she.types("frole:viewer->admin\r");
    she.sees(&["1 of 1", "user.role_changed", "svc-deploy"]);
    she.filters("res:role_binding/rb-7", &["of 7", "role_binding.created"]);
    she.types("gj");
    she.sees(&["2 of 7"]);
    she.types("b");
    let blame = she.sees(&["who last set each value", "roles.1 \"admin\""]);
    assert!(has_line(&blame, &["svc-deploy", "roles.1 \"admin\""]), "{blame}");
    she.closes("who last set each value");
    // The trap: a role for a second, by the synchronisation that somebody started.
    she.types("1jj");
    she.sees(&["4 of 7", "svc-sync"]);
    she.types("pq");
    let request = she.sees(&["of 3", "bruno@acme.example"]);
    assert!(request.contains("svc-sync"), "{request}");
    she.types("<");
    she.sees(&["4 of 7"]);
    she.types("kk");
    she.sees(&["2 of 7"]);
    she.types(" jjjD");
    she.types("3");
    she.sees(&["with the marked event", "granted_by svc-deploy → svc-sync"]);
    she.types("1");
    she.filters("actor:user-33 since:2026-06-23T22:10Z", &["of 7", "dataset.exported", "webhook.deleted"]);
    she.leaves()
}

/// The three datasets that are not the weekly export.
fn leaver(test: &TestDatabase, screen: (u16, u16, bool)) -> usize {
    let mut she = Analyst::sits_down(test, screen);
    she.types("factor:user-27 action:export res:dataset/*\r");
    she.sees(&["of 13", "dataset.exported"]);
    she.types("S");
    she.sees(&["Totals of this view", "SEVERITY"]);
    let totals = she.goes_down_to(&["ds-300", "ds-301", "ds-302", "ds-303"]);
    for (dataset, events) in [("ds-300", "10"), ("ds-301", "1"), ("ds-302", "1"), ("ds-303", "1")] {
        let line = totals.lines().find(|line| line.contains(dataset)).unwrap_or_else(|| panic!("{totals}"));
        assert!(line.split_whitespace().any(|word| word == events), "{line}");
    }
    she.leaves()
}

/// What the policy was at a time in Berlin, before and after, and a time that was twice.
fn configuration_at_a_time(test: &TestDatabase, screen: (u16, u16, bool)) -> usize {
    let mut she = Analyst::sits_down(test, screen);
    she.types("fres:retention_policy/rp-2\r");
    she.sees(&["of 2", "svc-deploy", "alice@acme.example"]);
    she.types("3@");
    she.sees(&["version 2 of 2", "\"days\": 365"]);
    for (time, version, days) in [
        ("2026-06-24 04:30 Europe/Berlin", "version 1 of 2", "\"days\": 1"),
        ("2026-06-24 09:45 Europe/Berlin", "version 2 of 2", "\"days\": 365"),
    ] {
        she.types("T");
        she.sees(&["Go to a time"]);
        she.types(&format!("{time}\r"));
        she.sees(&[version, days]);
    }
    she.types("T");
    she.sees(&["Go to a time"]);
    she.types("2025-10-26 02:30 Europe/Berlin\r");
    she.sees(&["happens twice in Europe/Berlin", "2025-10-26T00:30:00", "2025-10-26T01:30:00", "offset"]);
    she.closes("Go to a time");
    she.leaves()
}

/// Process and transaction of what of the console waits for a lock first. Later ones may be what it looks at by itself.
async fn first_waiting(c: &mut PgConnection) -> String {
    let waiting =
        "SELECT min(pid || ' ' || xact_start) FROM pg_stat_activity WHERE datname = current_database()
        AND application_name = 'agenttrace' AND wait_event_type = 'Lock'";
    let begun = Instant::now();
    loop {
        let found: Option<String> = sqlx::query_scalar(waiting).fetch_one(&mut *c).await.unwrap();
        if let Some(found) = found {
            return found;
        }
        assert!(begun.elapsed() < Duration::from_secs(60), "nothing waits");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Waits until the server has ended the statement.
async fn until_given_up(waiting: &str, c: &mut PgConnection) {
    let active = "SELECT min(left(query, 500)) FROM pg_stat_activity
        WHERE pid || ' ' || xact_start = $1 AND wait_event_type = 'Lock'";
    let begun = Instant::now();
    loop {
        let running: Option<String> =
            sqlx::query_scalar(active).bind(waiting).fetch_one(&mut *c).await.unwrap();
        let Some(running) = running else { return };
        assert!(begun.elapsed() < Duration::from_secs(60), "a statement goes on: {running}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// The cost while typing, the plan, and a search that is given up, on the server, too.
async fn slow_day(test: &TestDatabase, screen: (u16, u16, bool)) -> usize {
    let mut she = Analyst::sits_down(test, screen);
    she.types("ftype:dataset.exported");
    she.sees(&["idx_audit_event_type"]);
    she.types(&format!("{CLEAR}ip:203.0.113.0/24"));
    she.sees(&["scan of"]);
    she.types("\r");
    she.sees(&["of 65"]);
    she.types("X");
    she.sees(&["Plan of this view", "no index serves"]);
    she.closes("Plan of this view");
    // Somebody holds the table: what is asked now would wait for long.
    let mut holder = PgConnection::connect_with(&test.options).await.unwrap();
    holder.execute("BEGIN; LOCK TABLE audit_events IN ACCESS EXCLUSIVE MODE").await.unwrap();
    she.types("R");
    she.sees(&["loading"]);
    let waiting = first_waiting(&mut holder).await;
    she.types("\x03");
    she.sees(&["cancel"]);
    she.terminal.wait("the end of loading", |screen| !screen.contains("loading"));
    until_given_up(&waiting, &mut holder).await;
    holder.execute("ROLLBACK").await.unwrap();
    holder.close().await.unwrap();
    she.types("R");
    she.sees(&["of 65"]);
    she.leaves()
}
