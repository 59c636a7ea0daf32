//! The layering rule, held to the paths in the source. `docs/internals/architecture.md` has the one table, `src/lib.rs`
//! shows it, and this test reads it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// Crates that only some modules may name.
const GUARDED: [&str; 5] = ["tokio", "sqlx", "ratatui", "crossterm", "clap"];

/// Longest production file, in lines without its tests.
const MAX_LINES: usize = 500;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).to_owned()
}

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

/// Whether a file is compiled for tests only.
fn is_test(path: &Path) -> bool {
    let name = path.file_stem().and_then(|name| name.to_str()).unwrap_or_default();
    name == "fixtures" || name == "tests" || name.ends_with("_tests") || path.iter().any(|p| p == "tests")
}

/// The code of a file without comments and without what is compiled for tests only.
fn production(path: &Path) -> Vec<String> {
    let text = fs::read_to_string(path).unwrap();
    let mut lines: Vec<String> = Vec::new();
    let mut rest = text.lines().peekable();
    while let Some(line) = rest.next() {
        if line == "#[cfg(test)]" {
            // The item behind it, to its closing brace or its semicolon.
            let mut first = true;
            for line in rest.by_ref() {
                let is_attribute = first && line.starts_with("#[");
                first &= is_attribute;
                if !is_attribute && (line == "}" || line.ends_with(';') && !line.starts_with(' ')) {
                    break;
                }
            }
            continue;
        }
        lines.push(line.split("//").next().unwrap_or_default().to_owned());
    }
    lines
}

/// Modules as paths from `crate::`, and their files.
fn modules(src: &Path) -> BTreeMap<String, PathBuf> {
    let mut files = Vec::new();
    sources(src, &mut files);
    files.retain(|path| !is_test(path));
    files
        .into_iter()
        .map(|path| {
            let relative = path.strip_prefix(src).unwrap().with_extension("");
            let mut parts: Vec<&str> = relative.iter().filter_map(|p| p.to_str()).collect();
            if parts.last() == Some(&"mod") {
                parts.pop();
            }
            (parts.join("::"), path)
        })
        .collect()
}

/// The paths that a file names, from `crate::` on: `use` lists taken apart, `self` and `super` resolved.
fn named(module: &str, lines: &[String]) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let code = lines.join("\n");
    let bytes = |c: char| c.is_alphanumeric() || c == '_' || c == ':';
    for (word, up) in [("crate::", None), ("super::", Some(1)), ("self::", Some(0))] {
        for (at, _) in code.match_indices(word) {
            let before = code[..at].chars().next_back();
            if before.is_some_and(bytes) {
                continue;
            }
            let mut rest = &code[at + word.len()..];
            let mut base: Vec<&str> = match up {
                None => Vec::new(),
                Some(levels) => {
                    let parts: Vec<&str> = module.split("::").collect();
                    parts[..parts.len().saturating_sub(levels)].to_vec()
                }
            };
            while let Some(further) = rest.strip_prefix("super::") {
                base.pop();
                rest = further;
            }
            let path: String = rest.chars().take_while(|c| bytes(*c)).collect();
            let after = rest[path.len()..].trim_start();
            base.extend(path.split("::").filter(|part| !part.is_empty()));
            let base = base.join("::");
            if after.starts_with('{') {
                let list: String = after.chars().skip(1).take_while(|c| *c != '}').collect();
                for item in list.split([',', '{']) {
                    let name: String = item.trim().chars().take_while(|c| bytes(*c)).collect();
                    found.insert(if name == "self" { base.clone() } else { format!("{base}::{name}") });
                }
            } else {
                found.insert(base);
            }
        }
    }
    found
}

/// The table of the architecture: for each module the modules it may name, and the guarded crates.
fn table() -> BTreeMap<String, (BTreeSet<String>, BTreeSet<String>)> {
    let text = fs::read_to_string(root().join("docs/internals/architecture.md")).unwrap();
    let begin = text.find("<!-- layers -->").expect("the page has the table of layers");
    let words = |cell: &str| -> BTreeSet<String> {
        cell.split('`').skip(1).step_by(2).map(ToOwned::to_owned).collect()
    };
    let rows = text[begin..].lines().skip_while(|line| !line.starts_with('|'));
    let mut table = BTreeMap::new();
    for row in rows.take_while(|line| line.starts_with('|')).skip(2) {
        let cells: Vec<&str> = row.trim_matches('|').split('|').collect();
        let [module, _, may, crates] = cells[..] else { panic!("four columns: {row}") };
        for module in words(module) {
            table.insert(module, (words(may), words(crates)));
        }
    }
    table
}

#[test]
fn imports_point_downwards_only() {
    let src = root().join("src");
    let table = table();
    let modules = modules(&src);
    let mut wrong = Vec::new();
    let tops: BTreeSet<&str> =
        modules.keys().filter_map(|module| module.split("::").next()).filter(|top| !top.is_empty()).collect();
    for top in tops.iter().filter(|top| !["lib", "main"].contains(top)) {
        if !table.contains_key(*top) {
            wrong.push(format!("the module {top} has no row"));
        }
    }
    for (module, path) in &modules {
        let top = module.split("::").next().unwrap_or_default();
        let Some((may, crates)) = table.get(top) else { continue };
        let lines = production(path);
        for name in named(module, &lines) {
            let other = name.split("::").next().unwrap_or_default();
            if tops.contains(other) && other != top && !may.contains(other) {
                wrong.push(format!("{}: {top} must not use {other} ({name})", path.display()));
            }
        }
        for guarded in GUARDED.iter().filter(|guarded| !crates.contains(**guarded)) {
            for (n, line) in
                lines.iter().enumerate().filter(|(_, line)| line.contains(&format!("{guarded}::")))
            {
                wrong.push(format!(
                    "{}:{}: {top} must not use the crate {guarded}: {line}",
                    path.display(),
                    n + 1
                ));
            }
        }
    }
    assert!(modules.len() > 200, "only {} files were read", modules.len());
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_root_of_the_crate_shows_the_table_of_the_page() {
    let lib = fs::read_to_string(root().join("src/lib.rs")).unwrap();
    assert!(lib.contains("include_str!(\"../docs/internals/architecture.md\")"), "{lib}");
}

#[test]
fn files_of_the_console_keep_their_parts() {
    let src = root().join("src/console");
    let mut files = Vec::new();
    sources(&src, &mut files);
    let mut wrong = Vec::new();
    for path in files.iter().filter(|path| !is_test(path)) {
        let relative = path.strip_prefix(&src).unwrap();
        let name = path.file_stem().and_then(|name| name.to_str()).unwrap_or_default();
        let folder = relative.iter().next().and_then(|folder| folder.to_str()).unwrap_or_default();
        let is_runtime = folder == "runtime" || ["mod.rs", "benchmark.rs"].contains(&folder);
        let is_task = name == "task" || name.ends_with("_task") && folder != "app";
        let is_drawn =
            name == "pane" || name.ends_with("_pane") || ["view", "header", "footer"].contains(&name);
        let is_pure = is_drawn
            || name == "update"
            || name.ends_with("_update")
            || ["core", "widgets"].contains(&folder);
        let never: &[&str] = match () {
            () if is_task => &["app::model", "&mut Model", "&Model"],
            () if is_pure => {
                &["tokio::", "sqlx::", "Instant::now", "Utc::now", ".await", "std::fs", "std::env"]
            }
            () if is_runtime => &["sqlx::"],
            () => &["sqlx::", "Instant::now", "Utc::now"],
        };
        let lines = production(path);
        for (n, line) in lines.iter().enumerate() {
            for word in never.iter().filter(|word| line.contains(**word)) {
                // Names of the environment tell which colours the terminal has: looked up when the console begins.
                if *word == "std::env" && name == "theme" || *word == ".await" && line.contains(".awaited") {
                    continue;
                }
                wrong.push(format!("{}:{}: {word} has no place here", relative.display(), n + 1));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Modules that name each other in a circle.
fn circles(folder: &str) -> Vec<Vec<String>> {
    let src = root().join("src");
    let modules: BTreeMap<String, PathBuf> =
        modules(&src).into_iter().filter(|(module, _)| module.starts_with(folder)).collect();
    let mut graph: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for (module, path) in &modules {
        let lines = production(path);
        let edges = graph.entry(module).or_default();
        for mut name in named(module, &lines) {
            // A name is of the file that is nearest to it.
            while !modules.contains_key(&name) && name.contains("::") {
                name.truncate(name.rfind("::").unwrap_or_default());
            }
            if let Some((other, _)) = modules.get_key_value(&name)
                && other != module
                // A file in a folder may name what its folder's root declares.
                && !module.starts_with(&format!("{other}::"))
            {
                edges.insert(other);
            }
        }
        // The table of features leads to files that macros name.
        for (call, file) in [("messages", "task"), ("performing", "task"), ("dispatch", "update")] {
            if lines.iter().any(|line| line.contains(&format!("features!({call})"))) {
                let file = format!("::{file}");
                let of_features = modules.keys().filter(|m| m.ends_with(&file) && !m.contains("::app::"));
                edges.extend(of_features.map(String::as_str));
            }
        }
    }
    let reach = |from: &str| {
        let mut seen: BTreeSet<&str> = BTreeSet::new();
        let mut next: Vec<&str> = graph.get(from).into_iter().flatten().copied().collect();
        while let Some(module) = next.pop() {
            if seen.insert(module) {
                next.extend(graph.get(module).into_iter().flatten());
            }
        }
        seen
    };
    let reached: BTreeMap<&str, BTreeSet<&str>> =
        graph.keys().map(|module| (*module, reach(module))).collect();
    let mut found: BTreeSet<Vec<String>> = BTreeSet::new();
    for (module, others) in &reached {
        if others.contains(module) {
            let circle = others.iter().filter(|other| reached[*other].contains(module));
            found.insert(circle.map(|module| (*module).to_owned()).collect());
        }
    }
    found.into_iter().collect()
}

#[test]
fn no_files_of_the_console_and_of_the_store_import_each_other_in_a_circle() {
    for folder in ["console", "store"] {
        let circles = circles(folder);
        assert!(circles.is_empty(), "{circles:#?}");
    }
}

#[test]
fn no_production_file_is_longer_than_a_reader_can_hold() {
    let src = root().join("src");
    let long: Vec<String> = modules(&src)
        .values()
        .map(|path| (path, production(path).len()))
        .filter(|(_, lines)| *lines > MAX_LINES)
        .map(|(path, lines)| format!("{}: {lines} lines", path.display()))
        .collect();
    assert!(long.is_empty(), "more than {MAX_LINES}:\n{}", long.join("\n"));
}
