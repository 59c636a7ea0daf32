//! Keys of the brush that takes a part of the histogram strip.

use crate::console::app::message::Effects;
use crate::console::app::model::Model;
use crate::console::core::keymap::Action;
use crate::console::core::tasks::Slot;
use crate::console::filter_bar::update::run_filter;
use crate::console::report::target::Target;
use crate::domain::Safe;

/// Columns by which a page moves the brush.
const PAGE: isize = 10;

/// Begins to brush at the selected event.
pub(in crate::console) fn begin(model: &mut Model) {
    let at = model.timeline.key().map(|key| key.timestamp);
    if model.areas().strip.is_none() {
        let why = if model.timeline.strip.is_shown() {
            "the histogram strip needs 30 lines"
        } else {
            "too many events for the histogram strip"
        };
        let text = format!("{why}; {} opens the histogram", model.setup.keymap.key(Action::Histogram));
        model.notify(Safe::composed(&text));
    } else if !model.timeline.strip.begin(at) {
        model.notify(Safe::literal(if model.slots.running(Slot::Strip).is_some() {
            "the histogram of this view is still being counted"
        } else {
            "there is no histogram of this view to select from"
        }));
    }
}

/// Answers a key while the brush is in use. False otherwise.
pub(in crate::console) fn act(model: &mut Model, action: Action, effects: &mut Effects) -> bool {
    let strip = &mut model.timeline.strip;
    if !strip.brushes() {
        return false;
    }
    match action {
        Action::BrushEarlier => strip.extend(-1),
        Action::BrushLater => strip.extend(1),
        Action::PageUp | Action::HalfUp => strip.extend(-PAGE),
        Action::PageDown | Action::HalfDown => strip.extend(PAGE),
        Action::First => strip.extend(isize::MIN),
        Action::Last => strip.extend(isize::MAX),
        Action::BrushAnchor => strip.anchor(),
        Action::Open => {
            let brushed = strip.brushed();
            strip.leave();
            if let (Some((since, until)), Some(place)) = (brushed, model.history.current()) {
                let target = Target::Time(since, until);
                let next = target.within(&place.filter);
                let text = target.spelled(&place.text, &next);
                run_filter(model, text, next, effects);
            }
        }
        Action::Cancel => strip.leave(),
        _ => {}
    }
    true
}
