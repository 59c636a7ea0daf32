//! What a filter says.

use super::error::{FilterError, RangeError};
use super::field::Field;
use super::parser;
use super::when::When;
use crate::domain::{TimeRange, Timestamp};
use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;
use std::time::Duration;

/// A parsed filter. The default one matches every event.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Filter {
    /// First instant inside, as written.
    pub(super) since: Option<When>,
    /// First instant behind, as written.
    pub(super) until: Option<When>,
    /// Lifts the default window.
    pub(super) all_time: bool,
    /// The top-level AND, time terms taken out.
    pub(super) all_of: Vec<Expr>,
}

/// A condition on an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Expr {
    /// Holds where the inner one does not: also where a column is null.
    Not(Box<Expr>),
    /// A field against values.
    Match(Match),
}

/// `field:value,value`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Match {
    /// What is looked at.
    pub field: Field,
    /// Holds when one of them does; never empty.
    pub any_of: Vec<Matcher>,
}

/// One value of a [`Match`], fit for the kind of its field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Matcher {
    /// `*`: there is a value.
    Present,
    /// `null`: there is none.
    Absent,
    /// The whole value.
    Equals(String),
    /// `v*`: the value begins with it.
    Prefix(String),
    /// `~v`: the value has it somewhere.
    Contains(String),
    /// The address lies in the network.
    Network(Network),
    /// `TYPE/ID` or `TYPE/ID*`.
    Resource {
        /// Whole type of the resource; has no `/`.
        resource_type: String,
        /// Its id.
        id: String,
        /// The id is only the beginning of one.
        prefix: bool,
    },
}

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
        let address = match address {
            IpAddr::V4(a) => {
                IpAddr::V4((a.to_bits() & u32::MAX.checked_shl(32 - u32::from(bits)).unwrap_or(0)).into())
            }
            IpAddr::V6(a) => {
                IpAddr::V6((a.to_bits() & u128::MAX.checked_shl(128 - u32::from(bits)).unwrap_or(0)).into())
            }
        };
        Ok(Self { address, bits })
    }
}

impl fmt::Display for Network {
    /// Without the number of bits where all count, as PostgreSQL prints an `inet`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.address)?;
        if self.bits == Self::width(self.address) { Ok(()) } else { write!(f, "/{}", self.bits) }
    }
}

impl Filter {
    /// Longest text of a filter, in bytes; keeps a statement within the number of parameters PostgreSQL takes.
    pub const MAX_LENGTH: usize = 32 * 1024;

    /// Reads a filter.
    ///
    /// # Errors
    /// With the place, and what to write instead.
    pub fn parse(text: &str) -> Result<Self, FilterError> {
        parser::parse(text)
    }

    /// The text in its one canonical spelling: `parse(canonical(f)) == f`. Cursors and caches go by it.
    pub fn canonical(&self) -> String {
        self.to_string()
    }

    /// The conditions, all of which must hold. Time terms are not among them; [`Self::range`] resolves those.
    pub fn conditions(&self) -> &[Expr] {
        &self.all_of
    }

    /// Whether the filter says itself how far back it looks, by `since:` or `all-time`.
    pub fn has_window(&self) -> bool {
        self.since.is_some() || self.all_time
    }

    /// Adds a lower bound from outside the text (`--since`).
    ///
    /// # Errors
    /// When the filter has one already, or the text is no time.
    pub fn set_since(&mut self, text: &str) -> Result<(), FilterError> {
        parser::set_bound(&mut self.since, "since", text)
    }

    /// Adds an upper bound from outside the text (`--until`).
    ///
    /// # Errors
    /// As [`Self::set_since`].
    pub fn set_until(&mut self, text: &str) -> Result<(), FilterError> {
        parser::set_bound(&mut self.until, "until", text)
    }

    /// Lifts the default window (`--all-time`).
    pub fn set_all_time(&mut self) {
        self.all_time = true;
    }

    /// The absolute bounds at the instant `now`. A filter that does not say how far back it looks is confined to
    /// `default_window` before the end of the trail: its `newest` event, or an earlier `until:`. An event whose time
    /// lies in the future does not move that window.
    ///
    /// # Errors
    /// When no instant can lie between the bounds, or one of them is out of reach.
    pub fn range(
        &self,
        now: Timestamp,
        newest: Option<Timestamp>,
        default_window: Duration,
    ) -> Result<TimeRange, RangeError> {
        let resolve = |when: Option<When>| match when {
            None => Ok(None),
            Some(w) => w.at(now).map(Some).ok_or_else(|| RangeError::OutOfReach { when: w.to_string() }),
        };
        let until = resolve(self.until)?;
        let since = if self.has_window() {
            resolve(self.since)?
        } else {
            let end = newest.map_or(now, |n| n.min(now)).min(until.unwrap_or(Timestamp::INFINITY));
            let window = i64::try_from(default_window.as_micros()).unwrap_or(i64::MAX);
            Some(Timestamp::from_micros(end.as_micros().saturating_sub(window)))
        };
        match (since, until) {
            (Some(since), Some(until)) if since >= until => Err(RangeError::Empty { since, until }),
            _ => Ok(TimeRange { since, until }),
        }
    }
}
