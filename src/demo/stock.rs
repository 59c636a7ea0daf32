//! What a company has at a moment: its live resources, oldest first in each kind.

use super::dice::Dice;
use super::kind::Kind;
use super::resource::{Resource, Tag, json_text};
use serde_json::Value;
use std::collections::VecDeque;

/// The live resources of one company.
#[derive(Debug, Default)]
pub(super) struct Stock {
    kinds: [VecDeque<Resource>; Kind::ALL.len()],
    numbers: [u64; Kind::ALL.len()],
    serial: u64,
}

impl Stock {
    /// The id that the next resource of a kind will have. Everyday ids begin at 1001 and leave the smaller ones to
    /// the planted story.
    pub(super) fn next_id(&mut self, kind: Kind) -> String {
        let number = &mut self.numbers[kind as usize];
        *number += 1;
        format!("{}-{}", kind.prefix(), 1_000 + *number)
    }

    /// Adds a resource and returns it. Above the kind's limit the oldest is forgotten: nobody touches it again.
    pub(super) fn add(
        &mut self,
        kind: Kind,
        id: String,
        name: String,
        project: Option<&'static str>,
        state: Value,
    ) -> &Resource {
        self.serial += 1;
        let tag = Tag { serial: self.serial, id, name, project };
        let resources = &mut self.kinds[kind as usize];
        if resources.len() >= kind.population().1 {
            resources.pop_front();
        }
        let text = json_text(&state);
        resources.push_back(Resource { tag, state, text });
        &resources[resources.len() - 1]
    }

    /// Index of the resource with a serial, if it still lives.
    pub(super) fn find(&self, kind: Kind, serial: u64) -> Option<usize> {
        self.kinds[kind as usize].binary_search_by_key(&serial, |r| r.tag.serial).ok()
    }

    /// A resource somebody is likely to look at: the newer, the likelier.
    pub(super) fn any(&self, kind: Kind, dice: &mut Dice) -> Option<usize> {
        let count = self.kinds[kind as usize].len() as u64;
        let back = dice.below(count).min(dice.below(count));
        (count > 0).then(|| (count - 1 - back) as usize)
    }

    /// A resource at an index that [`Self::find`] or [`Self::any`] gave.
    pub(super) fn get(&self, kind: Kind, index: usize) -> &Resource {
        &self.kinds[kind as usize][index]
    }

    /// The same, to change it.
    pub(super) fn get_mut(&mut self, kind: Kind, index: usize) -> &mut Resource {
        &mut self.kinds[kind as usize][index]
    }

    /// Takes the oldest resource of a kind out, if the company has enough of them.
    pub(super) fn remove_oldest(&mut self, kind: Kind) -> Option<Resource> {
        let resources = &mut self.kinds[kind as usize];
        if resources.len() > kind.population().0 / 2 { resources.pop_front() } else { None }
    }
}
