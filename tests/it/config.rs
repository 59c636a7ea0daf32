//! Targets and configuration, through the real program.

use crate::support;
use std::fs;

fn stderr_of(assert: &assert_cmd::assert::Assert) -> String {
    String::from_utf8_lossy(&assert.get_output().stderr).into_owned()
}

#[test]
fn without_any_configuration_the_program_says_how_to_begin() {
    let assert = support::agenttrace().arg("events").assert().code(2);
    let said = stderr_of(&assert);
    assert!(said.contains("agenttrace demo") && said.contains("--database-url"), "{said}");
}

#[test]
fn a_password_on_the_command_line_is_refused_and_not_repeated() {
    let assert = support::agenttrace()
        .args(["--database-url", "postgres://u:hunter2@127.0.0.1/x", "events"])
        .assert()
        .code(2);
    let said = stderr_of(&assert);
    assert!(said.contains("pgpass") && !said.contains("hunter2"), "{said}");
}

#[test]
fn an_unknown_key_is_refused_with_file_line_and_nearest_name() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("c.toml");
    fs::write(&file, "[profiles.prod]\ndatabase_ulr = \"postgres://h/d\"\n").unwrap();
    let assert = support::agenttrace().args(["config", "check", "--config"]).arg(&file).assert().code(2);
    let said = stderr_of(&assert);
    assert!(said.contains("c.toml:2") && said.contains("'database_url'"), "{said}");
}

#[test]
fn a_wrong_keymap_beside_the_configuration_is_refused_with_file_and_line() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("c.toml");
    fs::write(&file, "").unwrap();
    let check = || {
        let mut program = support::agenttrace();
        program.args(["config", "check", "--config"]).arg(&file);
        program.assert()
    };
    let keys = folder.path().join("keymap.toml");
    fs::write(&keys, "[global]\nrefresh = [\"f5\"]\n").unwrap();
    let said = String::from_utf8_lossy(&check().success().get_output().stdout).into_owned();
    assert!(said.contains("keymap.toml: correct"), "{said}");
    fs::write(&keys, "[global]\nrefresh = [\"f5\",\n\"ctrl-i\"]\n").unwrap();
    let said = stderr_of(&check().code(2));
    assert!(said.contains("keymap.toml:3: 'ctrl-i'") && said.contains("'tab'"), "{said}");
}

#[test]
fn printing_the_configuration_hides_passwords() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("c.toml");
    fs::write(&file, "[profiles.prod]\ndatabase_url = \"postgres://u:hunter2@h/d\"\n").unwrap();
    let assert = support::agenttrace().args(["config", "print", "--config"]).arg(&file).assert().success();
    let printed = String::from_utf8_lossy(&assert.get_output().stdout).into_owned();
    assert!(printed.contains("[profiles.prod]") && !printed.contains("hunter2"), "{printed}");
}

#[test]
fn the_printed_configuration_names_the_database_in_force() {
    let print = |arguments: &[&str], variable: &str| {
        let mut program = support::agenttrace();
        program.args(["config", "print"]).args(arguments);
        if !variable.is_empty() {
            program.env(variable, "postgres://u:hunter2@h/d");
        }
        String::from_utf8_lossy(&program.assert().success().get_output().stdout).into_owned()
    };
    let of_variable = print(&[], "DATABASE_URL");
    assert!(
        of_variable.starts_with("# the database in force: postgres://u:••••@h/d, by DATABASE_URL\n"),
        "{of_variable}"
    );
    let of_flag = print(&["--database-url", "service=aud"], "DATABASE_URL");
    assert!(of_flag.starts_with("# the database in force: service=aud, by --database-url\n"), "{of_flag}");
    let demo = print(&["--profile", "demo"], "");
    assert!(
        demo.starts_with(
            "# the database in force: 'agenttrace' on the private server, by the profile demo\n"
        ),
        "{demo}"
    );
    assert!(!print(&[], "").contains("in force"));
}

#[test]
fn an_unreachable_database_is_exit_3_within_the_connect_limit() {
    let folder = tempfile::tempdir().unwrap();
    let url =
        format!("postgres://u@localhost/d?host={}", folder.path().display().to_string().replace('/', "%2F"));
    let assert =
        support::agenttrace().args(["--database-url", &url, "--org", "x", "events"]).assert().code(3);
    assert!(stderr_of(&assert).contains("cannot reach the database"), "{}", stderr_of(&assert));
}
