//! Bundles of an invented log: good ones, bad ones, flipped ones; and that `assets/verify_bundle.py` says the same.

use super::*;
use crate::chain::to_hex;
use crate::domain::Timestamp;
use crate::evidence::checkpoint::{Checkpoint, Signed, Trail, origin};
use crate::evidence::note::{PrivateKey, PublicKey};
use crate::evidence::tree::{Node, Peaks, Prover, leaf};
use proptest::prelude::*;
use rand_core::SeedableRng as _;
use sha2::{Digest as _, Sha256};
use std::collections::BTreeMap;
use std::process::Command;

const ORG: &str = "org 1/ä+\u{202e}";

fn key(name: &str) -> PrivateKey {
    let seed: [u8; 32] = Sha256::digest(name).into();
    PrivateKey::new(name, &seed).unwrap()
}

fn minute(n: u64) -> Timestamp {
    Timestamp::from_micros(1_768_471_200_000_000 + n as i64 * 60_000_000)
}

/// The text of an event and its hash.
type Event = (String, Node);

fn event(n: u64, previous: &str) -> Event {
    let time = minute(n).to_python_isoformat();
    let actor = ["alice", "bob", "carol"][n as usize % 3];
    let json = |text: &str| -> String {
        let units = text.encode_utf16().map(|unit| match u8::try_from(unit) {
            Ok(c @ 0x20..=0x7e) => char::from(c).to_string(),
            _ => format!("\\u{unit:04x}"),
        });
        format!("\"{}\"", units.collect::<String>())
    };
    let text = format!(
        "{{\"action\": \"update\", \"actor_email\": \"{actor}@Corp.example\", \"actor_id\": \"{actor}\", \"actor_ip\": null, \
         \"actor_type\": \"user\", \"actor_user_agent\": \"curl/8\", \"event_category\": \"config\", \"event_id\": \"e{n}\", \
         \"event_severity\": \"info\", \"event_type\": \"project.updated\", \"new_state\": {{\"a\": [1.50, {{\"a\": 1e400}}]}}, \
         \"organization_id\": {}, \"previous_hash\": \"{previous}\", \"previous_state\": null, \"project_id\": null, \
         \"request_id\": \"r{n}\", \"resource_id\": \"p/{}\", \"resource_name\": null, \"resource_type\": \"project\", \
         \"session_id\": null, \"timestamp\": \"{time}\"}}",
        json(ORG),
        n % 5
    );
    let hash = Sha256::digest(&text).into();
    (text, hash)
}

fn events(count: u64) -> Vec<Event> {
    let mut events: Vec<Event> = Vec::new();
    for n in 0..count {
        let previous = events.last().map(|(_, hash)| to_hex(hash)).unwrap_or_default();
        events.push(event(n, &previous));
    }
    events
}

fn peaks(events: &[Event]) -> Peaks {
    let mut peaks = Peaks::default();
    for (_, hash) in events {
        peaks.push(leaf(hash));
    }
    peaks
}

fn signed(events: &[Event], by: &PrivateKey, is_forked: bool) -> Signed {
    let peaks = peaks(events);
    let checkpoint = Checkpoint { origin: origin("acme/audit", ORG), size: peaks.size(), root: peaks.root() };
    let trail = Trail {
        checkpoint: checkpoint.clone(),
        at: minute(peaks.size()),
        object: "7/1/2".to_owned(),
        unhashed: 0,
        verdict: "chain intact".to_owned(),
        is_forked,
        heads_count: 0,
        heads: Vec::new(),
    };
    Signed::parse(checkpoint.sign(by).unwrap().as_bytes(), trail.sign(by).unwrap().as_bytes()).unwrap()
}

/// What a bundle is made of.
struct Make {
    level: Level,
    size: u64,
    before: Option<u64>,
    checkpoint: bool,
    is_forked: bool,
    terms: Vec<Term>,
    terms_are_all: bool,
    since: Option<u64>,
    until: Option<u64>,
    /// Events behind the checkpoint.
    later: u64,
    signer: &'static str,
    sealer: Option<&'static str>,
    redact: &'static [&'static str],
}

fn good(level: Level, before: Option<u64>) -> Make {
    let actor =
        Term { field: "actor".to_owned(), any_of: vec!["alice".to_owned(), "BOB@corp.example".to_owned()] };
    Make {
        level,
        size: 23,
        before,
        checkpoint: true,
        is_forked: false,
        terms: vec![actor],
        terms_are_all: true,
        since: before.map(|before| before + 1),
        until: None,
        later: 0,
        signer: "acme/audit",
        sealer: Some("acme/audit"),
        redact: &[],
    }
}

impl Make {
    fn bytes(&self) -> Vec<u8> {
        let all = events(self.size + self.later);
        let log = &all[..self.size as usize];
        let (signer, sealer) = (key(self.signer), self.sealer.map(key));
        let is_selected = |n: u64| {
            n % 3 != 2
                && self.since.is_none_or(|since| since <= n)
                && self.until.is_none_or(|until| n < until)
        };
        let places = 0..self.size + self.later;
        let header = Header {
            organization: ORG.to_owned(),
            filter: "actor:alice,BOB@corp.example".to_owned(),
            since: self.since.map(minute),
            until: self.until.map(minute),
            level: self.level,
            terms: self.terms.clone(),
            terms_are_all: self.terms_are_all,
            selected: places.clone().filter(|n| is_selected(*n)).count() as u64,
            checkpoint: self.checkpoint.then(|| signed(log, &signer, self.is_forked)),
            before: self.before.map(|before| signed(&all[..before as usize], &signer, false)),
            stamps: Vec::new(),
            keys: vec![signer.public()],
        };
        let from = header.range().map_or(0, |(from, _)| from);
        let mut prover = Prover::new(self.size);
        places.clone().for_each(|n| prover.want_inclusion(n));
        for (_, hash) in log {
            prover.push(leaf(hash));
        }
        let mut writer = Writer::new(Vec::new(), &header, &peaks(&all[..from as usize])).unwrap();
        let redact: Vec<String> = self.redact.iter().map(ToString::to_string).collect();
        let put = |writer: &mut Writer<Vec<u8>>, leaf, is_selected, (text, hash): &Event, proof: &[Node]| {
            let salt = |column: &str| signer.salt(hash, column);
            let redacted = Redacted::hide(text, &redact, salt);
            let text = redacted.as_ref().map_or(Given::Whole(text), Given::Redacted);
            writer.event(&Line { leaf, is_selected, hash, proof, text }).unwrap();
        };
        for n in from..self.size {
            let one = &all[n as usize];
            let has_leaf = self.checkpoint;
            let proof =
                if self.level == Level::None && has_leaf { prover.inclusion(n).unwrap() } else { Vec::new() };
            let is_selected = is_selected(n);
            if is_selected && has_leaf || self.level == Level::Rows {
                put(&mut writer, Some(n), is_selected, one, &proof);
            } else if self.level == Level::Hashes {
                writer.leaf(one.1).unwrap();
            }
        }
        let mut rest: Vec<&Event> = places
            .filter(|n| is_selected(*n) && (*n >= self.size || !self.checkpoint))
            .map(|n| &all[n as usize])
            .collect();
        rest.sort_by_key(|(_, hash)| *hash);
        for one in rest {
            put(&mut writer, None, true, one, &[]);
        }
        writer.finish(sealer.as_ref()).unwrap()
    }
}

/// What a verifier says: the state of each claim, or that the file is no bundle.
type Said = Option<BTreeMap<String, String>>;

fn said(bytes: &[u8], trusted: &[PublicKey]) -> Said {
    let report = verify(bytes, trusted).ok()?;
    let name = |state: State| serde_json::to_value(state).unwrap().as_str().unwrap().to_owned();
    let mut said: BTreeMap<String, String> =
        report.parts().into_iter().map(|(part, claim)| (part.to_owned(), name(claim.state))).collect();
    said.insert("all".to_owned(), name(report.state()));
    Some(said)
}

fn all(said: &Said) -> &str {
    said.as_ref().map_or("malformed", |said| &said["all"])
}

/// `None` where there is no Python with the package for Ed25519.
fn said_by_python(bytes: &[u8], trusted: &[PublicKey]) -> Option<Said> {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/assets/verify_bundle.py");
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), bytes).unwrap();
    let mut command = Command::new("python3");
    command.arg(script).arg(file.path()).arg("--json");
    for key in trusted {
        command.args(["--trust", &key.to_string()]);
    }
    let output = command.output().ok()?;
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(!errors.contains("Traceback"), "{errors}");
    let code = output.status.code().unwrap();
    let Ok(document) = serde_json::from_slice::<serde_json::Value>(&output.stdout) else {
        assert_eq!(code, 1, "{errors}");
        return Some(None);
    };
    let parts = document["parts"].as_object().unwrap();
    let mut said: BTreeMap<String, String> =
        parts.iter().map(|(name, part)| (name.clone(), part["state"].as_str().unwrap().to_owned())).collect();
    said.insert("all".to_owned(), document["state"].as_str().unwrap().to_owned());
    let expected = match all(&Some(said.clone())) {
        "shown" => 0,
        "fails" => 1,
        _ => 4,
    };
    assert_eq!(code, expected);
    Some(Some(said))
}

fn python_is_there() -> bool {
    let asked = Command::new("python3")
        .args(["-c", "import cryptography, sys; assert sys.version_info >= (3, 11)"])
        .status();
    let is_there = asked.is_ok_and(|status| status.success());
    if !is_there {
        eprintln!("skipped: no python3 of 3.11 or newer with the package cryptography");
    }
    is_there
}

/// The good bundles, each with what it shows of completeness.
fn good_ones() -> Vec<(Vec<u8>, &'static str)> {
    let mut all = Vec::new();
    for level in [Level::Rows, Level::Hashes, Level::None] {
        for size in [1, 2, 16, 23, 37] {
            all.push((
                Make { size, ..good(level, None) }.bytes(),
                if level == Level::None { "not_shown" } else { "shown" },
            ));
        }
    }
    for level in [Level::Rows, Level::Hashes] {
        all.push((good(level, Some(8)).bytes(), "shown"));
        all.push((Make { until: Some(20), ..good(level, Some(13)) }.bytes(), "shown"));
    }
    let some = Make { terms: Vec::new(), terms_are_all: false, ..good(Level::Rows, Some(13)) };
    all.push((some.bytes(), "shown"));
    all
}

/// A bundle whose lines are changed, with an end that fits, and no seal.
fn changed(bytes: &[u8], change: impl FnOnce(&mut Vec<String>)) -> Vec<u8> {
    let text = String::from_utf8(bytes.to_vec()).unwrap();
    let mut lines: Vec<String> = text.lines().map(ToOwned::to_owned).collect();
    let end = lines.iter().position(|line| line.starts_with("seal ")).unwrap();
    lines.truncate(end);
    change(&mut lines);
    ended(lines)
}

fn ended(mut lines: Vec<String>) -> Vec<u8> {
    if !lines.last().is_some_and(|line| line.starts_with("seal ")) {
        lines.push("seal -".to_owned());
    }
    let body = format!("{}\n", lines.join("\n"));
    format!("{body}end {}\n", to_hex(&Sha256::digest(&body).into())).into_bytes()
}

fn at(lines: &[String], begins: &str, nth: usize) -> usize {
    let found = lines.iter().enumerate().filter(|(_, line)| line.starts_with(begins)).nth(nth);
    found.unwrap_or_else(|| panic!("no {begins}")).0
}

fn edit(lines: &mut [String], begins: &str, from: &str, to: &str) {
    let n = at(lines, begins, 0);
    assert!(lines[n].contains(from), "{}", lines[n]);
    lines[n] = lines[n].replacen(from, to, 1);
}

/// Bad bundles with what is wrong with them.
#[expect(clippy::too_many_lines, reason = "one list")]
fn bad_ones() -> Vec<(String, Vec<u8>)> {
    let mut all: Vec<(String, Vec<u8>)> = Vec::new();
    for (level, before) in
        [(Level::Rows, None), (Level::Rows, Some(8)), (Level::Hashes, Some(8)), (Level::None, None)]
    {
        let bytes = good(level, before).bytes();
        let other = Make { signer: "eve", ..good(level, before) }.bytes();
        let mut add = |what: &str, bytes: Vec<u8>| all.push((format!("{level:?} {before:?}: {what}"), bytes));
        add(
            "an event dropped",
            changed(&bytes, |lines| {
                let n = at(lines, "event ", 1);
                lines.remove(n);
            }),
        );
        add(
            "an event twice",
            changed(&bytes, |lines| {
                let n = at(lines, "event ", 1);
                lines.insert(n, lines[n].clone());
            }),
        );
        add(
            "two events swapped",
            changed(&bytes, |lines| {
                let (a, b) = (at(lines, "event ", 0), at(lines, "event ", 1));
                lines.swap(a, b);
            }),
        );
        add(
            "an event edited",
            changed(&bytes, |lines| edit(lines, "event ", "project.updated", "project.removed")),
        );
        add(
            "an event and its hash edited",
            changed(&bytes, |lines| {
                let n = at(lines, "event ", 0);
                let parts: Vec<String> = lines[n].splitn(6, ' ').map(ToOwned::to_owned).collect();
                let text = parts[5].replace("curl/8", "curl/9");
                lines[n] = format!(
                    "event {} {} {} {} {text}",
                    parts[1],
                    parts[2],
                    to_hex(&Sha256::digest(&text).into()),
                    parts[4]
                );
            }),
        );
        add(
            "fewer selected",
            changed(&bytes, |lines| {
                let n = at(lines, "selected ", 0);
                lines[n] = "selected 3".to_owned();
            }),
        );
        add("another condition", changed(&bytes, |lines| edit(lines, "term ", "alice", "carol")));
        add("another organisation", changed(&bytes, |lines| edit(lines, "organization ", "org", "olg")));
        add("the filter edited under its seal", {
            let text = String::from_utf8(bytes.clone()).unwrap().replacen("filter actor", "filter actir", 1);
            ended(text.lines().filter(|line| !line.starts_with("end ")).map(ToOwned::to_owned).collect())
        });
        add("checkpoints by another key", {
            let mine = String::from_utf8(other)
                .unwrap()
                .replace(&key("eve").public().to_string(), &key("acme/audit").public().to_string());
            changed(mine.as_bytes(), |_| {})
        });
        add("cut off", bytes[..bytes.len() - 30].to_vec());
        add("an end that does not fit", {
            let mut bytes = bytes.clone();
            let n = bytes.len() - 2;
            bytes[n] ^= 1;
            bytes
        });
        add("something behind the end", [&bytes[..], b"x"].concat());
        add("a control character", changed(&bytes, |lines| edit(lines, "event ", "curl/8", "curl\u{1b}8")));
        if level == Level::Rows {
            add(
                "a selected event hidden",
                changed(&bytes, |lines| {
                    let n = lines.iter().position(|line| line.contains(" selected ")).unwrap();
                    lines[n] = lines[n].replacen(" selected ", " other ", 1);
                    let n = at(lines, "selected ", 0);
                    let count: u64 = lines[n][9..].parse().unwrap();
                    lines[n] = format!("selected {}", count - 1);
                }),
            );
            add(
                "an event beside the conditions selected",
                changed(&bytes, |lines| {
                    let n = lines.iter().position(|line| line.contains(" other ")).unwrap();
                    lines[n] = lines[n].replacen(" other ", " selected ", 1);
                    let n = at(lines, "selected ", 0);
                    let count: u64 = lines[n][9..].parse().unwrap();
                    lines[n] = format!("selected {}", count + 1);
                }),
            );
        }
        if level == Level::Hashes {
            add(
                "leaves dropped",
                changed(&bytes, |lines| {
                    let n = at(lines, "leaves ", 0);
                    lines.remove(n);
                }),
            );
            add(
                "leaves altered",
                changed(&bytes, |lines| {
                    let n = at(lines, "leaves ", 0);
                    let other = if lines[n].contains('A') { ("A", "B") } else { ("B", "A") };
                    lines[n] = lines[n].replacen(other.0, other.1, 1);
                }),
            );
        }
        if before.is_some() {
            add(
                "other peaks",
                changed(&bytes, |lines| {
                    let n = at(lines, "peaks ", 0);
                    lines[n] = format!("peaks 8 {}", nodes_text(&[[7; 32]]));
                }),
            );
            add(
                "no earlier checkpoint",
                changed(&bytes, |lines| {
                    let n = at(lines, "before ", 0);
                    lines[n] = "before -".to_owned();
                }),
            );
        }
        let redacted = Make { redact: &["actor_ip", "request_id"], ..good(level, before) }.bytes();
        add(
            "another form of a hidden column",
            changed(&redacted, |lines| edit(lines, "redacted ", " actor_ip:", " actor_ip:0")),
        );
        add(
            "a column that cannot be hidden",
            changed(&redacted, |lines| {
                let n = at(lines, "redacted ", 0);
                let id = lines[n].split(' ').find(|field| field.starts_with("event_id:")).unwrap().to_owned();
                let cut: String = id.chars().take("event_id:".len() + 64).collect();
                lines[n] = lines[n].replace(&id, &cut);
            }),
        );
        add(
            "a column too few",
            changed(&redacted, |lines| {
                let n = at(lines, "redacted ", 0);
                let kept = lines[n].split(' ').filter(|field| !field.starts_with("action:"));
                lines[n] = kept.collect::<Vec<_>>().join(" ");
            }),
        );
        add(
            "columns in one value",
            changed(&redacted, |lines| {
                let n = at(lines, "redacted ", 0);
                let value = STANDARD.encode("\"update\"");
                let two = STANDARD.encode("\"update\", \"actor_ip\": 1");
                assert!(lines[n].contains(&value));
                lines[n] = lines[n].replace(&value, &two);
            }),
        );
        add("a redacted event changed under its seal", {
            let text = String::from_utf8(redacted).unwrap();
            let (from, to) = (STANDARD.encode("\"update\""), STANDARD.encode("\"delete\""));
            let text = text.replacen(&from, &to, 1);
            ended(text.lines().filter(|line| !line.starts_with("end ")).map(ToOwned::to_owned).collect())
        });
        if level == Level::None {
            add(
                "another proof",
                changed(&bytes, |lines| {
                    let n = at(lines, "event ", 0);
                    let mut parts: Vec<String> = lines[n].splitn(6, ' ').map(ToOwned::to_owned).collect();
                    parts[4] = nodes_text(&[[7; 32]; 5]);
                    lines[n] = parts.join(" ");
                }),
            );
            add("another leaf", changed(&bytes, |lines| edit(lines, "event 0", "event 0", "event 2")));
        }
    }
    all
}

fn own() -> Vec<PublicKey> {
    vec![key("acme/audit").public()]
}

#[test]
fn good_bundles_are_shown_and_bad_ones_are_not_and_python_says_the_same() {
    let has_python = python_is_there();
    let compare = |what: &str, bytes: &[u8], rust: &Said| {
        if has_python {
            assert_eq!(said_by_python(bytes, &own()).unwrap(), *rust, "{what}");
        }
    };
    let good_ones = good_ones();
    for (n, (bytes, completeness)) in good_ones.iter().enumerate() {
        let rust = said(bytes, &own());
        assert_eq!(all(&rust), "shown", "{n}: {rust:?}");
        assert_eq!(rust.as_ref().unwrap()["completeness"], *completeness, "{n}");
        compare(&format!("good {n}"), bytes, &rust);
    }
    // What is not shown of a redacted one is its content; the rest is.
    for (level, redact) in [
        (Level::Rows, &["actor_ip"][..]),
        (Level::Rows, &["actor_email", "new_state"]),
        (Level::Rows, &["actor_email", "actor_id"]),
        (Level::Hashes, &["actor_id"]),
        (Level::Hashes, &["action", "resource_id", "previous_state"]),
        (Level::None, &HIDEABLE),
    ] {
        let bytes = Make { redact, ..good(level, None) }.bytes();
        let rust = said(&bytes, &own());
        let parts = rust.clone().unwrap();
        let shown = ["inclusion", "signature"].iter().all(|part| parts[*part] == "shown");
        assert!(
            shown && parts["content"] == "not_shown" && parts["all"] == "not_shown",
            "{redact:?}: {parts:?}"
        );
        assert_eq!(parts["completeness"] == "shown", level != Level::None, "{redact:?}: {parts:?}");
        compare(&format!("{level:?} without {redact:?}"), &bytes, &rust);
    }
    let bad = bad_ones();
    for (what, bytes) in &bad {
        let rust = said(bytes, &own());
        let is_unknown = what.ends_with("by another key") && all(&rust) == "not_shown";
        assert!(is_unknown || ["fails", "malformed"].contains(&all(&rust)), "{what}: {rust:?}");
        compare(what, bytes, &rust);
    }
    assert!(good_ones.len() >= 20 && bad.len() >= 40, "{} good, {} bad", good_ones.len(), bad.len());
}

/// `UPDATE_VECTORS=1` writes them anew.
#[test]
fn the_vectors_are_these_bundles() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("assets/vectors");
    let redacted = Make { redact: &["actor_email", "actor_ip", "new_state"], ..good(Level::Hashes, Some(8)) };
    for (name, make) in [
        ("rows", good(Level::Rows, None)),
        ("hashes", good(Level::Hashes, Some(8))),
        ("none", good(Level::None, None)),
        ("redacted", redacted),
    ] {
        let path = folder.join(format!("evidence-{name}.txt"));
        let bytes = make.bytes();
        if std::env::var_os("UPDATE_VECTORS").is_some() {
            std::fs::write(&path, &bytes).unwrap();
        }
        assert!(std::fs::read(&path).unwrap() == bytes, "{}", path.display());
    }
}

#[test]
fn what_is_not_proven_is_not_shown() {
    let forked = Make { is_forked: true, ..good(Level::Rows, None) };
    let late = Make { until: Some(24), ..good(Level::Hashes, None) };
    let early = Make { since: Some(8), ..good(Level::Hashes, Some(9)) };
    let behind = Make { later: 3, ..good(Level::Hashes, None) };
    for (make, part, word) in [
        (forked, "completeness", "several chains"),
        (late, "completeness", "after the checkpoint"),
        (early, "completeness", "begins before the earlier checkpoint"),
        (behind, "inclusion", "not there at its checkpoint"),
    ] {
        let report = verify(make.bytes().as_slice(), &own()).unwrap();
        let (_, claim) = report.parts().into_iter().find(|(name, _)| *name == part).unwrap();
        assert!(claim.state == State::NotShown && claim.detail.contains(word), "{claim:?}");
        assert_eq!(report.state(), State::NotShown);
    }
    let unsigned = Make { checkpoint: false, sealer: None, ..good(Level::None, None) };
    let report = verify(unsigned.bytes().as_slice(), &own()).unwrap();
    assert_eq!(
        report.parts().map(|(_, part)| part.state),
        [State::Shown, State::NotShown, State::NotShown, State::NotShown, State::NotShown]
    );
}

#[test]
fn a_key_is_not_trusted_by_standing_in_the_bundle() {
    let by_eve = Make { signer: "eve", sealer: Some("eve"), ..good(Level::Rows, None) }.bytes();
    for trusted in [Vec::new(), own()] {
        let report = verify(by_eve.as_slice(), &trusted).unwrap();
        assert_eq!((report.state(), report.signature.state), (State::NotShown, State::NotShown));
        assert!(report.signature.detail.contains("by an unknown key"), "{}", report.signature.detail);
    }
    // Sealed by somebody else: the filter is nobody's word that counts.
    let sealed_by_eve = Make { sealer: Some("eve"), ..good(Level::Rows, None) }.bytes();
    let report = verify(sealed_by_eve.as_slice(), &own()).unwrap();
    assert_eq!(report.state(), State::NotShown);
    assert!(report.signature.detail.contains("not signed by a trusted key"), "{}", report.signature.detail);
}

#[test]
fn ten_thousand_flipped_bytes_are_rejected_or_outside_of_what_is_signed() {
    let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(19);
    let small = |sealer, level| Make { size: 9, sealer, ..good(level, None) }.bytes();
    let (mut flips, mut outside) = (0, 0);
    for sealer in [Some("acme/audit"), None] {
        for level in [Level::Rows, Level::Hashes, Level::None] {
            let bytes = small(sealer, level);
            let end = bytes.len() - 69;
            for _ in 0..1_700 {
                let mut flipped = bytes.clone();
                let at = rng.next_u32() as usize % end;
                flipped[at] ^= 1 << (rng.next_u32() % 8);
                flips += 1;
                // As an attacker would: with an end that fits.
                let digest = to_hex(&Sha256::digest(&flipped[..end]).into());
                flipped[end + 4..end + 68].copy_from_slice(digest.as_bytes());
                let said = said(&flipped, &own());
                assert_ne!(all(&said), "shown");
                // Without a seal, what is signed is the checkpoint, and by it the events.
                let is_other = said.is_none_or(|said| said.values().any(|state| state == "fails"));
                if is_other || sealer.is_some() {
                    continue;
                }
                let line = flipped[..at].split(|byte| *byte == b'\n').count() - 1;
                let begins = String::from_utf8_lossy(&bytes).lines().nth(line).unwrap().to_owned();
                let words =
                    ["filter ", "since ", "until ", "level ", "terms ", "term ", "key ", "checkpoint "];
                assert!(words.iter().any(|name| begins.starts_with(name)), "byte {at} of {begins:?}");
                outside += 1;
            }
        }
    }
    assert!(flips >= 10_000 && outside > 0, "{flips}, {outside} outside");
}

#[test]
fn every_flipped_byte_of_a_redacted_bundle_breaks_its_seal() {
    let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(20);
    let bytes = Make { size: 9, redact: &["actor_email", "new_state"], ..good(Level::Rows, None) }.bytes();
    let end = bytes.len() - 69;
    let seal = String::from_utf8_lossy(&bytes).rfind("\nseal ").unwrap();
    for _ in 0..2_000 {
        let mut flipped = bytes.clone();
        let at = rng.next_u32() as usize % seal;
        flipped[at] ^= 1 << (rng.next_u32() % 8);
        let digest = to_hex(&Sha256::digest(&flipped[..end]).into());
        flipped[end + 4..end + 68].copy_from_slice(digest.as_bytes());
        assert!(["fails", "malformed"].contains(&all(&said(&flipped, &own()))), "byte {at}");
    }
}

#[test]
fn a_length_in_a_hostile_file_is_not_believed() {
    let bytes = good(Level::Rows, None).bytes();
    let huge = changed(&bytes, |lines| edit(lines, "peaks ", "peaks 0 -", "peaks 18446744073709551615 -"));
    assert!(verify(huge.as_slice(), &[]).is_err());
    // A line without end, of which no more is held than the longest one.
    let endless = std::io::Read::chain(&b"agenttrace-evidence/1\norganization "[..], std::io::repeat(b'a'));
    let error = verify(std::io::BufReader::new(endless), &[]).unwrap_err();
    assert!(error.to_string().contains("too long"), "{error}");
    let many = std::iter::repeat_n("key x\n", 10_000).collect::<String>();
    assert!(verify(format!("agenttrace-evidence/1\n{many}").as_bytes(), &[]).is_err());
}

proptest! {
    #[test]
    fn any_lines_give_a_report_or_an_error(words in prop::collection::vec("(event|leaves|seal|end|peaks|-|0|9|selected|other|[A-Za-z0-9+/=]{0,90}| |\n){0,9}", 0..8)) {
        let bytes = good(Level::Hashes, Some(8)).bytes();
        let mixed = changed(&bytes, |lines| {
            let n = at(lines, "event ", 1);
            lines.splice(n.., words.iter().cloned());
        });
        let _ = said(&mixed, &own());
        let _ = said(words.concat().as_bytes(), &own());
    }
}

#[test]
fn at_level_a_no_matching_event_can_be_dropped_altered_or_hidden() {
    for before in [None, Some(8)] {
        let bytes = good(Level::Rows, before).bytes();
        let lines: Vec<String> =
            String::from_utf8(bytes.clone()).unwrap().lines().map(ToOwned::to_owned).collect();
        let selected: Vec<usize> = (0..lines.len())
            .filter(|n| lines[*n].starts_with("event ") && lines[*n].contains(" selected "))
            .collect();
        assert!(selected.len() >= 10);
        let fewer = |lines: &mut Vec<String>| {
            let n = at(lines, "selected ", 0);
            lines[n] = format!("selected {}", selected.len() - 1);
        };
        // By whoever has the key that seals, too: the checkpoint is the witness, or the conditions are.
        for n in selected.iter().copied() {
            let dropped = changed(&bytes, |lines| {
                lines.remove(n);
                fewer(lines);
            });
            let altered = changed(&bytes, |lines| {
                let parts: Vec<String> = lines[n].splitn(6, ' ').map(ToOwned::to_owned).collect();
                let text = parts[5].replace("project.updated", "project.renamed");
                let hash = to_hex(&Sha256::digest(&text).into());
                lines[n] = format!("event {} selected {hash} - {text}", parts[1]);
            });
            let hidden = changed(&bytes, |lines| {
                lines[n] = lines[n].replacen(" selected ", " other ", 1);
                fewer(lines);
            });
            for (what, bytes) in [("dropped", dropped), ("altered", altered), ("hidden", hidden)] {
                assert!(["fails", "malformed"].contains(&all(&said(&bytes, &own()))), "line {n} {what}");
            }
        }
    }
}

#[test]
fn at_level_b_no_event_can_be_dropped_or_replaced_and_the_rest_is_one_sentence() {
    let bytes = good(Level::Hashes, Some(8)).bytes();
    let report = verify(bytes.as_slice(), &own()).unwrap();
    let said_so = "that the 5 of which only the hash is given do not match is the exporter's word";
    assert!(report.completeness.detail.ends_with(said_so), "{}", report.completeness.detail);
    let lines: Vec<String> =
        String::from_utf8(bytes.clone()).unwrap().lines().map(ToOwned::to_owned).collect();
    let mut tried = 0;
    for n in (0..lines.len()).filter(|n| lines[*n].starts_with("event ")) {
        let dropped = changed(&bytes, |lines| {
            lines.remove(n);
            let n = at(lines, "selected ", 0);
            let count: u64 = lines[n][9..].parse().unwrap();
            lines[n] = format!("selected {}", count - 1);
        });
        assert!(["fails", "malformed"].contains(&all(&said(&dropped, &own()))), "line {n}");
        tried += 1;
    }
    for n in (0..lines.len()).filter(|n| lines[*n].starts_with("leaves ")) {
        let leaves = nodes(&lines[n][7..], MOST_LEAVES).unwrap();
        for at in 0..leaves.len() {
            let (mut without, mut other) = (leaves.clone(), leaves.clone());
            without.remove(at);
            other[at][31] ^= 1;
            for leaves in [without, other] {
                let changed = changed(&bytes, |lines| match leaves.as_slice() {
                    [] => drop(lines.remove(n)),
                    leaves => lines[n] = format!("leaves {}", nodes_text(leaves)),
                });
                assert!(
                    ["fails", "malformed"].contains(&all(&said(&changed, &own()))),
                    "line {n}, leaf {at}"
                );
                tried += 1;
            }
        }
    }
    assert!(tried >= 20, "{tried}");
}

#[test]
fn what_is_disclosed_of_a_redacted_event_is_what_was_committed_to_or_is_named() {
    let (text, hash) = event(7, "");
    let signer = key("acme/audit");
    let hide = |text: &str, hidden: &[&str]| {
        let hidden: Vec<String> = hidden.iter().map(ToString::to_string).collect();
        Redacted::hide(text, &hidden, |column| signer.salt(&hash, column)).unwrap()
    };
    let redacted = hide(&text, &["actor_id", "actor_email", "new_state"]);
    assert_eq!(Redacted::parse(&redacted.text()), Some(redacted.clone()));
    assert!(!redacted.text().contains(&STANDARD.encode("\"bob\"")));
    // Fewer columns hidden, another value, a shown column with another value, and the whole text.
    assert_eq!(redacted.differing(&hide(&text, &["actor_email"])), [""; 0]);
    let lie = text.replace("\"actor_id\": \"bob\"", "\"actor_id\": \"eve\"");
    assert_eq!(redacted.differing(&hide(&lie, &["actor_email"])), ["actor_id"]);
    assert_eq!(redacted.differing_from(&text), [""; 0]);
    assert_eq!(redacted.differing_from(&text.replace("curl/8", "curl/9")), ["actor_user_agent"]);
    // Guessing a hidden value takes the salt: without it, equal values have different commitments.
    let other = Redacted::hide(&text, &["actor_id".to_owned()], |_| [0; 32]).unwrap();
    assert_eq!(redacted.differing(&other).len(), 21);
    assert!(Redacted::hide(&text, &["no_column".to_owned()], |_| [0; 32]).is_none());
}

#[test]
fn a_bundle_with_fewer_hidden_columns_discloses_what_was_committed_to_and_a_lie_is_named() {
    let hidden = |redact| Make { redact, ..good(Level::Hashes, None) }.bytes();
    let (first, fewer, whole) = (hidden(&["actor_id", "new_state"]), hidden(&["new_state"]), hidden(&[]));
    let none = Disclosure { redacted: 16, disclosed: 16, differing: Vec::new() };
    for fuller in [&fewer, &whole] {
        assert_eq!(disclosure(first.as_slice(), fuller.as_slice()).unwrap(), none);
    }
    // Whoever sealed it then had shown another address.
    let (from, to) = (STANDARD.encode("\"curl/8\""), STANDARD.encode("\"curl/9\""));
    let lie = String::from_utf8(first.clone()).unwrap().replacen(&from, &to, 1);
    for fuller in [&fewer, &whole] {
        let found = disclosure(lie.as_bytes(), fuller.as_slice()).unwrap();
        assert_eq!((found.disclosed, found.differing.len()), (16, 1));
        assert_eq!(found.differing[0].1, ["actor_user_agent"]);
    }
    // A text that is not the one of the hash discloses nothing.
    let other = String::from_utf8(whole).unwrap().replacen("curl/8", "curl/9", 1);
    assert_eq!(disclosure(first.as_slice(), other.as_bytes()).unwrap().differing.len(), 1);
    let late = Make { size: 5, ..good(Level::Hashes, None) }.bytes();
    assert_eq!(disclosure(first.as_slice(), late.as_slice()).unwrap().disclosed, 4);
}
