//! How a table of events is called where it is not called as ours.

use super::COLUMNS;
use chrono_tz::Tz;
use std::collections::BTreeMap;

/// Names of the table and of its columns, and what its times mean.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Naming {
    /// Name of the table, view or foreign table; `None`: `audit_events`.
    pub table: Option<String>,
    /// Names of its columns, by ours.
    pub columns: BTreeMap<String, String>,
    /// The zone of times that are stored without one; `None`: UTC.
    pub zone: Option<Tz>,
}

impl Naming {
    /// The first name that no column of events has, and the nearest that one has.
    pub fn unknown(&self) -> Option<(&str, &'static str)> {
        let unknown = self.columns.keys().find(|name| !COLUMNS.contains(&name.as_str()))?;
        let near = |name: &&str| strsim::jaro_winkler(unknown, name);
        let nearest = COLUMNS.into_iter().max_by(|a, b| near(a).total_cmp(&near(b)))?;
        Some((unknown, nearest))
    }
}
