//! Waiting between tries.

use std::time::Duration;

/// Waits that double up to a longest one.
#[derive(Debug, Clone)]
pub(super) struct Pause {
    next: Duration,
    longest: Duration,
}

impl Pause {
    pub(super) fn new((first, longest): (Duration, Duration)) -> Self {
        Self { next: first.min(longest), longest }
    }

    pub(super) fn next(&mut self) -> Duration {
        let now = self.next;
        self.next = (now * 2).min(self.longest);
        now
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_longest() {
        let mut pause = Pause::new((Duration::from_millis(100), Duration::from_millis(350)));
        let waits: Vec<u128> = (0..4).map(|_| pause.next().as_millis()).collect();
        assert_eq!(waits, [100, 200, 350, 350]);
    }
}
