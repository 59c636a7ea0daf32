//! The form of a mapping file, and what is wrong with one: with its line, its column and the field.

use super::path::Path;
use super::rule::{Choice, Piece, Rule};
use super::{COLUMNS, Column, Declared, Time, TimeFormat};
use crate::domain::{Action, ActorType, Category, Severity, nearest};
use chrono::format::{Item, StrftimeItems};
use serde::de::value::MapAccessDeserializer;
use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, de};
use std::collections::BTreeMap;
use std::fmt;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Form {
    name: Name,
    #[serde(default, rename = "match")]
    matching: Matching,
    time: TimeForm,
    columns: Columns,
    #[serde(default)]
    states: States,
}

/// The name of a mapping: it stands in each event's state.
#[derive(Deserialize)]
#[serde(try_from = "String")]
struct Name(String);

impl TryFrom<String> for Name {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let is_one = (1..=64).contains(&text.len())
            && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'));
        if is_one {
            Ok(Self(text))
        } else {
            Err("name: 1 to 64 letters, digits and - _ . are allowed".to_owned())
        }
    }
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct Matching {
    #[serde(default)]
    has: Vec<Path>,
    #[serde(default)]
    equals: BTreeMap<String, Scalar>,
}

/// A text, or what is written without quotation marks.
#[derive(Deserialize)]
#[serde(untagged)]
enum Scalar {
    Text(String),
    Whole(i64),
    Truth(bool),
}

impl Scalar {
    fn text(self) -> String {
        match self {
            Self::Text(text) => text,
            Self::Whole(number) => number.to_string(),
            Self::Truth(truth) => truth.to_string(),
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TimeForm {
    from: Paths,
    #[serde(default)]
    format: Format,
    zone: Option<Zone>,
}

/// One path, or several.
#[derive(Deserialize)]
#[serde(untagged)]
enum OneOrMany {
    One(String),
    Many(Vec<String>),
}

#[derive(Deserialize)]
#[serde(try_from = "OneOrMany")]
struct Paths(Vec<Path>);

impl TryFrom<OneOrMany> for Paths {
    type Error = String;

    fn try_from(paths: OneOrMany) -> Result<Self, String> {
        let all = match paths {
            OneOrMany::One(path) => vec![path],
            OneOrMany::Many(paths) => paths,
        };
        if all.is_empty() {
            return Err("from: names no path".to_owned());
        }
        all.into_iter().map(Path::try_from).collect::<Result<_, _>>().map(Self)
    }
}

#[derive(Deserialize)]
#[serde(try_from = "String")]
struct Format(TimeFormat);

impl Default for Format {
    fn default() -> Self {
        Self(TimeFormat::Rfc3339)
    }
}

impl TryFrom<String> for Format {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let epoch = |times, over| Ok(Self(TimeFormat::Epoch { times, over }));
        match text.as_str() {
            "rfc3339" => Ok(Self::default()),
            "seconds" => epoch(1_000_000, 1),
            "milliseconds" => epoch(1_000, 1),
            "microseconds" => epoch(1, 1),
            "nanoseconds" => epoch(1, 1_000),
            _ if text.contains('%') && !StrftimeItems::new(&text).any(|item| item == Item::Error) => {
                Ok(Self(TimeFormat::Pattern(text)))
            }
            _ => Err(format!(
                "time.format: '{text}' is none of rfc3339, seconds, milliseconds, microseconds, nanoseconds, and no \
                 pattern such as %Y-%m-%dT%H:%M:%S%z"
            )),
        }
    }
}

#[derive(Deserialize)]
#[serde(try_from = "String")]
struct Zone(chrono_tz::Tz);

impl TryFrom<String> for Zone {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let zone =
            text.parse().map_err(|_| format!("time.zone: '{text}' is no zone such as UTC or Europe/Berlin"));
        zone.map(Self)
    }
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct States {
    before: Option<Path>,
    after: Option<Path>,
}

struct Columns(Vec<(Column, Rule)>);

impl<'de> Deserialize<'de> for Columns {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct All;
        impl<'de> Visitor<'de> for All {
            type Value = Columns;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a table of columns")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Columns, A::Error> {
                let mut all: Vec<(Column, Rule)> = Vec::new();
                while let Some(Key(column)) = map.next_key()? {
                    if all.iter().any(|(known, _)| *known == column) {
                        return Err(A::Error::custom(format_args!("columns.{}: stands twice", column.0)));
                    }
                    all.push((column, map.next_value_seed(RuleOf(column))?));
                }
                Ok(Columns(all))
            }
        }
        deserializer.deserialize_map(All)
    }
}

/// The name of a column, whose place is known where it is none.
#[derive(Deserialize)]
#[serde(try_from = "String")]
struct Key(Column);

impl TryFrom<String> for Key {
    type Error = String;

    fn try_from(name: String) -> Result<Self, String> {
        let known = COLUMNS.iter().find(|known| **known == name);
        known.map(|known| Self(Column(known))).ok_or_else(|| no_column(&name))
    }
}

fn no_column(name: &str) -> String {
    let remedy = match name {
        "timestamp" => "the table [time] says where the time is".to_owned(),
        "previous_state" | "new_state" => "the table [states] says where they are".to_owned(),
        "actor_email" => "it is actor_id, where that is an address".to_owned(),
        "hash" | "previous_hash" => "the chain is made anew".to_owned(),
        _ => match nearest(name, COLUMNS.into_iter()) {
            Some(near) => format!("nearest is {near}"),
            None => format!("there are {}", COLUMNS.join(", ")),
        },
    };
    format!("columns.{name}: no column that a mapping can fill: {remedy}")
}

/// The rule of a column.
struct RuleOf(Column);

impl<'de> DeserializeSeed<'de> for RuleOf {
    type Value = Rule;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Rule, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for RuleOf {
    type Value = Rule;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Column(name) = self.0;
        write!(f, "columns.{name}: a path, a table with from, value or text, or a list of these")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Rule, E> {
        let Column(name) = self.0;
        let path =
            Path::try_from(text.to_owned()).map_err(|e| E::custom(format_args!("columns.{name}: {e}")))?;
        let paths = vec![path];
        Ok(Rule(vec![Choice::From { paths, port: false, before: None, table: None, default: None }]))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Rule, A::Error> {
        let mut all = Rule::default();
        while let Some(Rule(choices)) = seq.next_element_seed(RuleOf(self.0))? {
            all.0.extend(choices);
        }
        Ok(all)
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Rule, A::Error> {
        let form = ChoiceForm::deserialize(MapAccessDeserializer::new(map))?;
        let choice = form.choice(self.0).map_err(A::Error::custom)?;
        Ok(Rule(vec![choice]))
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ChoiceForm {
    from: Option<Paths>,
    value: Option<Scalar>,
    text: Option<String>,
    #[serde(default)]
    port: bool,
    before: Option<String>,
    table: Option<BTreeMap<String, String>>,
    default: Option<String>,
}

impl ChoiceForm {
    fn choice(self, column: Column) -> Result<Choice, String> {
        let Column(name) = column;
        let has_more = self.port || self.before.is_some() || self.table.is_some() || self.default.is_some();
        let known = |word: &String| column.allows(word);
        match (self.from, self.value, self.text) {
            (Some(Paths(paths)), None, None) => {
                let table = self.table.map(|table| {
                    // What is written out stands before what is meant by a pattern, and the longer one first.
                    let mut rows: Vec<(String, String)> = table.into_iter().collect();
                    rows.sort_by_key(|(pattern, _)| {
                        (pattern.contains('*'), std::cmp::Reverse(pattern.len()))
                    });
                    rows
                });
                for word in table.iter().flatten().map(|(_, word)| word).chain(&self.default) {
                    known(word)?;
                }
                let (port, before, default) =
                    (self.port, self.before.filter(|b| !b.is_empty()), self.default);
                Ok(Choice::From { paths, port, before, table, default })
            }
            (None, Some(value), None) if !has_more => {
                let value = value.text();
                known(&value)?;
                Ok(Choice::Value(value))
            }
            (None, None, Some(text)) if !has_more => {
                pieces(&text).map(Choice::Text).map_err(|e| format!("columns.{name}: {e}"))
            }
            _ => Err(format!(
                "columns.{name}: needs one of from, value and text; port, before, table and default go with from only"
            )),
        }
    }
}

impl Column {
    /// Whether a column of few words has this one.
    fn allows(self, word: &str) -> Result<(), String> {
        let Self(name) = self;
        let known = match name {
            "action" => word.parse::<Action>().map(drop),
            "actor_type" => word.parse::<ActorType>().map(drop),
            "event_category" => word.parse::<Category>().map(drop),
            "event_severity" => word.parse::<Severity>().map(drop),
            _ => return Ok(()),
        };
        known.map_err(|e| format!("columns.{e}"))
    }
}

/// `{type}.{request.operation}`
fn pieces(text: &str) -> Result<Vec<Piece>, String> {
    let mut all = Vec::new();
    let mut rest = text;
    while let Some((literal, behind)) = rest.split_once('{') {
        let (path, behind) =
            behind.split_once('}').ok_or_else(|| format!("'{text}': a brace is not closed"))?;
        if !literal.is_empty() {
            all.push(Piece::Literal(literal.to_owned()));
        }
        all.push(Piece::Member(Path::try_from(path.to_owned())?));
        rest = behind;
    }
    if !rest.is_empty() {
        all.push(Piece::Literal(rest.to_owned()));
    }
    if all.iter().any(|piece| matches!(piece, Piece::Member(_))) {
        Ok(all)
    } else {
        Err(format!("'{text}' has no {{path}} in it: value is for what is the same in all records"))
    }
}

/// A mapping in TOML.
///
/// # Errors
/// `line:column: what is wrong`, from 1.
pub(super) fn of_toml(text: &str) -> Result<Declared, String> {
    let form: Form = toml::from_str(text).map_err(|e| {
        let at = e.span().map_or(0, |span| span.start).min(text.len());
        let before = text.get(..at).unwrap_or_default();
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().map_or(0, |line| line.chars().count()) + 1;
        format!("{line}:{column}: {}", e.message().trim())
    })?;
    form.declared().map_err(|why| format!("1:1: {why}"))
}

/// A mapping in JSON.
///
/// # Errors
/// As [`of_toml`].
pub(super) fn of_json(text: &str) -> Result<Declared, String> {
    let form: Form = serde_json::from_str(text).map_err(|e| {
        let said = e.to_string();
        let said = said.rsplit_once(" at line ").map_or(said.as_str(), |(said, _)| said);
        format!("{}:{}: {said}", e.line().max(1), e.column().max(1))
    })?;
    form.declared().map_err(|why| format!("1:1: {why}"))
}

impl Form {
    fn declared(self) -> Result<Declared, String> {
        let Columns(columns) = self.columns;
        if !columns.iter().any(|(Column(name), _)| *name == "event_type") {
            return Err("columns.event_type: missing, and no event can do without".to_owned());
        }
        let equals = self.matching.equals.into_iter().map(|(path, text)| {
            let path = Path::try_from(path).map_err(|e| format!("match.equals: {e}"))?;
            Ok((path, text.text()))
        });
        Ok(Declared {
            name: self.name.0,
            has: self.matching.has,
            equals: equals.collect::<Result<_, String>>()?,
            time: Time {
                from: self.time.from.0,
                format: self.time.format.0,
                zone: self.time.zone.map(|Zone(zone)| zone),
            },
            columns,
            before: self.states.before,
            after: self.states.after,
        })
    }
}
