//! Counters with one writer and any number of readers.
//!
//! The writer adds with a relaxed load and a relaxed store: no lock prefix, no shared write. Nothing is ever
//! reset; who wants a rate takes the difference of two readings.

use std::fmt;

use crate::primitive::{AtomicU64, Ordering};

/// One counter. Only one thread may add; a second one would lose additions, never memory safety.
#[derive(Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Adds `n`; the sum wraps at 2^64. For the one writer only.
    #[inline]
    pub fn add(&self, n: u64) {
        self.0.store(self.0.load(Ordering::Relaxed).wrapping_add(n), Ordering::Relaxed);
    }

    /// Replaces the value, for gauges. For the one writer only.
    #[inline]
    pub fn set(&self, value: u64) {
        self.0.store(value, Ordering::Relaxed);
    }

    /// The value as some recent moment had it.
    #[inline]
    #[must_use]
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl fmt::Debug for Counter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.get().fmt(f)
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::Counter;

    #[test]
    fn a_counter_adds_wraps_and_can_be_a_gauge() {
        let counter = Counter::default();
        counter.add(3);
        counter.add(4);
        assert_eq!(counter.get(), 7);
        counter.set(u64::MAX);
        counter.add(2);
        assert_eq!(counter.get(), 1);
        assert_eq!(format!("{counter:?}"), "1");
    }
}
