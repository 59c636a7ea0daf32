//! Paths of mapping files: `user.groups[0].name`, `"addr.remote"`, `addresses[-1]`.

use crate::ingest::kind::spelled;
use serde::Deserialize;
use std::fmt;

/// A path below a record. Kept as the mappings look it up: steps joined by `>`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(super) struct Path(String);

impl Path {
    /// For looking up.
    pub(super) fn inner(&self) -> &str {
        &self.0
    }

    /// The member of the record itself.
    pub(super) fn first(&self) -> &str {
        self.0.split('>').next().unwrap_or(&self.0)
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&spelled(&self.0))
    }
}

impl TryFrom<String> for Path {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let wrong =
            |why: &str| format!("'{text}' is no path such as user.name, groups[0] or \"a.b\".c: {why}");
        let mut steps: Vec<String> = Vec::new();
        let mut rest = text.as_str();
        loop {
            if let Some(quoted) = rest.strip_prefix('"') {
                let end = quoted.find('"').ok_or_else(|| wrong("a quotation mark is missing"))?;
                steps.push(quoted[..end].to_owned());
                rest = &quoted[end + 1..];
            } else {
                let end = rest.find(['.', '[', '"']).unwrap_or(rest.len());
                steps.push(rest[..end].to_owned());
                rest = &rest[end..];
            }
            if steps.last().is_none_or(String::is_empty) {
                return Err(wrong("a step is empty"));
            }
            while let Some(index) = rest.strip_prefix('[') {
                let (number, behind) =
                    index.split_once(']').ok_or_else(|| wrong("a bracket is not closed"))?;
                let number: i64 = number.parse().map_err(|_| wrong("an index is no number"))?;
                if number < -1 {
                    return Err(wrong("of negative indices there is only -1, the last element"));
                }
                steps.push(number.to_string());
                rest = behind;
            }
            match rest.strip_prefix('.') {
                Some(behind) => rest = behind,
                None if rest.is_empty() => break,
                None => return Err(wrong("a full stop is missing between two steps")),
            }
        }
        if steps.iter().any(|step| step.contains('>')) {
            return Err(wrong("keys with > cannot be named"));
        }
        Ok(Self(steps.join(">")))
    }
}
