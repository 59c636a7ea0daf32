//! Texts for the clipboard. Characters that a terminal would obey or not show are escaped: a clipboard is pasted into
//! terminals.

use super::change::CAP;
use super::keymap::Action;
use super::layout::Focus;
use super::model::{Model, Page};
use crate::diff::json::{Doc, Limits};
use crate::domain::{EventRow, Safe};
use crate::export::{Record, json};

/// Most bytes that terminals take in one piece: 100 kB in base 64.
const MAX_BYTES: usize = 74_994;

const TOO_LONG: &str = "too long for the clipboard of a terminal";

/// The text for an action, or why there is none.
pub(super) fn text(model: &Model, action: Action) -> Result<String, &'static str> {
    let row = &model.timeline.row().ok_or("no event is selected")?.event;
    let text = match action {
        Action::CopyRow => line(row),
        Action::CopyJson => {
            json::text(&Record::from(row)).map_err(|_| "the event cannot be written as JSON")?
        }
        Action::CopyCommand if model.change.travels() => state_command(row),
        Action::CopyCommand => command(row),
        Action::CopyState => state(model)?,
        Action::CopyPath => place(model)?,
        _ => value(model)?,
    };
    if text.len() > MAX_BYTES { Err(TOO_LONG) } else { Ok(text) }
}

fn line(row: &EventRow) -> String {
    let actor = row.actor_email.as_deref().filter(|e| !e.is_empty()).unwrap_or(&row.actor_id);
    let time = row.timestamp.to_rfc3339();
    let parts = [&time, &row.event_severity, &row.action, &row.event_type, actor];
    let resource = format!("{}/{}", row.resource_type, row.resource_id);
    Safe::from_untrusted(&format!("{} {resource} {}", parts.join(" "), row.event_id)).to_string()
}

/// The state shown while time is travelled, else the one after the event, exactly as stored.
fn state(model: &Model) -> Result<String, &'static str> {
    if let Some(state) = model.change.state_shown() {
        return state.map(|text| json::visible(&text)).ok_or("no state was recorded there");
    }
    let whole = model.change.state_after().ok_or("no whole state after this event is here")?;
    Ok(json::visible(whole))
}

/// A text for a shell.
fn quoted(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '@' | ':' | '/');
    if !text.is_empty() && text.chars().all(plain) {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}

/// The command that shows the state of the resource after the event.
fn state_command(row: &EventRow) -> String {
    let [organization, kind, id] =
        [&row.organization_id, &row.resource_type, &row.resource_id].map(|t| quoted(t));
    let time = row.timestamp.to_rfc3339();
    let text = format!("agenttrace resource --org {organization} --at {time} --format json -- {kind} {id}");
    Safe::from_untrusted(&text).to_string()
}

/// The command that shows the event.
fn command(row: &EventRow) -> String {
    let (organization, id) = (quoted(&row.organization_id), quoted(&row.event_id));
    Safe::from_untrusted(&format!("agenttrace show --org {organization} -- {id}")).to_string()
}

/// The place under the cursor of the tree or of the change pane, within the state (JSON Pointer).
fn place(model: &Model) -> Result<String, &'static str> {
    if let Some(Page::Tree(tree)) = &model.page {
        return tree.place().map(|(_, pointer)| pointer).ok_or("there is no tree");
    }
    let there = model.focus == Focus::Change;
    let pointer = there.then(|| model.change.pointer()).flatten();
    pointer.map(str::to_owned).ok_or("no path is under the cursor: 3 goes to the change")
}

fn value(model: &Model) -> Result<String, &'static str> {
    if let Some(Page::Tree(tree)) = &model.page {
        let (outline, at) = tree.outline().zip(tree.node()).ok_or("there is no tree")?;
        // Not to be written out only to be refused.
        if outline.doc().text(at).len() > MAX_BYTES {
            return Err(TOO_LONG);
        }
        return Ok(json::visible(&outline.shown(at, tree.view())));
    }
    let pointer = &place(model)?;
    let limits = Limits { bytes: CAP as usize, nodes: CAP as usize };
    for state in model.change.texts() {
        if let Ok(doc) = Doc::parse(state, limits)
            && let Some(found) = doc.resolve(pointer)
        {
            return Ok(json::visible(doc.text(found)));
        }
    }
    Err("the states of this event have no value there")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::console::fixtures::event_row;

    #[test]
    fn commands_are_quoted_for_a_shell() {
        let mut row = event_row("evt-1", 0);
        assert_eq!(command(&row), "agenttrace show --org acme -- evt-1");
        row.event_id = "it's; rm -rf \u{1b}[31m".to_owned();
        assert_eq!(command(&row), r"agenttrace show --org acme -- 'it'\''s; rm -rf \x1B[31m'");
    }
}
