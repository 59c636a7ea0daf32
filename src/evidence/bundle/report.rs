//! What a bundle shows, and who signed it.

use super::header::{Header, Level};
use super::row::Selected;
use super::write::seal_text;
use crate::domain::Timestamp;
use crate::evidence::note::{Note, PublicKey};
use crate::evidence::stamp::{Authority, Stamp, StampError};
use crate::evidence::tree::Node;
use serde::Serialize;
use std::fmt;

/// Selected events that a report names.
pub(super) const NAMED: usize = 1_000;

/// What became of a claim.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// It is proven.
    Shown,
    /// It is neither proven nor refuted.
    NotShown,
    /// It is refuted.
    Fails,
}

impl State {
    /// Its name for people.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Shown => "shown",
            Self::NotShown => "not shown",
            Self::Fails => "FAILS",
        }
    }
}

/// A claim, and what became of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Part {
    /// What became of it.
    pub state: State,
    /// In words; it quotes the bundle.
    pub detail: String,
}

impl Part {
    pub(super) fn new(state: State, detail: impl Into<String>) -> Self {
        Self { state, detail: detail.into() }
    }
}

/// What a bundle shows, each claim by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// What it says of itself.
    pub header: Header,
    /// Each event is the one that its hash was made of.
    pub content: Part,
    /// The events are in the log of the checkpoint.
    pub inclusion: Part,
    /// There are no others.
    pub completeness: Part,
    /// Who signed the checkpoint, and the bundle.
    pub signature: Part,
    /// When.
    pub time: Part,
    /// The first 1000 selected events.
    pub selected: Vec<Selected>,
}

impl Report {
    /// The claims by name.
    pub fn parts(&self) -> [(&'static str, &Part); 5] {
        [
            ("content", &self.content),
            ("inclusion", &self.inclusion),
            ("completeness", &self.completeness),
            ("signature", &self.signature),
            ("time", &self.time),
        ]
    }

    /// What it comes to: the worst of what was claimed. Time is claimed by a time stamp, completeness by a level.
    pub fn state(&self) -> State {
        let claimed = |name: &str| match name {
            "completeness" => self.header.level != Level::None,
            "time" => !self.header.stamps.is_empty(),
            _ => true,
        };
        let states =
            self.parts().into_iter().filter(|(name, part)| part.state == State::Fails || claimed(name));
        states.map(|(_, part)| part.state).max().unwrap_or(State::NotShown)
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// When, by the time stamps of authorities.
pub(super) fn time_part(header: &Header, authorities: &[Authority]) -> Part {
    let Some(signed) = &header.checkpoint else {
        return Part::new(
            State::NotShown,
            "no time stamp: all times are the word of whoever wrote or signed them",
        );
    };
    let text = signed.checkpoint.text().as_bytes();
    let mut shown: Option<(Timestamp, String)> = None;
    let mut open = "no time stamp: all times are the word of whoever wrote or signed them".to_owned();
    for token in &header.stamps {
        let stamp = match Stamp::parse(token).and_then(|stamp| stamp.is_of(text).map(|()| stamp)) {
            Ok(stamp) => stamp,
            Err(e) => return Part::new(State::Fails, e.to_string()),
        };
        let time = stamp.time;
        if authorities.is_empty() {
            open = format!(
                "a time stamp of {} by an authority that is not known here: its signature was not verified",
                time.to_rfc3339()
            );
            continue;
        }
        match stamp.verify(authorities) {
            // The earliest one says most.
            Ok(name) if shown.as_ref().is_none_or(|(first, _)| time < *first) => shown = Some((time, name)),
            Ok(_) => {}
            Err(StampError::Untrusted(why)) => {
                open = format!(
                    "a time stamp of {} by an authority that is not trusted: {why}",
                    time.to_rfc3339()
                );
            }
            Err(e) => return Part::new(State::Fails, e.to_string()),
        }
    }
    match shown {
        None => Part::new(State::NotShown, open),
        Some((time, name)) => Part::new(
            State::Shown,
            format!(
                "the checkpoint, and with it each of its events, was there at {}, says {name}; whether its certificate was \
                 revoked was not asked",
                time.to_rfc3339()
            ),
        ),
    }
}

/// Who signed what.
pub(super) fn signature_part(
    header: &Header,
    trusted: &[PublicKey],
    seal: Option<&Note>,
    sealed: &Node,
) -> Part {
    let known: Vec<PublicKey> =
        trusted.iter().chain(header.keys.iter().filter(|key| !trusted.contains(key))).cloned().collect();
    let mut signers: Option<Vec<&PublicKey>> = None;
    let mut claimed: Vec<&str> = Vec::new();
    for signed in [&header.checkpoint, &header.before].into_iter().flatten() {
        match signed.signed_by(&known) {
            Err(e) => return Part::new(State::Fails, e.to_string()),
            Ok(by) => {
                signers = Some(match signers {
                    None => by,
                    Some(all) => all.into_iter().filter(|key| by.contains(key)).collect(),
                });
            }
        }
        claimed.extend(signed.checkpoint.claimed());
    }
    let mut sealers: Vec<&PublicKey> = Vec::new();
    if let Some(seal) = seal {
        let origin = header.checkpoint.as_ref().map_or("-", |signed| &signed.trail.checkpoint.origin);
        if seal.text() != seal_text(origin, sealed) {
            return Part::new(State::Fails, "the seal is one of another bundle");
        }
        match seal.signed_by(&known) {
            Err(e) => return Part::new(State::Fails, e.to_string()),
            Ok(by) => sealers = by,
        }
        claimed.extend(seal.claimed());
    }
    // Who has signed the checkpoint alone has seen that it goes on from what was seen before: a witness.
    let cosigners = match header.checkpoint.as_ref().map(|signed| signed.checkpoint.signed_by(trusted)) {
        Some(Err(e)) => return Part::new(State::Fails, e.to_string()),
        Some(Ok(by)) => by,
        None => Vec::new(),
    };
    let names = |keys: &[&PublicKey]| keys.iter().map(|key| key.name()).collect::<Vec<_>>().join(", ");
    let is_trusted = |key: &&PublicKey| trusted.contains(key);
    let trusted_sealers: Vec<&PublicKey> = sealers.into_iter().filter(is_trusted).collect();
    let by = signers.map(|by| by.into_iter().filter(is_trusted).collect::<Vec<_>>());
    let state = if trusted_sealers.is_empty() { State::NotShown } else { State::Shown };
    let sealed_by = match state {
        State::Shown => format!("filter and selection by {}", names(&trusted_sealers)),
        _ => "filter and selection are not signed by a trusted key".to_owned(),
    };
    match by {
        None if seal.is_none() => Part::new(State::NotShown, "nothing is signed"),
        None if trusted_sealers.is_empty() => unknown(&claimed),
        None => Part::new(State::Shown, format!("no checkpoint; {sealed_by}")),
        Some(by) if by.is_empty() => unknown(&claimed),
        Some(by) => {
            let cosigners: Vec<&PublicKey> = cosigners.into_iter().filter(|key| !by.contains(key)).collect();
            let cosigned = match cosigners.as_slice() {
                [] => String::new(),
                cosigners => format!(", cosigned by {}", names(cosigners)),
            };
            Part::new(state, format!("the checkpoint is signed by {}{cosigned}; {sealed_by}", names(&by)))
        }
    }
}

fn unknown(claimed: &[&str]) -> Part {
    let mut names = claimed.to_vec();
    names.sort_unstable();
    names.dedup();
    let names = names.join(", ");
    Part::new(
        State::NotShown,
        format!("by an unknown key, which calls itself {names}: compare it with its owner and trust it"),
    )
}
