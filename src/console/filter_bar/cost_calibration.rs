//! What the planner's unit of cost has been worth in milliseconds on this server.

use crate::filter::Filter;
use crate::store::listing::cost::Cost;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// Milliseconds of a unit before anything is known: a server with its data in memory.
const BEFORE: f64 = 0.015;
/// How much the newest page counts against all before.
const WEIGHT: f64 = 0.3;
/// Guesses that are remembered until their page has been read.
const REMEMBERED: usize = 20;
/// A page takes no less, whatever the planner says: the way there and back.
const LEAST: f64 = 1.0;

/// What is known of it.
#[derive(Debug, Default)]
pub(crate) struct CostCalibration(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    /// Milliseconds of a unit.
    unit: Option<f64>,
    /// Guesses whose pages may still be read, in units.
    guessed: Vec<(Filter, f64)>,
}

impl CostCalibration {
    fn known(&self) -> std::sync::MutexGuard<'_, Known> {
        // It is whole between any two of its operations.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How long the page of a guess will take.
    pub(crate) fn expect(&self, filter: &Filter, cost: &Cost) -> Duration {
        let mut known = self.known();
        known.guessed.retain(|(other, _)| other != filter);
        known.guessed.push((filter.clone(), cost.units));
        if known.guessed.len() > REMEMBERED {
            known.guessed.remove(0);
        }
        let milliseconds = (cost.units * known.unit.unwrap_or(BEFORE)).max(LEAST);
        Duration::from_secs_f64((milliseconds / 1e3).min(1e6))
    }

    /// A page has been read to its end.
    pub(crate) fn learn(&self, filter: &Filter, took: Duration) {
        let mut known = self.known();
        let Some(at) = known.guessed.iter().position(|(other, _)| other == filter) else { return };
        let (_, units) = known.guessed.remove(at);
        // Small pages tell about the way there and back only.
        if units > 100.0 {
            let unit = (took.as_secs_f64() * 1e3 / units).clamp(1e-5, 1.0);
            known.unit = Some(known.unit.map_or(unit, |before| before + WEIGHT * (unit - before)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::listing::explain::Way;
    use crate::store::query::Count;

    #[test]
    fn guesses_become_better_by_what_pages_took() {
        let pricing = CostCalibration::default();
        let cost = Cost {
            events: Count::Estimate(7),
            way: Way::Walk,
            indexes: Vec::new(),
            looked_at: Some(9),
            units: 10_000.0,
            cheaper: Vec::new(),
        };
        let filter = Filter::parse("ua~curl").unwrap();
        let other = Filter::parse("ua~wget").unwrap();
        assert_eq!(pricing.expect(&filter, &cost), Duration::from_millis(150));
        pricing.learn(&other, Duration::from_secs(9));
        assert_eq!(
            pricing.expect(&filter, &cost),
            Duration::from_millis(150),
            "that page was not guessed at"
        );
        pricing.learn(&filter, Duration::from_secs(1));
        assert_eq!(pricing.expect(&filter, &cost), Duration::from_secs(1));
        pricing.learn(&filter, Duration::from_secs(2));
        assert_eq!(pricing.expect(&filter, &cost), Duration::from_millis(1300));
    }
}
