//! The first line: which organisation, on which database, in which zone, and whether it answers.

use crate::console::app::model::{Connection, Model};
use crate::console::core::keymap::Action;
use crate::console::integrity::trails;
use crate::console::timeline::cost::Cost;
use crate::console::widgets::painter::Painter;
use crate::console::widgets::theme::Role;
use crate::domain::{Safe, grouped};
use crate::investigation::verification::Signing;

/// On a narrower screen the cost of a page gives way to the names.
const WIDE: usize = 110;

/// On a narrower screen a connection that stands is not mentioned.
const NARROW: usize = 60;

/// Draws it.
pub(crate) fn paint(painter: &mut Painter<'_>, model: &Model) {
    let width = painter.width();
    let (state, role) = connection(model);
    // What is as it should be gives way on a narrow screen: names and verdicts are not cut for it.
    let right = match (&model.connection, width) {
        (Connection::Up, ..NARROW) => width.saturating_sub(1),
        _ => painter.put_right(width.saturating_sub(1), 0, &state, role).saturating_sub(2),
    };
    let right = match trail_state(model, width) {
        Some((text, role)) => painter.put_right(right, 0, &text, role),
        None => right,
    };
    let right = match signing(model).filter(|_| width >= WIDE) {
        Some((text, role)) => painter.put_right(right.saturating_sub(2), 0, &text, role),
        None => right,
    };
    let right = match model.timeline.new {
        0 => right,
        // They are not shown: the view stands still until somebody asks.
        n => {
            let text = format!("{} new ({})", grouped(n), model.setup.keymap.key(Action::Refresh));
            painter.put_right(right.saturating_sub(2), 0, &Safe::composed(&text), Role::Notice)
        }
    };
    let right = match cost(model).filter(|_| width >= WIDE) {
        Some(cost) => painter.put_right(right.saturating_sub(2), 0, &cost, Role::Muted),
        None => right,
    };
    let mut x = 1;
    if model.setup.production {
        x = painter.say(x, 0, " PRODUCTION ", Role::Production) + 1;
    }
    if model.warned {
        x = painter.say(x, 0, " ! UNTRUSTED ", Role::Production) + 1;
    }
    if model.masked {
        x = painter.say(x, 0, " MASKED ", Role::Production) + 1;
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

/// `812 ms idx_audit_actor`: what the last page cost, and how it was found, where somebody had to wait for it.
fn cost(model: &Model) -> Option<Safe> {
    let cost = model.timeline.cost.as_ref().filter(|cost| cost.took >= Cost::SLOW)?;
    let milliseconds = cost.took.as_millis();
    let text = format!("{milliseconds} ms {}", cost.way.as_deref().unwrap_or_default());
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
        parts.push(Safe::from_untrusted(&server.database));
        if let Some(table) = &server.table {
            parts.push(Safe::from_untrusted(table));
        }
        if server.pooled {
            parts.push(Safe::literal("pooled"));
        }
    }
    parts
}

/// What is known of the whole trail: silence would look like a guarantee.
fn trail_state(model: &Model, width: usize) -> Option<(Safe, Role)> {
    let organization = model.organization()?;
    // At once: no verdict of earlier outranks what is seen now.
    if let Some(broken) = trails::seen_broken(&model.marks, model.trails.report(organization)) {
        return Some((broken, Role::Broken));
    }
    if let Some(scan) = model.trails.scanning(organization) {
        return Some((scan.title(), Role::Notice));
    }
    // Whatever an earlier verification of this session said.
    if let Some(contradiction) = trails::contradiction(&model.trails, &model.marks, organization) {
        return Some((contradiction, Role::Broken));
    }
    let Some(verified) = model.trails.report(organization) else {
        return Some((Safe::literal("· not verified"), Role::Unchecked));
    };
    let mark = trails::sign(verified.report.verdict);
    let since = model.trails.since(organization);
    Some((trails::standing(verified, since, model.at.wall, width), mark.role()))
}

/// `signed 3 h ago`: how old the newest checkpoint is that was signed here. Without a key nobody expects one.
fn signing(model: &Model) -> Option<(Safe, Role)> {
    match model.trails.signing(model.organization()?) {
        Signing::NoKey => None,
        Signing::Never => Some((Safe::literal("not signed"), Role::Unchecked)),
        Signing::Last(at) => {
            let text = format!("signed {}", trails::age(at, model.at.wall));
            Some((Safe::from_untrusted(&text), Role::Muted))
        }
    }
}

fn connection(model: &Model) -> (Safe, Role) {
    match &model.connection {
        Connection::Connecting => (Safe::literal("connecting…"), Role::Notice),
        Connection::Up => (Safe::literal("connected"), Role::Muted),
        Connection::Lost { since, retry_at, .. } => {
            let trying = match retry_at {
                Some(at) => format!("retry in {} s", at.saturating_sub(model.at.clock).as_secs_f64().ceil()),
                None if model.slots.running(crate::console::core::tasks::Slot::Connection).is_some() => {
                    "connecting…".to_owned()
                }
                None => "R retries".to_owned(),
            };
            let text = format!("LOST since {} · {trying}", model.zone.clock(*since));
            (Safe::from_untrusted(&text), Role::Error)
        }
    }
}
