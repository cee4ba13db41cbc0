//! The index under every interleaving of two threads.
//!
//! `RUSTFLAGS="--cfg loom" cargo test -p flow --lib loom_`

use loom::sync::Arc;
use loom::thread;

use super::*;

/// Home, alternative, and something that tells entries apart, in an index of four buckets.
fn hash(home: u64, alternative: u64, salt: u64) -> Hash {
    Hash((home << 62) | (1 << 32) | (alternative << 30) | (1 + salt))
}

/// Inserts entries whose key is their number.
fn insert(index: &Index, entries: &[(Hash, u32)], hash_of: impl Fn(u32) -> Hash) -> Result<(), Refused> {
    index.insert(entries, |n, number| entries[n].1 == number, hash_of, || ())
}

fn finds(index: &Index, hash: Hash, number: u32) -> bool {
    index.find(hash, |other| other == number).is_some()
}

#[test]
fn loom_of_two_inserts_of_a_pair_one_wins() {
    loom::model(|| {
        let index = Arc::new(Index::new(4).unwrap());
        let (one, other) = (hash(0, 1, 1), hash(2, 3, 1));
        let mirrored = {
            let index = index.clone();
            thread::spawn(move || {
                let keys = [&[3, 4][..], &[1, 2]];
                index.insert(&[(other, 3), (one, 2)], |n, number| keys[n].contains(&number), |_| one, || ())
            })
        };
        let keys = [&[1, 2][..], &[3, 4]];
        let mine =
            index.insert(&[(one, 1), (other, 4)], |n, number| keys[n].contains(&number), |_| one, || ());
        let theirs = mirrored.join().unwrap();
        match (mine, theirs) {
            (Ok(()), Err(Refused::Exists(0, 4))) | (Err(Refused::Exists(0, 2)), Ok(())) => {}
            unexpected => panic!("{unexpected:?}"),
        }
    });
}

#[test]
fn loom_an_entry_that_moves_is_never_missed() {
    loom::model(|| {
        let index = Arc::new(Index::new(4).unwrap());
        let hash_of = |number: u32| match number {
            0..10 => hash(0, 1, number.into()),
            number => hash(2, 1, number.into()),
        };
        for number in (0..10).chain(20..30) {
            insert(&index, &[(hash_of(number), number)], hash_of).unwrap();
        }
        let reader = {
            let index = index.clone();
            thread::spawn(move || assert!(finds(&index, hash_of(0), 0)))
        };
        // Neither bucket 0 nor bucket 2 has room: number 0 moves from 0 to 1.
        insert(&index, &[(hash(0, 2, 50), 50)], hash_of).unwrap();
        reader.join().unwrap();
        assert!(index.candidate(hash_of(0)) != Some(0), "it did move");
        assert!(finds(&index, hash_of(0), 0) && finds(&index, hash(0, 2, 50), 50));
    });
}

#[test]
fn loom_a_neighbour_that_goes_takes_nobody_along() {
    loom::model(|| {
        let index = Arc::new(Index::new(4).unwrap());
        let hash_of = |number: u32| hash(0, 1, number.into());
        for number in 0..12 {
            insert(&index, &[(hash_of(number), number)], hash_of).unwrap();
        }
        let remover = {
            let index = index.clone();
            thread::spawn(move || {
                assert!(index.remove(hash_of(10), 10));
            })
        };
        assert!(finds(&index, hash_of(11), 11), "away, beside the one that goes");
        assert!(index.remove(hash_of(3), 3));
        assert!(finds(&index, hash_of(11), 11));
        remover.join().unwrap();
        assert!(!finds(&index, hash_of(10), 10) && !finds(&index, hash_of(3), 3));
        assert!(index.matches_spill(0, 1));
    });
}

#[test]
fn loom_a_rename_and_a_removal_leave_nothing_behind() {
    loom::model(|| {
        let index = Arc::new(Index::new(4).unwrap());
        let (old, new) = (hash(0, 1, 1), hash(2, 3, 1));
        insert(&index, &[(old, 1)], |_| old).unwrap();
        let alive = Arc::new(crate::atomic::AtomicU32::new(1));
        let name = Arc::new(crate::atomic::AtomicU32::new(0));
        let renamer = {
            let (index, alive, name) = (index.clone(), alive.clone(), name.clone());
            thread::spawn(move || {
                use crate::atomic::Ordering::{Acquire, Relaxed};
                let alive = || alive.load(Acquire) == 1;
                let _ = index.rename(1, [old, new], alive, |_| false, |_| old, || name.store(1, Relaxed));
            })
        };
        {
            use crate::atomic::Ordering::{Relaxed, Release};
            alive.store(0, Release);
            while !index.remove(if name.load(Relaxed) == 0 { old } else { new }, 1) {
                thread::yield_now();
            }
        }
        renamer.join().unwrap();
        assert!(!finds(&index, old, 1) && !finds(&index, new, 1));
    });
}

impl Index {
    /// Whether a bucket says that so many of its entries live elsewhere.
    fn matches_spill(&self, bucket: usize, spill: u64) -> bool {
        self.bucket(bucket).spill() == spill
    }
}
