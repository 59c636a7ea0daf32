//! The head of an organisation's chain: the record that writers lock, and what the table says.

use super::Failure;
use crate::domain::OrgId;
use crate::store::connection::{Link, Relation};

/// At most this many heads are named in a message.
const NAMED: usize = 20;

/// Where a chain ends, and how many events the organisation has.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Head {
    pub(super) event_id: Option<String>,
    /// Empty before the first event.
    pub(super) hash: String,
    pub(super) events: i64,
}

/// Takes the lock that writers of the organisation hold until they commit, where no record is kept that could be locked.
pub(super) async fn lock_unrecorded(
    c: &mut Link,
    relation: &Relation,
    organization: &OrgId,
) -> Result<(), sqlx::Error> {
    sqlx::query("SELECT pg_advisory_xact_lock(hashtextextended($1, 0))")
        .bind(format!("agenttrace: chain of {} in {}", organization.as_str(), relation.named()))
        .execute(c)
        .await
        .map(drop)
}

/// The head to go on from, where no record of it is kept: the one that the table has.
pub(super) async fn find(
    c: &mut Link,
    relation: &Relation,
    organization: &OrgId,
    known: Option<&Head>,
    continue_from: Option<&str>,
) -> Result<Head, Failure> {
    if let Some(known) = known
        && is_end(c, relation, organization, &known.hash).await?
    {
        return Ok(known.clone());
    }
    if let (None, Some(wanted)) = (known, continue_from)
        && is_end(c, relation, organization, wanted).await?
    {
        return Ok(Head { hash: wanted.to_owned(), ..Head::default() });
    }
    let heads = all(c, relation, organization).await?;
    match heads.as_slice() {
        [(event_id, hash)] => {
            Ok(Head { event_id: Some(event_id.clone()), hash: hash.clone(), ..Head::default() })
        }
        [] if count(c, relation, organization).await? == 0 => Ok(Head::default()),
        _ => {
            let heads: Vec<String> = heads.into_iter().map(|(_, hash)| hash).collect();
            Err(Failure::Foreign { detail: describe("", &heads), heads })
        }
    }
}

/// As [`is_head`], without our indexes: it reads the organisation.
async fn is_end(
    c: &mut Link,
    relation: &Relation,
    organization: &OrgId,
    hash: &str,
) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar(relation.name_in(
        "SELECT EXISTS (SELECT FROM {schema}.audit_events WHERE organization_id = $1 AND hash = $2) \
            AND NOT EXISTS (SELECT FROM {schema}.audit_events WHERE organization_id = $1 AND previous_hash = $2)",
    ))
    .bind(organization.as_str())
    .bind(hash)
    .fetch_one(c)
    .await
}

/// Takes the lock that writers of the organisation hold until they commit, and reads the record.
pub(super) async fn lock(
    c: &mut Link,
    relation: &Relation,
    organization: &OrgId,
) -> Result<Head, sqlx::Error> {
    sqlx::query(relation.name_in(
        "INSERT INTO {schema}.audit_chain_heads (organization_id) VALUES ($1) ON CONFLICT DO NOTHING",
    ))
    .bind(organization.as_str())
    .execute(&mut *c)
    .await?;
    let (event_id, hash, events) = sqlx::query_as(relation.name_in("SELECT event_id, hash, event_count FROM {schema}.audit_chain_heads WHERE organization_id = $1 FOR UPDATE"))
    .bind(organization.as_str())
    .fetch_one(c)
    .await?;
    Ok(Head { event_id, hash, events })
}

/// The head to go on from.
pub(super) async fn check(
    c: &mut Link,
    relation: &Relation,
    organization: &OrgId,
    recorded: &Head,
    known: Option<&Head>,
    continue_from: Option<&str>,
) -> Result<Head, Failure> {
    if known != Some(recorded)
        && let Some(wanted) = continue_from
        && (wanted == recorded.hash || is_head(c, relation, organization, wanted).await?)
    {
        let events = count(c, relation, organization).await?;
        return Ok(Head { event_id: None, hash: wanted.to_owned(), events });
    }
    if holds(c, relation, organization, recorded, known).await? {
        return Ok(recorded.clone());
    }
    let heads = all(c, relation, organization).await?;
    match heads.as_slice() {
        // Events were added or removed behind the writer's back, but the chain ends where it should.
        [(_, only)] if *only == recorded.hash => {
            Ok(Head { events: count(c, relation, organization).await?, ..recorded.clone() })
        }
        _ => {
            let heads: Vec<String> = heads.into_iter().map(|(_, hash)| hash).collect();
            Err(Failure::Foreign { detail: describe(&recorded.hash, &heads), heads })
        }
    }
}

/// Whether the record agrees with the table. It is a hint, as foreign writers do not keep it.
///
/// Cheap when this writer left the record itself (`known`): two look-ups show that the head is there and has no
/// successor. Else the organisation's events are counted too, so that a second head does not go unnoticed.
pub(super) async fn holds(
    c: &mut Link,
    relation: &Relation,
    organization: &OrgId,
    recorded: &Head,
    known: Option<&Head>,
) -> Result<bool, sqlx::Error> {
    let ends_there = recorded.hash.is_empty() || is_head(c, relation, organization, &recorded.hash).await?;
    Ok(ends_there && (known == Some(recorded) || count(c, relation, organization).await? == recorded.events))
}

/// The chain's head, if it has exactly one.
pub(super) async fn only(
    c: &mut Link,
    relation: &Relation,
    organization: &OrgId,
) -> Result<Option<Head>, sqlx::Error> {
    let mut heads = all(c, relation, organization).await?;
    match (heads.pop(), heads.is_empty()) {
        (Some((event_id, hash)), true) => {
            Ok(Some(Head { event_id: Some(event_id), hash, events: count(c, relation, organization).await? }))
        }
        _ => Ok(None),
    }
}

/// Where the chain ends, without the lock: the recorded head when it holds, else the heads that the table has.
pub(super) async fn now(
    c: &mut Link,
    relation: &Relation,
    organization: &OrgId,
    known: Option<&Head>,
    is_recorded: bool,
) -> Result<Vec<(String, String)>, sqlx::Error> {
    if !is_recorded {
        return all(c, relation, organization).await;
    }
    let recorded: Option<(Option<String>, String, i64)> = sqlx::query_as(relation.name_in(
        "SELECT event_id, hash, event_count FROM {schema}.audit_chain_heads WHERE organization_id = $1",
    ))
    .bind(organization.as_str())
    .fetch_optional(&mut *c)
    .await?;
    if let Some((Some(event_id), hash, events)) = recorded {
        let recorded = Head { event_id: Some(event_id.clone()), hash: hash.clone(), events };
        if holds(c, relation, organization, &recorded, known).await? {
            return Ok(vec![(event_id, hash)]);
        }
    }
    all(c, relation, organization).await
}

fn describe(recorded: &str, heads: &[String]) -> String {
    let recorded = match recorded {
        "" => "the writer has not written to it".to_owned(),
        hash => format!("the writer left it at {hash}"),
    };
    let found = match heads {
        [] => "the table holds no event that ends a chain".to_owned(),
        [one] => format!("in the table it ends at {one}"),
        several if several.len() > NAMED => format!("the table holds more than {NAMED} ends"),
        several => format!("the table holds {} ends: {}", several.len(), several.join(", ")),
    };
    format!(
        "{recorded}, {found}; verify the chain, then name the end to go on from with --continue-from HASH"
    )
}

/// Records the new head.
pub(super) async fn advance(
    c: &mut Link,
    relation: &Relation,
    organization: &OrgId,
    head: &Head,
) -> Result<(), sqlx::Error> {
    sqlx::query(relation.name_in("UPDATE {schema}.audit_chain_heads SET event_id = $2, hash = $3, event_count = $4, updated_at = now() \
         WHERE organization_id = $1"))
    .bind(organization.as_str())
    .bind(&head.event_id)
    .bind(&head.hash)
    .bind(head.events)
    .execute(c)
    .await
    .map(drop)
}

/// Whether an event of the organisation has this hash and none refers to it (two index look-ups).
async fn is_head(
    c: &mut Link,
    relation: &Relation,
    organization: &OrgId,
    hash: &str,
) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar(relation.name_in("SELECT EXISTS (SELECT FROM {schema}.audit_events WHERE hashtextextended(hash, 0) = hashtextextended($2, 0) \
                            AND hash = $2 AND organization_id = $1) \
            AND NOT EXISTS (SELECT FROM {schema}.audit_events WHERE hashtextextended(previous_hash, 0) = hashtextextended($2, 0) \
                            AND previous_hash = $2 AND organization_id = $1)"))
    .bind(organization.as_str())
    .bind(hash)
    .fetch_one(c)
    .await
}

async fn count(c: &mut Link, relation: &Relation, organization: &OrgId) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar(
        relation.name_in("SELECT count(*) FROM {schema}.audit_events WHERE organization_id = $1"),
    )
    .bind(organization.as_str())
    .fetch_one(c)
    .await
}

/// Id and hash of the events that no event of the organisation refers to, newest first; one more than [`NAMED`] at
/// most. Reads all events of the organisation.
async fn all(
    c: &mut Link,
    relation: &Relation,
    organization: &OrgId,
) -> Result<Vec<(String, String)>, sqlx::Error> {
    sqlx::query_as(relation.name_in("SELECT e.event_id, e.hash FROM {schema}.audit_events e WHERE e.organization_id = $1 \
            AND NOT EXISTS (SELECT FROM {schema}.audit_events s WHERE s.organization_id = $1 AND s.previous_hash = e.hash) \
         ORDER BY e.timestamp DESC, e.event_id DESC LIMIT $2"))
    .bind(organization.as_str())
    .bind(NAMED as i64 + 1)
    .fetch_all(c)
    .await
}
