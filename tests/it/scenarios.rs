//! Investigations as an analyst plays them, in a real terminal on the demo's planted truth: the answers stand on the
//! screen, and every key is counted. Nothing waits for a time.

use crate::pty::Terminal;
use crate::support::{self, TestDatabase};
use crate::timeline::{never, reader, scope};
use agenttrace::demo::{self, Settings};
use agenttrace::domain::{TimeRange, Timestamp};
use agenttrace::filter::Filter;
use agenttrace::investigation::tempo;
use agenttrace::store::WriteDb;
use agenttrace::store::listing::timeline;
use agenttrace::store::query::{Pace, Query, Seek};
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
    home: tempfile::TempDir,
}

impl Analyst {
    fn sits_down(database: &TestDatabase, screen: (u16, u16, bool)) -> Self {
        Self::comes_to(database, "acme", "1 of 10 800", screen)
    }

    /// At the events of an organisation, of which `first` is the newest.
    fn comes_to(
        database: &TestDatabase,
        organization: &str,
        first: &str,
        (columns, lines, colours): (u16, u16, bool),
    ) -> Self {
        let home = tempfile::tempdir().unwrap();
        let arguments = ["--database-url", &database.url(), "--org", organization];
        let variables = [("TERM", "xterm-256color"), ("NO_COLOR", "1")];
        let variables = if colours { &variables[..1] } else { &variables[..] };
        let mut terminal = Terminal::open_in(variables, columns, lines, home.path(), &arguments);
        terminal.wait_for(first);
        Self { terminal, keys: 0, colours, home }
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

    /// Adds terms to the filter.
    fn narrows(&mut self, terms: &str, wanted: &str) {
        self.types("f");
        self.sees(&["Enter submit"]);
        self.types(&format!("{terms}\r"));
        self.sees(&[wanted]);
    }

    /// Returns to the view before.
    fn goes_back(&mut self, wanted: &str) {
        self.types("<");
        self.sees(&[wanted]);
    }

    /// Adds up what is seen, and goes to the group of a name.
    fn totals(&mut self, group: &str, wanted: &[&str]) -> String {
        self.types("S");
        self.terminal
            .wait("all totals", |screen| screen.contains("SEVERITY") && !screen.contains("Computing"));
        let groups = ["SEVERITY", "ACTOR", "TYPE", "IP", "RESOURCE"];
        let away = groups.iter().position(|name| *name == group).expect("a group");
        self.types(&"\t".repeat(away));
        self.sees(wanted)
    }

    /// Closes what lies on top, or ends what is shown in the place of something.
    fn closes(&mut self, gone: &str) {
        self.types(ESCAPE);
        self.terminal.wait(&format!("{gone} gone"), |screen| !screen.contains(gone));
    }

    /// Exports by a form of the menu, which is chosen with `keys`; the file.
    fn exports(&mut self, keys: &str, name: &str, said: &str) -> String {
        self.types("x");
        self.sees(&[" Export ", "this view"]);
        self.types(keys);
        self.types("\r");
        self.sees(&["file ", "Enter submit"]);
        self.types(&format!("{CLEAR}{name}\r"));
        self.sees(&[said]);
        std::fs::read_to_string(self.home.path().join(name)).unwrap()
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

/// 20 000 events of the demo, of which 10 800 are of acme; Tuesday is 2026-06-23.
pub(crate) async fn trail() -> TestDatabase {
    let test = support::database().await;
    let db = WriteDb::connect(test.options.clone()).await.unwrap();
    let until = Timestamp::parse("2026-07-01T09:30:00Z").unwrap();
    crate::demo::load(&db, Settings::new(1, until, 20_000).unwrap()).await;
    // 5 000 events of o-1, one every other second, and one long before them.
    crate::timeline::fill(&test.options, 10_000, 1).await;
    let mut c = PgConnection::connect_with(&test.options).await.unwrap();
    let first = "INSERT INTO audit_events (event_id, timestamp, organization_id, actor_type, actor_id, event_category,
            event_type, event_severity, resource_type, resource_id, action, request_id, hash)
        VALUES ('evt-first', '2025-12-31 20:00Z', 'o-1', 'user', 'u', 'auth', 'login', 'info', 'r', 'r', 'read', 'q', '')";
    c.execute(first).await.unwrap();
    c.execute("ANALYZE audit_events").await.unwrap();
    c.close().await.unwrap();
    test
}

#[tokio::test(flavor = "multi_thread")]
async fn the_scenarios_are_played_to_their_answers() {
    let test = trail().await;
    the_41_events(&test).await;
    the_gaps(&test).await;
    far_gap(&test, SCREENS[0]);
    for screen in SCREENS {
        let (columns, lines, colours) = screen;
        let all = [
            ("6.1 what was done with the leaked key", leaked_key(&test, screen)),
            ("6.1 the seven changes that matter, and why", changes_that_matter(&test, screen)),
            ("6.1 all 41 events in one view", with_what_it_created(&test, screen)),
            ("6.2 who made mallory an admin", who_made_an_admin(&test, screen)),
            ("6.3 what a leaver took", leaver(&test, screen)),
            ("6.6 the configuration at a time", configuration_at_a_time(&test, screen)),
            ("6.8 a slow day", slow_day(&test, screen).await),
            ("gaps, bursts and columns", tempo_and_columns(&test, screen)),
        ];
        for (name, keys) in all {
            println!("{columns}×{lines}{} {name}: {keys} keys", if colours { "" } else { " NO_COLOR" });
        }
        // Three more for each line by which the value lies lower.
        assert!(all[0].1 <= 60, "{} keys to who else came from the address", all[0].1);
        assert!(all[2].1 <= 40, "{} keys to the 41 events", all[2].1);
    }
    test.drop_now().await;
}

/// What was done with the leaked key, and with what it created.
pub(crate) const INCIDENT: &str = "all-time (actor:svc-deploy,svc-ci-backup,user-33 OR res:api_key/ak-77) -ip:10.100.0.24 \
    -ip:2001:db8:64:231::22 -ip:198.51.100.11 -ip:198.51.100.13";

/// The filter that [`with_what_it_created`] ends with, once it is spelled out, has exactly the events of the incident.
async fn the_41_events(test: &TestDatabase) {
    let db = reader(&test.options).await;
    let query =
        Query { scope: scope("acme"), filter: Filter::parse(INCIDENT).unwrap(), range: TimeRange::default() };
    let page = timeline::page(&db, &query, &Seek::Newest, 100, &never()).await.unwrap();
    let found: BTreeSet<String> = page.rows.into_iter().map(|row| row.event_id).collect();
    let incident = demo::planted().into_iter().find(|fact| fact.name == "incident").unwrap();
    assert_eq!(found, incident.event_ids.into_iter().collect());
    db.close().await;
}

/// ① the key and whom it is for, ② what that account did since Tuesday, ③ who else came from that address.
fn leaked_key(test: &TestDatabase, screen: (u16, u16, bool)) -> usize {
    let mut she = Analyst::sits_down(test, screen);
    she.types("fak-42\r");
    she.sees(&["1 of 5", "api_key.revoked"]);
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
    she.types(" since:2026-06-23 zone:E\t");
    she.sees(&["Europe/Berlin  Europe/London"]);
    she.types("\t");
    she.sees(&["zone:Europe/Berlin"]);
    she.types("\r");
    // The zone of the filter's own day: Tuesday began at 22:00Z of Monday.
    she.sees(&["of 37", "2026-06-22 22:00Z"]);
    let totals = she.totals("IP", &["203.0.113.66", "10.100.0.24"]);
    assert!(
        has_line(&totals, &["203.0.113.66", "34"]) && has_line(&totals, &["10.100.0.24", "3"]),
        "{totals}"
    );
    she.types("p");
    she.sees(&["39 of 39"]);
    she.types("g");
    // `mallory@acme.example`, with her name cut where there is no room.
    let behind = she.sees(&["1 of 39", "ry@acme.example"]);
    assert!(behind.contains("svc-deploy"), "two actors behind one address: {behind}");
    she.leaves()
}

/// ④ Through the changes alone: what matters is bookmarked, with the reason; and handed on, each event with its mark.
fn changes_that_matter(test: &TestDatabase, screen: (u16, u16, bool)) -> usize {
    let reasons = [
        ("4 removed", "removes the copy that was exported"),
        ("2 changed", "the trail is to be forgotten"),
        ("7 added", "a second key"),
        ("1 of another type", "no second factor any more"),
        ("role viewer → admin", "she can do everything"),
        ("1 changed · 1 added", "so can the role"),
        ("3 added", "first use of the key"),
    ];
    let mut she = Analyst::sits_down(test, screen);
    she.types("factor:svc-deploy ip:203.0.113.66 since:2026-06-23 zone:Europe/Berlin changed:*\r");
    she.sees(&["1 of 12"]);
    she.types("3");
    for (change, reason) in reasons {
        she.types("w");
        she.sees(&[change]);
        she.types("mc");
        she.sees(&[" Note "]);
        she.types(&format!("{reason}\r"));
        she.terminal.wait("the line gone", |screen| !screen.contains(" Note "));
    }
    she.types("1");
    she.terminal.wait("seven marks", |screen| screen.matches("★✎").count() == 7);
    she.types("L");
    let case = she.sees(&["1 of 7", "all are in the table, unchanged hashes"]);
    assert!(has_line(&case, &["✎ removes the copy that was exported"]), "{case}");
    she.closes("all are in the table");
    she.filters("is:bookmarked", &["of 7"]);
    let file = she.exports("v", "incident.ndjson", "7 events in incident.ndjson");
    let events: Vec<serde_json::Value> =
        file.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(events.len(), 7);
    assert!(events.iter().all(|event| event["integrity"]["content"] == "verified"), "{file}");
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

/// The three datasets that are not the weekly export: by their number, by what was never exported before, by the hour.
fn leaver(test: &TestDatabase, screen: (u16, u16, bool)) -> usize {
    let datasets = ["ds-300", "ds-301", "ds-302", "ds-303"];
    let usual = |totals: &str, counts: &[(&str, &str)]| {
        for dataset in datasets {
            let line = totals.lines().find(|line| line.contains(dataset));
            let wanted = counts.iter().find(|(name, _)| *name == dataset);
            let is_so = match (line, wanted) {
                (Some(line), Some((_, events))) => line.split_whitespace().any(|word| word == *events),
                (line, wanted) => line.is_none() && wanted.is_none(),
            };
            assert!(is_so, "{dataset}: {totals}");
        }
    };
    let mut she = Analyst::sits_down(test, screen);
    she.types("factor:user-27 action:export res:dataset/*\r");
    she.sees(&["of 13", "dataset.exported"]);
    let totals = she.totals("RESOURCE", &["ds-300", "ds-301", "ds-302", "ds-303"]);
    usual(&totals, &[("ds-300", "10"), ("ds-301", "1"), ("ds-302", "1"), ("ds-303", "1")]);
    she.closes("Totals of this view");
    // The last 30 days, and the 60 before.
    she.narrows(" since:2026-06-01", "Timeline  1 of 6");
    let totals = she.totals("RESOURCE", &["ds-300", "ds-301", "ds-302", "ds-303"]);
    usual(&totals, &[("ds-300", "3"), ("ds-301", "1"), ("ds-302", "1"), ("ds-303", "1")]);
    she.closes("Totals of this view");
    she.goes_back("of 13");
    she.narrows(" since:2026-04-02 until:2026-06-01", "Timeline  1 of 7");
    let totals = she.totals("RESOURCE", &["ds-300"]);
    usual(&totals, &[("ds-300", "7")]);
    she.closes("Totals of this view");
    she.goes_back("of 13");
    // Off-hours of Berlin: evenings, nights and weekends.
    she.narrows(" (tod:18:00..08:00 OR dow:sat,sun) zone:E\t\t", "Timeline  1 of 3");
    let odd = she.sees(&["ds-301", "ds-302", "ds-303"]);
    assert!(!odd.contains("ds-300") && odd.matches("WARN").count() == 3, "{odd}");
    // Handed on as a table: these three; and a name that a spreadsheet would evaluate is inert.
    let cells = |text: &str, column: &str| -> Vec<String> {
        let mut csv = csv::Reader::from_reader(text.as_bytes());
        let at = csv.headers().unwrap().iter().position(|name| name == column).unwrap();
        csv.records().map(|record| record.unwrap()[at].to_owned()).collect()
    };
    let table = she.exports("j", "leaver.csv", "3 events in leaver.csv");
    let mut taken = cells(&table, "resource_id");
    taken.sort();
    assert_eq!(taken, ["ds-301", "ds-302", "ds-303"]);
    she.filters("res:dataset/ds-90 type:dataset.created all-time", &["1 of 1"]);
    let table = she.exports("j", "names.csv", "1 event in names.csv");
    assert!(cells(&table, "resource_name")[0].starts_with("'=HYPERLINK("), "{table}");
    she.leaves()
}

/// What the policy was at a time in Berlin, before and after, and a time that was twice.
fn configuration_at_a_time(test: &TestDatabase, screen: (u16, u16, bool)) -> usize {
    let mut she = Analyst::sits_down(test, screen);
    she.types("fres:retention_policy/rp-2\r");
    she.sees(&["of 2", "svc-deploy", "alice@acme.example"]);
    // What was changed, and what restores it.
    she.types("G3");
    she.sees(&["days 365 → 1"]);
    she.types("y");
    she.sees(&["the JSON Patch that undoes the change"]);
    she.types("r");
    she.sees(&["copied"]);
    let copied = she.terminal.copied();
    let patch: serde_json::Value = serde_json::from_slice(&copied).unwrap();
    let restores = |op: &serde_json::Value| op["path"] == "/days" && op["value"] == 365;
    assert!(patch.as_array().unwrap().iter().any(restores), "{patch}");
    she.types("1g3@");
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
    // Who touched it on that day.
    she.types("1");
    she.filters(
        "resource_id:rp-2 at:2026-06-24 zone:Europe/Berlin",
        &["Timeline  1 of 2", "› resource_id:rp-2 at:2026-06-24"],
    );
    let actors = she.totals("ACTOR", &["svc-deploy", "user-1"]);
    assert!(has_line(&actors, &["svc-deploy", "1"]) && has_line(&actors, &["user-1", "1"]), "{actors}");
    she.leaves()
}

/// A search for gaps finds those of the rule, which knows all times at once, in both directions.
async fn the_gaps(test: &TestDatabase) {
    let db = reader(&test.options).await;
    let query = Query { scope: scope("acme"), filter: Filter::default(), range: TimeRange::default() };
    let page = timeline::keys(&db, &query, &Seek::Newest, 20_000, Pace::default(), &never()).await.unwrap();
    let keys = page.rows;
    assert_eq!(keys.len(), 10_800);
    let time = |at: usize| keys.get(at).map(|key| key.timestamp);
    let gaps: Vec<usize> = (0..keys.len()).filter(|at| tempo::tempo(time, *at, 0).is_gap).collect();
    println!("{} gaps among {} events", gaps.len(), keys.len());
    for newer in [false, true] {
        let mut selected = if newer { keys.len() - 1 } else { 0 };
        let ahead = if newer {
            gaps.iter().rev().take(20).collect::<Vec<_>>()
        } else {
            gaps.iter().take(20).collect()
        };
        for wanted in ahead {
            let (first, end) = (selected.saturating_sub(40), (selected + 40).min(keys.len()));
            let search = tempo::Search::new(keys[first..end].to_vec(), selected - first, newer);
            let found = tempo::next_gap(&db, &query, search, &|_, _| {}, &never()).await.unwrap();
            assert_eq!(found, tempo::Sought::Gap(keys[*wanted].clone()), "after {selected}, {newer}");
            selected = *wanted;
        }
    }
    db.close().await;
}

/// Gaps are gone to, at hand and far away; what came at once is a burst; a frozen column stays.
fn tempo_and_columns(test: &TestDatabase, screen: (u16, u16, bool)) -> usize {
    let mut she = Analyst::sits_down(test, screen);
    // Three nights of passwords.
    she.types("fip:203.0.113.7\r");
    she.sees(&["1 of 24"]);
    for (key, place) in [(".", "8 of 24"), (".", "16 of 24"), (";", "8 of 24")] {
        she.types(key);
        let shown = she.sees(&[place, "▽"]);
        assert!(has_line(&shown, &["▸", "▽"]), "{shown}");
    }
    she.types("..");
    she.sees(&["16 of 24", "no further gap in this view"]);
    // An import that wrote all its events in one instant, alone and among the others.
    she.types("f");
    she.sees(&["Enter submit"]);
    she.types(&format!("{CLEAR}sess:s-e0cbrchxwj5pp\r"));
    she.sees(&["of 240"]);
    she.types("G");
    let alone = she.sees(&["240 of 240"]);
    assert!(!alone.contains("02:00:00┃"), "where all come at once, nothing is a burst: {alone}");
    she.types("C");
    she.sees(&["around:", "02:00:00┃"]);
    she.types(",");
    she.sees(&["Columns", "as shipped"]);
    she.types("j  ");
    she.terminal.wait("a frozen column", |screen| has_line(screen, &["type", "frozen"]));
    she.types("\r");
    she.terminal.wait("the rows", |screen| !screen.contains("as shipped"));
    she.types("l");
    let shown = she.sees(&["‹"]);
    assert!(has_line(&shown, &["sev", "type", "‹"]), "{shown}");
    she.leaves()
}

/// A gap beyond all rows that the console has: the server is asked.
fn far_gap(test: &TestDatabase, screen: (u16, u16, bool)) {
    let mut she = Analyst::comes_to(test, "o-1", "1 of 5 001", screen);
    she.types(".");
    let shown = she.sees(&["5 000 of 5 001"]);
    assert!(has_line(&shown, &["▸", "▽"]), "{shown}");
    she.types("G");
    she.sees(&["5 001 of 5 001"]);
    she.types(";");
    she.sees(&["5 000 of 5 001"]);
    she.types(";");
    she.sees(&["no further gap in this view"]);
    she.leaves();
}

/// The number of events that a filter takes a scan of, as the line below it says; 0 where it says none.
fn scanned(screen: &str) -> u64 {
    let after = screen.split("scan of ~").nth(1).unwrap_or_default();
    let digits: String =
        after.chars().take_while(|c| !"·\n".contains(*c)).filter(char::is_ascii_digit).collect();
    digits.parse().unwrap_or_default()
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
    let slow = scanned(&she.sees(&["scan of"]));
    // A narrower time is cheaper, and the line says so.
    she.types(" since:2026-06-20");
    she.terminal.wait("a cheaper scan", |screen| scanned(screen) > 0 && scanned(screen) < slow / 4);
    she.types(&format!("{CLEAR}ip:203.0.113.0/24\r"));
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
