//! An event with its states as one document, built and searched by the executor.

use crate::console::core::failure::Failure;
use crate::diff::json::{Limits, OwnedDoc};
use crate::diff::outline::Outline;
use crate::diff::rows::size;
use crate::domain::{EventKey, OrgScope};
use crate::export::{Record, json};
use crate::store::ReadDb;
use crate::store::history::{self, Excerpt, Observed};
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// Bytes of one state that become a tree.
const CAP: u32 = 16 << 20;

/// Both states, and the event. Three million values take 150 MB, as long as the tree is open.
const LIMITS: Limits = Limits { bytes: 40 << 20, nodes: 3_000_000 };

/// The event with its states, not larger than [`CAP`].
///
/// # Errors
/// When it cannot be read.
pub(crate) async fn read(
    db: &ReadDb,
    scope: &OrgScope,
    key: &EventKey,
    cancel: &CancellationToken,
) -> Result<Option<Observed>, Failure> {
    Ok(history::observe(db, scope, key, CAP, cancel).await?)
}

/// Its tree: `event`, `new_state`, `previous_state`. Of a state that is too large it says so.
///
/// # Errors
/// When it has too many values.
pub(crate) fn build(event: &Observed) -> Result<Outline, Failure> {
    let row = json::text(&Record::from(&event.row)).map_err(|e| Failure::because(&e.to_string()))?;
    let [new, previous] = [&event.new, &event.previous].map(|state| match state {
        None => "null".to_owned(),
        Some(state) if state.is_whole() => state.text.to_string(),
        Some(state) => too_large(state),
    });
    let text = format!("{{\"event\": {row}, \"new_state\": {new}, \"previous_state\": {previous}}}");
    let doc = OwnedDoc::parse(text.into(), LIMITS).map_err(|e| {
        Failure::because(&format!("there is no tree of these states: {e} · the change pane shows them raw"))
    })?;
    Ok(Outline::new(Arc::new(doc)))
}

fn too_large(state: &Excerpt) -> String {
    let bytes = size(usize::try_from(state.bytes).unwrap_or(usize::MAX));
    let digest = state.sha256.as_deref().unwrap_or_default();
    format!("\"too large for a tree: {bytes}, sha256 {digest}\"")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::console::app::fixtures::event_row;

    #[test]
    fn an_event_and_its_states_are_one_document() {
        let whole = |text: &str| Excerpt { text: text.into(), bytes: text.len() as u64, sha256: None };
        let part = Excerpt { text: "[1, 2".into(), bytes: 50_000_000, sha256: Some("ab".to_owned()) };
        let event =
            Observed { row: event_row("e-1", 0), previous: Some(part), new: Some(whole("{\"n\": 0.1000}")) };
        let outline = build(&event).unwrap();
        let doc = outline.doc();
        let at = |pointer| doc.resolve(pointer).map(|id| doc.text(id));
        assert_eq!(at("/event/event_id"), Some("\"e-1\""));
        assert_eq!(at("/new_state/n"), Some("0.1000"));
        assert_eq!(at("/previous_state"), Some("\"too large for a tree: 50.0 MB, sha256 ab\""));
        let event = Observed { row: event_row("e-1", 0), previous: None, new: Some(whole("[1}")) };
        assert!(build(&event).unwrap_err().text.as_str().starts_with("there is no tree"));
    }
}
