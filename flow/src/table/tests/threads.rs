//! Several workers at once.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use super::*;

#[test]
fn two_workers_that_meet_both_directions_make_one_session() {
    let table = FlowTable::new(&config(5000, 0)).unwrap();
    let won = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for worker in 0..2 {
            let (table, won) = (&table, &won);
            scope.spawn(move || {
                let mut slots = table.worker::<()>(WorkerId(worker)).unwrap();
                for n in 0..2000 {
                    let mut new = session(key(n, false));
                    if worker == 1 {
                        new = NewSession { forward: new.reverse.unwrap(), reverse: Some(new.forward), ..new };
                    }
                    match table.insert(&mut slots, &new, Ticks(0)) {
                        Ok(_) => won.fetch_add(1, Ordering::Relaxed),
                        Err(InsertError::Exists(half)) => {
                            assert_eq!(table.half(half).key(), new.forward.key);
                            0
                        }
                        Err(other) => panic!("{other:?}"),
                    };
                }
            });
        }
    });
    assert_eq!((won.into_inner(), table.len(), table.sessions_of(A)), (2000, 2000, 2000));
}

#[test]
fn an_insert_waits_for_whoever_holds_the_lock_of_its_key() {
    let table = FlowTable::new(&config(10, 0)).unwrap();
    let done = AtomicBool::new(false);
    for n in 0..20 {
        let new = session(key(n, false));
        for key in [&new.forward.key, &new.reverse.unwrap().key] {
            done.store(false, Ordering::Release);
            table.index.lock_home(table.hash(key));
            std::thread::scope(|scope| {
                let (table, done) = (&table, &done);
                scope.spawn(move || {
                    let mut slots = table.worker::<()>(WorkerId(0)).unwrap();
                    let made = table.insert(&mut slots, &new, Ticks(0)).unwrap();
                    assert!(table.remove(&mut slots, made, EndReason::Removed));
                    slots.release(table, &mut Log::default());
                    done.store(true, Ordering::Release);
                });
                for _ in 0..200 {
                    std::thread::yield_now();
                    assert!(!done.load(Ordering::Acquire));
                }
                table.index.unlock_home(table.hash(key));
            });
            assert!(done.load(Ordering::Acquire));
        }
    }
}

#[test]
fn a_session_that_stays_is_never_missed_while_others_come_and_go_around_it() {
    // Full buckets, so that entries are moved.
    let table = FlowTable::with_buckets(&config(400, 0), 42).unwrap();
    let mut slots = table.worker::<()>(WorkerId(0)).unwrap();
    let stay: Vec<FlowKey> = (0..100).map(|n| key(n, false)).collect();
    for key in &stay {
        table.insert(&mut slots, &session(*key), Ticks(0)).unwrap();
    }
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut log = Log::default();
            for round in 0..300 {
                let mut made = Vec::new();
                for n in 0..90 {
                    made.extend(table.insert(
                        &mut slots,
                        &session(key(1000 + round * 90 + n, false)),
                        Ticks(0),
                    ));
                }
                for session in made {
                    assert!(table.remove(&mut slots, session, EndReason::Removed));
                }
                settle(&table, &mut slots, &mut log);
                log.ended.clear();
            }
            done.store(true, Ordering::Release);
        });
        let mut found = vec![None; stay.len()];
        while !done.load(Ordering::Acquire) {
            table.lookup_burst(&stay, &mut found);
            for (key, half) in stay.iter().zip(&found) {
                assert_eq!(half.map(|half| table.half(half).key()), Some(*key));
            }
        }
    });
    assert_eq!(table.len(), 100);
}
