//! Dialogs: what lies on top of the panes. One `impl` says of each which keys it takes, its frame and its drawing; what its
//! keys do stands in the `update` of its feature.

pub(crate) mod copy_menu;
pub(crate) mod copy_text;
pub(crate) mod help;
pub(crate) mod organizations;
pub(crate) mod palette;
pub(crate) mod questions;
pub(crate) mod ranking;
pub(crate) mod shell_words;

use crate::console::case::prompts::{Noting, Tagging};
use crate::console::change::time_prompt::TimePrompt;
use crate::console::core::keymap::{Context, Keymap};
use crate::console::dialogs::help::Help;
use crate::console::dialogs::organizations::Organizations;
use crate::console::dialogs::palette::Palette;
use crate::console::event::tree_prompt::TreePrompt;
use crate::console::export::dialog::{ExportMenu, FileName};
use crate::console::filter_bar::saved_dialogs::{Naming, SavedFilters};
use crate::console::filter_bar::search_prompt::SearchPrompt;
use crate::console::filter_bar::value_picker::Choices;
use crate::console::integrity::accept_dialog::Accepting;
use crate::console::lineage::dialog::LineageDialog;
use crate::console::report::dialog::Sheet;
use crate::console::timeline::column_choice::ColumnDialog;
use crate::console::widgets::painter::Painter;
use crate::console::widgets::text_input::Editor;
use crate::console::widgets::time_zone::Zone;
use crate::domain::Timestamp;

/// A dialog. Only one is open at a time.
#[derive(Debug)]
pub(crate) enum Overlay {
    /// What marks mean, and the keys.
    Help(Box<Help>),
    /// The organisations.
    Organizations,
    /// A search within the view.
    Search(Box<SearchPrompt>),
    /// A value of the selected event.
    Choices(Box<Choices>),
    /// The name of a filter to save.
    Naming(Box<Naming>),
    /// The saved filters.
    Saved(Box<SavedFilters>),
    /// The columns of the timeline.
    Columns(Box<ColumnDialog>),
    /// The palette.
    Palette(Box<Palette>),
    /// The texts that can be copied.
    Copy,
    /// The reason for accepting a finding.
    Accept(Box<Accepting>),
    /// What is to be exported.
    Export(Box<ExportMenu>),
    /// The name of the file of an export.
    File(Box<FileName>),
    /// A note on an event.
    Note(Box<Noting>),
    /// The tags of an event.
    Tags(Box<Tagging>),
    /// A report about the view.
    Sheet(Box<Sheet>),
    /// What somebody created, and what that did next.
    Lineage(Box<LineageDialog>),
    /// A search within a tree.
    Seek(Box<TreePrompt>),
    /// A time to go to.
    Time(Box<TimePrompt>),
    /// The scope of a search for ghost changes.
    Ghosts,
    /// The depth of a tree.
    Levels,
    /// Leave?
    Quit,
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
    /// They are being listed.
    pub(crate) listing: bool,
}

/// A place on the screen: columns and lines from the left upper corner of a dialog.
type Cursor = (usize, usize);

impl Overlay {
    /// Keys that the dialog takes.
    pub(crate) fn context(&self) -> Context {
        match self {
            Self::Help(help) if help.typing => Context::Editor,
            Self::Help(_) | Self::Sheet(_) | Self::Lineage(_) => Context::Pane,
            Self::Organizations | Self::Export(_) => Context::Chooser,
            Self::Choices(_) => Context::Values,
            Self::Saved(_) => Context::Saved,
            Self::Columns(_) => Context::Columns,
            Self::Ghosts => Context::Scope,
            Self::Levels => Context::Levels,
            Self::Copy => Context::Copy,
            Self::Quit => Context::Confirm,
            Self::Search(_)
            | Self::Naming(_)
            | Self::Palette(_)
            | Self::Accept(_)
            | Self::File(_)
            | Self::Note(_)
            | Self::Tags(_)
            | Self::Seek(_)
            | Self::Time(_) => Context::Editor,
        }
    }

    /// The line that is typed in the dialog.
    pub(crate) fn editor_mut(&mut self) -> Option<&mut Editor> {
        match self {
            Self::Palette(palette) => Some(&mut palette.prompt.editor),
            Self::Help(help) => help.typing.then_some(&mut help.prompt.editor),
            Self::Accept(asked) => Some(&mut asked.prompt.editor),
            Self::File(line) => Some(&mut line.prompt.editor),
            Self::Note(line) => Some(&mut line.prompt.editor),
            Self::Tags(line) => Some(&mut line.prompt.editor),
            Self::Search(line) => Some(&mut line.prompt.editor),
            Self::Naming(asked) => Some(&mut asked.prompt.editor),
            Self::Seek(line) => Some(&mut line.prompt.editor),
            Self::Time(line) => Some(&mut line.prompt.editor),
            _ => None,
        }
    }

    /// Title, and columns and lines of the frame.
    pub(crate) fn frame(&self, stage: &Stage<'_>) -> (&'static str, u16, u16) {
        let around = |lines: usize| u16::try_from(lines + 2).unwrap_or(u16::MAX);
        let inside = |width: u16| usize::from(width.min(stage.size.0).saturating_sub(2));
        match self {
            Self::Help(help) => {
                let (width, height) = help.frame(stage.keymap, stage.size);
                (" Help ", width, height)
            }
            Self::Organizations => (" Organisations ", 76, around(stage.organizations.height())),
            Self::Search(line) => (" Search in this view ", 70, around(line.prompt.height(inside(70)))),
            Self::Choices(choices) => (choices.title(), 76, around(choices.height())),
            Self::Naming(asked) => (" Save this filter ", 76, around(asked.height(inside(76)))),
            Self::Saved(chooser) => (" Saved filters ", 100, around(chooser.height())),
            Self::Columns(dialog) => (" Columns ", 70, around(dialog.height())),
            Self::Palette(_) => (" Actions ", 90, 20),
            Self::Copy => (" Copy ", 60, around(copy_menu::height())),
            Self::Export(menu) => (" Export ", 76, around(menu.height())),
            Self::File(line) => (" Export ", 90, around(line.height(inside(90)))),
            Self::Note(line) => (" Note ", 90, around(line.height(inside(90)))),
            Self::Tags(line) => (" Tags ", 76, around(line.height(inside(76)))),
            Self::Accept(asked) => (" Accept ", 76, around(asked.height(inside(76)))),
            Self::Sheet(sheet) => {
                let (width, height) = stage.size;
                (sheet.subject.title(), width.saturating_sub(4), height.saturating_sub(2))
            }
            Self::Lineage(_) => {
                let (width, height) = stage.size;
                (" Lineage ", width.saturating_sub(4), height.saturating_sub(2))
            }
            Self::Seek(line) => (line.title(), 90, around(line.height())),
            Self::Time(line) => (" Go to a time ", 76, around(line.prompt.height(inside(76)))),
            Self::Ghosts => (" Ghost changes ", 76, around(questions::SCOPE_HEIGHT)),
            Self::Levels => (" Depth ", 50, around(1)),
            Self::Quit => (" Leave? ", 40, around(1)),
        }
    }

    /// Draws the inside; returns the place of the cursor.
    pub(crate) fn draw(&self, painter: &mut Painter<'_>, stage: &Stage<'_>) -> Option<Cursor> {
        match self {
            Self::Help(help) => return help.paint(painter, stage.keymap),
            Self::Organizations => stage.organizations.paint(painter, stage.zone, stage.listing),
            Self::Search(line) => return Some(line.prompt.paint(painter, 0)),
            Self::Choices(choices) => choices.paint(painter, stage.keymap),
            Self::Naming(asked) => return Some(asked.paint(painter)),
            Self::Saved(chooser) => chooser.paint(painter, stage.keymap),
            Self::Columns(dialog) => dialog.paint(painter, stage.keymap),
            Self::Palette(palette) => return Some(palette.paint(painter, stage.keymap)),
            Self::Copy => copy_menu::paint(painter, stage.keymap),
            Self::Accept(asked) => return Some(asked.paint(painter)),
            Self::Export(menu) => menu.paint(painter, stage.keymap),
            Self::File(line) => return Some(line.paint(painter)),
            Self::Note(line) => return Some(line.paint(painter)),
            Self::Tags(line) => return Some(line.paint(painter)),
            Self::Sheet(sheet) => sheet.paint(painter, stage.now),
            Self::Lineage(dialog) => dialog.paint(painter),
            Self::Seek(line) => return Some(line.paint(painter)),
            Self::Time(line) => return Some(line.prompt.paint(painter, 0)),
            Self::Ghosts => questions::scope(painter, stage.keymap),
            Self::Levels => questions::levels(painter, stage.keymap),
            Self::Quit => questions::quit(painter, stage.keymap),
        }
        None
    }
}
