//! Terms on the columns of the table.

use super::super::ast::{Expr, Match, Matcher};
use super::super::error::FilterError;
use super::super::field::{Field, Kind};
use super::super::lexer::{Operator, Scalar};
use super::{Parser, shown, unknown_word};
use crate::domain::Severity;
use std::ops::Range;

/// Most values of a list from a file.
const LONGEST_LIST: usize = 10_000;

impl Parser<'_> {
    /// `field op values`, behind the operator.
    pub(super) fn column(
        &mut self,
        field: Field,
        operator: Operator,
        span: Range<usize>,
    ) -> Result<Expr, FilterError> {
        let any_of = match operator {
            Operator::AtLeast | Operator::AtMost | Operator::Above | Operator::Below => {
                compared(field, operator, span, &self.values()?)?
            }
            Operator::Contains => contained(field, span, self.values()?)?,
            Operator::Is | Operator::IsNot if field == Field::EventSeverity => self.severities()?,
            Operator::Is | Operator::IsNot => matchers(field, self.values()?)?,
        };
        let found = Expr::Match(Match { field, any_of });
        Ok(if operator == Operator::IsNot { found.not() } else { found })
    }

    /// Severities and ranges of them.
    fn severities(&mut self) -> Result<Vec<Matcher>, FilterError> {
        let mut any_of = Vec::new();
        loop {
            let (from, to) = self.range()?;
            let Some(to) = to else {
                push_new(&mut any_of, matcher(Field::EventSeverity, from)?);
                if self.lexer.take(",") {
                    continue;
                }
                return Ok(any_of);
            };
            let (low, high) = (severity(&from)?, severity(&to)?);
            if low > high {
                return Err(FilterError::new(from.span.start..to.span.end, "this range is empty")
                    .hint("the order is info, warning, critical"));
            }
            for s in Severity::ALL.iter().filter(|s| (low..=high).contains(*s)) {
                push_new(&mut any_of, Matcher::Equals(s.as_str().to_owned()));
            }
            if !self.lexer.take(",") {
                return Ok(any_of);
            }
        }
    }

    /// `field in @file` or `field in a,b`, behind the `in`.
    pub(super) fn membership(&mut self, name: &str, span: Range<usize>) -> Result<Expr, FilterError> {
        let Some(field) = Field::by_name(name) else {
            return Err(FilterError::new(span, format!("unknown field '{}'", shown(name))));
        };
        self.lexer.blanks();
        let any_of = if self.lexer.take("@") {
            let (file, span) = self.lexer.file()?;
            let refused = |why: &str| {
                FilterError::new(span.clone(), format!("the list '{}' cannot be used: {why}", shown(&file)))
            };
            let text = (self.lists)(&file).map_err(|why| refused(&why))?;
            let values = listed(&text).map_err(|why| refused(&why))?;
            matchers(field, values).map_err(|e| refused(e.message()))?
        } else {
            matchers(field, self.values()?)?
        };
        Ok(Expr::Match(Match { field, any_of }))
    }
}

/// The values of a file: one on a line, `#` begins a remark, `*` at the end stands for any text.
fn listed(text: &str) -> Result<Vec<Scalar>, String> {
    let mut values = Vec::new();
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let (head, starred) = line.strip_suffix('*').map_or((line, false), |head| (head, true));
        if head.contains('\0') {
            return Err("the character U+0000 is in no value of the table".to_owned());
        }
        values.push(Scalar { text: head.to_owned(), quoted: true, starred, span: 0..0 });
    }
    match values.len() {
        0 => Err("it holds no value".to_owned()),
        n if n > LONGEST_LIST => {
            Err(format!("it holds {n} values, {LONGEST_LIST} at most can be searched for"))
        }
        _ => Ok(values),
    }
}

fn matchers(field: Field, values: Vec<Scalar>) -> Result<Vec<Matcher>, FilterError> {
    let mut any_of = Vec::with_capacity(values.len());
    let mut seen = std::collections::HashSet::new();
    for value in values {
        let key = (value.text.clone(), value.quoted, value.starred);
        if seen.insert(key) {
            let found = matcher(field, value)?;
            if any_of.len() >= 100 || !any_of.contains(&found) {
                any_of.push(found);
            }
        }
    }
    Ok(any_of)
}

fn contained(field: Field, span: Range<usize>, values: Vec<Scalar>) -> Result<Vec<Matcher>, FilterError> {
    if !matches!(field.kind(), Kind::Text | Kind::Email | Kind::Actor) {
        return Err(FilterError::new(span, format!("'{}' does not take '~'", field.name()))
            .hint(if field == Field::Resource { "use resource_id~ or resource_type~" } else { "use ':'" }));
    }
    let mut any_of = Vec::new();
    for value in values {
        if value.starred || value.text.is_empty() {
            return Err(FilterError::new(
                value.span,
                "'~' takes a text that is contained somewhere, without '*'",
            ));
        }
        push_new(&mut any_of, Matcher::Contains(folded(field, value.text)));
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
    if value.is_word("null") {
        return if field.is_nullable() {
            Ok(Matcher::Absent)
        } else {
            Err(FilterError::new(value.span, format!("'{}' always has a value", field.name()))
                .hint("put the value in quotes if you look for this text"))
        };
    }
    if value.is_star() {
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
                format!("'{}' is not an address or network", shown(&value.text)),
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
    let found = words.iter().find(|w| **w == wanted && !value.starred);
    found.copied().ok_or_else(|| unknown_word(field.name(), value, &words))
}

fn severity(value: &Scalar) -> Result<Severity, FilterError> {
    word(Field::EventSeverity, value)?
        .parse()
        .map_err(|e: crate::domain::ColumnError| FilterError::new(value.span.clone(), e.to_string()))
}

/// `sev>=warning` as the severities it stands for.
fn compared(
    field: Field,
    operator: Operator,
    span: Range<usize>,
    values: &[Scalar],
) -> Result<Vec<Matcher>, FilterError> {
    let [value] = values else {
        return Err(FilterError::new(span, "a comparison takes one value"));
    };
    if field != Field::EventSeverity {
        return Err(FilterError::new(span, format!("'{}' has no order", field.name()))
            .hint("only sev, tod and values in the states can be compared"));
    }
    let limit = severity(value)?;
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
