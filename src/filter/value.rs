//! Values of predicates: networks, and what JSON values are compared with.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

/// An address with the number of its bits that count; the others are zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network {
    address: IpAddr,
    bits: u8,
}

impl Network {
    fn width(address: IpAddr) -> u8 {
        if address.is_ipv4() { 32 } else { 128 }
    }

    fn new(address: IpAddr, bits: u8) -> Self {
        let address = match address {
            IpAddr::V4(a) => {
                IpAddr::V4((a.to_bits() & u32::MAX.checked_shl(32 - u32::from(bits)).unwrap_or(0)).into())
            }
            IpAddr::V6(a) => {
                IpAddr::V6((a.to_bits() & u128::MAX.checked_shl(128 - u32::from(bits)).unwrap_or(0)).into())
            }
        };
        Self { address, bits }
    }

    /// Whether an address is in it; of the other family none is.
    pub fn contains(self, address: IpAddr) -> bool {
        address.is_ipv4() == self.address.is_ipv4() && Self::new(address, self.bits) == self
    }

    /// How many bits count: the more, the narrower.
    pub fn bits(self) -> u8 {
        self.bits
    }
}

impl FromStr for Network {
    type Err = ();

    /// `10.0.0.1`, `10.0.0.0/8`, `2001:db8::/32`. Bits outside the network are cleared.
    fn from_str(text: &str) -> Result<Self, ()> {
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) if bits.len() <= 3 && bits.bytes().all(|b| b.is_ascii_digit()) => {
                (address, Some(bits.parse::<u8>().map_err(drop)?))
            }
            Some(_) => return Err(()),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(drop)?;
        let width = Self::width(address);
        let bits = bits.unwrap_or(width);
        if bits > width {
            return Err(());
        }
        Ok(Self::new(address, bits))
    }
}

impl fmt::Display for Network {
    /// Without the number of bits where all count, as PostgreSQL prints an `inet`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.address)?;
        if self.bits == Self::width(self.address) { Ok(()) } else { write!(f, "/{}", self.bits) }
    }
}

/// A JSON value that is no container and not null.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// A string.
    Text(String),
    /// A number, as a token of JSON.
    Number(Number),
    /// `true` or `false`
    Bool(bool),
}

/// A number token of JSON with a size that the database can hold. Never a float.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Number(String);

impl Number {
    /// Longest token, in characters.
    const LONGEST: usize = 64;
    /// Greatest power of ten.
    const FARTHEST: i32 = 300;

    /// The token.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Number {
    type Err = ();

    /// A token as RFC 8259 has it: no leading zero, no `+`, digits on both sides of the point.
    fn from_str(text: &str) -> Result<Self, ()> {
        let digits = |t: &str| !t.is_empty() && t.bytes().all(|b| b.is_ascii_digit());
        let unsigned = text.strip_prefix('-').unwrap_or(text);
        let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
            Some((mantissa, exponent)) => (mantissa, Some(exponent)),
            None => (unsigned, None),
        };
        let (whole, fraction) = match mantissa.split_once('.') {
            Some((whole, fraction)) => (whole, Some(fraction)),
            None => (mantissa, None),
        };
        let near = |e: &str| {
            let unsigned = e.strip_prefix(['+', '-']).unwrap_or(e);
            digits(unsigned) && unsigned.parse::<i32>().is_ok_and(|n| n <= Self::FARTHEST)
        };
        let well_formed = digits(whole)
            && (whole == "0" || !whole.starts_with('0'))
            && fraction.is_none_or(digits)
            && exponent.is_none_or(near);
        if well_formed && text.len() <= Self::LONGEST { Ok(Self(text.to_owned())) } else { Err(()) }
    }
}

impl Value {
    /// What a bare word stands for: a number or a truth value where it looks like one, else a text.
    pub(super) fn of_bare(text: &str) -> Self {
        match text {
            "true" => Self::Bool(true),
            "false" => Self::Bool(false),
            _ => text.parse().map_or_else(|()| Self::Text(text.to_owned()), Self::Number),
        }
    }

    /// As a token of JSON.
    pub fn to_json(&self) -> String {
        match self {
            Self::Text(text) => json_string(text),
            Self::Number(number) => number.0.clone(),
            Self::Bool(truth) => truth.to_string(),
        }
    }
}

/// A text as a string of JSON.
pub fn json_string(text: &str) -> String {
    use fmt::Write as _;
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            c if c.is_control() => drop(write!(out, "\\u{:04x}", u32::from(c))),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}
