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

/// Counters that share cache lines: 128 bytes, since processors fetch lines in pairs.
const PER_LINE: usize = 16;

#[derive(Debug, Default)]
#[repr(align(128))]
struct Line([Counter; PER_LINE]);

/// One writer's array of counters, which shares no cache line with another writer's.
#[derive(Debug, Default)]
pub struct CounterPage {
    lines: Box<[Line]>,
    len: usize,
}

impl CounterPage {
    /// `len` counters at zero.
    #[must_use]
    pub fn new(len: usize) -> Self {
        Self { lines: (0..len.div_ceil(PER_LINE)).map(|_| Line::default()).collect(), len }
    }

    /// Adds `n` to counter `index`; nothing happens beyond the end. For the one writer only.
    #[inline]
    pub fn add(&self, index: usize, n: u64) {
        if let Some(counter) = self.counter(index) {
            counter.add(n);
        }
    }

    /// The value of counter `index`, 0 beyond the end.
    #[inline]
    #[must_use]
    pub fn get(&self, index: usize) -> u64 {
        self.counter(index).map_or(0, Counter::get)
    }

    /// How many counters there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// All values, in order.
    pub fn iter(&self) -> impl Iterator<Item = u64> + '_ {
        self.lines.iter().flat_map(|line| &line.0).take(self.len).map(Counter::get)
    }

    #[inline]
    fn counter(&self, index: usize) -> Option<&Counter> {
        self.lines.get(index / PER_LINE)?.0.get(index % PER_LINE).filter(|_| index < self.len)
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::{Counter, CounterPage};

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

    #[test]
    fn a_page_counts_by_index_and_ignores_what_is_beyond_its_end() {
        let page = CounterPage::new(17);
        page.add(0, 1);
        page.add(16, 5);
        page.add(16, 5);
        page.add(17, 9);
        page.add(1_000, 9);
        assert_eq!((page.get(0), page.get(16), page.get(17), page.get(1_000)), (1, 10, 0, 0));
        assert_eq!(page.iter().collect::<Vec<_>>(), [&[1][..], &[0; 15], &[10]].concat());
        assert_eq!((page.len(), page.is_empty(), CounterPage::new(0).is_empty()), (17, false, true));
    }

    #[test]
    fn two_pages_share_no_cache_line() {
        assert_eq!(align_of::<super::Line>(), 128);
        assert_eq!(size_of::<super::Line>(), 128);
    }
}
