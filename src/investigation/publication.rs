//! A checkpoint where whoever runs the database cannot change it: as files, in a git repository, by a command; and what
//! was published, compared with the table and with what this machine remembers.

use super::Records;
use super::checkpoint::said;
use super::output::{Output, refuse_existing};
use super::witness::{check_signature, split};
use crate::case::checkpoints;
use crate::chain::head::{Head, Memory, Remembered};
use crate::chain::{sha256, to_hex};
use crate::domain::{OrgScope, Safe, grouped};
use crate::error::{Error, Kind, Result};
use crate::evidence::checkpoint::{Signed, organization};
use crate::evidence::leaves;
use crate::evidence::note::{self, PublicKey};
use crate::evidence::proofs::{self, MOST_PROOFS, Proofs, Relation, relation};
use crate::evidence::tree::{Node, Peaks, Prover, leaf};
use crate::store::ReadDb;
use crate::verify::{self, Finding};
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Output as Ended, Stdio};
use std::time::Duration;
use tokio::io::AsyncWriteExt as _;
use tokio_util::sync::CancellationToken;

/// How long a program that publishes may take.
const LIMIT: Duration = Duration::from_secs(60);
/// Most checkpoints that are read of a folder.
const MOST_PUBLISHED: usize = 10_000;
/// Endings of the files beside a checkpoint.
const TRAIL: &str = ".trail";
const PROOFS: &str = ".proofs";

/// A checkpoint to publish, or as it was published.
#[derive(Debug, Clone)]
pub struct Published {
    /// The checkpoint and the text about its trail.
    pub signed: Signed,
    /// Proofs that it begins with earlier ones.
    pub proofs: Option<Proofs>,
}

fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    PathBuf::from(name)
}

/// A file from elsewhere, no longer than so many bytes; `None` where there is none.
fn read_file(path: &Path, most: usize) -> Result<Option<Vec<u8>>> {
    let cannot = |e| Error::could_not_run(format!("cannot read '{}'", path.display())).because(e);
    let file = match File::open(path) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        file => file.map_err(cannot)?,
    };
    let mut bytes = Vec::new();
    file.take(most as u64 + 1).read_to_end(&mut bytes).map_err(cannot)?;
    Ok(Some(bytes))
}

impl Published {
    /// The last checkpoint of a log of this machine, with the proofs from the earlier ones.
    ///
    /// # Errors
    /// When its records or leaves are not used.
    pub fn last(folder: &Path, origin: &str) -> Result<Option<Self>> {
        let mut all = checkpoints::load(folder)?;
        all.retain(|(_, signed)| signed.trail.checkpoint.origin == origin);
        let Some((_, signed)) = all.pop() else { return Ok(None) };
        let checkpoint = &signed.trail.checkpoint;
        let earlier: BTreeSet<u64> = all.iter().map(|(_, signed)| signed.trail.checkpoint.size).collect();
        let earlier = earlier.into_iter().filter(|size| (1..checkpoint.size).contains(size));
        // The newest ones: who has seen none of them asks for another file.
        let earlier: Vec<u64> = earlier.rev().take(MOST_PROOFS).collect();
        let mut prover = Prover::new(checkpoint.size);
        for old in &earlier {
            prover.want_consistency(*old);
        }
        let mut file = checkpoints::leaves_to_read(folder, origin)?;
        for hash in leaves::read(&mut file, checkpoint.size)? {
            prover.push(leaf(&hash?));
        }
        if prover.peaks().root() != checkpoint.root {
            return Err(Error::could_not_run(format!(
                "the file with the leaves of {origin} is not the one that its last checkpoint was made of"
            ))
            .hint("restore the data folder from a backup"));
        }
        let of = earlier.into_iter().filter_map(|old| Some((old, prover.consistency(old)?))).collect();
        let proofs = Proofs { origin: origin.to_owned(), size: checkpoint.size, of };
        Ok(Some(Self { signed, proofs: Some(proofs) }))
    }

    /// Reads FILE, FILE.trail and, where it is there, FILE.proofs.
    ///
    /// # Errors
    /// When one of them cannot be read, or is none of these.
    pub fn read(path: &Path) -> Result<Self> {
        let name = path.display();
        let file = |path: &Path, most| {
            read_file(path, most)?
                .ok_or_else(|| Error::could_not_run(format!("there is no file '{}'", path.display())))
        };
        let checkpoint = file(path, note::LONGEST)?;
        let trail = file(&beside(path, TRAIL), note::LONGEST)?;
        let signed = Signed::parse(&checkpoint, &trail).map_err(|e| {
            Error::new(Kind::Finding, format!("'{name}' and '{name}{TRAIL}' are not a published checkpoint"))
                .because(e)
        })?;
        let proofs = read_file(&beside(path, PROOFS), proofs::LONGEST)?.map(|bytes| {
            let text = std::str::from_utf8(&bytes).ok();
            text.and_then(Proofs::parse)
                .ok_or_else(|| Error::new(Kind::Finding, format!("'{name}{PROOFS}' is no file of proofs")))
        });
        Ok(Self { signed, proofs: proofs.transpose()? })
    }

    fn files(&self, path: &Path) -> Vec<(PathBuf, String)> {
        let proofs = self.proofs.iter().map(|proofs| (beside(path, PROOFS), proofs.text()));
        let trail = (beside(path, TRAIL), self.signed.trail_note.as_str().to_owned());
        // The checkpoint last: who sees it finds what belongs to it.
        let checkpoint = (path.to_owned(), self.signed.checkpoint.as_str().to_owned());
        proofs.chain([trail, checkpoint]).collect()
    }

    /// Writes FILE, FILE.trail and FILE.proofs.
    ///
    /// # Errors
    /// When one cannot be written, or is there and not to be replaced.
    pub fn write(&self, path: &Path, replace: bool) -> Result<()> {
        let files = self.files(path);
        if !replace {
            files.iter().try_for_each(|(path, _)| refuse_existing(path))?;
        }
        for (path, text) in &files {
            let mut file = Output::new(Some(path))?;
            file.write_all(text.as_bytes())?;
            file.complete(replace)?;
        }
        Ok(())
    }

    /// Commits it to a git repository, as a file of its own beside the earlier ones; false where it was there already.
    ///
    /// # Errors
    /// When there is no repository, git fails, or (exit 1) another history of the log was published there.
    pub async fn commit(&self, repository: &Path) -> Result<bool> {
        let checkpoint = &self.signed.trail.checkpoint;
        let git = |arguments: &[&OsStr], input: &str| {
            let mut all: Vec<OsString> = vec!["-C".into(), repository.into()];
            all.extend(arguments.iter().map(|argument| (*argument).to_owned()));
            run(OsString::from("git"), all, input.to_owned().into_bytes())
        };
        let inside = git(&["rev-parse".as_ref(), "--show-prefix".as_ref()], "").await?;
        succeeded("git rev-parse", &inside).map_err(|error| {
            error.hint(format!("git init '{}' makes a repository there", repository.display()))
        })?;
        let folder = repository.join(sha256(&checkpoint.origin));
        std::fs::create_dir_all(&folder)?;
        let path = folder.join(checkpoint.size.to_string());
        if path.exists() {
            let there = Self::read(&path)?.signed;
            if there.trail.checkpoint.root != checkpoint.root {
                return Err(split(
                    "not published",
                    ("published", &there.trail),
                    ("signed here", &self.signed.trail),
                ));
            }
        }
        self.write(&path, true)?;
        let files = self.files(&path);
        let names = files.iter().filter_map(|(path, _)| path.strip_prefix(repository).ok());
        let names: Vec<&OsStr> = names.map(Path::as_os_str).collect();
        let with = |arguments: &'static [&'static str]| {
            let arguments = arguments.iter().map(OsStr::new);
            arguments.chain(names.iter().copied()).collect::<Vec<&OsStr>>()
        };
        succeeded("git add", &git(&with(&["add", "--force", "--"]), "").await?)?;
        let changed = git(&with(&["diff", "--cached", "--quiet", "--"]), "").await?;
        if changed.status.success() {
            return Ok(false);
        }
        let message = format!("checkpoint of {} with {} events\n", checkpoint.origin, checkpoint.size);
        succeeded("git commit", &git(&with(&["commit", "--quiet", "--file=-", "--"]), &message).await?)?;
        Ok(true)
    }

    /// Gives it to a program: one JSON object on standard input, no shell, nothing else in its arguments.
    ///
    /// # Errors
    /// When the program cannot be started, fails, or takes longer than 60 s.
    pub async fn hand_to(&self, command: &[String]) -> Result<()> {
        let Some((program, arguments)) = command.split_first() else {
            return Err(Error::usage("no publish_command is configured").hint(
                "publish_command = [\"program\", \"argument\"] in the configuration; it is off by default",
            ));
        };
        let arguments = arguments.iter().map(OsString::from).collect();
        let ended =
            run(OsString::from(program), arguments, format!("{}\n", self.document()).into_bytes()).await?;
        succeeded(program, &ended)
    }

    /// What a program is given.
    fn document(&self) -> serde_json::Value {
        let trail = &self.signed.trail;
        json!({
            "schema_version": crate::export::json::SCHEMA_VERSION,
            "origin": trail.checkpoint.origin,
            "size": trail.checkpoint.size,
            "root": to_hex(&trail.checkpoint.root),
            "at": trail.at.to_rfc3339(),
            "checkpoint": self.signed.checkpoint.as_str(),
            "trail": self.signed.trail_note.as_str(),
            "proofs": self.proofs.as_ref().map(Proofs::text),
        })
    }
}

/// Runs a program as it stands, without a shell.
async fn run(program: OsString, arguments: Vec<OsString>, input: Vec<u8>) -> Result<Ended> {
    let shown = Path::new(&program).display().to_string();
    let failed = |why: String| Error::could_not_run(format!("'{shown}': {why}; not published"));
    let mut child = tokio::process::Command::new(&program)
        .args(arguments)
        .env("GIT_TERMINAL_PROMPT", "0")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .map_err(|e| failed(format!("cannot be run: {e}")))?;
    let stdin = child.stdin.take();
    let work = async move {
        let feed = async move {
            if let Some(mut stdin) = stdin {
                // A program that needs no input may have closed it.
                let _ = stdin.write_all(&input).await;
            }
        };
        tokio::join!(feed, child.wait_with_output()).1
    };
    tokio::time::timeout(LIMIT, work)
        .await
        .map_err(|_| failed(format!("it did not end within {} s", LIMIT.as_secs())))?
        .map_err(|e| failed(e.to_string()))
}

fn succeeded(name: &str, ended: &Ended) -> Result<()> {
    if ended.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&ended.stderr);
    let said: Vec<&str> = said.lines().filter(|line| !line.trim().is_empty()).take(3).collect();
    let error = Error::could_not_run(format!("'{name}' failed ({}); not published", ended.status));
    Err(said.into_iter().fold(error, |error, line| error.hint(Safe::from_untrusted(line).to_string())))
}

/// What a published checkpoint came to.
#[derive(Debug)]
pub struct Compared {
    /// Where it stands.
    pub path: PathBuf,
    /// In one line.
    pub what: String,
    /// What contradicts it: exit 1, with both sides.
    pub contradictions: Vec<String>,
    /// What was not compared, and why: exit 4.
    pub open: Vec<String>,
}

/// The checkpoints in a file, or in the files of a folder and its folders.
///
/// # Errors
/// When one cannot be read, or there are more than 10 000.
fn collect(path: &Path) -> Result<Vec<(PathBuf, Published)>> {
    if !path.is_dir() {
        return Ok(vec![(path.to_owned(), Published::read(path)?)]);
    }
    let (mut folders, mut found) = (vec![(path.to_owned(), 0)], Vec::new());
    while let Some((folder, depth)) = folders.pop() {
        for entry in std::fs::read_dir(&folder)? {
            let path = entry?.path();
            let is_hidden = path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
            if is_hidden {
                continue;
            }
            if path.is_dir() && depth < 3 {
                folders.push((path, depth + 1));
            } else if beside(&path, TRAIL).is_file() {
                if found.len() == MOST_PUBLISHED {
                    return Err(Error::usage(format!(
                        "more than {} checkpoints",
                        grouped(MOST_PUBLISHED as u64)
                    )));
                }
                let published = Published::read(&path)?;
                found.push((path, published));
            }
        }
    }
    found.sort_by_key(|(path, published)| (published.signed.trail.checkpoint.size, path.clone()));
    Ok(found)
}

/// The roots that the log of this machine had at these sizes, as far as it goes; `None` where it has none of the log.
fn own_roots(
    folder: &Path,
    origin: &str,
    sizes: &BTreeSet<u64>,
) -> Result<Option<(u64, BTreeMap<u64, Node>)>> {
    let Some((_, last)) = checkpoints::last(folder, origin)? else { return Ok(None) };
    let end = last.trail.checkpoint.size;
    let mut file = checkpoints::leaves_to_read(folder, origin)?;
    let (mut peaks, mut roots) = (Peaks::default(), BTreeMap::new());
    roots.insert(0, peaks.root());
    for hash in leaves::read(&mut file, end)? {
        peaks.push(leaf(&hash?));
        if sizes.contains(&peaks.size()) {
            roots.insert(peaks.size(), peaks.root());
        }
    }
    Ok(Some((end, roots)))
}

/// Compares what was published of an organisation's logs with the table, by the hashes of the heads, and with the log of
/// this machine and one another, by their roots. Never by a count alone.
///
/// # Errors
/// When something cannot be read. What is found is in the result.
#[expect(clippy::too_many_arguments, reason = "one caller")]
pub async fn check(
    db: &ReadDb,
    place: &str,
    records: &Records,
    scope: &OrgScope,
    folder: &Path,
    trusted: &[PublicKey],
    path: &Path,
    cancel: &CancellationToken,
) -> Result<Vec<Compared>> {
    let id = scope.organization().as_str();
    let mut published = collect(path)?;
    published.retain(|(_, one)| organization(&one.signed.trail.checkpoint.origin).as_deref() == Some(id));
    let mut sizes: BTreeMap<&str, BTreeSet<u64>> = BTreeMap::new();
    for (_, one) in &published {
        let checkpoint = &one.signed.trail.checkpoint;
        sizes.entry(&checkpoint.origin).or_default().insert(checkpoint.size);
    }
    let mut own = BTreeMap::new();
    for (origin, sizes) in sizes {
        own.insert(origin.to_owned(), own_roots(folder, origin, &sizes)?);
    }
    let mut compared: Vec<Compared> = Vec::new();
    let mut seen: BTreeMap<String, Signed> = BTreeMap::new();
    for (path, one) in published {
        let trail = &one.signed.trail;
        let checkpoint = &trail.checkpoint;
        let mut result = Compared { path, what: said(trail), contradictions: Vec::new(), open: Vec::new() };
        match check_signature(&one.signed, trusted) {
            Ok(()) => {}
            Err(error) if error.kind() == Kind::Finding => result.contradictions.push(error.to_string()),
            Err(error) => result.open.push(error.to_string()),
        }
        if let Some(before) = seen.get(&checkpoint.origin) {
            judge(&before.trail, &one, &mut result);
        }
        with_own(own.get(&checkpoint.origin).and_then(Option::as_ref), &one, &mut result);
        for finding in in_table(db, place, records, scope, &one.signed, cancel).await? {
            let text = format!("{}  {}", finding.name(), finding.detail);
            if finding.class == verify::Class::ScanIncomplete {
                result.open.push(text);
            } else {
                result.contradictions.push(text);
            }
        }
        seen.insert(checkpoint.origin.clone(), one.signed);
        compared.push(result);
    }
    Ok(compared)
}

/// With the one that was published before, in the order of their sizes.
fn judge(before: &crate::evidence::checkpoint::Trail, one: &Published, result: &mut Compared) {
    let both = || format!("published before: {}; here: {}", said(before), said(&one.signed.trail));
    match relation(&before.checkpoint, &one.signed.trail.checkpoint, one.proofs.as_ref()) {
        Relation::Split => {
            result.contradictions.push(format!("two histories of one log were published: {}", both()));
        }
        Relation::Refuted => result.contradictions.push(format!(
            "its proof does not lead from the one published before: two histories, or a damaged file: {}",
            both()
        )),
        Relation::Unproven => result.open.push(format!(
            "that it begins with the one of {} events published before is not proven: no proof is beside it",
            grouped(before.checkpoint.size)
        )),
        Relation::Same | Relation::Grown | Relation::Older => {}
    }
}

/// With the leaves that this machine has signed.
fn with_own(own: Option<&(u64, BTreeMap<u64, Node>)>, one: &Published, result: &mut Compared) {
    let checkpoint = &one.signed.trail.checkpoint;
    let Some((end, roots)) = own else { return };
    match roots.get(&checkpoint.size) {
        Some(root) if *root == checkpoint.root => {}
        Some(root) => result.contradictions.push(format!(
            "two histories of one log: its first {} events have the root {} here, and {} as published",
            grouped(checkpoint.size),
            to_hex(root),
            to_hex(&checkpoint.root)
        )),
        None => result.contradictions.push(format!(
            "it has {} events, the last checkpoint that is kept here {}: the data folder of this machine was set back, or \
             the key is used elsewhere",
            grouped(checkpoint.size),
            grouped(*end)
        )),
    }
}

/// Looks for its heads in the table, by their hashes.
pub(super) async fn in_table(
    db: &ReadDb,
    place: &str,
    records: &Records,
    scope: &OrgScope,
    signed: &Signed,
    cancel: &CancellationToken,
) -> Result<Vec<Finding>> {
    let trail = &signed.trail;
    let heads = trail.heads.iter().map(|head| Head {
        event_id: head.event_id.clone(),
        hash: head.hash.clone(),
        timestamp: None,
    });
    let remembered = Remembered {
        place: place.to_owned(),
        object: trail.object.clone(),
        heads: heads.collect(),
        events: Some(trail.checkpoint.size + trail.unhashed),
        before_hashing: None,
        other_columns: None,
        scheme: None,
        verified_at: trail.at,
    };
    let memory = Memory { place: place.to_owned(), records: vec![remembered], refused: None };
    let compared = verify::compare_heads(db, scope, &memory, &[], cancel).await?;
    Ok(records.open_of(scope.organization().as_str(), &compared))
}
