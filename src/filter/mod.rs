//! The filter language: lexer, parser with spans, AST, canonical printer. No IO, no clock.
//!
//! The grammar is that of GitHub's qualifiers with KQL's booleans and Splunk's times; `docs/reference/filter.md` describes it. A
//! filter is never read as something else than what it says: what can be meant in two ways is refused with both.

mod assist;
mod ast;
mod bounds;
mod clock;
mod derived;
mod error;
mod explain;
mod field;
mod lexer;
mod local;
mod parser;
mod path;
mod printer;
#[cfg(test)]
mod tests;
mod value;
mod when;

pub use assist::{Completion, TokenKind, complete, tokens, value_at};
pub use ast::{
    Around, Center, Change, Comparison, Expr, Filter, Match, Matcher, PartialSides, ReadList, Regex, Side,
    StateMatch, Test, Words,
};
pub use clock::{Hours, Weekdays};
pub use error::{FilterError, RangeError};
pub use field::{Field, Kind};
pub use local::{Facts, Integrity, Local, Noted, Question, Selection};
pub use path::{Path, Step, quoted};
pub use value::{Network, Number, Value, json_string};
pub use when::{Day, NoInstant, Span, Unit, When};
