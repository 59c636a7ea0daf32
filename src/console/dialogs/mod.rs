//! Dialogs: what lies on top of the panes. Each says in its own file which keys it takes, its frame and its drawing; what its
//! keys do stands in the `update` of its feature.

pub(crate) mod copy_menu;
pub(crate) mod copy_text;
pub(crate) mod help;
pub(crate) mod organizations;
pub(crate) mod palette;
pub(crate) mod questions;
pub(crate) mod ranking;
pub(crate) mod shell_words;

use crate::case::labels::Labels;
use crate::console::core::keymap::{Action, Context, Keymap};
use crate::console::dialogs::organizations::Organizations;
use crate::console::widgets::painter::Painter;
use crate::console::widgets::text_input::Editor;
use crate::console::widgets::time_zone::Zone;
use crate::domain::Timestamp;
use std::any::Any;
use std::fmt;

/// A place on the screen: columns and lines from the left upper corner of a dialog's inside.
pub(crate) type Cursor = (usize, usize);

/// What a dialog shows, and which keys it takes.
pub(crate) trait Dialog: Any + fmt::Debug {
    /// Keys that it takes.
    fn context(&self) -> Context;

    /// The line that is typed in it.
    fn editor_mut(&mut self) -> Option<&mut Editor> {
        None
    }

    /// Its frame.
    fn frame(&self, stage: &Stage<'_>) -> Frame;

    /// Draws its inside; returns the place of the cursor.
    fn draw(&self, painter: &mut Painter<'_>, stage: &Stage<'_>) -> Option<Cursor>;

    /// Actions that the footer names, where those of its context are not the right ones.
    fn hints(&self) -> Option<&'static [Action]> {
        None
    }

    /// The time whose age it shows.
    fn since(&self) -> Option<Timestamp> {
        None
    }
}

/// The dialog that is open. There is one at a time.
#[derive(Debug)]
pub(crate) struct Overlay(Box<dyn Dialog>);

impl Overlay {
    /// The dialog, if it is one of this kind.
    pub(crate) fn get<D: Dialog>(&self) -> Option<&D> {
        let dialog: &dyn Any = &*self.0;
        dialog.downcast_ref()
    }

    /// The same, to be changed.
    pub(crate) fn get_mut<D: Dialog>(&mut self) -> Option<&mut D> {
        let dialog: &mut dyn Any = &mut *self.0;
        dialog.downcast_mut()
    }

    /// Hands a dialog of one kind to its answer. Gives back one of another kind.
    pub(crate) fn when<D: Dialog>(self, answer: impl FnOnce(D)) -> Option<Self> {
        if self.get::<D>().is_none() {
            return Some(self);
        }
        let dialog: Box<dyn Any> = self.0;
        if let Ok(dialog) = dialog.downcast() {
            answer(*dialog);
        }
        None
    }
}

impl<D: Dialog> From<D> for Overlay {
    fn from(dialog: D) -> Self {
        Self(Box::new(dialog))
    }
}

impl std::ops::Deref for Overlay {
    type Target = dyn Dialog;

    fn deref(&self) -> &Self::Target {
        &*self.0
    }
}

impl std::ops::DerefMut for Overlay {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut *self.0
    }
}

/// What dialogs need to know of the console to be drawn.
pub(crate) struct Stage<'a> {
    /// Columns and lines of the screen above the footer.
    pub(crate) size: (u16, u16),
    /// The keys.
    pub(crate) keymap: &'a Keymap,
    /// Zone of times.
    pub(crate) zone: Zone,
    /// The present.
    pub(crate) now: Timestamp,
    /// The organisations.
    pub(crate) organizations: &'a Organizations,
    /// What ids and networks are called here.
    pub(crate) labels: &'a Labels,
    /// They are being listed.
    pub(crate) listing: bool,
}

impl Stage<'_> {
    /// Columns inside a frame that wants to be so wide.
    pub(crate) fn inside(&self, columns: u16) -> usize {
        usize::from(columns.min(self.size.0).saturating_sub(2))
    }
}

/// The frame of a dialog. On a screen that is smaller, it is as large as the screen.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Frame {
    /// Title, with a blank at both ends.
    pub(crate) title: &'static str,
    /// Columns, with those of the border.
    pub(crate) columns: u16,
    /// Lines, with those of the border.
    pub(crate) lines: u16,
}

impl Frame {
    /// A frame of a width around some lines.
    pub(crate) fn around(title: &'static str, columns: u16, inside: usize) -> Self {
        Self { title, columns, lines: u16::try_from(inside + 2).unwrap_or(u16::MAX) }
    }

    /// A frame in the place of all panes: strips of what lies below would only disturb.
    pub(crate) fn whole(title: &'static str, stage: &Stage<'_>) -> Self {
        let (width, height) = stage.size;
        Self { title, columns: width, lines: height }
    }
}
