//! What every command starts from: configuration, target, organisation.

use super::{Global, Out};
use crate::config::Target;
use crate::domain::OrgScope;
use crate::error::Result;
use crate::store::{ReadDb, WriteDb};

/// Options, configuration and output of one run.
#[derive(Debug)]
pub struct Context {
    /// Options of every command.
    pub global: Global,
    /// Where results and remarks go.
    pub out: Out,
}

impl Context {
    /// The target database by flags, environment and configuration, in that order of rank; starts the private server
    /// when the target is on it.
    pub async fn target(&self) -> Result<Target> {
        todo!()
    }

    /// A reader on the target. The target must live as long as the reader: it keeps a private server running.
    pub async fn reader(&self) -> Result<(ReadDb, Target)> {
        todo!()
    }

    /// A writer on the target (`writer_url` where the profile has one), whose name is printed first.
    pub async fn writer(&self) -> Result<(WriteDb, Target)> {
        todo!()
    }

    /// The organisation: `--org`, else the profile's, else the only one there is.
    ///
    /// # Errors
    /// Exit 2 with the list when there are several.
    pub async fn scope(&self, db: &ReadDb) -> Result<OrgScope> {
        todo!()
    }
}
