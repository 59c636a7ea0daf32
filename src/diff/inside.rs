//! JSON inside strings, such as the `policyDocument` of a role: one long string to a comparison of values, a document to
//! its reader. The change of the string stays what it is; what differs inside is told beside it.

use super::compare::{Change, ChangeKind, Structure};
use super::json::{Doc, Limits};
use super::label::Label;
use super::rules::{Rank, Rules};

/// Larger documents stay strings.
const LIMITS: Limits = Limits { bytes: 1 << 20, nodes: 20_000 };

/// A difference inside the document that a string holds; as [`Change`], with its paths inside that document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InnerChange {
    /// JSON Pointer within the inner document.
    pub path: String,
    /// What happened.
    pub kind: ChangeKind,
    /// The value before, as JSON.
    pub old: Option<Box<str>>,
    /// The value after, as JSON.
    pub new: Option<Box<str>>,
    /// How much it matters.
    pub rank: Rank,
    /// Whether the value is a secret.
    pub secret: bool,
    /// The path for people.
    pub label: Label,
}

/// What differs inside two strings (as JSON) that both hold a JSON object or array, most significant first; `None` for
/// all others. Nothing differs where only the spelling does.
pub(super) fn changes(
    old: &str,
    new: &str,
    rules: &Rules,
    stop: &dyn Fn() -> bool,
) -> Option<Vec<InnerChange>> {
    let (old, new) = (document(old)?, document(new)?);
    let (old, new) = (Doc::parse(&old, LIMITS).ok()?, Doc::parse(&new, LIMITS).ok()?);
    let structure = Structure::new(old, new, false, stop).ok()?;
    let mut found = structure.changes(rules, stop).ok()?;
    found.sort_by_key(|change| change.rank);
    let own = |change: Change<'_>| InnerChange {
        path: change.path,
        kind: change.kind,
        old: change.old.map(Box::from),
        new: change.new.map(Box::from),
        rank: change.rank,
        secret: change.secret,
        label: change.label,
    };
    Some(found.into_iter().map(own).collect())
}

/// The document that a string holds, also percent-encoded, as IAM answers.
fn document(json: &str) -> Option<String> {
    if !json.starts_with('"') || json.len() > LIMITS.bytes {
        return None;
    }
    let text: String = serde_json::from_str(json).ok()?;
    let text = text.trim();
    let text = match text.get(..3) {
        Some("%7B" | "%7b" | "%5B" | "%5b") => decoded(text)?,
        _ => text.to_owned(),
    };
    text.starts_with(['{', '[']).then_some(text)
}

/// A percent-encoded text.
fn decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        rest = after;
        if *first == b'%' {
            let digits = std::str::from_utf8(rest.get(..2)?).ok()?;
            bytes.push(u8::from_str_radix(digits, 16).ok()?);
            rest = rest.get(2..)?;
        } else {
            bytes.push(*first);
        }
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(old: &str, new: &str) -> Option<Vec<(String, Rank)>> {
        let string = |text: &str| serde_json::Value::from(text).to_string();
        let changes = changes(&string(old), &string(new), &Rules::default(), &|| false)?;
        Some(changes.into_iter().map(|c| (c.label.text(), c.rank)).collect())
    }

    #[test]
    fn a_policy_in_a_string_is_compared_as_a_document() {
        let policy = |action: &str| {
            format!(r#"{{"Statement":[{{"Effect":"Allow","Action":"{action}","Resource":"arn:x"}}]}}"#)
        };
        assert_eq!(
            found(&policy("s3:Get*"), &policy("*")).unwrap(),
            [("Statement[0].Action".to_owned(), Rank::Network)]
        );
        assert_eq!(found(&policy("a"), &policy("a").replace(',', " , ")).unwrap(), []);
        let encoded: String = policy("*").bytes().map(|b| format!("%{b:02X}")).collect();
        assert_eq!(found(&policy("s3:Get*"), &encoded).unwrap().len(), 1);
        for (old, new) in [
            ("x", "y"),
            ("{}", "y"),
            ("{", "}"),
            ("%7B", "{}"),
            ("%7B%zz", "{}"),
            ("%7B%FF", "{}"),
            ("1", "2"),
        ] {
            assert_eq!(found(old, new), None, "{old} {new}");
        }
    }
}
