//! What is shown as a JSON Patch (RFC 6902): on to the newer state, or back to the older one.

use crate::console::change::pane::{ChangePane, Lens};
use crate::diff::writing::Writing;
use crate::diff::{Detail, Options, compare, patch, unhurried};

/// Most bytes of a state that a key may take the time to compare: about a millisecond.
const MAX_BYTES: usize = 64 << 10;

impl ChangePane {
    /// The patch from the older of the two states that are compared to the newer one; `back` the other way.
    ///
    /// # Errors
    /// Why there is none.
    pub(crate) fn patch(&self, back: bool) -> Result<String, &'static str> {
        if !matches!(self.lens, Lens::Event | Lens::Marked) {
            return Err("a patch is of two states: show a change");
        }
        if let Some(why) = self.nothing_to_compare() {
            return Err(why);
        }
        let states = self.states_to_compare().ok_or("the states are not here yet")?;
        if !matches!(self.writing(), Writing::Full | Writing::Undecided) {
            return Err("these states hold only what an event touched: a patch of them would be wrong");
        }
        let too_large = |state: &&std::sync::Arc<_>| {
            let state: &crate::store::history::Excerpt = state;
            !state.is_whole() || state.text.len() > MAX_BYTES
        };
        if [&states.old, &states.new].into_iter().flatten().any(|state| too_large(&state)) {
            return Err("too large to be compared at once: agenttrace diff --format json-patch does it");
        }
        let [old, new] = [&states.old, &states.new].map(|state| state.as_deref().map(|s| &*s.text));
        let (from, to) = if back { (new, old) } else { (old, new) };
        let compared = compare(from, to, &Options::default(), &unhurried);
        match &compared.detail {
            Detail::NothingRecorded => Err("the event recorded no state"),
            Detail::Call(_) => Err("the event records a call, not states"),
            Detail::Structural { .. } if from.is_none() || to.is_none() => Ok(patch::whole_patch(to)),
            Detail::Structural { structure, .. } => {
                patch::json_patch(structure).map_err(|_| "the states cannot be written as a patch")
            }
            Detail::Lines { .. } | Detail::Hashes { .. } => {
                Err("the states are no JSON that can be compared")
            }
        }
    }
}
