//! A file of events: any number of them in one format, written part by part.

#[cfg(feature = "parquet")]
use super::parquet;
use super::record::{Record, STATE_COLUMNS, Value};
use super::{csv, ecs, json, markdown, ocsf, timesketch};
use crate::domain::{Joiners, escape_json};
use serde::ser::{Serialize, SerializeMap as _, Serializer};
use std::io::{self, Write};

/// Format of a file of events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileFormat {
    /// An event a line, its keys are the columns: lossless.
    Ndjson,
    /// RFC 4180, for spreadsheets.
    Csv,
    /// One document.
    Json,
    /// A table.
    Markdown,
    /// Open Cybersecurity Schema Framework, an event a line.
    Ocsf,
    /// Elastic Common Schema, an event a line.
    Ecs,
    /// Timesketch, an event a line.
    Timesketch,
    /// Apache Parquet: columns, for programs only.
    #[cfg(feature = "parquet")]
    Parquet,
}

impl FileFormat {
    /// All of them.
    pub const ALL: &[Self] = &[
        Self::Ndjson,
        Self::Csv,
        Self::Json,
        Self::Markdown,
        Self::Ocsf,
        Self::Ecs,
        Self::Timesketch,
        #[cfg(feature = "parquet")]
        Self::Parquet,
    ];

    /// Its name on the command line and in a manifest.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ndjson => "ndjson",
            Self::Csv => "csv",
            Self::Json => "json",
            Self::Markdown => "markdown",
            Self::Ocsf => "ocsf",
            Self::Ecs => "ecs",
            Self::Timesketch => "timesketch",
            #[cfg(feature = "parquet")]
            Self::Parquet => "parquet",
        }
    }

    /// Whether the two states are columns of their own, with their text, so that the file can be read back.
    pub const fn holds_all(self) -> bool {
        matches!(self, Self::Ndjson | Self::Csv | Self::Json)
    }

    /// Whether it has a line for each event, so that another line can stand before them.
    pub const fn is_lines(self) -> bool {
        matches!(self, Self::Ndjson | Self::Ocsf | Self::Ecs | Self::Timesketch)
    }

    /// Whether it is text, which may be shown on a terminal.
    pub const fn is_text(self) -> bool {
        #[cfg(feature = "parquet")]
        if matches!(self, Self::Parquet) {
            return false;
        }
        true
    }
}

/// What is known of the content of one event, and from what.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub struct Mark<'a> {
    /// `verified`, `mismatch` and so on.
    pub content: &'static str,
    /// The scheme by which the row's own hash was computed again. Links are not part of it.
    pub scheme: &'a str,
}

/// How the events of a file are written.
#[derive(Debug, Clone, Copy, Default)]
pub struct Style {
    /// States as JSON texts instead of JSON, for readers that would make a type of them.
    pub states_as_text: bool,
    /// CSV without the mark that keeps spreadsheets from evaluating cells.
    pub csv_raw: bool,
    /// Each event has a [`Mark`].
    pub marks: bool,
}

/// A file that is being written.
pub struct EventFile<W> {
    out: W,
    format: FileFormat,
    style: Style,
    joiners: Joiners,
    events: u64,
    #[cfg(feature = "parquet")]
    table: Option<parquet::Table>,
}

/// An event as one of the lines.
struct Line<'a> {
    record: Record<'a>,
    states_as_text: bool,
    mark: Option<Mark<'a>>,
}

impl Serialize for Line<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        json::columns(&mut map, self.record, self.states_as_text)?;
        if let Some(mark) = &self.mark {
            map.serialize_entry("integrity", mark)?;
        }
        map.end()
    }
}

impl<W: Write> EventFile<W> {
    /// Writes what stands before the first event. `first`: a line before all others, in formats of one event a line.
    ///
    /// # Errors
    /// When `out` cannot be written.
    pub fn new(
        mut out: W,
        format: FileFormat,
        style: Style,
        joiners: Joiners,
        organization_id: &str,
        first: Option<&impl Serialize>,
    ) -> io::Result<Self> {
        if let Some(first) = first {
            json::write_line(&mut out, first)?;
        }
        match format {
            FileFormat::Csv => {
                let marks: &[&str] =
                    if style.marks { &["integrity_content", "integrity_scheme"] } else { &[] };
                csv::write_header(&mut out, &[&csv::columns(true), marks].concat())?;
            }
            FileFormat::Json => {
                let organization = json::text(&organization_id)?;
                let version = json::SCHEMA_VERSION;
                write!(
                    out,
                    "{{\"schema_version\":{version},\"organization_id\":{organization},\"events\":["
                )?;
            }
            FileFormat::Markdown => markdown::write_header(&mut out, style.marks)?,
            FileFormat::Ndjson | FileFormat::Ocsf | FileFormat::Ecs | FileFormat::Timesketch => {}
            #[cfg(feature = "parquet")]
            FileFormat::Parquet => {}
        }
        Ok(Self {
            out,
            format,
            style,
            joiners,
            events: 0,
            #[cfg(feature = "parquet")]
            table: (format == FileFormat::Parquet).then(|| parquet::Table::new(style.marks)).transpose()?,
        })
    }

    /// Writes an event with its states.
    ///
    /// # Errors
    /// When it cannot be written, or a state is no JSON.
    pub fn write(&mut self, record: Record<'_>, mark: Option<Mark<'_>>) -> io::Result<()> {
        let (out, joiners) = (&mut self.out, self.joiners);
        let line = Line { record, states_as_text: self.style.states_as_text, mark };
        match self.format {
            FileFormat::Ndjson => json::write(out, &line, joiners)?,
            FileFormat::Json => {
                let line = serde_json::to_string(&line)?;
                let text = escape_json(&line, joiners);
                write!(out, "{}{text}", if self.events == 0 { "" } else { "," })?;
            }
            FileFormat::Csv => {
                let guard = if self.style.csv_raw { csv::Guard::Off } else { csv::Guard::On };
                csv::write_event(out, record, mark, joiners, guard)?;
            }
            FileFormat::Markdown => markdown::write_event(out, record, mark)?,
            FileFormat::Ocsf => json::write(out, &ocsf::Event::new(record, mark), joiners)?,
            FileFormat::Ecs => json::write(out, &ecs::Event::new(record, mark), joiners)?,
            FileFormat::Timesketch => json::write(out, &timesketch::Event::new(record, mark), joiners)?,
            #[cfg(feature = "parquet")]
            FileFormat::Parquet => match &mut self.table {
                Some(table) => table.write(out, record, mark)?,
                None => return Err(io::Error::other("the file has no table")),
            },
        }
        self.events += 1;
        Ok(())
    }

    /// Writes what stands behind the last event; the file has been handed to the system then.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn finish(mut self) -> io::Result<W> {
        if self.format == FileFormat::Json {
            writeln!(self.out, "],\"count\":{}}}", self.events)?;
        }
        #[cfg(feature = "parquet")]
        if let Some(table) = self.table.take() {
            table.finish(&mut self.out)?;
        }
        self.out.flush()?;
        Ok(self.out)
    }
}

/// What the states of an event are to a format with names of its own: there, or `None`.
pub(super) fn states(record: Record<'_>) -> [Option<&str>; 2] {
    let mut states = [None; 2];
    for (name, value) in record.values() {
        if let (Some(at), Value::Json(json)) = (STATE_COLUMNS.iter().position(|s| *s == name), value)
            && let Some(state) = states.get_mut(at)
        {
            *state = Some(json.as_str());
        }
    }
    states
}
