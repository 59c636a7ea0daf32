//! What a verification finds, in words that say what is and what it is consistent with.

use super::class::Class;
use crate::chain::head::Remembered;
use crate::chain::links::{Fork, Listed, Malformed, MissingPredecessor, Node, Unhashed};
use crate::chain::{Mismatch, Row, to_hex};
use crate::domain::{EventKey, Timestamp, grouped};
use crate::store::AlteredVector;
use crate::store::scan::{Link, Named, OtherVector, Scanned, Skipped, Unexpected, Unreadable};
use serde::Serialize;
use sha2::{Digest as _, Sha256};
use std::borrow::Cow;

/// One finding. Texts that quote the database are untrusted.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Finding {
    /// What kind it is.
    pub class: Class,
    /// The event at which it shows; empty when not even that could be read.
    pub event_id: String,
    /// Claimed time of that event, RFC 3339; empty likewise.
    pub timestamp: String,
    /// The relation that it is about, as the server quotes it, where it is about no event.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub relation: String,
    /// What is.
    pub detail: Cow<'static, str>,
    /// Explanations that fit.
    pub consistent_with: Vec<Cow<'static, str>>,
    /// Explanations that come to mind and do not fit.
    pub ruled_out: Vec<Cow<'static, str>>,
    /// The event's hash as stored: an acceptance is bound to it.
    #[serde(skip)]
    pub hash: String,
    /// Its predecessor's hash as stored.
    #[serde(skip)]
    pub previous_hash: String,
    /// The hash of its content as it is now, where that was computed: the stored hashes do not tell a second edit from
    /// the first.
    #[serde(skip)]
    pub computed: Option<String>,
    /// All else that the detail names and an acceptance is therefore bound to: the events of a fork, each with its hash;
    /// all beginnings up to this one; the remembered head.
    #[serde(skip)]
    pub bound: Vec<String>,
}

/// Events that begin a chain, oldest first. There may be as many as events, so that a finding holds but a digest of those
/// before it.
#[derive(Debug, Clone, Default)]
pub(super) struct Beginnings {
    first: Option<String>,
    count: u64,
    digest: Sha256,
}

impl Beginnings {
    /// Adds the next one.
    pub(super) fn push(&mut self, event_id: &str, hash: &str) {
        self.first.get_or_insert_with(|| event_id.to_owned());
        self.count += 1;
        self.digest.update(bound(event_id, hash));
        self.digest.update("\n");
    }

    /// What an acceptance is bound to: how many there are, and the SHA-256 of each with its hash, a line each.
    fn bound(&self) -> Option<String> {
        let digest = || to_hex(&self.digest.clone().finalize().into());
        (self.count > 0).then(|| format!("{} {}", self.count, digest()))
    }
}

/// An event and its hash, as an acceptance is bound to them.
pub(super) fn bound(event_id: &str, hash: &str) -> String {
    format!("{event_id} {hash}")
}

const LOST: &str = "a batch of events that was lost before it was stored";
const DELETED: &str = "deletion of one or more events";
/// What takes away what was seen.
const LOST_SINCE: &[&str] = &[
    "deletion of one or more events",
    "an older backup that was restored",
    "retention or an archive that took events away",
    "a role that sees less than before",
];
const RESTORED: &str = "a restored backup, or a table that holds only a part of the trail";

impl Finding {
    /// The name under which it can be accepted: class and event, or relation.
    pub fn name(&self) -> String {
        format!("{}:{}", self.class, self.place())
    }

    /// The event at which it shows, or the relation that it is about.
    pub fn place(&self) -> &str {
        if self.event_id.is_empty() { &self.relation } else { &self.event_id }
    }

    // There may be a hundred thousand of each kind: words of the program are not copied.
    pub(super) fn new(
        class: Class,
        time: Timestamp,
        event_id: &str,
        detail: impl Into<Cow<'static, str>>,
        fits: &[&'static str],
    ) -> Self {
        Self {
            class,
            event_id: event_id.to_owned(),
            timestamp: time.to_rfc3339(),
            relation: String::new(),
            detail: detail.into(),
            consistent_with: fits.iter().map(|text| Cow::Borrowed(*text)).collect(),
            ruled_out: class.ruled_out().iter().map(|text| Cow::Borrowed(*text)).collect(),
            hash: String::new(),
            previous_hash: String::new(),
            computed: None,
            bound: Vec::new(),
        }
    }

    fn at(node: &Node, class: Class, detail: impl Into<Cow<'static, str>>, fits: &[&'static str]) -> Self {
        Self {
            hash: node.hash.clone(),
            previous_hash: node.previous_hash.clone(),
            ..Self::new(class, Timestamp::from_micros(node.time), &node.event_id, detail, fits)
        }
    }

    pub(super) fn content(row: &Row<'_>, mismatch: Mismatch) -> Self {
        let (time, event_id) = (row.fields.timestamp, row.fields.event_id);
        let mut finding = Self::new(Class::ContentMismatch, time, event_id, mismatch.detail, &[]);
        row.hash.clone_into(&mut finding.hash);
        row.previous_hash.clone_into(&mut finding.previous_hash);
        finding.consistent_with = mismatch.consistent_with.into_iter().map(Cow::Owned).collect();
        if mismatch.computed.is_none() {
            // What the scheme cannot write has not been tried in any spelling.
            finding.ruled_out.clear();
        }
        finding.computed = mismatch.computed;
        finding
    }

    pub(super) fn undecided(row: &Scanned<'_>, why: String) -> Self {
        Self {
            hash: row.hash.to_owned(),
            previous_hash: row.previous_hash.to_owned(),
            ..Self::new(Class::Undecided, row.timestamp, row.event_id, why, &[])
        }
    }

    pub(super) fn unreadable(row: &Unreadable) -> Self {
        let fits = &[
            "a value that cannot be sent (a number written with a huge exponent, a text beyond a gigabyte)",
            "damaged storage",
            "a shortage of memory on the server",
        ];
        let detail =
            format!("the server cannot send this row, at {} of the table: {}", row.place, row.reason);
        match &row.link {
            Some(link) => Self {
                hash: link.hash.clone(),
                previous_hash: link.previous_hash.clone(),
                ..Self::new(Class::Unreadable, link.timestamp, &link.event_id, detail, fits)
            },
            None => Self {
                timestamp: String::new(),
                ..Self::new(Class::Unreadable, Timestamp::from_micros(0), "", detail, fits)
            },
        }
    }

    /// Not everything was read.
    pub(super) fn scan_incomplete(relation: &str, detail: String, fits: &[&'static str]) -> Self {
        Self {
            timestamp: String::new(),
            relation: relation.to_owned(),
            ..Self::new(Class::ScanIncomplete, Timestamp::from_micros(0), "", detail, fits)
        }
    }

    /// A relation that lists read was not, or not to its end.
    pub(super) fn skipped(part: &Skipped) -> Self {
        let detail = format!("{} was not read to its end: {}", part.relation, part.reason);
        Self::scan_incomplete(
            &part.relation,
            detail,
            &["a foreign server that is away, or a role without rights there"],
        )
    }

    pub(super) fn unexpected_relation(part: &Unexpected) -> Self {
        let detail = format!(
            "{} is {} below the table: lists show its rows as events, and the schema of agenttrace has no such relation",
            part.relation, part.what
        );
        let fits =
            &["an administrator's own partitioning or archive", "rows put beside the guard of the table"];
        Self {
            timestamp: String::new(),
            relation: part.relation.clone(),
            // An acceptance is one of this very relation.
            hash: part.oid.to_string(),
            ..Self::new(Class::UnexpectedRelation, Timestamp::from_micros(0), "", detail, fits)
        }
    }

    pub(super) fn missing_predecessor(missing: &MissingPredecessor) -> Self {
        let detail = format!("no event of this organisation has the hash {}", missing.event.previous_hash);
        if missing.found_in_org.is_empty() {
            return Self::at(&missing.event, Class::MissingPredecessor, detail, &[LOST, DELETED, RESTORED]);
        }
        let others = missing.found_in_org.join(", ");
        Self::at(
            &missing.event,
            Class::MissingPredecessor,
            format!("{detail}; it is the hash of an event of {others}"),
            &["an event moved to, or copied from, another organisation", "a writer that mixed up two chains"],
        )
    }

    pub(super) fn fork(fork: &Fork) -> Option<Self> {
        // Named at the last child: the first one may well have been there alone.
        let (last, others) = fork.children.split_last()?;
        let others: Vec<&str> = others.iter().map(|child| child.event_id.as_str()).collect();
        let detail = format!("the predecessor {} is also that of {}", fork.previous_hash, others.join(", "));
        let fits = &[
            "several processes that went on from one head (workers, a restart from a saved head)",
            "a race between concurrent writers",
            "an event forged and put behind an existing one",
        ];
        let bound = fork.children.iter().map(|child| bound(&child.event_id, &child.hash)).collect();
        Some(Self { bound, ..Self::at(last, Class::Fork, detail, fits) })
    }

    /// `earlier`: the organisation's beginnings before this one.
    pub(super) fn additional_genesis(link: &Listed, hash: String, earlier: &Beginnings) -> Self {
        let detail = match &earlier.first {
            None => "a chain begins here although the organisation has an earlier beginning".to_owned(),
            Some(first) => format!(
                "a chain begins here although the organisation's began at {first} ({} earlier in all)",
                earlier.count
            ),
        };
        let fits = &[
            "a restart of the writing process, which begins without predecessor",
            "an additional process with a chain of its own",
            "an event forged as the beginning of a chain",
        ];
        let time = Timestamp::from_micros(link.time);
        let bound = earlier.bound().into_iter().collect();
        Self { hash, bound, ..Self::new(Class::AdditionalGenesis, time, &link.event_id, detail, fits) }
    }

    pub(super) fn missing_genesis(oldest: Option<&Node>) -> Self {
        let detail = "no event of this organisation is the beginning of its chain";
        let fits = &["retention or an archive that took the oldest events away", DELETED, RESTORED];
        match oldest {
            Some(node) => Self::at(node, Class::MissingGenesis, detail, fits),
            None => Self {
                timestamp: String::new(),
                ..Self::new(Class::MissingGenesis, Timestamp::from_micros(0), "", detail, fits)
            },
        }
    }

    pub(super) fn malformed(listed: &Listed, which: Malformed, link: Option<&Link>) -> Self {
        let detail = match which {
            Malformed::Own => "hash is not 64 lower-case hexadecimal digits",
            Malformed::Previous => "previous_hash is not 64 lower-case hexadecimal digits",
        };
        let fits = &["a writer with another form of hashes", "an edit of the column"];
        Self {
            hash: link.map(|link| link.hash.clone()).unwrap_or_default(),
            previous_hash: link.map(|link| link.previous_hash.clone()).unwrap_or_default(),
            ..Self::new(
                Class::MalformedHash,
                Timestamp::from_micros(listed.time),
                &listed.event_id,
                detail,
                fits,
            )
        }
    }

    /// Rows from before hashing, all in one: they are accepted by range.
    pub(super) fn not_hashed(unhashed: &Unhashed) -> Option<Self> {
        let (first, last) = (unhashed.first.as_ref()?, unhashed.last.as_ref()?);
        let detail = format!(
            "{} events have no hash, from {} of {} to {} of {}: all of them claim times before the first hashed event, and \
             no hashed event names one of them as its predecessor; nothing shows whether they are as they were written",
            grouped(unhashed.count),
            first.event_id,
            Timestamp::from_micros(first.time),
            last.event_id,
            Timestamp::from_micros(last.time),
        );
        let fits = &[
            "rows from before hashing was introduced",
            "an import of older records without hashes",
            "rows put before the beginning of the chain, or edited there: no hash protects them",
        ];
        let time = Timestamp::from_micros(first.time);
        Some(Self {
            // An acceptance is one of these very rows.
            previous_hash: format!("{} to {}", grouped(unhashed.count), last.event_id),
            computed: Some(crate::chain::to_hex(&unhashed.sum)),
            ..Self::new(Class::NotHashed, time, &first.event_id, detail, fits)
        })
    }

    /// Columns that no hash covers were added since an earlier verification.
    pub(super) fn added_columns(table: &Named, added: &[&str], since: Timestamp) -> Self {
        let detail = format!(
            "columns that no hash covers were added since the verification of {}: {}",
            since.to_rfc3339(),
            added.join(", ")
        );
        let fits = &[
            "a change of the schema by its owner",
            "values put beside events that look like a part of them",
        ];
        Self {
            timestamp: String::new(),
            relation: format!("{}.{}", table.schema, table.name),
            bound: added.iter().map(|name| (*name).to_owned()).collect(),
            ..Self::new(Class::UnexpectedRelation, Timestamp::from_micros(0), "", detail, fits)
        }
    }

    /// The search vector is not defined as our migrations define it.
    pub(super) fn vector_altered(altered: &AlteredVector) -> Self {
        let fits = &["events kept from being found by their words", "a change of the schema by hand"];
        let detail = format!("{}; searches do not use it", altered.words());
        let relation = if altered.relation.is_empty() { "pg_catalog.simple" } else { &altered.relation };
        Self {
            timestamp: String::new(),
            relation: relation.to_owned(),
            bound: vec![altered.what.to_owned()],
            ruled_out: Vec::new(),
            ..Self::new(Class::SearchVectorMismatch, Timestamp::from_micros(0), "", detail, fits)
        }
    }

    /// A row is not found by its words.
    pub(super) fn other_vector(row: &OtherVector) -> Self {
        let fits = &[
            "an event kept from being found by its words",
            "a vector of another function than that of the migrations",
        ];
        let detail =
            "the stored search vector is not that of the words of the row: a search may miss the event";
        let Link { timestamp, event_id, hash, previous_hash } = &row.link;
        Self {
            hash: hash.clone(),
            previous_hash: previous_hash.clone(),
            bound: vec![row.digest.clone()],
            ..Self::new(Class::SearchVectorMismatch, *timestamp, event_id, detail, fits)
        }
    }

    /// Rows from before hashing that are not those of a verification that a remembered head stands for: `then`. `None`
    /// where there were none and there are none.
    pub(super) fn covered(then: &Remembered, now: &Unhashed) -> Option<Self> {
        let rows = then.before_hashing.as_ref()?;
        let verified = format!(
            "when the trail was verified at {}, {} events had no hash and lay before the first hashed one",
            then.verified_at.to_rfc3339(),
            grouped(rows.count)
        );
        let bound = vec![then.verified_at.to_rfc3339(), rows.count.to_string(), rows.sum.clone()];
        let mut finding = match (&now.first, &now.last) {
            (Some(first), Some(last)) => {
                let detail = format!(
                    "{verified}; now it is {}, from {} to {}: a remembered head covers them, and they are not the same",
                    grouped(now.count),
                    first.event_id,
                    last.event_id
                );
                let fits = &[
                    "an edit of one of them, or events whose hash was taken away",
                    "rows that were put before the beginning of the chain",
                    "an import of older records without hashes since",
                ];
                let time = Timestamp::from_micros(first.time);
                Self::new(Class::ContentMismatch, time, &first.event_id, detail, fits)
            }
            _ if rows.count == 0 => return None,
            _ => {
                let detail = format!("{verified}, from {} to {}; none is left", rows.first, rows.last);
                let fits = &[DELETED, "retention or an archive that took the oldest events away"];
                let finding = Self::new(Class::NotHashed, then.verified_at, &rows.first, detail, fits);
                Self { timestamp: String::new(), ..finding }
            }
        };
        finding.ruled_out.clear();
        finding.computed = Some(crate::chain::to_hex(&now.sum));
        finding.bound = bound;
        Some(finding)
    }

    pub(super) fn duplicate(event_id: &str, first: Timestamp, rows: i64) -> Self {
        let fits = &["an event that was stored twice", "a forged event under the id of a real one"];
        Self::new(Class::DuplicateEventId, first, event_id, format!("{rows} rows have this event id"), fits)
    }

    /// An event that this session has seen is not in the table any more.
    pub fn event_gone(event: &EventKey, hash: &str) -> Self {
        let detail = "this session has seen the event, and it is not in the table any more";
        Self {
            hash: hash.to_owned(),
            ..Self::new(Class::VerifiedEventMissing, event.timestamp, &event.event_id, detail, LOST_SINCE)
        }
    }

    /// A row that was read in passing does not fit, as `detail` says.
    pub fn in_passing(class: Class, event: &EventKey, hash: &str, detail: String) -> Self {
        let fits = &["verify the event or the trail: what fits has not been tried in passing"];
        let mut finding = Self::new(class, event.timestamp, &event.event_id, detail, fits);
        hash.clone_into(&mut finding.hash);
        // Nor has anything been ruled out.
        finding.ruled_out.clear();
        finding
    }

    /// The trail has fewer events than this session has counted.
    pub fn fewer_events(relation: &str, (then, at): (u64, Timestamp), now: u64) -> Self {
        let detail = format!(
            "the trail had {} events at {}, and has {}: {} are not in the table any more",
            grouped(then),
            at.to_rfc3339(),
            grouped(now),
            grouped(then.saturating_sub(now))
        );
        Self {
            timestamp: String::new(),
            relation: relation.to_owned(),
            bound: vec![then.to_string(), now.to_string()],
            ..Self::new(Class::VerifiedEventMissing, at, "", detail, LOST_SINCE)
        }
    }

    pub(super) fn time_before(node: &Node) -> Self {
        let fits =
            &["clocks of several machines that differ", "events chained in another order than they happened"];
        Self::at(node, Class::TimeBeforePredecessor, "the event claims a time before its predecessor's", fits)
    }
}
