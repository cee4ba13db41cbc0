//! In which order flows are visited.

use std::sync::Arc;

use rand::distr::Distribution as _;
use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};
use rand_distr::Zipf;

/// Numbers of a Zipf order, which are then drawn again.
const DRAWN: usize = 1 << 22;

/// Numbers below a count without end. Nothing can guess the next one of the shuffled and the drawn.
#[derive(Clone, Debug)]
pub struct Order {
    numbers: Arc<[u32]>,
    at: usize,
}

impl Order {
    /// Every number of `0..count` once per round, shuffled; at least one number.
    #[must_use]
    pub fn shuffled(count: u32) -> Self {
        Self::shuffled_of(0..count)
    }

    /// Drawn so that the n-th most popular number is drawn 1/n as often as the most popular one (Zipf with exponent
    /// 1); which numbers are popular has nothing to do with their size.
    #[must_use]
    pub fn zipf(count: u32) -> Self {
        let by_rank = Self::shuffled(count).numbers;
        let mut random = StdRng::seed_from_u64(17);
        let numbers = match Zipf::new(by_rank.len() as f64, 1.0) {
            Ok(ranks) => {
                let draw = || {
                    let rank = ranks.sample(&mut random) as usize;
                    by_rank[(rank - 1).min(by_rank.len() - 1)]
                };
                std::iter::repeat_with(draw).take(DRAWN).collect()
            }
            Err(_) => by_rank,
        };
        Self { numbers, at: 0 }
    }

    /// As the numbers come.
    #[must_use]
    pub fn ascending(count: u32) -> Self {
        Self::of(0..count)
    }

    /// These numbers in their order; at least one.
    #[must_use]
    pub fn of(numbers: impl IntoIterator<Item = u32>) -> Self {
        let mut numbers: Vec<u32> = numbers.into_iter().collect();
        if numbers.is_empty() {
            numbers.push(0);
        }
        Self { numbers: numbers.into(), at: 0 }
    }

    /// These numbers, shuffled; at least one.
    #[must_use]
    pub fn shuffled_of(numbers: impl IntoIterator<Item = u32>) -> Self {
        let mut numbers = Self::of(numbers).numbers.to_vec();
        numbers.shuffle(&mut StdRng::seed_from_u64(7));
        Self { numbers: numbers.into(), at: 0 }
    }

    /// The next number.
    #[inline]
    pub fn draw(&mut self) -> u64 {
        let number = self.numbers[self.at];
        self.at += 1;
        if self.at == self.numbers.len() {
            self.at = 0;
        }
        u64::from(number)
    }
}

/// Lets every bit of a number change every bit of the result.
#[must_use]
pub fn mix(number: u64) -> u64 {
    let number = (number ^ number >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let number = (number ^ number >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ number >> 31
}

/// Pseudo-random numbers of 64 bits without end, the same in every run.
pub fn endless() -> impl Iterator<Item = u64> {
    let mut random = StdRng::seed_from_u64(13);
    std::iter::repeat_with(move || random.random())
}

/// Pseudo-random numbers, the same in every run.
#[must_use]
pub fn numbers(count: usize) -> Vec<u32> {
    let mut random = StdRng::seed_from_u64(11);
    (0..count).map(|_| random.random()).collect()
}

#[cfg(test)]
mod tests {
    use super::Order;

    #[test]
    fn everything_is_visited_once_per_round() {
        for mut order in [Order::shuffled(1000), Order::ascending(1000)] {
            for _ in 0..2 {
                let mut seen: Vec<_> = (0..1000).map(|_| order.draw()).collect();
                seen.sort_unstable();
                assert_eq!(seen, (0..1000).collect::<Vec<_>>());
            }
        }
    }

    #[test]
    fn a_zipf_order_has_its_favourites() {
        let mut order = Order::zipf(1000);
        let mut seen = vec![0_u32; 1000];
        (0..1_000_000).for_each(|_| seen[order.draw() as usize] += 1);
        seen.sort_unstable_by(|a, b| b.cmp(a));
        // The harmonic number of 1 000 is 7.49: the first is 13.4 % of all, the second half of that.
        assert!((130_000..137_000).contains(&seen[0]), "{}", seen[0]);
        assert!((65_000..69_000).contains(&seen[1]), "{}", seen[1]);
        assert!(seen[999] > 0);
    }
}
