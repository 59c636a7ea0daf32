//! Errors as panes show them.

use crate::domain::Safe;
use crate::error::Error;
use crate::store::StoreError;
use crate::store::listing::bounds::BoundsError;

/// An error, fit for a pane.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Failure {
    /// What happened, and what to do.
    pub(crate) text: Safe,
    /// The connection is gone.
    pub(crate) lost: bool,
    /// It was asked to stop.
    pub(crate) cancelled: bool,
    /// It is against the rules until the user insists on the command line.
    pub(crate) refused: bool,
}

impl Failure {
    /// A failure of which nothing is known but its text.
    pub(crate) fn because(text: &str) -> Self {
        Self { text: Safe::composed(text), ..Self::default() }
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        let remedy = error.remedies().first().map(|remedy| format!(" · {remedy}")).unwrap_or_default();
        Self {
            text: Safe::composed(&format!("{error}{remedy}")),
            refused: matches!(error, StoreError::CodeOfOthers(_)),
            lost: error.is_connection_loss(),
            cancelled: matches!(error, StoreError::Cancelled),
        }
    }
}

impl From<BoundsError> for Failure {
    fn from(error: BoundsError) -> Self {
        match error {
            BoundsError::Store(error) => error.into(),
            other => Self::because(&other.to_string()),
        }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let remedy = error.hints().first().map(|hint| format!(" · {hint}")).unwrap_or_default();
        Self::because(&format!("{error}{remedy}"))
    }
}
