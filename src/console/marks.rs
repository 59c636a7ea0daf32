//! What is known of the content of the events on the screen: the marks of the gutter.
//!
//! Each is bound to the row as it was when it was checked, by its hash and `xmin`, and lapses when the row is another
//! one. It survives scrolling, filtering and going elsewhere within the organisation.

use super::theme::Role;
use crate::chain::{Judge, Judgement};
use crate::diff::{Count, Options, change_count, unhurried};
use crate::domain::{Event, EventKey, EventRow, Json, OrgScope, Safe};
use crate::store::states::{self, Seen};
use crate::store::{ReadDb, StoreError, timeline};
use crate::verify::{self, Detected, EventReport};
use std::collections::HashMap;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// Most marks that are kept: some 10 MB. Beyond it they are made anew.
const CAPACITY: usize = 50_000;

/// How long rows must have been on the screen before they are checked.
const SETTLE: Duration = Duration::from_millis(80);

/// What is known of an event's content.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Mark {
    /// The hash is that of the row.
    Verified,
    /// The hash is that of the row in another spelling of the same values.
    Alternative,
    /// Nobody has looked.
    Unchecked,
    /// It can be neither verified nor refuted.
    Unable,
    /// The hash is not that of the row.
    Broken,
}

impl Mark {
    /// All of them, the best first.
    pub(crate) const ALL: [Self; 5] =
        [Self::Verified, Self::Alternative, Self::Unchecked, Self::Unable, Self::Broken];

    /// Its sign. Each has a word too: [`Self::word`].
    pub(crate) const fn sign(self) -> &'static str {
        match self {
            Self::Verified => "✓",
            Self::Alternative => "≈",
            Self::Unchecked => "·",
            Self::Unable => "?",
            Self::Broken => "✗",
        }
    }

    /// In words.
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Verified => "verified",
            Self::Alternative => "verified in another spelling",
            Self::Unchecked => "not checked",
            Self::Unable => "cannot check",
            Self::Broken => "content differs from its hash",
        }
    }

    /// How it looks.
    pub(crate) const fn role(self) -> Role {
        match self {
            Self::Verified | Self::Alternative => Role::Verified,
            Self::Unchecked => Role::Unchecked,
            Self::Unable => Role::Unable,
            Self::Broken => Role::Broken,
        }
    }
}

/// How much an event changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Delta {
    /// It recorded no state.
    NotRecorded,
    /// Nothing, or only what changes by itself.
    Noise,
    /// `Δ3`: so many values, noise not counted.
    Changes(Safe),
    /// Its states are too large to be compared in passing, or cannot be read.
    Uncounted,
}

impl Delta {
    fn of(event: &Event, options: &Options) -> Self {
        let [old, new] = [&event.previous_state, &event.new_state].map(|s| s.as_ref().map(Json::as_str));
        match change_count(old, new, options, &unhurried) {
            Count::NothingRecorded => Self::NotRecorded,
            Count::Uncounted { .. } => Self::Uncounted,
            Count::Exact { changes: 0, .. } => Self::Noise,
            Count::Exact { changes: 100.., .. } => Self::Changes(Safe::literal("Δ99+")),
            Count::Exact { changes, .. } => Self::Changes(Safe::from_untrusted(&format!("Δ{changes}"))),
        }
    }
}

/// What was learnt by reading one row with its states.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Glance {
    /// Of its content.
    pub(crate) mark: Mark,
    /// How much it changed.
    pub(crate) delta: Delta,
    /// More words: the other spelling, why it cannot be checked, what does not fit.
    pub(crate) why: Safe,
    hash: String,
    xmin: u32,
}

impl Glance {
    /// Of an event that was verified by itself.
    pub(crate) fn from_report(report: &EventReport) -> Self {
        let mark = match report.content {
            "verified" => Mark::Verified,
            "verified_alternative" => Mark::Alternative,
            "mismatch" => Mark::Broken,
            _ => Mark::Unable,
        };
        let why = Safe::from_untrusted(report.detail.as_deref().unwrap_or_default());
        Self { mark, delta: Delta::Uncounted, why, hash: report.stored_hash.clone(), xmin: report.xmin }
    }

    /// Of a row as it was read.
    pub(crate) fn of(row: &EventRow, mark: Mark, why: &str) -> Self {
        let why = Safe::from_untrusted(why);
        Self { mark, delta: Delta::Uncounted, why, hash: row.hash.clone(), xmin: row.xmin }
    }

    /// What became of a row of the list.
    fn new(asked: &EventRow, seen: &Seen, detected: &Detected, judge: &mut Judge, options: &Options) -> Self {
        let mut glance = match seen {
            Seen::Whole(event) => match detected.judge(judge, event) {
                Judgement::Verified => Self::of(&event.row, Mark::Verified, ""),
                Judgement::VerifiedAlternative(reading) => Self::of(&event.row, Mark::Alternative, &reading),
                Judgement::Undecided(why) => Self::of(&event.row, Mark::Unable, &why),
                Judgement::Mismatch(mismatch) => Self::of(&event.row, Mark::Broken, &mismatch.detail),
            },
            Seen::Large(row) => Self::of(row, Mark::Unchecked, "too large to be checked in passing"),
            Seen::Unreadable(reason) => Self::of(asked, Mark::Unable, reason),
            Seen::Gone => Self::of(asked, Mark::Unable, "the event is not in the table any more"),
        };
        if let Seen::Whole(event) = seen {
            glance.delta = Delta::of(event, options);
        }
        glance
    }
}

/// What to look at.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Look {
    /// The organisation.
    pub(crate) scope: OrgScope,
    /// Rows as they are in the list.
    pub(crate) rows: Vec<EventRow>,
    /// How the hashes of the organisation are made, where that is known.
    pub(crate) detected: Option<Detected>,
    /// Also the large ones, and without a limit on the search for other spellings: somebody asked for it.
    pub(crate) thorough: bool,
}

/// The result of looking at some rows.
#[derive(Debug)]
pub(crate) struct Glances {
    /// How the hashes of the organisation are made.
    pub(crate) detected: Detected,
    /// Event ids, and what was learnt of each.
    pub(crate) seen: Vec<(String, Glance)>,
    /// Rows that are not any more as they were in the list.
    pub(crate) changed: Vec<EventRow>,
    /// Somebody asked for it.
    pub(crate) thorough: bool,
}

/// Reads rows again with their states, judges them, and counts their changes.
///
/// # Errors
/// [`StoreError`].
pub(crate) async fn look(
    db: &ReadDb,
    look: Look,
    options: &Options,
    cancel: &CancellationToken,
) -> Result<Glances, StoreError> {
    let Look { scope, rows, detected, thorough } = look;
    let detected = match detected {
        Some(detected) => detected,
        None => verify::detect(db, &scope, cancel).await?,
    };
    let keys: Vec<EventKey> = rows.iter().map(EventRow::key).collect();
    let mut all = states::of(db, &scope, &keys, cancel).await?;
    if thorough {
        for seen in &mut all {
            if let Seen::Large(row) = seen {
                let event = timeline::event(db, &scope, &row.event_id, Some(row.timestamp), cancel).await;
                *seen = match event {
                    Ok(event) => event.map_or(Seen::Gone, |event| Seen::Whole(Box::new(event))),
                    Err(error @ StoreError::Database(_)) => Seen::Unreadable(error.to_string()),
                    Err(error) => return Err(error),
                };
            }
        }
    }
    let scheme = detected.scheme;
    let mut judge = if thorough { Judge::new(scheme) } else { Judge::in_passing(scheme) };
    let mut glances =
        Glances { seen: Vec::with_capacity(rows.len()), changed: Vec::new(), detected, thorough };
    for (asked, seen) in rows.iter().zip(&all) {
        let glance = Glance::new(asked, seen, &glances.detected, &mut judge, options);
        match seen {
            Seen::Whole(event) if event.row != *asked => glances.changed.push(event.row.clone()),
            Seen::Large(row) if **row != *asked => glances.changed.push((**row).clone()),
            _ => {}
        }
        glances.seen.push((asked.event_id.clone(), glance));
    }
    Ok(glances)
}

/// `40 rows: 38 verified, 2 not checked`.
pub(crate) fn summary(seen: &[(String, Glance)]) -> Safe {
    counted(seen.iter().map(|(_, glance)| glance.mark))
}

/// How many rows have which mark.
pub(crate) fn counted(marks: impl Iterator<Item = Mark>) -> Safe {
    let mut counts = [0usize; Mark::ALL.len()];
    for mark in marks {
        counts[mark as usize] += 1;
    }
    let rows: usize = counts.iter().sum();
    let said = Mark::ALL.iter().zip(counts).filter(|(_, n)| *n > 0);
    let said: Vec<String> = said.map(|(mark, n)| format!("{n} {}", mark.word())).collect();
    Safe::from_untrusted(&format!("{rows} {}: {}", if rows == 1 { "row" } else { "rows" }, said.join(", ")))
}

/// The marks of one organisation.
#[derive(Debug, Default)]
pub(crate) struct Marks {
    known: HashMap<String, Glance>,
    detected: Option<Detected>,
    /// When the rows on the screen are looked at.
    due: Option<Duration>,
    /// Why looking failed; it is taken up with the next movement.
    pub(crate) trouble: Option<Safe>,
}

impl Marks {
    /// What is known of a row as it is in the list.
    pub(crate) fn of(&self, row: &EventRow) -> Option<&Glance> {
        self.known.get(&row.event_id).filter(|g| g.xmin == row.xmin && g.hash == row.hash)
    }

    /// The mark of a row as it is in the list.
    pub(crate) fn mark(&self, row: &EventRow) -> Mark {
        self.of(row).map_or(Mark::Unchecked, |glance| glance.mark)
    }

    /// How the hashes of the organisation are made, once that is known for sure.
    pub(crate) fn detected(&self) -> Option<&Detected> {
        self.detected.as_ref()
    }

    /// Takes note of what was learnt.
    pub(crate) fn note(&mut self, detected: Detected, seen: Vec<(String, Glance)>) {
        if !detected.is_tentative() {
            self.detected = Some(detected);
        }
        if self.known.len() + seen.len() > CAPACITY {
            self.known.clear();
        }
        self.known.extend(seen);
        self.trouble = None;
    }

    /// Takes note of what was learnt of one event: its mark. The changes of the row, if they were counted, stay.
    pub(crate) fn note_one(&mut self, event_id: String, mut glance: Glance) {
        let before = self.known.get(&event_id);
        if let Some(before) = before.filter(|b| b.hash == glance.hash && b.xmin == glance.xmin) {
            glance.delta = before.delta.clone();
        }
        self.known.insert(event_id, glance);
    }

    /// Forgets what could not be decided, so that it is tried again.
    pub(crate) fn retry(&mut self) {
        self.known.retain(|_, glance| matches!(glance.mark, Mark::Verified | Mark::Alternative));
        self.trouble = None;
    }

    /// Asks for a look at rows on the screen, or, when there is nothing to look at, withdraws that.
    pub(crate) fn want(&mut self, wanted: bool, clock: Duration) {
        self.due = match self.due {
            _ if !wanted => None,
            None => Some(clock + SETTLE),
            due => due,
        };
    }

    /// When rows are to be looked at.
    pub(crate) fn due(&self) -> Option<Duration> {
        self.due
    }

    /// Whether it is time to look.
    pub(crate) fn take_due(&mut self, clock: Duration) -> bool {
        self.due.take_if(|due| *due <= clock).is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::console::fixtures::event_row;

    #[test]
    fn changes_are_counted_without_noise() {
        let delta = |old: Option<&str>, new: Option<&str>| {
            let [previous_state, new_state] = [old, new].map(|s| s.map(Json::from_trusted));
            Delta::of(&Event { row: event_row("e", 0), previous_state, new_state }, &Options::default())
        };
        assert_eq!(delta(None, None), Delta::NotRecorded);
        let changes = |n: &'static str| Delta::Changes(Safe::literal(n));
        assert_eq!(delta(None, Some(r#"{"a": 1, "b": 2}"#)), changes("Δ2"));
        assert_eq!(delta(Some(r#"{"a": 1, "etag": 1}"#), Some(r#"{"a": 2, "etag": 2}"#)), changes("Δ1"));
        assert_eq!(delta(Some(r#"{"etag": 1}"#), Some(r#"{"etag": 2}"#)), Delta::Noise);
        let many = format!("[{}0]", "1, ".repeat(200));
        assert_eq!(delta(Some("[]"), Some(&many)), changes("Δ99+"));
        let deep = "[".repeat(1_000) + &"]".repeat(1_000);
        assert_eq!(delta(Some(&deep), Some("[]")), Delta::Uncounted);
    }

    #[test]
    fn a_row_verified_by_itself_keeps_its_changes_until_it_is_another_row() {
        let mut row = event_row("e", 0);
        let counted = Glance { delta: Delta::Noise, ..Glance::of(&row, Mark::Unable, "") };
        let mut marks = Marks::default();
        marks.note_one("e".to_owned(), counted);
        marks.note_one("e".to_owned(), Glance::of(&row, Mark::Verified, ""));
        let known = marks.of(&row).unwrap();
        assert_eq!((known.mark, &known.delta), (Mark::Verified, &Delta::Noise));
        row.xmin += 1;
        marks.note_one("e".to_owned(), Glance::of(&row, Mark::Verified, ""));
        assert_eq!(marks.of(&row).unwrap().delta, Delta::Uncounted);
    }
}
