//! In which order flows are visited.

use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};

/// Every number below a count, shuffled; then the same again. Nothing can guess the next one.
#[derive(Clone, Debug)]
pub struct Order {
    numbers: Vec<u32>,
    at: usize,
}

impl Order {
    /// A shuffle of `0..count`; at least one number.
    #[must_use]
    pub fn shuffled(count: u32) -> Self {
        let mut numbers: Vec<u32> = (0..count.max(1)).collect();
        numbers.shuffle(&mut StdRng::seed_from_u64(7));
        Self { numbers, at: 0 }
    }

    /// As the numbers come.
    #[must_use]
    pub fn ascending(count: u32) -> Self {
        Self { numbers: (0..count.max(1)).collect(), at: 0 }
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
}
