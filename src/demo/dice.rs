//! Chance and identifiers: ChaCha8 under integer arithmetic only, so that a trail is the same on every platform.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng as _, SeedableRng as _};

/// A stream of chance, fixed by a seed and a stream number.
#[derive(Debug, Clone)]
pub(super) struct Dice(ChaCha8Rng);

impl Dice {
    /// The stream `stream` of `seed`.
    pub(super) fn new(seed: u64, stream: u64) -> Self {
        let mut key = [0; 32];
        key[..8].copy_from_slice(&seed.to_le_bytes());
        key[8..24].copy_from_slice(b"agenttrace-demo1");
        let mut rng = ChaCha8Rng::from_seed(key);
        rng.set_stream(stream);
        Self(rng)
    }

    /// A number in `0..bound`; 0 when `bound` is 0. (Multiply and shift: the bias of at most 2^-32 is of no
    /// consequence here, and there is no loop whose length could differ.)
    pub(super) fn below(&mut self, bound: u64) -> u64 {
        ((u128::from(self.0.next_u64()) * u128::from(bound)) >> 64) as u64
    }

    /// A number in `low..=high`.
    pub(super) fn between(&mut self, low: u64, high: u64) -> u64 {
        low + self.below(high - low + 1)
    }

    /// True in `per_mille` of 1000 cases.
    pub(super) fn chance(&mut self, per_mille: u64) -> bool {
        self.below(1000) < per_mille
    }

    /// One of `choices`, which must not be empty.
    pub(super) fn pick<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len() as u64) as usize]
    }

    /// The index of one of `weights`, in proportion; 0 when all are 0.
    pub(super) fn weighted(&mut self, weights: impl Iterator<Item = u64> + Clone) -> usize {
        let mut left = self.below(weights.clone().sum());
        for (index, weight) in weights.enumerate() {
            if left < weight {
                return index;
            }
            left -= weight;
        }
        0
    }

    /// 64 bits for an identifier.
    pub(super) fn bits(&mut self) -> u64 {
        self.0.next_u64()
    }
}

/// Sets apart the planted events: their ids depend on nothing but their place in the story.
const PLANTED: u64 = 1 << 63;

/// Identifiers of one organisation's events: no two alike, in no visible order.
#[derive(Debug, Clone)]
pub(super) struct EventIds {
    key: u64,
    next: u64,
}

impl EventIds {
    /// Ids of the everyday events of the organisation with this index, under a seed.
    pub(super) fn everyday(seed: u64, organization: usize) -> Self {
        Self { key: mix(seed) & !PLANTED, next: (organization as u64) << 48 }
    }

    /// Ids of the planted events, the same whatever the seed.
    pub(super) fn planted() -> Self {
        Self { key: PLANTED, next: 0 }
    }

    /// The next id.
    pub(super) fn next(&mut self) -> String {
        // Counter and key differ in the top bit between planted and everyday events, and `mix` is a bijection: an
        // id can repeat only if the counter does.
        let id = mix(self.next ^ self.key);
        self.next += 1;
        tagged("evt", id)
    }
}

/// `prefix-` and 13 characters of Crockford's base 32 (lower case), the whole of `bits`.
pub(super) fn tagged(prefix: &str, bits: u64) -> String {
    const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
    let mut text = String::with_capacity(prefix.len() + 14);
    text.push_str(prefix);
    text.push('-');
    for shift in (0..13).rev() {
        text.push(char::from(ALPHABET[(bits >> (5 * shift)) as usize & 31]));
    }
    text
}

/// The finaliser of SplitMix64: a bijection on 64 bits that leaves no pattern of a counter visible.
pub(super) fn mix(mut z: u64) -> u64 {
    z = z.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn numbers_stay_in_their_bounds_and_reach_both_ends() {
        let mut dice = Dice::new(1, 0);
        let seen: HashSet<u64> = (0..200).map(|_| dice.between(3, 7)).collect();
        assert_eq!(seen, HashSet::from([3, 4, 5, 6, 7]));
        assert_eq!(dice.below(0), 0);
        let index: HashSet<usize> = (0..200).map(|_| dice.weighted([0, 5, 0, 1].into_iter())).collect();
        assert_eq!(index, HashSet::from([1, 3]));
    }

    #[test]
    fn streams_and_seeds_differ() {
        let first = |seed, stream| Dice::new(seed, stream).bits();
        assert_ne!(first(1, 0), first(1, 1));
        assert_ne!(first(1, 0), first(2, 0));
        assert_eq!(first(1, 0), first(1, 0));
    }

    #[test]
    fn event_ids_do_not_repeat() {
        let mut ids = vec![EventIds::planted()];
        ids.extend((0..3).map(|organization| EventIds::everyday(7, organization)));
        let all: HashSet<String> = ids.iter_mut().flat_map(|i| (0..5_000).map(|_| i.next())).collect();
        assert_eq!(all.len(), 20_000);
        assert!(all.iter().all(|id| id.len() == 17));
    }
}
