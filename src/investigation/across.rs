//! Events from one address, counted in every organisation: the one question that crosses organisations on purpose.
//!
//! Each organisation is still entered by itself, with a scope and a statement of its own; what comes out is a number and
//! two times of each, never an event. Row-level security decides which organisations there are.

use crate::domain::{OrgId, OrgScope, TimeRange, Timestamp};
use crate::filter::{Expr, Field, Filter, Match, Matcher};
use crate::store::aggregate::organizations;
use crate::store::aggregate::summary::{self, By};
use crate::store::listing::bounds::{self, BoundsError};
use crate::store::query::Query;
use crate::store::{ReadDb, StoreError};
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;

/// Organisations that are asked without insisting.
pub const MAX_ORGANIZATIONS: usize = 1_000;

/// An organisation, and how many of its events are from the address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tally {
    /// The organisation.
    pub organization: OrgId,
    /// The time that was looked at; `None` when the organisation was not counted.
    pub range: Option<TimeRange>,
    /// What was counted; `None` when the time ran out before.
    pub counted: Option<Counted>,
}

/// Events of one organisation from the address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counted {
    /// How many.
    pub events: u64,
    /// Times of the first and the last one.
    pub times: Option<(Timestamp, Timestamp)>,
}

/// Whether a filter asks for one address and nothing else; it may have times, but no surroundings of an event.
pub fn is_one_address(filter: &Filter) -> bool {
    let [Expr::Match(Match { field: Field::ActorIp, any_of })] = filter.conditions() else { return false };
    let [Matcher::Network(network)] = any_of.as_slice() else { return false };
    // A network of more than one address is printed with its length.
    filter.around().is_none() && !network.to_string().contains('/')
}

/// The organisations that the session may read, by id.
///
/// # Errors
/// [`StoreError`], also [`StoreError::NothingGranted`].
pub async fn organizations(db: &ReadDb, cancel: &CancellationToken) -> Result<Vec<OrgId>, StoreError> {
    let found = organizations::list(db, cancel).await?;
    Ok(found.into_iter().map(|organization| organization.id).collect())
}

/// Counts in each of the organisations, those with most events first; those that `budget` does not suffice for come last,
/// without a number. The filter is one that [`is_one_address`].
///
/// # Errors
/// [`BoundsError`], also for a time that cannot be resolved.
pub async fn count(
    db: &ReadDb,
    organizations: Vec<OrgId>,
    filter: &Filter,
    (now, window): (Timestamp, Duration),
    budget: Duration,
    cancel: &CancellationToken,
) -> Result<Vec<Tally>, BoundsError> {
    let begun = Instant::now();
    let mut tallies = Vec::with_capacity(organizations.len());
    for organization in organizations {
        let mut tally = Tally { organization, range: None, counted: None };
        if begun.elapsed() < budget {
            let scope = OrgScope::enter(tally.organization.clone());
            match one(db, scope, filter, (now, window), cancel).await {
                Ok((range, counted)) => (tally.range, tally.counted) = (Some(range), Some(counted)),
                Err(BoundsError::Store(StoreError::TimedOut { .. })) => {}
                Err(other) => return Err(other),
            }
        }
        tallies.push(tally);
    }
    tallies.sort_by_key(|tally| std::cmp::Reverse(tally.counted.map(|counted| counted.events)));
    Ok(tallies)
}

/// Counts in one organisation.
async fn one(
    db: &ReadDb,
    scope: OrgScope,
    filter: &Filter,
    (now, window): (Timestamp, Duration),
    cancel: &CancellationToken,
) -> Result<(TimeRange, Counted), BoundsError> {
    let range = bounds::freeze(db, &scope, filter, now, window, cancel).await?.range;
    let query = Query { scope, filter: filter.clone(), range };
    let found = summary::groups(db, &query, &[By::Ip], false, 1, cancel).await?;
    let times = found.groups.first().and_then(|group| group.times);
    Ok((range, Counted { events: found.events, times }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_one_address_and_times_may_be_asked_of_all() {
        let is_one = |text: &str| is_one_address(&Filter::parse(text).unwrap());
        for one in ["ip:203.0.113.70", "since:-7d ip:203.0.113.70/32", "all-time ip:2001:db8::1"] {
            assert!(is_one(one), "{one}");
        }
        for other in [
            "",
            "ip:203.0.113.64/26",
            "ip:203.0.113.70,203.0.113.71",
            "ip:203.0.113.70 sev:critical",
            "-ip:203.0.113.70",
            "ip:null",
            "ip:*",
            "actor:eve",
            "ip:203.0.113.70 OR actor:eve",
            "around:evt-1 ip:203.0.113.70",
            "ip:203.0.113.70 tod:22:00..06:00",
        ] {
            assert!(!is_one(other), "{other}");
        }
    }
}
