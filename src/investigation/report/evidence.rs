//! What a bundle proves, what it does not, and how to check it without this program: for somebody who reads no hashes.

use super::{fact, head, safe};
use crate::chain::to_hex;
use crate::domain::{Timestamp, grouped};
use crate::evidence::bundle::{Level, Part, Report, State};
use crate::export::document::{Block, Document};
use crate::investigation::checkpoint::said;

/// The file that the report is about.
#[derive(Debug, Clone)]
pub struct File {
    /// Its name.
    pub name: String,
    /// Its SHA-256 in hexadecimal.
    pub sha256: String,
    /// When it was verified, by the clock of the machine.
    pub at: Timestamp,
    /// Public keys that were trusted.
    pub keys: Vec<String>,
}

/// Makes the report of a verification.
pub fn of(report: &Report, file: &File) -> Document {
    let header = &report.header;
    let time = |at: Option<Timestamp>, open: &str| at.map_or_else(|| open.to_owned(), Timestamp::to_rfc3339);
    let mut facts = vec![
        fact("File", safe(&file.name)),
        fact("Its SHA-256", file.sha256.clone()),
        fact("Verified", file.at.to_rfc3339()),
        fact("Organisation", safe(&header.organization)),
        fact("Filter", safe(&header.filter)),
        fact("From", time(header.since, "the beginning of the record")),
        fact("Until", time(header.until, "the last checkpoint")),
        fact("Events", grouped(header.selected)),
        fact("Completeness", header.level.claim().to_owned()),
        fact("Result", report.state().name().to_owned()),
    ];
    for (name, signed) in [("Checkpoint", &header.checkpoint), ("Earlier checkpoint", &header.before)] {
        facts.extend(signed.iter().map(|signed| fact(name, safe(&said(&signed.trail)))));
    }
    let rows = report
        .parts()
        .into_iter()
        .map(|(name, part)| vec![plain(name).to_owned(), part.state.name().to_owned(), safe(&part.detail)]);
    let mut blocks = vec![
        Block::Facts(facts),
        Block::Section("What was checked".to_owned()),
        Block::Table(head(&["Question", "Answer", "In detail"]), rows.collect()),
    ];
    let list = |title: &str, state: State| {
        let parts = report.parts().into_iter().filter(|(_, part)| part.state == state);
        let sentences: Vec<String> = parts.map(|(name, part)| sentence(name, part, header.level)).collect();
        let section = [Block::Section(title.to_owned()), Block::List(sentences.clone())];
        section.into_iter().filter(move |_| !sentences.is_empty())
    };
    blocks.extend(list("What is wrong with this file", State::Fails));
    blocks.extend(list("What this file proves", State::Shown));
    blocks.extend(list("What this file does not prove", State::NotShown));
    blocks.push(Block::Section("What no such file can prove".to_owned()));
    blocks.push(Block::List(vec![
        "That what an event says has happened: it proves what was recorded, not that the record was true."
            .to_owned(),
        "That everything that happened was recorded: what was never written leaves no trace in it."
            .to_owned(),
        "Who a person is: names and addresses are those that the recording system knew.".to_owned(),
        "Who holds a signing key: compare the key below with its owner, by a way that you trust.".to_owned(),
    ]));
    blocks.push(Block::Section("How to check it without us".to_owned()));
    blocks.extend(steps(file));
    blocks.push(Block::Section("Events".to_owned()));
    let rows = report.selected.iter().map(|event| {
        let leaf = event.leaf.map_or_else(|| "in no checkpoint".to_owned(), grouped);
        vec![safe(&event.event_id), leaf, event.hash.clone()]
    });
    blocks.push(Block::Table(head(&["Event", "Number in the log", "Hash"]), rows.collect()));
    let more = header.selected.saturating_sub(report.selected.len() as u64);
    if more > 0 {
        blocks.push(Block::Paragraph(format!("{} more are in the file.", grouped(more))));
    }
    if let Some(signed) = &header.checkpoint {
        blocks.push(Block::Paragraph(format!("Root of the log: {}", to_hex(&signed.trail.checkpoint.root))));
    }
    let title = format!("Evidence: {} events of {}", grouped(header.selected), safe(&header.organization));
    Document { title, blocks }
}

/// A claim as a question.
fn plain(name: &str) -> &'static str {
    match name {
        "content" => "Are the events as they were recorded?",
        "inclusion" => "Are they part of the signed record?",
        "completeness" => "Are these all of them?",
        "signature" => "Who vouches for that?",
        _ => "Since when has it been so?",
    }
}

/// What an answer means.
fn sentence(name: &str, part: &Part, level: Level) -> String {
    let detail = safe(&part.detail);
    let meaning = match (name, part.state) {
        ("content", State::Shown) => {
            "The text of each event is the one that was recorded: one changed letter would be noticed."
        }
        ("content", State::Fails) => "At least one event is not the one that was recorded.",
        ("content", _) => {
            "That the shown parts of the events are as recorded is the word of whoever made the file."
        }
        ("inclusion", State::Shown) => {
            "Each event is part of the record that was signed: none was added to it for this file."
        }
        ("inclusion", State::Fails) => {
            "At least one event, or the range, is not the one of the signed record."
        }
        ("inclusion", _) => "That the events are part of a signed record is not shown.",
        ("completeness", State::Shown) if level == Level::Rows => {
            "The file holds every event of the range, so that anybody can see which ones match: none was left out."
        }
        ("completeness", State::Shown) => {
            "Every event of the range is accounted for: none was left out unnoticed. Of those that stand only as a hash, \
             that they do not match is the word of whoever made the file, and can be demanded to be shown one by one."
        }
        ("completeness", State::Fails) => "Events are missing, or are in the file that do not belong to it.",
        ("completeness", _) => "There may be other events that match.",
        ("signature", State::Shown) => {
            "A key that the reader trusts has signed the record, and this selection of it."
        }
        ("signature", State::Fails) => "A signature is not the one of the key that it names.",
        ("signature", _) => {
            "Whether the file comes from who it says is for you to find out: no trusted key has signed all of it."
        }
        (_, State::Shown) => {
            "A third party has confirmed when the record was there: it was not made up later than that."
        }
        (_, State::Fails) => "A time stamp is of something else, or forged.",
        _ => "No third party says when the record was there: its times are those of whoever kept it.",
    };
    format!("{meaning} ({detail})")
}

fn steps(file: &File) -> Vec<Block> {
    let trust: String = file.keys.iter().map(|key| format!(" --trust {key}")).collect();
    let name = safe(&file.name);
    let mut blocks = vec![Block::List(vec![
        format!("Compare the SHA-256 of the file with the one above: sha256sum {name}"),
        "Get verify_bundle.py, a program of some hundred lines that anybody who knows Python can read; it needs no \
         database and no network."
            .to_owned(),
        format!("Run: python3 verify_bundle.py {name}{}", safe(&trust)),
        "Its answers must be those of the table above. The format of the file is published (docs/reference/evidence.md): a \
         verifier can be written from it."
            .to_owned(),
    ])];
    if file.keys.is_empty() {
        blocks.push(Block::Paragraph(
            "No key was trusted for this report: get the key of whoever signed from them, and verify again."
                .to_owned(),
        ));
    }
    blocks
}
