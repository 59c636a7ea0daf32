//! Terms on the time of day, the day of the week, and what only this machine knows.

use super::super::ast::Expr;
use super::super::clock::{DAY, Hours, Weekdays, clock, weekday, weekday_names};
use super::super::error::FilterError;
use super::super::lexer::{Operator, Scalar};
use super::super::local::{Integrity, Local, Noted, Question};
use super::{Parser, shown, unknown_word};

impl Parser<'_> {
    pub(super) fn hours(&mut self, operator: Operator) -> Result<Expr, FilterError> {
        let read = |value: &Scalar| {
            clock(&value.text).filter(|_| !value.starred).ok_or_else(|| {
                FilterError::new(value.span.clone(), format!("'{}' is not a time of day", shown(&value.text)))
                    .hint("write 22:00, 06:30 or 24:00, and ranges as tod:22:00..06:00")
            })
        };
        let mut any_of = Vec::new();
        loop {
            let (from, to) = self.range()?;
            let span = from.span.start..self.lexer.position();
            let (start, length) = read(&from)?;
            let hours = match (operator, to) {
                (Operator::AtLeast, None) => Hours { from: start, to: DAY },
                (Operator::Below, None) => Hours { from: 0, to: start },
                (Operator::AtLeast | Operator::Below, Some(_)) => {
                    return Err(FilterError::new(span, "a comparison takes one value"));
                }
                (_, Some(to)) => Hours { from: start, to: read(&to)?.0 },
                (_, None) => Hours { from: start, to: start + length },
            };
            if hours.from == hours.to || hours.from >= DAY || hours.to > DAY {
                return Err(FilterError::new(span, "no time of the day lies in there"));
            }
            any_of.push(hours);
            if !self.lexer.take(",") {
                return Ok(Expr::Hours(any_of));
            }
        }
    }

    pub(super) fn weekdays(&mut self) -> Result<Expr, FilterError> {
        let read = |value: &Scalar| {
            weekday(&value.text).filter(|_| !value.starred).ok_or_else(|| {
                let names = weekday_names().collect::<Vec<_>>().join(", ");
                FilterError::new(
                    value.span.clone(),
                    format!("'{}' is not a day of the week", shown(&value.text)),
                )
                .hint(format!("the days are {names}; ranges are written dow:mon..fri"))
            })
        };
        let mut days = Weekdays::default();
        loop {
            let (from, to) = self.range()?;
            let from = read(&from)?;
            days.add(from, to.as_ref().map_or(Ok(from), read)?);
            if !self.lexer.take(",") {
                return Ok(Expr::Weekdays(days));
            }
        }
    }

    pub(super) fn local(&mut self, name: &str) -> Result<Expr, FilterError> {
        let values = self.values()?;
        let question = match name {
            "integrity" => Question::Integrity(named(name, &values, &Integrity::ALL, Integrity::name)?),
            "is" => Question::Is(named(name, &values, &Noted::ALL, Noted::name)?),
            _ => {
                let mut tags = Vec::new();
                for value in values {
                    if value.starred || value.text.is_empty() {
                        return Err(FilterError::new(value.span, "'tag' takes whole tags"));
                    }
                    if !tags.contains(&value.text) {
                        tags.push(value.text);
                    }
                }
                Question::Tag(tags)
            }
        };
        Ok(Expr::Local(Local { question, answer: None }))
    }
}

/// The values as members of a few that have names.
fn named<T: Copy + PartialEq>(
    field: &str,
    values: &[Scalar],
    all: &[T],
    name: fn(T) -> &'static str,
) -> Result<Vec<T>, FilterError> {
    let mut found = Vec::new();
    for value in values {
        let Some(one) = all.iter().copied().find(|one| value.is_word(name(*one))) else {
            let names: Vec<&str> = all.iter().map(|one| name(*one)).collect();
            return Err(unknown_word(field, value, &names));
        };
        if !found.contains(&one) {
            found.push(one);
        }
    }
    Ok(found)
}
