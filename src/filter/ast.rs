//! What a filter says.

use super::clock::{Hours, Weekdays};
use super::error::FilterError;
use super::field::Field;
use super::local::Local;
use super::parser;
use super::path::Path;
use super::value::{Network, Value};
use super::when::{Span, When};
use chrono_tz::Tz;

/// A parsed filter. The default one matches every event.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Filter {
    /// First instant inside, as written.
    pub(super) since: Option<When>,
    /// First instant behind, as written.
    pub(super) until: Option<When>,
    /// The day, hour or other unit looked at, as written.
    pub(super) at: Option<When>,
    /// The surroundings looked at.
    pub(super) around: Option<Box<Around>>,
    /// The zone of days, weekdays and clock times.
    pub(super) zone: Option<Tz>,
    /// Lifts the default window.
    pub(super) all_time: bool,
    /// The top-level AND, time terms taken out.
    pub(super) all_of: Vec<Expr>,
    /// What was learnt of the trail that it is for.
    pub(super) partial_sides: PartialSides,
}

/// Resource types of which one state holds only what an event changed, and the other one everything: what is missing there
/// did not change.
#[derive(Debug, Clone, Default)]
pub struct PartialSides {
    /// The new state.
    pub new: Vec<String>,
    /// The previous state.
    pub previous: Vec<String>,
}

/// A filter is the same whatever was learnt of a trail.
impl PartialEq for PartialSides {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for PartialSides {}

/// The surroundings of an event or an instant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Around {
    /// Their middle.
    pub center: Center,
    /// How far they reach to either side; `None` for a number of events.
    pub span: Option<Span>,
}

/// The middle of [`Around`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Center {
    /// A time.
    Time(When),
    /// The event with this id.
    Event(String),
}

/// A condition on an event.
///
/// The parser makes these in one form only: AND and OR have two or more parts, none of them of their own kind, and
/// there is no NOT of a NOT.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Expr {
    /// All of them hold.
    And(Vec<Expr>),
    /// One of them holds, or more.
    Or(Vec<Expr>),
    /// Holds where the inner one does not: also where a column is null.
    Not(Box<Expr>),
    /// A field against values.
    Match(Match),
    /// A place in the states against values.
    State(StateMatch),
    /// The value at one of these places differs between the states; a state that is absent counts as empty.
    Changed(Vec<Path>),
    /// The states differ, and only at these places.
    OnlyChanged(Vec<Path>),
    /// The value at a place went from one to another.
    Change(Box<Change>),
    /// Words that stand together somewhere in the event.
    Words(Words),
    /// A regular expression over the text of the event.
    Regex(Regex),
    /// The time of day, in the zone of the filter.
    Hours(Vec<Hours>),
    /// The day of the week, in the zone of the filter.
    Weekdays(Weekdays),
    /// What only this machine knows about the event.
    Local(Local),
}

/// `field:value,value`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Match {
    /// What is looked at.
    pub field: Field,
    /// Holds when one of them does; never empty.
    pub any_of: Vec<Matcher>,
}

/// One value of a [`Match`], fit for the kind of its field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Matcher {
    /// `*`: there is a value.
    Present,
    /// `null`: there is none.
    Absent,
    /// The whole value.
    Equals(String),
    /// `v*`: the value begins with it.
    Prefix(String),
    /// `~v`: the value has it somewhere.
    Contains(String),
    /// The address lies in the network.
    Network(Network),
    /// `TYPE/ID` or `TYPE/ID*`.
    Resource {
        /// Whole type of the resource; has no `/`.
        resource_type: String,
        /// Its id.
        id: String,
        /// The id is only the beginning of one.
        prefix: bool,
    },
}

/// `new.path:value,value`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StateMatch {
    /// Which state is looked at.
    pub side: Side,
    /// Where in it.
    pub path: Path,
    /// Holds when one of them does; never empty.
    pub any_of: Vec<Test>,
}

/// A state, or either.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// `old`: before the event.
    Old,
    /// `new`: after it.
    New,
    /// `any`: one of the two, or both.
    Any,
}

impl Side {
    /// Its name in a filter.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Old => "old",
            Self::New => "new",
            Self::Any => "any",
        }
    }
}

/// What the value at a place is tested for. An array holds what one of its elements holds; numbers are never texts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Test {
    /// `*`: there is a value, and it is not null.
    Present,
    /// `null`: JSON null, or nothing there.
    Null,
    /// `missing`: nothing there.
    Missing,
    /// The same value; numbers by size, not by spelling.
    Equals(Value),
    /// `v*`: a text that begins with it.
    Prefix(String),
    /// `~v`: a text that has it somewhere.
    Contains(String),
    /// A value of the same type beyond it; texts in byte order.
    Compare(Comparison, Value),
    /// `a..b`: a value of the same type, both ends inside.
    Range(Value, Value),
}

/// `>`, `>=`, `<`, `<=`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Comparison {
    /// `>`
    Above,
    /// `>=`
    AtLeast,
    /// `<`
    Below,
    /// `<=`
    AtMost,
}

impl Comparison {
    /// Its sign, the same in a filter and in SQL/JSON paths.
    pub const fn sign(self) -> &'static str {
        match self {
            Self::Above => ">",
            Self::AtLeast => ">=",
            Self::Below => "<",
            Self::AtMost => "<=",
        }
    }
}

/// `path:from->to`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// Where.
    pub path: Path,
    /// What the value was; when absent, something that does not pass `to`.
    pub from: Option<Test>,
    /// What it became; when absent, something that does not pass `from`.
    pub to: Option<Test>,
}

/// A word, or several that follow one another, in either case. Identifiers count as the words they consist of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Words {
    /// As typed.
    pub text: String,
    /// The last word is only the beginning of one.
    pub prefix: bool,
}

impl Words {
    /// As it is typed to find longer words, too.
    pub fn longer(&self) -> String {
        let longer = Self { prefix: true, ..self.clone() };
        if self.text.chars().all(char::is_alphanumeric) {
            format!("{}*", self.text)
        } else {
            longer.to_string()
        }
    }
}

/// `/pattern/`, in PostgreSQL's notation for regular expressions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Regex {
    /// Between the slashes.
    pub pattern: String,
    /// `/…/i`: letters match in either case.
    pub ignore_case: bool,
}

impl Expr {
    /// All of `parts`; the AND in them becomes part of this one. Of one part, that part.
    pub(super) fn and(parts: Vec<Self>) -> Self {
        Self::join(parts, Self::And, |part| match part {
            Self::And(inner) => Ok(inner),
            other => Err(other),
        })
    }

    /// One of `parts`; the OR in them becomes part of this one. Of one part, that part.
    pub(super) fn or(parts: Vec<Self>) -> Self {
        Self::join(parts, Self::Or, |part| match part {
            Self::Or(inner) => Ok(inner),
            other => Err(other),
        })
    }

    fn join(
        parts: Vec<Self>,
        make: fn(Vec<Self>) -> Self,
        open: fn(Self) -> Result<Vec<Self>, Self>,
    ) -> Self {
        let mut flat = Vec::with_capacity(parts.len());
        for part in parts {
            match open(part) {
                Ok(inner) => flat.extend(inner),
                Err(part) => flat.push(part),
            }
        }
        match flat.len() {
            1 => flat.swap_remove(0),
            _ => make(flat),
        }
    }

    /// Its opposite.
    #[must_use]
    #[expect(clippy::should_implement_trait, reason = "the word of the language")]
    pub fn not(self) -> Self {
        match self {
            Self::Not(inner) => *inner,
            other => Self::Not(Box::new(other)),
        }
    }

    /// Whether it, or a part of it, is such.
    pub(super) fn any(&self, is_such: &dyn Fn(&Self) -> bool) -> bool {
        is_such(self)
            || match self {
                Self::And(parts) | Self::Or(parts) => parts.iter().any(|p| p.any(is_such)),
                Self::Not(inner) => inner.any(is_such),
                _ => false,
            }
    }
}

/// Reads a list for `field in @NAME`: its content, or why there is none.
pub type ReadList<'a> = &'a dyn Fn(&str) -> Result<String, String>;

impl Filter {
    /// Longest text of a filter, in bytes; keeps a statement within the number of parameters PostgreSQL takes.
    pub const MAX_LENGTH: usize = 32 * 1024;

    /// Reads a filter that names no lists of values.
    ///
    /// # Errors
    /// With the place, and what to write instead.
    pub fn parse(text: &str) -> Result<Self, FilterError> {
        parser::parse(text, &|_| Err("lists from a file cannot be read here".to_owned()))
    }

    /// Reads a filter; `lists` supplies the content of `field in @NAME`: a value on a line, `#` begins a remark, a `*`
    /// at the end of a value stands for any text.
    ///
    /// # Errors
    /// As [`Self::parse`]; also when a list cannot be read.
    pub fn parse_with(text: &str, lists: ReadList<'_>) -> Result<Self, FilterError> {
        parser::parse(text, lists)
    }

    /// A filter of these conditions, all of which must hold, and no time.
    pub fn of(conditions: Vec<Expr>) -> Self {
        Self { all_of: conditions, ..Self::default() }
    }

    /// The text in its one canonical spelling: `parse(canonical(f)) == f`. Cursors and caches go by it. Lists from
    /// files are written out, which can make it longer than [`Self::MAX_LENGTH`].
    pub fn canonical(&self) -> String {
        self.to_string()
    }

    /// The conditions, all of which must hold. Time terms are not among them; [`Self::range`] resolves those.
    pub fn conditions(&self) -> &[Expr] {
        &self.all_of
    }

    /// Whether a part of it is about what a server keeps no statistics of, so that its guess of how many events match is
    /// none: what states hold or how they differ, what stands somewhere in a value, regular expressions, times of day,
    /// what only this machine knows.
    pub fn is_beyond_statistics(&self) -> bool {
        let contains = |matcher: &Matcher| matches!(matcher, Matcher::Contains(_));
        let unknown = |expr: &Expr| match expr {
            Expr::Match(field) => field.any_of.iter().any(contains),
            _ => matches!(
                expr,
                Expr::State(_)
                    | Expr::Changed(_)
                    | Expr::OnlyChanged(_)
                    | Expr::Change(_)
                    | Expr::Regex(_)
                    | Expr::Hours(_)
                    | Expr::Weekdays(_)
                    | Expr::Local(_)
            ),
        };
        self.all_of.iter().any(|condition| condition.any(&unknown))
    }

    /// Whether a part of it asks what an event changed.
    pub fn asks_for_changes(&self) -> bool {
        let changes = |expr: &Expr| matches!(expr, Expr::Changed(_) | Expr::OnlyChanged(_) | Expr::Change(_));
        self.all_of.iter().any(|condition| condition.any(&changes))
    }

    /// Says which types have states in part; until then all are taken to be whole.
    pub fn set_partial_sides(&mut self, sides: PartialSides) {
        self.partial_sides = sides;
    }

    /// Types that have states in part.
    pub fn partial_sides(&self) -> &PartialSides {
        &self.partial_sides
    }

    /// The words that events are searched for; not those that they must not have.
    pub fn words(&self) -> Vec<&Words> {
        let asked = self.asked().into_iter();
        asked.filter_map(|expr| if let Expr::Words(words) = expr { Some(words) } else { None }).collect()
    }

    /// The conditions that an event matches by, each by itself; not those that it must not match.
    pub fn asked(&self) -> Vec<&Expr> {
        fn collect<'a>(expr: &'a Expr, found: &mut Vec<&'a Expr>) {
            match expr {
                Expr::And(parts) | Expr::Or(parts) => parts.iter().for_each(|part| collect(part, found)),
                Expr::Not(_) => {}
                other => found.push(other),
            }
        }
        let mut found = Vec::new();
        self.all_of.iter().for_each(|expr| collect(expr, &mut found));
        found
    }

    /// The zone of its clock times and weekdays.
    pub fn zone(&self) -> Tz {
        self.zone.unwrap_or(Tz::UTC)
    }

    /// The surroundings it asks for.
    pub fn around(&self) -> Option<&Around> {
        self.around.as_deref()
    }

    /// Whether the filter says itself how far back it looks: by `since:`, `at:`, `around:` or `all-time`, or because it
    /// only matches events that the case names: an old bookmark must not be hidden by a window that nobody asked for.
    pub fn has_window(&self) -> bool {
        let names_events = |expr: &Expr| matches!(expr, Expr::Local(local) if local.question.is_of_case());
        self.says_how_far() || self.all_of.iter().any(names_events)
    }

    fn says_how_far(&self) -> bool {
        self.since.is_some() || self.at.is_some() || self.around.is_some() || self.all_time
    }

    /// Whether it says anything about time, the zone included.
    pub fn has_time(&self) -> bool {
        self.says_how_far() || self.until.is_some() || self.zone.is_some()
    }

    /// Adds a lower bound from outside the text (`--since`).
    ///
    /// # Errors
    /// When the filter has one already, or the text is no time.
    pub fn set_since(&mut self, text: &str) -> Result<(), FilterError> {
        parser::set_bound(self, "since", text)
    }

    /// Adds an upper bound from outside the text (`--until`).
    ///
    /// # Errors
    /// As [`Self::set_since`].
    pub fn set_until(&mut self, text: &str) -> Result<(), FilterError> {
        parser::set_bound(self, "until", text)
    }

    /// Lifts the default window (`--all-time`).
    pub fn set_all_time(&mut self) {
        self.all_time = true;
    }
}
