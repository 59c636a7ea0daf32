//! The tempo of a timeline: gaps and bursts, compared with what is usual near them, and the search for the next gap.

use crate::domain::{EventKey, Timestamp};
use crate::store::listing::timeline;
use crate::store::query::{Pace, Query, Seek};
use crate::store::{ReadDb, StoreError};
use tokio_util::sync::CancellationToken;

/// So many times between neighbours on either side tell what is usual for a gap.
const NEAR: usize = 32;

/// A gap is at least so long, in microseconds: a minute.
const LEAST: i64 = 60_000_000;

/// A gap is at least so many times as long as what is usual, and in a burst events follow each other so many times as fast.
const TIMES: i64 = 20;

/// Events of a burst, at least.
const BURST: usize = 5;

/// Events that a search for a gap passes, at most.
pub const MOST: usize = 100_000;

/// Events that it asks for at once.
const AT_ONCE: usize = 2_000;

/// How an event lies among its neighbours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tempo {
    /// Microseconds since the event before it; `None` where that is not at hand.
    pub elapsed: Option<i64>,
    /// That is long, compared with what is usual near it.
    pub is_gap: bool,
    /// It is one of many in a short time.
    pub in_burst: bool,
}

/// The pace of a stretch: what half of the times between neighbours do not exceed, in microseconds. Those within one instant
/// do not count: an import of many events would hide itself.
pub fn pace(times: impl Iterator<Item = Timestamp>) -> i64 {
    let times: Vec<Timestamp> = times.collect();
    let lengths = times.windows(2).map(|pair| between(pair[0], pair[1]));
    let mut lengths: Vec<i64> = lengths.filter(|length| *length > 0).collect();
    let at = lengths.len() / 2;
    if lengths.is_empty() { 0 } else { *lengths.select_nth_unstable(at).1 }
}

/// The tempo at a place of a list, newest first; `time` has the time of each place, and `pace` is that of the stretch.
pub fn tempo(time: impl Fn(usize) -> Option<Timestamp>, at: usize, pace: i64) -> Tempo {
    let slow = pace.saturating_mul(BURST as i64 - 1);
    let is_dense = |first: usize| {
        let length = time(first).zip(time(first + BURST - 1)).map(|(newest, oldest)| between(newest, oldest));
        length.is_some_and(|length| length.saturating_mul(TIMES) < slow)
    };
    Tempo {
        elapsed: elapsed(&time, at),
        is_gap: is_gap(&time, at),
        in_burst: (at.saturating_sub(BURST - 1)..=at).any(is_dense),
    }
}

/// Whether the time between a place and the next one is long: a minute or more, and so many times as long as half of the
/// times near it.
fn is_gap(time: &impl Fn(usize) -> Option<Timestamp>, at: usize) -> bool {
    // What is too short at any tempo is most of them.
    let Some(length) = elapsed(time, at).filter(|length| *length >= LEAST) else { return false };
    let mut near: Vec<i64> =
        (at.saturating_sub(NEAR)..=at + NEAR).filter_map(|place| elapsed(time, place)).collect();
    let middle = near.len() / 2;
    length / TIMES >= *near.select_nth_unstable(middle).1
}

/// The time between a place and the next one.
fn elapsed(time: &impl Fn(usize) -> Option<Timestamp>, at: usize) -> Option<i64> {
    time(at).zip(time(at + 1)).map(|(one, other)| between(one, other))
}

fn between(one: Timestamp, other: Timestamp) -> i64 {
    one.as_micros().saturating_sub(other.as_micros()).saturating_abs()
}

/// Where a search for a gap stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Search {
    /// Events in the order of the walk; what is near the first one to look at, too.
    keys: Vec<EventKey>,
    /// Place of the next event to look at: whether a gap lies between it and the one behind it.
    at: usize,
    newer: bool,
}

impl Search {
    /// A search from the event at `selected` on among those at hand, `keys`, newest first. With `newer` towards the present.
    pub fn new(mut keys: Vec<EventKey>, selected: usize, newer: bool) -> Self {
        let mut at = selected + 1;
        if newer {
            keys.reverse();
            at = keys.len().saturating_sub(at);
        }
        let passed = at.saturating_sub(NEAR).min(keys.len());
        keys.drain(..passed);
        Self { keys, at: at - passed, newer }
    }

    /// The event after the next gap among those at hand; `None` where it takes more of them to know. With `whole` there are
    /// no more.
    pub fn step(&mut self, whole: bool) -> Option<EventKey> {
        let time = |at: usize| self.keys.get(at).map(|key| key.timestamp);
        while self.at + 1 < self.keys.len() && (whole || self.at + 1 + NEAR < self.keys.len()) {
            let at = self.at;
            self.at += 1;
            if is_gap(&time, at) {
                return self.keys.get(if self.newer { at + 1 } else { at }).cloned();
            }
        }
        None
    }
}

/// How a search ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sought {
    /// At the event after a gap.
    Gap(EventKey),
    /// At the end of the query.
    End,
    /// After [`MOST`] events without one; the last of them.
    Limit(EventKey),
}

/// Looks for the next gap of a query beyond the events at hand. `tell` learns how many have been passed, and the last one.
///
/// # Errors
/// [`StoreError`].
pub async fn next_gap(
    db: &ReadDb,
    query: &Query,
    mut search: Search,
    tell: &(dyn Fn(usize, &EventKey) + Sync),
    cancel: &CancellationToken,
) -> Result<Sought, StoreError> {
    let mut passed = 0;
    while let Some(last) = search.keys.last().cloned() {
        if passed >= MOST {
            return Ok(Sought::Limit(last));
        }
        tell(passed, &last);
        let seek = if search.newer { Seek::NewerThan(last) } else { Seek::OlderThan(last) };
        let mut page = timeline::keys(db, query, &seek, AT_ONCE, Pace::default(), cancel).await?;
        let goes_on = if search.newer { page.has_newer } else { page.has_older };
        if search.newer {
            page.rows.reverse();
        }
        passed += page.rows.len();
        let is_end = !goes_on || page.rows.is_empty();
        search.keys.append(&mut page.rows);
        match search.step(is_end) {
            Some(key) => return Ok(Sought::Gap(key)),
            None if is_end => break,
            None => {}
        }
    }
    Ok(Sought::End)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Times from the lengths between them in seconds, newest first.
    fn times(lengths: &[i64]) -> Vec<Timestamp> {
        let mut at = 1_000_000_000;
        let mut times = vec![Timestamp::from_micros(at * 1_000_000)];
        for length in lengths {
            at -= length;
            times.push(Timestamp::from_micros(at * 1_000_000));
        }
        times
    }

    fn all(lengths: &[i64]) -> Vec<Tempo> {
        let times = times(lengths);
        let pace = pace(times.iter().copied());
        (0..times.len()).map(|at| tempo(|at| times.get(at).copied(), at, pace)).collect()
    }

    /// Places where something holds.
    fn places(lengths: &[i64], holds: fn(&Tempo) -> bool) -> Vec<usize> {
        all(lengths).iter().enumerate().filter_map(|(at, tempo)| holds(tempo).then_some(at)).collect()
    }

    fn gaps(lengths: &[i64]) -> Vec<usize> {
        places(lengths, |tempo| tempo.is_gap)
    }

    fn bursts(lengths: &[i64]) -> Vec<usize> {
        places(lengths, |tempo| tempo.in_burst)
    }

    #[test]
    fn a_gap_is_long_compared_with_what_is_usual_near_it() {
        assert_eq!(gaps(&[10, 10, 199, 200, 10, 10, 10]), [3]);
        assert_eq!(gaps(&[1, 1, 59, 60, 1, 1, 1]), [3], "shorter than a minute is none");
        assert_eq!(gaps(&[3_600; 40]), Vec::<usize>::new(), "where all are long, none is");
        // What is usual is usual near it only: the night has other times than the day.
        let mut lengths = vec![5; 80];
        lengths.extend([900; 80]);
        lengths[40] = 3_000;
        lengths[120] = 3_000;
        assert_eq!(gaps(&lengths).first(), Some(&40));
        assert!(!gaps(&lengths).contains(&120), "{:?}", gaps(&lengths));
        // Infinities are as far away as can be, which is not yet long compared with what is usual there.
        let infinite = [Timestamp::INFINITY, Timestamp::from_micros(0), Timestamp::NEG_INFINITY];
        assert!(!(0..3).any(|at| tempo(|at| infinite.get(at).copied(), at, 0).is_gap));
        assert_eq!(all(&[]), [Tempo::default()]);
        assert_eq!(all(&[7])[0], Tempo { elapsed: Some(7_000_000), is_gap: false, in_burst: false });
    }

    #[test]
    fn a_burst_is_many_events_in_a_time_that_is_short_on_its_stretch() {
        let mut lengths = vec![600; 30];
        lengths[10..14].fill(20);
        assert_eq!(bursts(&lengths), [10, 11, 12, 13, 14], "five events");
        lengths[13] = 600;
        assert_eq!(bursts(&lengths), Vec::<usize>::new(), "four are none");
        // What is everywhere is none; an import that is most of the stretch is one still.
        lengths[5..25].fill(0);
        assert_eq!(bursts(&lengths), (5..=25).collect::<Vec<_>>());
        let import: Vec<i64> = (0..300).map(|n| if n < 250 { 0 } else { 600 }).collect();
        assert_eq!(bursts(&import), (0..=250).collect::<Vec<_>>());
        assert_eq!(bursts(&[1; 40]), Vec::<usize>::new());
        assert_eq!(bursts(&[0; 40]), Vec::<usize>::new());
        // Gaps between sessions do not make each session a burst.
        let sessions: Vec<i64> = (1..60).map(|n| if n % 10 == 0 { 86_400 } else { 60 + n }).collect();
        assert_eq!((bursts(&sessions), gaps(&sessions)), (vec![], vec![9, 19, 29, 39, 49]));
        let short: Vec<i64> = (1..60).map(|n| if n % 4 == 0 { 3_000 } else { 40 }).collect();
        assert_eq!(bursts(&short), Vec::<usize>::new());
    }

    #[test]
    fn a_search_finds_what_is_marked_in_both_directions_and_in_pieces() {
        let lengths: Vec<i64> =
            (0..400).map(|n| if n % 71 == 50 { 4_000 + n } else { 1 + n * 7 % 13 }).collect();
        let times = times(&lengths);
        let key = |at: usize| EventKey { timestamp: times[at], event_id: format!("e{at:03}") };
        let marked: Vec<String> = gaps(&lengths).into_iter().map(|at| key(at).event_id).collect();
        assert_eq!(marked.len(), 5);
        let keys: Vec<EventKey> = (0..times.len()).map(key).collect();
        for at_hand in [1, 30, 70, 401] {
            for newer in [false, true] {
                let (mut found, mut selected) = (Vec::new(), if newer { 400 } else { 0 });
                // From the selected event on, of which some neighbours are at hand; the others come piece by piece.
                loop {
                    let (first, end) = (selected.max(at_hand) - at_hand, (selected + at_hand).min(401));
                    let mut search = Search::new(keys[first..end].to_vec(), selected - first, newer);
                    let mut more: Vec<EventKey> =
                        if newer { keys[..first].to_vec() } else { keys[end..].to_vec() };
                    let gap = loop {
                        if let Some(gap) = search.step(more.is_empty()) {
                            break Some(gap);
                        }
                        if more.is_empty() {
                            break None;
                        }
                        let piece = more.len().min(90);
                        if newer {
                            let rest = more.len() - piece;
                            search.keys.extend(more.drain(rest..).rev());
                        } else {
                            search.keys.extend(more.drain(..piece));
                        }
                    };
                    let Some(gap) = gap else { break };
                    selected = keys.iter().position(|key| *key == gap).unwrap();
                    found.push(gap.event_id);
                }
                let mut wanted = marked.clone();
                if newer {
                    wanted.reverse();
                }
                assert_eq!(found, wanted, "{at_hand} {newer}");
            }
        }
    }
}
