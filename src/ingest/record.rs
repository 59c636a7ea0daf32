//! The members of a JSON object as they are written: no number is read, no key is lost or taken twice.

use super::Reject;
use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, Visitor};
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::fmt;

/// A JSON object: keys and raw values in the order of the text.
#[derive(Debug)]
pub(crate) struct Members<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'a> Members<'a> {
    /// Reads one object. Values are checked for syntax only, to any depth, and stay text.
    pub(crate) fn parse(text: &'a str) -> Result<Self, Reject> {
        serde_json::from_str(text).map_err(|e| malformed(text, &e))
    }

    /// Keys and values in the order of the text.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &'a RawValue)> {
        self.0.iter().map(|(k, v)| (k.as_ref(), *v))
    }

    /// The value of a key; `None` when it is absent or `null`.
    pub(crate) fn get(&self, key: &str) -> Option<&'a RawValue> {
        self.iter().find(|(k, v)| *k == key && v.get() != "null").map(|(_, v)| v)
    }

    /// Whether the key is there with a value other than `null`.
    pub(crate) fn has(&self, key: &str) -> bool {
        self.get(key).is_some()
    }

    /// Whether a key is there in any spelling, with a value other than `null`.
    pub(crate) fn has_alike(&self, key: &str) -> bool {
        self.iter().any(|(own, value)| alike(own, key) && value.get() != "null")
    }

    /// A string; `None` when it is absent or `null`.
    pub(crate) fn text(&self, key: &'static str) -> Result<Option<String>, Reject> {
        let Some(raw) = self.get(key) else { return Ok(None) };
        serde_json::from_str(raw.get()).map(Some).map_err(|_| {
            Reject::new(format!("{key}: must be a string of Unicode characters, is {}", kind(raw)))
        })
    }

    /// A string that has to be there.
    pub(crate) fn required(&self, key: &'static str) -> Result<String, Reject> {
        self.text(key)?.ok_or_else(|| Reject::new(format!("{key}: missing")))
    }

    /// A string that is neither absent nor empty; anything else is `None`.
    pub(crate) fn some_text(&self, key: &str) -> Option<String> {
        self.get(key).and_then(string).filter(|s| !s.is_empty())
    }

    /// The elements of a list, each as its text; where an element is a text, what that says.
    pub(crate) fn elements(&self, key: &str) -> Option<Vec<String>> {
        let elements: Vec<&RawValue> = serde_json::from_str(self.get(key)?.get()).ok()?;
        Some(elements.into_iter().map(|raw| string(raw).unwrap_or_else(|| raw.get().to_owned())).collect())
    }

    /// The elements of a list of which each is such a record; `None` where there is another one, or none.
    pub(crate) fn records(&self, key: &str, is_record: fn(&Members<'_>) -> bool) -> Option<Vec<String>> {
        let texts = self.elements(key)?;
        let all = texts.iter().all(|text| Members::parse(text).is_ok_and(|members| is_record(&members)));
        (all && !texts.is_empty()).then_some(texts)
    }

    /// A member that is an object itself.
    pub(crate) fn object(&self, key: &str) -> Option<Members<'a>> {
        self.get(key).and_then(|raw| Members::parse(raw.get()).ok())
    }
}

/// Why a text is no JSON object, and where that shows.
pub(super) fn malformed(text: &str, e: &serde_json::Error) -> Reject {
    let said = e.to_string();
    let said = said.rsplit_once(" at line ").map_or(said.as_str(), |(said, _)| said);
    if e.is_data() {
        return Reject::new(format!("not a JSON object: {said}"));
    }
    let line = text.lines().nth(e.line().saturating_sub(1)).unwrap_or_default();
    let near = line.get(e.column().saturating_sub(3)..).unwrap_or_default();
    let number = ["NaN", "-Infinity", "Infinity"]
        .into_iter()
        .find(|n| near.get(..12.min(near.len())).is_some_and(|near| near.contains(n)));
    let hint = number
        .map_or_else(String::new, |n| format!("; {n} is not JSON, although Python's json module writes it"));
    Reject { reason: format!("{said}{hint}"), at: Some((e.line() as u64, e.column() as u64)) }
}

/// Whether two keys are one but for case and underscores: `operationName`, `operation_name`, `operationname`.
pub(super) fn alike(one: &str, other: &str) -> bool {
    let letters =
        |key: &'_ str| key.bytes().filter(|b| *b != b'_').map(|b| b.to_ascii_lowercase()).collect::<Vec<_>>();
    one.eq_ignore_ascii_case(other) || letters(one) == letters(other)
}

/// The string a raw value is, if it is one.
pub(crate) fn string(raw: &RawValue) -> Option<String> {
    serde_json::from_str(raw.get()).ok()
}

/// What a raw value is, in words.
fn kind(raw: &RawValue) -> &'static str {
    match raw.get().as_bytes().first() {
        Some(b'{') => "an object",
        Some(b'[') => "an array",
        Some(b'"') => "an invalid string (a lone surrogate)",
        Some(b't' | b'f') => "a truth value",
        _ => "a number",
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Members<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Collect;
        impl<'de> Visitor<'de> for Collect {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a JSON object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members: Vec<(Cow<'de, str>, &'de RawValue)> = Vec::new();
                while let Some(Key(key)) = map.next_key()? {
                    // Two readers of such a record may take different values for the truth.
                    if members.iter().any(|(k, _)| *k == key) {
                        return Err(A::Error::custom(format_args!("the key '{key}' stands twice")));
                    }
                    members.push((key, map.next_value()?));
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(Collect)
    }
}

/// A key, borrowed from the text unless it holds an escape.
struct Key<'a>(Cow<'a, str>);

impl<'de: 'a, 'a> Deserialize<'de> for Key<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;
        impl<'de> Visitor<'de> for Text {
            type Value = Key<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a key")
            }

            fn visit_borrowed_str<E>(self, key: &'de str) -> Result<Self::Value, E> {
                Ok(Key(Cow::Borrowed(key)))
            }

            fn visit_str<E>(self, key: &str) -> Result<Self::Value, E> {
                Ok(Key(Cow::Owned(key.to_owned())))
            }
        }
        deserializer.deserialize_str(Text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_keep_their_text_and_order() {
        let text = r#"{"b": 1.10, "\u0061": {"x":[1e400]}, "n": null}"#;
        let members = Members::parse(text).unwrap();
        let seen: Vec<_> = members.iter().map(|(k, v)| (k.to_owned(), v.get())).collect();
        assert_eq!(
            seen,
            [("b".into(), "1.10"), ("a".into(), r#"{"x":[1e400]}"#), ("n".into(), "null")]
                as [(String, &str); 3]
        );
        assert!(members.has("a") && !members.has("n") && !members.has("z"));
    }

    #[test]
    fn a_key_that_stands_twice_is_refused() {
        let e = Members::parse(r#"{"action":"read","\u0061ction":"delete"}"#).unwrap_err();
        assert!(e.to_string().contains("the key 'action' stands twice"), "{e}");
    }

    #[test]
    fn depth_is_no_limit() {
        let text = format!(r#"{{"s":{}1{}}}"#, "[".repeat(5_000), "]".repeat(5_000));
        assert_eq!(Members::parse(&text).unwrap().get("s").unwrap().get().len(), 10_001);
    }

    #[test]
    fn wrong_types_are_named() {
        let members = Members::parse(r#"{"a":7,"b":[],"c":"\ud800"}"#).unwrap();
        assert_eq!(
            members.text("a").unwrap_err().to_string(),
            "a: must be a string of Unicode characters, is a number"
        );
        assert!(members.text("b").unwrap_err().to_string().ends_with("is an array"));
        assert!(members.text("c").unwrap_err().to_string().ends_with("(a lone surrogate)"));
        assert_eq!(members.required("d").unwrap_err().to_string(), "d: missing");
    }
}
