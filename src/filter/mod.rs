//! The filter language: lexer, parser with spans, AST, canonical printer. No IO, no clock.

/// A parsed filter.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Filter {}
