//! Texts for the clipboard. Characters that a terminal would obey or not show are escaped: a clipboard is pasted into
//! terminals.

use crate::console::app::model::{Model, Page};
use crate::console::change::layout::CAP;
use crate::console::core::keymap::Action;
use crate::console::core::layout::Focus;
use crate::console::dialogs::shell_words;
use crate::diff::json::{Doc, Limits};
use crate::domain::{EventRow, Safe};
use crate::export::{Record, json};

/// Most bytes that terminals take in one piece: 100 kB in base 64.
const MAX_BYTES: usize = 74_994;

/// Most bytes of the line on leaving: what is longer than a few lines of a terminal helps nobody.
const LONGEST_LINE: usize = 1_000;

const TOO_LONG: &str = "too long for the clipboard of a terminal";

/// The text for an action, or why there is none.
pub(in crate::console) fn text(model: &Model, action: Action) -> Result<String, &'static str> {
    if action == Action::CopyListing {
        let listing = listing(model, "events").ok_or("there is no view to list")?;
        let is_here_only = model.history.current().is_some_and(|place| place.filter.asks_the_session());
        return match listing {
            _ if is_here_only => {
                Err("only the console knows what this filter asks: no command lists the same")
            }
            text if text.len() > MAX_BYTES => Err(TOO_LONG),
            text => Ok(text),
        };
    }
    let row = &model.timeline.row().ok_or("no event is selected")?.event;
    let text = match action {
        Action::CopyRow => line(row),
        Action::CopyJson => {
            json::text(&Record::from(row)).map_err(|_| "the event cannot be written as JSON")?
        }
        Action::CopyCommand if model.change.travels() => state_command(&model.setup.flags, row),
        Action::CopyCommand => command(&model.setup.flags, row),
        Action::CopyState => state(model)?,
        Action::CopyPatch => json::visible(&model.change.patch(false)?),
        Action::CopyRestore => json::visible(&model.change.patch(true)?),
        Action::CopyPath => Safe::from_untrusted(&place(model)?).to_string(),
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

/// The command that says the same of the view as the console does.
pub(in crate::console) fn listing(model: &Model, command: &str) -> Option<String> {
    let place = model.history.current()?;
    Some(of_filter(model, command, place.organization.as_str(), &place.text))
}

/// The command that lists what the line says, where there is one.
pub(in crate::console) fn listing_shown(model: &Model) -> Option<Safe> {
    let (organization, text) = model.listed()?;
    Some(Safe::composed(&of_filter(model, "events", organization, text)))
}

/// What is left behind, and the command that opens the console there again. A filter has no option: it is typed, or
/// recalled in the filter line.
pub(in crate::console) fn way_back(model: &Model) -> Option<String> {
    const EVERYTHING: &str = "all-time";
    let place = model.history.current()?;
    let text = place.text.trim();
    let (filter, options) = if text == EVERYTHING { ("", &["--all-time"][..]) } else { (text, &[][..]) };
    let command = in_shell(None, &model.setup.flags, place.organization.as_str(), options, &[]);
    let key = model.timeline.key().filter(|_| model.shows_current_place());
    // Quoted, too: the line may be pasted as a whole.
    let left = [("filter", Some(filter.to_owned())), ("event", key.map(|key| key.event_id))];
    let left = left.into_iter().filter_map(|(name, value)| Some((name, value.filter(|v| !v.is_empty())?)));
    let left = left.map(|(name, value)| format!("{name} {} · ", shell_words::command([value.as_str()])));
    let line = format!("{}come back with: {command}", left.collect::<String>());
    (line.len() <= LONGEST_LINE).then_some(line).or(Some(format!("come back with: {command}")))
}

fn of_filter(model: &Model, command: &str, organization: &str, text: &str) -> String {
    let text = text.trim();
    let about = if text.is_empty() { Vec::new() } else { vec![text] };
    in_shell(Some(command), &model.setup.flags, organization, &[], &about)
}

/// The command that shows the state of the resource after the event.
fn state_command(flags: &[String], row: &EventRow) -> String {
    let time = row.timestamp.to_rfc3339();
    let options = ["--at", &time, "--format", "json"];
    in_shell(Some("resource"), flags, &row.organization_id, &options, &[&row.resource_type, &row.resource_id])
}

/// The command that shows the event.
fn command(flags: &[String], row: &EventRow) -> String {
    in_shell(Some("show"), flags, &row.organization_id, &[], &[&row.event_id])
}

/// A command about something in an organisation, for a shell; without a command, the console.
fn in_shell(
    command: Option<&str>,
    flags: &[String],
    organization: &str,
    options: &[&str],
    about: &[&str],
) -> String {
    let mut words = vec!["agenttrace"];
    words.extend(command);
    words.extend(flags.iter().map(String::as_str));
    let in_one_word = format!("--org={organization}");
    if organization.starts_with('-') {
        words.push(&in_one_word);
    } else {
        words.extend(["--org", organization]);
    }
    words.extend(options);
    if about.iter().any(|word| word.starts_with('-')) {
        // What begins with - is no option.
        words.push("--");
    }
    words.extend(about);
    shell_words::command(words)
}

/// The place under the cursor of the tree or of the change pane, within the state (JSON Pointer).
fn place(model: &Model) -> Result<String, &'static str> {
    if let Some(Page::Tree(tree)) = &model.page {
        return tree.place().map(|(_, pointer)| pointer).ok_or("there is no tree");
    }
    let there = model.focus == Focus::Change;
    let pointer = there.then(|| model.change.pointer()).flatten();
    pointer.map(str::to_owned).ok_or("no path under the cursor: select one in the change pane")
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
    use crate::console::app::fixtures::event_row;

    #[test]
    fn commands_are_quoted_for_a_shell() {
        let mut row = event_row("evt-1", 0);
        assert_eq!(command(&[], &row), "agenttrace show --org acme evt-1");
        row.event_id = "-evt".to_owned();
        assert_eq!(command(&[], &row), "agenttrace show --org acme -- -evt");
        row.event_id = "it's; rm -rf \u{1b}[31m".to_owned();
        let flags = ["--profile", "my demo"].map(ToOwned::to_owned);
        assert_eq!(
            command(&flags, &row),
            r#"agenttrace show --profile 'my demo' --org acme "$(printf 'it\047s; rm -rf \033[31m')""#
        );
        let filter = r#"-ua~"it's" since:-7d"#;
        let listing = in_shell(Some("events"), &[], "acme", &[], &[filter]);
        assert_eq!(listing, r#"agenttrace events --org acme -- '-ua~"it'\''s" since:-7d'"#);
        // The shell itself reads it back.
        let words = std::process::Command::new("sh")
            .args(["-c", &format!("set -- {listing}; printf %s \"$6\"")])
            .output()
            .unwrap();
        assert_eq!(String::from_utf8(words.stdout).unwrap(), filter);
    }
}
