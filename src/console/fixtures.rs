//! Events and models for the tests of the console.

use super::keymap::Keymap;
use super::model::{Model, Setup};
use super::msg::Moment;
use super::row::Row;
use super::theme::{Depth, Theme};
use super::zone::Zone;
use crate::config::Span;
use crate::domain::{EventRow, OrgId, Safe, Timestamp};
use crate::filter::Filter;
use std::time::Duration;

/// Thursday, 2026-01-15T09:58:00Z, in seconds.
pub(crate) const BASE: i64 = 1_768_471_080;

/// An ordinary event, `seconds` after [`BASE`].
pub(crate) fn event_row(id: &str, seconds: i64) -> EventRow {
    EventRow {
        event_id: id.to_owned(),
        timestamp: Timestamp::from_micros((BASE + seconds) * 1_000_000),
        organization_id: "acme".to_owned(),
        project_id: Some("p-7".to_owned()),
        actor_type: "user".to_owned(),
        actor_id: "user-17".to_owned(),
        actor_email: Some("alice@acme.example".to_owned()),
        actor_ip: Some("192.0.2.17".to_owned()),
        actor_user_agent: Some("Mozilla/5.0 (X11; Linux x86_64)".to_owned()),
        event_category: "admin".to_owned(),
        event_type: "user.role_changed".to_owned(),
        event_severity: "info".to_owned(),
        resource_type: "role_binding".to_owned(),
        resource_id: "rb-7".to_owned(),
        resource_name: None,
        action: "update".to_owned(),
        request_id: "req-88123".to_owned(),
        session_id: Some("s-9f3".to_owned()),
        hash: "9c41".repeat(16),
        previous_hash: String::new(),
        xmin: 700,
    }
}

/// An ordinary row.
pub(crate) fn row_at(seconds: i64, id: &str) -> Row {
    Row::new(event_row(id, seconds), Zone::Utc)
}

/// A moment, in milliseconds since the console started at [`BASE`] + 1 h.
pub(crate) fn moment(millis: u64) -> Moment {
    Moment {
        wall: Timestamp::from_micros((BASE + 3_600) * 1_000_000 + millis as i64 * 1_000),
        clock: Duration::from_millis(millis),
    }
}

/// A console of a size that has not begun.
pub(crate) fn model(width: u16, height: u16, organization: Option<&str>) -> Model {
    let setup = Setup {
        label: Safe::literal("demo"),
        production: false,
        private_server: false,
        window: Span::days(90),
        local: Zone::Fixed(3_600),
        keymap: Keymap::shipped().unwrap(),
        theme: Theme::shipped("dark", Depth::Rgb).unwrap(),
    };
    let wanted = (organization.map(|id| OrgId::new(id).unwrap()), String::new(), Filter::default());
    let mut model = Model::new(setup, moment(0), wanted);
    model.size = (width, height);
    model.lay_out();
    model
}
