//! The doctor: what is wrong with this database as a place for an audit trail, with evidence and the SQL that mends it,
//! which is never run.
//!
//! A check is a name, a group and a judgement over facts; the facts come from [`crate::store::health`], with the least
//! privileges. What the role may not see makes a check [`Level::Unknown`], never [`Level::Pass`].

mod checklist;
mod integrity;
mod loss;
mod space;
mod speed;

use super::{Records, SchemeOf, verification};
use crate::domain::{OrgScope, TimeRange, Timestamp};
use crate::filter::Filter;
use crate::store::health::{self, Health, Seen};
use crate::store::listing::timeline;
use crate::store::query::{Query, Seek};
use crate::store::schema::{self, Status};
use crate::store::{ReadDb, StoreError};
use serde::Serialize;
use tokio_util::sync::CancellationToken;

pub use checklist::{ITEMS, Item, checklist};

/// Organisations whose trails are looked at.
const TRAILS: usize = 20;

/// How a check has ended, the worst last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// As it must be.
    Pass,
    /// Could not be seen.
    Unknown,
    /// Gets worse, or costs.
    Warn,
    /// Rows or proofs are lost, or queries fail.
    Fail,
}

impl Level {
    /// The word for people.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Pass => "PASS",
            Self::Unknown => "UNKNOWN",
            Self::Warn => "WARN",
            Self::Fail => "FAIL",
        }
    }
}

/// What a check is about, the most important first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Group {
    /// Events that are lost or refused.
    Loss,
    /// Proofs that cannot be made.
    Integrity,
    /// Queries that wait.
    Speed,
    /// Space that is wasted.
    Space,
}

/// What a check has found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Diagnosis {
    /// Name of the check.
    pub check: &'static str,
    /// What it is about.
    pub group: Group,
    /// How it has ended.
    pub level: Level,
    /// What was seen, in words.
    pub evidence: String,
    /// SQL or commands that mend it; never run.
    pub advice: Vec<String>,
}

/// A judgement before its check is written on it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Finding(Level, String, Vec<String>);

impl Finding {
    fn pass(evidence: impl Into<String>) -> Self {
        Self(Level::Pass, evidence.into(), Vec::new())
    }

    fn unknown(evidence: impl Into<String>) -> Self {
        Self(Level::Unknown, evidence.into(), Vec::new())
    }

    fn warn(evidence: impl Into<String>, advice: impl Into<String>) -> Self {
        Self(Level::Warn, evidence.into(), vec![advice.into()])
    }

    fn fail(evidence: impl Into<String>, advice: impl Into<String>) -> Self {
        Self(Level::Fail, evidence.into(), vec![advice.into()])
    }
}

/// A check.
#[derive(Debug)]
pub struct Check {
    /// Its name, as `--only` takes it.
    pub name: &'static str,
    /// What it is about.
    pub group: Group,
    /// What it looks at, in words.
    pub about: &'static str,
    judge: fn(&Subject) -> Vec<Finding>,
}

/// All checks, by group.
pub fn checks() -> impl Iterator<Item = &'static Check> {
    [loss::CHECKS, integrity::CHECKS, speed::CHECKS, space::CHECKS].into_iter().flatten()
}

/// All that is judged.
#[derive(Debug)]
pub struct Subject {
    /// Name of the table in SQL.
    pub table: String,
    /// What the catalogues say.
    pub health: Health,
    /// What the schema looks like.
    pub status: Seen<Status>,
    /// This connection goes through a pooler.
    pub pooled: bool,
    /// Primary or replica, in words; empty for a primary.
    pub standing: String,
    /// How the hashes of the first organisations are made.
    pub schemes: Vec<SchemeOf>,
    /// Whether counts are shared between programs.
    pub shared_cache: bool,
    /// Of each organisation that was looked at: its id, its oldest event, and when this machine has last verified it.
    pub trails: Vec<Trail>,
    /// Now, by the server's clock.
    pub now: Timestamp,
}

/// The trail of an organisation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trail {
    /// Whose.
    pub organization_id: String,
    /// Its oldest event.
    pub oldest: Option<Timestamp>,
    /// When this machine has last verified it, and the verdict.
    pub verified: Option<(Timestamp, String)>,
}

/// Looks at the database, and at what this machine remembers of its trails.
///
/// # Errors
/// [`StoreError`].
pub async fn look(
    db: &ReadDb,
    records: &Records,
    shared_cache: bool,
    cancel: &CancellationToken,
) -> Result<Subject, StoreError> {
    let trails = trails(db, records, cancel).await;
    let table = db.relation(cancel).await?.named().to_owned();
    // Columns that are missing are a finding, not an error.
    let schemes = super::schemes(db, cancel).await.map(|(schemes, _)| schemes).unwrap_or_default();
    Ok(Subject {
        table,
        health: health::look(db, cancel).await?,
        status: match schema::status(db, cancel).await {
            Ok(status) => Seen::Facts(status),
            Err(error @ StoreError::Database(_)) => Seen::Refused(error.to_string()),
            Err(other) => return Err(other),
        },
        pooled: db.is_pooled(),
        standing: db.facts().await?.standing.to_string(),
        schemes,
        shared_cache,
        trails,
        now: Timestamp::from(chrono::Utc::now()),
    })
}

/// The trails of the first organisations. Where the rows cannot be read as events there are none: the schema says why.
async fn trails(db: &ReadDb, records: &Records, cancel: &CancellationToken) -> Vec<Trail> {
    let organizations = verification::organizations(db, records, cancel).await.unwrap_or_default();
    let mut trails = Vec::new();
    for id in organizations.into_iter().take(TRAILS) {
        let organization_id = id.as_str().to_owned();
        let query =
            Query { scope: OrgScope::enter(id), filter: Filter::default(), range: TimeRange::default() };
        let page = timeline::page(db, &query, &Seek::Oldest, 1, cancel).await.ok();
        let oldest = page.and_then(|page| page.rows.first().map(|row| row.timestamp));
        let last = records.verifications(&organization_id).into_iter().next();
        trails.push(Trail { organization_id, oldest, verified: last.map(|last| (last.at, last.verdict)) });
    }
    trails
}

/// What the checks that `wanted` chooses find, in their order; of each at least one thing.
pub fn examine(subject: &Subject, wanted: impl Fn(&Check) -> bool) -> Vec<Diagnosis> {
    let judged = |check: &'static Check| {
        (check.judge)(subject).into_iter().map(|Finding(level, evidence, advice)| Diagnosis {
            check: check.name,
            group: check.group,
            level,
            evidence,
            advice,
        })
    };
    checks().filter(|check| wanted(check)).flat_map(judged).collect()
}

/// Facts, or a finding that says why there are none.
fn seen<T>(seen: &Seen<T>, judge: impl FnOnce(&T) -> Vec<Finding>) -> Vec<Finding> {
    match seen {
        Seen::Facts(facts) => judge(facts),
        Seen::Refused(why) => vec![Finding::unknown(format!("not seen: {why}"))],
    }
}

/// The findings, or, without any, that all is well.
fn or_pass(findings: Vec<Finding>, evidence: impl Into<String>) -> Vec<Finding> {
    if findings.is_empty() { vec![Finding::pass(evidence)] } else { findings }
}

/// Seconds for people.
fn ago(seconds: f64) -> String {
    Timestamp::from_micros(0).age(Timestamp::from_micros((seconds * 1e6) as i64))
}

/// Bytes for people.
fn size(bytes: i64) -> String {
    crate::diff::rows::size(usize::try_from(bytes).unwrap_or_default())
}
