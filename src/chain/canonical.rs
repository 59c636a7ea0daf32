//! JSON text to the text Python's `json.dumps(value, sort_keys=True)` would write for what `jsonb` returns.
//!
//! One pass writes every value in the order of the input and notes where the members of each object lie. If the keys
//! of all objects came in code-point order (the fast case), that text is the result. Otherwise the members are copied
//! once more in their order, from the outside to the inside, so that no byte is moved more than once whatever the
//! depth. No recursion, no tree, no floats; the buffers are kept for the next text.

mod members;
mod verbatim;

use super::{number, text};
use members::{Key, Member, Task, Unsorted};

/// How much is accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Maximum number of open arrays and objects.
    pub depth: usize,
    /// Maximum number of digits of one number, written out.
    pub digits: usize,
    /// Maximum number of bytes of the canonical text.
    pub bytes: usize,
}

impl Limits {
    /// For events about to be written. The depth is what Python's own encoder reaches (PostgreSQL takes ten times
    /// that); longer numbers are bombs (75 kB of `1e131071` make a table that cannot be dumped).
    pub const WRITE: Self = Self { depth: 1000, digits: 4096, bytes: 32 << 20 };
    /// For rows that PostgreSQL already holds: all that fits in one of its values.
    pub const READ: Self = Self { depth: 1 << 20, digits: 1 << 18, bytes: 6 << 30 };
}

/// Why a text is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Reason {
    /// Not JSON.
    #[error("{0}")]
    Syntax(&'static str),
    /// Bytes that are not UTF-8.
    #[error("the text is not UTF-8")]
    NotUtf8,
    /// `jsonb` cannot hold U+0000.
    #[error("\\u0000 cannot be stored in jsonb")]
    Nul,
    /// Half of a surrogate pair.
    #[error("half of a surrogate pair is not a character")]
    LoneSurrogate,
    /// Too many digits.
    #[error("a number has more than {0} digits when written out")]
    NumberTooLong(usize),
    /// Too many levels.
    #[error("more than {0} levels of arrays and objects")]
    TooDeep(usize),
    /// Too long.
    #[error("the text is longer than {0} bytes when written out")]
    TooLong(usize),
}

/// A refused JSON text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{reason} (at byte {at})")]
pub struct JsonError {
    /// Why.
    pub reason: Reason,
    /// Offset in the input, in bytes.
    pub at: usize,
}

/// Turns JSON texts into canonical ones; keeps its buffers between calls.
#[derive(Debug)]
pub struct Canonicaliser {
    limits: Limits,
    /// Arrays and objects being read, outermost first.
    frames: Vec<Frame>,
    /// Members of the open objects.
    open: Vec<Member>,
    /// Members, in key order, of the closed objects that must be written again.
    sorted: Vec<Member>,
    /// Those objects.
    unsorted: Vec<Unsorted>,
    /// Keys that had escapes, decoded.
    keys: Vec<u8>,
    /// The text in the order of the input, while it is written again.
    draft: Vec<u8>,
    tasks: Vec<Task>,
}

#[derive(Debug)]
struct Frame {
    object: bool,
    /// Where it begins in the output.
    start: usize,
    /// Its first member in `open`.
    first: usize,
    in_order: bool,
}

impl Canonicaliser {
    /// With these limits.
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            frames: Vec::new(),
            open: Vec::new(),
            sorted: Vec::new(),
            unsorted: Vec::new(),
            keys: Vec::new(),
            draft: Vec::new(),
            tasks: Vec::new(),
        }
    }

    /// Appends the canonical form of `json`, which may have any white space, key order, escapes and number spelling;
    /// of equal keys the last one counts, as in `jsonb`.
    ///
    /// # Errors
    /// When the text is not JSON, `jsonb` would refuse it, or a limit is exceeded; `out` is then as before.
    pub fn append(&mut self, json: &[u8], out: &mut Vec<u8>) -> Result<(), JsonError> {
        if self.append_verbatim(json, out) {
            return Ok(());
        }
        self.append_spelled(json, out)
    }

    /// Forgets what was noted of another text, or by another way.
    fn begin(&mut self) {
        self.frames.clear();
        self.open.clear();
        self.sorted.clear();
        self.unsorted.clear();
        self.keys.clear();
    }

    /// As [`Self::append`] for texts of which nothing has to be changed but the order of keys and characters beyond ASCII:
    /// most of what `jsonb` gives back. False when that is not so; `out` is then as before.
    fn append_verbatim(&mut self, json: &[u8], out: &mut Vec<u8>) -> bool {
        // A character beyond ASCII takes up to three times its bytes.
        let ascii = json.is_ascii();
        let most = if ascii { json.len() } else { json.len().saturating_mul(3) };
        if most > self.limits.bytes || self.limits.digits < verbatim::DIGITS {
            return false;
        }
        self.begin();
        if !verbatim::scan(json, self) {
            return false;
        }
        if ascii {
            self.append_in_order(json, out);
            return true;
        }
        let mut draft = std::mem::take(&mut self.draft);
        draft.clear();
        self.append_in_order(json, &mut draft);
        let text = std::str::from_utf8(&draft);
        if let Ok(text) = text {
            text::push_as_ascii(text, out);
        }
        let is_text = text.is_ok();
        self.draft = draft;
        is_text
    }

    fn append_in_order(&mut self, json: &[u8], out: &mut Vec<u8>) {
        if self.unsorted.is_empty() {
            out.extend_from_slice(json);
        } else {
            self.rearrange(json, out);
        }
    }

    /// [`Self::append`] for all other texts.
    fn append_spelled(&mut self, json: &[u8], out: &mut Vec<u8>) -> Result<(), JsonError> {
        self.begin();
        let base = out.len();
        let mut pass = Pass { input: json, at: 0, base, out, work: self };
        let result = pass.document();
        let at = pass.at;
        if let Err(reason) = result {
            out.truncate(base);
            return Err(JsonError { reason, at });
        }
        if !self.unsorted.is_empty() {
            let mut draft = std::mem::take(&mut self.draft);
            draft.clear();
            draft.extend_from_slice(out.get(base..).unwrap_or_default());
            out.truncate(base);
            self.rearrange(&draft, out);
            self.draft = draft;
        }
        Ok(())
    }
}

/// One reading of one text.
struct Pass<'a> {
    input: &'a [u8],
    at: usize,
    /// Where the output began; offsets of members and objects count from here.
    base: usize,
    out: &'a mut Vec<u8>,
    work: &'a mut Canonicaliser,
}

impl Pass<'_> {
    fn document(&mut self) -> Result<(), Reason> {
        loop {
            self.skip_blanks();
            if self.begin_value()? && self.end_values()? {
                self.skip_blanks();
                return if self.at == self.input.len() {
                    Ok(())
                } else {
                    Err(Reason::Syntax("something follows the value"))
                };
            }
        }
    }

    /// Reads a scalar, or the opening of an array or object. True when the value is complete.
    fn begin_value(&mut self) -> Result<bool, Reason> {
        let complete = match self.peek() {
            Some(b'"') => {
                self.string()?;
                true
            }
            Some(b'-' | b'0'..=b'9') => {
                let rest = self.input.get(self.at..).unwrap_or_default();
                self.at += number::append(rest, self.work.limits.digits, self.out)?;
                true
            }
            Some(b'{') => self.open(true, b'}')?,
            Some(b'[') => self.open(false, b']')?,
            Some(b't') => self.literal(b"true")?,
            Some(b'f') => self.literal(b"false")?,
            Some(b'n') => self.literal(b"null")?,
            Some(_) => return Err(Reason::Syntax("a value is expected")),
            None => return Err(Reason::Syntax("the text ends too early")),
        };
        if self.out.len() - self.base > self.work.limits.bytes {
            return Err(Reason::TooLong(self.work.limits.bytes));
        }
        Ok(complete)
    }

    /// After a complete value: closes what ends here. True when the outermost value is complete, false when another
    /// value follows.
    fn end_values(&mut self) -> Result<bool, Reason> {
        loop {
            let Some(&Frame { object, .. }) = self.work.frames.last() else { return Ok(true) };
            self.skip_blanks();
            match self.peek() {
                Some(b',') => {
                    self.at += 1;
                    let end = self.out.len() - self.base;
                    self.work.end_member(object, end);
                    self.out.extend_from_slice(b", ");
                    if object {
                        self.skip_blanks();
                        self.key()?;
                    }
                    return Ok(false);
                }
                Some(b'}') if object => {
                    self.at += 1;
                    let end = self.out.len() - self.base;
                    self.work.end_member(true, end);
                    self.out.push(b'}');
                    self.work.close_object(self.input, end + 1);
                }
                Some(b']') if !object => {
                    self.at += 1;
                    self.out.push(b']');
                    self.work.frames.pop();
                }
                None => return Err(Reason::Syntax("the text ends too early")),
                Some(_) if object => return Err(Reason::Syntax("',' or '}' is expected")),
                Some(_) => return Err(Reason::Syntax("',' or ']' is expected")),
            }
        }
    }

    /// Opens an array or object, and reads the first key of an object. True when it is empty and thereby complete.
    fn open(&mut self, object: bool, closing: u8) -> Result<bool, Reason> {
        if self.work.frames.len() >= self.work.limits.depth {
            return Err(Reason::TooDeep(self.work.limits.depth));
        }
        let start = self.out.len() - self.base;
        self.out.extend(self.peek());
        self.at += 1;
        self.skip_blanks();
        if self.peek() == Some(closing) {
            self.at += 1;
            self.out.push(closing);
            return Ok(true);
        }
        self.work.frames.push(Frame { object, start, first: self.work.open.len(), in_order: true });
        if object {
            self.key()?;
        }
        Ok(false)
    }

    /// Reads `"key":` and begins a member.
    fn key(&mut self) -> Result<(), Reason> {
        if self.peek() != Some(b'"') {
            return Err(Reason::Syntax("a key is expected"));
        }
        let start = self.out.len() - self.base;
        let from = self.at + 1;
        let has_escapes = self.string()?;
        let mut key = Key { decoded: false, start: from, end: self.at - 1 };
        if has_escapes {
            key = self.decode(key)?;
        }
        self.skip_blanks();
        if self.peek() != Some(b':') {
            return Err(Reason::Syntax("':' is expected"));
        }
        self.at += 1;
        self.out.extend_from_slice(b": ");
        self.work.begin_member(self.input, key, start);
        Ok(())
    }

    /// Reads a string and writes it. True when it had escapes.
    fn string(&mut self) -> Result<bool, Reason> {
        let quoted = self.input.get(self.at..).unwrap_or_default();
        let end = 1 + text::plain_run(quoted.get(1..).unwrap_or_default());
        // Most strings are copied with their quotes.
        if let Some((run, [b'"', ..])) = quoted.split_at_checked(end) {
            self.out.extend_from_slice(run);
            self.out.push(b'"');
            self.at += end + 1;
            return Ok(false);
        }
        self.at += 1;
        self.out.push(b'"');
        let mut has_escapes = false;
        loop {
            let rest = self.input.get(self.at..).unwrap_or_default();
            let (run, rest) = rest.split_at(text::plain_run(rest));
            self.out.extend_from_slice(run);
            self.at += run.len();
            match rest.first() {
                Some(b'"') => {
                    self.at += 1;
                    self.out.push(b'"');
                    return Ok(has_escapes);
                }
                Some(b'\\') => {
                    has_escapes = true;
                    let (c, length) = unescape(rest)?;
                    text::push_char(c, self.out);
                    self.at += length;
                }
                Some(0x7f) => {
                    text::push_char('\u{7f}', self.out);
                    self.at += 1;
                }
                Some(0x80..) => {
                    let length = rest.iter().take_while(|b| **b >= 0x80).count();
                    let run = rest.get(..length).unwrap_or_default();
                    for c in std::str::from_utf8(run).map_err(|_| Reason::NotUtf8)?.chars() {
                        text::push_char(c, self.out);
                    }
                    self.at += length;
                }
                Some(_) => return Err(Reason::Syntax("a control character must be escaped")),
                None => return Err(Reason::Syntax("the text ends too early")),
            }
        }
    }

    /// Decodes a key that was read already.
    fn decode(&mut self, key: Key) -> Result<Key, Reason> {
        let start = self.work.keys.len();
        let mut rest = self.input.get(key.start..key.end).unwrap_or_default();
        while let Some(escape) = memchr::memchr(b'\\', rest) {
            let (run, tail) = rest.split_at(escape);
            let (c, length) = unescape(tail)?;
            self.work.keys.extend_from_slice(run);
            self.work.keys.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
            rest = tail.get(length..).unwrap_or_default();
        }
        self.work.keys.extend_from_slice(rest);
        Ok(Key { decoded: true, start, end: self.work.keys.len() })
    }

    fn literal(&mut self, word: &'static [u8]) -> Result<bool, Reason> {
        if !self.input.get(self.at..).unwrap_or_default().starts_with(word) {
            return Err(Reason::Syntax("a value is expected"));
        }
        self.out.extend_from_slice(word);
        self.at += word.len();
        Ok(true)
    }

    fn peek(&self) -> Option<u8> {
        self.input.get(self.at).copied()
    }

    fn skip_blanks(&mut self) {
        while let Some(b' ' | b'\t' | b'\n' | b'\r') = self.peek() {
            self.at += 1;
        }
    }
}

/// The character an escape stands for, and the length of the escape.
fn unescape(text: &[u8]) -> Result<(char, usize), Reason> {
    let short = match text.get(1) {
        Some(b'"') => '"',
        Some(b'\\') => '\\',
        Some(b'/') => '/',
        Some(b'b') => '\u{8}',
        Some(b'f') => '\u{c}',
        Some(b'n') => '\n',
        Some(b'r') => '\r',
        Some(b't') => '\t',
        Some(b'u') => return unescape_unicode(text),
        _ => return Err(Reason::Syntax("an escape is malformed")),
    };
    Ok((short, 2))
}

fn unescape_unicode(text: &[u8]) -> Result<(char, usize), Reason> {
    let unit = |at: usize| -> Option<u32> {
        if text.get(at..at + 2)? != b"\\u" {
            return None;
        }
        text.get(at + 2..at + 6)?.iter().try_fold(0, |n, b| Some(n << 4 | char::from(*b).to_digit(16)?))
    };
    let first = unit(0).ok_or(Reason::Syntax("an escape is malformed"))?;
    let (code, length) = match first {
        0 => return Err(Reason::Nul),
        0xd800..0xdc00 => match unit(6) {
            Some(second @ 0xdc00..0xe000) => (0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00), 12),
            _ => return Err(Reason::LoneSurrogate),
        },
        _ => (first, 6),
    };
    char::from_u32(code).map(|c| (c, length)).ok_or(Reason::LoneSurrogate)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SMALL: Limits = Limits { depth: 8, digits: 40, bytes: 1 << 16 };

    fn canonical(json: &str) -> Result<String, JsonError> {
        let mut out = b"kept ".to_vec();
        Canonicaliser::new(Limits::WRITE).append(json.as_bytes(), &mut out)?;
        Ok(String::from_utf8(out).unwrap().split_off(5))
    }

    fn reason(json: &str) -> (Reason, usize) {
        let error = canonical(json).unwrap_err();
        (error.reason, error.at)
    }

    #[test]
    fn keys_are_sorted_by_code_point_at_every_depth() {
        for (json, expected) in [
            (r#" {"b" : 1 , "a":[ ] } "#, r#"{"a": [], "b": 1}"#),
            (
                r#"{"bb":{"z":1,"a":{"y":{},"x":[{"q":1,"p":2},3]}},"aa":0}"#,
                r#"{"aa": 0, "bb": {"a": {"x": [{"p": 2, "q": 1}, 3], "y": {}}, "z": 1}}"#,
            ),
            (
                r#"{"aaaaaaaab":1,"aaaaaaaaa":2,"aaaaaaaa":3}"#,
                r#"{"aaaaaaaa": 3, "aaaaaaaaa": 2, "aaaaaaaab": 1}"#,
            ),
            // U+FF5E sorts before U+1F600, in UTF-16 it would not.
            ("{\"\u{1f600}\":1,\"\u{ff5e}\":2}", r#"{"\uff5e": 2, "\ud83d\ude00": 1}"#),
            // Compared decoded: the escaped form of é would sort before "z".
            (r#"{"\u00e9":1,"z":2,"\n":3}"#, r#"{"\n": 3, "z": 2, "\u00e9": 1}"#),
            ("null", "null"),
            (r#"[true,false,null,"x",1.0]"#, r#"[true, false, null, "x", 1.0]"#),
        ] {
            assert_eq!(canonical(json).as_deref(), Ok(expected));
        }
    }

    #[test]
    fn of_equal_keys_the_last_counts() {
        assert_eq!(canonical(r#"{"a":1,"a":2}"#).as_deref(), Ok(r#"{"a": 2}"#));
        assert_eq!(
            canonical(r#"{"b":{"d":0,"c":1},"a":1,"b":[{"y":2,"x":3}],"\u0061":{"f":4,"e":5}}"#).as_deref(),
            Ok(r#"{"a": {"e": 5, "f": 4}, "b": [{"x": 3, "y": 2}]}"#)
        );
    }

    #[test]
    fn strings_are_decoded_and_escaped_as_python_does() {
        assert_eq!(
            canonical("\"\\u0041\\/\\u007f\u{7f}\\u00E9é\\ud83D\\uDE00\u{1f600}\\b\\f\\n\\r\\t\\\"\\\\\"")
                .as_deref(),
            Ok(r#""A/\u007f\u007f\u00e9\u00e9\ud83d\ude00\ud83d\ude00\b\f\n\r\t\"\\""#)
        );
    }

    #[test]
    fn refusals_say_why_and_where() {
        assert_eq!(reason(r#"{"a":"\u0000"}"#), (Reason::Nul, 6));
        assert_eq!(reason(r#"{"\u0000":1}"#), (Reason::Nul, 2));
        assert_eq!(reason(r#"["\ud800x"]"#), (Reason::LoneSurrogate, 2));
        assert_eq!(reason(r#"["\udc00\ud800"]"#), (Reason::LoneSurrogate, 2));
        assert_eq!(reason("[1,1e4096]"), (Reason::NumberTooLong(4096), 3));
        assert_eq!(reason(&"[".repeat(1001)), (Reason::TooDeep(1000), 1000));
        assert!(canonical(&format!("{}{}", "[".repeat(1000), "]".repeat(1000))).is_ok());
        for json in [
            "",
            " ",
            "{",
            "[1",
            "[1,]",
            "{\"a\"}",
            "{\"a\":}",
            "{\"a\":1,}",
            "{a:1}",
            "[1}",
            "1 2",
            "tru",
            "\"\n\"",
            "\"\\x\"",
            "\"\\u12\"",
            "\"",
            "nullx",
            "NaN",
            "-Infinity",
            "'a'",
        ] {
            assert!(matches!(reason(json).0, Reason::Syntax(_)), "{json}");
        }
        let mut out = Vec::new();
        let mut small = Canonicaliser::new(SMALL);
        let error = small.append(format!("[\"{}\"]", "é".repeat(20_000)).as_bytes(), &mut out).unwrap_err();
        assert_eq!(error.reason, Reason::TooLong(1 << 16));
        assert!(out.is_empty());
        assert_eq!(small.append(b"\"\xff\"", &mut out).unwrap_err().reason, Reason::NotUtf8);
    }

    #[test]
    fn deep_unsorted_objects_are_written_in_linear_time() {
        // 1000 levels around 1 MB: moving each byte once per level would take a thousand times as long.
        let depth = 999;
        let json =
            format!("{}\"{}\"{}", r#"{"b":0,"a":"#.repeat(depth), "x".repeat(1 << 20), "}".repeat(depth));
        let expected = format!(
            "{}\"{}\"{}",
            r#"{"a": "#.repeat(depth),
            "x".repeat(1 << 20),
            r#", "b": 0}"#.repeat(depth)
        );
        assert!(canonical(&json).unwrap() == expected);
    }

    /// What serde_json and a sorted map make of it, for documents without floats (its `Value` sorts keys by bytes).
    fn by_tree(value: &serde_json::Value, out: &mut String) {
        match value {
            serde_json::Value::Array(items) => {
                out.push('[');
                for (i, item) in items.iter().enumerate() {
                    out.push_str(if i > 0 { ", " } else { "" });
                    by_tree(item, out);
                }
                out.push(']');
            }
            serde_json::Value::Object(members) => {
                out.push('{');
                for (i, (key, item)) in members.iter().enumerate() {
                    out.push_str(if i > 0 { ", " } else { "" });
                    by_tree(&serde_json::Value::String(key.clone()), out);
                    out.push_str(": ");
                    by_tree(item, out);
                }
                out.push('}');
            }
            serde_json::Value::String(s) => {
                let mut quoted = vec![b'"'];
                text::push_escaped(s, &mut quoted);
                quoted.push(b'"');
                out.push_str(&String::from_utf8(quoted).unwrap());
            }
            other => out.push_str(&other.to_string()),
        }
    }

    fn document() -> impl Strategy<Value = String> {
        let key = prop_oneof![
            "[a-c]{0,2}",
            "[aé~\u{1f600}]{0,3}",
            "longprefix[ab]{0,2}",
            Just("\\u0061".to_owned()),
            Just("\\n".to_owned())
        ];
        let leaf = prop_oneof![
            Just("null".to_owned()),
            Just("true".to_owned()),
            any::<i64>().prop_map(|n| n.to_string()),
            any::<String>().prop_map(|s| serde_json::to_string(&s.replace('\0', "")).unwrap()),
        ];
        leaf.prop_recursive(5, 60, 6, move |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..5)
                    .prop_map(|items| format!("[{}]", items.join(" ,"))),
                prop::collection::vec((key.clone(), inner), 0..6).prop_map(|members| {
                    let members: Vec<_> = members.iter().map(|(k, v)| format!("\"{k}\" :{v}")).collect();
                    format!("{{{}}}", members.join(", "))
                }),
            ]
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]
        #[test]
        fn agrees_with_a_document_tree(json in document()) {
            let mut expected = String::new();
            by_tree(&serde_json::from_str(&json).unwrap(), &mut expected);
            let once = canonical(&json).unwrap();
            prop_assert_eq!(&once, &expected);
            prop_assert_eq!(canonical(&once).unwrap(), once);
        }
    }

    #[test]
    fn any_bytes_give_a_text_or_an_error() {
        use rand_core::{Rng as _, SeedableRng as _};
        const ALPHABET: &[&[u8]] = &[
            b"{",
            b"}",
            b"[",
            b"]",
            b",",
            b":",
            b"\"",
            b"\"a\"",
            b"\"b\"",
            b"\\",
            b"\\u",
            b"\\ud83d",
            b"\\ude00",
            b"0",
            b"-",
            b"1",
            b".",
            b"e",
            b"E5",
            b"9",
            b" ",
            b"\n",
            b"true",
            b"null",
            b"\x7f",
            b"\xc3\xa9",
            b"\xff",
            b"\0",
            b"\xf0\x9f",
        ];
        let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(7);
        let mut work = Canonicaliser::new(SMALL);
        let (mut json, mut out, mut again) = (Vec::new(), Vec::new(), Vec::new());
        let mut accepted = 0;
        for case in 0..100_000 {
            json.clear();
            for _ in 0..rng.next_u32() % 24 {
                if case % 8 == 0 {
                    json.push(rng.next_u32() as u8);
                } else {
                    json.extend_from_slice(ALPHABET[rng.next_u32() as usize % ALPHABET.len()]);
                }
            }
            out.clear();
            if work.append(&json, &mut out).is_ok() {
                accepted += 1;
                again.clear();
                work.append(&out, &mut again).unwrap();
                assert_eq!(out, again, "{}", String::from_utf8_lossy(&json));
            } else {
                assert!(out.is_empty());
            }
        }
        assert!(accepted > 1000, "{accepted}");
    }
}
