//! How fast a scan may go: as fast as it can, so many rows a second, or not at all for a while.

use std::num::NonZeroU32;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

/// Rows after which a reader asks whether to wait, and other tasks of its thread get a turn.
pub(super) const TURN: u32 = 512;
/// A throttled reader asks at least so many times a second, so that its rows do not come in bursts.
const TURNS_A_SECOND: u32 = 20;
/// Time that may be made up for after a wait that took too long.
const CREDIT: Duration = Duration::from_millis(100);
/// A pause longer than this gives the snapshot up, so that it does not keep the server from removing dead rows.
const PATIENCE: Duration = Duration::from_secs(60);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Setting {
    paused_since: Option<Instant>,
    per_second: Option<NonZeroU32>,
}

/// Shared by the readers of a scan and whoever steers it.
#[derive(Debug)]
pub struct Pace {
    setting: watch::Sender<Setting>,
    governor: Mutex<Governor>,
    /// Of all pauses that have ended.
    paused_for: Mutex<Duration>,
    patience: Duration,
    begun: Instant,
}

impl Default for Pace {
    fn default() -> Self {
        Self::patient_for(PATIENCE)
    }
}

impl Pace {
    /// Gives snapshots up in pauses longer than this; [`Pace::default`] does after a minute.
    pub fn patient_for(patience: Duration) -> Self {
        Self {
            setting: watch::Sender::new(Setting { paused_since: None, per_second: None }),
            governor: Mutex::default(),
            paused_for: Mutex::default(),
            patience,
            begun: Instant::now(),
        }
    }

    /// Stops reading after the rows that are on their way, or goes on.
    pub fn pause(&self, paused: bool) {
        self.setting.send_if_modified(|setting| {
            match (setting.paused_since, paused) {
                (None, true) => setting.paused_since = Some(Instant::now()),
                (Some(since), false) => {
                    *self.paused_for.lock().unwrap_or_else(PoisonError::into_inner) += since.elapsed();
                    setting.paused_since = None;
                }
                _ => return false,
            }
            true
        });
    }

    /// Reads at most so many rows a second, all readers together; `None`: as many as there are.
    pub fn throttle(&self, per_second: Option<NonZeroU32>) {
        self.setting.send_modify(|setting| setting.per_second = per_second);
    }

    /// Whether it is paused.
    pub fn is_paused(&self) -> bool {
        self.setting.borrow().paused_since.is_some()
    }

    /// How long the scan has run, without pauses.
    pub fn running(&self) -> Duration {
        let until = self.setting.borrow().paused_since.unwrap_or_else(Instant::now);
        let paused = *self.paused_for.lock().unwrap_or_else(PoisonError::into_inner);
        until.duration_since(self.begun).saturating_sub(paused)
    }

    /// Waits for the end of a pause, or for `stop`.
    pub(crate) async fn until_resumed(&self, stop: &CancellationToken) {
        let mut setting = self.setting.subscribe();
        tokio::select! {
            // An error would say that this is being dropped.
            _ = setting.wait_for(|setting| setting.paused_since.is_none()) => {}
            () = stop.cancelled() => {}
        }
    }

    /// Whether the pause is longer than a snapshot should be held.
    pub(super) fn is_given_up(&self) -> bool {
        self.setting.borrow().paused_since.is_some_and(|since| since.elapsed() >= self.patience)
    }

    /// Rows until a reader asks next.
    pub(super) fn turn(&self) -> u32 {
        let per_second = self.setting.borrow().per_second;
        per_second.map_or(TURN, |rate| (rate.get() / TURNS_A_SECOND).clamp(1, TURN))
    }

    /// A reader has read so many rows: waits as long as it shall, but not beyond `stop`.
    pub(super) async fn take(&self, rows: u32, stop: &CancellationToken) {
        let mut setting = self.setting.subscribe();
        let Setting { paused_since, per_second } = *setting.borrow_and_update();
        if paused_since.is_none() && per_second.is_none() {
            return tokio::task::yield_now().await;
        }
        let governor = || self.governor.lock().unwrap_or_else(PoisonError::into_inner);
        governor().charge(rows, per_second, self.begun.elapsed());
        loop {
            let Setting { paused_since, per_second } = *setting.borrow_and_update();
            let wait = match paused_since {
                Some(since) => self.patience.saturating_sub(since.elapsed()),
                None if per_second.is_none() => return,
                None => governor().wait(self.begun.elapsed()),
            };
            if wait.is_zero() {
                return;
            }
            tokio::select! {
                () = sleep(wait) => {}
                // A new setting: think again.
                _ = setting.changed() => {}
                () = stop.cancelled() => return,
            }
        }
    }
}

/// Spaces rows out.
#[derive(Debug, Default)]
struct Governor {
    /// When the rows charged so far are due, counted from the beginning of the scan.
    due: Duration,
}

impl Governor {
    fn charge(&mut self, rows: u32, per_second: Option<NonZeroU32>, now: Duration) {
        let from = self.due.max(now.saturating_sub(CREDIT));
        let cost = per_second.map_or(0.0, |rate| f64::from(rows) / f64::from(rate.get()));
        self.due = from + Duration::from_secs_f64(cost);
    }

    fn wait(&self, now: Duration) -> Duration {
        self.due.saturating_sub(now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn no_second_lets_more_through_than_the_rate_and_the_credit(
            rate in 1u32..200_000,
            // Rows, and how much longer than asked the reader slept, in microseconds.
            steps in prop::collection::vec((1u32..=512, 0u64..200_000), 1..200),
        ) {
            let per_second = NonZeroU32::new(rate);
            let mut governor = Governor::default();
            let (mut now, mut passed) = (Duration::ZERO, 0u64);
            for (rows, late) in steps {
                governor.charge(rows, per_second, now);
                now += governor.wait(now) + Duration::from_micros(late);
                passed += u64::from(rows);
                let most = f64::from(rate) * (now + CREDIT).as_secs_f64();
                prop_assert!(passed as f64 <= most * (1.0 + 1e-6) + 1.0, "{passed} rows by {now:?}");
            }
        }
    }

    #[test]
    fn a_throttled_reader_is_let_through_at_its_rate() {
        let (mut governor, mut now) = (Governor::default(), Duration::ZERO);
        for _ in 0..100 {
            governor.charge(50, NonZeroU32::new(1000), now);
            now += governor.wait(now);
        }
        assert_eq!(now, Duration::from_secs(5), "5000 rows at 1000 a second");
    }

    #[tokio::test]
    async fn a_pause_holds_until_it_ends_or_the_scan_is_stopped() {
        let (pace, stop) = (Pace::default(), CancellationToken::new());
        pace.pause(true);
        pace.pause(true);
        let mut waiting = Box::pin(pace.take(1, &stop));
        assert!(futures_util::poll!(waiting.as_mut()).is_pending());
        pace.pause(false);
        waiting.await;
        assert!(!pace.is_paused() && !pace.is_given_up());
        pace.pause(true);
        let mut waiting = Box::pin(pace.take(1, &stop));
        assert!(futures_util::poll!(waiting.as_mut()).is_pending());
        stop.cancel();
        waiting.await;
        pace.until_resumed(&stop).await;
    }

    #[test]
    fn slow_readers_ask_more_often() {
        let pace = Pace::default();
        assert_eq!(pace.turn(), TURN);
        for (rate, turn) in [(1, 1), (1000, 50), (1_000_000, TURN)] {
            pace.throttle(NonZeroU32::new(rate));
            assert_eq!(pace.turn(), turn);
        }
    }
}
