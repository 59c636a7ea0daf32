//! What the user says about states: which words matter, what is noise, what is a secret.

use serde::{Deserialize, Serialize};

/// Lists of words; one that is given takes the place of the built-in one.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct DiffWords {
    /// Parts of keys about rights.
    pub privilege: Option<Vec<String>>,
    /// Parts of keys that hold secrets.
    pub secret: Option<Vec<String>>,
    /// Last parts of keys that only describe a secret.
    pub secret_attribute: Option<Vec<String>>,
    /// Beginnings of values that are secrets.
    pub secret_prefix: Option<Vec<String>>,
    /// Parts of keys about ownership.
    pub owner: Option<Vec<String>>,
    /// Parts of keys about exposure to a network.
    pub network: Option<Vec<String>>,
    /// Values that open something to everybody.
    pub open_to_all: Option<Vec<String>>,
    /// Keys, or JSON Pointers with `*` for one step, of what changes by itself.
    pub noise: Option<Vec<String>>,
}

impl DiffWords {
    /// A word that can never match, and its list.
    pub(super) fn useless(&self) -> Option<(&'static str, &str)> {
        let lists = [
            ("privilege", &self.privilege),
            ("secret", &self.secret),
            ("secret_attribute", &self.secret_attribute),
            ("secret_prefix", &self.secret_prefix),
            ("owner", &self.owner),
            ("network", &self.network),
            ("open_to_all", &self.open_to_all),
            ("noise", &self.noise),
        ];
        // Parts of keys are compared in lower case; prefixes, values and noise as they are written.
        let in_parts = |name: &str| !matches!(name, "secret_prefix" | "open_to_all" | "noise");
        lists.into_iter().find_map(|(name, list)| {
            let wrong = |w: &&String| w.is_empty() || in_parts(name) && w.chars().any(char::is_uppercase);
            Some((name, list.iter().flatten().find(wrong)?.as_str()))
        })
    }
}
