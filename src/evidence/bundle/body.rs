//! The events of a bundle, judged one by one; nothing is kept of them but counts.

use super::MOST_LEAVES;
use super::header::{Header, Level};
use super::nodes;
use super::redaction::Redacted;
use super::report::{NAMED, Part, Report, State, signature_part, time_part};
use super::row::{Fit, Selected, Text};
use crate::chain::links::parse_hash;
use crate::chain::to_hex;
use crate::domain::grouped;
use crate::evidence::checkpoint::{self, number};
use crate::evidence::note::{Note, PublicKey};
use crate::evidence::stamp::Authority;
use crate::evidence::tree::{self, MAX_PROOF, Node, Peaks, includes};
use sha2::{Digest as _, Sha256};

/// The events, as far as they were read.
pub(super) struct Body<'h> {
    header: &'h Header,
    /// The leaves of the range so far, and all before it.
    peaks: Peaks,
    /// Why the earlier checkpoint does not fit, or a proof does not.
    refuted: Option<String>,
    last_leaf: Option<u64>,
    last_hash: Option<Node>,
    events: u64,
    selected: u64,
    others: u64,
    without_leaf: u64,
    redacted: u64,
    untried: u64,
    mismatches: u64,
    first_mismatch: Option<String>,
    unfit: Option<String>,
    hidden: Option<String>,
    named: Vec<Selected>,
}

impl<'h> Body<'h> {
    pub(super) fn new(header: &'h Header, peaks: Peaks) -> Self {
        let mut body = Self {
            header,
            peaks,
            refuted: None,
            last_leaf: None,
            last_hash: None,
            events: 0,
            selected: 0,
            others: 0,
            without_leaf: 0,
            redacted: 0,
            untried: 0,
            mismatches: 0,
            first_mismatch: None,
            unfit: None,
            hidden: None,
            named: Vec::new(),
        };
        body.refuted = body.checkpoints();
        body
    }

    /// Why the checkpoints are not of this organisation and one history.
    fn checkpoints(&self) -> Option<String> {
        let checkpoint = &self.header.checkpoint.as_ref()?.trail.checkpoint;
        if checkpoint::organization(&checkpoint.origin).as_deref() != Some(&self.header.organization) {
            return Some(format!("the checkpoint {} is of another organisation", checkpoint.origin));
        }
        let before = &self.header.before.as_ref()?.trail.checkpoint;
        if before.origin != checkpoint.origin {
            return Some(format!("the earlier checkpoint is of another log, {}", before.origin));
        }
        (self.peaks.root() != before.root).then(|| Self::split(before))
    }

    /// Two histories, both shown.
    fn split(before: &checkpoint::Checkpoint) -> String {
        format!(
            "the leaves are not those of the earlier checkpoint ({} events, root {}): two histories of one log were shown",
            grouped(before.size),
            to_hex(&before.root)
        )
    }

    pub(super) fn event(&mut self, rest: &str, is_redacted: bool) -> Result<(), String> {
        let parts: Vec<&str> = rest.splitn(5, ' ').collect();
        let [leaf, selected, hash, proof, text] = parts[..] else {
            return Err("an event has a leaf, a mark, a hash, a proof and a text".to_owned());
        };
        let hash = parse_hash(hash).ok_or("the hash has another form")?;
        let proof = nodes(proof, MAX_PROOF).ok_or("the proof has another form")?;
        if !text.is_ascii() {
            return Err("the text of an event is ASCII".to_owned());
        }
        let is_selected = match selected {
            "selected" => true,
            "other" if self.header.level == Level::Rows => false,
            _ => return Err("the mark has another form, or does not go with the level".to_owned()),
        };
        let leaf = if leaf == "-" { None } else { Some(number(leaf).ok_or("the leaf is not a number")?) };
        match leaf {
            Some(leaf) => self.with_leaf(leaf, &hash, &proof)?,
            None => self.without_leaf(&hash, &proof, is_selected)?,
        }
        self.events += 1;
        *(if is_selected { &mut self.selected } else { &mut self.others }) += 1;
        let row = if is_redacted { self.redacted(text)? } else { self.whole(&hash, text)? };
        self.row(leaf, &hash, row, is_selected)
    }

    fn with_leaf(&mut self, at: u64, hash: &Node, proof: &[Node]) -> Result<(), String> {
        let Some(signed) = &self.header.checkpoint else {
            return Err("without a checkpoint there are no leaves".to_owned());
        };
        if self.without_leaf > 0 {
            return Err("events without a leaf stand behind those with one".to_owned());
        }
        if self.header.level != Level::None {
            return if at == self.peaks.size() && proof.is_empty() {
                self.push(hash)
            } else {
                Err(format!("leaf {} without a proof is expected", self.peaks.size()))
            };
        }
        if self.last_leaf.is_some_and(|last| last >= at) {
            return Err("events stand in the order of their leaves".to_owned());
        }
        self.last_leaf = Some(at);
        let checkpoint = &signed.trail.checkpoint;
        if !includes(&tree::leaf(hash), at, checkpoint.size, proof, &checkpoint.root) {
            let what = format!("{} is not leaf {at} of the checkpoint's log", to_hex(hash));
            self.refuted.get_or_insert(what);
        }
        Ok(())
    }

    fn push(&mut self, hash: &Node) -> Result<(), String> {
        match self.header.range() {
            Some((_, to)) if self.peaks.size() < to => {
                self.peaks.push(tree::leaf(hash));
                Ok(())
            }
            _ => Err("there are more leaves than the checkpoint has".to_owned()),
        }
    }

    fn without_leaf(&mut self, hash: &Node, proof: &[Node], is_selected: bool) -> Result<(), String> {
        if !proof.is_empty() || !is_selected {
            return Err("an event without a leaf is selected, and has no proof".to_owned());
        }
        if self.last_hash.is_some_and(|last| last >= *hash) {
            return Err("events without a leaf stand in the order of their hashes".to_owned());
        }
        self.last_hash = Some(*hash);
        self.without_leaf += 1;
        Ok(())
    }

    pub(super) fn leaves(&mut self, rest: &str) -> Result<(), String> {
        if self.header.level != Level::Hashes || self.without_leaf > 0 {
            return Err("leaves stand only in the range of a bundle of the level 'hashes'".to_owned());
        }
        let leaves = nodes(rest, MOST_LEAVES).filter(|leaves| !leaves.is_empty());
        let leaves = leaves.ok_or("the leaves have another form")?;
        self.others += leaves.len() as u64;
        leaves.iter().try_for_each(|hash| self.push(hash))
    }

    /// The event of a text, whose hash is computed.
    fn whole(&mut self, hash: &Node, text: &str) -> Result<Text, String> {
        let row = Text::parse(text).ok_or("the text is not that of an event")?;
        if Node::from(Sha256::digest(text)) != *hash {
            self.mismatches += 1;
            self.first_mismatch.get_or_insert_with(|| row.event_id.clone());
        }
        Ok(row)
    }

    /// The event of columns, some of which are hidden.
    fn redacted(&mut self, text: &str) -> Result<Text, String> {
        self.redacted += 1;
        let row = Redacted::parse(text).and_then(|redacted| redacted.row());
        row.ok_or_else(|| "the columns are not those of an event of which some are hidden".to_owned())
    }

    fn row(&mut self, leaf: Option<u64>, hash: &Node, row: Text, is_selected: bool) -> Result<(), String> {
        if row.organization_id != self.header.organization {
            return Err("an event of another organisation".to_owned());
        }
        match row.fits(self.header) {
            None => return Err("the time of an event has another form".to_owned()),
            Some(Fit::Fits) if !is_selected && self.header.terms_are_all => {
                self.hidden.get_or_insert_with(|| row.event_id.clone());
            }
            Some(Fit::Not) if is_selected => {
                self.unfit.get_or_insert_with(|| row.event_id.clone());
            }
            Some(Fit::Untried) => self.untried += 1,
            Some(_) => {}
        }
        if is_selected && self.named.len() < NAMED {
            self.named.push(Selected { event_id: row.event_id, hash: to_hex(hash), leaf });
        }
        Ok(())
    }

    pub(super) fn report(
        mut self,
        (trusted, authorities): (&[PublicKey], &[Authority]),
        seal: Option<&Note>,
        sealed: &Node,
    ) -> Report {
        if let Some((_, to)) = self.header.range()
            && self.refuted.is_none()
            && let Some(signed) = &self.header.checkpoint
        {
            let checkpoint = &signed.trail.checkpoint;
            if self.peaks.size() != to {
                let given = grouped(self.peaks.size());
                self.refuted =
                    Some(format!("{given} of the checkpoint's {} leaves are accounted for", grouped(to)));
            } else if self.peaks.root() != checkpoint.root {
                let root = to_hex(&self.peaks.root());
                self.refuted = Some(format!(
                    "the leaves have the root {root}, the checkpoint {}: one was dropped, added or altered",
                    to_hex(&checkpoint.root)
                ));
            }
        }
        Report {
            header: self.header.clone(),
            content: self.content_part(),
            inclusion: self.inclusion_part(),
            completeness: self.completeness_part(),
            signature: signature_part(self.header, trusted, seal, sealed),
            time: time_part(self.header, authorities),
            selected: self.named,
        }
    }

    fn content_part(&self) -> Part {
        let events = grouped(self.events);
        match &self.first_mismatch {
            Some(first) => Part::new(
                State::Fails,
                format!(
                    "{} of {events} events are not what their hash was made of, the first is {first}",
                    grouped(self.mismatches)
                ),
            ),
            None if self.events == 0 => Part::new(State::NotShown, "there are no events"),
            None if self.redacted > 0 => Part::new(
                State::NotShown,
                format!(
                    "{} of {events} events have hidden columns, without which their hash cannot be computed: that the others \
                     are theirs is the word of whoever sealed the bundle, until the hidden ones are disclosed",
                    grouped(self.redacted)
                ),
            ),
            None => {
                Part::new(State::Shown, format!("the hash of each of {events} events is that of its text"))
            }
        }
    }

    fn inclusion_part(&self) -> Part {
        let Some(signed) = &self.header.checkpoint else {
            return Part::new(State::NotShown, "there is no checkpoint");
        };
        if let Some(what) = &self.refuted {
            return Part::new(State::Fails, what);
        }
        let of = format!(
            "the log {} of {} events",
            signed.trail.checkpoint.origin,
            grouped(signed.trail.checkpoint.size)
        );
        match self.without_leaf {
            0 if self.events == 0 => Part::new(State::NotShown, "there are no events"),
            0 => Part::new(State::Shown, format!("each event is in {of}")),
            new => Part::new(
                State::NotShown,
                format!("{} events are not in {of}: they were not there at its checkpoint", grouped(new)),
            ),
        }
    }

    fn completeness_part(&self) -> Part {
        let header = self.header;
        let fails = |what: String| Part::new(State::Fails, what);
        let open = |what: &str| Part::new(State::NotShown, format!("completeness cannot be shown: {what}"));
        if self.selected != header.selected {
            return fails(format!(
                "{} events were selected, {} are given",
                grouped(header.selected),
                grouped(self.selected)
            ));
        }
        if let Some(id) = &self.unfit {
            return fails(format!("the selected event {id} does not fulfil the conditions"));
        }
        if let Some(id) = &self.hidden {
            return fails(format!("the event {id} fulfils the conditions and is not selected"));
        }
        let (Some(signed), Some((from, to))) = (&header.checkpoint, header.range()) else {
            return Part::new(State::NotShown, "not claimed: other events may match");
        };
        if self.refuted.is_some() {
            return fails("the range of the log is not the one of the checkpoints".to_owned());
        }
        if header.selects_all() && header.level == Level::Hashes && self.others > 0 {
            return fails(format!(
                "every event was asked for, and {} of the signed log are given only as hashes: they are not in the trail any \
                 more, or the exporter did not see them",
                grouped(self.others)
            ));
        }
        let before = header.before.as_ref().map(|before| &before.trail);
        if signed.trail.is_forked || before.is_some_and(|before| before.is_forked) {
            return open("the trail has several chains, and their order is the signer's");
        }
        if self.without_leaf > 0 {
            return open("events came after the checkpoint");
        }
        if before.is_some_and(|before| header.since.is_none_or(|since| since < before.at)) {
            return open("the time begins before the earlier checkpoint");
        }
        if header.until.is_some_and(|until| until > signed.trail.at) {
            return open("the time ends after the checkpoint");
        }
        let until = match header.until {
            Some(_) => String::new(),
            None => format!(" up to the checkpoint of {}", signed.trail.at.to_rfc3339()),
        };
        let range = format!("leaves {} to {}{until}", grouped(from), grouped(to));
        match header.level {
            Level::Rows if self.untried > 0 => Part::new(
                State::Shown,
                format!(
                    "all events of {range} are given (level A); of {} of them the conditions are on hidden columns: whether \
                     they match is the exporter's word",
                    grouped(self.untried)
                ),
            ),
            Level::Rows if header.terms_are_all => Part::new(
                State::Shown,
                format!(
                    "all events of {range} are given in full, and exactly the selected ones match (level A)"
                ),
            ),
            Level::Rows => Part::new(
                State::Shown,
                format!(
                    "all events of {range} are given in full (level A); the filter has conditions that were not tried here: \
                     that the {} others do not match is for the reader to see",
                    grouped(self.others)
                ),
            ),
            _ => Part::new(
                State::Shown,
                format!(
                    "all events of {range} are accounted for (level B); that the {} of which only the hash is given do not \
                     match is the exporter's word",
                    grouped(self.others)
                ),
            ),
        }
    }
}
