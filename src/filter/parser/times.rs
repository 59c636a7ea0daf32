//! Terms that count for the whole filter: bounds of time and the zone. Times are read at the end, when the zone is
//! known.

use super::super::ast::{Around, Center, Filter};
use super::super::error::FilterError;
use super::super::lexer::{Lexer, Operator, Scalar};
use super::super::when::{Precision, Span, When, WhenError, interval_end, is_day, zone};
use super::shown;
use chrono_tz::Tz;
use std::ops::Range;

/// The terms found, as written.
#[derive(Debug, Default)]
pub(super) struct Times {
    found: Vec<(&'static str, Scalar)>,
    all_time: Option<Range<usize>>,
}

impl Times {
    /// Where the first of them stands; the zone and `span:` are none.
    pub(super) fn first(&self) -> Option<Range<usize>> {
        let starts = self.found.iter().map(|(_, value)| value.span.clone()).chain(self.all_time.clone());
        starts.min_by_key(|span| span.start)
    }

    pub(super) fn set_all_time(&mut self, span: Range<usize>) {
        self.all_time.get_or_insert(span);
    }

    /// `name op value`, behind the operator.
    pub(super) fn term(
        &mut self,
        lexer: &mut Lexer<'_>,
        name: &str,
        operator: Operator,
        operator_span: Range<usize>,
    ) -> Result<(), FilterError> {
        let Some(name) = super::TIME_NAMES.into_iter().find(|known| *known == name) else { return Ok(()) };
        if operator != Operator::Is {
            let example = match name {
                "zone" => "Europe/Berlin",
                "span" => "5m",
                _ => "-7d",
            };
            return Err(FilterError::new(operator_span, format!("'{name}' takes ':'"))
                .hint(format!("write {name}:{example}")));
        }
        let mut value = lexer.scalar()?;
        if !value.quoted && is_day(&value.text) {
            with_clock(lexer, &mut value);
        }
        lexer.end_of_value()?;
        if lexer.peek() == Some(',') {
            let at = lexer.position();
            return Err(FilterError::new(at..at + 1, format!("'{name}' takes one value")));
        }
        if self.found.iter().any(|(known, _)| *known == name) {
            return Err(
                FilterError::new(value.span, format!("'{name}' is given twice")).hint("keep one of them")
            );
        }
        self.found.push((name, value));
        Ok(())
    }

    fn take(&mut self, name: &str) -> Option<Scalar> {
        let at = self.found.iter().position(|(known, _)| *known == name)?;
        Some(self.found.swap_remove(at).1)
    }

    /// The filter without its conditions.
    pub(super) fn finish(mut self) -> Result<Filter, FilterError> {
        let mut filter = Filter { all_time: self.all_time.is_some(), ..Filter::default() };
        if let Some(name) = self.take("zone") {
            let found =
                zone(&name.text).filter(|_| !name.starred).ok_or_else(|| no_zone(name.span, &name.text));
            filter.zone = Some(found?);
        }
        let zone = filter.zone();
        if let Some(value) = self.take("since") {
            filter.since = Some(read(&value, zone)?.0);
        }
        if let Some(value) = self.take("until") {
            filter.until = Some(read(&value, zone)?.0);
        }
        if let Some(value) = self.take("at") {
            let (when, precision) = read(&value, zone)?;
            stands_alone(&filter, "at", &value.span)?;
            set_at(&mut filter, when, precision, value.span, zone)?;
        }
        let span = self.take("span");
        if let Some(value) = self.take("around") {
            stands_alone(&filter, "around", &value.span)?;
            let center = match (When::parse(&value.text, zone), value.starred || value.text.is_empty()) {
                (_, true) => {
                    return Err(FilterError::new(value.span, "'around' takes a time or the id of an event"));
                }
                (Ok((when, _)), _) => Center::Time(when),
                (Err(WhenError::Clock(why)), _) => return Err(FilterError::new(value.span, why.to_string())),
                (Err(_), _) => Center::Event(value.text),
            };
            let span = span.as_ref().map(reach).transpose()?;
            filter.around = Some(Box::new(Around { center, span }));
        } else if let Some(value) = span {
            return Err(FilterError::new(value.span, "'span' says how far around: reaches")
                .hint("write around:EVENT span:5m"));
        }
        Ok(filter)
    }
}

/// `today 08:00 Europe/Berlin` without quotes: a clock time behind the day belongs to it, and so does a zone behind
/// that.
fn with_clock(lexer: &mut Lexer<'_>, value: &mut Scalar) {
    let mut ahead = lexer.clone();
    for is_part in [
        (|word: &str| word.contains(':') && super::super::clock::clock(word).is_some()) as fn(&str) -> bool,
        |word: &str| zone(word).is_some(),
    ] {
        let blanks = ahead.blanks();
        let (word, span) = ahead.word();
        if !blanks || !is_part(word) {
            return;
        }
        ahead.skip_to(span.end);
        value.text.push(' ');
        value.text.push_str(word);
        value.span.end = span.end;
        *lexer = ahead.clone();
    }
}

fn read(value: &Scalar, zone: Tz) -> Result<(When, Precision), FilterError> {
    let span = value.span.clone();
    if value.starred {
        return Err(no_time(span, &value.text));
    }
    When::parse(&value.text, zone).map_err(|e| match e {
        WhenError::NoTime => no_time(span, &value.text),
        WhenError::NoZone(name) => no_zone(span, &name),
        WhenError::Clock(why) => FilterError::new(span, why.to_string())
            .hint("write it with its offset, such as 2026-10-25T02:30+01:00"),
    })
}

fn set_at(
    filter: &mut Filter,
    when: When,
    precision: Precision,
    span: Range<usize>,
    zone: Tz,
) -> Result<(), FilterError> {
    match (when, precision) {
        (When::Instant(start), Precision::Unit(unit)) => {
            filter.since = Some(when);
            filter.until = interval_end(start, unit, zone).map(When::Instant);
        }
        (When::Instant(start), Precision::Exact) => {
            filter.since = Some(when);
            filter.until = Some(When::Instant(start.next()));
        }
        (When::Now | When::Offset { snap: None, .. }, _) => {
            return Err(FilterError::new(span, "'at' wants an interval, this is an instant")
                .hint("write at:2026-01-15, at:yesterday, at:-1h@h, or around:now span:5m"));
        }
        _ => filter.at = Some(when),
    }
    Ok(())
}

fn reach(value: &Scalar) -> Result<Span, FilterError> {
    Span::parse(&value.text).filter(|_| !value.starred).ok_or_else(|| {
        FilterError::new(value.span.clone(), format!("'{}' is not a duration", shown(&value.text)))
            .hint("write 30s, 5m, 2h, 1d or 1w")
    })
}

/// Refuses a second way to say which time is looked at.
fn stands_alone(filter: &Filter, name: &str, span: &Range<usize>) -> Result<(), FilterError> {
    let other = [
        (filter.since.is_some(), "since"),
        (filter.until.is_some(), "until"),
        (filter.at.is_some(), "at"),
        (filter.around.is_some(), "around"),
    ];
    match other.into_iter().find(|(there, _)| *there) {
        Some((_, other)) => {
            Err(FilterError::new(span.clone(), format!("'{name}' and '{other}' both choose the time"))
                .hint("keep one of them"))
        }
        None => Ok(()),
    }
}

fn no_time(span: Range<usize>, text: &str) -> FilterError {
    FilterError::new(span, format!("'{}' is not a time", shown(text))).hint(
        "write 2026-01-15, 2026-01-15T09:58:01Z, -7d, -24h@h, now, today, yesterday or monday \
         (units: s m h d w mon y; UTC unless zone: says otherwise)",
    )
}

fn no_zone(span: Range<usize>, text: &str) -> FilterError {
    FilterError::new(span, format!("'{}' is not the name of a zone", shown(text)))
        .hint("write Europe/Berlin, America/New_York or UTC; abbreviations such as CET mean different things")
}

/// Sets a bound from outside the text; `text` is the whole of it.
pub(in super::super) fn set_bound(filter: &mut Filter, name: &str, text: &str) -> Result<(), FilterError> {
    let span = 0..text.len();
    let value = Scalar { text: text.to_owned(), quoted: true, starred: false, span: span.clone() };
    let when = read(&value, filter.zone())?.0;
    let others = [(filter.at.is_some(), "at"), (filter.around.is_some(), "around")];
    if let Some((_, other)) = others.into_iter().find(|(there, _)| *there) {
        return Err(FilterError::new(span, format!("'{name}' and '{other}' both choose the time"))
            .hint("keep one of them"));
    }
    let bound = if name == "since" { &mut filter.since } else { &mut filter.until };
    match bound.replace(when) {
        None => Ok(()),
        Some(_) => Err(FilterError::new(span, format!("'{name}' is given twice")).hint("keep one of them")),
    }
}
