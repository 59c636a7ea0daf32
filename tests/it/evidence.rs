//! Signed checkpoints of a real trail, and the bundles that are made of it.

use crate::support::{self, Home, TestDatabase};
use crate::verify::{append, damage, run, run_json};
use serde_json::{Value, json};
use std::path::Path;
use std::process::Command;

fn in_home(home: &Home, name: &str) -> String {
    home.path().join(name).display().to_string()
}

fn keygen(home: &Home, database: &TestDatabase) -> String {
    let (code, key, stderr) = run(home, database, &["pin", "keygen", "acme.example/audit"]);
    assert_eq!(code, 0, "{stderr}");
    key.trim().to_owned()
}

fn sign(home: &Home, database: &TestDatabase, organization: &str) -> Value {
    let (code, document) = run_json(home, database, &["--org", organization, "pin", "create", "--sign"]);
    assert_eq!((code, &document["verdict"]), (0, &json!("intact")), "{document}");
    document["checkpoint"].clone()
}

fn export(home: &Home, database: &TestDatabase, file: &str, arguments: &[&str]) {
    let all = [&["--org", "a", "evidence", "export", "-o", file], arguments].concat();
    let (code, _, stderr) = run(home, database, &all);
    assert_eq!(code, 0, "{stderr}");
}

/// Verified by somebody else, on a machine without the database: exit code and document.
fn verified(file: &str, trusted: &[&str]) -> (i32, Value) {
    let home = Home::new();
    let mut command = home.agenttrace();
    command.args(["evidence", "verify", file, "--format", "json"]);
    for key in trusted {
        command.args(["--trust", key]);
    }
    let output = command.output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    (output.status.code().unwrap(), serde_json::from_slice(&output.stdout).unwrap_or_else(|_| json!(stderr)))
}

/// `None` where there is no Python with the package for Ed25519.
fn by_python(file: &str, trusted: &[&str]) -> Option<i32> {
    let has = Command::new("python3")
        .args(["-c", "import cryptography, sys; assert sys.version_info >= (3, 11)"])
        .output();
    if !has.is_ok_and(|output| output.status.success()) {
        println!("skipped: no python3 of 3.11 or newer with the package cryptography");
        return None;
    }
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("assets/verify_bundle.py");
    let mut command = Command::new("python3");
    command.arg(script).arg(file);
    for key in trusted {
        command.args(["--trust", key]);
    }
    command.status().unwrap().code()
}

/// Go's `sumdb/note` opens the notes, and none that was edited. Debian has it in `golang-golang-x-mod-dev`.
fn opened_by_go(key: &str, files: &[&str]) {
    let gopath = "/usr/share/gocode";
    let has_go = Command::new("go").arg("version").output().is_ok();
    if !has_go || !Path::new(gopath).join("src/golang.org/x/mod/sumdb/note").is_dir() {
        println!("skipped: no go with golang.org/x/mod in {gopath} (golang-go, golang-golang-x-mod-dev)");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let program = folder.path().join("open_note");
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/open_note.go");
    let mut build = Command::new("go");
    build.args(["build", "-o"]).arg(&program).arg(source);
    build.env("GO111MODULE", "off").env("GOPATH", gopath).env("GOCACHE", folder.path().join("cache"));
    assert!(build.status().unwrap().success());
    let opens = |files: &[&str]| Command::new(&program).arg(key).args(files).status().unwrap().success();
    assert!(opens(files));
    for file in files {
        let edited = folder.path().join("edited");
        std::fs::write(&edited, std::fs::read_to_string(file).unwrap().replacen("acme", "acmf", 1)).unwrap();
        assert!(!opens(&[edited.to_str().unwrap()]));
    }
}

fn states(document: &Value) -> Vec<&str> {
    let names = ["content", "inclusion", "completeness", "signature", "time"];
    names.map(|name| document["parts"][name]["state"].as_str().unwrap_or("none")).to_vec()
}

#[tokio::test]
async fn a_bundle_proves_its_events_to_somebody_without_the_database() {
    let (database, home) = (support::database().await, Home::new());
    append(&database, "a", 0..300).await;
    append(&database, "b", 0..5).await;
    let key = keygen(&home, &database);
    let first = sign(&home, &database, "a");
    assert_eq!(
        (&first["size"], &first["forked"], &first["follows"]),
        (&json!(300), &json!(false), &Value::Null)
    );
    append(&database, "a", 300..420).await;
    let second = sign(&home, &database, "a");
    assert_eq!((&second["size"], &second["follows"]), (&json!(420), &json!(300)));
    let actor = "actor_id:u-2";
    for level in ["rows", "hashes", "none"] {
        let file = in_home(&home, level);
        export(&home, &database, &file, &[actor, "--all-time", "--level", level]);
        let (code, document) = verified(&file, &[&key]);
        let completeness = if level == "none" { "not_shown" } else { "shown" };
        assert_eq!(states(&document), ["shown", "shown", completeness, "shown", "not_shown"], "{document}");
        assert!(document["selected"].as_u64().unwrap() > 10, "{document}");
        assert_eq!((code, by_python(&file, &[&key]).unwrap_or(0)), (0, 0));
        // Without the key: by an unknown one.
        let (code, document) = verified(&file, &[]);
        assert_eq!((code, by_python(&file, &[]).unwrap_or(4)), (4, 4));
        let said = document["parts"]["signature"]["detail"].as_str().unwrap();
        assert!(said.contains("by an unknown key"), "{said}");
        // The same again is the same file.
        let again = in_home(&home, "again");
        export(&home, &database, &again, &[actor, "--all-time", "--level", level, "--overwrite"]);
        assert!(std::fs::read(&file).unwrap() == std::fs::read(&again).unwrap());
    }
    // Events that came after the checkpoint are in the bundle and not in the log.
    append(&database, "a", 420..450).await;
    let file = in_home(&home, "late");
    export(&home, &database, &file, &[actor, "--all-time"]);
    let (code, document) = verified(&file, &[&key]);
    assert_eq!(code, 4);
    assert_eq!(states(&document), ["shown", "not_shown", "not_shown", "shown", "not_shown"], "{document}");
}

#[tokio::test]
async fn a_rewritten_or_shorter_trail_is_not_signed_and_both_heads_are_shown() {
    let (database, home) = (support::database().await, Home::new());
    append(&database, "a", 0..60).await;
    keygen(&home, &database);
    let signed = sign(&home, &database, "a");
    damage(&database, &["DELETE FROM audit_events WHERE organization_id = 'a' AND event_id >= 'a-000050'"])
        .await;
    // The remembered head is gone: the verification says so.
    let (code, _, stderr) = run(&home, &database, &["--org", "a", "pin", "create", "--sign"]);
    assert!(code == 1 && stderr.contains("nothing was signed"), "{code}: {stderr}");
    // Also where the heads were forgotten, or somebody has accepted that: the log knows its leaves.
    std::fs::remove_file(home.path().join("data/heads.ndjson")).unwrap();
    damage(&database, &["DELETE FROM audit_chain_heads"]).await;
    let (code, _, stderr) = run(&home, &database, &["--org", "a", "pin", "create", "--sign"]);
    assert!(
        code == 1 && stderr.contains("10 of the events that the last checkpoint covers"),
        "{code}: {stderr}"
    );
    let root: String = signed["root"].as_str().unwrap().chars().take(16).collect();
    assert!(stderr.contains(&root) && stderr.contains("now: 50 events, head a-000049"), "{stderr}");
    // The contradiction can be handed over: what was signed, as hashes.
    let file = in_home(&home, "contradiction");
    export(&home, &database, &file, &["--all-time", "--level", "hashes"]);
    let key = run(&home, &database, &["pin", "trust"]).1;
    let key = key.split_whitespace().nth(1).unwrap();
    let (code, document) = verified(&file, &[key]);
    assert_eq!(
        (code, &document["checkpoint"]["size"], &document["selected"]),
        (0, &json!(60), &json!(50)),
        "{document}"
    );
    // In full they cannot be given any more.
    let full =
        ["--org", "a", "evidence", "export", "-o", &in_home(&home, "full"), "--all-time", "--level", "rows"];
    let (code, _, stderr) = run(&home, &database, &full);
    assert!(
        code == 1 && stderr.contains("10 events that the checkpoint covers are not in the trail"),
        "{stderr}"
    );
}

#[tokio::test]
async fn an_organisation_of_any_name_has_a_log_of_its_own_and_a_note_that_others_open() {
    let (database, home) = (support::database().await, Home::new());
    let hostile = "a b+\n/\u{202e}ä";
    append(&database, hostile, 0..4).await;
    let key = keygen(&home, &database);
    let signed = sign(&home, &database, hostile);
    assert_eq!(signed["origin"], "acme.example/audit/a%20b%2B%0A%2F%E2%80%AE%C3%A4");
    let note = signed["note"].as_str().unwrap();
    assert_eq!(note.lines().count(), 5, "{note}");
    let file = in_home(&home, "published");
    let (code, _, stderr) = run(&home, &database, &["--org", hostile, "pin", "publish", "-o", &file]);
    assert_eq!((code, std::fs::read_to_string(&file).unwrap().as_str()), (0, note), "{stderr}");
    assert_eq!(
        std::fs::read_to_string(format!("{file}.trail")).unwrap(),
        signed["trail_note"].as_str().unwrap()
    );
    opened_by_go(&key, &[&file, &format!("{file}.trail")]);
    let (code, trusted, _) = run(&Home::new(), &database, &["pin", "trust", &key]);
    assert!(code == 0 && trusted.starts_with("trusted: acme.example/audit+"), "{trusted}");
}
