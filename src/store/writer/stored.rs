//! Events that the table holds already, for the comparison with those about to be written.

use crate::chain::{Canonicaliser, EventText, Fields, Inet};
use crate::domain::{OrgId, Timestamp};
use crate::store::connection::{Link, Relation};
use sqlx::Row as _;
use sqlx::postgres::PgRow;
use std::collections::HashMap;

/// An event of the table that has the id of one about to be written.
pub(super) struct Stored {
    pub(super) organization: String,
    /// `None` when it cannot be canonicalised, which no event of this writer is.
    pub(super) content: Option<EventText>,
    pub(super) hash: String,
    pub(super) previous_hash: String,
    row: PgRow,
    ip: Option<String>,
}

impl Stored {
    /// The columns; `None` where its time is no instant or a column is no text.
    pub(super) fn fields(&self) -> Option<Fields<'_>> {
        fields(&self.row, self.ip.as_deref()).ok().flatten()
    }
}

macro_rules! find_sql {
    ($condition:literal) => {
        concat!("SELECT event_id, CASE WHEN isfinite(timestamp) THEN (extract(epoch FROM timestamp) * 1000000)::bigint END \
                    AS micros, organization_id, project_id, actor_type, actor_id, actor_email, actor_ip::text AS ip, \
                actor_user_agent, event_category, event_type, event_severity, resource_type, resource_id, \
                resource_name, action, previous_state::text AS previous_state, new_state::text AS new_state, \
                request_id, session_id, hash, previous_hash \
         FROM {schema}.audit_events WHERE ", $condition)
    };
}

/// The stored events with these ids: in layout `plain` of any organisation, because an id is unique in the whole table;
/// in the others of this one, as their keys begin with it.
pub(super) async fn find(
    c: &mut Link,
    relation: &Relation,
    organization: &OrgId,
    ids: &[&str],
    partitioned: bool,
    json: &mut Canonicaliser,
) -> Result<HashMap<String, Stored>, sqlx::Error> {
    let rows = if partitioned {
        let find = relation.name_in(find_sql!("organization_id = $2 AND event_id = ANY($1)"));
        let find = sqlx::query(find);
        find.bind(ids).bind(organization.as_str()).fetch_all(c).await?
    } else {
        sqlx::query(relation.name_in(find_sql!("event_id = ANY($1)"))).bind(ids).fetch_all(c).await?
    };
    rows.into_iter().map(|row| decode(row, json)).collect()
}

fn decode(row: PgRow, json: &mut Canonicaliser) -> Result<(String, Stored), sqlx::Error> {
    let event_id: String = row.try_get("event_id")?;
    // The cast to text appends the prefix length also where it covers one address.
    let ip = row.try_get::<Option<&str>, _>("ip")?.map(|ip| match ip.parse::<Inet>() {
        Ok(inet) => inet.to_string(),
        Err(_) => ip.to_owned(),
    });
    let content = fields(&row, ip.as_deref())?.and_then(|fields| EventText::of(&fields, json).ok());
    let stored = Stored {
        organization: row.try_get("organization_id")?,
        content,
        hash: row.try_get("hash")?,
        previous_hash: row.try_get("previous_hash")?,
        row,
        ip,
    };
    Ok((event_id, stored))
}

/// The columns of a row; `None` where its time is no instant.
fn fields<'a>(row: &'a PgRow, ip: Option<&'a str>) -> Result<Option<Fields<'a>>, sqlx::Error> {
    let Some(micros) = row.try_get::<Option<i64>, _>("micros")? else { return Ok(None) };
    Ok(Some(Fields {
        event_id: row.try_get("event_id")?,
        timestamp: Timestamp::from_micros(micros),
        organization_id: row.try_get("organization_id")?,
        project_id: row.try_get("project_id")?,
        actor_type: row.try_get("actor_type")?,
        actor_id: row.try_get("actor_id")?,
        actor_email: row.try_get("actor_email")?,
        actor_ip: ip,
        actor_user_agent: row.try_get("actor_user_agent")?,
        event_category: row.try_get("event_category")?,
        event_type: row.try_get("event_type")?,
        event_severity: row.try_get("event_severity")?,
        resource_type: row.try_get("resource_type")?,
        resource_id: row.try_get("resource_id")?,
        resource_name: row.try_get("resource_name")?,
        action: row.try_get("action")?,
        previous_state: row.try_get("previous_state")?,
        new_state: row.try_get("new_state")?,
        request_id: row.try_get("request_id")?,
        session_id: row.try_get("session_id")?,
    }))
}
