//! A console that dies, and the next one that goes on where it was.

use crate::pty::{Terminal, trail};
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::{Duration, Instant};

/// The records of consoles, once one of them is as wanted. The console writes a moment after the last movement.
fn records(home: &Path, wanted: impl Fn(&[String]) -> bool) -> Vec<String> {
    let begun = Instant::now();
    loop {
        let files = fs::read_dir(home.join("data/places")).into_iter().flatten().flatten();
        let files: Vec<_> = files.map(|entry| entry.path()).collect();
        let texts: Vec<String> = files.iter().filter_map(|path| fs::read_to_string(path).ok()).collect();
        if wanted(&texts) {
            for path in files.iter().filter(|path| path.exists()) {
                assert_eq!(fs::metadata(path).unwrap().permissions().mode() & 0o777, 0o600);
            }
            return texts;
        }
        assert!(begun.elapsed() < Duration::from_secs(60), "{texts:?}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_view_of_a_console_that_was_killed_is_restored_by_the_next_one() {
    let db = trail(1_000).await;
    let home = tempfile::tempdir().unwrap();
    let open = || Terminal::open_at(120, 40, home.path(), &["--database-url", &db.url()]);

    let mut t = open();
    t.wait_for("globex");
    t.press("\r");
    t.wait_for("1 of 1 000");
    t.press("fsev:critical\r");
    t.wait_for("1 of 20");
    t.press("jj");
    t.wait_for("3 of 20");
    t.press("5");
    let kept = records(home.path(), |all| {
        all.iter().any(|text| text.contains("acme-000900") && text.contains("Event"))
    });
    for private in ["corp.example", "dataset", "ds-900", "alice", "req-"] {
        assert!(!kept[0].contains(private), "no text of events: {kept:?}");
    }
    t.signal(libc::SIGKILL);
    t.wait_for_death();

    // Of a database that has two organisations, without a question.
    let mut t = open();
    let screen = t.wait("the view", |s| s.contains("3 of 20") && s.contains("restored the view of"));
    assert!(screen.contains("sev:critical") && screen.contains("<: start anew"), "{screen}");
    t.wait_for("acme-000900");
    // The pane had the keys.
    t.wait_for("━ 5 Event");
    records(home.path(), |all| all.iter().any(|text| text.contains("acme-000900")));
    // A terminal that goes away is no way of leaving either.
    t.signal(libc::SIGHUP);
    t.wait_for_end();

    let mut t = open();
    t.wait("the view", |s| s.contains("3 of 20") && s.contains("restored the view of"));
    t.press("<");
    t.wait_for("of 1 000");
    t.press("qq\x03\x03");
    t.wait_for_end();
    assert_eq!(records(home.path(), <[String]>::is_empty), [""; 0], "left in order");

    let mut t = open();
    t.wait_for("globex");
    t.press("\r");
    let screen = t.wait_for("1 of 1 000");
    assert!(!screen.contains("restored"), "{screen}");
    t.press("q");
    t.wait_for_end();
    db.drop_now().await;
}
