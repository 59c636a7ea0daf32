//! What is to be exported, in which form, and where to: a list to choose from, then the name of the file.

use crate::console::core::keymap::{Action, Context};
use crate::console::dialogs::{Cursor, Dialog, Frame, Stage};
use crate::console::widgets::painter::Painter;
use crate::console::widgets::picker::Picker;
use crate::console::widgets::prompt::Prompt;
use crate::console::widgets::text_input::Editor;
use crate::console::widgets::theme::Role;
use crate::domain::{OrgId, Safe, Timestamp};
use crate::export::FileFormat;
use crate::export::document::Form;

/// What is exported, and in which form.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum What {
    /// All events of the view.
    View(FileFormat),
    /// The marked events.
    Marked(FileFormat),
    /// The events of the case.
    Case(FileFormat),
    /// The report of the case.
    Report(Form),
    /// A bundle that proves events without the database.
    Evidence(Of),
}

/// Which events a bundle proves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Of {
    /// All events of the view.
    View,
    /// The marked events.
    Marked,
    /// The events of the case.
    Case,
}

impl What {
    /// What there is to choose from.
    fn all(has_marked: bool, has_case: bool) -> Vec<Self> {
        const LOSSLESS: [FileFormat; 2] = [FileFormat::Ndjson, FileFormat::Csv];
        let marked = LOSSLESS.map(Self::Marked).into_iter().filter(|_| has_marked);
        let of_case = Form::ALL.map(Self::Report).into_iter().rev().chain(LOSSLESS.map(Self::Case));
        let evidence = [(Of::Marked, has_marked), (Of::View, true), (Of::Case, has_case)];
        let evidence = evidence.into_iter().filter(|(_, has)| *has).map(|(of, _)| Self::Evidence(of));
        // What only programs read comes last.
        let views =
            |text: bool| FileFormat::ALL.iter().copied().filter(move |format| format.is_text() == text);
        marked
            .chain(views(true).map(Self::View))
            .chain(of_case.filter(|_| has_case))
            .chain(evidence)
            .chain(views(false).map(Self::View))
            .collect()
    }

    fn subject(self) -> &'static str {
        match self {
            Self::View(_) | Self::Evidence(Of::View) => "this view",
            Self::Marked(_) | Self::Evidence(Of::Marked) => "marked events",
            Self::Case(_) | Self::Evidence(Of::Case) => "case: its events",
            Self::Report(_) => "case: report",
        }
    }

    fn form(self) -> &'static str {
        match self {
            Self::View(format) | Self::Marked(format) | Self::Case(format) => match format {
                FileFormat::Ndjson => "NDJSON: an event a line, lossless",
                FileFormat::Csv => "CSV: for spreadsheets, formulas made inert",
                FileFormat::Json => "JSON: one document",
                FileFormat::Markdown => "Markdown: a table, without states",
                FileFormat::Ocsf => "OCSF: Open Cybersecurity Schema Framework",
                FileFormat::Ecs => "ECS: Elastic Common Schema",
                FileFormat::Timesketch => "Timesketch: JSONL",
                #[cfg(feature = "parquet")]
                FileFormat::Parquet => "Parquet: columns, for DuckDB, pandas, Spark",
            },
            Self::Report(Form::Html) => "HTML: one file that prints, with a custody form",
            Self::Report(Form::Markdown) => "Markdown",
            Self::Evidence(_) => "evidence bundle: proven without the database",
        }
    }

    fn ending(self) -> &'static str {
        match self {
            Self::View(format) | Self::Marked(format) | Self::Case(format) => match format {
                FileFormat::Ndjson => "ndjson",
                FileFormat::Csv => "csv",
                FileFormat::Json => "json",
                FileFormat::Markdown => "md",
                FileFormat::Ocsf => "ocsf.ndjson",
                FileFormat::Ecs => "ecs.ndjson",
                FileFormat::Timesketch => "timesketch.jsonl",
                #[cfg(feature = "parquet")]
                FileFormat::Parquet => "parquet",
            },
            Self::Report(form) => form.name(),
            Self::Evidence(_) => "evidence",
        }
    }

    /// `acme-case-20260115-0958Z.html`
    fn name(self, organization: &OrgId, now: Timestamp) -> String {
        let plain = |c: char| if c.is_ascii_alphanumeric() || "-_".contains(c) { c } else { '_' };
        let organization: String = organization.as_str().chars().take(30).map(plain).collect();
        let of = match self {
            Self::View(_) | Self::Evidence(Of::View) => "",
            Self::Marked(_) | Self::Evidence(Of::Marked) => "marked-",
            Self::Case(_) | Self::Evidence(Of::Case) => "case-events-",
            Self::Report(_) => "case-",
        };
        let time = now.to_utc().map_or_else(String::new, |t| t.format("%Y%m%d-%H%MZ").to_string());
        // What begins with a hyphen is an option to other programs.
        format!("{}-{of}{time}.{}", organization.trim_start_matches('-'), self.ending())
    }
}

/// The chooser.
#[derive(Debug)]
pub(crate) struct ExportMenu {
    list: Vec<What>,
    picker: Picker,
    /// The content of each event is verified, and the result written beside it.
    marks: bool,
}

impl ExportMenu {
    /// A chooser among what there is.
    pub(crate) fn new(has_marked: bool, has_case: bool) -> Self {
        Self { list: What::all(has_marked, has_case), picker: Picker::default(), marks: false }
    }

    /// The chosen one, and whether its events are marked. A report says what it verified in any case.
    pub(crate) fn selected(&self) -> Option<(What, bool)> {
        let what = self.list.get(self.picker.selected(self.list.len())).copied()?;
        Some((what, self.marks && !matches!(what, What::Report(_))))
    }

    /// Verifies each event, or does not.
    pub(crate) fn toggle_marks(&mut self) {
        self.marks = !self.marks;
    }

    /// Moves the selection.
    pub(crate) fn step(&mut self, by: isize) {
        self.picker.step(by, self.list.len());
    }

    /// Lines of the box's inside.
    fn height(&self) -> usize {
        self.list.len() + 2
    }
}

impl Dialog for ExportMenu {
    fn context(&self) -> Context {
        Context::Export
    }

    fn frame(&self, _stage: &Stage<'_>) -> Frame {
        Frame::around(" Export ", 76, self.height())
    }

    fn draw(&self, painter: &mut Painter<'_>, stage: &Stage<'_>) -> Option<Cursor> {
        let keymap = stage.keymap;
        let last = painter.height().saturating_sub(1);
        let text = format!(
            "{} asks for the name of the file · {} leaves",
            keymap.key(Action::Open),
            keymap.key(Action::Cancel)
        );
        painter.put(1, last, &Safe::from_untrusted(&text), Role::Muted);
        let (sign, role) = if self.marks { ("[x]", Role::Label) } else { ("[ ]", Role::Muted) };
        let text = format!("{} {sign} {}", keymap.key(Action::ExportMarks), Action::ExportMarks.doc());
        painter.put(1, last.saturating_sub(1), &Safe::from_untrusted(&text), role);
        let mut painter = painter.above(2);
        self.picker.paint(&mut painter, 0, self.list.len(), |painter, y, index| {
            let Some(what) = self.list.get(index) else { return };
            painter.say(3, y, what.subject(), Role::Label);
            painter.say(21, y, what.form(), Role::Text);
        });
        None
    }
}

/// The name of the file while it is typed.
#[derive(Debug)]
pub(crate) struct FileName {
    /// What is exported.
    pub(crate) what: What,
    /// Each event is verified.
    pub(crate) marks: bool,
    /// The path.
    pub(crate) prompt: Prompt,
    /// A file at this path was there: it is replaced if the path is submitted again.
    there: Option<String>,
}

impl FileName {
    /// A line with a name that says what the file holds.
    pub(crate) fn new((what, marks): (What, bool), organization: &OrgId, now: Timestamp) -> Self {
        let hint = match what {
            What::Report(_) | What::Evidence(_) => "relative to the folder where the console was started",
            _ => "relative to where the console was started; a manifest beside it",
        };
        let mut prompt = Prompt::new("file ", hint);
        prompt.editor.set(&what.name(organization, now));
        Self { what, marks, prompt, there: None }
    }

    /// The line again, because there is a file of that name already.
    pub(crate) fn again((what, marks): (What, bool), path: &str) -> Self {
        let mut prompt = Prompt::new("file ", "");
        prompt.editor.set(path);
        prompt.refuse(Safe::composed(&format!(
            "'{path}' is there already: submit again to replace it, or type another name"
        )));
        Self { what, marks, prompt, there: Some(path.to_owned()) }
    }

    /// The path, and whether a file that is there is to be replaced; `None` where none was typed.
    pub(crate) fn answered(&mut self) -> Option<(String, bool)> {
        let path = self.prompt.text().to_owned();
        if path.is_empty() || path.ends_with('/') {
            self.prompt.refuse(Safe::literal("type the name of a file"));
            return None;
        }
        let replace = self.there.as_deref() == Some(&path);
        Some((path, replace))
    }

    /// Lines of the box's inside at a width.
    fn height(&self, width: usize) -> usize {
        1 + self.prompt.height(width)
    }
}

impl Dialog for FileName {
    fn context(&self) -> Context {
        Context::Editor
    }

    fn editor_mut(&mut self) -> Option<&mut Editor> {
        Some(&mut self.prompt.editor)
    }

    fn frame(&self, stage: &Stage<'_>) -> Frame {
        Frame::around(" Export ", 90, self.height(stage.inside(90)))
    }

    fn draw(&self, painter: &mut Painter<'_>, _stage: &Stage<'_>) -> Option<Cursor> {
        let marked = if self.marks { " · content of each event verified" } else { "" };
        let text = format!("{} · {}{marked}", self.what.subject(), self.what.form());
        painter.put(
            1,
            0,
            &Safe::from_untrusted(&text).cut_end(painter.width().saturating_sub(2)),
            Role::Notice,
        );
        Some(self.prompt.paint(painter, 1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_plain_and_say_what_they_hold() {
        let at = Timestamp::parse("2026-01-15T09:58:00Z").unwrap();
        let name = |id: &str, what: What| what.name(&OrgId::new(id).unwrap(), at);
        assert_eq!(name("acme", What::View(FileFormat::Ocsf)), "acme-20260115-0958Z.ocsf.ndjson");
        assert_eq!(name("acme", What::Evidence(Of::Marked)), "acme-marked-20260115-0958Z.evidence");
        assert_eq!(name("-a/../b\u{1b}", What::Report(Form::Html)), "a____b_-case-20260115-0958Z.html");
    }

    #[test]
    fn a_file_that_is_there_is_replaced_only_when_its_name_is_submitted_again() {
        let mut line = FileName::again((What::View(FileFormat::Csv), false), "a.csv");
        assert_eq!(line.answered(), Some(("a.csv".to_owned(), true)));
        line.prompt.editor.set("b.csv");
        assert_eq!(line.answered(), Some(("b.csv".to_owned(), false)));
        line.prompt.editor.set(" ");
        assert_eq!(line.answered(), None);
    }
}
