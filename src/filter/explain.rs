//! A filter in plain English.

use super::ast::{Center, Change, Comparison, Expr, Filter, Match, Matcher, Side, StateMatch, Test, Words};
use super::field::Field;
use super::local::{Question, Selection};
use super::value::Value;
use super::when::When;
use std::fmt::Display;

impl Filter {
    /// What it finds, in one sentence without a full stop: "update by user-1 that changed role, since 7 days ago UTC".
    /// It holds text of the filter: show it through [`crate::domain::Safe`]. `window` names the default window.
    pub fn explain(&self, window: &str) -> String {
        let mut actions = Vec::new();
        let mut parts = Vec::new();
        for expr in &self.all_of {
            match expr {
                Expr::Match(Match { field: Field::Action, any_of }) if actions.is_empty() => {
                    actions = any_of.iter().map(named).collect();
                }
                other => parts.push(condition(other)),
            }
        }
        let mut sentence = listed(&actions, "and");
        sentence.push_str(if actions.is_empty() { "events" } else { " events" });
        for (n, part) in parts.iter().enumerate() {
            let clause = ["whose", "where", "but", "either"].iter().any(|word| part.starts_with(word));
            sentence.push_str(if n > 0 && clause { ", " } else { " " });
            sentence.push_str(part);
        }
        format!("{sentence}, {}", self.time(window))
    }

    fn time(&self, window: &str) -> String {
        let zone = self.zone().name();
        if let Some(around) = &self.around {
            let center = match &around.center {
                Center::Time(when) => instant(*when),
                Center::Event(id) => format!("event {id}"),
            };
            return match around.span {
                Some(span) => format!("within {} of {center}", span.in_words()),
                None => format!("the 50 before and the 50 after {center}"),
            };
        }
        if let Some(when) = self.at {
            return format!("during {} {zone}", instant(when));
        }
        match (self.since, self.until) {
            (None, None) if self.all_time => "all time".to_owned(),
            (None, None) => format!("last {window} {zone}"),
            (Some(since), None) => format!("since {} {zone}", instant(since)),
            (Some(since), Some(until)) => {
                format!("from {} to before {} {zone}", instant(since), instant(until))
            }
            (None, Some(until)) if self.all_time => format!("before {} {zone}", instant(until)),
            (None, Some(until)) => format!("{window} before {} {zone}", instant(until)),
        }
    }
}

fn instant(when: When) -> String {
    match when {
        When::Instant(t) => {
            t.to_utc().map_or_else(|| t.to_string(), |t| t.format("%Y-%m-%d %H:%M:%S").to_string())
        }
        When::Offset { amount, unit, snap } => {
            let n = amount.unsigned_abs();
            let units = if n == 1 { format!("1 {}", unit.in_words(1)) } else { unit.in_words(n) };
            let distance = match (n, amount < 0) {
                (0, _) => "now".to_owned(),
                (_, true) => format!("{units} ago"),
                (_, false) => format!("{units} ahead"),
            };
            match snap {
                Some(snap) => format!("the start of the {} {distance}", snap.in_words(1)),
                None => distance,
            }
        }
        other => other.to_string().replace('"', ""),
    }
}

fn listed<T: Display>(parts: &[T], word: &str) -> String {
    match parts {
        [] => String::new(),
        [one] => one.to_string(),
        [head @ .., last] => {
            let head: Vec<String> = head.iter().map(ToString::to_string).collect();
            format!("{} {word} {last}", head.join(", "))
        }
    }
}

/// A condition as it stands behind "events".
fn condition(expr: &Expr) -> String {
    match expr {
        Expr::And(parts) => parts.iter().map(condition).collect::<Vec<_>>().join(" and "),
        Expr::Or(parts) => format!("either {}", parts.iter().map(condition).collect::<Vec<_>>().join(" or ")),
        Expr::Not(inner) => match inner.as_ref() {
            Expr::And(_) | Expr::Or(_) => format!("but not those ({})", condition(inner)),
            Expr::Match(_) | Expr::Words(_) => format!("but not {}", condition(inner)),
            _ => format!("but not those {}", condition(inner)),
        },
        Expr::Match(found) => column(found),
        Expr::State(found) => state(found),
        Expr::Changed(paths) if paths.iter().any(super::Path::is_whole) => "that changed anything".to_owned(),
        Expr::Changed(paths) => format!("that changed {}", listed(paths, "or")),
        Expr::OnlyChanged(paths) => format!("that changed nothing but {}", listed(paths, "and")),
        Expr::Change(change) => went(change),
        Expr::Words(Words { text, prefix }) => {
            let kind = if text.chars().all(char::is_alphanumeric) { "the word" } else { "the words" };
            let kind = if *prefix { "a word beginning with" } else { kind };
            format!("with {kind} \"{text}\"")
        }
        Expr::Regex(_) => format!("with text that matches {expr}"),
        Expr::Hours(any_of) => {
            let hours: Vec<String> = any_of.iter().map(|h| h.to_string().replace("..", " and ")).collect();
            format!("between {}", listed(&hours, "or"))
        }
        Expr::Weekdays(days) => {
            format!("on {}", listed(&days.to_string().split(',').collect::<Vec<_>>(), "or"))
        }
        Expr::Local(local) => {
            let known = match &local.answer {
                Some(Selection::Only(ids)) => format!(" ({} known)", ids.len()),
                _ => String::new(),
            };
            let asked = match &local.question {
                Question::Integrity(any_of) => {
                    format!("whose integrity is {}", listed(&names(any_of.iter().map(|i| i.name())), "or"))
                }
                Question::Is(any_of) => {
                    format!("that are {}", listed(&names(any_of.iter().map(|n| n.name())), "or"))
                }
                Question::Tag(tags) => format!("tagged {}", listed(tags, "or")),
            };
            asked + &known
        }
    }
}

fn names<'a>(names: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    names.collect()
}

fn named(matcher: &Matcher) -> String {
    match matcher {
        Matcher::Present => "any".to_owned(),
        Matcher::Absent => "none".to_owned(),
        Matcher::Equals(text) if text.is_empty() => "the empty text".to_owned(),
        Matcher::Equals(text) => text.clone(),
        Matcher::Prefix(text) => format!("{text}…"),
        Matcher::Contains(text) => format!("…{text}…"),
        Matcher::Network(network) => network.to_string(),
        Matcher::Resource { resource_type, id, prefix } => match (id.as_str(), prefix) {
            ("", true) => format!("any {resource_type}"),
            (id, true) => format!("{resource_type} {id}…"),
            (id, false) => format!("{resource_type} {id}"),
        },
    }
}

fn column(found: &Match) -> String {
    match found.any_of.as_slice() {
        [Matcher::Present] => return format!("with {}", found.field.title()),
        [Matcher::Absent] => return format!("without {}", found.field.title()),
        _ => {}
    }
    // A long list from a file would hide the rest.
    let shown = found.any_of.iter().take(5).map(named);
    let more = (found.any_of.len() > 5).then(|| format!("{} others", found.any_of.len() - 5));
    let values = listed(&shown.chain(more).collect::<Vec<_>>(), "or");
    match found.field {
        Field::Actor | Field::ActorId | Field::ActorEmail => format!("by {values}"),
        Field::ActorIp => format!("from {values}"),
        Field::Resource => format!("on {values}"),
        Field::Action => format!("with action {values}"),
        field => format!("with {} {values}", field.title()),
    }
}

fn state(found: &StateMatch) -> String {
    let side = match found.side {
        Side::Old => "old",
        Side::New => "new",
        Side::Any => "old or new",
    };
    let tests: Vec<String> = found.any_of.iter().map(test).collect();
    format!("whose {side} {} {}", found.path, listed(&tests, "or"))
}

fn test(test: &Test) -> String {
    match test {
        Test::Present => "has a value".to_owned(),
        Test::Null => "is null or missing".to_owned(),
        Test::Missing => "is missing".to_owned(),
        Test::Equals(value) => format!("is or holds {}", typed(value)),
        Test::Prefix(text) => format!("begins with \"{text}\""),
        Test::Contains(text) => format!("contains \"{text}\""),
        Test::Compare(comparison, value) => {
            let words = match comparison {
                Comparison::Above => "is above",
                Comparison::AtLeast => "is at least",
                Comparison::Below => "is below",
                Comparison::AtMost => "is at most",
            };
            format!("{words} {}", typed(value))
        }
        Test::Range(from, to) => format!("is from {} to {}", typed(from), typed(to)),
    }
}

/// A value with its type where it can be mistaken: the text "100" is not the number 100.
fn typed(value: &Value) -> String {
    match value {
        Value::Text(text) => format!("\"{text}\""),
        Value::Number(number) => format!("the number {}", number.as_str()),
        Value::Bool(truth) => truth.to_string(),
    }
}

fn went(change: &Change) -> String {
    let side = |test: &Option<Test>| match test {
        None => "something else".to_owned(),
        Some(Test::Equals(Value::Text(text))) => text.clone(),
        Some(Test::Equals(value)) => typed(value),
        Some(Test::Present) => "a value".to_owned(),
        Some(Test::Null) => "nothing".to_owned(),
        Some(Test::Missing) => "missing".to_owned(),
        Some(Test::Prefix(text)) => format!("{text}…"),
        Some(other) => self::test(other),
    };
    format!("where {} went from {} to {}", change.path, side(&change.from), side(&change.to))
}
