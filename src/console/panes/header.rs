//! The first line: which organisation, on which database, in which zone, and whether it answers.

use crate::console::model::{Connection, Model};
use crate::console::paint::Painter;
use crate::console::theme::Role;
use crate::console::trail;
use crate::console::zone::Zone;
use crate::domain::Safe;

/// On a narrower screen the cost of a page gives way to the names.
const WIDE: usize = 110;

/// Draws it.
pub(crate) fn paint(painter: &mut Painter<'_>, model: &Model) {
    let width = painter.width();
    let (state, role) = connection(model);
    let right = painter.put_right(width.saturating_sub(1), 0, &state, role);
    let right = match trail_state(model) {
        Some((text, role)) => painter.put_right(right.saturating_sub(2), 0, &text, role),
        None => right,
    };
    let right = match cost(model).filter(|_| width >= WIDE) {
        Some(cost) => painter.put_right(right.saturating_sub(2), 0, &cost, Role::Muted),
        None => right,
    };
    let mut x = 1;
    if model.setup.production {
        x = painter.say(x, 0, " PRODUCTION ", Role::Production) + 1;
    }
    let parts = parts(model);
    // The name of the program gives way first, then the last parts.
    let total: usize = parts.iter().map(|p| p.width() + 3).sum();
    if x + total + 12 <= right {
        x = painter.say(x, 0, "AgentTrace", Role::Title) + 2;
    }
    for (i, part) in parts.iter().enumerate() {
        let separator = if i > 0 { 3 } else { 0 };
        if x + separator + part.width().min(8) >= right {
            break;
        }
        if i > 0 {
            x = painter.say(x, 0, " · ", Role::Muted);
        }
        let part = part.cut_middle(right.saturating_sub(x + 1));
        x = painter.put(x, 0, &part, if i == 0 { Role::Title } else { Role::Text });
    }
}

/// `3 ms idx_audit_actor`: what the last page cost, and how it was found.
fn cost(model: &Model) -> Option<Safe> {
    let cost = model.timeline.cost.as_ref()?;
    let milliseconds = cost.took.as_secs_f64() * 1e3;
    let digits = usize::from(milliseconds < 9.95);
    let text = format!("{milliseconds:.digits$} ms {}", cost.way.as_deref().unwrap_or_default());
    Some(Safe::from_untrusted(text.trim_end()).cut_middle(40))
}

fn parts(model: &Model) -> Vec<Safe> {
    let mut parts = Vec::new();
    match (model.history.current(), &model.wanted.0) {
        (Some(place), _) => parts.push(Safe::from_untrusted(place.organization.as_str())),
        (None, Some(wanted)) => parts.push(Safe::from_untrusted(wanted.as_str())),
        (None, None) => parts.push(Safe::literal("no organisation")),
    }
    // Times are in this zone: it outlives the name of the database on a narrow screen.
    let instant = model.timeline.row().map_or(model.at.wall, |r| r.event.timestamp);
    parts.push(Safe::from_untrusted(&model.zone.name(instant)));
    parts.push(model.setup.label.clone());
    if let Some(server) = &model.server {
        let standing = server.standing.to_string();
        if !standing.is_empty() {
            parts.push(Safe::from_untrusted(&standing));
        }
        parts.push(Safe::from_untrusted(&format!("pg {} {}", server.major, server.database)));
    }
    parts
}

/// What is known of the whole trail: silence would look like a guarantee.
fn trail_state(model: &Model) -> Option<(Safe, Role)> {
    let organization = model.organization()?;
    if let Some(scan) = model.trails.scanning(organization) {
        return Some((scan.title(), Role::Notice));
    }
    let Some(verified) = model.trails.report(organization) else {
        return Some((Safe::literal("· not verified"), Role::Unchecked));
    };
    let verdict = verified.report.verdict;
    let mark = trail::sign(verdict);
    let time: String = Zone::Utc.clock(verified.at).chars().take(5).collect();
    let text = format!("{} {} {time}Z", mark.sign(), verdict.to_string().replace('_', " "));
    Some((Safe::from_untrusted(&text), mark.role()))
}

fn connection(model: &Model) -> (Safe, Role) {
    match &model.connection {
        Connection::Connecting => (Safe::literal("connecting…"), Role::Notice),
        Connection::Up => (Safe::literal("connected"), Role::Muted),
        Connection::Lost { since, retry_at, .. } => {
            let trying = match retry_at {
                Some(at) => format!("retry in {} s", at.saturating_sub(model.at.clock).as_secs_f64().ceil()),
                None if model.slots.running(crate::console::slots::Slot::Connection).is_some() => {
                    "connecting…".to_owned()
                }
                None => "R retries".to_owned(),
            };
            let text = format!("LOST since {} · {trying}", model.zone.clock(*since));
            (Safe::from_untrusted(&text), Role::Error)
        }
    }
}
