//! Events as lines, written as soon as they have been found.

use super::{Context, Format, Out};
use crate::error::Result;
use crate::export::{Record, csv, json, table};
use crate::store::listing::cursor::Order;
use std::io::Write as _;

/// Writes events part by part, in the form and order asked for. A JSON document is one piece, and nothing here.
pub(super) struct Lines {
    out: Out,
    format: Format,
    order: Order,
    /// Of CSV.
    columns: Vec<&'static str>,
    table: table::List,
    begun: bool,
}

impl Lines {
    /// Nothing written yet; `states`: the events have theirs.
    pub(super) fn new(context: &Context, order: Order, states: bool) -> Self {
        Self {
            out: context.out,
            format: context.global.format.unwrap_or(Format::Table),
            order,
            columns: csv::columns(states),
            table: table::List::default(),
            begun: false,
        }
    }

    /// Writes a part of the events, which is newest first, behind the parts before.
    ///
    /// # Errors
    /// When nobody reads them any more.
    pub(super) fn write<T>(&mut self, part: &[T], record: fn(&T) -> Record<'_>) -> Result<()> {
        if part.is_empty() {
            return Ok(());
        }
        let mut records: Vec<Record<'_>> = part.iter().map(record).collect();
        if self.order == Order::Asc {
            records.reverse();
        }
        let (mut results, joiners) = (self.out.results(), self.out.joiners());
        match self.format {
            Format::Table | Format::Patch(_) | Format::File(_) | Format::Document(_) => {
                self.table.write(&mut results, records.into_iter().map(Record::row), self.out.style())?;
            }
            Format::Json => {}
            Format::Ndjson => {
                records.iter().try_for_each(|record| json::write_event(&mut results, *record, joiners))?;
            }
            Format::Csv if self.begun => csv::write_more(&mut results, records, joiners)?,
            Format::Csv => csv::write(&mut results, &self.columns, records, joiners)?,
        }
        self.begun = true;
        Ok(results.flush()?)
    }

    /// No more parts: of CSV, the header is there also without events.
    ///
    /// # Errors
    /// As [`Self::write`].
    pub(super) fn finish(self) -> Result<()> {
        if self.format == Format::Csv && !self.begun {
            csv::write(&mut self.out.results(), &self.columns, [], self.out.joiners())?;
        }
        Ok(())
    }
}
