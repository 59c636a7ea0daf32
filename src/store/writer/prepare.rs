//! What the table can hold, and the form in which it will.

use crate::chain::{Canonicaliser, EventText, Fields, Inet, Limits};
use crate::domain::{ColumnError, Json, LIMITS, NewEvent};

/// An event that the table can hold.
#[derive(Debug)]
pub(super) struct Ready {
    pub(super) event: NewEvent,
    pub(super) ip: Option<Inet>,
    pub(super) content: EventText,
}

/// Checks an event and canonicalises it.
///
/// # Errors
/// Names the first column that cannot be stored or hashed, and why.
pub(super) fn prepare(mut event: NewEvent, json: &mut Canonicaliser) -> Result<Ready, ColumnError> {
    for (column, value) in texts(&event) {
        let limit = LIMITS.iter().find(|(name, _)| *name == column).map(|(_, limit)| *limit);
        check_text(column, value, limit)?;
    }
    for state in [&mut event.previous_state, &mut event.new_state] {
        // The scheme writes `null` for both, so only one of them is stored: a change from one to the other would not
        // show.
        state.take_if(|text| text.as_str().trim_ascii() == "null");
    }
    for (column, state) in [("previous_state", &event.previous_state), ("new_state", &event.new_state)] {
        let length = state.as_ref().map_or(0, |text| text.as_str().len());
        if length > Limits::WRITE.bytes {
            let reason = format!("has {length} bytes, the greatest length is {}", Limits::WRITE.bytes);
            return Err(ColumnError { column, reason });
        }
    }
    let ip = match &event.actor_ip {
        Some(text) => Some(text.parse::<Inet>().map_err(|e| ColumnError {
            column: "actor_ip",
            reason: format!("'{}' is {e}", text.escape_debug()),
        })?),
        None => None,
    };
    let printed_ip = ip.map(|ip| ip.to_string());
    let content = EventText::of(&fields(&event, printed_ip.as_deref()), json)?;
    Ok(Ready { event, ip, content })
}

/// A text column: no U+0000, and no more characters than the column holds. (PostgreSQL would cut trailing blanks to
/// make a text fit, and thereby change what was hashed.)
pub(super) fn check_text(column: &'static str, value: &str, limit: Option<usize>) -> Result<(), ColumnError> {
    if value.contains('\0') {
        return Err(ColumnError { column, reason: "contains the character U+0000".to_owned() });
    }
    if let Some(limit) = limit.filter(|limit| value.len() > *limit) {
        let length = value.chars().count();
        if length > limit {
            let reason = format!("has {length} characters, the column holds {limit}");
            return Err(ColumnError { column, reason });
        }
    }
    Ok(())
}

fn texts(event: &NewEvent) -> impl Iterator<Item = (&'static str, &str)> {
    [
        ("event_id", Some(event.event_id.as_str())),
        ("project_id", event.project_id.as_deref()),
        ("actor_id", Some(&event.actor_id)),
        ("actor_email", event.actor_email.as_deref()),
        ("actor_user_agent", event.actor_user_agent.as_deref()),
        ("event_type", Some(&event.event_type)),
        ("resource_type", Some(&event.resource_type)),
        ("resource_id", Some(&event.resource_id)),
        ("resource_name", event.resource_name.as_deref()),
        ("request_id", Some(&event.request_id)),
        ("session_id", event.session_id.as_deref()),
    ]
    .into_iter()
    .filter_map(|(column, value)| Some((column, value?)))
}

impl Ready {
    /// The columns as the table will hold them; `ip` is the printed [`Self::ip`].
    pub(super) fn fields<'a>(&'a self, ip: Option<&'a str>) -> Fields<'a> {
        fields(&self.event, ip)
    }
}

fn fields<'a>(event: &'a NewEvent, ip: Option<&'a str>) -> Fields<'a> {
    Fields {
        event_id: &event.event_id,
        timestamp: event.timestamp,
        organization_id: event.organization_id.as_str(),
        project_id: event.project_id.as_deref(),
        actor_type: event.actor_type.as_str(),
        actor_id: &event.actor_id,
        actor_email: event.actor_email.as_deref(),
        actor_ip: ip,
        actor_user_agent: event.actor_user_agent.as_deref(),
        event_category: event.event_category.as_str(),
        event_type: &event.event_type,
        event_severity: event.event_severity.as_str(),
        resource_type: &event.resource_type,
        resource_id: &event.resource_id,
        resource_name: event.resource_name.as_deref(),
        action: event.action.as_str(),
        previous_state: event.previous_state.as_ref().map(Json::as_str),
        new_state: event.new_state.as_ref().map(Json::as_str),
        request_id: &event.request_id,
        session_id: event.session_id.as_deref(),
    }
}
