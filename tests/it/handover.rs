//! The end of a night shift (scenario 6.10): an analyst hands the case to the next one, who goes on at another machine and
//! sees marks, notes, verdicts, filters and remembered heads.

use crate::pty::Terminal;
use crate::support::{self, Home, TestDatabase};
use crate::verify::{append, damage, run, run_json};

const CLEAR: &str = "\x15";

/// The console on a narrow screen without colours, as over SSH at night.
fn console(test: &TestDatabase, home: &Home, case: &[&str]) -> Terminal {
    let url = test.url();
    let arguments = [&["--database-url", &url, "--org", "own"], case].concat();
    let variables = [("TERM", "xterm-256color"), ("NO_COLOR", "1")];
    let mut terminal = Terminal::open_in(&variables, 80, 24, home.path(), &arguments);
    terminal.wait_for("1 of 60");
    terminal
}

fn leave(mut terminal: Terminal) {
    terminal.press("q");
    assert!(terminal.wait_for_end().success());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_next_analyst_goes_on_at_another_machine_where_the_last_one_stopped() {
    let test = support::database().await;
    append(&test, "own", 0..60).await;
    let [night, morning] = [Home::new(), Home::new()];
    let (code, stdout, _) = run(&night, &test, &["--org", "own", "verify"]);
    assert_eq!(code, 0, "{stdout}");

    // At night: a bookmark, a note, a tag, a verdict, a filter under a name.
    let mut terminal = console(&test, &night, &[]);
    terminal.press("m");
    terminal.wait_for("★");
    terminal.press("cwho is u-19?\r");
    terminal.wait_for("★✎");
    terminal.press("jj#wave\r");
    terminal.wait(" # ", |screen| screen.lines().any(|line| line.starts_with('▸') && line.contains('#')));
    terminal.press("a");
    terminal.wait_for("part of an attack");
    terminal.press("j\r");
    terminal.press("f");
    terminal.wait_for("Enter submit");
    terminal.press(&format!("{CLEAR}type:user.* -actor:u-3\x13"));
    terminal.wait_for("Save");
    terminal.press("noise\r");
    terminal.wait_for("noise");
    terminal.press("\x1b");
    terminal.wait("the timeline", |screen| !screen.contains("Enter submit"));
    leave(terminal);
    let (code, file, stderr) = run(&night, &test, &["case", "export"]);
    assert_eq!(code, 0, "{stderr}");
    // Once more: nothing is put in twice.
    let (_, again, _) = run(&night, &test, &["case", "export"]);
    assert_eq!(file, again);

    // In the morning, at another machine.
    std::fs::write(morning.path().join("from-night.ndjson"), &file).unwrap();
    let (code, _, stderr) = run(&morning, &test, &["case", "import", "from-night.ndjson"]);
    assert_eq!(code, 0, "{stderr}");
    assert!(stderr.contains("filters saved: noise"), "{stderr}");
    let case = ["--case", "from-night"];
    let mut terminal = console(&test, &morning, &case);
    let screen = terminal.wait("marks", |screen| screen.contains("★✎") && screen.matches('#').count() > 0);
    assert!(screen.lines().any(|line| line.starts_with('▸') && line.contains("★✎")), "{screen}");
    terminal.press("L");
    let screen = terminal.wait_for("who is u-19?");
    assert!(screen.contains("#wave") && screen.contains("suspicious"), "{screen}");
    // Escape and a letter at once would be another key.
    terminal.press("\x1b");
    terminal.wait_for("1 Timeline");
    terminal.press("f\x0f");
    terminal.wait_for("type:user.* -actor:u-3");
    terminal.press("\r");
    terminal.wait("the filter", |screen| screen.contains("filter type:user.*"));
    terminal.press("\r");
    terminal.wait("its events", |screen| screen.contains("Enter open") && screen.contains("1 of 5"));
    terminal.press("q");
    terminal.wait_for("filter none");
    leave(terminal);

    // What is remembered is compared, and believed where somebody says so.
    let show = [&case[..], &["--org", "own", "case", "show", "--check"]].concat();
    let (code, shown) = run_json(&morning, &test, &show);
    assert_eq!((code, &shown["contradictions"]), (0, &serde_json::json!([])), "{shown}");
    assert_eq!(shown["heads"][0]["heads"][0]["event_id"], "own-000059", "{shown}");
    assert_eq!(shown["filters"][0]["name"], "noise", "{shown}");
    let (_, _, stderr) = run(&morning, &test, &["pin", "list"]);
    assert!(stderr.contains("no heads are remembered"), "{stderr}");
    let (code, _, stderr) = run(&morning, &test, &["pin", "import", "from-night.ndjson"]);
    assert_eq!((code, stderr.contains("1 records of heads imported")), (0, true), "{stderr}");
    damage(&test, &["DELETE FROM audit_events WHERE event_id IN ('own-000058', 'own-000059')"]).await;
    let (code, shown) = run_json(&morning, &test, &show);
    assert_eq!(code, 1, "{shown}");
    assert_eq!(
        shown["contradictions"],
        serde_json::json!(["pin_missing:own-000059", "head_record_mismatch:own-000059"]),
        "{shown}"
    );
    let (code, stdout, _) = run(&morning, &test, &["--org", "own", "verify"]);
    assert_eq!(code, 1, "{stdout}");
    assert!(stdout.contains("pin_missing"), "{stdout}");
}

#[tokio::test]
async fn of_two_filters_with_one_name_each_machine_keeps_its_own_and_shows_both() {
    let test = support::database().await;
    append(&test, "own", 0..3).await;
    let [one, other] = [Home::new(), Home::new()];
    for (home, filter) in [(&one, "actor:u-1"), (&other, "actor:u-2")] {
        for arguments in
            [&["filters", "save", "mine", filter][..], &["--org", "own", "case", "bookmark", "own-000001"]]
        {
            let (code, _, stderr) = run(home, &test, arguments);
            assert_eq!(code, 0, "{stderr}");
        }
    }
    let (_, file, _) = run(&one, &test, &["case", "export"]);
    std::fs::write(other.path().join("one.ndjson"), file).unwrap();
    let (code, _, stderr) = run(&other, &test, &["case", "merge", "one.ndjson"]);
    assert_eq!(code, 0, "{stderr}");
    assert!(stderr.contains("the filter 'mine' of the case differs from yours"), "{stderr}");
    let (_, stdout, _) = run(&other, &test, &["case", "show"]);
    assert!(stdout.contains("mine = actor:u-2\n") && stdout.contains("mine = actor:u-1  (of "), "{stdout}");
}
