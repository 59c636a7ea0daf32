//! Addresses as PostgreSQL's `inet` reads and prints them, because the hash covers the printed form.
//!
//! A port of `inet_net_pton` and `inet_net_ntop` of PostgreSQL (after ISC's BIND), with all that they accept:
//! `10.1/16`, `010.0.0.1` as decimal, IPv4 at the end of IPv6. Checked against the server by a property test.

use std::fmt::{self, Write as _};
use std::str::FromStr;

/// An address with the length of its network prefix.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Inet {
    bytes: [u8; 16],
    v6: bool,
    bits: u8,
}

/// The text is no address that PostgreSQL's `inet` takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not an address that PostgreSQL's inet takes")]
pub struct InetError;

impl Inet {
    /// Reads the form of the binary protocol; `None` when the bytes cannot be one.
    pub fn from_binary(bytes: &[u8]) -> Option<Self> {
        let ([family, bits, _, length], address) = bytes.split_first_chunk::<4>()?;
        let v6 = *family == 3;
        let size = if v6 { 16 } else { 4 };
        if !matches!(family, 2 | 3)
            || usize::from(*length) != size
            || address.len() != size
            || *bits > size as u8 * 8
        {
            return None;
        }
        let mut inet = Self { bytes: [0; 16], v6, bits: *bits };
        inet.bytes.get_mut(..size)?.copy_from_slice(address);
        Some(inet)
    }

    /// The form of the binary protocol: family, prefix length, "is a cidr", number of bytes, bytes.
    pub fn append_binary(&self, out: &mut Vec<u8>) {
        let (family, address) = if self.v6 { (3, &self.bytes[..]) } else { (2, &self.bytes[..4]) };
        out.extend_from_slice(&[family, self.bits, 0, address.len() as u8]);
        out.extend_from_slice(address);
    }
}

impl Inet {
    /// Appends the printed form without going through a formatter where it is a plain IPv4 address: it is done for every
    /// event.
    pub fn append_text(&self, out: &mut String) {
        if self.v6 || self.bits != 32 {
            // Writing to a string cannot fail.
            let _ = write!(out, "{self}");
            return;
        }
        let digit = |n: u8| char::from(b'0' + n % 10);
        for (i, octet) in self.bytes.iter().take(4).enumerate() {
            if i > 0 {
                out.push('.');
            }
            if *octet >= 100 {
                out.push(digit(octet / 100));
            }
            if *octet >= 10 {
                out.push(digit(octet / 10));
            }
            out.push(digit(*octet));
        }
    }
}

impl FromStr for Inet {
    type Err = InetError;

    fn from_str(text: &str) -> Result<Self, InetError> {
        if text.contains(':') { parse_v6(text.as_bytes()) } else { parse_v4(text.as_bytes()) }
            .ok_or(InetError)
    }
}

/// Decimal digits from the start of `text`: value (at most 999 999) and how many they are.
fn decimal(text: &[u8]) -> (u32, usize) {
    let digits = text.iter().take_while(|b| b.is_ascii_digit());
    digits.fold((0, 0), |(value, n), b| ((value * 10 + u32::from(b - b'0')).min(999_999), n + 1))
}

fn parse_v4(text: &[u8]) -> Option<Inet> {
    let mut bytes = [0; 16];
    let mut octets = 0;
    let mut at = 0;
    // Octets, each ended by a point, a slash or the end. Leading zeros are decimal; a point may stand at the end.
    loop {
        let (value, digits) = decimal(text.get(at..)?);
        if digits == 0 {
            break;
        }
        if octets == 4 {
            return None;
        }
        bytes[octets] = u8::try_from(value).ok()?;
        octets += 1;
        at += digits;
        match text.get(at) {
            Some(b'.') => at += 1,
            Some(b'/') | None => break,
            Some(_) => return None,
        }
    }
    let bits = match text.get(at) {
        None if octets == 4 => 32,
        Some(b'/') if octets > 0 => {
            let (bits, digits) = decimal(text.get(at + 1..)?);
            if digits == 0 || at + 1 + digits != text.len() || bits > 32 {
                return None;
            }
            bits as u8
        }
        _ => return None,
    };
    // A prefix may not reach beyond the octets that were given.
    (usize::from(bits / 8) <= octets).then_some(Inet { bytes, v6: false, bits })
}

fn parse_v6(text: &[u8]) -> Option<Inet> {
    let mut bytes = [0u8; 16];
    // Bytes written, where the zeros of `::` go, prefix length.
    let (mut used, mut gap, mut bits) = (0, None, 128);
    let mut at = usize::from(text.first() == Some(&b':'));
    if at == 1 && text.get(1) != Some(&b':') {
        return None;
    }
    // Start, value and length of the group of hexadecimal digits being read.
    let (mut group, mut value, mut digits) = (at, 0u16, 0);
    while let Some(byte) = text.get(at) {
        at += 1;
        match byte {
            b'0'..=b'9' | b'a'..=b'f' | b'A'..=b'F' => {
                digits += 1;
                if digits > 4 {
                    return None;
                }
                value = (value << 4) | char::from(*byte).to_digit(16)? as u16;
            }
            b':' if digits == 0 => {
                group = at;
                if gap.replace(used).is_some() {
                    return None;
                }
            }
            b':' => {
                group = at;
                if at == text.len() {
                    return None;
                }
                put(&mut bytes, &mut used, value)?;
                (value, digits) = (0, 0);
            }
            b'.' if used <= 12 => {
                bits = embedded_v4(text.get(group..)?, bytes.get_mut(used..used + 4)?)?;
                used += 4;
                digits = 0;
                at = text.len();
            }
            b'/' => {
                bits = prefix_length(text.get(at..)?)?;
                at = text.len();
            }
            _ => return None,
        }
    }
    if digits > 0 {
        put(&mut bytes, &mut used, value)?;
    }
    if let Some(gap) = gap {
        if used == 16 {
            return None;
        }
        bytes.copy_within(gap..used, 16 - (used - gap));
        bytes.get_mut(gap..16 - (used - gap))?.fill(0);
        used = 16;
    }
    (used == 16).then_some(Inet { bytes, v6: true, bits })
}

fn put(bytes: &mut [u8; 16], used: &mut usize, value: u16) -> Option<()> {
    bytes.get_mut(*used..*used + 2)?.copy_from_slice(&value.to_be_bytes());
    *used += 2;
    Some(())
}

/// IPv4 at the end of IPv6: at most four octets without leading zeros, and perhaps a prefix length. Returns that.
fn embedded_v4(text: &[u8], octets: &mut [u8]) -> Option<u8> {
    let (mut at, mut n) = (0, 0);
    loop {
        let (value, digits) = decimal(text.get(at..)?);
        if digits > 1 && text.get(at) == Some(&b'0') {
            return None;
        }
        let end = text.get(at + digits);
        // Only the last octet must have a digit.
        if (end.is_none() && digits == 0) || n > 3 {
            return None;
        }
        *octets.get_mut(n)? = u8::try_from(value).ok()?;
        n += 1;
        at += digits + 1;
        match end {
            None => return Some(128),
            Some(b'.') => {}
            Some(b'/') => return prefix_length(text.get(at..)?),
            Some(_) => return None,
        }
    }
}

fn prefix_length(text: &[u8]) -> Option<u8> {
    let (bits, digits) = decimal(text);
    let plain = digits > 0 && digits == text.len() && (digits == 1 || text.first() != Some(&b'0'));
    (plain && bits <= 128).then_some(bits as u8)
}

impl fmt::Display for Inet {
    /// As PostgreSQL prints an `inet`: no prefix length when it covers one address.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.v6 {
            self.fmt_v6(f)?;
        } else {
            fmt_v4(&self.bytes[..4], f)?;
        }
        if self.bits == if self.v6 { 128 } else { 32 } { Ok(()) } else { write!(f, "/{}", self.bits) }
    }
}

fn fmt_v4(octets: &[u8], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    for (i, octet) in octets.iter().enumerate() {
        write!(f, "{}{octet}", if i == 0 { "" } else { "." })?;
    }
    Ok(())
}

impl Inet {
    fn fmt_v6(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut words = [0u16; 8];
        for (word, pair) in words.iter_mut().zip(self.bytes.chunks_exact(2)) {
            *word = u16::from_be_bytes([pair[0], pair[1]]);
        }
        // The first of the longest runs of at least two zero words becomes `::`.
        let (mut base, mut length) = (0, 0);
        let mut run = 0;
        for (i, word) in words.iter().enumerate() {
            run = if *word == 0 { run + 1 } else { 0 };
            if run > length {
                (base, length) = (i + 1 - run, run);
            }
        }
        if length < 2 {
            length = 0;
        }
        // Addresses in which an IPv4 address is embedded end in its dotted form.
        let embedded = base == 0 && (length == 6 || (length == 5 && words[5] == 0xffff));
        for (i, word) in words.iter().enumerate() {
            if length > 0 && (base..base + length).contains(&i) && !(embedded && i >= 6) {
                if i == base {
                    f.write_str(":")?;
                }
                continue;
            }
            if i > 0 {
                f.write_str(":")?;
            }
            if embedded && i == 6 {
                return fmt_v4(&self.bytes[12..], f);
            }
            write!(f, "{word:x}")?;
        }
        if length > 0 && base + length == 8 {
            f.write_str(":")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn spellings_become_postgresqls_own() {
        for (text, expected) in [
            ("10.0.0.1", "10.0.0.1"),
            ("010.0.0.01", "10.0.0.1"),
            ("10.0.0.1/32", "10.0.0.1"),
            ("10.1/16", "10.1.0.0/16"),
            ("2001:DB8:0:0:0:0:0:1", "2001:db8::1"),
            ("2001:db8::1/128", "2001:db8::1"),
            ("fe80::/10", "fe80::/10"),
            ("::ffff:1.2.3.4", "::ffff:1.2.3.4"),
            ("::ffff:102:304", "::ffff:1.2.3.4"),
            ("64:ff9b::192.0.2.33", "64:ff9b::c000:221"),
            ("::", "::"),
            ("::1", "::1"),
            ("::1:2", "::0.1.0.2"),
            ("1:0:0:2:0:0:0:3", "1:0:0:2::3"),
        ] {
            assert_eq!(text.parse::<Inet>().map(|i| i.to_string()).as_deref(), Ok(expected), "{text}");
        }
    }

    #[test]
    fn what_postgresql_refuses_is_refused() {
        for text in [
            "",
            " 10.0.0.1",
            "10.0.0.1 ",
            "unknown",
            "10.1",
            "1.2.3.4.5",
            "10.0.0.256",
            "10.0.0.1/33",
            "fe80::1%eth0",
            "1::2::3",
            ":1",
            "1:",
            "192.0.2.1, 10.0.0.9",
            "12345::",
            "::1/129",
            "10.0.0.1:80",
        ] {
            assert!(text.parse::<Inet>().is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_taken_or_refused_and_what_is_printed_reads_back(text in "[0-9a-f:./ ]{0,24}|.{0,12}") {
            if let Ok(inet) = text.parse::<Inet>() {
                prop_assert_eq!(inet.to_string().parse::<Inet>(), Ok(inet));
                let mut binary = Vec::new();
                inet.append_binary(&mut binary);
                prop_assert_eq!(Inet::from_binary(&binary), Some(inet));
                prop_assert_eq!(Inet::from_binary(&binary[1..]), None);
            }
        }
    }
}
