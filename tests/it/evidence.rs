//! Signed checkpoints of a real trail, and the bundles that are made of it.

use crate::support::{self, Home, TestDatabase};
use crate::verify::{append, damage, run, run_json};
use serde_json::{Value, json};
use std::path::Path;
use std::process::Command;

pub(crate) fn in_home(home: &Home, name: &str) -> String {
    home.path().join(name).display().to_string()
}

pub(crate) fn keygen(home: &Home, database: &TestDatabase) -> String {
    let (code, key, stderr) = run(home, database, &["pin", "keygen", "acme.example/audit"]);
    assert_eq!(code, 0, "{stderr}");
    key.trim().to_owned()
}

pub(crate) fn sign(home: &Home, database: &TestDatabase, organization: &str) -> Value {
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
pub(crate) fn verified(file: &str, trusted: &[&str]) -> (i32, Value) {
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
pub(crate) fn by_python(file: &str, trusted: &[&str]) -> Option<i32> {
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

pub(crate) fn states(document: &Value) -> Vec<&str> {
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
        (1, &json!(60), &json!(50)),
        "{document}"
    );
    assert_eq!(states(&document), ["shown", "shown", "fails", "shown", "not_shown"], "{document}");
    let said = document["parts"]["completeness"]["detail"].as_str().unwrap();
    assert!(said.contains("10 of the signed log are given only as hashes"), "{said}");
    assert_eq!(by_python(&file, &[key]).unwrap_or(1), 1);
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

/// A second person with a key of their own; their machine has no database.
fn witness(name: &str, log: &str) -> (Home, String) {
    let home = Home::new();
    let keygen = home.agenttrace().args(["pin", "keygen", name]).output().unwrap();
    assert!(home.agenttrace().args(["pin", "trust", log]).output().unwrap().status.success());
    (home, String::from_utf8(keygen.stdout).unwrap().trim().to_owned())
}

fn cosign(home: &Home, file: &str, to: &str) -> (i32, String) {
    let output = home.agenttrace().args(["pin", "cosign", file, "-o", to]).output().unwrap();
    (output.status.code().unwrap(), String::from_utf8_lossy(&output.stderr).into_owned())
}

fn publish(home: &Home, database: &TestDatabase, arguments: &[&str]) -> String {
    let all = [&["--org", "a", "pin", "publish"], arguments].concat();
    let (code, _, stderr) = run(home, database, &all);
    assert_eq!(code, 0, "{stderr}");
    stderr
}

#[tokio::test]
async fn a_second_person_signs_only_what_begins_with_what_they_have_seen() {
    let (database, home) = (support::database().await, Home::new());
    append(&database, "a", 0..60).await;
    let key = keygen(&home, &database);
    let (bob, bobs_key) = witness("bob", &key);
    let file = |name: &str| in_home(&home, name);
    sign(&home, &database, "a");
    publish(&home, &database, &["-o", &file("1")]);
    let (code, said) = cosign(&bob, &file("1"), &file("1.bob"));
    assert!(code == 0 && said.contains("nothing is shown of earlier times"), "{code}: {said}");
    append(&database, "a", 60..75).await;
    sign(&home, &database, "a");
    publish(&home, &database, &["-o", &file("2")]);
    let (code, said) = cosign(&bob, &file("2"), &file("2.bob"));
    assert!(code == 0 && said.contains("begins with the 60 events that were seen here before"), "{said}");
    // An older one is not signed again, and a larger one only with its proof.
    let (code, said) = cosign(&bob, &file("1"), &file("again"));
    assert!(code == 4 && said.contains("older than one that was signed here"), "{said}");
    append(&database, "a", 75..90).await;
    sign(&home, &database, "a");
    publish(&home, &database, &["-o", &file("3")]);
    std::fs::remove_file(file("3.proofs")).unwrap();
    let (code, said) = cosign(&bob, &file("3"), &file("3.bob"));
    assert!(code == 4 && said.contains("there is no proof") && !Path::new(&file("3.bob")).exists(), "{said}");
    // Whose key nobody has compared, and a log's own key, are no witnesses' business.
    let stranger = Home::new();
    assert!(stranger.agenttrace().args(["pin", "keygen", "eve"]).output().unwrap().status.success());
    let (code, said) = cosign(&stranger, &file("2"), &file("2.eve"));
    assert!(code == 4 && said.contains("not signed by a key that is trusted here"), "{said}");
    assert_eq!(cosign(&home, &file("2"), &file("2.own")).0, 2);

    // The signature comes back, goes into the next bundle, and others open the note.
    let (code, _, said) = run(&home, &database, &["pin", "import", &file("2.bob")]);
    assert!(code == 4 && said.contains("no signature of a trusted key"), "{said}");
    run(&home, &database, &["pin", "trust", &bobs_key]);
    let (code, _, said) = run(&home, &database, &["pin", "import", &file("2.bob")]);
    assert!(code == 0 && said.contains("cosigned by bob"), "{said}");
    opened_by_go(&key, &[&file("2.bob")]);
    opened_by_go(&bobs_key, &[&file("2.bob")]);
    publish(&home, &database, &["-o", &file("4")]);
    assert_eq!(cosign(&bob, &file("4"), &file("4.bob")).0, 0);
    run(&home, &database, &["pin", "import", &file("4.bob")]);
    export(&home, &database, &file("bundle"), &["--all-time"]);
    let (code, document) = verified(&file("bundle"), &[&key, &bobs_key]);
    let said = document["parts"]["signature"]["detail"].as_str().unwrap();
    assert!(code == 0 && said.contains("cosigned by bob"), "{document}");
    assert_eq!(by_python(&file("bundle"), &[&key, &bobs_key]).unwrap_or(0), 0);
    // A witness alone does not say whose log it is.
    assert_eq!(verified(&file("bundle"), &[&bobs_key]).0, 4);
}

#[tokio::test]
async fn a_second_history_is_not_signed_and_both_heads_are_shown() {
    let (database, home) = (support::database().await, Home::new());
    let rewritten = support::database().await;
    append(&database, "a", 0..60).await;
    append(&rewritten, "a", 1..80).await;
    let key = keygen(&home, &database);
    let (bob, _) = witness("bob", &key);
    let file = |name: &str| in_home(&home, name);
    let first = sign(&home, &database, "a");
    publish(&home, &database, &["-o", &file("1")]);
    publish(&home, &database, &["--git", &repository(&home)]);
    assert_eq!(cosign(&bob, &file("1"), &file("1.bob")).0, 0);
    // Whoever has the key signs another history of the same log on another machine.
    let other = Home::new();
    std::fs::create_dir_all(other.path().join("data")).unwrap();
    copy_folder(&home.path().join("data/keys"), &other.path().join("data/keys"));
    let second = sign(&other, &rewritten, "a");
    publish(&other, &rewritten, &["-o", &file("2")]);
    let (code, said) = cosign(&bob, &file("2"), &file("2.bob"));
    // From 60 there is no proof: nobody can make one.
    assert_eq!(code, 4, "{said}");
    for head in [&first, &second] {
        let root: String = head["root"].as_str().unwrap().chars().take(16).collect();
        assert!(said.contains(&root), "{said}");
    }
    // One that was made up does not hold.
    let forged = std::fs::read_to_string(file("2.proofs")).unwrap() + "from 60 -\n";
    std::fs::write(file("2.proofs"), forged).unwrap();
    let (code, said) = cosign(&bob, &file("2"), &file("2.bob"));
    assert!(code == 1 && said.contains("two histories of one log were shown, or the file"), "{said}");
    // Of one size, the two signatures are the proof themselves.
    damage(
        &rewritten,
        &["DELETE FROM audit_events WHERE event_id > 'a-000060'", "DELETE FROM audit_chain_heads"],
    )
    .await;
    std::fs::remove_dir_all(other.path().join("data/leaves")).unwrap();
    for record in ["checkpoints", "heads"] {
        std::fs::remove_file(other.path().join(format!("data/{record}.ndjson"))).unwrap();
    }
    assert_eq!(sign(&other, &rewritten, "a")["size"], 60);
    publish(&other, &rewritten, &["-o", &file("3")]);
    let (code, said) = cosign(&bob, &file("3"), &file("3.bob"));
    assert!(code == 1 && said.contains("two histories of one log were shown"), "{said}");
    assert!(said.contains("seen here: ") && said.contains("shown now: "), "{said}");
    // Nor is it committed over the first one, nor imported, nor does it fit the table that it is not of.
    let (code, _, said) =
        run(&other, &rewritten, &["--org", "a", "pin", "publish", "--git", &repository(&home)]);
    assert!(code == 1 && said.contains("two histories"), "{said}");
    let (code, _, said) = run(&home, &database, &["pin", "import", &file("3")]);
    assert!(code == 1 && said.contains("two histories"), "{said}");
    let (code, said, _) = run(&home, &database, &["--org", "a", "pin", "check", "--published", &file("3")]);
    assert!(code == 1 && said.contains("CONTRADICTED") && said.contains("as published"), "{said}");
}

/// An empty git repository with somebody to commit as.
fn repository(home: &Home) -> String {
    let folder = in_home(home, "log");
    if !Path::new(&folder).exists() {
        std::fs::create_dir(&folder).unwrap();
        for arguments in [
            &["init", "--quiet"][..],
            &["config", "user.name", "nobody"],
            &["config", "user.email", "nobody@example.com"],
            &["config", "commit.gpgsign", "false"],
        ] {
            assert!(Command::new("git").arg("-C").arg(&folder).args(arguments).status().unwrap().success());
        }
    }
    folder
}

fn copy_folder(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        std::fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
}

#[tokio::test]
async fn what_was_published_is_compared_by_hash_with_the_table() {
    let (database, home) = (support::database().await, Home::new());
    append(&database, "a", 0..40).await;
    let key = keygen(&home, &database);
    let folder = repository(&home);
    for more in [40..55, 55..70] {
        sign(&home, &database, "a");
        publish(&home, &database, &["--git", &folder]);
        append(&database, "a", more).await;
    }
    assert!(publish(&home, &database, &["--git", &folder]).contains("committed already"));
    let log = Command::new("git").args(["-C", &folder, "log", "--format=%s"]).output().unwrap();
    let log = String::from_utf8(log.stdout).unwrap();
    assert_eq!(log.lines().count(), 2, "{log}");
    assert!(log.contains("checkpoint of acme.example/audit/a with 55 events"), "{log}");
    let check = |home: &Home| run(home, &database, &["--org", "a", "pin", "check", "--published", &folder]);
    let (code, said, _) = check(&home);
    assert_eq!((code, said.matches(": present: ").count()), (0, 2), "{said}");
    // Somebody else, who trusts the key, compares with the table as well; a stranger's word counts for nothing.
    let auditor = Home::new();
    assert_eq!(check(&auditor).0, 4);
    run(&auditor, &database, &["pin", "trust", &key]);
    assert_eq!(check(&auditor).0, 0);
    // The same number of events with another end: a count would not notice.
    damage(
        &database,
        &[
            "UPDATE audit_events SET hash = repeat('0', 64) WHERE event_id = 'a-000054'",
            "DELETE FROM audit_chain_heads",
        ],
    )
    .await;
    let (code, said, _) = check(&auditor);
    assert!(code == 1 && said.contains("CONTRADICTED") && said.contains("a-000054"), "{said}");
    assert_eq!(said.matches(": present: ").count(), 1, "{said}");
}

#[tokio::test]
async fn a_program_is_given_each_checkpoint_only_where_the_configuration_names_one() {
    let (database, home) = (support::database().await, Home::new());
    append(&database, "a", 0..10).await;
    keygen(&home, &database);
    let (file, config) = (in_home(&home, "given"), in_home(&home, "config.toml"));
    let with = |command: &str, arguments: &[&str]| {
        std::fs::write(&config, format!("publish_command = {command}\n")).unwrap();
        run(&home, &database, &[&["--config", &config, "--org", "a", "pin"], arguments].concat())
    };
    sign(&home, &database, "a");
    let (code, _, said) = run(&home, &database, &["--org", "a", "pin", "publish", "--command"]);
    assert!(code == 2 && said.contains("off by default"), "{said}");
    // No shell reads it: what looks like a second command is an argument.
    let command = format!("[\"tee\", \"{file}\", \"{file};touch x\"]");
    assert_eq!(with(&command, &["create", "--sign"]).0, 0);
    let given: Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
    assert_eq!((&given["origin"], &given["size"]), (&json!("acme.example/audit/a"), &json!(10)));
    assert!(given["checkpoint"].as_str().unwrap().starts_with("acme.example/audit/a\n10\n"), "{given}");
    assert!(Path::new(&format!("{file};touch x")).exists());
    // What fails there is said; the checkpoint is kept.
    let (code, _, said) = with("[\"false\"]", &["create", "--sign"]);
    assert!(
        code == 3 && said.contains("not published") && said.contains("the checkpoint is signed"),
        "{said}"
    );
    assert_eq!(with(&command, &["publish", "--command"]).0, 0);
    assert_eq!(with("[]", &["publish", "--command"]).0, 2);
}

#[tokio::test]
async fn hidden_columns_are_in_no_byte_of_a_bundle_and_can_be_disclosed_later() {
    let (database, home) = (support::database().await, Home::new());
    append(&database, "a", 0..40).await;
    let file = |name: &str| in_home(&home, name);
    let all = ["--org", "a", "evidence", "export", "-o", &file("first"), "--all-time"];
    let redact = ["--redact", "actor_user_agent,new_state,previous_state", "--level", "none"];
    let (code, _, said) = run(&home, &database, &[&all[..], &redact].concat());
    assert!(code == 2 && said.contains("a redacted bundle is sealed"), "{code} {said}");
    let key = keygen(&home, &database);
    sign(&home, &database, "a");
    let (code, _, said) = run(&home, &database, &[&all[..], &["--redact", "hash"]].concat());
    assert!(code == 2 && said.contains("no column that can be hidden"), "{said}");
    export(
        &home,
        &database,
        &file("first"),
        &["--all-time", "--redact", "actor_user_agent,new_state,previous_state"],
    );
    let (code, document) = verified(&file("first"), &[&key]);
    assert_eq!(code, 4, "{document}");
    assert_eq!(states(&document), ["not_shown", "shown", "shown", "shown", "not_shown"], "{document}");
    assert_eq!(by_python(&file("first"), &[&key]).unwrap_or(4), 4);
    // Neither as it is nor in base64, wherever it begins.
    let bundle = std::fs::read_to_string(file("first")).unwrap();
    for secret in ["curl/8", "viewer", "quota"] {
        assert!(!bundle.contains(secret), "{secret}");
        for field in bundle.split([' ', ':', '\n']) {
            let plain = base64_of(field);
            assert!(
                !plain.windows(secret.len()).any(|part| part == secret.as_bytes()),
                "{secret} in {field}"
            );
        }
    }
    // Later, to somebody who has the first one.
    export(&home, &database, &file("later"), &["--all-time"]);
    let home_of_another = Home::new();
    let compare = |first: &str, later: &str| {
        let mut command = home_of_another.agenttrace();
        command.args(["evidence", "verify", first, "--trust", &key, "--disclosed", later]);
        let output = command.output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        (output.status.code().unwrap(), said)
    };
    let (code, said) = compare(&file("first"), &file("later"));
    assert!(
        code == 4 && said.contains("disclosed: 40 of 40 events with hidden columns, 0 of them differ"),
        "{said}"
    );
    append(&database, "b", 0..3).await;
    sign(&home, &database, "b");
    let other = ["--org", "b", "evidence", "export", "-o", &file("other"), "--all-time"];
    assert_eq!(run(&home, &database, &other).0, 0);
    let (code, said) = compare(&file("first"), &file("other"));
    assert!(code == 1 && said.contains("disclosed: 0 of 40"), "{said}");
}

fn base64_of(field: &str) -> Vec<u8> {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.decode(field).unwrap_or_default()
}
