//! What the rows at hand have cost, and with that what a refresh costs.

use std::time::Duration;

/// Who refreshes a view that took longer is told before.
pub(crate) const LONG: Duration = Duration::from_secs(2);

/// What a page cost.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Cost {
    /// The time until it was there.
    pub(crate) took: Duration,
    /// How it was found, once that is known.
    pub(crate) way: Option<String>,
}

impl Cost {
    /// From this time on somebody had to wait.
    pub(crate) const SLOW: Duration = Duration::from_millis(200);
}

/// The time of opening a view, and of the walk past events that do not match.
#[derive(Debug, Default)]
pub(crate) struct Spent {
    time: Duration,
    /// Until when a refresh is done although it costs as much again.
    insisted_until: Option<Duration>,
}

impl Spent {
    /// The time that opening took.
    pub(crate) fn of(time: Duration) -> Self {
        Self { time, insisted_until: None }
    }

    /// The walk has gone on.
    pub(crate) fn add(&mut self, time: Duration) {
        self.time += time;
    }

    /// About the time that a refresh takes, where that is long and nobody insists: whoever asks again until `insisted` does.
    pub(crate) fn again(&mut self, clock: Duration, insisted: Duration) -> Option<Duration> {
        let is_insisted = self.insisted_until.take().is_some_and(|until| clock < until);
        (self.time >= LONG && !is_insisted).then(|| {
            self.insisted_until = Some(insisted);
            self.time
        })
    }
}
