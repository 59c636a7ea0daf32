//! Text to [`Filter`].

use super::ast::{Expr, Filter, Match, Matcher};
use super::error::FilterError;
use super::field::{Field, Kind};
use super::lexer::{Lexer, Operator, Scalar};
use super::when::When;
use crate::domain::{Safe, Severity};
use std::ops::Range;

/// Names of the grammar that cannot be evaluated yet, and what they are.
const NOT_YET: &[(&[&str], &str)] = &[
    (&["at", "around", "span", "tod", "dow", "zone"], "this way to choose a time"),
    (&["changed", "onlychanged"], "change predicates"),
    (&["integrity"], "the integrity status as a field"),
    (&["is", "tag"], "bookmarks and tags"),
    (&["old", "new", "any", "previous_state", "new_state"], "predicates on the states"),
];

pub(super) fn parse(text: &str) -> Result<Filter, FilterError> {
    if text.len() > Filter::MAX_LENGTH {
        let message =
            format!("a filter has at most {} bytes, this one has {}", Filter::MAX_LENGTH, text.len());
        return Err(FilterError::new(0..0, message));
    }
    let mut parser = Parser { lexer: Lexer::new(text), filter: Filter::default() };
    parser.query()?;
    Ok(parser.filter)
}

/// Sets a time bound that must not be set yet; `text` is the whole of it.
pub(super) fn set_bound(bound: &mut Option<When>, name: &str, text: &str) -> Result<(), FilterError> {
    let when = When::parse(text).ok_or_else(|| no_time(0..text.len(), text))?;
    put_bound(bound, name, when, 0..text.len())
}

fn put_bound(
    bound: &mut Option<When>,
    name: &str,
    when: When,
    span: Range<usize>,
) -> Result<(), FilterError> {
    match bound.replace(when) {
        None => Ok(()),
        Some(_) => Err(FilterError::new(span, format!("'{name}' is given twice")).hint("keep one of them")),
    }
}

fn no_time(span: Range<usize>, text: &str) -> FilterError {
    FilterError::new(span, format!("'{}' is not a time", shown(text))).hint(
        "write 2026-01-15, 2026-01-15T09:58:01Z, -7d, -24h@h, now, today or yesterday (units: s m h d w mon y; UTC)",
    )
}

/// A part of the filter, fit for a message.
fn shown(text: &str) -> Safe {
    Safe::from_untrusted(text).cut_end(60)
}

struct Parser<'a> {
    lexer: Lexer<'a>,
    filter: Filter,
}

impl Parser<'_> {
    /// `{ [AND] [NOT] term }`
    fn query(&mut self) -> Result<(), FilterError> {
        self.lexer.blanks();
        // Where an AND stands that still wants its right side.
        let mut pending: Option<Range<usize>> = None;
        let mut first = true;
        while self.lexer.peek().is_some() {
            let (_, word) = self.lexer.word();
            if self.lexer.take("&&") || self.lexer.keyword("and") {
                let span = word.start..self.lexer.position();
                if first || pending.is_some() {
                    return Err(FilterError::new(span, "AND wants a term on its left"));
                }
                pending = Some(span);
            } else if self.lexer.take("||") || self.lexer.keyword("or") {
                return Err(FilterError::new(word.start..self.lexer.position(), "OR is not yet available")
                    .hint("several values of one field are written field:a,b"));
            } else {
                self.not()?;
                pending = None;
                first = false;
            }
            if !self.lexer.blanks() && pending.is_none() && self.lexer.peek().is_some_and(|c| c != ')') {
                let at = self.lexer.position();
                return Err(FilterError::new(
                    at..self.lexer.word().1.end,
                    "a term ends here, but something follows",
                )
                .hint("put a blank between terms"));
            }
        }
        match pending {
            Some(span) => Err(FilterError::new(span, "AND wants a term on its right")),
            None => Ok(()),
        }
    }

    fn not(&mut self) -> Result<(), FilterError> {
        let start = self.lexer.position();
        let negated = self.lexer.keyword("not") || self.lexer.take("-") || self.lexer.take("!");
        let sign = start..self.lexer.position();
        if sign.len() > 1 {
            self.lexer.blanks();
        }
        self.term(negated.then_some(sign))
    }

    /// A term; `negation` is the place of the sign before it.
    fn term(&mut self, negation: Option<Range<usize>>) -> Result<(), FilterError> {
        let (word, word_span) = self.lexer.word();
        if self.lexer.keyword("all-time") {
            if let Some(span) = negation {
                return Err(FilterError::new(span, "'all-time' cannot be negated"));
            }
            self.filter.all_time = true;
            return Ok(());
        }
        if Field::by_name(word).is_some() && self.lexer.is_membership() {
            return Err(FilterError::new(
                word_span,
                "lists from a file (field in @file) are not yet available",
            )
            .hint("several values are written field:a,b"));
        }
        let Some((name, name_span)) = self.lexer.name() else {
            return Err(no_term(word, word_span, negation));
        };
        let operator = self.lexer.operator();
        let operator_span = name_span.end..self.lexer.position();
        if let "since" | "until" = name.to_ascii_lowercase().as_str() {
            if let Some(span) = negation {
                return Err(FilterError::new(span, "a bound of time cannot be negated")
                    .hint("use since: for 'not before' and until: for 'before'"));
            }
            return self.bound(&name.to_ascii_lowercase(), operator, operator_span);
        }
        let Some(field) = Field::by_name(name) else {
            return Err(self.no_field(name, name_span));
        };
        let values = self.values()?;
        let negated = negation.is_some() != (operator == Operator::IsNot);
        let any_of = matchers(field, operator, operator_span, values)?;
        let found = Expr::Match(Match { field, any_of });
        self.filter.all_of.push(if negated { Expr::Not(Box::new(found)) } else { found });
        Ok(())
    }

    fn values(&mut self) -> Result<Vec<Scalar>, FilterError> {
        let mut values = vec![self.lexer.scalar()?];
        while self.lexer.take(",") {
            values.push(self.lexer.scalar()?);
        }
        Ok(values)
    }

    fn bound(&mut self, name: &str, operator: Operator, span: Range<usize>) -> Result<(), FilterError> {
        if operator != Operator::Is {
            return Err(
                FilterError::new(span, format!("'{name}' takes ':'")).hint(format!("write {name}:-7d"))
            );
        }
        let value = self.lexer.scalar()?;
        let when = When::parse(&value.text).filter(|_| !value.starred);
        let when = when.ok_or_else(|| no_time(value.span.clone(), &value.text))?;
        let bound = if name == "since" { &mut self.filter.since } else { &mut self.filter.until };
        put_bound(bound, name, when, value.span)
    }

    /// Why a name before an operator is no field.
    fn no_field(&mut self, name: &str, span: Range<usize>) -> FilterError {
        let lower = name.to_ascii_lowercase();
        let root = lower.split(['.', '[']).next().unwrap_or_default();
        if matches!(lower.as_str(), "org" | "organization" | "organization_id") {
            return FilterError::new(
                span,
                "a filter cannot choose the organisation: every query is within one",
            )
            .hint("use --org, or the organisation chooser of the console");
        }
        if matches!(lower.as_str(), "timestamp" | "time" | "created") {
            return FilterError::new(span, "times are chosen by since: and until:").hint("write since:-7d");
        }
        if let Some((_, what)) = NOT_YET
            .iter()
            .find(|(names, _)| names.contains(&lower.as_str()) || root != lower && names.contains(&root))
        {
            return FilterError::new(span, format!("{what} ('{}:') not yet available", shown(name)));
        }
        if self.lexer.word().0.contains("->") {
            let end = self.lexer.word().1.end;
            return FilterError::new(
                span.start..end,
                "change predicates (path:old->new) are not yet available",
            );
        }
        let error = FilterError::new(span, format!("unknown field '{}'", shown(name)));
        let known = Field::all().flat_map(|f| f.names().iter().copied()).chain(["since", "until"]);
        let nearest = known.map(|k| (strsim::damerau_levenshtein(k, &lower), k)).min();
        match nearest {
            Some((distance, nearest)) if distance <= 1 + lower.chars().count() / 4 => {
                error.hint(format!("did you mean '{nearest}'?"))
            }
            _ => error.hint(format!(
                "the fields are {}",
                Field::all().map(Field::name).collect::<Vec<_>>().join(", ")
            )),
        }
    }
}

/// Why a word that no operator follows is no term.
fn no_term(word: &str, span: Range<usize>, negation: Option<Range<usize>>) -> FilterError {
    let not_yet = |what: &str| FilterError::new(span.clone(), format!("{what} not yet available"));
    match word.chars().next() {
        None => {
            let sign = negation.unwrap_or(span);
            FilterError::new(sign, "a negation wants a term behind it")
                .hint("write -action:read, without a blank")
        }
        Some('(' | ')') => FilterError::new(span.start..span.start + 1, "parentheses are not yet available")
            .hint("several values of one field are written field:a,b"),
        Some('"') => not_yet("searching for a phrase is"),
        Some('/') => not_yet("regular expressions are"),
        Some('-' | '!') => FilterError::new(span.start..span.start + 1, "a term is negated once only"),
        Some(_) if word.starts_with("&&") || word.eq_ignore_ascii_case("and") => {
            FilterError::new(span, "a negation wants a term behind it, not AND")
        }
        Some(_) => not_yet("searching for a word is").hint("write field:value, such as type:login.failed"),
    }
}

fn matchers(
    field: Field,
    operator: Operator,
    span: Range<usize>,
    values: Vec<Scalar>,
) -> Result<Vec<Matcher>, FilterError> {
    let mut any_of = Vec::with_capacity(values.len());
    match operator {
        Operator::AtLeast | Operator::AtMost | Operator::Above | Operator::Below => {
            any_of = compared(field, operator, span, values)?;
        }
        Operator::Contains => {
            if !matches!(field.kind(), Kind::Text | Kind::Email | Kind::Actor) {
                return Err(FilterError::new(span, format!("'{}' does not take '~'", field.name())).hint(
                    if field == Field::Resource { "use resource_id~ or resource_type~" } else { "use ':'" },
                ));
            }
            for value in values {
                if value.starred || value.text.is_empty() {
                    return Err(FilterError::new(
                        value.span,
                        "'~' takes a text that is contained somewhere, without '*'",
                    ));
                }
                push_new(&mut any_of, Matcher::Contains(folded(field, value.text)));
            }
        }
        Operator::Is | Operator::IsNot => {
            for value in values {
                push_new(&mut any_of, matcher(field, value)?);
            }
        }
    }
    Ok(any_of)
}

/// A value twice in a list says nothing new.
fn push_new(any_of: &mut Vec<Matcher>, matcher: Matcher) {
    if !any_of.contains(&matcher) {
        any_of.push(matcher);
    }
}

/// Texts of e-mail addresses match in either case, so they have one spelling.
fn folded(field: Field, text: String) -> String {
    if field.kind() == Kind::Email { text.to_ascii_lowercase() } else { text }
}

fn matcher(field: Field, value: Scalar) -> Result<Matcher, FilterError> {
    if !value.quoted && !value.starred && value.text.eq_ignore_ascii_case("null") {
        return if field.is_nullable() {
            Ok(Matcher::Absent)
        } else {
            Err(FilterError::new(value.span, format!("'{}' always has a value", field.name()))
                .hint("put the value in quotes if you look for this text"))
        };
    }
    if !value.quoted && value.starred && value.text.is_empty() {
        return Ok(Matcher::Present);
    }
    match field.kind() {
        Kind::Text | Kind::Email | Kind::Actor => {
            let text = folded(field, value.text);
            Ok(if value.starred { Matcher::Prefix(text) } else { Matcher::Equals(text) })
        }
        Kind::Word => word(field, &value).map(|w| Matcher::Equals(w.to_owned())),
        Kind::Address => match value.text.parse() {
            Ok(network) if !value.starred => Ok(Matcher::Network(network)),
            _ => Err(FilterError::new(
                value.span,
                format!("'{}' is no address and no network", shown(&value.text)),
            )
            .hint("write ip:203.0.113.7 or ip:203.0.113.0/24")),
        },
        Kind::Resource => match value.text.split_once('/') {
            Some((resource_type, id)) if !resource_type.is_empty() => Ok(Matcher::Resource {
                resource_type: resource_type.to_owned(),
                id: id.to_owned(),
                prefix: value.starred,
            }),
            _ => Err(FilterError::new(value.span, "'res' takes TYPE/ID").hint(
                "write res:trace/tr-1; for a type res:trace/*; for an id of any type resource_id:tr-1",
            )),
        },
    }
}

/// The word of the schema that `value` stands for.
fn word(field: Field, value: &Scalar) -> Result<&'static str, FilterError> {
    let words = field.words();
    let lower = value.text.to_ascii_lowercase();
    // What the console's own severity column shows.
    let wanted = match (field, lower.as_str()) {
        (Field::EventSeverity, "warn") => "warning",
        (Field::EventSeverity, "crit") => "critical",
        (_, word) => word,
    };
    if let Some(found) = words.iter().find(|w| **w == wanted && !value.starred) {
        return Ok(found);
    }
    let error = FilterError::new(
        value.span.clone(),
        format!("'{}' does not know '{}'", field.name(), shown(&value.text)),
    );
    let nearest = words.iter().min_by_key(|w| strsim::damerau_levenshtein(w, wanted));
    match nearest {
        Some(nearest) if strsim::damerau_levenshtein(nearest, wanted) <= 2 => {
            Err(error.hint(format!("did you mean '{nearest}'?")))
        }
        _ => Err(error.hint(format!("it is one of {}", words.join(", ")))),
    }
}

/// `sev>=warning` as the severities it stands for.
fn compared(
    field: Field,
    operator: Operator,
    span: Range<usize>,
    values: Vec<Scalar>,
) -> Result<Vec<Matcher>, FilterError> {
    let [value] = values.as_slice() else {
        return Err(FilterError::new(span, "a comparison takes one value"));
    };
    if field != Field::EventSeverity {
        return Err(FilterError::new(span, format!("'{}' has no order", field.name()))
            .hint("only sev can be compared"));
    }
    let limit: Severity = word(field, value)?
        .parse()
        .map_err(|e: crate::domain::ColumnError| FilterError::new(value.span.clone(), e.to_string()))?;
    let holds = |s: Severity| match operator {
        Operator::AtLeast => s >= limit,
        Operator::AtMost => s <= limit,
        Operator::Above => s > limit,
        _ => s < limit,
    };
    let any_of: Vec<_> =
        Severity::ALL.iter().filter(|s| holds(**s)).map(|s| Matcher::Equals(s.as_str().to_owned())).collect();
    if any_of.is_empty() {
        return Err(FilterError::new(value.span.clone(), "no severity is beyond this one"));
    }
    Ok(any_of)
}
