//! Attacks on a trail, for rehearsals on the private server and for tests: each does to a table what somebody with the
//! rights of its owner can do, past the append-only guard, which is on again afterwards.

use crate::chain::{Judge, Row, Scheme, to_hex};
use crate::domain::{Event, Json, OrgScope, Timestamp};
use crate::store::connection::{Link, Relation};
use crate::store::row::{EVENT_COLUMNS, SqlTime, event};
use crate::store::{StoreError, WriteDb};
#[expect(clippy::disallowed_types, reason = "statements made of columns and attacks of this file")]
use sqlx::AssertSqlSafe;
use std::collections::HashMap;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// Ends the name of an attack that makes `audit_chain_heads` agree with the table.
const HEADS: &str = "+heads";
/// One event of so many is at the end that an attack takes away.
const TAIL: usize = 20;

/// What is done to the trail.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "Attack::words says what each does")]
pub enum Attack {
    Edit,
    EditRehashed,
    DeleteMiddle,
    TruncateTail,
    Reappend,
    DeleteOldest,
    RewriteMiddle,
    RewriteBeginning,
    RemoveOrganization,
    AddColumn,
    BlindSearch,
    Forge,
    ForgeHash,
    SwapTimes,
    Fork,
    TruncateAll,
}

impl Attack {
    /// All of them.
    pub const ALL: [Self; 16] = [
        Self::Edit,
        Self::EditRehashed,
        Self::DeleteMiddle,
        Self::TruncateTail,
        Self::Reappend,
        Self::DeleteOldest,
        Self::RewriteMiddle,
        Self::RewriteBeginning,
        Self::RemoveOrganization,
        Self::AddColumn,
        Self::BlindSearch,
        Self::Forge,
        Self::ForgeHash,
        Self::SwapTimes,
        Self::Fork,
        Self::TruncateAll,
    ];

    /// Its name on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Edit => "edit",
            Self::EditRehashed => "edit-rehashed",
            Self::DeleteMiddle => "delete-middle",
            Self::TruncateTail => "truncate",
            Self::Reappend => "reappend",
            Self::DeleteOldest => "delete-oldest",
            Self::RewriteMiddle => "rewrite-middle",
            Self::RewriteBeginning => "rewrite-beginning",
            Self::RemoveOrganization => "remove-organization",
            Self::AddColumn => "add-column",
            Self::BlindSearch => "blind-search",
            Self::Forge => "forge",
            Self::ForgeHash => "forge-hash",
            Self::SwapTimes => "swap-times",
            Self::Fork => "fork",
            Self::TruncateAll => "truncate-all",
        }
    }

    /// What it does.
    pub const fn words(self) -> &'static str {
        match self {
            Self::Edit => "another actor in one event",
            Self::EditRehashed => "another actor in one event, and the hash that the event then has",
            Self::DeleteMiddle => "an event in the middle deleted",
            Self::TruncateTail => "the newest events deleted",
            Self::Reappend => {
                "the newest events deleted, and as many others with a valid chain in their place"
            }
            Self::DeleteOldest => "the oldest events deleted",
            Self::RewriteMiddle => "an edit in the middle, and valid hashes from there to the newest event",
            Self::RewriteBeginning => "an edit of the first event, and valid hashes of the whole trail",
            Self::RemoveOrganization => "all events of the organisation deleted",
            Self::AddColumn => "a column that no hash covers",
            Self::BlindSearch => "an event taken out of the search vector",
            Self::Forge => "an event with a valid hash put behind one in the middle",
            Self::ForgeHash => "an event with an invented hash at the newest end",
            Self::SwapTimes => "the times of two events exchanged",
            Self::Fork => "a second branch of valid events behind one in the middle",
            Self::TruncateAll => "all events of all organisations deleted",
        }
    }
}

/// An attack, and whether the database's own record of heads is made to agree with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Tamper {
    /// The attack.
    pub attack: Attack,
    /// `audit_chain_heads` is adjusted, too.
    pub heads: bool,
}

impl fmt::Display for Tamper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.attack.name(), if self.heads { HEADS } else { "" })
    }
}

/// No such attack.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is not a kind of tampering")]
pub struct NoSuchAttack(String);

impl FromStr for Tamper {
    type Err = NoSuchAttack;

    fn from_str(text: &str) -> Result<Self, NoSuchAttack> {
        let (name, heads) = text.strip_suffix(HEADS).map_or((text, false), |name| (name, true));
        let attack = Attack::ALL.into_iter().find(|attack| attack.name() == name);
        attack.map(|attack| Self { attack, heads }).ok_or_else(|| NoSuchAttack(text.to_owned()))
    }
}

/// Tampers with the trail of an organisation in our schema, in one transaction, and returns the event at which the attack
/// begins; `None` where it is about none.
///
/// # Errors
/// When the role may not do it, or the trail has fewer than four events or is not one chain.
pub async fn tamper(db: &WriteDb, scope: &OrgScope, how: Tamper) -> Result<Option<String>, StoreError> {
    let relation = db.relation()?;
    let mut work = db.begin().await?;
    work.run(GUARD_OFF.replace("{table}", &relation.regclass())).await?;
    let mut trail = Trail::read(&mut work, &relation, scope).await?;
    let place = trail.attack(&mut work, how.attack).await?;
    if how.heads {
        adjust_heads(&mut work, &relation, scope).await?;
    }
    work.run(GUARD_ON.to_owned()).await?;
    work.commit().await?;
    Ok(place)
}

/// Switches the triggers of the table and its partitions off, and remembers how they were.
const GUARD_OFF: &str = "
    CREATE TEMPORARY TABLE agenttrace_guard ON COMMIT DROP AS
        SELECT tgrelid::regclass AS relation, tgname, tgenabled FROM pg_trigger
        WHERE NOT tgisinternal AND (tgrelid = {table} OR tgrelid IN (SELECT relid FROM pg_partition_tree({table})));
    DO $$ DECLARE t record; BEGIN
        FOR t IN SELECT * FROM pg_temp.agenttrace_guard LOOP
            EXECUTE format('ALTER TABLE %s DISABLE TRIGGER %I', t.relation, t.tgname);
        END LOOP;
    END $$";
/// Switches them on again, each as it was.
const GUARD_ON: &str = "
    DO $$ DECLARE t record; BEGIN
        FOR t IN SELECT * FROM pg_temp.agenttrace_guard WHERE tgenabled <> 'D' LOOP
            EXECUTE format('ALTER TABLE %s ENABLE %s TRIGGER %I', t.relation,
                CASE t.tgenabled WHEN 'A' THEN 'ALWAYS' WHEN 'R' THEN 'REPLICA' ELSE '' END, t.tgname);
        END LOOP;
    END $$";

const INSERT: &str = "
    INSERT INTO {schema}.audit_events (event_id, timestamp, organization_id, project_id, actor_type, actor_id, actor_email,
        actor_ip, actor_user_agent, event_category, event_type, event_severity, resource_type, resource_id,
        resource_name, action, previous_state, new_state, request_id, session_id, hash, previous_hash)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8::inet, $9, $10, $11, $12, $13, $14, $15, $16, $17::jsonb, $18::jsonb, $19, $20,
        $21, $22)";

/// The events of an organisation in the order of their chain.
struct Trail {
    relation: Arc<Relation>,
    organization: String,
    events: Vec<Event>,
    judge: Judge,
}

impl Trail {
    async fn read(c: &mut Link, relation: &Arc<Relation>, scope: &OrgScope) -> Result<Self, StoreError> {
        let organization = scope.organization().as_str().to_owned();
        // A constant of this crate.
        let sql = AssertSqlSafe(format!(
            "SELECT {EVENT_COLUMNS} FROM {} WHERE organization_id = $1",
            relation.sql()
        ));
        let rows = sqlx::query(sql).bind(&organization).fetch_all(c.at_most(usize::MAX)).await?;
        let all: Vec<Event> = rows.iter().map(event).collect::<Result<_, _>>()?;
        let count = all.len();
        let mut by_previous: HashMap<String, Event> =
            all.into_iter().map(|event| (event.row.previous_hash.clone(), event)).collect();
        let mut events: Vec<Event> = Vec::with_capacity(count);
        while let Some(next) = by_previous.remove(events.last().map_or("", |event| &event.row.hash)) {
            events.push(next);
        }
        if events.len() != count || count < 4 {
            return Err(StoreError::Other(format!(
                "the trail cannot be tampered with: {} of its {count} events are one chain, and four are needed",
                events.len()
            )));
        }
        Ok(Self { relation: relation.clone(), organization, events, judge: Judge::new(Scheme::V1) })
    }

    async fn attack(&mut self, c: &mut Link, attack: Attack) -> Result<Option<String>, StoreError> {
        let table = self.relation.sql().to_owned();
        let (count, middle) = (self.events.len(), self.events.len() / 2);
        let tail = count - (count / TAIL).max(1);
        let at = match attack {
            Attack::Edit => {
                self.set(c, middle, |event| event.row.actor_id.push_str("-x")).await?;
                middle
            }
            Attack::EditRehashed => {
                self.edit(middle);
                self.link(middle)?;
                self.store(c, middle..middle + 1).await?;
                middle
            }
            Attack::DeleteMiddle => {
                self.delete(c, middle..middle + 1).await?;
                middle
            }
            Attack::TruncateTail => {
                self.delete(c, tail..count).await?;
                tail
            }
            Attack::Reappend => {
                self.delete(c, tail..count).await?;
                for index in tail..count {
                    self.edit(index);
                    self.events[index].row.event_id.push_str("-r");
                    self.link(index)?;
                    insert(c, &self.relation, &self.events[index]).await?;
                }
                tail
            }
            Attack::DeleteOldest => {
                self.delete(c, 0..count - tail).await?;
                0
            }
            Attack::RewriteMiddle => self.rewrite(c, middle).await?,
            Attack::RewriteBeginning => self.rewrite(c, 0).await?,
            Attack::RemoveOrganization => {
                self.delete(c, 0..count).await?;
                return Ok(None);
            }
            Attack::AddColumn => {
                c.run(format!("ALTER TABLE {table} ADD COLUMN tags TEXT")).await?;
                self.update(c, "tags = 'approved'", middle).await?;
                return Ok(None);
            }
            Attack::BlindSearch => {
                c.run(format!("ALTER TABLE {table} ALTER COLUMN search_vector DROP EXPRESSION")).await?;
                self.update(c, "search_vector = ''", middle).await?;
                middle
            }
            Attack::Forge => self.branch(c, middle, 1).await?,
            Attack::Fork => self.branch(c, middle, 3).await?,
            Attack::ForgeHash => {
                let mut forged = self.forged(count - 1, 1);
                forged.row.previous_hash.clone_from(&self.events[count - 1].row.hash);
                forged.row.hash = to_hex(&[0xab; 32]);
                insert(c, &self.relation, &forged).await?;
                return Ok(Some(forged.row.event_id));
            }
            Attack::SwapTimes => {
                let same = |other: &Event| other.row.timestamp == self.events[middle].row.timestamp;
                let other = (middle + 1..count).find(|i| !same(&self.events[*i])).unwrap_or(count - 1);
                let [one, two] = [middle, other].map(|i| self.events[i].row.timestamp);
                self.move_to(c, middle, two).await?;
                self.move_to(c, other, one).await?;
                middle
            }
            Attack::TruncateAll => {
                c.run(format!("TRUNCATE {table}")).await?;
                return Ok(None);
            }
        };
        Ok(self.events.get(at).map(|event| event.row.event_id.clone()))
    }

    /// Something else than what happened.
    fn edit(&mut self, index: usize) {
        self.events[index].row.actor_id.push_str("-x");
    }

    /// Gives an event the place behind the one before it, and the hash that it has there.
    fn link(&mut self, index: usize) -> Result<(), StoreError> {
        let previous = index.checked_sub(1).map(|before| self.events[before].row.hash.clone());
        self.events[index].row.previous_hash = previous.unwrap_or_default();
        self.events[index].row.hash = self.hash(&self.events[index].clone())?;
        Ok(())
    }

    fn hash(&mut self, event: &Event) -> Result<String, StoreError> {
        let hash = self.judge.hash(&Row::from(event));
        hash.map(|hash| to_hex(&hash)).map_err(|e| StoreError::Other(e.to_string()))
    }

    /// An edit, and valid hashes from there on.
    async fn rewrite(&mut self, c: &mut Link, from: usize) -> Result<usize, StoreError> {
        self.edit(from);
        for index in from..self.events.len() {
            self.link(index)?;
        }
        self.store(c, from..self.events.len()).await?;
        Ok(from)
    }

    /// Valid events in a branch of their own.
    async fn branch(&mut self, c: &mut Link, behind: usize, length: i64) -> Result<usize, StoreError> {
        let mut previous = self.events[behind].row.hash.clone();
        for number in 1..=length {
            let mut forged = self.forged(behind, number);
            forged.row.previous_hash = previous;
            forged.row.hash = self.hash(&forged)?;
            insert(c, &self.relation, &forged).await?;
            previous = forged.row.hash;
        }
        Ok(behind)
    }

    /// An event like another one, a little later.
    fn forged(&self, like: usize, number: i64) -> Event {
        let mut event = self.events[like].clone();
        event.row.event_id.push_str(&format!("-f{number}"));
        event.row.actor_id.push_str("-x");
        event.row.timestamp = Timestamp::from_micros(event.row.timestamp.as_micros() + number);
        event
    }

    async fn set(
        &mut self,
        c: &mut Link,
        index: usize,
        change: impl Fn(&mut Event),
    ) -> Result<(), StoreError> {
        change(&mut self.events[index]);
        self.store(c, index..index + 1).await
    }

    /// Writes actor and hashes of events back.
    async fn store(&self, c: &mut Link, range: std::ops::Range<usize>) -> Result<(), StoreError> {
        let column = |of: fn(&Event) -> &String| -> Vec<String> {
            self.events[range.clone()].iter().map(|event| of(event).clone()).collect()
        };
        sqlx::query(self.relation.name_in(
            "UPDATE {schema}.audit_events e SET actor_id = n.actor, hash = n.hash, previous_hash = n.previous
             FROM unnest($2::text[], $3::text[], $4::text[], $5::text[]) n (id, actor, hash, previous)
             WHERE e.organization_id = $1 AND e.event_id = n.id",
        ))
        .bind(&self.organization)
        .bind(column(|event| &event.row.event_id))
        .bind(column(|event| &event.row.actor_id))
        .bind(column(|event| &event.row.hash))
        .bind(column(|event| &event.row.previous_hash))
        .execute(c)
        .await?;
        Ok(())
    }

    async fn delete(&self, c: &mut Link, range: std::ops::Range<usize>) -> Result<(), StoreError> {
        let ids: Vec<&str> = self.events[range].iter().map(|event| event.row.event_id.as_str()).collect();
        let delete = "DELETE FROM {schema}.audit_events WHERE organization_id = $1 AND event_id = ANY ($2)";
        sqlx::query(self.relation.name_in(delete)).bind(&self.organization).bind(ids).execute(c).await?;
        Ok(())
    }

    async fn update(&self, c: &mut Link, what: &'static str, index: usize) -> Result<(), StoreError> {
        // A constant of this file and a condition.
        let sql = AssertSqlSafe(format!(
            "UPDATE {} SET {what} WHERE organization_id = $1 AND event_id = $2",
            self.relation.sql()
        ));
        let id = &self.events[index].row.event_id;
        sqlx::query(sql).bind(&self.organization).bind(id).execute(c).await?;
        Ok(())
    }

    async fn move_to(&self, c: &mut Link, index: usize, time: Timestamp) -> Result<(), StoreError> {
        let update =
            "UPDATE {schema}.audit_events SET timestamp = $3 WHERE organization_id = $1 AND event_id = $2";
        sqlx::query(self.relation.name_in(update))
            .bind(&self.organization)
            .bind(&self.events[index].row.event_id)
            .bind(SqlTime(time))
            .execute(c)
            .await?;
        Ok(())
    }
}

async fn insert(c: &mut Link, relation: &Relation, event: &Event) -> Result<(), StoreError> {
    let row = &event.row;
    sqlx::query(relation.name_in(INSERT))
        .bind(&row.event_id)
        .bind(SqlTime(row.timestamp))
        .bind(&row.organization_id)
        .bind(&row.project_id)
        .bind(&row.actor_type)
        .bind(&row.actor_id)
        .bind(&row.actor_email)
        .bind(&row.actor_ip)
        .bind(&row.actor_user_agent)
        .bind(&row.event_category)
        .bind(&row.event_type)
        .bind(&row.event_severity)
        .bind(&row.resource_type)
        .bind(&row.resource_id)
        .bind(&row.resource_name)
        .bind(&row.action)
        .bind(event.previous_state.as_ref().map(Json::as_str))
        .bind(event.new_state.as_ref().map(Json::as_str))
        .bind(&row.request_id)
        .bind(&row.session_id)
        .bind(&row.hash)
        .bind(&row.previous_hash)
        .execute(c)
        .await?;
    Ok(())
}

/// Makes the database's own record of heads say what the table says now.
async fn adjust_heads(c: &mut Link, relation: &Relation, scope: &OrgScope) -> Result<(), StoreError> {
    let organization = scope.organization().as_str();
    sqlx::query(relation.name_in(
        "DELETE FROM {schema}.audit_chain_heads h WHERE NOT EXISTS
             (SELECT FROM {schema}.audit_events e WHERE e.organization_id = h.organization_id)",
    ))
    .execute(&mut *c)
    .await?;
    sqlx::query(relation.name_in(
        "UPDATE {schema}.audit_chain_heads h SET event_id = newest.event_id, hash = newest.hash, event_count =
             (SELECT count(*) FROM {schema}.audit_events e WHERE e.organization_id = $1)
         FROM (SELECT e.event_id, e.hash FROM {schema}.audit_events e WHERE e.organization_id = $1 AND NOT EXISTS
             (SELECT FROM {schema}.audit_events s WHERE s.organization_id = $1 AND s.previous_hash = e.hash)
             ORDER BY e.timestamp DESC, e.event_id DESC LIMIT 1) newest
         WHERE h.organization_id = $1",
    ))
    .bind(organization)
    .execute(c)
    .await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attacks_read_back_what_they_print() {
        for attack in Attack::ALL {
            for heads in [false, true] {
                let how = Tamper { attack, heads };
                assert_eq!(how.to_string().parse(), Ok(how));
            }
            assert!(!attack.words().is_empty());
        }
        assert!("nothing".parse::<Tamper>().is_err());
    }
}
