//! An event on its way: as a record of the spool, and as the text of a dead letter.

use crate::domain::{ColumnError, Json, NewEvent, OrgId, Timestamp};
use crate::ingest::Place;
use serde::{Deserialize, Serialize};

/// Where an event comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::ingest) struct Origin {
    pub(in crate::ingest) source: String,
    pub(in crate::ingest) line: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(in crate::ingest) element: Option<u64>,
}

impl Origin {
    pub(super) fn place(&self) -> Place {
        Place { line: self.line, element: self.element }
    }
}

/// An event, and where it comes from. States are texts here, so that whatever they hold can be written down.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Spooled {
    pub(super) origin: Origin,
    event: Columns,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Columns {
    event_id: String,
    /// Microseconds since 1970.
    timestamp: i64,
    organization_id: String,
    project_id: Option<String>,
    actor_type: String,
    actor_id: String,
    actor_email: Option<String>,
    actor_ip: Option<String>,
    actor_user_agent: Option<String>,
    event_category: String,
    event_type: String,
    event_severity: String,
    resource_type: String,
    resource_id: String,
    resource_name: Option<String>,
    action: String,
    previous_state: Option<String>,
    new_state: Option<String>,
    request_id: String,
    session_id: Option<String>,
}

impl Spooled {
    pub(super) fn new(origin: Origin, event: NewEvent) -> Self {
        let state = |state: Option<Json>| state.map(|state| state.as_str().to_owned());
        let event = Columns {
            event_id: event.event_id,
            timestamp: event.timestamp.as_micros(),
            organization_id: event.organization_id.as_str().to_owned(),
            project_id: event.project_id,
            actor_type: event.actor_type.as_str().to_owned(),
            actor_id: event.actor_id,
            actor_email: event.actor_email,
            actor_ip: event.actor_ip,
            actor_user_agent: event.actor_user_agent,
            event_category: event.event_category.as_str().to_owned(),
            event_type: event.event_type,
            event_severity: event.event_severity.as_str().to_owned(),
            resource_type: event.resource_type,
            resource_id: event.resource_id,
            resource_name: event.resource_name,
            action: event.action.as_str().to_owned(),
            previous_state: state(event.previous_state),
            new_state: state(event.new_state),
            request_id: event.request_id,
            session_id: event.session_id,
        };
        Self { origin, event }
    }

    pub(super) fn organization(&self) -> &str {
        &self.event.organization_id
    }

    /// The event.
    ///
    /// # Errors
    /// Where a value is none of its column: of a spool that this program wrote, never.
    pub(super) fn event(&self) -> Result<NewEvent, ColumnError> {
        let e = &self.event;
        let state = |state: &Option<String>| state.clone().map(Json::from_trusted);
        let organization_id = OrgId::new(e.organization_id.clone())
            .map_err(|e| ColumnError { column: "organization_id", reason: e.to_string() })?;
        Ok(NewEvent {
            event_id: e.event_id.clone(),
            timestamp: Timestamp::from_micros(e.timestamp),
            organization_id,
            project_id: e.project_id.clone(),
            actor_type: e.actor_type.parse()?,
            actor_id: e.actor_id.clone(),
            actor_email: e.actor_email.clone(),
            actor_ip: e.actor_ip.clone(),
            actor_user_agent: e.actor_user_agent.clone(),
            event_category: e.event_category.parse()?,
            event_type: e.event_type.clone(),
            event_severity: e.event_severity.parse()?,
            resource_type: e.resource_type.clone(),
            resource_id: e.resource_id.clone(),
            resource_name: e.resource_name.clone(),
            action: e.action.parse()?,
            previous_state: state(&e.previous_state),
            new_state: state(&e.new_state),
            request_id: e.request_id.clone(),
            session_id: e.session_id.clone(),
        })
    }

    /// The event in AgentTrace's own format, to be loaded again. A state that is no JSON stands as it is: whoever reads it
    /// refuses it, too.
    pub(super) fn text(&self) -> String {
        let e = &self.event;
        let time = Timestamp::from_micros(e.timestamp).to_rfc3339();
        let columns: [(&str, Option<&str>); 18] = [
            ("event_id", Some(&e.event_id)),
            ("timestamp", Some(&time)),
            ("organization_id", Some(&e.organization_id)),
            ("project_id", e.project_id.as_deref()),
            ("actor_type", Some(&e.actor_type)),
            ("actor_id", Some(&e.actor_id)),
            ("actor_email", e.actor_email.as_deref()),
            ("actor_ip", e.actor_ip.as_deref()),
            ("actor_user_agent", e.actor_user_agent.as_deref()),
            ("event_category", Some(&e.event_category)),
            ("event_type", Some(&e.event_type)),
            ("event_severity", Some(&e.event_severity)),
            ("resource_type", Some(&e.resource_type)),
            ("resource_id", Some(&e.resource_id)),
            ("resource_name", e.resource_name.as_deref()),
            ("action", Some(&e.action)),
            ("request_id", Some(&e.request_id)),
            ("session_id", e.session_id.as_deref()),
        ];
        let quoted = |(name, value): (&str, Option<&str>)| {
            Some(format!("\"{name}\":{}", serde_json::Value::from(value?)))
        };
        let states = [("previous_state", &e.previous_state), ("new_state", &e.new_state)];
        let raw = |(name, state): (&str, &Option<String>)| Some(format!("\"{name}\":{}", state.as_ref()?));
        let members: Vec<String> =
            columns.into_iter().filter_map(quoted).chain(states.into_iter().filter_map(raw)).collect();
        format!("{{{}}}", members.join(","))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Action, ActorType, Category, Severity};
    use crate::ingest::{Incoming, Mapping, agenttrace};
    use proptest::prelude::*;

    fn event(text: String, micros: i64, state: Option<String>) -> NewEvent {
        NewEvent {
            event_id: text.clone(),
            timestamp: Timestamp::from_micros(micros),
            organization_id: OrgId::new("a\u{202e}\"\\b").unwrap(),
            project_id: Some(text.clone()),
            actor_type: ActorType::Service,
            actor_id: text.clone(),
            actor_email: None,
            actor_ip: Some(text.clone()),
            actor_user_agent: Some(text.clone()),
            event_category: Category::Eval,
            event_type: text.clone(),
            event_severity: Severity::Critical,
            resource_type: text.clone(),
            resource_id: text.clone(),
            resource_name: None,
            action: Action::Export,
            previous_state: None,
            new_state: state.map(Json::from_trusted),
            request_id: text,
            session_id: None,
        }
    }

    proptest! {
        #[test]
        fn any_event_comes_back_from_the_spool_and_from_its_letter(
            text in any::<String>(),
            micros in -62_135_596_800_000_000_i64..253_402_300_800_000_000,
            number in "-?[1-9][0-9]{0,30}\\.[0-9]{0,30}1e[0-9]{1,3}",
        ) {
            let state = format!("{{ \"n\" : {number},\n\"t\":{}}}", serde_json::Value::from(text.as_str()));
            let event = event(text, micros, Some(state));
            let origin = Origin { source: "s".into(), line: 1, element: None };
            let spooled = Spooled::new(origin, event.clone());
            let line = serde_json::to_string(&spooled).unwrap();
            let back: Spooled = serde_json::from_str(&line).unwrap();
            prop_assert_eq!(back.event().unwrap(), event.clone());
            let mapped = agenttrace::map(&back.text(), &Mapping::default()).unwrap();
            prop_assert_eq!(mapped.event, Incoming::New(event));
        }
    }

    #[test]
    fn a_state_that_is_no_json_can_be_spooled_and_stays_none() {
        let origin = Origin { source: "s".into(), line: 1, element: None };
        let spooled = Spooled::new(origin, event("e".into(), 0, Some("not json".into())));
        let line = serde_json::to_string(&spooled).unwrap();
        let back: Spooled = serde_json::from_str(&line).unwrap();
        assert!(agenttrace::map(&back.text(), &Mapping::default()).is_err());
    }
}
