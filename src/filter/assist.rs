//! Help while a filter is typed: what each piece is, and how the piece under the cursor can go on. Both read texts that
//! are not filters yet.

use super::clock::weekday_names;
use super::field::{Field, Kind};
use super::lexer::Lexer;
use super::local::{Integrity, Noted};
use super::parser::{TIME_NAMES, VIRTUAL_NAMES};
use super::printer::scalar;
use std::ops::Range;

/// What a piece of a filter is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenKind {
    /// The name of a field, or a path into the states.
    Field,
    /// What stands between a field and its value.
    Operator,
    /// A value.
    Value,
    /// AND, OR, NOT and their signs, parentheses, `all-time`.
    Keyword,
    /// A word, phrase or regular expression to search for.
    Words,
}

/// The pieces of a text, in order; blanks belong to none.
pub fn tokens(text: &str) -> Vec<(Range<usize>, TokenKind)> {
    let mut lexer = Lexer::new(text);
    let mut tokens = Vec::new();
    let mut open = Unclosed::default();
    loop {
        lexer.blanks();
        let start = lexer.position();
        let Some(c) = lexer.peek() else { return tokens };
        let before = tokens.len();
        let mut add = |lexer: &Lexer<'_>, from: usize, kind| {
            if lexer.position() > from {
                tokens.push((from..lexer.position(), kind));
            }
        };
        let sign = ["(", ")", "&&", "||", "-", "!"].into_iter().any(|sign| lexer.take(sign));
        if sign || ["and", "or", "not", "all-time"].into_iter().any(|word| lexer.keyword(word)) {
            add(&lexer, start, TokenKind::Keyword);
        } else if c == '/' && open.regex(&mut lexer) || c == '"' && open.quoted(&mut lexer) {
            lexer.take("*");
            add(&lexer, start, TokenKind::Words);
        } else if let Some((_, name)) = lexer.membership() {
            tokens.push((name.clone(), TokenKind::Field));
            tokens.push((lexer.position() - "in".len()..lexer.position(), TokenKind::Operator));
            lexer.blanks();
            let value = lexer.position();
            skip_value(&mut lexer, &mut open);
            tokens.push((value..lexer.position(), TokenKind::Value));
        } else if lexer.name().is_some() {
            add(&lexer, start, TokenKind::Field);
            let operator = lexer.position();
            lexer.operator();
            add(&lexer, operator, TokenKind::Operator);
            let value = lexer.position();
            skip_value(&mut lexer, &mut open);
            add(&lexer, value, TokenKind::Value);
        } else {
            skip_value(&mut lexer, &mut open);
            add(&lexer, start, TokenKind::Words);
        }
        if tokens.len() == before {
            // Whatever it is, it is no longer than this.
            lexer.skip_to(start + c.len_utf8());
        }
    }
}

/// Up to where no quotation mark or slash begins anything: the first that fails has seen all that stand before its end.
#[derive(Default)]
struct Unclosed {
    quotes: usize,
    slashes: usize,
}

impl Unclosed {
    fn quoted(&mut self, lexer: &mut Lexer<'_>) -> bool {
        if lexer.position() < self.quotes {
            return false;
        }
        let start = lexer.position();
        let Err(error) = lexer.quoted() else { return true };
        let place = error.span().start;
        self.quotes = if place > start { place } else { usize::MAX };
        false
    }

    fn regex(&mut self, lexer: &mut Lexer<'_>) -> bool {
        let closed = lexer.position() >= self.slashes && lexer.regex().is_ok();
        if !closed {
            self.slashes = usize::MAX;
        }
        closed
    }
}

/// Goes on behind what has no blank and no parenthesis outside quotes.
fn skip_value(lexer: &mut Lexer<'_>, open: &mut Unclosed) {
    while let Some(c) = lexer.peek() {
        if c.is_whitespace() || matches!(c, '(' | ')') {
            return;
        }
        if c != '"' || !open.quoted(lexer) {
            let at = lexer.position();
            lexer.skip_to(at + c.len_utf8());
        }
    }
}

/// How a filter can go on at the cursor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Completion {
    /// What the texts stand for.
    pub replaces: Range<usize>,
    /// The texts, the likeliest first; never empty.
    pub texts: Vec<String>,
}

/// Most texts that are offered.
const MOST: usize = 40;

/// How the text can go on at `cursor`; `None` where nothing is known. `values` gives those of a field that are at hand,
/// the most frequent first; of zones, `zone` comes first.
pub fn complete(
    text: &str,
    cursor: usize,
    zone: &str,
    values: &dyn Fn(Field) -> Vec<String>,
) -> Option<Completion> {
    let head = text.get(..cursor)?;
    let start = piece_start(head);
    let piece = head.get(start..)?;
    let negation = piece.len() - piece.trim_start_matches(['-', '!']).len();
    let (start, piece) = (start + negation, piece.get(negation..)?);
    let mut lexer = Lexer::new(piece);
    let (replaces, mut texts): (_, Vec<String>) = if let Some((name, _)) = lexer.name() {
        lexer.operator();
        let value_start = lexer.position();
        let value = piece.get(value_start..)?;
        let last = value.rfind(',').map_or(0, |comma| comma + 1);
        let begun = value.get(last..)?;
        let texts = values_of(name, zone, values).into_iter().filter(|text| continues(text, begun)).collect();
        (start + value_start + last..cursor, texts)
    } else {
        let names = TIME_NAMES.into_iter().chain(VIRTUAL_NAMES).map(ToOwned::to_owned);
        let fields = Field::all().map(|field| field.name().to_owned()).chain(names).map(|name| name + ":");
        let rest = ["all-time", "old.", "new.", "any.", "AND", "OR", "NOT"].map(ToOwned::to_owned);
        // At the very beginning, all of them would be no help.
        let texts = fields.chain(rest).filter(|text| !piece.is_empty() && continues(text, piece)).collect();
        (start..cursor, texts)
    };
    texts.truncate(MOST);
    (!texts.is_empty()).then_some(Completion { replaces, texts })
}

/// The field whose value is being written at `cursor`, and what there is of it, without quotes.
pub fn value_at(text: &str, cursor: usize) -> Option<(Field, String)> {
    let head = text.get(..cursor)?;
    let piece = head.get(piece_start(head)..)?.trim_start_matches(['-', '!']);
    let mut lexer = Lexer::new(piece);
    let field = Field::by_name(lexer.name()?.0)?;
    lexer.operator();
    let value = piece.get(lexer.position()..)?;
    let begun = value.get(value.rfind(',').map_or(0, |comma| comma + 1)..)?;
    Some((field, begun.trim_start_matches('"').replace(r#"\""#, "\"").replace(r"\\", r"\")))
}

/// Whether `text` goes on from `begun`, in either case, and says more.
fn continues(text: &str, begun: &str) -> bool {
    let unquoted = text.trim_start_matches('"');
    let begun = begun.trim_start_matches('"');
    unquoted.get(..begun.len()).is_some_and(|head| head.eq_ignore_ascii_case(begun)) && unquoted != begun
}

/// Where the piece that ends at the end of `head` begins.
fn piece_start(head: &str) -> usize {
    let mut start = 0;
    let mut in_quotes = false;
    let mut escaped = false;
    for (at, c) in head.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' if in_quotes => escaped = true,
            '"' => in_quotes = !in_quotes,
            c if !in_quotes && (c.is_whitespace() || c == '(') => start = at + c.len_utf8(),
            _ => {}
        }
    }
    start
}

fn values_of(name: &str, zone: &str, at_hand: &dyn Fn(Field) -> Vec<String>) -> Vec<String> {
    let fixed = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
    match name.to_ascii_lowercase().as_str() {
        "since" | "until" | "at" => {
            fixed(&["-1h", "-24h", "-7d", "-30d", "-7d@d", "today", "yesterday", "now", "monday"])
        }
        "span" => fixed(&["5m", "30m", "1h", "1d"]),
        "zone" => {
            let others = ["UTC", "Europe/Berlin", "Europe/London", "America/New_York", "Asia/Tokyo"];
            let others = others.into_iter().filter(|other| *other != zone);
            std::iter::once(zone).chain(others).map(ToOwned::to_owned).collect()
        }
        "tod" => fixed(&["18:00..08:00", "22:00..06:00", "09:00..17:00"]),
        "dow" => weekday_names().map(ToOwned::to_owned).collect(),
        "integrity" => fixed(&Integrity::ALL.map(Integrity::name)),
        "is" => fixed(&Noted::ALL.map(Noted::name)),
        name => match Field::by_name(name) {
            Some(field) if field.kind() == Kind::Word => fixed(&field.words()),
            Some(field) => at_hand(field).iter().map(|value| written(field, value)).collect(),
            None => Vec::new(),
        },
    }
}

/// A value as it is typed. Of resources, `TYPE/` stands for all of a type.
fn written(field: Field, value: &str) -> String {
    let all_of_type = field == Field::Resource && value.ends_with('/');
    scalar(value) + if all_of_type { "*" } else { "" }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at_hand(field: Field) -> Vec<String> {
        match field {
            Field::Actor => ["user-17", "eve@corp.example", "user 1"].map(ToOwned::to_owned).to_vec(),
            Field::Resource => ["trace/", "tra ce/"].map(ToOwned::to_owned).to_vec(),
            _ => Vec::new(),
        }
    }

    fn offered(text: &str) -> String {
        let (head, _) = text.split_once('|').unwrap();
        let text = text.replace('|', "");
        match complete(&text, head.len(), "Asia/Tokyo", &at_hand) {
            Some(found) => format!("{} <- {}", &text[found.replaces], found.texts.join(" ")),
            None => "nothing".to_owned(),
        }
    }

    #[test]
    fn names_and_values_are_offered_where_they_can_stand() {
        assert_eq!(offered("sev:info ac|"), "ac <- actor_type: actor: actor_id: action:");
        assert_eq!(offered("-se|"), "se <- sev: sess:");
        assert_eq!(offered("(sev:|"), " <- info warning critical");
        assert_eq!(offered("action:read,up| x"), "up <- update");
        assert_eq!(offered("ACTOR:us|"), "us <- user-17 \"user 1\"");
        assert_eq!(offered("actor:\"user |"), "\"user  <- \"user 1\"");
        assert_eq!(offered("since:-7|"), "-7 <- -7d -7d@d");
        assert_eq!(offered("res:tr|"), "tr <- trace/* \"tra ce/\"*");
        assert_eq!(offered("integrity:b|"), "b <- broken");
        assert_eq!(offered("al|"), "al <- all-time");
        assert_eq!(offered("zone:A|"), "A <- Asia/Tokyo America/New_York", "that of the machine first");
        for nothing in ["|", "sev:info |", "sev:info|", "new.role:a|", "xyzzy|"] {
            assert_eq!(offered(nothing), "nothing", "{nothing}");
        }
    }

    #[test]
    fn the_value_under_the_cursor_is_known_without_its_quotes() {
        let at = |text: &str| value_at(text, text.len());
        assert_eq!(at("sev:info -actor:us"), Some((Field::Actor, "us".to_owned())));
        assert_eq!(at("(type:a,\"b c"), Some((Field::EventType, "b c".to_owned())));
        assert_eq!(at("res:"), Some((Field::Resource, String::new())));
        for none in ["", "word", "new.role:a", "xyzzy:a", "actor:a "] {
            assert_eq!(at(none), None, "{none}");
        }
    }

    #[test]
    fn every_piece_has_its_kind() {
        let text =
            "-(type:a,\"b c\"* OR word) NOT \"a phrase\" /re x/i actor in @f new.\"a b\">=5 all-time x:\"";
        let shown: Vec<String> =
            tokens(text).into_iter().map(|(span, kind)| format!("{kind:?} {}", &text[span])).collect();
        insta::assert_snapshot!(shown.join("\n"), @r#"
        Keyword -
        Keyword (
        Field type
        Operator :
        Value a,"b c"*
        Keyword OR
        Words word
        Keyword )
        Keyword NOT
        Words "a phrase"
        Words /re x/i
        Field actor
        Operator in
        Value @f
        Field new."a b"
        Operator >=
        Value 5
        Keyword all-time
        Field x
        Operator :
        Value "
        "#);
    }

    proptest! {
        #[test]
        fn any_text_has_pieces_in_order_and_completions_in_it(text in "[a-z:=\"\\\\()/ ,.*é-]{0,24}", at: prop::sample::Index) {
            let mut end = 0;
            for (span, _) in tokens(&text) {
                prop_assert!(span.start >= end && span.end > span.start && text.get(span.clone()).is_some());
                prop_assert!(text[end..span.start].trim().is_empty());
                end = span.end;
            }
            prop_assert!(text[end..].trim().is_empty());
            let places: Vec<usize> = (0..=text.len()).filter(|at| text.is_char_boundary(*at)).collect();
            if let Some(found) = complete(&text, places[at.index(places.len())], "UTC", &at_hand) {
                prop_assert!(text.get(found.replaces).is_some() && !found.texts.is_empty());
            }
        }
    }
}
