//! A byte stream as records: one a line or over many, or the elements of a JSON document (`{"Records":[…]}` or `[…]`),
//! also several documents one behind the other. Memory is bounded by the longest record that is let through.

use super::opening::{FirstObject, Opening, first_object, opening};
use super::record::malformed;
use super::rejects::Original;
use super::{Place, Reject};
use std::io::{self, Read};

/// Longest record, in bytes. PostgreSQL's own limit for a `jsonb` is 256 MB; no audit log comes near.
pub(crate) const MAX_RECORD: usize = 64 << 20;

/// How much of a record that is too long is kept to recognise it by.
const SAMPLE: usize = 1024;

/// Bytes asked for at a time.
const CHUNK: usize = 256 << 10;

/// How far to look for the beginning of a document: its first key may stand behind line breaks and blanks.
const OPENING: usize = 4096;

/// A record, or what is left of one.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Record {
    pub(crate) place: Place,
    /// Byte of the line at which it begins, from 1.
    pub(crate) column: u64,
    pub(crate) text: Result<String, (Reject, Original)>,
    /// Why the object that begins here is no JSON, where that shows on a later line: the lines are records of their own.
    pub(crate) broken: Option<Reject>,
}

/// Where a record begins.
#[derive(Clone, Copy)]
struct Start {
    place: Place,
    column: u64,
}

/// Iterates over the records of a stream.
pub(crate) struct Splitter<R> {
    input: R,
    limit: usize,
    /// `start..filled` is read and not consumed; what follows is room.
    buffer: Vec<u8>,
    start: usize,
    filled: usize,
    end: End,
    /// Line and column of the first unconsumed byte, from 1.
    line: u64,
    column: u64,
    state: State,
    /// Bytes of the stream that are consumed.
    consumed: u64,
    /// Documents that hold no element.
    empty: u64,
}

enum End {
    NotYet,
    /// No more bytes; the reason, if it is an error, is reported once.
    Reached(Option<io::Error>),
}

#[derive(Clone, Copy)]
enum State {
    /// The first bytes of the stream.
    Begin,
    /// Between lines or documents.
    Top,
    /// In the array of a document, behind `done` elements; a brace follows the array when it is `in_object`.
    Elements { done: u64, in_object: bool },
    /// Behind the array, before the brace that ends the object.
    Tail,
}

/// Where a value ends that is read byte by byte.
#[derive(Default)]
struct Scan {
    depth: usize,
    in_string: bool,
    escaped: bool,
}

impl Scan {
    /// Takes one byte; true when it ends an element (a comma, or the bracket around all elements).
    fn ends(&mut self, byte: u8) -> bool {
        if self.in_string {
            match byte {
                _ if self.escaped => self.escaped = false,
                b'\\' => self.escaped = true,
                b'"' => self.in_string = false,
                _ => {}
            }
            return false;
        }
        match byte {
            b'"' => self.in_string = true,
            b'{' | b'[' => self.depth += 1,
            b'}' | b']' if self.depth == 0 => return true,
            b'}' | b']' => self.depth -= 1,
            b',' if self.depth == 0 => return true,
            _ => {}
        }
        false
    }
}

impl<R: Read> Splitter<R> {
    /// Splits with a limit of `limit` bytes a record.
    #[cfg(test)]
    pub(crate) fn new(input: R, limit: usize) -> Self {
        Self::with_buffer(input, limit, Vec::new())
    }

    /// The same, in the buffer of a splitter before: zeroing a new one takes longer than reading a small file.
    pub(crate) fn with_buffer(input: R, limit: usize, buffer: Vec<u8>) -> Self {
        Self {
            input,
            limit,
            buffer,
            start: 0,
            filled: 0,
            end: End::NotYet,
            line: 1,
            column: 1,
            state: State::Begin,
            consumed: 0,
            empty: 0,
        }
    }

    /// The buffer for the next splitter; nothing where a long record has made it large.
    pub(crate) fn into_buffer(self) -> Vec<u8> {
        if self.buffer.len() <= 2 * CHUNK { self.buffer } else { Vec::new() }
    }

    /// Documents so far that are whole and hold no record, such as `{"Records":[]}`.
    pub(crate) fn empty_documents(&self) -> u64 {
        self.empty
    }

    /// The line that comes next, from 1.
    pub(crate) fn line(&self) -> u64 {
        self.line
    }

    /// Bytes of the stream up to the end of the last record.
    pub(crate) fn position(&self) -> u64 {
        self.consumed
    }

    /// Whether the next record is here already, so that asking for it cannot wait for a slow sender.
    pub(crate) fn has_line(&self) -> bool {
        memchr::memchr(b'\n', self.rest().trim_ascii_start()).is_some()
    }

    /// The next record; `None` at the end.
    ///
    /// # Errors
    /// When the stream cannot be read on; what was read before has been returned. Afterwards there is only `None`.
    pub(crate) fn next(&mut self) -> io::Result<Option<Record>> {
        loop {
            match self.state {
                State::Begin => {
                    while self.rest().len() < 3 && self.more() {}
                    if self.rest().starts_with(b"\xef\xbb\xbf") {
                        self.consume(3);
                    }
                    self.state = State::Top;
                }
                State::Top => {
                    self.skip_blanks();
                    if self.rest().is_empty() {
                        return self.finish();
                    }
                    if let Some((length, in_object)) = self.opening() {
                        self.consume(length);
                        self.state = State::Elements { done: 0, in_object };
                    } else if self.rest().starts_with(b"{") {
                        return Ok(Some(self.read_object()));
                    } else {
                        return Ok(Some(self.read_line()));
                    }
                }
                State::Elements { done, in_object } => {
                    self.skip_blanks();
                    if let Some(record) = self.read_element(done, in_object)? {
                        return Ok(Some(record));
                    }
                }
                State::Tail => self.skip_tail()?,
            }
        }
    }

    fn rest(&self) -> &[u8] {
        &self.buffer[self.start..self.filled]
    }

    fn consume(&mut self, n: usize) {
        let bytes = &self.buffer[self.start..self.start + n];
        match memchr::memrchr(b'\n', bytes) {
            None => self.column += n as u64,
            Some(last) => {
                self.line += memchr::memchr_iter(b'\n', bytes).count() as u64;
                self.column = (n - last) as u64;
            }
        }
        self.start += n;
        self.consumed += n as u64;
    }

    /// Where the next record begins.
    fn here(&self, element: Option<u64>) -> Start {
        Start { place: Place { line: self.line, element }, column: self.column }
    }

    /// Reads on; false at the end of the stream.
    fn more(&mut self) -> bool {
        if matches!(self.end, End::Reached(_)) {
            return false;
        }
        // A long record is not moved onto itself for each piece of it.
        if self.start > 0 {
            self.buffer.copy_within(self.start..self.filled, 0);
            self.filled -= self.start;
            self.start = 0;
        }
        if self.buffer.is_empty() {
            self.buffer = vec![0; CHUNK];
        } else if self.buffer.len() - self.filled < CHUNK / 2 {
            self.buffer.resize(self.buffer.len() + CHUNK, 0);
        }
        let read = loop {
            match self.input.read(&mut self.buffer[self.filled..]) {
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                other => break other,
            }
        };
        match read {
            Ok(0) => self.end = End::Reached(None),
            Ok(n) => self.filled += n,
            Err(e) => self.end = End::Reached(Some(e)),
        }
        matches!(self.end, End::NotYet)
    }

    /// The end: the error that brought it about, once.
    fn finish(&mut self) -> io::Result<Option<Record>> {
        match &mut self.end {
            End::Reached(error) => error.take().map_or(Ok(None), Err),
            End::NotYet => Ok(None),
        }
    }

    fn skip_blanks(&mut self) {
        loop {
            let blanks = self.rest().iter().take_while(|b| b.is_ascii_whitespace()).count();
            self.consume(blanks);
            if !self.rest().is_empty() || !self.more() {
                return;
            }
        }
    }

    /// Length of the beginning of a document at this place, and whether it is an object around the array.
    fn opening(&mut self) -> Option<(usize, bool)> {
        loop {
            match opening(self.rest()) {
                Opening::Is { length, in_object } => return Some((length, in_object)),
                Opening::IsNot => return None,
                Opening::Unknown => {
                    if self.rest().len() >= OPENING || !self.more() {
                        return None;
                    }
                }
            }
        }
    }

    fn read_line(&mut self) -> Record {
        let start = self.here(None);
        let mut searched = 0;
        loop {
            if let Some(at) = memchr::memchr(b'\n', &self.rest()[searched..]) {
                return self.take(searched + at, start);
            }
            searched = self.rest().len();
            if searched > self.limit {
                return self.too_long(start, |bytes| memchr::memchr(b'\n', bytes));
            }
            if !self.more() {
                return self.take(searched, start);
            }
        }
    }

    /// An object, which may end on a later line, or be followed by the next one on the same line. What is not valid
    /// JSON is a line: the next line begins anew.
    fn read_object(&mut self) -> Record {
        let start = self.here(None);
        loop {
            let length = match first_object(self.rest()) {
                FirstObject::Ends(at) => {
                    match self.rest()[at..].iter().find(|b| !matches!(b, b' ' | b'\t' | b'\r')) {
                        Some(b'\n' | b'{') => return self.take(at, start),
                        Some(_) => return self.read_line(),
                        None => self.rest().len(),
                    }
                }
                FirstObject::IsNot(e) => {
                    let broken = self.broken_later(&e, start);
                    return Record { broken, ..self.read_line() };
                }
                FirstObject::GoesOn => self.rest().len(),
            };
            if length > self.limit {
                // Its lines are no records of their own, and its end is not looked for behind so much.
                return self.read_line();
            }
            if !self.grow(length) {
                return self.last_object(start);
            }
        }
    }

    /// The place of an error behind the first line. A second line that begins with a brace is a record behind one that
    /// was cut off, of which it tells nothing.
    fn broken_later(&self, e: &serde_json::Error, start: Start) -> Option<Reject> {
        let text = String::from_utf8_lossy(self.rest());
        let second = text.lines().skip(1).map(str::trim_start).find(|line| !line.is_empty())?;
        let is_one_object = e.line() > 1 && !second.starts_with('{');
        is_one_object.then(|| malformed(&text, e).in_text_at(start.place.line, start.column))
    }

    /// Reads on until it is worthwhile to look for the end of an object again; false at the end of the stream.
    fn grow(&mut self, length: usize) -> bool {
        const SMALL: usize = 1 << 20;
        let had_line = memchr::memchr(b'\n', self.rest()).is_some();
        loop {
            let before = self.rest().len();
            let goes_on = self.more();
            let new = &self.rest()[before..];
            let line = memchr::memchr(b'\n', new).is_some() && (!had_line || before < SMALL);
            // Looking after each piece would take time in the square of the length.
            if !goes_on || line || self.rest().len() > length + length / 4 {
                return goes_on || self.rest().len() > length;
            }
        }
    }

    /// What is left at the end of the stream behind an opening brace.
    fn last_object(&mut self, start: Start) -> Record {
        let rest = self.rest();
        if let FirstObject::Ends(_) = first_object(rest) {
            return self.take(rest.len(), start);
        }
        let second =
            memchr::memchr(b'\n', rest).map(|at| rest[at + 1..].trim_ascii_start()).filter(|r| !r.is_empty());
        match second {
            // Lines that begin with a brace are records of their own, behind one that was cut off.
            Some(line) if !line.starts_with(b"{") => {
                let record = self.take(rest.len(), start);
                cut_short(record)
            }
            _ => self.read_line(),
        }
    }

    /// The next element of a document; `None` when the state has changed.
    fn read_element(&mut self, done: u64, in_object: bool) -> io::Result<Option<Record>> {
        let start = self.here(Some(done + 1));
        let mut scan = Scan::default();
        let mut length = 0;
        loop {
            if let Some(at) = self.rest()[length..].iter().position(|b| scan.ends(*b)) {
                length += at;
                break;
            }
            length = self.rest().len();
            if length > self.limit {
                let record = self.too_long(start, |bytes| bytes.iter().position(|b| scan.ends(*b)));
                self.end_element(done + 1, in_object);
                return Ok(Some(record));
            }
            if !self.more() {
                self.state = State::Top;
                if length == 0 {
                    return Err(self.cut_off());
                }
                // Balanced or not, the document around it is not whole; the stream's own error follows.
                return Ok(Some(cut_short(self.take(length, start))));
            }
        }
        let blank = self.rest()[..length].trim_ascii().is_empty();
        let record = self.take(length, start);
        self.end_element(done + u64::from(!blank), in_object);
        Ok((!blank).then_some(record))
    }

    /// Consumes the byte that ended an element.
    fn end_element(&mut self, done: u64, in_object: bool) {
        let next = self.rest().first().copied();
        self.empty += u64::from(done == 0 && next.is_some_and(|b| b != b','));
        self.state = match next {
            Some(b',') => State::Elements { done, in_object },
            Some(_) if in_object => State::Tail,
            _ => State::Top,
        };
        self.consume(self.rest().len().min(1));
    }

    fn skip_tail(&mut self) -> io::Result<()> {
        let mut scan = Scan::default();
        loop {
            // A comma ends nothing here.
            let end = self.rest().iter().position(|b| scan.ends(*b) && *b == b'}');
            if let Some(at) = end {
                self.consume(at + 1);
                self.state = State::Top;
                return Ok(());
            }
            self.consume(self.rest().len());
            if !self.more() {
                self.state = State::Top;
                return Err(self.cut_off());
            }
        }
    }

    fn cut_off(&mut self) -> io::Error {
        match &mut self.end {
            End::Reached(Some(_)) => match std::mem::replace(&mut self.end, End::Reached(None)) {
                End::Reached(Some(e)) => e,
                _ => io::ErrorKind::UnexpectedEof.into(),
            },
            _ => io::Error::new(io::ErrorKind::UnexpectedEof, "the JSON document is cut off"),
        }
    }

    /// The first `length` bytes as a record.
    fn take(&mut self, length: usize, start: Start) -> Record {
        let bytes = self.rest()[..length].trim_ascii().to_vec();
        self.consume(length);
        let text = String::from_utf8(bytes).map_err(|e| {
            let reason = format!("not UTF-8 from byte {} of the record on", e.utf8_error().valid_up_to() + 1);
            (Reject::new(reason), Original::Bytes(e.into_bytes()))
        });
        Record { place: start.place, column: start.column, text, broken: None }
    }

    /// Skips a record that is too long and whose end is not in the buffer; `end` finds it.
    fn too_long(&mut self, at: Start, mut end: impl FnMut(&[u8]) -> Option<usize>) -> Record {
        let start = self.rest()[..SAMPLE.min(self.rest().len())].to_vec();
        loop {
            self.consume(self.rest().len());
            if !self.more() {
                break;
            }
            if let Some(length) = end(self.rest()) {
                self.consume(length);
                break;
            }
        }
        // The buffer grew for this record alone.
        self.buffer.copy_within(self.start..self.filled, 0);
        self.filled -= self.start;
        self.start = 0;
        self.buffer.truncate(self.filled.max(CHUNK));
        self.buffer.shrink_to_fit();
        let reason = format!("longer than {} bytes, which is as much as is read of one record", self.limit);
        Record {
            place: at.place,
            column: at.column,
            text: Err((Reject::new(reason), Original::Start(start))),
            broken: None,
        }
    }
}

/// A record at which its document ends too early.
fn cut_short(mut record: Record) -> Record {
    if let Ok(text) = record.text {
        let reason = Reject::new("the file ends in the middle of its JSON document");
        record.text = Err((reason, Original::Text(text)));
    }
    record
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Gives its bytes in pieces of `step`, then an error if there is one.
    struct Slow<'a> {
        bytes: &'a [u8],
        step: usize,
        fail: bool,
    }

    impl Read for Slow<'_> {
        fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
            if self.bytes.is_empty() && self.fail {
                return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "cut"));
            }
            let n = self.step.min(out.len()).min(self.bytes.len());
            out[..n].copy_from_slice(&self.bytes[..n]);
            self.bytes = &self.bytes[n..];
            Ok(n)
        }
    }

    /// Records as `line[/element] text` or `line[/element] !reason`; an error of the stream as `error …`.
    fn split_with(bytes: &[u8], step: usize, fail: bool, limit: usize) -> Vec<String> {
        let mut splitter = Splitter::new(Slow { bytes, step, fail }, limit);
        let mut out = Vec::new();
        loop {
            match splitter.next() {
                Ok(None) => return out,
                Ok(Some(Record { place, text, .. })) => {
                    let element = place.element.map(|e| format!("/{e}")).unwrap_or_default();
                    let text = text.unwrap_or_else(|(reason, _)| format!("!{reason}"));
                    out.push(format!("{}{element} {text}", place.line));
                }
                Err(e) => out.push(format!("error {e}")),
            }
        }
    }

    fn split(bytes: &[u8]) -> Vec<String> {
        let whole = split_with(bytes, usize::MAX, false, 1000);
        assert_eq!(split_with(bytes, 1, false, 1000), whole, "the pieces must not matter");
        whole
    }

    #[test]
    fn lines() {
        assert_eq!(
            split(b"\xef\xbb\xbf{\"a\":1}\r\n\r\n  \n{\"b\":2}\n{\"c\":3}"),
            ["1 {\"a\":1}", "4 {\"b\":2}", "5 {\"c\":3}"]
        );
        assert_eq!(split(b"\n\n"), Vec::<String>::new());
    }

    #[test]
    fn objects_over_many_lines_and_several_on_one() {
        assert_eq!(split(b"{\n\"a\":1}\n"), ["1 {\n\"a\":1}"]);
        assert_eq!(
            split(b"{\n  \"a\": {\n\"b\": [1,\n2]}\n}\n{\"c\":3}\n{\n}"),
            ["1 {\n  \"a\": {\n\"b\": [1,\n2]}\n}", "6 {\"c\":3}", "7 {\n}"]
        );
        assert_eq!(split(b"{\"a\":1}{\"b\":2} {\"c\":\n3}"), ["1 {\"a\":1}", "1 {\"b\":2}", "1 {\"c\":\n3}"]);
        // A line that is no JSON is one record, and so is one that was cut off: the next line begins anew.
        assert_eq!(split(b"{\"a\": x\n{\"b\":2}"), ["1 {\"a\": x", "2 {\"b\":2}"]);
        assert_eq!(split(b"{\"a\":\n{\"b\":2}\n{\"c\":3}\n"), ["1 {\"a\":", "2 {\"b\":2}", "3 {\"c\":3}"]);
        assert_eq!(split(b"{\"a\":\n{\"b\":2}\n"), ["1 {\"a\":", "2 {\"b\":2}"]);
        assert_eq!(split(b"{\"a\":\n\n{\"b\":2}"), ["1 {\"a\":", "3 {\"b\":2}"]);
        assert_eq!(split(b"{\"a\":1} tail\n{\"b\":2}"), ["1 {\"a\":1} tail", "2 {\"b\":2}"]);
        assert_eq!(
            split(b"{\n  \"a\": 1,\n  \"b\""),
            ["1 !the file ends in the middle of its JSON document"]
        );
        assert_eq!(split(b"{\n\""), ["1 !the file ends in the middle of its JSON document"]);
        let mut splitter = Splitter::new(b"  {\"a\":1}\n\n {\n\"b\":2}".as_slice(), 1000);
        let places: Vec<_> =
            std::iter::from_fn(|| splitter.next().unwrap()).map(|r| (r.place.line, r.column)).collect();
        assert_eq!(places, [(1, 3), (3, 2)]);
    }

    #[test]
    fn an_object_that_breaks_on_a_later_line_says_where() {
        let broken = |text: &str| {
            let mut splitter = Splitter::new(text.as_bytes(), 1000);
            splitter.next().unwrap().unwrap().broken.map(|reason| reason.to_string())
        };
        assert_eq!(
            broken("\n{\n \"a\": 1,\n \"b\" 3\n}\n").as_deref(),
            Some("not valid JSON at line 4, column 6: expected `:`")
        );
        for told_by_the_line_itself in ["{\"a\" 1}\n", "{\"a\": 1,\n{\"b\": 2}\n", "{\n\"a\": 1}\n"] {
            assert_eq!(broken(told_by_the_line_itself), None);
        }
    }

    #[test]
    fn a_list_of_records_may_bear_other_names_and_be_empty() {
        assert_eq!(split(b"{\"Events\":[{\"a\":1}],\"NextToken\":\"x\"}"), ["1/1 {\"a\":1}"]);
        assert_eq!(split(b"{ \"logEvents\" :\n[1,2]}"), ["2/1 1", "2/2 2"]);
        assert_eq!(split(b"{\"events \":[1]}"), ["1 {\"events \":[1]}"]);
        for (text, empty) in
            [("{\"Records\":[]}", 1), ("[ ]", 1), ("[1]{\"Events\":[]}[]", 2), ("", 0), ("{}", 0)]
        {
            let mut splitter = Splitter::new(text.as_bytes(), 1000);
            while splitter.next().unwrap().is_some() {}
            assert_eq!(splitter.empty_documents(), empty, "{text}");
        }
    }

    #[test]
    fn a_large_object_over_many_lines_is_read_in_time() {
        let text = format!("{{\n{}\"z\": 0}}\n{{\"b\":2}}", "\"k\": [\n1, 2\n],\n".repeat(300_000));
        let mut splitter = Splitter::new(text.as_bytes(), MAX_RECORD);
        let lengths: Vec<_> =
            std::iter::from_fn(|| splitter.next().unwrap()).map(|r| r.text.unwrap().len()).collect();
        assert_eq!(lengths, [text.len() - 8, 7]);
    }

    #[test]
    fn documents_in_one_line_and_in_many() {
        assert_eq!(
            split(b"{\"Records\":[{\"a\":\"]},{\\\"\"},{\"b\":[1,{}]}]}"),
            ["1/1 {\"a\":\"]},{\\\"\"}", "1/2 {\"b\":[1,{}]}"]
        );
        assert_eq!(
            split(b"{\n  \"Records\" : [\n    {\n\"a\": 1},\n {\"b\": 2}\n ],\n \"x\": [{}, 1]\n}\n"),
            ["3/1 {\n\"a\": 1}", "5/2 {\"b\": 2}"]
        );
        assert_eq!(
            split(b"[{\"a\":1},\n{\"b\":2}]\n{\"c\":3}\n"),
            ["1/1 {\"a\":1}", "2/2 {\"b\":2}", "3 {\"c\":3}"]
        );
        assert_eq!(split(b"{\"Records\":[]}{\"Records\":[1]}{\"Records\":[2]}"), ["1/1 1", "1/1 2"]);
    }

    #[test]
    fn damage_is_reported_where_it_is() {
        assert_eq!(split(b"ok\n\xff\xfe\nok"), ["1 ok", "2 !not UTF-8 from byte 1 of the record on", "3 ok"]);
        assert_eq!(
            split(b"{\"Records\":[{\"a\":1},{\"b\""),
            ["1/1 {\"a\":1}", "1/2 !the file ends in the middle of its JSON document"]
        );
        assert_eq!(
            split(b"{\"Records\":[{\"a\":1}"),
            ["1/1 !the file ends in the middle of its JSON document"]
        );
        assert_eq!(
            split(b"{\"Records\":[{\"a\":1}]"),
            ["1/1 {\"a\":1}", "error the JSON document is cut off"]
        );
        assert_eq!(split_with(b"one\ntw", 3, true, 1000), ["1 one", "2 tw", "error cut"]);
        assert_eq!(split_with(b"[1,", 3, true, 1000), ["1/1 1", "error cut"]);
    }

    #[test]
    fn records_that_are_too_long_are_skipped() {
        let long = "x".repeat(CHUNK * 2);
        let reason = "!longer than 10 bytes, which is as much as is read of one record";
        assert_eq!(
            split_with(format!("a\n{long}\nb\n{long}").as_bytes(), CHUNK, false, 10),
            ["1 a".to_owned(), format!("2 {reason}"), "3 b".to_owned(), format!("4 {reason}")]
        );
        assert_eq!(
            split_with(format!("[1,\n\"{long}\",2]\n3").as_bytes(), CHUNK, false, 10),
            ["1/1 1".to_owned(), format!("2/2 {reason}"), "2/3 2".to_owned(), "3 3".to_owned()]
        );
    }

    proptest! {
        #[test]
        fn any_bytes_end_without_a_panic(
            bytes in prop::collection::vec(prop::sample::select(b"{}[],:\"\\\n\r x\xff\xef\xbb\xbf1".to_vec()), 0..80),
            document in any::<bool>(), fail in any::<bool>(), limit in 1usize..60,
        ) {
            let bytes = [if document { b"{\"Records\":[".as_slice() } else { b"" }, &bytes].concat();
            let whole = split_with(&bytes, usize::MAX, fail, 1000);
            prop_assert_eq!(&split_with(&bytes, 1, fail, 1000), &whole);
            split_with(&bytes, 1, fail, limit);
        }

        #[test]
        fn every_line_is_a_record(lines in prop::collection::vec("[a-z{}\"]{1,10}", 0..20)) {
            // Several objects on one line, and one on two lines, are something else.
            prop_assume!(!lines.iter().any(|line| line.contains("}{")));
            prop_assume!(!lines.windows(2).any(|two| two[0] == "{" && two[1].starts_with(['}', '"'])));
            prop_assert_eq!(split(lines.join("\n").as_bytes()).len(), lines.len());
        }
    }
}
