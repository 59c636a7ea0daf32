//! The order of events that claim the same instant.

use crate::domain::Event;
use std::collections::HashMap;

/// Puts events of one instant, which come by id, in the order of the chain: each behind the event whose hash it names as
/// its previous one. Those whose predecessor is not among them keep the order of their ids, and so do the branches of a
/// fork. Every event stays, in whatever circle forged hashes may lead.
pub fn along_chain(events: Vec<Event>) -> Vec<Event> {
    if events.len() < 2 {
        return events;
    }
    let order = {
        let mut successors: HashMap<&str, Vec<usize>> = HashMap::new();
        for (at, event) in events.iter().enumerate() {
            if !event.row.previous_hash.is_empty() {
                successors.entry(&event.row.previous_hash).or_default().push(at);
            }
        }
        let hashes: HashMap<&str, usize> =
            events.iter().enumerate().map(|(at, event)| (event.row.hash.as_str(), at)).collect();
        let is_first = |at: &usize| {
            let previous = events.get(*at).map(|event| event.row.previous_hash.as_str());
            previous.is_none_or(|hash| hashes.get(hash).is_none_or(|predecessor| predecessor == at))
        };
        let mut taken = vec![false; events.len()];
        let mut order = Vec::with_capacity(events.len());
        // Circles have no first one: what is left begins anywhere.
        for begin in (0..events.len()).filter(is_first).chain(0..events.len()) {
            let mut stack = vec![begin];
            while let Some(at) = stack.pop() {
                let (Some(taken), Some(event)) = (taken.get_mut(at), events.get(at)) else { continue };
                if std::mem::replace(taken, true) {
                    continue;
                }
                order.push(at);
                if let Some(next) = successors.get(event.row.hash.as_str()) {
                    stack.extend(next.iter().rev());
                }
            }
        }
        order
    };
    let mut events: Vec<Option<Event>> = events.into_iter().map(Some).collect();
    order.into_iter().filter_map(|at| events.get_mut(at).and_then(Option::take)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{EventRow, Timestamp};
    use proptest::prelude::*;

    fn event(id: &str, hash: &str, previous_hash: &str) -> Event {
        let row = EventRow {
            event_id: id.into(),
            timestamp: Timestamp::from_micros(0),
            hash: hash.into(),
            previous_hash: previous_hash.into(),
            ..EventRow::sample()
        };
        Event { row, previous_state: None, new_state: None }
    }

    fn ids(events: &[(&str, &str, &str)]) -> Vec<String> {
        let events = events.iter().map(|(id, hash, previous)| event(id, hash, previous)).collect();
        along_chain(events).into_iter().map(|event| event.row.event_id).collect()
    }

    #[test]
    fn the_chain_comes_before_the_ids() {
        assert_eq!(ids(&[("a", "3", "2"), ("b", "1", "0"), ("c", "2", "1")]), ["b", "c", "a"]);
        // Two chains, a fork, and one event that follows none of them.
        assert_eq!(
            ids(&[("a", "9", ""), ("b", "2", "1"), ("c", "1", "0"), ("d", "3", "1"), ("e", "4", "2")]),
            ["a", "c", "b", "e", "d"]
        );
        // Forged: a circle, and an event that names itself.
        assert_eq!(ids(&[("a", "1", "2"), ("b", "2", "1"), ("c", "3", "3")]), ["c", "a", "b"]);
    }

    proptest! {
        #[test]
        fn every_event_stays(
            links in prop::collection::vec((0..30_u8, 0..30_u8), 0..30)
        ) {
            let events: Vec<Event> = links
                .iter()
                .enumerate()
                .map(|(n, (hash, previous))| event(&format!("{n:02}"), &hash.to_string(), &previous.to_string()))
                .collect();
            let ordered = along_chain(events.clone());
            let mut ids: Vec<_> = ordered.iter().map(|event| &event.row.event_id).collect();
            ids.sort();
            prop_assert_eq!(ids, events.iter().map(|event| &event.row.event_id).collect::<Vec<_>>());
        }

        #[test]
        fn a_chain_in_any_order_of_ids_is_found(order in Just((0..40_usize).collect::<Vec<_>>()).prop_shuffle()) {
            let mut events: Vec<Event> = order
                .iter()
                .enumerate()
                .map(|(place, id)| event(&format!("{id:02}"), &(place + 1).to_string(), &place.to_string()))
                .collect();
            events.sort_by(|a, b| a.row.event_id.cmp(&b.row.event_id));
            let hashes: Vec<String> = along_chain(events).into_iter().map(|event| event.row.hash).collect();
            prop_assert_eq!(hashes, (1..=40).map(|n| n.to_string()).collect::<Vec<_>>());
        }
    }
}
