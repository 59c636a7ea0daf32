//! Whether a stored hash is the hash of the stored row.
//!
//! First the row as PostgreSQL gives it back. Only when that does not fit: the other spellings of the same values that
//! PostgreSQL may have hidden (`ambiguity`), in order of likelihood and within a budget. A spelling that reproduces the
//! hash is proof, because all of them are equal values. Only when none fits: what the row is consistent with (`triage`).
//!
//! A trail of which every row mismatches must not take much longer than a good one. So four things are bounded, and what
//! is left out makes no mismatch:
//!
//! - Spellings decide whether a row is a mismatch, and there are hundreds. Most of them are of its time, which stands last
//!   in the text: what is before it is hashed once ([`Stem`]).
//! - Each row that is read, whether it fits or not, earns a share of such a search ([`EARNED`]). Once more has been spent in
//!   vain than earned, a row that does not fit is only tried in what fitted a row before, or explained one cheaply, and is
//!   undecided when that is in vain, too: so it is in a trail of which more than about one row in twenty fits nothing and
//!   is explained by nothing. By itself each is decided.
//! - Explanations only accompany a mismatch. After [`UNEXPLAINED`] rows of one judge for which none was found, only those
//!   are looked for that cost next to nothing or explained a row before; the others have the general ones then.
//! - As long as the scheme is only a guess ([`Judge::of_a_guess`]), there may be nothing to find: after [`FRUITLESS`] rows
//!   without any that fits, the rest is [`NO_SCHEME`], undecided. A row that does fit ends that, and so does one that is
//!   proven to be an edit of one that did: whoever reads must then judge the undecided ones once more, by a known scheme.

use super::judgement::{Judgement, Mismatch, Row};
use super::links::{Hash, parse_hash};
use super::scheme::{Spelling, Stem, append_text, put_time};
use super::search::{Parts, Recipe, Search};
use super::{Canonicaliser, Limits, Scheme, to_hex, triage};
use crate::domain::ColumnError;
use sha2::{Digest as _, Sha256};
use std::fmt;
use std::sync::Arc;

/// Bytes hashed by one [`Judge`] in search of other spellings and explanations: some ten seconds.
const RUN_BUDGET: u64 = 8 << 30;
/// Bytes that SHA-256 takes at once: what another time of the same text costs at least.
const BLOCK: u64 = 64;
/// Bytes that may be hashed in search of other spellings and explanations before any are earned: for some thousand rows.
const ADVANCE: i64 = 32 << 20;
/// Such bytes that each row earns: as long as it takes to read and verify a row.
const EARNED: i64 = 1 << 10;
/// Rows that fit nothing, after which a guess is given up.
const FRUITLESS: u32 = 256;
/// Rows that nothing explains, after which less is looked for: an attempt on all explanations takes milliseconds.
const UNEXPLAINED: u32 = 64;

/// Why nothing can be said about the rows of a trail of which no hash fits.
pub const NO_SCHEME: &str = "the scheme is not known: of no event does the hash fit a scheme of this program";

/// Why a row is undecided for which nothing was left.
const OUT_OF_BUDGET: &str =
    "the limit for trying other spellings was reached before this row; verify it with --event";

/// Judges rows under one scheme; keeps buffers, budget, and the spellings that helped before.
#[derive(Debug)]
pub struct Judge {
    pub(super) scheme: Scheme,
    pub(super) json: Canonicaliser,
    text: Vec<u8>,
    pub(super) helped: Vec<Recipe>,
    pub(super) helpful_classes: Vec<u64>,
    pub(super) budget: u64,
    /// Bytes earned and not spent yet; the last search may have spent more than there were.
    credit: i64,
    stop: Stop,
    /// The scheme is a guess: rows for which other spellings are still searched for before one fits.
    guess: Option<u32>,
    /// Rows without an exact explanation.
    unexplained: u32,
    /// What explained a row before.
    explained: Vec<triage::Kind>,
    /// A row fitted another scheme before.
    mixed: bool,
}

/// Asked before each attempt, and once for all times of one text.
#[derive(Clone, Default)]
struct Stop(Option<Arc<dyn Fn() -> bool + Send + Sync>>);

impl fmt::Debug for Stop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Stop({})", self.0.is_some())
    }
}

impl Judge {
    /// For rows of this scheme.
    pub fn new(scheme: Scheme) -> Self {
        Self {
            scheme,
            json: Canonicaliser::new(Limits::READ),
            text: Vec::with_capacity(4096),
            helped: Vec::new(),
            helpful_classes: Vec::new(),
            budget: RUN_BUDGET,
            credit: ADVANCE,
            stop: Stop::default(),
            guess: None,
            unexplained: 0,
            explained: Vec::new(),
            mixed: false,
        }
    }

    /// As it is, for a trail of which no row is known yet that fits the scheme.
    #[must_use]
    pub fn of_a_guess(self) -> Self {
        Self { guess: Some(FRUITLESS), ..self }
    }

    /// As it is, but once `stop` says so it tries no more: the rows then are undecided. Explaining one row may take
    /// seconds.
    #[must_use]
    pub fn until(mut self, stop: impl Fn() -> bool + Send + Sync + 'static) -> Self {
        self.stop = Stop(Some(Arc::new(stop)));
        self
    }

    /// As [`Self::new`], with a thousandth of the budget: for what is looked at in passing.
    pub fn in_passing(scheme: Scheme) -> Self {
        Self::within(scheme, RUN_BUDGET >> 10)
    }

    /// As [`Self::new`], hashing at most about so many bytes in search of other spellings.
    pub fn within(scheme: Scheme, budget: u64) -> Self {
        Self { budget, ..Self::new(scheme) }
    }

    /// The scheme.
    pub fn scheme(&self) -> Scheme {
        self.scheme
    }

    /// The text that the scheme hashes for a row, as PostgreSQL gives it back. It is ASCII.
    ///
    /// # Errors
    /// When the scheme cannot write the row; the error names the column.
    pub fn preimage(&mut self, row: &Row<'_>) -> Result<String, ColumnError> {
        self.write(row)?;
        Ok(String::from_utf8_lossy(&self.text).into_owned())
    }

    /// The text that was hashed: in the spelling that reproduces the stored hash, where one does, else as PostgreSQL gives
    /// the row back.
    ///
    /// # Errors
    /// As [`Self::preimage`].
    pub fn hashed(&mut self, row: &Row<'_>) -> Result<String, ColumnError> {
        match self.judge(row) {
            // It is the last one that was written.
            Judgement::Verified | Judgement::VerifiedAlternative(_) => {
                Ok(String::from_utf8_lossy(&self.text).into_owned())
            }
            Judgement::Undecided(_) | Judgement::Mismatch(_) => self.preimage(row),
        }
    }

    /// The hash of a row as PostgreSQL gives it back.
    ///
    /// # Errors
    /// As [`Self::preimage`].
    pub fn hash(&mut self, row: &Row<'_>) -> Result<Hash, ColumnError> {
        self.write(row)?;
        Ok(Sha256::digest(&self.text).into())
    }

    /// Whether the stored hash is that of the row as it came. False decides nothing: [`Self::judge`] does.
    pub fn fits_as_it_came(&mut self, row: &Row<'_, [u8]>) -> bool {
        let fits = self.write(row).is_ok() && parse_hash(row.hash) == Some(Sha256::digest(&self.text).into());
        if fits {
            self.guess = None;
            self.credit = self.credit.saturating_add(EARNED);
        }
        fits
    }

    /// Judges one row.
    pub fn judge(&mut self, row: &Row<'_>) -> Judgement {
        self.credit = self.credit.saturating_add(EARNED);
        let computed = match self.hash(row) {
            Ok(hash) => hash,
            Err(e) => {
                return Judgement::Mismatch(Mismatch {
                    computed: None,
                    detail: format!("{} cannot write this row: {e}", self.scheme),
                    consistent_with: vec!["a writer that uses another scheme".to_owned()],
                    proves: None,
                });
            }
        };
        let stored = parse_hash(row.hash);
        if stored == Some(computed) {
            self.guess = None;
            return Judgement::Verified;
        }
        let mut mismatch = Mismatch {
            computed: Some(to_hex(&computed)),
            detail: "the stored hash is not the hash of the stored row".to_owned(),
            consistent_with: Vec::new(),
            proves: None,
        };
        let Some(stored) = stored else {
            "the stored hash is not 64 lower-case hexadecimal digits".clone_into(&mut mismatch.detail);
            return Judgement::Mismatch(mismatch);
        };
        if self.guess == Some(0) {
            return match triage::under_another_scheme(self, row, &stored) {
                Some((text, proves)) => Judgement::Mismatch(Mismatch {
                    consistent_with: vec![text],
                    proves: Some(proves),
                    ..mismatch
                }),
                None => Judgement::Undecided(NO_SCHEME.to_owned()),
            };
        }
        if self.credit <= 0 {
            return self.judge_by_earlier_rows(row, &stored, mismatch);
        }
        let before = self.budget;
        let judgement = self.judge_by_all(row, &stored, mismatch);
        if matches!(judgement, Judgement::Undecided(_) | Judgement::Mismatch(Mismatch { proves: None, .. })) {
            let spent = i64::try_from(before - self.budget).unwrap_or(i64::MAX);
            self.credit = self.credit.saturating_sub(spent);
        }
        judgement
    }

    /// What a row that does not fit as it came comes to, when everything may be tried.
    fn judge_by_all(&mut self, row: &Row<'_>, stored: &Hash, mut mismatch: Mismatch) -> Judgement {
        let parts = self.parts(row);
        if let Some(recipe) = self.search_helped(row, stored, &parts) {
            return self.spelled_otherwise(recipe, &parts, row);
        }
        // What explained rows before is likelier than most spellings; either is proof, so the order changes no class.
        if let Some((text, proves)) = triage::explain_as_before(self, row, stored, |_| true) {
            self.guess = None;
            return Judgement::Mismatch(Mismatch {
                consistent_with: vec![text],
                proves: Some(proves),
                ..mismatch
            });
        }
        match self.search(row, stored, &parts) {
            Search::Found(recipe) => self.spelled_otherwise(recipe, &parts, row),
            Search::Exhausted => {
                (mismatch.consistent_with, mismatch.proves) = triage::explain(self, row, stored);
                self.mixed |= mismatch.proves.is_some_and(|scheme| scheme != self.scheme);
                self.guess = match mismatch.proves {
                    Some(scheme) if scheme == self.scheme => None,
                    _ => self.guess.map(|rows| rows.saturating_sub(1)),
                };
                Judgement::Mismatch(mismatch)
            }
            Search::GaveUp => Judgement::Undecided(format!(
                "{} numbers of this row have two spellings; not all combinations could be tried",
                parts.ambiguous
            )),
            Search::OutOfBudget => Judgement::Undecided(OUT_OF_BUDGET.to_owned()),
        }
    }

    /// The same when only what fitted or explained a row before is tried.
    fn judge_by_earlier_rows(&mut self, row: &Row<'_>, stored: &Hash, mismatch: Mismatch) -> Judgement {
        if !self.helped.is_empty() {
            let parts = self.parts(row);
            if let Some(recipe) = self.search_helped(row, stored, &parts) {
                return self.spelled_otherwise(recipe, &parts, row);
            }
        }
        let other = if self.mixed { triage::under_another_scheme(self, row, stored) } else { None };
        match other.or_else(|| triage::explain_as_before(self, row, stored, triage::Kind::is_cheap)) {
            Some((text, proves)) => Judgement::Mismatch(Mismatch {
                consistent_with: vec![text],
                proves: Some(proves),
                ..mismatch
            }),
            None => Judgement::Undecided(OUT_OF_BUDGET.to_owned()),
        }
    }

    fn spelled_otherwise(&mut self, recipe: Recipe, parts: &Parts, row: &Row<'_>) -> Judgement {
        self.guess = None;
        self.remember(recipe, parts);
        Judgement::VerifiedAlternative(recipe.describe(parts, row))
    }

    /// Whether the row, as it stands, has this hash under a scheme. Counts against the budget.
    pub(super) fn fits(&mut self, scheme: Scheme, row: &Row<'_>, stored: &Hash) -> bool {
        self.attempt_text(scheme, row, &Spelling::default())
            && Hash::from(Sha256::digest(&self.text)) == *stored
    }

    /// Writes the text in this spelling; false when it is not to be, or cannot be.
    fn attempt_text(&mut self, scheme: Scheme, row: &Row<'_>, spelling: &Spelling<'_>) -> bool {
        if self.stop.0.as_ref().is_some_and(|stop| stop()) {
            self.budget = 0;
            return false;
        }
        self.text.clear();
        let written =
            append_text(scheme, &row.fields, row.previous_hash, spelling, &mut self.json, &mut self.text);
        self.budget = self.budget.saturating_sub(self.text.len() as u64);
        written.is_ok()
    }

    /// What is before the time in the text of a row in this spelling; `None` as [`Self::attempt_text`] is false.
    pub(super) fn stem(&mut self, row: &Row<'_>, spelling: &Spelling<'_>) -> Option<Stem> {
        self.attempt_text(self.scheme, row, spelling).then(|| Stem::of(&self.text))
    }

    /// Whether the row has this hash with another time; `stem` is of the text that was written last, which then has that
    /// time. Counts against the budget.
    pub(super) fn fits_with_time(&mut self, stem: &Stem, time: &str, stored: &Hash) -> bool {
        self.budget = self.budget.saturating_sub(BLOCK);
        let fits = stem.with_time(time) == *stored;
        if fits {
            put_time(&mut self.text, time);
        }
        fits
    }

    /// Whether explanations may still be searched for.
    pub(super) fn may_search(&self) -> bool {
        self.budget > 0
    }

    /// Whether it is worth while to look for this kind of explanation.
    pub(super) fn may_explain(&self, kind: triage::Kind) -> bool {
        self.may_search() && (self.unexplained < UNEXPLAINED || kind.is_cheap() || self.has_explained(kind))
    }

    /// Whether this kind explained a row before.
    pub(super) fn has_explained(&self, kind: triage::Kind) -> bool {
        self.explained.contains(&kind)
    }

    /// What has explained a row, or that nothing has.
    pub(super) fn note_explained(&mut self, kind: Option<triage::Kind>) {
        match kind {
            Some(kind) if !self.explained.contains(&kind) => self.explained.push(kind),
            Some(_) => {}
            None => self.unexplained = self.unexplained.saturating_add(1),
        }
    }

    fn write<T: AsRef<[u8]> + ?Sized>(&mut self, row: &Row<'_, T>) -> Result<(), ColumnError> {
        self.text.clear();
        let plain = Spelling::default();
        append_text(self.scheme, &row.fields, row.previous_hash, &plain, &mut self.json, &mut self.text)
            .map(drop)
    }
}

impl fmt::Display for Scheme {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Which of the 21 columns besides `hash` a scheme protects: each is changed in a sample event, and it is seen whether
/// the hash notices. The first list is protected, the second is not.
pub fn protected_columns(scheme: Scheme) -> (Vec<&'static str>, Vec<&'static str>) {
    let sample = Row { fields: triage::sample(), hash: "", previous_hash: "" };
    let (mut protected, mut unprotected) = (Vec::new(), Vec::new());
    for (column, noticed) in changes_noticed(&mut Judge::new(scheme), &sample) {
        if noticed { &mut protected } else { &mut unprotected }.push(column);
    }
    (protected, unprotected)
}

/// Each of the 21 columns besides `hash`, changed in this row, and whether the hash notices.
pub fn changes_noticed(judge: &mut Judge, row: &Row<'_>) -> Vec<(&'static str, bool)> {
    let before = judge.hash(row).ok();
    let changed = triage::each_column_changed(row).into_iter();
    changed.map(|(column, row)| (column, judge.hash(&row).ok() != before)).collect()
}

#[cfg(test)]
mod tests {
    use super::super::Fields;
    use super::*;
    use crate::chain::{Columns, Content};
    use crate::domain::Timestamp;
    use proptest::prelude::*;

    /// The row's text with parts replaced, hashed: what some other writer would have stored.
    fn written(row: &Row<'_>, replaced: &[(&str, &str)]) -> String {
        let mut text = Judge::new(Scheme::V1).preimage(row).unwrap();
        for (from, to) in replaced {
            assert!(text.contains(from), "{from} is not in {text}");
            text = text.replace(from, to);
        }
        to_hex(&Sha256::digest(text).into())
    }

    fn row<'a>(fields: &Fields<'a>, hash: &'a str) -> Row<'a> {
        Row { fields: *fields, hash, previous_hash: "" }
    }

    fn judged(fields: &Fields<'_>, replaced: &[(&str, &str)]) -> Judgement {
        let hash = written(&row(fields, ""), replaced);
        Judge::new(Scheme::V1).judge(&row(fields, &hash))
    }

    fn reading(judgement: &Judgement) -> &str {
        match judgement {
            Judgement::VerifiedAlternative(reading) => reading,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn what_is_known_of_content_is_written_as_it_is_named() {
        for content in Content::ALL {
            assert_eq!(serde_json::to_value(content).unwrap(), content.name());
        }
    }

    #[test]
    fn other_spellings_of_equal_values_are_proof() {
        let fields = Fields { actor_ip: Some("2001:db8::1:0:0:1"), ..triage::sample() };
        assert_eq!(judged(&fields, &[]), Judgement::Verified);
        let by_address = judged(&fields, &[("2001:db8::1:0:0:1", "2001:db8:0:0:1:0:0:1")]);
        assert_eq!(reading(&by_address), "the address was spelled 2001:db8:0:0:1:0:0:1");
        let by_both = judged(
            &fields,
            &[
                ("2001:db8::1:0:0:1", "2001:DB8::1:0:0:1"),
                ("T08:01:01.147504+00:00", "T10:01:01.147504+02:00"),
            ],
        );
        assert_eq!(
            reading(&by_both),
            "the address was spelled 2001:DB8::1:0:0:1; the time was written 2026-01-05T10:01:01.147504+02:00"
        );
    }

    #[test]
    fn ambiguous_numbers_are_tried_in_all_combinations() {
        let state =
            r#"{"9": {"10": 1, "9": 2}, "a": 10000000000000000, "b": [0.0, 0.0], "c": 10000000000000000}"#;
        let fields = Fields { new_state: Some(state), ..triage::sample() };
        let float = (r#""a": 10000000000000000"#, r#""a": 1e+16"#);
        let judgement = judged(&fields, &[float, ("[0.0, 0.0]", "[0.0, -0.0]")]);
        assert!(reading(&judgement).starts_with("integers had been floats"));
        let judgement = judged(&fields, &[(r#"{"10": 1, "9": 2}"#, r#"{"9": 2, "10": 1}"#), float]);
        assert!(reading(&judgement).starts_with("keys that are numbers"));
    }

    #[test]
    fn an_edit_is_a_mismatch_even_with_ambiguous_numbers() {
        let fields = Fields { new_state: Some(r#"{"a": 10000000000000000}"#), ..triage::sample() };
        let judgement = judged(&fields, &[(r#""a": 10000000000000000"#, r#""a": 10000000000000001"#)]);
        assert!(matches!(judgement, Judgement::Mismatch(_)), "{judgement:?}");
    }

    #[test]
    fn too_many_ambiguous_numbers_are_undecided_and_whole_columns_of_them_are_not() {
        let many = |spelled: &dyn Fn(usize) -> &'static str| {
            let items: Vec<String> = (0..12).map(|i| format!("\"k{i:02}\": {}", spelled(i))).collect();
            format!("{{{}}}", items.join(", "))
        };
        let state = many(&|_| "10000000000000000");
        let fields = Fields { new_state: Some(&state), ..triage::sample() };
        let mixed = many(&|i| if i % 2 == 0 { "1e+16" } else { "10000000000000000" });
        assert!(matches!(judged(&fields, &[(&state, &mixed)]), Judgement::Undecided(_)));
        for floats in [many(&|_| "1e+16"), many(&|i| if i == 3 { "1e+16" } else { "10000000000000000" })] {
            assert!(reading(&judged(&fields, &[(&state, &floats)])).starts_with("integers had been"));
        }
    }

    #[test]
    fn what_helped_once_is_tried_first_and_the_budget_ends() {
        let mut judge = Judge::new(Scheme::V1);
        let hash =
            written(&row(&triage::sample(), ""), &[("T08:01:01.147504+00:00", "T13:31:01.147504+05:30")]);
        let elsewhere = row(&triage::sample(), &hash);
        assert!(matches!(judge.judge(&elsewhere), Judgement::VerifiedAlternative(_)));
        let before = judge.budget;
        assert!(matches!(judge.judge(&elsewhere), Judgement::VerifiedAlternative(_)));
        assert!(before - judge.budget < 1000, "one attempt, not a hundred");
        judge.budget = 0;
        assert!(matches!(judge.judge(&elsewhere), Judgement::Undecided(_)));
        let hash = written(&elsewhere, &[]);
        assert_eq!(judge.judge(&row(&triage::sample(), &hash)), Judgement::Verified);
    }

    /// Texts and times hashed for each of `rows` rows that nothing fits, in blocks, and the last judgement.
    fn fruitless(judge: &mut Judge, rows: u32) -> (Vec<u64>, Judgement) {
        let hash = "0".repeat(64);
        let mut spent = Vec::new();
        let mut last = Judgement::Verified;
        for _ in 0..rows {
            let before = judge.budget;
            last = judge.judge(&row(&triage::sample(), &hash));
            spent.push((before - judge.budget) / BLOCK);
        }
        (spent, last)
    }

    #[test]
    fn what_many_rows_are_not_explained_by_is_not_looked_for_any_more_and_their_class_stays() {
        let mut judge = Judge::new(Scheme::V1);
        let (spent, last) = fruitless(&mut judge, UNEXPLAINED + 1);
        let (full, short) = (spent[0], spent[UNEXPLAINED as usize]);
        assert!(spent[..UNEXPLAINED as usize].iter().all(|blocks| *blocks == full), "{spent:?}");
        assert!(short * 4 < full, "{short} of {full} blocks");
        assert!(matches!(last, Judgement::Mismatch(Mismatch { proves: None, .. })), "{last:?}");
        // Other spellings are still proof.
        let hash =
            written(&row(&triage::sample(), ""), &[("T08:01:01.147504+00:00", "T13:31:01.147504+05:30")]);
        let judgement = judge.judge(&row(&triage::sample(), &hash));
        assert!(matches!(judgement, Judgement::VerifiedAlternative(_)), "{judgement:?}");
        let text = judge.hashed(&row(&triage::sample(), &hash)).unwrap();
        assert_eq!(to_hex(&Sha256::digest(text).into()), hash, "the text is the one that was hashed");
        // What explained a row before the limit explains one behind it.
        let edits = [("\"action\": \"create\"", "\"action\": \"export\"")];
        let hash = written(&row(&triage::sample(), ""), &edits);
        let edited = row(&triage::sample(), &hash);
        let proves = |judgement: Judgement| match judgement {
            Judgement::Mismatch(mismatch) => mismatch.proves,
            other => panic!("{other:?}"),
        };
        assert_eq!(proves(judge.judge(&edited)), None);
        let mut judge = Judge::new(Scheme::V1);
        assert_eq!(proves(judge.judge(&edited)), Some(Scheme::V1));
        fruitless(&mut judge, UNEXPLAINED);
        assert_eq!(proves(judge.judge(&edited)), Some(Scheme::V1));
    }

    #[test]
    fn many_rows_that_nothing_fits_cost_what_they_earn_and_the_rest_is_undecided() {
        let hash = "0".repeat(64);
        let odd = row(&triage::sample(), &hash);
        let hash = written(&row(&triage::sample(), ""), &[]);
        let good = row(&triage::sample(), &hash);
        let mut judge = Judge::new(Scheme::V1);
        let full = fruitless(&mut judge, UNEXPLAINED + 1).0.pop().unwrap() * BLOCK;
        let mut rows = 0;
        while matches!(judge.judge(&odd), Judgement::Mismatch(_)) {
            rows += 1;
        }
        assert!(rows > 500, "{rows} rows before the first one that is undecided");
        // From then on a few of them are decided, at the price of the others.
        let before = judge.budget;
        let decided = (0..1000).filter(|_| matches!(judge.judge(&odd), Judgement::Mismatch(_))).count();
        assert!((20..100).contains(&decided), "{decided}");
        let spent = before - judge.budget;
        assert!(spent <= 1000 * EARNED.unsigned_abs() + full, "{spent}");
        // By itself the same row is decided.
        assert!(matches!(Judge::new(Scheme::V1).judge(&odd), Judgement::Mismatch(_)));
        // Rows that fit earn, too.
        while judge.credit > 0 {
            judge.judge(&odd);
        }
        assert!(matches!(judge.judge(&odd), Judgement::Undecided(_)));
        (0..1000).for_each(|_| assert_eq!(judge.judge(&good), Judgement::Verified));
        let decided = (0..40).filter(|_| matches!(judge.judge(&odd), Judgement::Mismatch(_))).count();
        assert_eq!(decided, 40);
        // What is explained costs nothing of it.
        let hash = written(&row(&triage::sample(), ""), &[(".147504+00:00", ".147504003+00:00")]);
        let explained = row(&triage::sample(), &hash);
        let mut judge = Judge::new(Scheme::V1);
        let before = judge.credit;
        for _ in 0..100 {
            let judgement = judge.judge(&explained);
            assert!(
                matches!(judgement, Judgement::Mismatch(Mismatch { proves: Some(_), .. })),
                "{judgement:?}"
            );
        }
        assert_eq!(judge.credit, before + 100 * EARNED);
    }

    #[test]
    fn what_fitted_before_is_found_without_anything_earned() {
        let sample = Fields { actor_ip: Some("192.0.2.1"), ..triage::sample() };
        let linked = Row { previous_hash: "aa", ..row(&sample, "") };
        let zoned = written(&linked, &[("T08:01:01.147504+00:00", "T13:31:01.147504+05:30")]);
        let unlinked = written(&row(&sample, ""), &[]);
        let service = to_hex(&Judge::new(Scheme::Service).hash(&linked).unwrap());
        let classes = |judge: &mut Judge| {
            [&zoned, &unlinked, &service].map(|hash| match judge.judge(&Row { hash, ..linked }) {
                Judgement::VerifiedAlternative(_) => "alternative".to_owned(),
                Judgement::Mismatch(Mismatch { proves, .. }) => format!("{proves:?}"),
                other => format!("{other:?}"),
            })
        };
        let mut judge = Judge { credit: i64::MIN, ..Judge::new(Scheme::V1) };
        assert!(classes(&mut judge).iter().all(|class| class.starts_with("Undecided")));
        let mut judge = Judge::new(Scheme::V1);
        let found = classes(&mut judge);
        assert_eq!(found, ["alternative", "Some(V1)", "Some(Service)"]);
        judge.credit = i64::MIN;
        assert_eq!(classes(&mut judge), found);
    }

    #[test]
    fn under_a_guess_rows_are_given_up_until_one_fits() {
        let mut judge = Judge::new(Scheme::V1).of_a_guess();
        let (_, last) = fruitless(&mut judge, FRUITLESS);
        assert!(matches!(last, Judgement::Mismatch(_)), "{last:?}");
        let (spent, last) = fruitless(&mut judge, 1);
        assert_eq!(last, Judgement::Undecided(NO_SCHEME.to_owned()));
        assert!(spent[0] < 50, "one attempt for each other scheme, not {} blocks", spent[0]);
        // Of another scheme it is told all the same.
        let text = Judge::new(Scheme::Service).preimage(&row(&triage::sample(), "")).unwrap();
        let hash = to_hex(&Sha256::digest(text).into());
        let judgement = judge.judge(&row(&triage::sample(), &hash));
        let Judgement::Mismatch(Mismatch { proves, .. }) = judgement else { panic!("{judgement:?}") };
        assert_eq!(proves, Some(Scheme::Service));
        assert!(
            matches!(fruitless(&mut judge, 1).1, Judgement::Undecided(_)),
            "that says nothing of this scheme"
        );
        let hash = written(&row(&triage::sample(), ""), &[]);
        assert_eq!(judge.judge(&row(&triage::sample(), &hash)), Judgement::Verified);
        assert!(matches!(fruitless(&mut judge, 1).1, Judgement::Mismatch(_)));
    }

    #[test]
    fn nothing_is_tried_any_more_once_it_is_to_stop() {
        use std::sync::atomic::{AtomicUsize, Ordering};
        let asked = |stop_after: usize| {
            let count = Arc::new(AtomicUsize::new(0));
            let counted = count.clone();
            let stop = move || counted.fetch_add(1, Ordering::Relaxed) >= stop_after;
            let mut judge = Judge::new(Scheme::V1).until(stop);
            let judgement = judge.judge(&row(&triage::sample(), &"0".repeat(64)));
            (count.load(Ordering::Relaxed), judgement)
        };
        let (all, judgement) = asked(usize::MAX);
        assert!(matches!(judgement, Judgement::Mismatch(_)) && all > 20, "{all} {judgement:?}");
        let (few, judgement) = asked(1);
        assert!(matches!(judgement, Judgement::Undecided(_)) && few == 2, "{few} {judgement:?}");
        // While the mismatch is explained.
        assert_eq!(asked(all - 5).0, all - 4);
    }

    #[test]
    fn rows_that_the_scheme_cannot_write_and_malformed_hashes_are_mismatches() {
        let fields = Fields { timestamp: Timestamp::INFINITY, ..triage::sample() };
        let judgement = Judge::new(Scheme::V1).judge(&row(&fields, &"0".repeat(64)));
        assert!(matches!(judgement, Judgement::Mismatch(Mismatch { computed: None, .. })));
        let judgement = Judge::new(Scheme::V1).judge(&row(&triage::sample(), "XYZ"));
        let Judgement::Mismatch(mismatch) = judgement else { panic!("{judgement:?}") };
        assert!(mismatch.detail.contains("64 lower-case"));
    }

    #[test]
    fn each_scheme_says_what_it_does_not_protect() {
        let (protected, unprotected) = protected_columns(Scheme::V1);
        assert_eq!((protected.len(), unprotected.len()), (21, 0));
        let (protected, unprotected) = protected_columns(Scheme::Service);
        assert_eq!(protected.len(), 18);
        assert_eq!(unprotected, ["actor_ip", "actor_user_agent", "previous_hash"]);
    }

    fn raw<'a>(f: &Fields<'a>) -> Columns<'a, [u8]> {
        let optional = |text: Option<&'a str>| text.map(str::as_bytes);
        Columns {
            event_id: f.event_id.as_bytes(),
            timestamp: f.timestamp,
            organization_id: f.organization_id.as_bytes(),
            project_id: optional(f.project_id),
            actor_type: f.actor_type.as_bytes(),
            actor_id: f.actor_id.as_bytes(),
            actor_email: optional(f.actor_email),
            actor_ip: optional(f.actor_ip),
            actor_user_agent: optional(f.actor_user_agent),
            event_category: f.event_category.as_bytes(),
            event_type: f.event_type.as_bytes(),
            event_severity: f.event_severity.as_bytes(),
            resource_type: f.resource_type.as_bytes(),
            resource_id: f.resource_id.as_bytes(),
            resource_name: optional(f.resource_name),
            action: f.action.as_bytes(),
            previous_state: optional(f.previous_state),
            new_state: optional(f.new_state),
            request_id: f.request_id.as_bytes(),
            session_id: optional(f.session_id),
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn no_changed_column_is_ever_verified(column in 0usize..21, salt in "[a-z]{1,8}") {
            let honest = Row { fields: Fields { session_id: Some(&salt), ..triage::sample() }, hash: "", previous_hash: "" };
            let hash = written(&honest, &[]);
            let changed = triage::each_column_changed(&honest);
            let (name, changed) = &changed[column];
            let judgement = Judge::new(Scheme::V1).judge(&Row { hash: &hash, ..*changed });
            prop_assert!(matches!(judgement, Judgement::Mismatch(_)), "{}: {:?}", name, judgement);
        }

        #[test]
        fn a_row_as_it_came_fits_as_the_row_of_its_texts_does(mut name in prop::collection::vec(any::<u8>(), 0..12), honest in any::<bool>()) {
            if honest {
                name = String::from_utf8_lossy(&name).into_owned().into_bytes();
            }
            let text = String::from_utf8_lossy(&name);
            let texts = Row { fields: Fields { resource_name: Some(&text), ..triage::sample() }, hash: "", previous_hash: "" };
            let hash = written(&texts, &[]);
            let sample = raw(&triage::sample());
            let fields = Columns { resource_name: Some(name.as_slice()), ..sample };
            let came = Row { fields, hash: hash.as_bytes(), previous_hash: b"".as_slice() };
            let is_text = std::str::from_utf8(&name).is_ok();
            prop_assert_eq!(Judge::new(Scheme::V1).fits_as_it_came(&came), is_text);
            let refused = fields.texts().err().map(|e| e.column);
            prop_assert_eq!(refused, (!is_text).then_some("resource_name"));
        }
    }
}
