//! One writer replaces a value, many readers adopt it between two bursts.
//!
//! A reader holds an `Arc` of the value it uses; it looks for a newer one at a burst boundary only, and when
//! nothing has changed that look is one acquire load: no reference count is touched. The publisher keeps
//! every value it has replaced until all readers have left it, so destructors run where
//! [`Publisher::reclaim`] is called and never on a worker. The order that makes this true:
//!
//! - publish: store the value, then its generation, then tick the [`Clock`];
//! - refresh: read the clock, take the value, drop the old one, and *then* mark the clock reading as passed.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::boundary::{Boundaries, Clock, OFFLINE};
use crate::primitive::{AtomicU64, Ordering, Slot};

/// What the publisher and its readers share besides the clock.
#[derive(Debug)]
struct Shared<T> {
    slot: Slot<T>,
    generation: AtomicU64,
    clock: Arc<Clock>,
}

/// A published value with a fixed number of readers; `initial` is generation 0. Readers start offline:
/// one whose thread has not begun to refresh delays nobody.
#[must_use]
pub fn publication<T>(initial: Arc<T>, readers: usize) -> (Publisher<T>, Vec<Reader<T>>) {
    let clock = Arc::new(Clock::new(readers));
    let shared = Arc::new(Shared {
        slot: Slot::new(Arc::clone(&initial)),
        generation: AtomicU64::new(0),
        clock: Arc::clone(&clock),
    });
    let readers = (0..readers)
        .map(|index| Reader { index, seen: OFFLINE, generation: 0, value: None, shared: Arc::clone(&shared) })
        .collect();
    (Publisher { shared, generation: 0, current: initial, retired: VecDeque::new() }, readers)
}

/// A replaced value that some reader may still use.
#[derive(Debug)]
struct Retired<T> {
    value: Arc<T>,
    /// The generation that replaced it.
    successor: u64,
    /// The clock when that generation was published: a reader that has passed it has left the value.
    tick: u64,
}

/// The writing side: owned by the control thread. Drop it after the readers, or the last reader to go
/// drops the values it has not reclaimed.
#[derive(Debug)]
pub struct Publisher<T> {
    shared: Arc<Shared<T>>,
    generation: u64,
    current: Arc<T>,
    retired: VecDeque<Retired<T>>,
}

impl<T> Publisher<T> {
    /// Makes `value` the newest generation and returns its number, one more than the last.
    pub fn publish(&mut self, value: Arc<T>) -> u64 {
        self.generation += 1;
        self.shared.slot.store(Arc::clone(&value));
        self.shared.generation.store(self.generation, Ordering::Release);
        let tick = self.shared.clock.tick();
        let value = std::mem::replace(&mut self.current, value);
        self.retired.push_back(Retired { value, successor: self.generation, tick });
        self.generation
    }

    /// The number of the newest generation; 0 is the initial value.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// The newest value.
    #[must_use]
    pub fn current(&self) -> &Arc<T> {
        &self.current
    }

    /// Whether every online reader uses `generation` or a newer one. True for good once it is true; an offline reader
    /// takes the newest value before it handles anything.
    #[must_use]
    pub fn passed(&self, generation: u64) -> bool {
        generation <= self.generation
            && self.tick_of(generation).is_none_or(|tick| self.shared.clock.passed(tick))
    }

    /// The online readers, by index, that still use something older than `generation`.
    pub fn laggards(&self, generation: u64) -> impl Iterator<Item = usize> + '_ {
        // A generation that is not published yet has no tick: nobody can have passed it.
        let tick = if generation > self.generation { OFFLINE } else { self.tick_of(generation).unwrap_or(0) };
        self.shared.clock.behind(tick)
    }

    /// Drops the values that every reader has left and returns how many. Their destructors run here.
    pub fn reclaim(&mut self) -> usize {
        let before = self.retired.len();
        while self.retired.front().is_some_and(|oldest| self.shared.clock.passed(oldest.tick)) {
            drop(self.retired.pop_front().map(|retired| retired.value));
        }
        before - self.retired.len()
    }

    /// How many replaced values wait for readers to leave them.
    #[must_use]
    pub fn retired(&self) -> usize {
        self.retired.len()
    }

    /// A handle that tells others when all readers have passed a burst boundary.
    #[must_use]
    pub fn boundaries(&self) -> Boundaries {
        Boundaries::new(Arc::clone(&self.shared.clock))
    }

    /// The clock when `generation` was published; none if its predecessor is reclaimed already.
    fn tick_of(&self, generation: u64) -> Option<u64> {
        let oldest = self.retired.front()?.successor;
        let index = usize::try_from(generation.checked_sub(oldest)?).ok()?;
        self.retired.get(index).map(|retired| retired.tick)
    }
}

/// The reading side: owned by one worker.
#[derive(Debug)]
pub struct Reader<T> {
    index: usize,
    /// The clock at the last boundary where it had moved, or [`OFFLINE`].
    seen: u64,
    /// The generation of `value`, or an older one if a newer came while it was taken.
    generation: u64,
    /// None only while offline.
    value: Option<Arc<T>>,
    shared: Arc<Shared<T>>,
}

impl<T> Reader<T> {
    /// Passes a burst boundary: nothing taken from the value before may be used any more. Returns the newest
    /// value. A packet received after [`Publisher::passed`] cannot meet an older one. Brings the
    /// reader online if it is not.
    #[inline]
    pub fn refresh(&mut self) -> &Arc<T> {
        if self.shared.clock.now() != self.seen {
            self.adopt();
        }
        self.value.get_or_insert_with(|| self.shared.slot.load())
    }

    /// The value of the last boundary, without passing another one; a sleeper wakes with the newest.
    #[inline]
    pub fn current(&mut self) -> &Arc<T> {
        if self.is_offline() {
            self.adopt();
        }
        self.value.get_or_insert_with(|| self.shared.slot.load())
    }

    /// Goes to sleep: passes a boundary, lets go of the value, and delays nobody until the next
    /// [`refresh`](Self::refresh).
    pub fn offline(&mut self) {
        self.value = None;
        self.seen = OFFLINE;
        self.shared.clock.mark(self.index, OFFLINE);
    }

    /// Comes back from sleep with the newest value.
    pub fn online(&mut self) {
        self.refresh();
    }

    /// Whether the reader is asleep.
    #[must_use]
    pub fn is_offline(&self) -> bool {
        self.seen == OFFLINE
    }

    /// This reader's number, from 0.
    #[must_use]
    pub fn index(&self) -> usize {
        self.index
    }

    #[cold]
    fn adopt(&mut self) {
        if self.is_offline() {
            self.shared.clock.join(self.index);
        }
        let now = self.shared.clock.now();
        let generation = self.shared.generation.load(Ordering::Acquire);
        if self.value.is_none() || generation != self.generation {
            self.value = Some(self.shared.slot.load());
            self.generation = generation;
        }
        self.seen = now;
        self.shared.clock.mark(self.index, now);
    }
}

impl<T> Drop for Reader<T> {
    fn drop(&mut self) {
        self.offline();
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
    use std::thread;

    use super::publication;

    #[test]
    fn readers_start_offline_and_take_the_newest_value_first() {
        let (mut publisher, mut readers) = publication(Arc::new(0), 2);
        assert!(readers[0].is_offline());
        assert_eq!(publisher.publish(Arc::new(1)), 1);
        assert!(publisher.passed(1), "nobody is online, so nobody is behind");
        assert_eq!(**readers[1].refresh(), 1);
        assert!(!readers[1].is_offline());
        assert_eq!(readers[1].index(), 1);
    }

    #[test]
    fn a_generation_has_passed_when_every_online_reader_uses_it() {
        let (mut publisher, mut readers) = publication(Arc::new(0), 3);
        readers.iter_mut().for_each(|r| r.online());
        let first = publisher.publish(Arc::new(1));
        assert_eq!(publisher.laggards(first).collect::<Vec<_>>(), [0, 1, 2]);
        readers[1].refresh();
        readers[2].offline();
        assert_eq!(publisher.laggards(first).collect::<Vec<_>>(), [0]);
        assert!(!publisher.passed(first));
        readers[0].refresh();
        assert!(publisher.passed(first));
        assert!(publisher.passed(0));
        assert!(!publisher.passed(first + 1), "nobody uses what is not published");
        assert_eq!(publisher.laggards(first + 1).count(), 2);
        let second = publisher.publish(Arc::new(2));
        assert!(publisher.passed(first) && !publisher.passed(second));
        assert_eq!(**readers[0].refresh(), 2);
        readers[1].refresh();
        assert!(publisher.passed(second), "the sleeping reader delays nobody");
        assert_eq!(**readers[2].refresh(), 2, "and meets no old value");
    }

    #[test]
    fn a_dropped_reader_delays_nobody() {
        let (mut publisher, mut readers) = publication(Arc::new(0), 1);
        readers[0].online();
        let generation = publisher.publish(Arc::new(1));
        assert!(!publisher.passed(generation));
        readers.clear();
        assert!(publisher.passed(generation));
        assert_eq!(publisher.reclaim(), 1);
    }

    #[test]
    fn values_are_kept_until_every_reader_has_left_them() {
        let (mut publisher, mut readers) = publication(Arc::new(0), 2);
        let initial = Arc::downgrade(publisher.current());
        readers.iter_mut().for_each(|r| r.online());
        publisher.publish(Arc::new(1));
        publisher.publish(Arc::new(2));
        readers[0].refresh();
        assert_eq!((publisher.reclaim(), publisher.retired()), (0, 2));
        assert!(initial.upgrade().is_some());
        readers[1].refresh();
        assert_eq!((publisher.reclaim(), publisher.retired()), (2, 0));
        assert!(initial.upgrade().is_none());
        assert!(publisher.passed(1) && publisher.passed(2), "known although reclaimed");
        assert_eq!(publisher.laggards(1).count(), 0);
        assert_eq!((publisher.generation(), **publisher.current()), (2, 2));
    }

    #[test]
    fn a_sleeping_reader_pins_no_value() {
        let (mut publisher, mut readers) = publication(Arc::new(0), 1);
        let initial = Arc::downgrade(publisher.current());
        readers[0].online();
        readers[0].offline();
        publisher.publish(Arc::new(1));
        publisher.reclaim();
        assert!(initial.upgrade().is_none());
    }

    #[test]
    fn refreshing_without_news_touches_no_reference_count() {
        let (publisher, mut readers) = publication(Arc::new(0), 1);
        readers[0].online();
        let count = Arc::strong_count(publisher.current());
        let first = Arc::as_ptr(readers[0].refresh());
        let _ = publisher.boundaries().observe();
        assert_eq!(Arc::as_ptr(readers[0].refresh()), first);
        assert_eq!(Arc::strong_count(publisher.current()), count);
    }

    #[test]
    fn an_observation_has_passed_when_every_online_reader_was_at_a_boundary() {
        let (publisher, mut readers) = publication(Arc::new(0), 2);
        let boundaries = publisher.boundaries();
        readers.iter_mut().for_each(|r| r.online());
        let before = boundaries.observe();
        assert_eq!(boundaries.laggards(before).collect::<Vec<_>>(), [0, 1]);
        readers[0].refresh();
        assert!(!boundaries.passed(before));
        readers[1].offline();
        assert!(boundaries.passed(before));
        readers[1].online();
        assert!(boundaries.passed(before), "who awakes has seen all that came before");
        assert!(!boundaries.clone().passed(boundaries.observe()));
    }

    /// A value whose destructor must not run on a worker.
    struct Fragile {
        number: u64,
        in_worker: &'static AtomicBool,
    }
    thread_local!(static WORKER: std::cell::Cell<bool> = const { std::cell::Cell::new(false) });
    impl Drop for Fragile {
        fn drop(&mut self) {
            if WORKER.get() {
                self.in_worker.store(true, Ordering::Relaxed);
            }
        }
    }

    #[test]
    fn under_load_readers_never_go_back_and_never_run_a_destructor() {
        static IN_WORKER: AtomicBool = AtomicBool::new(false);
        static EFFECTIVE: AtomicU64 = AtomicU64::new(0);
        static DONE: AtomicBool = AtomicBool::new(false);
        let value = |number| Arc::new(Fragile { number, in_worker: &IN_WORKER });
        let (mut publisher, readers) = publication(value(0), 3);
        let workers: Vec<_> = readers
            .into_iter()
            .map(|mut reader| {
                thread::spawn(move || {
                    WORKER.set(true);
                    let mut turn = 0_u64;
                    while !DONE.load(Ordering::Relaxed) {
                        turn += 1;
                        if turn % 7 == reader.index() as u64 {
                            reader.offline();
                            thread::yield_now();
                        }
                        // "Received after the answer": read what is effective before the boundary.
                        let effective = EFFECTIVE.load(Ordering::Acquire);
                        assert!(reader.refresh().number >= effective);
                    }
                })
            })
            .collect();
        for number in 1..=2_000 {
            let generation = publisher.publish(value(number));
            while !publisher.passed(generation) {
                thread::yield_now();
            }
            EFFECTIVE.store(number, Ordering::Release);
            publisher.reclaim();
        }
        DONE.store(true, Ordering::Relaxed);
        for worker in workers {
            worker.join().unwrap();
        }
        assert_eq!(publisher.retired(), 0);
        assert!(!IN_WORKER.load(Ordering::Relaxed));
    }
}
