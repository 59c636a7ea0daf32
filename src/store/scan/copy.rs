//! The binary COPY format, read in place. Every malformed frame is an error; the server is the party being audited.
//!
//! Stream: an 11-byte signature, flags and an extension (each with a 32-bit length), then rows of a 16-bit number of
//! columns and 32-bit lengths, each followed by its bytes (-1: NULL), then -1 as the number of columns.

const SIGNATURE: &[u8; 11] = b"PGCOPY\n\xff\r\n\0";
/// PostgreSQL's own greatest length of a value.
const MAX_VALUE: usize = 1 << 30;
/// Greatest length of the header extension; none is defined.
const MAX_EXTENSION: usize = 1 << 16;

/// What is wrong with the stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum FrameError {
    /// The stream does not begin with the signature.
    #[error("the server's answer is not in the binary COPY format")]
    Signature,
    /// A flag that changes the format, or an extension that cannot be.
    #[error("the binary COPY header has flags or an extension that are not understood")]
    Header,
    /// Another number of columns than was asked for.
    #[error("a row has {found} columns instead of {expected}")]
    Columns {
        /// In the row.
        found: i16,
        /// Asked for.
        expected: usize,
    },
    /// A length that no value can have.
    #[error("a value claims a length of {0} bytes")]
    Length(i32),
    /// Bytes behind the trailer.
    #[error("the stream goes on behind its end")]
    Trailing,
    /// The stream ended inside a row or without its trailer.
    #[error("the stream ends in the middle")]
    Truncated,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Header,
    Rows,
    Ended,
}

/// Cuts a stream of bytes, in pieces of any size, into rows of `N` columns.
#[derive(Debug)]
pub(super) struct Frames<const N: usize> {
    state: State,
    /// The beginning of a row whose end has not come yet.
    carry: Vec<u8>,
}

impl<const N: usize> Default for Frames<N> {
    fn default() -> Self {
        Self { state: State::Header, carry: Vec::new() }
    }
}

impl<const N: usize> Frames<N> {
    /// At the start of a stream.
    pub(super) fn new() -> Self {
        Self::default()
    }

    /// Takes the next piece and gives each complete row to `on_row`, borrowed from the piece.
    ///
    /// # Errors
    /// When the piece cannot be part of such a stream. The rows before the place were given.
    pub(super) fn push(
        &mut self,
        piece: &[u8],
        mut on_row: impl FnMut(&[Option<&[u8]>; N]),
    ) -> Result<(), FrameError> {
        if self.carry.is_empty() {
            let used = self.consume(piece, &mut on_row)?;
            self.carry.extend_from_slice(piece.get(used..).unwrap_or_default());
        } else {
            // The server sends whole rows, so this is rare.
            let mut joined = std::mem::take(&mut self.carry);
            joined.extend_from_slice(piece);
            let used = self.consume(&joined, &mut on_row)?;
            joined.drain(..used);
            self.carry = joined;
        }
        Ok(())
    }

    /// Ends the stream.
    ///
    /// # Errors
    /// When something is missing.
    pub(super) fn finish(self) -> Result<(), FrameError> {
        if self.state == State::Ended && self.carry.is_empty() { Ok(()) } else { Err(FrameError::Truncated) }
    }

    /// Reads what is complete and returns how many bytes that was.
    fn consume(
        &mut self,
        bytes: &[u8],
        on_row: &mut impl FnMut(&[Option<&[u8]>; N]),
    ) -> Result<usize, FrameError> {
        let mut at = 0;
        if self.state == State::Header {
            match header(bytes)? {
                None => return Ok(0),
                Some(length) => at = length,
            }
            self.state = State::Rows;
        }
        while self.state == State::Rows {
            match row(bytes.get(at..).unwrap_or_default())? {
                Next::Incomplete => return Ok(at),
                Next::End => {
                    self.state = State::Ended;
                    at += 2;
                }
                Next::Row { columns, length } => {
                    on_row(&columns);
                    at += length;
                }
            }
        }
        if at == bytes.len() { Ok(at) } else { Err(FrameError::Trailing) }
    }
}

/// Length of the header, `None` while it is incomplete.
fn header(bytes: &[u8]) -> Result<Option<usize>, FrameError> {
    let there = bytes.len().min(SIGNATURE.len());
    if bytes.get(..there) != SIGNATURE.get(..there) {
        return Err(FrameError::Signature);
    }
    let (Some(flags), Some(extension)) = (be_i32(bytes, 11), be_i32(bytes, 15)) else { return Ok(None) };
    // Bits 16 to 31 are critical; bit 16 would announce object ids.
    let extension = usize::try_from(extension).map_err(|_| FrameError::Header)?;
    if flags & !0xffff != 0 || extension > MAX_EXTENSION {
        return Err(FrameError::Header);
    }
    Ok((bytes.len() >= 19 + extension).then_some(19 + extension))
}

enum Next<'a, const N: usize> {
    Incomplete,
    End,
    Row { columns: [Option<&'a [u8]>; N], length: usize },
}

fn row<const N: usize>(bytes: &[u8]) -> Result<Next<'_, N>, FrameError> {
    let Some(count) = bytes.first_chunk::<2>() else { return Ok(Next::Incomplete) };
    let found = i16::from_be_bytes(*count);
    if found == -1 {
        return Ok(Next::End);
    }
    if usize::try_from(found) != Ok(N) {
        return Err(FrameError::Columns { found, expected: N });
    }
    let mut at = 2;
    let mut columns = [None; N];
    for column in &mut columns {
        let Some(length) = be_i32(bytes, at) else { return Ok(Next::Incomplete) };
        at += 4;
        if length == -1 {
            continue;
        }
        let size =
            usize::try_from(length).ok().filter(|n| *n <= MAX_VALUE).ok_or(FrameError::Length(length))?;
        let Some(value) = bytes.get(at..at + size) else { return Ok(Next::Incomplete) };
        *column = Some(value);
        at += size;
    }
    Ok(Next::Row { columns, length: at })
}

fn be_i32(bytes: &[u8], at: usize) -> Option<i32> {
    Some(i32::from_be_bytes(*bytes.get(at..)?.first_chunk::<4>()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    type Row = Vec<Option<Vec<u8>>>;

    fn stream(rows: &[Row]) -> Vec<u8> {
        let mut out = SIGNATURE.to_vec();
        out.extend([0; 8]);
        for row in rows {
            out.extend((row.len() as i16).to_be_bytes());
            for column in row {
                match column {
                    None => out.extend((-1i32).to_be_bytes()),
                    Some(value) => {
                        out.extend((value.len() as i32).to_be_bytes());
                        out.extend(value);
                    }
                }
            }
        }
        out.extend((-1i16).to_be_bytes());
        out
    }

    fn read(pieces: &[&[u8]]) -> Result<Vec<Row>, FrameError> {
        let mut frames = Frames::<3>::new();
        let mut rows = Vec::new();
        for piece in pieces {
            frames.push(piece, |row| rows.push(row.iter().map(|c| c.map(<[u8]>::to_vec)).collect()))?;
        }
        frames.finish()?;
        Ok(rows)
    }

    #[test]
    fn malformed_frames_are_named() {
        let row: Row = vec![Some(b"a".to_vec()), None, Some(Vec::new())];
        let good = stream(std::slice::from_ref(&row));
        assert_eq!(read(&[&good]), Ok(vec![row]));
        let mut bad = good.clone();
        bad[0] = b'X';
        assert_eq!(read(&[&bad]), Err(FrameError::Signature));
        let mut bad = good.clone();
        bad[12] = 1;
        assert_eq!(read(&[&bad]), Err(FrameError::Header));
        let mut bad = good.clone();
        bad[20] = 2;
        assert_eq!(read(&[&bad]), Err(FrameError::Columns { found: 2, expected: 3 }));
        let mut bad = good.clone();
        bad[21..25].copy_from_slice(&(-2i32).to_be_bytes());
        assert_eq!(read(&[&bad]), Err(FrameError::Length(-2)));
        let mut bad = good.clone();
        bad[21..25].copy_from_slice(&i32::MAX.to_be_bytes());
        assert_eq!(read(&[&bad]), Err(FrameError::Length(i32::MAX)));
        assert_eq!(read(&[&good[..good.len() - 1]]), Err(FrameError::Truncated));
        assert_eq!(read(&[&good[..good.len() - 2]]), Err(FrameError::Truncated));
        assert_eq!(read(&[&good, b"x"]), Err(FrameError::Trailing));
        assert_eq!(read(&[]), Err(FrameError::Truncated));
    }

    proptest! {
        #[test]
        fn any_bytes_give_rows_or_an_error(mut bytes in prop::collection::vec(any::<u8>(), 0..200), headed in any::<bool>()) {
            if headed {
                bytes.splice(0..0, stream(&[])[..19].to_vec());
            }
            let _ = read(&[&bytes]);
        }

        #[test]
        fn one_changed_byte_never_panics(at in any::<prop::sample::Index>(), byte in any::<u8>()) {
            let mut bytes = stream(&[vec![Some(b"abc".to_vec()), None, Some(vec![0; 20])], vec![None, None, None]]);
            let at = at.index(bytes.len());
            bytes[at] = byte;
            let _ = read(&[&bytes]);
        }

        #[test]
        fn rows_survive_any_cutting(
            rows in prop::collection::vec(
                prop::collection::vec(prop::option::of(prop::collection::vec(any::<u8>(), 0..12)), 3), 0..8),
            cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..6),
        ) {
            let bytes = stream(&rows);
            let mut cuts: Vec<usize> = cuts.iter().map(|c| c.index(bytes.len() + 1)).collect();
            cuts.sort_unstable();
            let mut pieces = Vec::new();
            let mut from = 0;
            for cut in cuts {
                pieces.push(&bytes[from..cut]);
                from = cut;
            }
            pieces.push(&bytes[from..]);
            prop_assert_eq!(read(&pieces), Ok(rows));
        }
    }
}
