//! The filter language: lexer, parser with spans, AST, canonical printer. No IO, no clock.
//!
//! Understood today: `field:value` terms joined by blanks or AND; negation by `-`, `!` or NOT; lists (`a,b` is any of
//! them); prefixes (`v*`); quoted values; `~` for "contains"; `sev>=warning`; addresses and networks; `null` and `*`;
//! `since:`, `until:` and `all-time`. Everything else of the grammar (words and phrases, OR, parentheses, state paths,
//! changes, ranges, regular expressions, file lists, local fields) is recognised and refused: a filter is never read
//! as something else than what it says.

mod ast;
mod error;
mod field;
mod lexer;
mod parser;
mod printer;
#[cfg(test)]
mod tests;
mod when;

pub use ast::{Expr, Filter, Match, Matcher, Network};
pub use error::{FilterError, RangeError};
pub use field::{Field, Kind};
pub use when::{Unit, When};
