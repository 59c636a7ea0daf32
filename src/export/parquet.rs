//! Apache Parquet (<https://parquet.apache.org/docs/file-format/>): texts as they are stored, states as texts that hold
//! JSON, times as microseconds of UTC.
//!
//! Only programs read it, so nothing is escaped. The infinities and years that Parquet's readers have no type for are
//! NULL in `timestamp`: a reader would take the numbers that stand for them for instants.

use super::file::Mark;
use super::record::{Record, Value};
use crate::domain::COLUMNS;
use ::parquet::basic::Compression;
use ::parquet::data_type::{ByteArray, ByteArrayType, Int64Type};
use ::parquet::errors::ParquetError;
use ::parquet::file::properties::WriterProperties;
use ::parquet::file::writer::SerializedFileWriter;
use ::parquet::schema::parser::parse_message_type;
use std::io::{self, Write};
use std::sync::Arc;

/// Events of a row group, at most.
const GROUP: usize = 20_000;
/// Bytes of values of a row group, at most but for the last event.
const GROUP_BYTES: usize = 8 << 20;
/// The columns of a mark.
const MARKS: [&str; 2] = ["integrity_content", "integrity_scheme"];

/// Values of a column, without its NULLs, and for each event whether there is one: 1, or 0.
#[derive(Default)]
struct Column<T> {
    values: Vec<T>,
    levels: Vec<i16>,
}

impl<T> Column<T> {
    fn push(&mut self, value: Option<T>) {
        self.levels.push(i16::from(value.is_some()));
        self.values.extend(value);
    }

    fn clear(&mut self) {
        self.values.clear();
        self.levels.clear();
    }
}

/// A file under way: whole row groups have been written, the events of the next one are held.
pub(super) struct Table {
    /// Writes into memory, from where each row group is taken.
    writer: SerializedFileWriter<Vec<u8>>,
    texts: Vec<Column<ByteArray>>,
    times: Column<i64>,
    events: usize,
    bytes: usize,
}

fn failed(error: ParquetError) -> io::Error {
    io::Error::other(error)
}

impl Table {
    /// A file without events yet.
    pub(super) fn new(marks: bool) -> io::Result<Self> {
        let marks: &[&str] = if marks { &MARKS } else { &[] };
        let names = || COLUMNS.iter().chain(marks);
        let column = |name: &&str| match *name {
            "timestamp" => "optional int64 timestamp (TIMESTAMP(MICROS,true));".to_owned(),
            name => format!("optional binary {name} (STRING);"),
        };
        let schema = format!("message events {{ {} }}", names().map(column).collect::<String>());
        let schema = parse_message_type(&schema).map_err(failed)?;
        let properties = WriterProperties::builder()
            .set_created_by(concat!(env!("CARGO_PKG_NAME"), " ", env!("CARGO_PKG_VERSION")).to_owned())
            .set_compression(Compression::SNAPPY)
            .build();
        let writer =
            SerializedFileWriter::new(Vec::new(), Arc::new(schema), Arc::new(properties)).map_err(failed)?;
        let texts = names().filter(|name| **name != "timestamp").map(|_| Column::default()).collect();
        Ok(Self { writer, texts, times: Column::default(), events: 0, bytes: 0 })
    }

    /// Takes an event; writes a row group when it is full.
    pub(super) fn write(
        &mut self,
        out: &mut impl Write,
        record: Record<'_>,
        mark: Option<Mark<'_>>,
    ) -> io::Result<()> {
        let mark = mark.map(|mark| [mark.content, mark.scheme]);
        let marks = mark.iter().flatten().map(|text| Some(ByteArray::from(*text)));
        let texts = record.values().filter(|(name, _)| *name != "timestamp").map(|(_, value)| match value {
            Value::Null => None,
            Value::Text(text) => Some(ByteArray::from(text.as_ref())),
            Value::Json(json) => Some(ByteArray::from(json.as_str())),
        });
        for (column, value) in self.texts.iter_mut().zip(texts.chain(marks)) {
            self.bytes += value.as_ref().map_or(0, ByteArray::len);
            column.push(value);
        }
        let time = record.row().timestamp;
        self.times.push(time.to_utc().map(|_| time.as_micros()));
        self.events += 1;
        if self.events >= GROUP || self.bytes >= GROUP_BYTES { self.end_group(out) } else { Ok(()) }
    }

    /// Writes what stands behind the last event.
    pub(super) fn finish(mut self, out: &mut impl Write) -> io::Result<()> {
        if self.events > 0 {
            self.end_group(out)?;
        }
        out.write_all(&self.writer.into_inner().map_err(failed)?)
    }

    fn end_group(&mut self, out: &mut impl Write) -> io::Result<()> {
        let mut group = self.writer.next_row_group().map_err(failed)?;
        let mut texts = self.texts.iter();
        for name in COLUMNS.iter().chain(&MARKS) {
            let Some(mut column) = group.next_column().map_err(failed)? else { break };
            let written = match *name {
                "timestamp" => column.typed::<Int64Type>().write_batch(
                    &self.times.values,
                    Some(&self.times.levels),
                    None,
                ),
                _ => match texts.next() {
                    Some(Column { values, levels }) => {
                        column.typed::<ByteArrayType>().write_batch(values, Some(levels), None)
                    }
                    None => Ok(0),
                },
            };
            written.map_err(failed)?;
            column.close().map_err(failed)?;
        }
        group.close().map_err(failed)?;
        self.texts.iter_mut().for_each(Column::clear);
        self.times.clear();
        (self.events, self.bytes) = (0, 0);
        // What it still holds back comes with the next group, or the end.
        out.write_all(&std::mem::take(self.writer.inner_mut()))
    }
}
