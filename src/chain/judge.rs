//! Whether a stored hash is the hash of the stored row.
//!
//! First the row as PostgreSQL gives it back. Only when that does not fit: the other spellings of the same values that
//! PostgreSQL may have hidden (`ambiguity`), in order of likelihood and within a budget. A spelling that reproduces the
//! hash is proof, because all of them are equal values. Only when none fits: what the row is consistent with (`triage`).

use super::ambiguity::{self, Number, Zone};
use super::judgement::{Judgement, Mismatch, Row};
use super::links::{Hash, parse_hash};
use super::scheme::{Spelling, append_text};
use super::{Canonicaliser, Limits, Scheme, to_hex, triage};
use crate::domain::ColumnError;
use sha2::{Digest as _, Sha256};
use std::fmt;
use std::sync::Arc;

/// Ambiguous numbers of one event of which all combinations are tried.
const ALL_COMBINATIONS: usize = 8;
/// JSON paths of one event that are tried one by one.
const CLASSES: usize = 64;
/// JSON paths that are remembered because they helped before.
const REMEMBERED: usize = 256;
/// Bytes hashed for one event in search of another spelling, beyond the first few hundred attempts.
const EVENT_BUDGET: u64 = 128 << 20;
/// Bytes hashed by one [`Judge`] in search of other spellings and explanations: some ten seconds.
const RUN_BUDGET: u64 = 8 << 30;

/// Judges rows under one scheme; keeps buffers, budget, and the spellings that helped before.
#[derive(Debug)]
pub struct Judge {
    scheme: Scheme,
    json: Canonicaliser,
    text: Vec<u8>,
    helped: Vec<Recipe>,
    helpful_classes: Vec<u64>,
    budget: u64,
    stop: Stop,
}

/// Asked before each attempt.
#[derive(Clone, Default)]
struct Stop(Option<Arc<dyn Fn() -> bool + Send + Sync>>);

impl fmt::Debug for Stop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Stop({})", self.0.is_some())
    }
}

/// Which spelling of each part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Recipe {
    numeric_keys: bool,
    numbers: Choice,
    /// Place in the list of styles.
    address: Option<usize>,
    zone: Option<Zone>,
}

/// The row as PostgreSQL gives it back.
const PLAIN: Recipe = Recipe { numeric_keys: false, numbers: Choice::None, address: None, zone: None };

/// Which of the ambiguous numbers are spelled the other way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Choice {
    None,
    All,
    Floats,
    Zeros,
    Remembered,
    Class(u64),
    Mask(u32),
}

/// The parts of one row that have several spellings.
struct Parts {
    /// Canonical states in code-point and, where that differs, in numeric key order: previous and new each.
    states: Vec<[State; 2]>,
    addresses: Vec<String>,
    /// How many numbers are ambiguous.
    ambiguous: usize,
}

struct State {
    text: Vec<u8>,
    numbers: Vec<Number>,
}

impl State {
    fn new(text: Vec<u8>) -> Self {
        Self { numbers: ambiguity::numbers(&text), text }
    }
}

enum Search {
    Found(Recipe),
    /// Nothing fits.
    Exhausted,
    /// Too many combinations.
    GaveUp,
    /// The run's budget was used up by earlier rows.
    OutOfBudget,
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
            stop: Stop::default(),
        }
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
        self.write(row).is_ok() && parse_hash(row.hash) == Some(Sha256::digest(&self.text).into())
    }

    /// Judges one row.
    pub fn judge(&mut self, row: &Row<'_>) -> Judgement {
        let computed = match self.hash(row) {
            Ok(hash) => hash,
            Err(e) => {
                return Judgement::Mismatch(Mismatch {
                    computed: None,
                    detail: format!("{} cannot write this row: {e}", self.scheme),
                    consistent_with: vec!["a writer that uses another scheme".to_owned()],
                });
            }
        };
        let stored = parse_hash(row.hash);
        if stored == Some(computed) {
            return Judgement::Verified;
        }
        let mut mismatch = Mismatch {
            computed: Some(to_hex(&computed)),
            detail: "the stored hash is not the hash of the stored row".to_owned(),
            consistent_with: Vec::new(),
        };
        let Some(stored) = stored else {
            "the stored hash is not 64 lower-case hexadecimal digits".clone_into(&mut mismatch.detail);
            return Judgement::Mismatch(mismatch);
        };
        let parts = self.parts(row);
        match self.search(row, &stored, &parts) {
            Search::Found(recipe) => {
                self.remember(recipe, &parts);
                Judgement::VerifiedAlternative(recipe.describe(&parts, row))
            }
            Search::Exhausted => {
                mismatch.consistent_with = triage::explain(self, row, &stored);
                Judgement::Mismatch(mismatch)
            }
            Search::GaveUp => Judgement::Undecided(format!(
                "{} numbers of this row have two spellings; not all combinations could be tried",
                parts.ambiguous
            )),
            Search::OutOfBudget => Judgement::Undecided(
                "the limit for trying other spellings was reached before this row; verify it with --event"
                    .to_owned(),
            ),
        }
    }

    /// Whether the row, in this spelling and scheme, has this hash. Counts against the budget.
    pub(super) fn fits(
        &mut self,
        scheme: Scheme,
        row: &Row<'_>,
        spelling: &Spelling<'_>,
        stored: &Hash,
    ) -> bool {
        if self.stop.0.as_ref().is_some_and(|stop| stop()) {
            self.budget = 0;
            return false;
        }
        self.text.clear();
        let written =
            append_text(scheme, &row.fields, row.previous_hash, spelling, &mut self.json, &mut self.text);
        self.budget = self.budget.saturating_sub(self.text.len() as u64);
        written.is_ok() && Hash::from(Sha256::digest(&self.text)) == *stored
    }

    /// Whether explanations may still be searched for.
    pub(super) fn may_search(&self) -> bool {
        self.budget > 0
    }

    fn write<T: AsRef<[u8]> + ?Sized>(&mut self, row: &Row<'_, T>) -> Result<(), ColumnError> {
        self.text.clear();
        let plain = Spelling::default();
        append_text(self.scheme, &row.fields, row.previous_hash, &plain, &mut self.json, &mut self.text)
            .map(drop)
    }

    fn parts(&mut self, row: &Row<'_>) -> Parts {
        let texts = [row.fields.previous_state, row.fields.new_state].map(|state| {
            let mut text = Vec::new();
            // It cannot fail: the row could be written when it was hashed.
            let _ = state.map_or(Ok(()), |state| self.json.append(state.as_bytes(), &mut text));
            text
        });
        let [previous, new] = texts.each_ref().map(|text| ambiguity::numeric_key_order(text, 64 << 20));
        let mut states = Vec::new();
        if previous.is_some() || new.is_some() {
            let [p, n] = texts.clone();
            states.push([State::new(previous.unwrap_or(p)), State::new(new.unwrap_or(n))]);
        }
        states.insert(0, texts.map(State::new));
        let ambiguous = states.first().map_or(0, |pair| pair.iter().map(|state| state.numbers.len()).sum());
        let addresses = match row.fields.actor_ip {
            Some(address) if self.scheme == Scheme::V1 => ambiguity::addresses(address),
            _ => Vec::new(),
        };
        Parts { states, addresses, ambiguous }
    }

    /// Looks for the spelling that was hashed.
    fn search(&mut self, row: &Row<'_>, stored: &Hash, parts: &Parts) -> Search {
        if self.budget == 0 {
            return Search::OutOfBudget;
        }
        let addresses: Vec<Option<usize>> = (0..parts.addresses.len()).map(Some).collect();
        let zones: Vec<Option<Zone>> = ambiguity::zones().map(Some).collect();
        let few = parts.in_each_key_order(if parts.ambiguous == 0 {
            &[Choice::None]
        } else {
            &[Choice::None, Choice::Remembered, Choice::All, Choice::Floats, Choice::Zeros]
        });
        let helped = self.helped.clone();

        // What helped before, then one part at a time: at most some two hundred attempts.
        let single = helped
            .iter()
            .copied()
            .chain(few.iter().copied())
            .chain(addresses.iter().map(|address| Recipe { address: *address, ..PLAIN }))
            .chain(zones.iter().map(|zone| Recipe { zone: *zone, ..PLAIN }));
        for recipe in single {
            if self.budget == 0 {
                return Search::OutOfBudget;
            }
            if self.attempt(row, stored, parts, recipe) {
                return Search::Found(recipe);
            }
        }

        // Then all combinations of a few numbers and each path of many, also with the address and zone that helped
        // before; then two parts at a time.
        let numbers = parts.in_each_key_order(&parts.choices());
        let with_helped = helped
            .iter()
            .flat_map(|h| numbers.iter().map(|n| Recipe { address: h.address, zone: h.zone, ..*n }));
        let states = || few.iter().filter(|state| **state != PLAIN);
        let pairs = addresses
            .iter()
            .flat_map(|address| zones.iter().map(|zone| Recipe { address: *address, zone: *zone, ..PLAIN }))
            .chain(addresses.iter().flat_map(|address| states().map(|s| Recipe { address: *address, ..*s })))
            .chain(zones.iter().flat_map(|zone| states().map(|s| Recipe { zone: *zone, ..*s })));
        let floor = self.budget.saturating_sub(EVENT_BUDGET);
        for recipe in numbers.iter().copied().chain(with_helped).chain(pairs) {
            if self.budget == 0 {
                return Search::OutOfBudget;
            }
            if self.budget <= floor {
                return Search::GaveUp;
            }
            if self.attempt(row, stored, parts, recipe) {
                return Search::Found(recipe);
            }
        }
        if parts.ambiguous > ALL_COMBINATIONS { Search::GaveUp } else { Search::Exhausted }
    }

    fn attempt(&mut self, row: &Row<'_>, stored: &Hash, parts: &Parts, recipe: Recipe) -> bool {
        let Some(states) = parts.states.get(usize::from(recipe.numeric_keys)) else { return false };
        let mut before = 0;
        let remembered = &self.helpful_classes;
        let [previous_state, new_state] = states.each_ref().map(|state| {
            let first = before;
            before += state.numbers.len();
            ambiguity::respell(&state.text, &state.numbers, |i, number| match recipe.numbers {
                Choice::None => false,
                Choice::All => true,
                Choice::Floats => !number.zero,
                Choice::Zeros => number.zero,
                Choice::Remembered => remembered.contains(&number.class),
                Choice::Class(class) => number.class == class,
                Choice::Mask(mask) => mask >> (first + i) & 1 == 1,
            })
        });
        let address = recipe.address.map(|style| parts.addresses.get(style));
        let time = recipe.zone.map(|zone| zone.spell(row.fields.timestamp));
        // A style that helped another row may not exist for this one.
        if matches!(address, Some(None)) || matches!(time, Some(None)) {
            return false;
        }
        let spelling = Spelling {
            address: address.flatten().map(String::as_str),
            time: time.as_ref().and_then(Option::as_deref),
            new_state: row.fields.new_state.map(|_| new_state.as_slice()),
            previous_state: row.fields.previous_state.map(|_| previous_state.as_slice()),
        };
        self.fits(self.scheme, row, &spelling, stored)
    }

    /// What helped once will help again: whole tables are written with one offset, or with one column of floats.
    fn remember(&mut self, recipe: Recipe, parts: &Parts) {
        if !self.helped.contains(&recipe) {
            self.helped.truncate(7);
            self.helped.insert(0, recipe);
        }
        let numbers = parts.states.get(usize::from(recipe.numeric_keys)).into_iter().flatten();
        for (i, number) in numbers.flat_map(|state| &state.numbers).enumerate() {
            let chosen = match recipe.numbers {
                Choice::Class(class) => number.class == class,
                Choice::Mask(mask) => mask >> i & 1 == 1,
                _ => false,
            };
            if chosen
                && self.helpful_classes.len() < REMEMBERED
                && !self.helpful_classes.contains(&number.class)
            {
                self.helpful_classes.push(number.class);
            }
        }
    }
}

impl Parts {
    fn in_each_key_order(&self, choices: &[Choice]) -> Vec<Recipe> {
        let orders = [false, true].into_iter().take(self.states.len());
        orders
            .flat_map(|numeric_keys| {
                choices.iter().map(move |c| Recipe { numeric_keys, numbers: *c, ..PLAIN })
            })
            .collect()
    }

    /// Each path by itself, and all combinations when the numbers are few.
    fn choices(&self) -> Vec<Choice> {
        let numbers = self.states.iter().flatten().flat_map(|state| &state.numbers);
        let mut classes: Vec<u64> = numbers.map(|number| number.class).collect();
        classes.sort_unstable();
        classes.dedup();
        classes.truncate(CLASSES);
        let few = (1..=ALL_COMBINATIONS).contains(&self.ambiguous);
        let masks = if few { 1u32 << self.ambiguous } else { 0 };
        classes.into_iter().map(Choice::Class).chain((1..masks).map(Choice::Mask)).collect()
    }
}

impl Recipe {
    fn describe(&self, parts: &Parts, row: &Row<'_>) -> String {
        let mut said = Vec::new();
        if self.numeric_keys {
            said.push("keys that are numbers were sorted as numbers".to_owned());
        }
        if self.numbers != Choice::None {
            said.push("integers had been floats written with an exponent, or 0.0 had been -0.0".to_owned());
        }
        if let Some(address) = self.address.and_then(|style| parts.addresses.get(style)) {
            said.push(format!("the address was spelled {address}"));
        }
        if let Some(time) = self.zone.and_then(|zone| zone.spell(row.fields.timestamp)) {
            said.push(format!("the time was written {time}"));
        }
        said.join("; ")
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
        assert!(matches!(judgement, Judgement::Mismatch(_)) && all > 300, "{all} {judgement:?}");
        let (few, judgement) = asked(3);
        assert!(matches!(judgement, Judgement::Undecided(_)) && few == 4, "{few} {judgement:?}");
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
