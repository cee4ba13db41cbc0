//! Every interleaving of a publisher and its readers that loom can find:
//! `RUSTFLAGS="--cfg loom" cargo test -p sync --test loom_publish --release`

#![cfg(loom)]

use std::sync::Arc;

use loom::cell::UnsafeCell;
use loom::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use loom::thread;
use sync::publication;

/// A generation, with a flag that says it was given back.
struct Value {
    number: u64,
    freed: AtomicBool,
}

fn value(number: u64) -> Arc<Value> {
    Arc::new(Value { number, freed: AtomicBool::new(false) })
}

#[test]
fn what_is_received_after_a_generation_has_passed_meets_no_older_one() {
    loom::model(|| {
        let (mut publisher, mut readers) = publication(value(0), 1);
        let effective = Arc::new(AtomicU64::new(0));
        let mut reader = readers.remove(0);
        let answer = Arc::clone(&effective);
        let worker = thread::spawn(move || {
            for _ in 0..2 {
                // A packet that comes after the answer was given ...
                let received_after = answer.load(Ordering::Acquire);
                // ... is handled in the burst that begins here.
                assert!(reader.refresh().number >= received_after);
            }
        });
        let generation = publisher.publish(value(1));
        if publisher.passed(generation) {
            effective.store(1, Ordering::Release);
        }
        worker.join().unwrap();
    });
}

#[test]
fn a_reader_that_sleeps_delays_nobody_and_awakes_to_the_newest_value() {
    loom::model(|| {
        let (mut publisher, mut readers) = publication(value(0), 1);
        let effective = Arc::new(AtomicU64::new(0));
        let mut reader = readers.remove(0);
        reader.online();
        let answer = Arc::clone(&effective);
        let worker = thread::spawn(move || {
            reader.refresh();
            reader.offline();
            // Relaxed: the answer reaches the packet's sender by ways that order nothing for this thread.
            let received_after = answer.load(Ordering::Relaxed);
            reader.online();
            let late = answer.load(Ordering::Relaxed);
            let number = reader.refresh().number;
            assert!(number >= received_after);
            assert!(number >= late);
        });
        let generation = publisher.publish(value(1));
        if publisher.passed(generation) {
            effective.store(1, Ordering::Relaxed);
        }
        worker.join().unwrap();
        assert!(publisher.passed(generation));
    });
}

#[test]
fn no_reader_uses_a_value_that_was_reclaimed() {
    loom::model(|| {
        let first = value(0);
        let (mut publisher, mut readers) = publication(Arc::clone(&first), 1);
        let mut reader = readers.remove(0);
        let worker = thread::spawn(move || {
            for turn in 0..2 {
                assert!(!reader.refresh().freed.load(Ordering::Relaxed));
                if turn == 0 {
                    reader.offline();
                }
            }
        });
        publisher.publish(value(1));
        if publisher.reclaim() == 1 {
            first.freed.store(true, Ordering::Relaxed);
        }
        worker.join().unwrap();
    });
}

#[test]
#[allow(clippy::arc_with_non_send_sync, reason = "loom's threads are coroutines of one thread")]
fn an_unlinked_entry_is_out_of_reach_once_every_reader_has_passed_a_boundary() {
    loom::model(|| {
        let (publisher, mut readers) = publication(value(0), 1);
        let boundaries = publisher.boundaries();
        let linked = Arc::new(AtomicBool::new(true));
        // Plain memory: loom fails the model if it is read and written without an order between them.
        let entry = Arc::new(UnsafeCell::new(()));
        let mut reader = readers.remove(0);
        let (index, session) = (Arc::clone(&linked), Arc::clone(&entry));
        let worker = thread::spawn(move || {
            reader.refresh();
            for asleep in [false, true] {
                if index.load(Ordering::Acquire) {
                    session.with(|_| ());
                }
                if asleep {
                    reader.offline();
                }
                reader.refresh();
            }
            if index.load(Ordering::Acquire) {
                session.with(|_| ());
            }
        });
        linked.store(false, Ordering::Release);
        let observation = boundaries.observe();
        if boundaries.passed(observation) {
            entry.with_mut(|_| ());
        }
        worker.join().unwrap();
    });
}

#[test]
fn two_readers_are_both_waited_for() {
    // Three threads have too many interleavings for all of them: those with up to two preemptions.
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(2);
    model.check(|| {
        let first = value(0);
        let (mut publisher, readers) = publication(Arc::clone(&first), 2);
        let workers: Vec<_> = readers
            .into_iter()
            .map(|mut reader| {
                thread::spawn(move || {
                    assert!(!reader.refresh().freed.load(Ordering::Relaxed));
                })
            })
            .collect();
        publisher.publish(value(1));
        if publisher.reclaim() == 1 {
            first.freed.store(true, Ordering::Relaxed);
        }
        for worker in workers {
            worker.join().unwrap();
        }
    });
}
