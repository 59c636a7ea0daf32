//! Paths for people, in the spelling of the filter language: `bindings[id=rb-7].role`, `roles[0]`, `"odd key".x`.

use super::json::push_quoted;
use std::fmt::Write as _;

/// A path for people, step by step. Its text is untrusted.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Label(pub(super) Vec<LabelStep>);

/// A step of a [`Label`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum LabelStep {
    /// A member.
    Key(String),
    /// An element, by position.
    Index(usize),
    /// An element, by what identifies it: member and value.
    Identity(&'static str, String),
}

impl Label {
    /// The text of the whole path; empty for the document itself.
    pub fn text(&self) -> String {
        steps_text(&self.0)
    }

    /// The keys on the way.
    pub(super) fn keys(&self) -> impl DoubleEndedIterator<Item = &str> {
        self.0.iter().filter_map(|s| match s {
            LabelStep::Key(key) => Some(key.as_str()),
            LabelStep::Index(_) | LabelStep::Identity(..) => None,
        })
    }
}

/// The text of some steps.
pub(super) fn steps_text(steps: &[LabelStep]) -> String {
    let mut out = String::new();
    for step in steps {
        // Writing to a String cannot fail.
        let _ = match step {
            LabelStep::Key(key) => {
                if !out.is_empty() {
                    out.push('.');
                }
                if plain_key(key) {
                    out.push_str(key);
                } else {
                    push_quoted(&mut out, key);
                }
                Ok(())
            }
            LabelStep::Index(i) => write!(out, "[{i}]"),
            LabelStep::Identity(member, value) => write!(out, "[{member}={value}]"),
        };
    }
    out
}

/// Whether a key needs no quotes in a path.
fn plain_key(key: &str) -> bool {
    !key.is_empty() && key.chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | '-' | '$' | '@' | '/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_like_the_filter_language() {
        let key = |k: &str| LabelStep::Key(k.to_owned());
        let id = LabelStep::Identity("id", "rb-7".to_owned());
        assert_eq!(Label(vec![key("a"), key("b"), LabelStep::Index(0), key("c")]).text(), "a.b[0].c");
        assert_eq!(Label(vec![key("bindings"), id, key("role")]).text(), "bindings[id=rb-7].role");
        assert_eq!(Label(vec![key("a.b"), key("")]).text(), "\"a.b\".\"\"");
        assert_eq!(Label::default().text(), "");
    }
}
