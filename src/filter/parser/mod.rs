//! Text to [`Filter`]: the structure of a query. What the terms of each kind mean is read in the files beside this
//! one.

mod columns;
mod names;
mod others;
mod states;
mod times;

use super::ast::{Expr, Filter, ReadList, Regex, Side, Words};
use super::error::FilterError;
use super::field::Field;
use super::lexer::{Lexer, Operator, Scalar};
use crate::domain::Safe;
use crate::domain::nearest;
use names::no_field;
pub(super) use states::needs_side;
use std::ops::Range;
use times::Times;
pub(super) use times::set_bound;

/// Greatest depth of parentheses.
const DEEPEST: usize = 50;
/// Maximum number of terms: PostgreSQL plans each of them.
const MOST_TERMS: usize = 500;

/// Names that begin a qualifier and are no columns.
pub(super) const TIME_NAMES: [&str; 6] = ["since", "until", "at", "around", "span", "zone"];
/// Names of the predicates that are no columns.
pub(super) const VIRTUAL_NAMES: [&str; 7] =
    ["changed", "onlychanged", "tod", "dow", "integrity", "is", "tag"];

pub(super) fn parse(text: &str, lists: ReadList<'_>) -> Result<Filter, FilterError> {
    if text.len() > Filter::MAX_LENGTH {
        let message =
            format!("a filter has at most {} bytes, this one has {}", Filter::MAX_LENGTH, text.len());
        return Err(FilterError::new(0..0, message));
    }
    let mut parser = Parser {
        lexer: Lexer::new(text),
        lists,
        times: Times::default(),
        depth: 0,
        terms: 0,
        last: Last::Other,
    };
    let expr = parser.or()?;
    if let Some(c) = parser.lexer.peek() {
        // Nothing else stops the outermost level.
        let at = parser.lexer.position();
        return Err(FilterError::new(at..at + c.len_utf8(), "this parenthesis closes none")
            .hint("put the value in quotes if it has a parenthesis in it"));
    }
    let mut filter = parser.times.finish()?;
    filter.all_of = match expr {
        Some(Expr::And(parts)) => parts,
        other => other.into_iter().collect(),
    };
    Ok(filter)
}

/// A part of the filter, fit for a message.
fn shown(text: &str) -> Safe {
    Safe::composed(text).cut_end(60)
}

/// What the last term was, as far as an OR behind it is concerned.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Last {
    /// `field:value`, and where it stands.
    Qualifier(Range<usize>),
    Other,
}

struct Parser<'a> {
    lexer: Lexer<'a>,
    lists: ReadList<'a>,
    /// The terms that stand in the outermost AND only.
    times: Times,
    /// Of parentheses.
    depth: usize,
    terms: usize,
    last: Last,
}

impl Parser<'_> {
    /// `and { OR and }`; `None` where there is nothing but time terms.
    fn or(&mut self) -> Result<Option<Expr>, FilterError> {
        let mut branches = vec![self.and(None)?];
        loop {
            let start = self.lexer.position();
            if !(self.lexer.take("||") || self.lexer.keyword("or")) {
                break;
            }
            let sign = start..self.lexer.position();
            if let Some(time) = self.times.first().filter(|_| self.depth == 0) {
                return Err(FilterError::new(
                    time,
                    "a time counts for the whole filter, not for one side of OR",
                )
                .hint("put the alternatives in parentheses: since:-7d (a:x OR b:y)"));
            }
            self.refuse_bare_word(&sign)?;
            let before = self.times.first();
            branches.push(self.and(Some(sign))?);
            if let Some(time) = self.times.first().filter(|_| self.depth == 0 && before.is_none()) {
                return Err(FilterError::new(
                    time,
                    "a time counts for the whole filter, not for one side of OR",
                )
                .hint("put the alternatives in parentheses: (a:x OR b:y) since:-7d"));
            }
        }
        if branches.len() == 1 {
            return Ok(branches.swap_remove(0));
        }
        // A side without a condition was refused where it stands.
        Ok(Some(Expr::or(branches.into_iter().flatten().collect())))
    }

    /// `a:x OR y`: another value for `a`, or a search for the word?
    fn refuse_bare_word(&self, sign: &Range<usize>) -> Result<(), FilterError> {
        let Last::Qualifier(left) = &self.last else { return Ok(()) };
        let mut ahead = self.lexer.clone();
        ahead.blanks();
        let (word, span) = ahead.word();
        let word = word.split(')').next().unwrap_or_default();
        let is_word = ahead.peek().is_some_and(|c| !matches!(c, '(' | ')' | '"' | '/' | '-' | '!'))
            && !["not", "and", "or", "all-time"].iter().any(|k| word.eq_ignore_ascii_case(k))
            && ahead.clone().name().is_none()
            && ahead.membership().is_none();
        if !is_word {
            return Ok(());
        }
        let text = self.lexer.slice(left.clone());
        Err(FilterError::new(sign.start..span.start + word.len(), "ambiguous").hint(format!(
            "write {},{} for another value of the field, or {} OR \"{}\" for an event that has the word",
            shown(text),
            shown(word),
            shown(text),
            shown(word),
        )))
    }

    /// `not { [AND] not }`; `or` is the place of the OR before it.
    fn and(&mut self, or: Option<Range<usize>>) -> Result<Option<Expr>, FilterError> {
        self.lexer.blanks();
        let mut parts = Vec::new();
        // Where an AND stands that still wants its right side.
        let mut pending: Option<Range<usize>> = None;
        let mut first = true;
        while let Some(c) = self.lexer.peek() {
            let (_, word) = self.lexer.word();
            let mut ahead = self.lexer.clone();
            if c == ')' || ahead.take("||") || ahead.keyword("or") {
                if first && c != ')' {
                    return Err(FilterError::new(
                        word.start..ahead.position(),
                        "OR wants a term on its left",
                    ));
                }
                break;
            }
            if self.lexer.take("&&") || self.lexer.keyword("and") {
                let span = word.start..self.lexer.position();
                if first || pending.is_some() {
                    return Err(FilterError::new(span, "AND wants a term on its left"));
                }
                pending = Some(span);
            } else {
                parts.extend(self.not()?);
                pending = None;
                first = false;
            }
            if !self.lexer.blanks()
                && pending.is_none()
                && self.lexer.peek().is_some_and(|c| !matches!(c, '(' | ')' | '&' | '|'))
            {
                let at = self.lexer.position();
                return Err(FilterError::new(
                    at..self.lexer.word().1.end,
                    "a term ends here, but something follows",
                )
                .hint("put a blank between terms"));
            }
        }
        if let Some(span) = pending {
            return Err(FilterError::new(span, "AND wants a term on its right"));
        }
        if let (true, Some(span)) = (first, or) {
            return Err(FilterError::new(span, "OR wants a term on its right"));
        }
        Ok((!parts.is_empty()).then(|| Expr::and(parts)))
    }

    fn not(&mut self) -> Result<Option<Expr>, FilterError> {
        let start = self.lexer.position();
        let negated = self.lexer.keyword("not") || self.lexer.take("-") || self.lexer.take("!");
        let sign = start..self.lexer.position();
        if sign.len() > 1 {
            self.lexer.blanks();
        }
        let expr = self.primary(negated.then_some(sign))?;
        Ok(expr.map(|e| if negated { e.not() } else { e }))
    }

    /// A term, or an expression in parentheses; `negation` is the place of the sign before it. `None` for terms that
    /// count for the whole filter.
    fn primary(&mut self, negation: Option<Range<usize>>) -> Result<Option<Expr>, FilterError> {
        self.terms += 1;
        let start = self.lexer.position();
        let (word, word_span) = self.lexer.word();
        if self.terms > MOST_TERMS {
            return Err(FilterError::new(word_span, format!("a filter has at most {MOST_TERMS} terms"))
                .hint("several values of one field are one term: field:a,b or field in @file"));
        }
        self.last = Last::Other;
        match self.lexer.peek() {
            None | Some(')') => return Err(no_term(word, word_span, negation)),
            Some('-' | '!') => return Err(no_term(word, word_span, negation)),
            Some(c) if c.is_whitespace() => return Err(no_term("", word_span, negation)),
            Some('(') => return self.parentheses(),
            Some('/') => {
                let (pattern, ignore_case) = self.lexer.regex()?;
                let span = start..self.lexer.position();
                return regex(pattern, ignore_case, span).map(Some);
            }
            Some('"') => return self.words().map(Some),
            Some(_) => {}
        }
        if self.lexer.is_at("&&") || word.eq_ignore_ascii_case("and") || word.eq_ignore_ascii_case("or") {
            return Err(FilterError::new(word_span, "a negation wants a term behind it, not AND or OR"));
        }
        if self.lexer.keyword("all-time") {
            self.count_for_all("all-time", word_span, negation)?;
            self.times.set_all_time(start..self.lexer.position());
            return Ok(None);
        }
        if Field::by_name(word).is_some()
            && let Some((name, span)) = self.lexer.membership()
        {
            return self.membership(name, span).map(Some);
        }
        let Some((name, name_span)) = self.lexer.name() else {
            return self.words().map(Some);
        };
        let expr = self.qualifier(name, name_span, negation)?;
        self.last = Last::Qualifier(start..self.lexer.position());
        Ok(expr)
    }

    fn parentheses(&mut self) -> Result<Option<Expr>, FilterError> {
        let start = self.lexer.position();
        let sign = start..start + 1;
        self.depth += 1;
        if self.depth > DEEPEST {
            return Err(FilterError::new(sign, format!("parentheses go {DEEPEST} deep at most")));
        }
        self.lexer.take("(");
        let expr = self.or()?;
        if !self.lexer.take(")") {
            return Err(FilterError::new(sign, "this parenthesis is never closed"));
        }
        self.depth -= 1;
        self.last = Last::Other;
        match expr {
            Some(expr) => Ok(Some(expr)),
            None => {
                Err(FilterError::new(start..self.lexer.position(), "there is nothing in these parentheses"))
            }
        }
    }

    /// A word, or a phrase in quotes.
    fn words(&mut self) -> Result<Expr, FilterError> {
        let found = self.lexer.scalar()?;
        if self.lexer.peek() == Some(',') {
            let at = self.lexer.position();
            return Err(FilterError::new(at..at + 1, "a list wants a field before it")
                .hint("write field:a,b, or a OR b to search for one of several words"));
        }
        self.lexer.end_of_value()?;
        if !found.text.chars().any(char::is_alphanumeric) {
            return Err(FilterError::new(found.span, "there is no letter and no digit to search for"));
        }
        if found.starred && !found.text.ends_with(char::is_alphanumeric) {
            return Err(FilterError::new(found.span, "'*' stands behind the beginning of a word"));
        }
        Ok(Expr::Words(Words { text: found.text, prefix: found.starred }))
    }

    /// `name op value`
    fn qualifier(
        &mut self,
        name: &str,
        span: Range<usize>,
        negation: Option<Range<usize>>,
    ) -> Result<Option<Expr>, FilterError> {
        let operator = self.lexer.operator();
        let operator_span = span.end..self.lexer.position();
        let lower = name.to_ascii_lowercase();
        if TIME_NAMES.contains(&lower.as_str()) {
            self.count_for_all(&lower, span, negation)?;
            self.times.term(&mut self.lexer, &lower, operator, operator_span)?;
            return Ok(None);
        }
        let sided = lower.split_once('.').and_then(|(side, _)| match side {
            "old" | "previous_state" => Some(Side::Old),
            "new" | "new_state" => Some(Side::New),
            "any" => Some(Side::Any),
            _ => None,
        });
        let expr = if let Some(side) = sided {
            let start = name.find('.').map_or(0, |dot| dot + 1);
            self.state(side, &name[start..], span.start + start, operator, operator_span)?
        } else if VIRTUAL_NAMES.contains(&lower.as_str()) {
            self.virtual_field(&lower, operator, operator_span)?
        } else if let Some(field) = Field::by_name(name) {
            if self.lexer.is_change() {
                return Err(self.not_a_change(name, span));
            }
            self.column(field, operator, operator_span)?
        } else if operator == Operator::Is && self.lexer.is_change() {
            self.change(name, span)?
        } else {
            return Err(no_field(name, span));
        };
        Ok(Some(expr))
    }

    /// Refuses a term that counts for the whole filter where it does not.
    fn count_for_all(
        &self,
        name: &str,
        span: Range<usize>,
        negation: Option<Range<usize>>,
    ) -> Result<(), FilterError> {
        if let Some(sign) = negation {
            return Err(FilterError::new(sign, format!("'{name}' cannot be negated"))
                .hint("use since: for 'not before' and until: for 'before'"));
        }
        if self.depth > 0 {
            return Err(FilterError::new(span, format!("'{name}' counts for the whole filter"))
                .hint("write it outside the parentheses"));
        }
        Ok(())
    }

    /// `tod:`, `dow:`, `changed:`, `onlychanged:`, `integrity:`, `is:`, `tag:`
    fn virtual_field(
        &mut self,
        name: &str,
        operator: Operator,
        operator_span: Range<usize>,
    ) -> Result<Expr, FilterError> {
        let compared = matches!(operator, Operator::AtLeast | Operator::Below) && name == "tod";
        if !compared && !matches!(operator, Operator::Is | Operator::IsNot) {
            return Err(FilterError::new(operator_span, format!("'{name}' takes ':'")));
        }
        let expr = match name {
            "changed" | "onlychanged" => self.changed(name == "onlychanged")?,
            "tod" => self.hours(operator)?,
            "dow" => self.weekdays()?,
            _ => self.local(name)?,
        };
        Ok(if operator == Operator::IsNot { expr.not() } else { expr })
    }

    fn values(&mut self) -> Result<Vec<Scalar>, FilterError> {
        let mut values = Vec::new();
        loop {
            values.push(self.lexer.scalar()?);
            self.lexer.end_of_value()?;
            if !self.lexer.take(",") {
                return Ok(values);
            }
        }
    }

    /// A value, and the end of the range that it begins.
    fn range(&mut self) -> Result<(Scalar, Option<Scalar>), FilterError> {
        let from = self.lexer.scalar()?;
        let to = if self.lexer.take("..") { Some(self.lexer.scalar()?) } else { None };
        self.lexer.end_of_value()?;
        Ok((from, to))
    }
}

/// A value that is not one of the few a field knows.
fn unknown_word(field: &str, value: &Scalar, words: &[&str]) -> FilterError {
    let error =
        FilterError::new(value.span.clone(), format!("'{field}' does not know '{}'", shown(&value.text)));
    let lower = value.text.to_ascii_lowercase();
    match nearest(&lower, words.iter().copied()) {
        Some(nearest) => error.hint(format!("did you mean '{nearest}'?")),
        None => error.hint(format!("it is one of {}", words.join(", "))),
    }
}

fn regex(pattern: String, ignore_case: bool, span: Range<usize>) -> Result<Expr, FilterError> {
    if pattern.is_empty() {
        return Err(FilterError::new(span, "this regular expression is empty"));
    }
    if pattern.contains('\0') {
        return Err(FilterError::new(span, "the character U+0000 is in no value of the table"));
    }
    Ok(Expr::Regex(Regex { pattern, ignore_case }))
}

/// Why there is no term where one is wanted.
fn no_term(word: &str, span: Range<usize>, negation: Option<Range<usize>>) -> FilterError {
    match (word.chars().next(), negation) {
        (Some('-' | '!'), _) => FilterError::new(span.start..span.start + 1, "a term is negated once only"),
        (_, Some(sign)) => FilterError::new(sign, "a negation wants a term behind it")
            .hint("write -action:read, without a blank"),
        (_, None) => FilterError::new(span.start..span.start, "a term is missing here"),
    }
}
