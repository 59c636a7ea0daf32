//! Texts in the spelling of `jsonb` of which canonical text differs at most in the order of keys and in characters beyond
//! ASCII: they are looked through without being written, and then copied in pieces as large as can be.

use super::{Canonicaliser, Frame, Key, text};

/// Digits of an integer, and of the two parts of a fraction, that are surely laid out as they are.
const SHORT: usize = 15;
/// The most digits that a number has here.
pub(super) const DIGITS: usize = 2 * SHORT;

/// Notes the objects of a text, with places in the text itself. False when it has anything that must be spelled
/// otherwise, or is no JSON: what was noted is then worth nothing.
pub(super) fn scan(input: &[u8], work: &mut Canonicaliser) -> bool {
    Scan { input, at: 0, work }.document().is_some()
}

struct Scan<'a> {
    input: &'a [u8],
    at: usize,
    work: &'a mut Canonicaliser,
}

impl Scan<'_> {
    fn document(&mut self) -> Option<()> {
        loop {
            if self.begin_value()? && self.end_values()? {
                return (self.at == self.input.len()).then_some(());
            }
        }
    }

    fn rest(&self) -> &[u8] {
        self.input.get(self.at..).unwrap_or_default()
    }

    fn expect(&mut self, bytes: &[u8]) -> Option<()> {
        self.rest().starts_with(bytes).then_some(())?;
        self.at += bytes.len();
        Some(())
    }

    /// As in the pass that writes: true when the value is complete.
    fn begin_value(&mut self) -> Option<bool> {
        match self.rest().first()? {
            b'"' => self.string().map(|()| true),
            b'0'..=b'9' => self.number().map(|()| true),
            b'{' => self.open(true, b'}'),
            b'[' => self.open(false, b']'),
            b't' => self.expect(b"true").map(|()| true),
            b'f' => self.expect(b"false").map(|()| true),
            b'n' => self.expect(b"null").map(|()| true),
            _ => None,
        }
    }

    /// As in the pass that writes: true when the outermost value is complete.
    fn end_values(&mut self) -> Option<bool> {
        loop {
            let Some(&Frame { object, .. }) = self.work.frames.last() else { return Some(true) };
            let end = self.at;
            match self.rest().first()? {
                b',' => {
                    self.expect(b", ")?;
                    self.work.end_member(object, end);
                    if object {
                        self.key()?;
                    }
                    return Some(false);
                }
                b'}' if object => {
                    self.at += 1;
                    self.work.end_member(true, end);
                    self.work.close_object(self.input, self.at);
                }
                b']' if !object => {
                    self.at += 1;
                    self.work.frames.pop();
                }
                _ => return None,
            }
        }
    }

    fn open(&mut self, object: bool, closing: u8) -> Option<bool> {
        if self.work.frames.len() >= self.work.limits.depth {
            return None;
        }
        let start = self.at;
        self.at += 1;
        if self.rest().first() == Some(&closing) {
            self.at += 1;
            return Some(true);
        }
        self.work.frames.push(Frame { object, start, first: self.work.open.len(), in_order: true });
        if object {
            self.key()?;
        }
        Some(false)
    }

    fn key(&mut self) -> Option<()> {
        let start = self.at;
        if self.rest().first() != Some(&b'"') {
            return None;
        }
        self.string()?;
        let key = Key { decoded: false, start: start + 1, end: self.at - 1 };
        self.expect(b": ")?;
        self.work.begin_member(self.input, key, start);
        Some(())
    }

    /// A string without escapes.
    fn string(&mut self) -> Option<()> {
        let inside = self.input.get(self.at + 1..)?;
        let length = text::unescaped_run(inside);
        self.at += length + 2;
        (inside.get(length) == Some(&b'"')).then_some(())
    }

    /// A number without sign and exponent that is laid out as it stands: a short integer, or one with a short fraction
    /// that is not smaller than 0.0001.
    fn number(&mut self) -> Option<()> {
        let digits = |text: &[u8]| text.iter().take(SHORT + 1).take_while(|b| b.is_ascii_digit()).count();
        let rest = self.rest();
        let whole = digits(rest);
        let mut length = whole;
        let leading_zero = rest.first() == Some(&b'0');
        if whole > SHORT || (leading_zero && whole > 1) {
            return None;
        }
        if rest.get(whole) == Some(&b'.') {
            let fraction = rest.get(whole + 1..).unwrap_or_default();
            let places = digits(fraction);
            if places == 0 || places > SHORT || (leading_zero && fraction.starts_with(b"0000")) {
                return None;
            }
            length += 1 + places;
        }
        if matches!(rest.get(length), Some(b'e' | b'E')) {
            return None;
        }
        self.at += length;
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Canonicaliser, Limits};
    use proptest::prelude::*;
    use serde_json::Value;
    use std::fmt::Write as _;

    /// As `jsonb` prints it: blanks behind commas and colons.
    fn print(value: &Value, out: &mut String) {
        let list = |out: &mut String, close: char, items: Vec<String>| {
            let _ = write!(out, "{}{close}", items.join(", "));
        };
        let text = |value: &Value| {
            let mut text = String::new();
            print(value, &mut text);
            text
        };
        match value {
            Value::Object(members) => {
                out.push('{');
                // By length first.
                let mut keys: Vec<&String> = members.keys().collect();
                keys.sort_by_key(|key| (key.len(), key.as_str()));
                let member =
                    |key: &&String| format!("{}: {}", Value::from(key.as_str()), text(&members[*key]));
                list(out, '}', keys.iter().map(member).collect());
            }
            Value::Array(items) => {
                out.push('[');
                list(out, ']', items.iter().map(text).collect());
            }
            other => out.push_str(&other.to_string()),
        }
    }

    fn value() -> impl Strategy<Value = Value> {
        let number = prop_oneof![
            any::<u64>().prop_map(Value::from),
            (0u32..2000).prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            (0u32..1_000_000, 0i32..9).prop_map(|(n, e)| Value::from(f64::from(n) / 10f64.powi(e))),
        ];
        let leaf = prop_oneof![
            4 => "[ -~]{0,12}".prop_map(Value::from),
            1 => any::<String>().prop_map(Value::from),
            4 => number,
            1 => any::<bool>().prop_map(Value::from),
            1 => Just(Value::Null),
        ];
        leaf.prop_recursive(5, 40, 6, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
                prop::collection::btree_map("[a-z_]{0,12}|[a-zé語]{0,6}", inner, 0..6)
                    .prop_map(|members| Value::Object(members.into_iter().collect())),
            ]
        })
    }

    /// The short way takes it to be right, or leaves it to the long one.
    fn both_ways_agree(text: &[u8], limits: Limits) -> bool {
        let mut canonicaliser = Canonicaliser::new(limits);
        let (mut short, mut long) = (b"kept".to_vec(), b"kept".to_vec());
        let spelled = canonicaliser.append_spelled(text, &mut long);
        canonicaliser = Canonicaliser::new(limits);
        let taken = canonicaliser.append_verbatim(text, &mut short);
        let lossy = |text: &[u8]| String::from_utf8_lossy(text).into_owned();
        if taken {
            assert_eq!(spelled, Ok(()), "{}", lossy(text));
            assert_eq!(lossy(&short), lossy(&long), "{}", lossy(text));
        } else {
            assert_eq!(short, b"kept");
        }
        taken
    }

    #[test]
    fn what_is_taken_and_what_is_not() {
        for (text, taken) in [
            (r#"{"b": 1, "aa": [1.5, 0.001, {"z": {}, "yy": "x"}], "c": null}"#, true),
            (r#"{"a": 1, "a": 2}"#, true),
            ("123456789012345.123456789012345", true),
            ("0.00012", true),
            ("0.00001", false),
            ("0.0", true),
            ("-1", false),
            ("1234567890123456", false),
            ("1e5", false),
            ("01", false),
            ("1.", false),
            ("[1,2]", false),
            ("[1, 2] ", false),
            ("[1, ]", false),
            (r#"{"a":1}"#, false),
            (r#"{"a": "\n"}"#, false),
            (r#"{"é": "é😀", "b": 1}"#, true),
            ("{\"a\": \"\u{7f}\"}", false),
            (r#"{"a": "x"#, false),
            ("", false),
            ("{", false),
            ("tru", false),
        ] {
            assert_eq!(both_ways_agree(text.as_bytes(), Limits::READ), taken, "{text}");
        }
        let deep = Limits { depth: 2, ..Limits::READ };
        assert!(both_ways_agree(b"[[1]]", deep) && !both_ways_agree(b"[[[1]]]", deep));
        assert!(!both_ways_agree(b"{\"a\": \"\xff\"}", Limits::READ));
        let short = Limits { bytes: 20, ..Limits::READ };
        assert!(
            both_ways_agree("\"éé\"".as_bytes(), short) && !both_ways_agree("\"éééé\"".as_bytes(), short)
        );
    }

    proptest! {
        #[test]
        fn what_jsonb_prints_is_written_alike_both_ways(value in value()) {
            let mut text = String::new();
            print(&value, &mut text);
            both_ways_agree(text.as_bytes(), Limits::READ);
        }

        #[test]
        fn any_text_like_json_is_refused_or_written_alike(text in r#"[{}\[\]", :a-c0-9.e\\é-]{0,24}"#) {
            both_ways_agree(text.as_bytes(), Limits::READ);
        }
    }
}
