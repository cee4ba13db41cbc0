//! Numbers that nobody outside can foretell: a keyed hash of a counter.

use std::hash::{BuildHasher, RandomState};
use std::ops::Range;

/// A source of such numbers; its key is from the system's random source.
#[derive(Debug, Default)]
pub(super) struct Chance {
    key: RandomState,
    count: u64,
}

impl Chance {
    /// The next number.
    pub(super) fn next(&mut self) -> u64 {
        self.count += 1;
        self.key.hash_one(self.count)
    }

    /// A number in a range that is not empty.
    pub(super) fn within(&mut self, range: Range<u64>) -> u64 {
        range.start + self.next() % (range.end - range.start).max(1)
    }
}
