//! What is known of the content of the events on the screen: the marks of the gutter.
//!
//! Each is bound to the row as it was when it was checked, by its hash and `xmin`, and lapses when the row is another
//! one. It survives scrolling, filtering and going elsewhere within the organisation.

use crate::chain::{Content, Judge, Judgement};
use crate::console::runtime::context::Context;
use crate::console::widgets::theme::Role;
use crate::diff::json::Limits;
use crate::diff::writing::Writing;
use crate::diff::{Count, Options, change_count, unhurried};
use crate::domain::{Event, EventKey, EventRow, Json, OrgScope, Safe, Timestamp};
use crate::investigation::Records;
use crate::store::StoreError;
use crate::store::history::states::{self, Seen};
use crate::store::listing::search::vectors;
use crate::store::listing::timeline;
use crate::store::scan::{self, Catalogue};
use crate::verify::{self, Class, Detected, EventReport, Finding, SchemeSource};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::Duration;

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
    /// The hash is that of the row, and a search does not find the row by its words.
    Unfound,
    /// The hash is not that of the row.
    Broken,
}

impl Mark {
    /// All of them, the best first.
    pub(crate) const ALL: [Self; 6] =
        [Self::Verified, Self::Alternative, Self::Unchecked, Self::Unable, Self::Unfound, Self::Broken];

    /// Its sign. Each has a word too: [`Self::word`].
    pub(crate) const fn sign(self) -> &'static str {
        match self {
            Self::Verified => "✓",
            Self::Alternative => "≈",
            Self::Unchecked => "·",
            Self::Unable => "?",
            Self::Unfound | Self::Broken => "✗",
        }
    }

    /// In words.
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Verified => "verified",
            Self::Alternative => "verified in another spelling",
            Self::Unchecked => "not checked",
            Self::Unable => "cannot check",
            Self::Unfound => "search vector differs from its words",
            Self::Broken => "content differs from its hash",
        }
    }

    /// How it looks.
    pub(crate) const fn role(self) -> Role {
        match self {
            Self::Verified | Self::Alternative => Role::Verified,
            Self::Unchecked => Role::Unchecked,
            Self::Unable => Role::Unable,
            Self::Unfound | Self::Broken => Role::Broken,
        }
    }
}

impl From<Content> for Mark {
    fn from(content: Content) -> Self {
        match content {
            Content::Verified => Self::Verified,
            Content::VerifiedAlternative => Self::Alternative,
            Content::Undecided | Content::Unreadable => Self::Unable,
            Content::Mismatch => Self::Broken,
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
    fn of(event: &Event, writing: Writing, options: &Options) -> Self {
        let [old, new] = [&event.previous_state, &event.new_state].map(|s| s.as_ref().map(Json::as_str));
        let limits = Limits { bytes: options.budget.bytes, nodes: options.budget.nodes };
        let [whole_old, whole_new] = writing.completed(old, new, limits);
        match change_count(whole_old.as_deref().or(old), whole_new.as_deref().or(new), options, &unhurried) {
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
    timestamp: Timestamp,
    hash: String,
    xmin: u32,
}

impl Glance {
    /// Of an event that was verified by itself.
    pub(crate) fn from_report(report: &EventReport) -> Self {
        let mark = Mark::from(report.content);
        let why = Safe::from_untrusted(report.detail.as_deref().unwrap_or_default());
        // It was written from one.
        let timestamp = Timestamp::parse(&report.timestamp).unwrap_or(Timestamp::NEG_INFINITY);
        let hash = report.stored_hash.clone();
        Self { mark, delta: Delta::Uncounted, why, timestamp, hash, xmin: report.xmin }
    }

    /// Of a row as it was read.
    pub(crate) fn of(row: &EventRow, mark: Mark, why: &str) -> Self {
        let why = Safe::from_untrusted(why);
        let (timestamp, hash) = (row.timestamp, row.hash.clone());
        Self { mark, delta: Delta::Uncounted, why, timestamp, hash, xmin: row.xmin }
    }

    /// What a list of findings says of it; `None` where nothing is wrong.
    fn finding(&self, event_id: &str) -> Option<Finding> {
        let class = match self.mark {
            Mark::Broken => Class::ContentMismatch,
            Mark::Unfound => Class::SearchVectorMismatch,
            Mark::Verified | Mark::Alternative | Mark::Unchecked | Mark::Unable => return None,
        };
        let key = EventKey { timestamp: self.timestamp, event_id: event_id.to_owned() };
        let why = if self.why.as_str().is_empty() { self.mark.word() } else { self.why.as_str() };
        Some(Finding::in_passing(class, &key, &self.hash, why.to_owned()))
    }

    /// What became of a row of the list.
    fn new(asked: &EventRow, seen: &Seen, detected: &Detected, judge: &mut Judge) -> Self {
        match seen {
            Seen::Whole(event) => {
                let judgement = detected.judge(judge, event);
                let why = match &judgement {
                    Judgement::Verified => "",
                    Judgement::VerifiedAlternative(why) | Judgement::Undecided(why) => why,
                    Judgement::Mismatch(mismatch) => &mismatch.detail,
                };
                Self::of(&event.row, judgement.content().into(), why)
            }
            Seen::Large(row) => Self::of(row, Mark::Unchecked, "too large to be checked in passing"),
            Seen::Unreadable(reason) => Self::of(asked, Mark::Unable, reason),
            Seen::Gone => Self::of(asked, Mark::Unable, "the event is not in the table any more"),
        }
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
    /// The state of the columns before the rows were read.
    pub(crate) catalogue: Catalogue,
}

/// Reads rows again with their states, judges them, and counts their changes.
///
/// # Errors
/// [`StoreError`].
pub(crate) async fn look(look: Look, cx: &Context<'_>) -> Result<Glances, StoreError> {
    let (db, cancel) = (cx.db, cx.cancel);
    let Look { scope, rows, detected, thorough } = look;
    let detected = match detected {
        Some(detected) => detected,
        None => {
            let memory = Records::load(cx.place).memory(scope.organization().as_str());
            verify::detect(db, &scope, SchemeSource::Remembered(&memory), cancel).await?
        }
    };
    // Before the rows: what changes meanwhile makes the next look another one.
    let catalogue = scan::catalogue(db, cancel).await?;
    let keys: Vec<EventKey> = rows.iter().map(EventRow::key).collect();
    let mut all = states::of(db, &scope, &keys, cancel).await?;
    let unfound: HashSet<String> = vectors::others(db, &scope, &keys, cancel).await?.into_iter().collect();
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
        Glances { seen: Vec::with_capacity(rows.len()), changed: Vec::new(), detected, thorough, catalogue };
    for (asked, seen) in rows.iter().zip(&all) {
        let mut glance = Glance::new(asked, seen, &glances.detected, &mut judge);
        if let Seen::Whole(event) = seen {
            // Only states on both sides can be completed from each other. One look at the newest events is enough here.
            let both = event.previous_state.is_some() && event.new_state.is_some();
            let writing = if both {
                cx.writings.writings(db, &scope, None, cancel).await?.of(&event.row.resource_type)
            } else {
                Writing::Full
            };
            glance.delta = Delta::of(event, writing, cx.options);
        }
        if unfound.contains(&asked.event_id) && glance.mark != Mark::Broken {
            glance.mark = Mark::Unfound;
            glance.why = Safe::literal("a search for its words does not find this event");
        }
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
    /// Events that were seen to contradict their hashes: they stay so until their row is seen to fit, also when it is gone.
    broken: BTreeMap<String, Finding>,
    /// Events that stood in a view and were not in it any more when it was opened anew.
    gone: HashSet<String>,
    /// Rows that were marked by hand, oldest mark first.
    picked: Vec<EventRow>,
    /// The state of the columns with which they were made.
    catalogue: Option<Catalogue>,
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

    /// Takes note of what was learnt. Where the columns are not as they were, a row may have other values although its
    /// version is the same: what was known before lapses.
    pub(crate) fn note(&mut self, detected: Detected, catalogue: Catalogue, seen: Vec<(String, Glance)>) {
        if self.catalogue.as_ref().is_some_and(|then| *then != catalogue) {
            self.known.clear();
        }
        self.catalogue = Some(catalogue);
        if !detected.is_tentative() {
            self.detected = Some(detected);
        }
        if self.known.len() + seen.len() > CAPACITY {
            self.known.clear();
        }
        for (event_id, glance) in seen {
            self.judge(&event_id, &glance);
            self.known.insert(event_id, glance);
        }
        self.trouble = None;
    }

    /// Takes note of what was learnt of one event: its mark. The changes of the row, if they were counted, stay.
    pub(crate) fn note_one(&mut self, event_id: String, mut glance: Glance) {
        let before = self.known.get(&event_id);
        if let Some(before) = before.filter(|b| b.hash == glance.hash && b.xmin == glance.xmin) {
            glance.delta = before.delta.clone();
        }
        self.judge(&event_id, &glance);
        self.known.insert(event_id, glance);
    }

    fn judge(&mut self, event_id: &str, glance: &Glance) {
        match glance.mark {
            Mark::Broken | Mark::Unfound => {
                self.broken.extend(glance.finding(event_id).map(|finding| (event_id.to_owned(), finding)));
            }
            Mark::Verified | Mark::Alternative => {
                self.broken.remove(event_id);
                self.gone.remove(event_id);
            }
            // A row that is gone, or cannot be read any more, does not mend what was seen of it.
            Mark::Unchecked | Mark::Unable => {}
        }
    }

    /// Marks a row by hand, or takes that mark away. Whether it is marked now.
    pub(crate) fn pick(&mut self, row: &EventRow) -> bool {
        let before = self.picked.len();
        self.picked.retain(|picked| picked.event_id != row.event_id);
        let picks = self.picked.len() == before;
        if picks {
            self.picked.push(row.clone());
        }
        picks
    }

    /// Rows that were marked by hand.
    pub(crate) fn picked(&self) -> &[EventRow] {
        &self.picked
    }

    /// Takes note of events that are not there any more.
    pub(crate) fn note_gone(&mut self, event_ids: Vec<String>) {
        self.gone.extend(event_ids);
    }

    /// How many events that this session has seen are not there any more.
    pub(crate) fn gone(&self) -> usize {
        self.gone.len()
    }

    /// Events that were seen to contradict their hashes.
    pub(crate) fn broken(&self) -> impl Iterator<Item = &Finding> {
        self.broken.values()
    }

    /// Forgets all, so that rows are looked at again: somebody asked the database anew.
    pub(crate) fn retry(&mut self) {
        self.known.clear();
        self.trouble = None;
    }

    /// Rows were read: forgets those whose version does not tell whether they are the same. Numbers below 3 are no
    /// transactions.
    pub(crate) fn forget_undated(&mut self) {
        self.known.retain(|_, glance| glance.xmin >= 3);
    }

    /// The state of the columns, as far as it is known.
    pub(crate) fn catalogue(&self) -> Option<&Catalogue> {
        self.catalogue.as_ref()
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
    use crate::console::app::fixtures::event_row;

    #[test]
    fn changes_are_counted_without_noise() {
        let delta = |old: Option<&str>, new: Option<&str>| {
            let [previous_state, new_state] = [old, new].map(|s| s.map(Json::from_trusted));
            Delta::of(
                &Event { row: event_row("e", 0), previous_state, new_state },
                Writing::Full,
                &Options::default(),
            )
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
    fn what_was_seen_to_be_broken_stays_so_until_it_is_seen_to_fit() {
        let row = event_row("e", 0);
        let mut marks = Marks::default();
        marks.note_one("e".to_owned(), Glance::of(&row, Mark::Broken, ""));
        marks.retry();
        marks.note_one(
            "e".to_owned(),
            Glance::of(&row, Mark::Unable, "the event is not in the table any more"),
        );
        let broken: Vec<(Class, &str)> = marks.broken().map(|f| (f.class, f.event_id.as_str())).collect();
        assert_eq!(broken, [(Class::ContentMismatch, "e")]);
        marks.note_one("e".to_owned(), Glance::of(&row, Mark::Verified, ""));
        assert_eq!(marks.broken().count(), 0);
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

    #[test]
    fn a_mark_lapses_with_the_columns_and_where_no_version_tells() {
        let state = |digest: &str| serde_json::from_str(&format!(r#"{{"16400": "{digest}"}}"#)).unwrap();
        let (dated, undated) = (event_row("e", 0), EventRow { xmin: 2, ..event_row("f", 0) });
        let detected = crate::console::app::fixtures::glances(&[], Mark::Verified).detected;
        let seen = |row: &EventRow| (row.event_id.clone(), Glance::of(row, Mark::Verified, ""));
        let mut marks = Marks::default();
        marks.note(detected.clone(), state("a"), vec![seen(&dated), seen(&undated)]);
        assert_eq!([marks.mark(&dated), marks.mark(&undated)], [Mark::Verified, Mark::Verified]);
        marks.forget_undated();
        assert_eq!([marks.mark(&dated), marks.mark(&undated)], [Mark::Verified, Mark::Unchecked]);
        marks.note(detected.clone(), state("a"), vec![seen(&undated)]);
        assert_eq!(marks.mark(&dated), Mark::Verified);
        marks.note(detected, state("b"), vec![seen(&undated)]);
        assert_eq!([marks.mark(&dated), marks.mark(&undated)], [Mark::Unchecked, Mark::Verified]);
    }
}
