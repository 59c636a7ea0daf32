//! A document for people, as data: titles, paragraphs, tables, cards of events. Each form writes all of it, and escapes all
//! of it: nothing in a text is a mark of Markdown or HTML, and what hides stands as a visible escape.

mod html;
mod markdown;

use std::io::{self, Write};

/// Form of a document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// GitHub's Markdown.
    Markdown,
    /// One file of HTML with its styles: no script, nothing from elsewhere.
    Html,
}

impl Form {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::Markdown, Self::Html];

    /// Its name on the command line, which is also how such files end.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Markdown => "md",
            Self::Html => "html",
        }
    }
}

/// What is known of something, as a colour says it beside the words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tone {
    /// Nothing in particular.
    Plain,
    /// Checked, and as it should be.
    Good,
    /// Not checked, or cannot be.
    Unknown,
    /// Found to be otherwise.
    Bad,
}

/// A line of what an event changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Changed {
    /// `+`, `-`, `~`, or another mark of a difference.
    pub mark: char,
    /// The rest of the line.
    pub text: String,
}

/// A note on an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remark {
    /// Who, when, and what kind of remark.
    pub head: String,
    /// What it says; may have several lines.
    pub text: String,
}

/// A part of a document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Block {
    /// A title of the second level.
    Section(String),
    /// A paragraph.
    Paragraph(String),
    /// A list.
    List(Vec<String>),
    /// Names and values.
    Facts(Vec<(String, String)>),
    /// A table with its head.
    Table(Vec<String>, Vec<Vec<String>>),
    /// An event.
    Card(Box<Card>),
    /// Rows of a form to be filled in by hand: what stands before the empty fields.
    Form(Vec<String>, Vec<String>),
}

/// An event with all that is said about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Card {
    /// Its time and type.
    pub title: String,
    /// Its fields.
    pub facts: Vec<(String, String)>,
    /// What is known of its integrity, and from what.
    pub integrity: (Tone, Vec<String>),
    /// What it changed.
    pub changes: Vec<Changed>,
    /// What analysts say of it.
    pub remarks: Vec<Remark>,
}

/// A document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Document {
    /// Its title.
    pub title: String,
    /// Its parts.
    pub blocks: Vec<Block>,
}

/// Writes a document in a form.
///
/// # Errors
/// When `out` cannot be written.
pub fn write(out: &mut impl Write, document: &Document, form: Form) -> io::Result<()> {
    match form {
        Form::Markdown => markdown::write(out, document),
        Form::Html => html::write(out, document),
    }
}

#[cfg(test)]
mod tests;
