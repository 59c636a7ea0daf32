//! The formats of sources, and how one is told from another.

use super::record::Members;
use super::{Mapped, Mapping, Reject, agenttrace, cloudtrail};
use std::fmt;

/// How the records of a source are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SourceFormat {
    /// Events under the names of the 22 columns.
    AgentTrace,
    /// AWS CloudTrail records.
    CloudTrail,
}

impl SourceFormat {
    /// Every format.
    pub const ALL: &'static [Self] = &[Self::AgentTrace, Self::CloudTrail];

    /// The name on the command line.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::AgentTrace => "agenttrace",
            Self::CloudTrail => "cloudtrail",
        }
    }

    /// The format of a record, when it can only be that one.
    pub(crate) fn recognise(text: &str) -> Option<Self> {
        let members = Members::parse(text).ok()?;
        if members.has("eventSource") && members.has("eventName") {
            Some(Self::CloudTrail)
        } else if members.has("event_id") && members.has("event_type") {
            Some(Self::AgentTrace)
        } else {
            None
        }
    }

    /// A record as an event.
    pub(crate) fn map(self, text: &str, mapping: &Mapping) -> Result<Mapped, Reject> {
        match self {
            Self::AgentTrace => agenttrace::map(text, mapping),
            Self::CloudTrail => cloudtrail::map(text, mapping),
        }
    }
}

impl fmt::Display for SourceFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::AgentTrace => "AgentTrace events",
            Self::CloudTrail => "AWS CloudTrail",
        })
    }
}
