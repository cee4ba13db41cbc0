//! How fast it is: the parts under criterion (`benches/parts.rs`), the pipeline by calling the worker's own
//! burst function (`bin/pipeline.rs`).

pub mod frames;
pub mod node;

/// A permutation of `0..count` without a table: consecutive numbers land far apart.
#[derive(Clone, Copy, Debug)]
pub struct Shuffle {
    count: u64,
    step: u64,
    at: u64,
}

impl Shuffle {
    /// Visits every number below `count` once, then again in the same order.
    #[must_use]
    pub fn new(count: u64) -> Self {
        // A step that shares no factor with the count visits all of it.
        let mut step = (count as f64 * 0.618_033_988_749_895) as u64 | 1;
        while gcd(step, count) != 1 {
            step += 2;
        }
        Self { count, step: step % count.max(1), at: 0 }
    }

    /// The next number.
    pub fn draw(&mut self) -> u64 {
        self.at += self.step;
        if self.at >= self.count {
            self.at -= self.count;
        }
        self.at
    }
}

const fn gcd(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { gcd(b, a % b) }
}

#[cfg(test)]
mod tests {
    use super::Shuffle;

    #[test]
    fn a_shuffle_visits_everything_once() {
        for count in [1, 2, 64, 1000, 12_345] {
            let mut shuffle = Shuffle::new(count);
            let mut seen: Vec<_> = (0..count).map(|_| shuffle.draw()).collect();
            seen.sort_unstable();
            assert_eq!(seen, (0..count).collect::<Vec<_>>());
        }
    }
}
