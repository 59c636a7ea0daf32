//! The tenant a query is confined to.
//!
//! Every function of the store takes an [`OrgScope`]; there is no way to build SQL over events without one, and the
//! only constructor is named for what it does, so that each crossing into an organisation can be found with one
//! search.

use std::fmt;

/// The identifier of an organisation, 1 to 64 characters as the column holds it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OrgId(String);

/// Why a text is no organisation identifier.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OrgIdError {
    /// The text is empty.
    #[error("an organisation id must not be empty")]
    Empty,
    /// The text has more than 64 characters.
    #[error("an organisation id has at most 64 characters, this one has {0}")]
    TooLong(usize),
    /// PostgreSQL cannot hold the character U+0000.
    #[error("an organisation id must not contain the character U+0000")]
    Nul,
}

impl OrgId {
    /// Checks a text that names an organisation.
    ///
    /// # Errors
    /// When it is empty, longer than 64 characters, or contains U+0000.
    pub fn new(id: impl Into<String>) -> Result<Self, OrgIdError> {
        let id = id.into();
        let length = id.chars().count();
        if id.is_empty() {
            Err(OrgIdError::Empty)
        } else if length > 64 {
            Err(OrgIdError::TooLong(length))
        } else if id.contains('\0') {
            Err(OrgIdError::Nul)
        } else {
            Ok(Self(id))
        }
    }

    /// The identifier as stored. Untrusted: show it through [`crate::domain::Safe`].
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for OrgId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Permission to read one organisation. It has no `Default` and cannot be deserialised.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct OrgScope {
    organization: OrgId,
}

impl OrgScope {
    /// Confines what follows to one organisation.
    pub fn enter(organization: OrgId) -> Self {
        Self { organization }
    }

    /// The organisation that every statement under this scope names first.
    pub fn organization(&self) -> &OrgId {
        &self.organization
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_checked_at_the_door() {
        assert_eq!(OrgId::new(""), Err(OrgIdError::Empty));
        assert_eq!(OrgId::new("x".repeat(65)), Err(OrgIdError::TooLong(65)));
        assert_eq!(OrgId::new("a\0b"), Err(OrgIdError::Nul));
        assert_eq!(OrgId::new("ü".repeat(64)).unwrap().as_str().chars().count(), 64);
    }
}
