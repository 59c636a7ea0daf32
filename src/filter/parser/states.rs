//! Terms on the states before and after an event.

use super::super::ast::{Change, Comparison, Expr, Side, StateMatch, Test};
use super::super::error::FilterError;
use super::super::field::Field;
use super::super::lexer::{Operator, Scalar};
use super::super::path::Path;
use super::super::value::Value;
use super::{Parser, TIME_NAMES, VIRTUAL_NAMES, shown};
use std::ops::Range;

/// Whether a path can only be told from something else by `any.` before it.
pub(in super::super) fn needs_side(path: &Path) -> bool {
    let Some(root) = path.root() else { return path.is_whole() };
    let lower = root.to_ascii_lowercase();
    let plain = root.chars().next().is_some_and(|c| c.is_alphanumeric() || c == '_')
        && root.chars().all(super::super::path::is_bare)
        && !root.ends_with('-');
    !plain
        || Field::by_name(&lower).is_some()
        || TIME_NAMES.contains(&lower.as_str())
        || VIRTUAL_NAMES.contains(&lower.as_str())
        || ["old", "new", "any", "previous_state", "new_state"].contains(&lower.as_str())
}

impl Parser<'_> {
    /// `new.path op values`, behind the operator. `path` stands at `at`.
    pub(super) fn state(
        &mut self,
        side: Side,
        path: &str,
        at: usize,
        operator: Operator,
        operator_span: Range<usize>,
    ) -> Result<Expr, FilterError> {
        let path_span = at..at + path.len();
        let path = Path::parse(path, at)?;
        if operator == Operator::Is && self.lexer.is_change() {
            if side != Side::Any {
                return Err(FilterError::new(
                    path_span,
                    format!("a change looks at both states, not at '{}' alone", side.name()),
                )
                .hint(format!("write {}{path}:old->new", if needs_side(&path) { "any." } else { "" })));
            }
            return self.change_at(path);
        }
        if path.is_whole() {
            return Err(FilterError::new(path_span, "a key of the state is missing here")
                .hint("write new.role:admin, or **.role at any depth; changed:* is any change"));
        }
        let any_of = match operator {
            Operator::Is | Operator::IsNot => self.tests()?,
            Operator::Contains => self.contained()?,
            Operator::Above => vec![self.compared(Comparison::Above, operator_span)?],
            Operator::AtLeast => vec![self.compared(Comparison::AtLeast, operator_span)?],
            Operator::Below => vec![self.compared(Comparison::Below, operator_span)?],
            Operator::AtMost => vec![self.compared(Comparison::AtMost, operator_span)?],
        };
        let found = Expr::State(StateMatch { side, path, any_of });
        Ok(if operator == Operator::IsNot { found.not() } else { found })
    }

    /// Values and ranges of them.
    fn tests(&mut self) -> Result<Vec<Test>, FilterError> {
        let mut any_of = Vec::new();
        loop {
            let (from, to) = self.range()?;
            let test = match to {
                None => test(from)?,
                Some(to) => range(from, to)?,
            };
            if !any_of.contains(&test) {
                any_of.push(test);
            }
            if !self.lexer.take(",") {
                return Ok(any_of);
            }
        }
    }

    fn contained(&mut self) -> Result<Vec<Test>, FilterError> {
        let mut any_of = Vec::new();
        for value in self.values()? {
            if value.starred || value.text.is_empty() {
                return Err(FilterError::new(
                    value.span,
                    "'~' takes a text that is contained somewhere, without '*'",
                ));
            }
            let test = Test::Contains(value.text);
            if !any_of.contains(&test) {
                any_of.push(test);
            }
        }
        Ok(any_of)
    }

    fn compared(&mut self, comparison: Comparison, span: Range<usize>) -> Result<Test, FilterError> {
        let mut values = self.values()?;
        match (values.pop(), values.is_empty()) {
            (Some(value), true) => Ok(Test::Compare(comparison, ordered(value)?)),
            _ => Err(FilterError::new(span, "a comparison takes one value")),
        }
    }

    /// `path:from->to`, behind the colon.
    pub(super) fn change(&mut self, name: &str, span: Range<usize>) -> Result<Expr, FilterError> {
        let path = Path::parse(name, span.start)?;
        self.change_at(path)
    }

    fn change_at(&mut self, path: Path) -> Result<Expr, FilterError> {
        let start = self.lexer.position();
        let from = if self.lexer.is_at("->") { None } else { Some(test(self.lexer.scalar()?)?) };
        self.lexer.take("->");
        let ends = self.lexer.peek().is_none_or(|c| c.is_whitespace() || matches!(c, ')' | ','));
        let to = if ends { None } else { Some(test(self.lexer.scalar()?)?) };
        if self.lexer.peek() == Some(',') {
            let at = self.lexer.position();
            return Err(FilterError::new(at..at + 1, "a change goes from one value to one value")
                .hint("join two changes by OR"));
        }
        self.lexer.end_of_value()?;
        if from.is_none() && to.is_none() {
            let span = start..self.lexer.position();
            return Err(FilterError::new(span, "this change names no value")
                .hint(format!("write changed:{path} for any change")));
        }
        Ok(Expr::Change(Box::new(Change { path, from, to })))
    }

    /// `type:a->b`: the column does not change. Refused with what can be meant.
    pub(super) fn not_a_change(&self, name: &str, span: Range<usize>) -> FilterError {
        let (value, place) = self.lexer.word();
        FilterError::new(
            span.start..place.end,
            format!("'{}' is a column, which does not change", shown(name)),
        )
        .hint(format!(
            "write any.{0}:{1} for the key of that name in the states, or {0}:\"{1}\" for the text",
            shown(name),
            shown(value)
        ))
    }

    /// The paths of `changed:` and `onlychanged:`.
    pub(super) fn changed(&mut self, only: bool) -> Result<Expr, FilterError> {
        let mut paths = Vec::new();
        loop {
            let (text, span) = self.lexer.path();
            if text.is_empty() {
                return Err(FilterError::new(span, "a path into the states is missing here")
                    .hint("write changed:role, changed:mfa.enabled, or changed:* for any change"));
            }
            let path = Path::parse(text, span.start)?;
            self.lexer.end_of_value()?;
            if only && (path.is_whole() || path.anywhere) {
                return Err(FilterError::new(span, "'onlychanged' takes paths from the root of the state")
                    .hint("write onlychanged:updated_at,meta.seen"));
            }
            if !paths.contains(&path) {
                paths.push(path);
            }
            if !self.lexer.take(",") {
                return Ok(if only { Expr::OnlyChanged(paths) } else { Expr::Changed(paths) });
            }
        }
    }
}

/// What a value in a state is tested for.
fn test(value: Scalar) -> Result<Test, FilterError> {
    if value.is_star() {
        return Ok(Test::Present);
    }
    if value.starred {
        return Ok(Test::Prefix(value.text));
    }
    if value.is_word("null") {
        return Ok(Test::Null);
    }
    if value.is_word("missing") {
        return Ok(Test::Missing);
    }
    self::value(value).map(Test::Equals)
}

fn value(value: Scalar) -> Result<Value, FilterError> {
    if value.quoted {
        return Ok(Value::Text(value.text));
    }
    let found = Value::of_bare(&value.text);
    let digits = value.text.strip_prefix('-').unwrap_or(&value.text);
    let numeric = digits.starts_with(|c: char| c.is_ascii_digit()) && digits.parse::<f64>().is_ok();
    if numeric && matches!(found, Value::Text(_)) && !digits.starts_with('0') {
        return Err(FilterError::new(value.span, "this number is beyond what is compared")
            .hint("put it in quotes if it is a text; numbers have at most 64 characters and 300 digits"));
    }
    Ok(found)
}

/// A value that can be compared.
fn ordered(found: Scalar) -> Result<Value, FilterError> {
    let span = found.span.clone();
    if found.starred || found.is_word("null") || found.is_word("missing") {
        return Err(FilterError::new(span, "a comparison takes a number or a text"));
    }
    match value(found)? {
        Value::Bool(_) => Err(FilterError::new(span, "true and false have no order")),
        value => Ok(value),
    }
}

fn range(from: Scalar, to: Scalar) -> Result<Test, FilterError> {
    let span = from.span.start..to.span.end;
    match (ordered(from)?, ordered(to)?) {
        (from @ Value::Number(_), to @ Value::Number(_)) | (from @ Value::Text(_), to @ Value::Text(_)) => {
            Ok(Test::Range(from, to))
        }
        _ => Err(FilterError::new(span, "the ends of a range are two numbers or two texts")
            .hint("a number in quotes is a text")),
    }
}
