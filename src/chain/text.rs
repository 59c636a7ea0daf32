//! Strings as Python's `json.dumps` writes them: printable ASCII stays, all else is escaped.

const ONES: u64 = 0x0101_0101_0101_0101;
const HIGH: u64 = 0x8080_8080_8080_8080;

/// Offset of the first byte that cannot be copied as it is: `"`, `\`, below 0x20, or 0x7f and above; the length when
/// there is none.
pub(super) fn plain_run(bytes: &[u8]) -> usize {
    let mut at = 0;
    while let Some((word, behind)) = bytes.get(at..).and_then(<[u8]>::split_first_chunk::<8>) {
        let flags = flags(*word);
        if flags != 0 {
            return at + flags.trailing_zeros() as usize / 8;
        }
        at += 8;
        // Most runs have ended by here; the others are worth the processor's wide registers.
        if at == 16 {
            at += 16 * behind.as_chunks().0.iter().take_while(|chunk| are_plain(chunk)).count();
        }
    }
    // The last eight bytes: those of them that were looked at before have no flag.
    if let (true, Some(word)) = (at < bytes.len(), bytes.last_chunk::<8>()) {
        let flags = flags(*word);
        return if flags == 0 { bytes.len() } else { bytes.len() - 8 + flags.trailing_zeros() as usize / 8 };
    }
    let rest = bytes.get(at..).unwrap_or_default();
    at + rest.iter().position(|b| !is_plain(*b)).unwrap_or(rest.len())
}

/// The high bit of each byte that cannot be copied as it is. Of those the lowest one is exact: borrows and carries only
/// move upwards.
const fn flags(word: [u8; 8]) -> u64 {
    let x = u64::from_le_bytes(word);
    let below_space = x.wrapping_sub(ONES * 0x20) & !x;
    let quote = x ^ (ONES * b'"' as u64);
    let backslash = x ^ (ONES * b'\\' as u64);
    let zero = (quote.wrapping_sub(ONES) & !quote) | (backslash.wrapping_sub(ONES) & !backslash);
    let from_del = x.wrapping_add(ONES) | x;
    (below_space | zero | from_del) & HIGH
}

/// Whether all can be copied as they are. Without an early end, so that it is compiled to a few wide comparisons.
fn are_plain(bytes: &[u8; 16]) -> bool {
    bytes.iter().fold(true, |all, byte| all & is_plain(*byte))
}

const fn is_plain(byte: u8) -> bool {
    matches!(byte, 0x20..0x7f) & (byte != b'"') & (byte != b'\\')
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
    let mut rest = text;
    loop {
        // The byte that ends a run is ASCII or begins a character, so the cut is at a character boundary.
        let (run, tail) = rest.split_at(plain_run(rest.as_bytes()));
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
            let slow = bytes.iter().position(|b| !is_plain(*b)).unwrap_or(bytes.len());
            prop_assert_eq!(plain_run(&bytes), slow);
        }

        #[test]
        fn what_is_escaped_reads_back(text in any::<String>()) {
            let escaped = quoted(&text);
            prop_assert!(escaped.bytes().all(|b| matches!(b, 0x20..0x7f)));
            prop_assert_eq!(serde_json::from_str::<String>(&escaped).unwrap(), text);
        }
    }
}
