//! The layering rule of `src/lib.rs`, held to the `use` lines and paths of the source.

use std::fs;
use std::path::{Path, PathBuf};

/// For each room, the rooms of ours it may name, and the crates it must not.
const MAY: &[(&str, &[&str], &[&str])] = &[
    ("domain", &[], &["tokio", "sqlx", "ratatui", "crossterm"]),
    ("filter", &["domain"], &["tokio", "sqlx", "ratatui", "crossterm"]),
    ("diff", &["domain"], &["tokio", "sqlx", "ratatui", "crossterm"]),
    ("chain", &["domain"], &["tokio", "sqlx", "ratatui", "crossterm"]),
    ("server", &["error"], &["ratatui", "crossterm", "clap"]),
    ("store", &["domain", "filter", "chain", "error"], &["ratatui", "crossterm", "clap"]),
    ("demo", &["domain"], &["tokio", "sqlx", "ratatui", "crossterm", "clap"]),
    ("ingest", &["domain", "chain", "store", "error"], &["ratatui", "crossterm", "clap"]),
    ("export", &["domain", "diff", "chain", "store", "error"], &["ratatui", "crossterm", "clap", "sqlx"]),
    ("verify", &["domain", "filter", "chain", "diff", "store", "error"], &["ratatui", "crossterm", "clap"]),
    ("case", &["domain", "filter", "chain", "error"], &["ratatui", "crossterm", "clap", "sqlx"]),
    ("config", &["domain", "error", "server"], &["ratatui", "crossterm", "clap"]),
    (
        "console",
        &["domain", "filter", "diff", "chain", "store", "verify", "export", "case", "config", "error"],
        &["clap", "sqlx"],
    ),
];

fn sources(folder: &Path, out: &mut Vec<PathBuf>) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, out);
        } else if path.extension().is_some_and(|e| e == "rs") {
            out.push(path);
        }
    }
}

#[test]
fn imports_point_downwards_only() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut wrong = Vec::new();
    let mut looked_at = 0;
    for (room, may, never) in MAY {
        let mut files = vec![src.join(format!("{room}.rs"))];
        sources(&src.join(room), &mut files);
        for file in files.iter().filter(|f| f.exists()) {
            looked_at += 1;
            for (n, line) in fs::read_to_string(file).unwrap().lines().enumerate() {
                let code = line.split("//").next().unwrap_or_default();
                for after in code.split("crate::").skip(1) {
                    let named: String =
                        after.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
                    if named != *room && !may.contains(&named.as_str()) {
                        wrong.push(format!("{}:{}: {room} must not use {named}", file.display(), n + 1));
                    }
                }
                for name in *never {
                    if code.contains(&format!("{name}::")) {
                        wrong.push(format!(
                            "{}:{}: {room} must not use the crate {name}",
                            file.display(),
                            n + 1
                        ));
                    }
                }
            }
        }
    }
    assert!(looked_at > 20, "only {looked_at} files were looked at");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
