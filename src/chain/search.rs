//! The search for the spelling of a row's values that was hashed: in order of likelihood and within a budget.

use super::Scheme;
use super::ambiguity::{self, Number, ZONES, Zone};
use super::judge::Judge;
use super::judgement::Row;
use super::links::Hash;
use super::scheme::{Spelling, Stem, isoformat};
use crate::domain::Timestamp;

/// Ambiguous numbers of one event of which all combinations are tried.
const ALL_COMBINATIONS: usize = 8;
/// JSON paths of one event that are tried one by one.
const CLASSES: usize = 64;
/// JSON paths that are remembered because they helped before.
const REMEMBERED: usize = 256;
/// Bytes hashed for one event in search of another spelling, beyond the first few hundred attempts.
const EVENT_BUDGET: u64 = 128 << 20;

/// Which spelling of each part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Recipe {
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
pub(super) struct Parts {
    /// Canonical states in code-point and, where that differs, in numeric key order: previous and new each.
    states: Vec<[State; 2]>,
    addresses: Vec<String>,
    /// How many numbers are ambiguous.
    pub(super) ambiguous: usize,
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

/// The attempts on one row.
struct Trial<'r> {
    row: &'r Row<'r>,
    stored: &'r Hash,
    parts: &'r Parts,
    /// What the last attempt wrote before its time; the recipe has no zone.
    stem: Option<(Recipe, Stem)>,
    /// The time as the scheme writes it.
    time: Option<String>,
    /// The time in each zone, by [`Zone::place`], as far as it was needed.
    times: Vec<Option<String>>,
}

impl<'r> Trial<'r> {
    fn new(row: &'r Row<'r>, stored: &'r Hash, parts: &'r Parts) -> Self {
        let time = isoformat(row.fields.timestamp);
        Self { row, stored, parts, stem: None, time, times: Vec::new() }
    }
}

pub(super) enum Search {
    Found(Recipe),
    /// Nothing fits.
    Exhausted,
    /// Too many combinations.
    GaveUp,
    /// The run's budget was used up by earlier rows.
    OutOfBudget,
}

impl Judge {
    pub(super) fn parts(&mut self, row: &Row<'_>) -> Parts {
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

    /// Looks for the spelling that was hashed, but for those that helped before.
    pub(super) fn search(&mut self, row: &Row<'_>, stored: &Hash, parts: &Parts) -> Search {
        if self.budget == 0 {
            return Search::OutOfBudget;
        }
        let addresses: Vec<Option<usize>> = parts.distinct_addresses(row.fields.actor_ip);
        let few = parts.in_each_key_order(if parts.ambiguous == 0 {
            &[Choice::None]
        } else {
            &[Choice::None, Choice::Remembered, Choice::All, Choice::Floats, Choice::Zeros]
        });
        let helped = self.helped.clone();
        let mut trial = Trial::new(row, stored, parts);

        // One part at a time: at most some two hundred attempts.
        let states = || few.iter().copied().filter(|state| *state != PLAIN);
        let single = states()
            .chain(addresses.iter().map(|address| Recipe { address: *address, ..PLAIN }))
            .chain(in_each_zone(PLAIN));
        for recipe in single {
            if self.budget == 0 {
                return Search::OutOfBudget;
            }
            if self.attempt(&mut trial, recipe) {
                return Search::Found(recipe);
            }
        }

        // Then all combinations of a few numbers and each path of many, also with the address and zone that helped
        // before; then two parts at a time, all zones of one text together.
        let numbers = parts.in_each_key_order(&parts.choices());
        let with_helped = helped
            .iter()
            .flat_map(|h| numbers.iter().map(|n| Recipe { address: h.address, zone: h.zone, ..*n }));
        let pairs = addresses
            .iter()
            .flat_map(|address| in_each_zone(Recipe { address: *address, ..PLAIN }))
            .chain(addresses.iter().flat_map(|address| states().map(|s| Recipe { address: *address, ..s })))
            .chain(states().flat_map(in_each_zone));
        let floor = self.budget.saturating_sub(EVENT_BUDGET);
        for recipe in numbers.iter().copied().chain(with_helped).chain(pairs) {
            if self.budget == 0 {
                return Search::OutOfBudget;
            }
            if self.budget <= floor {
                return Search::GaveUp;
            }
            if self.attempt(&mut trial, recipe) {
                return Search::Found(recipe);
            }
        }
        if parts.ambiguous > ALL_COMBINATIONS { Search::GaveUp } else { Search::Exhausted }
    }

    /// Looks for it among the spellings that helped before only.
    pub(super) fn search_helped(&mut self, row: &Row<'_>, stored: &Hash, parts: &Parts) -> Option<Recipe> {
        let mut trial = Trial::new(row, stored, parts);
        let helped = self.helped.clone();
        helped.into_iter().find(|recipe| self.budget > 0 && self.attempt(&mut trial, *recipe))
    }

    fn attempt(&mut self, trial: &mut Trial<'_>, recipe: Recipe) -> bool {
        let text = Recipe { zone: None, ..recipe };
        if trial.stem.as_ref().is_none_or(|(of, _)| *of != text) {
            trial.stem = self.stem_of(trial, text).map(|stem| (text, stem));
        }
        let time = match recipe.zone {
            Some(zone) => spelled(&mut trial.times, zone, trial.row.fields.timestamp),
            None => trial.time.as_deref(),
        };
        match (&trial.stem, time) {
            (Some((_, stem)), Some(time)) => self.fits_with_time(stem, time, trial.stored),
            _ => false,
        }
    }

    /// The text of a recipe but for its time.
    fn stem_of(&mut self, trial: &Trial<'_>, recipe: Recipe) -> Option<Stem> {
        let states = trial.parts.states.get(usize::from(recipe.numeric_keys))?;
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
        let address = match recipe.address {
            // A style that helped another row may not exist for this one.
            Some(style) => Some(trial.parts.addresses.get(style)?.as_str()),
            None => None,
        };
        let fields = &trial.row.fields;
        let spelling = Spelling {
            address,
            new_state: fields.new_state.map(|_| new_state.as_slice()),
            previous_state: fields.previous_state.map(|_| previous_state.as_slice()),
        };
        self.stem(trial.row, &spelling)
    }

    /// What helped once will help again: whole tables are written with one offset, or with one column of floats.
    pub(super) fn remember(&mut self, recipe: Recipe, parts: &Parts) {
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

/// The recipe with each zone.
fn in_each_zone(recipe: Recipe) -> impl Iterator<Item = Recipe> {
    ambiguity::zones().map(move |zone| Recipe { zone: Some(zone), ..recipe })
}

/// The time in this zone; spelled once for all texts of a row.
fn spelled(times: &mut Vec<Option<String>>, zone: Zone, time: Timestamp) -> Option<&str> {
    if times.is_empty() {
        times.resize(ZONES, None);
    }
    let spelled = times.get_mut(zone.place())?;
    if spelled.is_none() {
        *spelled = zone.spell(time);
    }
    spelled.as_deref()
}

impl Parts {
    /// The styles of the address that differ from what PostgreSQL prints and from each other.
    fn distinct_addresses(&self, printed: Option<&str>) -> Vec<Option<usize>> {
        let before = |at: usize| self.addresses.iter().take(at).map(String::as_str).chain(printed);
        let styles = self.addresses.iter().enumerate();
        styles
            .filter(|(at, style)| before(*at).all(|other| other != *style))
            .map(|(at, _)| Some(at))
            .collect()
    }

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
    pub(super) fn describe(&self, parts: &Parts, row: &Row<'_>) -> String {
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
