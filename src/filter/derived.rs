//! Filters made of another one: narrowed, widened, in another time.

use super::ast::{Expr, Filter, Matcher};
use super::when::When;
use crate::domain::Timestamp;

impl Filter {
    /// This filter with one more condition; its opposite, if it stands there, gives way.
    #[must_use]
    pub fn with(&self, condition: Expr) -> Self {
        let mut filter = self.clone();
        let opposite = condition.clone().not();
        filter.all_of.retain(|known| *known != opposite && *known != condition);
        filter.all_of.push(condition);
        filter
    }

    /// This filter with one more condition, whatever it says already: it never matches more than before.
    #[must_use]
    pub fn narrowed(&self, condition: Expr) -> Self {
        let mut filter = self.clone();
        if !filter.all_of.contains(&condition) {
            filter.all_of.push(condition);
        }
        filter
    }

    /// What this filter matches, and what meets one condition besides, in the same time: `actor:a` and `actor:b` make
    /// `actor:a,b`. A filter without conditions matches everything already.
    #[must_use]
    pub fn widened(&self, condition: Expr) -> Self {
        let mut filter = self.clone();
        let any = match (filter.all_of.as_mut_slice(), condition) {
            ([], _) => return filter,
            ([Expr::Match(known)], Expr::Match(added)) if known.field == added.field => {
                let new = added.any_of.into_iter().filter(|value| !known.any_of.contains(value));
                let new: Vec<Matcher> = new.collect();
                known.any_of.extend(new);
                return filter;
            }
            ([Expr::Or(parts)], condition) => {
                if !parts.contains(&condition) {
                    parts.push(condition);
                }
                return filter;
            }
            ([known], condition) if *known == condition => return filter,
            ([known], condition) => vec![known.clone(), condition],
            (known, condition) => vec![Expr::And(known.to_vec()), condition],
        };
        filter.all_of = vec![Expr::Or(any)];
        filter
    }

    /// The time terms of this filter, but for the surroundings of something, with one condition.
    #[must_use]
    pub fn with_only(&self, condition: Expr) -> Self {
        Self { around: None, all_of: vec![condition], ..self.clone() }
    }

    /// This filter from `since` on, before `until`, instead of its own time.
    #[must_use]
    pub fn within(&self, since: Timestamp, until: Timestamp) -> Self {
        let (since, until) = (Some(When::Instant(since)), Some(When::Instant(until)));
        Self { since, until, at: None, around: None, all_time: false, ..self.clone() }
    }
}
