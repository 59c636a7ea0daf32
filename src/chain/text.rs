//! Strings as Python's `json.dumps` writes them: printable ASCII stays, all else is escaped.

const ONES: u64 = 0x0101_0101_0101_0101;
const HIGH: u64 = 0x8080_8080_8080_8080;

/// Offset of the first byte that cannot be copied as it is: `"`, `\`, below 0x20, or 0x7f and above; the length when
/// there is none.
pub(super) fn plain_run(bytes: &[u8]) -> usize {
    let flags = |word: u64| ends_of_strings(word) | word.wrapping_add(ONES) | word;
    run(bytes, flags, |byte| stays_in_strings(byte) && byte < 0x7f)
}

/// Offset of the first byte that is escaped in JSON, or may be: `"`, `\`, below 0x20, or 0x7f; the length when there is
/// none.
pub(super) fn unescaped_run(bytes: &[u8]) -> usize {
    let flags = |word: u64| ends_of_strings(word) | zeros(word ^ (ONES * 0x7f));
    run(bytes, flags, |byte| stays_in_strings(byte) && byte != 0x7f)
}

/// Offset of the first byte beyond ASCII; the length when there is none.
fn ascii_run(bytes: &[u8]) -> usize {
    run(bytes, |word| word, |byte| byte < 0x80)
}

/// Length of the run of bytes that stay. `flags` sets the high bit of the others in eight bytes at once; of those only
/// the lowest has to be exact.
#[inline]
fn run(bytes: &[u8], flags: impl Fn(u64) -> u64, stays: impl Fn(u8) -> bool) -> usize {
    let ends = |word: &[u8; 8]| {
        let flags = flags(u64::from_le_bytes(*word)) & HIGH;
        (flags != 0).then(|| flags.trailing_zeros() as usize / 8)
    };
    let mut at = 0;
    while let Some((word, behind)) = bytes.get(at..).and_then(<[u8]>::split_first_chunk::<8>) {
        if let Some(end) = ends(word) {
            return at + end;
        }
        at += 8;
        // Most runs have ended by here; the others are worth the processor's wide registers. Without an early end, a
        // piece is compiled to a few wide comparisons.
        if at == 16 {
            let all_stay = |piece: &&[u8; 16]| piece.iter().fold(true, |all, byte| all & stays(*byte));
            at += 16 * behind.as_chunks().0.iter().take_while(all_stay).count();
        }
    }
    // The last eight bytes: those of them that were looked at before have no flag.
    if let (true, Some(word)) = (at < bytes.len(), bytes.last_chunk::<8>()) {
        return ends(word).map_or(bytes.len(), |end| bytes.len() - 8 + end);
    }
    let rest = bytes.get(at..).unwrap_or_default();
    at + rest.iter().position(|byte| !stays(*byte)).unwrap_or(rest.len())
}

/// Sets the high bit of each `"`, `\` and byte below 0x20. Borrows only move upwards, so the lowest one is exact.
const fn ends_of_strings(word: u64) -> u64 {
    let below_space = word.wrapping_sub(ONES * 0x20) & !word;
    below_space | zeros(word ^ (ONES * b'"' as u64)) | zeros(word ^ (ONES * b'\\' as u64))
}

/// Sets the high bit of each byte that is zero.
const fn zeros(word: u64) -> u64 {
    word.wrapping_sub(ONES) & !word
}

const fn stays_in_strings(byte: u8) -> bool {
    byte >= 0x20 && byte != b'"' && byte != b'\\'
}

/// Appends one character between quotes.
pub(super) fn push_char(c: char, out: &mut Vec<u8>) {
    let short = match c {
        '"' => b'"',
        '\\' => b'\\',
        '\u{8}' => b'b',
        '\u{c}' => b'f',
        '\n' => b'n',
        '\r' => b'r',
        '\t' => b't',
        ' '..='~' => return out.push(c as u8),
        _ => {
            for unit in c.encode_utf16(&mut [0; 2]) {
                push_unit(*unit, out);
            }
            return;
        }
    };
    out.extend_from_slice(&[b'\\', short]);
}

/// Appends `\uXXXX` in lower-case hexadecimal.
fn push_unit(unit: u16, out: &mut Vec<u8>) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digit = |shift: u16| DIGITS[usize::from((unit >> shift) & 0xf)];
    out.extend_from_slice(&[b'\\', b'u', digit(12), digit(8), digit(4), digit(0)]);
}

/// Appends a text without quotes.
pub(super) fn push_escaped(text: &str, out: &mut Vec<u8>) {
    push_runs(text, plain_run, out);
}

/// Appends JSON text without escapes, with every character beyond ASCII escaped.
pub(super) fn push_as_ascii(text: &str, out: &mut Vec<u8>) {
    push_runs(text, ascii_run, out);
}

/// Appends a text: what `run` finds is copied, the character that ends it is escaped.
#[inline]
fn push_runs(text: &str, run: impl Fn(&[u8]) -> usize, out: &mut Vec<u8>) {
    let mut rest = text;
    loop {
        // The byte that ends a run is ASCII or begins a character, so the cut is at a character boundary.
        let (run, tail) = rest.split_at(run(rest.as_bytes()));
        out.extend_from_slice(run.as_bytes());
        let mut chars = tail.chars();
        let Some(c) = chars.next() else { return };
        push_char(c, out);
        rest = chars.as_str();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn quoted(text: &str) -> String {
        let mut out = vec![b'"'];
        push_escaped(text, &mut out);
        out.push(b'"');
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn only_printable_ascii_stays() {
        assert_eq!(quoted("a/b ~"), r#""a/b ~""#);
        assert_eq!(quoted("\"\\\u{8}\u{c}\n\r\t"), r#""\"\\\b\f\n\r\t""#);
        assert_eq!(
            quoted("\0\u{1f}\u{7f}\u{80}é\u{ffff}😀"),
            r#""\u0000\u001f\u007f\u0080\u00e9\uffff\ud83d\ude00""#
        );
    }

    proptest! {
        #[test]
        fn runs_end_where_a_slow_search_says(bytes in prop::collection::vec(prop_oneof![4 => 0x20u8..0x7f, 1 => any::<u8>()], 0..40), plain in 0usize..80) {
            let bytes = [vec![b'x'; plain], bytes].concat();
            let slow = |stays: fn(u8) -> bool| bytes.iter().position(|b| !stays(*b)).unwrap_or(bytes.len());
            prop_assert_eq!(plain_run(&bytes), slow(|b| matches!(b, 0x20..0x7f) && b != b'"' && b != b'\\'));
            prop_assert_eq!(unescaped_run(&bytes), slow(|b| b >= 0x20 && !matches!(b, b'"' | b'\\' | 0x7f)));
            prop_assert_eq!(ascii_run(&bytes), slow(|b| b.is_ascii()));
        }

        #[test]
        fn what_is_escaped_reads_back(text in any::<String>()) {
            let escaped = quoted(&text);
            prop_assert!(escaped.bytes().all(|b| matches!(b, 0x20..0x7f)));
            prop_assert_eq!(serde_json::from_str::<String>(&escaped).unwrap(), text);
        }
    }
}
