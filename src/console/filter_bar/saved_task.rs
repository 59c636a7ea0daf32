//! Filters that outlast the session: those that were run, and those under a name.

use crate::case::saved::{self, Saved};
use crate::case::{self, recent};
use crate::domain::OrgId;
use crate::error::Result;

/// What is kept.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Shelf {
    /// What was run in the organisation, the newest last.
    pub(crate) recent: Vec<String>,
    /// What has a name.
    pub(crate) saved: Vec<Saved>,
}

/// What is done with it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Shelving {
    /// Nothing: it is looked at.
    Look,
    /// This filter was run.
    Ran(String),
    /// This filter gets a name.
    Save(Saved),
    /// The filter of this name is forgotten.
    Forget(String),
}

/// Does it; what is there then.
///
/// # Errors
/// When the files cannot be read or written.
pub(in crate::console) fn put(organization: &OrgId, what: Shelving) -> Result<Shelf> {
    let folder = case::folder()?;
    let (recent, named) = (folder.join(recent::FILE), folder.join(saved::FILE));
    match what {
        Shelving::Look => {}
        Shelving::Ran(filter) => recent::append(&recent, organization.as_str(), &filter)?,
        Shelving::Save(filter) => saved::put(&named, &[filter])?,
        Shelving::Forget(name) => {
            saved::remove(&named, &name)?;
        }
    }
    Ok(Shelf { recent: recent::load(&recent, organization.as_str()), saved: saved::load(&named)? })
}
