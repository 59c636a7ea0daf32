//! The canonical spelling.

use super::ast::{Center, Change, Expr, Filter, Match, Matcher, Regex, StateMatch, Test, Words};
use super::parser::needs_side;
use super::path::quoted;
use super::value::Value;
use std::fmt;

impl fmt::Display for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let times = [("since", self.since), ("until", self.until), ("at", self.at)];
        let mut parts: Vec<String> =
            times.into_iter().filter_map(|(name, when)| Some(format!("{name}:{}", when?))).collect();
        if let Some(around) = &self.around {
            parts.push(match &around.center {
                Center::Time(when) => format!("around:{when}"),
                Center::Event(id) => format!("around:{}", scalar(id)),
            });
            parts.extend(around.span.map(|span| format!("span:{span}")));
        }
        parts.extend(self.zone.map(|zone| format!("zone:{}", zone.name())));
        parts.extend(self.all_time.then(|| "all-time".to_owned()));
        // Alone, an OR needs no parentheses; beside a time term it does.
        let alone = parts.is_empty() && self.all_of.len() == 1;
        parts.extend(self.all_of.iter().map(|e| if alone { e.to_string() } else { part_of_and(e) }));
        f.write_str(&parts.join(" "))
    }
}

/// As a part of an AND.
fn part_of_and(expr: &Expr) -> String {
    match expr {
        Expr::And(_) | Expr::Or(_) => format!("({expr})"),
        _ => expr.to_string(),
    }
}

impl fmt::Display for Expr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::And(parts) => f.write_str(&parts.iter().map(part_of_and).collect::<Vec<_>>().join(" ")),
            Self::Or(parts) => {
                f.write_str(&parts.iter().map(ToString::to_string).collect::<Vec<_>>().join(" OR "))
            }
            Self::Not(inner) => write!(f, "-{}", part_of_and(inner)),
            Self::Match(found) => found.fmt(f),
            Self::State(found) => found.fmt(f),
            Self::Changed(paths) => write!(f, "changed:{}", joined(paths)),
            Self::OnlyChanged(paths) => write!(f, "onlychanged:{}", joined(paths)),
            Self::Change(change) => change.fmt(f),
            Self::Words(words) => words.fmt(f),
            Self::Regex(regex) => regex.fmt(f),
            Self::Hours(any_of) => write!(f, "tod:{}", joined(any_of)),
            Self::Weekdays(days) => write!(f, "dow:{days}"),
            Self::Local(local) => local.question.fmt(f),
        }
    }
}

fn joined<T: fmt::Display>(list: &[T]) -> String {
    list.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
}

impl fmt::Display for Match {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let contains = matches!(self.any_of.first(), Some(Matcher::Contains(_)));
        write!(f, "{}{}{}", self.field.name(), if contains { '~' } else { ':' }, joined(&self.any_of))
    }
}

impl fmt::Display for Matcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Present => f.write_str("*"),
            Self::Absent => f.write_str("null"),
            Self::Equals(text) | Self::Contains(text) => f.write_str(&scalar(text)),
            Self::Prefix(text) => write!(f, "{}*", scalar(text)),
            Self::Network(network) => f.write_str(&scalar(&network.to_string())),
            Self::Resource { resource_type, id, prefix } => {
                let star = if *prefix { "*" } else { "" };
                write!(f, "{}{star}", scalar(&format!("{resource_type}/{id}")))
            }
        }
    }
}

impl fmt::Display for StateMatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.side.name(), self.path)?;
        match self.any_of.as_slice() {
            [Test::Compare(comparison, value)] => write!(f, "{}{value}", comparison.sign()),
            any_of => {
                let contains = matches!(any_of.first(), Some(Test::Contains(_)));
                write!(f, "{}{}", if contains { '~' } else { ':' }, joined(any_of))
            }
        }
    }
}

impl fmt::Display for Test {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Present => f.write_str("*"),
            Self::Null => f.write_str("null"),
            Self::Missing => f.write_str("missing"),
            Self::Equals(value) | Self::Compare(_, value) => value.fmt(f),
            Self::Prefix(text) => write!(f, "{}*", scalar(text)),
            Self::Contains(text) => f.write_str(&scalar(text)),
            Self::Range(from, to) => write!(f, "{from}..{to}"),
        }
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            // A point at the end would become part of the `..` of a range.
            Self::Text(text)
                if !matches!(Self::of_bare(text), Self::Text(_))
                    || looks_numeric(text)
                    || text.ends_with('.') =>
            {
                f.write_str(&quoted(text))
            }
            Self::Text(text) => f.write_str(&scalar(text)),
            Self::Number(number) => f.write_str(number.as_str()),
            Self::Bool(truth) => truth.fmt(f),
        }
    }
}

/// A text that somebody could take for a number.
fn looks_numeric(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_digit()) && text.parse::<f64>().is_ok()
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}:", if needs_side(&self.path) { "any." } else { "" }, self.path)?;
        if let Some(from) = &self.from {
            from.fmt(f)?;
        }
        f.write_str("->")?;
        self.to.as_ref().map_or(Ok(()), |to| to.fmt(f))
    }
}

impl fmt::Display for Words {
    /// Always in quotes, so that it stands behind OR as well.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", quoted(&self.text), if self.prefix { "*" } else { "" })
    }
}

impl fmt::Display for Regex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("/")?;
        let mut chars = self.pattern.chars();
        while let Some(c) = chars.next() {
            match c {
                '\\' => {
                    f.write_str("\\")?;
                    chars.next().map_or(Ok(()), |escaped| write!(f, "{escaped}"))?;
                }
                '/' => f.write_str("\\/")?,
                c => write!(f, "{c}")?,
            }
        }
        f.write_str(if self.ignore_case { "/i" } else { "/" })
    }
}

/// A value: bare where nobody could read it as anything else, else in quotes.
pub(super) fn scalar(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | '@' | ':' | '/' | '+');
    let bare = text.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_')
        && text.chars().all(plain)
        && !text.contains("..")
        && !["null", "missing"].iter().any(|word| text.eq_ignore_ascii_case(word));
    if bare { text.to_owned() } else { quoted(text) }
}
