//! The time terms of a filter as absolute bounds.

use super::ast::{Around, Center, Expr, Filter};
use super::error::RangeError;
use super::when::When;
use crate::domain::{TimeRange, Timestamp};
use std::time::Duration;

impl Filter {
    /// The absolute bounds at the instant `now`. A filter that does not say how far back it looks is confined to
    /// `default_window` before the end of the trail: its `newest` event, or an earlier `until:`. An event whose time
    /// lies in the future does not move that window.
    ///
    /// # Errors
    /// When no instant can lie between the bounds, one of them is out of reach, the filter needs bounds and has none,
    /// or asks what nobody has answered ([`Filter::supply`]). [`RangeError::Surroundings`] where the bounds depend on
    /// events: the store finds them out.
    pub fn range(
        &self,
        now: Timestamp,
        newest: Option<Timestamp>,
        default_window: Duration,
    ) -> Result<TimeRange, RangeError> {
        self.check()?;
        let range = match (self.around(), self.at) {
            (Some(Around { center: Center::Time(when), span: Some(span) }), _) => {
                Self::surroundings(self.resolve(*when, now)?, span.as_micros())
            }
            (Some(_), _) => return Err(RangeError::Surroundings),
            (None, Some(when)) => {
                let since = self.resolve(when, now)?;
                let until = when.end_of(since, self.zone()).ok_or_else(|| out_of_reach(when))?;
                TimeRange { since: Some(since), until: Some(until) }
            }
            (None, None) => self.window(now, newest, default_window)?,
        };
        if range.since.is_none() && self.needs_window() {
            return Err(RangeError::Unbounded);
        }
        match (range.since, range.until) {
            (Some(since), Some(until)) if since >= until => Err(RangeError::Empty { since, until }),
            _ => Ok(range),
        }
    }

    /// What does not depend on the bounds.
    pub(super) fn check(&self) -> Result<(), RangeError> {
        match self.unanswered() {
            Some(question) => Err(RangeError::NoFacts { field: question.field() }),
            None => Ok(()),
        }
    }

    /// The instant that `when` means at `now`, in the zone of the filter.
    ///
    /// # Errors
    /// When it is out of reach, or the clocks pass it twice or never.
    pub fn resolve(&self, when: When, now: Timestamp) -> Result<Timestamp, RangeError> {
        when.at(now, self.zone())?.ok_or_else(|| out_of_reach(when))
    }

    /// Everything within `micros` of an instant, both ends inside.
    pub fn surroundings(center: Timestamp, micros: i64) -> TimeRange {
        let at = |offset: i64| Timestamp::from_micros(center.as_micros().saturating_add(offset));
        TimeRange { since: Some(at(-micros)), until: Some(at(micros.saturating_add(1))) }
    }

    fn window(
        &self,
        now: Timestamp,
        newest: Option<Timestamp>,
        default_window: Duration,
    ) -> Result<TimeRange, RangeError> {
        let resolve = |when: Option<When>| when.map(|w| self.resolve(w, now)).transpose();
        let until = resolve(self.until)?;
        let since = if self.has_window() {
            resolve(self.since)?
        } else {
            let end = newest.map_or(now, |n| n.min(now)).min(until.unwrap_or(Timestamp::INFINITY));
            let window = i64::try_from(default_window.as_micros()).unwrap_or(i64::MAX);
            Some(Timestamp::from_micros(end.as_micros().saturating_sub(window)))
        };
        Ok(TimeRange { since, until })
    }

    /// Whether it reads the whole text of every event, which no index can help with.
    fn needs_window(&self) -> bool {
        self.all_of.iter().any(|e| e.any(&|e| matches!(e, Expr::Regex(_))))
    }
}

fn out_of_reach(when: When) -> RangeError {
    RangeError::OutOfReach { when: when.to_string() }
}
