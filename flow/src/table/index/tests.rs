//! The index alone: hashes are chosen, so that buckets fill as a test wants.

use std::cell::RefCell;
use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

/// Buckets of the index under test.
const BUCKETS: usize = 8;

/// A hash with this home and alternative, told apart by `salt`.
fn hash(home: u64, alternative: u64, salt: u64) -> Hash {
    let spread = |bucket: u64| (bucket << 32) / BUCKETS as u64;
    let hash = Hash((spread(home) + 1) << 32 | (spread(alternative) + 1 + salt));
    let index = Index::new(BUCKETS).unwrap();
    assert_eq!(index.home(hash) as u64, home);
    hash
}

/// An index whose entries' hashes are known.
struct Known {
    index: Index,
    hashes: RefCell<BTreeMap<u32, Hash>>,
}

impl Known {
    fn new() -> Self {
        Self { index: Index::new(BUCKETS).unwrap(), hashes: RefCell::default() }
    }

    fn insert(&self, entries: &[(Hash, u32)]) -> Result<(), Refused> {
        self.index.insert(
            entries,
            |n, number| self.hashes.borrow().get(&number) == Some(&entries[n].0),
            |number| self.hashes.borrow()[&number],
            || self.hashes.borrow_mut().extend(entries.iter().map(|(hash, number)| (*number, *hash))),
        )
    }

    fn remove(&self, number: u32) -> bool {
        let hash = self.hashes.borrow()[&number];
        self.index.remove(hash, number)
    }

    fn rename(&self, number: u32, new: Hash) -> Result<bool, Refused> {
        let old = self.hashes.borrow()[&number];
        self.index.rename(
            number,
            [old, new],
            || true,
            |other| self.hashes.borrow().get(&other) == Some(&new),
            |other| self.hashes.borrow()[&other],
            || {
                self.hashes.borrow_mut().insert(number, new);
            },
        )
    }

    fn finds(&self, number: u32) -> bool {
        let hash = self.hashes.borrow()[&number];
        self.index.find(hash, |other| other == number).is_some()
    }

    fn spill(&self, bucket: usize) -> u64 {
        self.index.bucket(bucket).spill()
    }

    /// Nobody holds a lock.
    fn is_unlocked(&self) -> bool {
        self.index.buckets.iter().all(|bucket| {
            let free = bucket.try_lock();
            bucket.unlock();
            free
        })
    }
}

#[test]
fn an_entry_lives_at_home_while_there_is_room() {
    let known = Known::new();
    for n in 0..SLOTS as u32 {
        known.insert(&[(hash(3, 5, n.into()), n)]).unwrap();
    }
    assert_eq!(known.spill(3), 0);
    assert_eq!(known.index.bucket(3).free_slot(None), None);
    assert_eq!(known.index.bucket(5).free_slot(None), Some(0));
    assert!((0..SLOTS as u32).all(|n| known.finds(n)));
    assert!(known.is_unlocked());
}

#[test]
fn the_eleventh_entry_lives_in_its_alternative_and_leaves_a_trace_at_home() {
    let known = Known::new();
    for n in 0..=SLOTS as u32 {
        known.insert(&[(hash(3, 5, n.into()), n)]).unwrap();
    }
    assert_eq!((known.spill(3), known.spill(5)), (1, 0));
    assert!(known.finds(10));
    assert!(known.index.candidate(hash(3, 5, 10)).is_none(), "not at home");
    assert!(known.remove(10));
    assert!(!known.remove(10));
    assert_eq!((known.spill(3), known.index.bucket(5).free_slot(None)), (0, Some(0)));
    assert!(known.is_unlocked());
}

#[test]
fn an_entry_is_moved_where_both_buckets_are_full() {
    let known = Known::new();
    for n in 0..10 {
        known.insert(&[(hash(1, 6, n), n as u32)]).unwrap();
        known.insert(&[(hash(2, 6, n), n as u32 + 10)]).unwrap();
    }
    known.insert(&[(hash(1, 2, 50), 50)]).unwrap();
    assert_eq!((known.spill(1), known.spill(2)), (1, 0), "one of bucket 1's own went to 6");
    assert!(known.index.candidate(hash(1, 2, 50)).is_some());
    assert!((0..20).chain([50]).all(|n| known.finds(n)));
    assert_eq!(known.index.bucket(6).free_slot(None), Some(1));
    assert!(known.is_unlocked());
}

#[test]
fn an_entry_that_is_away_already_is_not_moved() {
    let known = Known::new();
    for n in 0..10 {
        // Bucket 1 is full of its own, who have nowhere to go but bucket 2.
        known.insert(&[(hash(1, 2, n), n as u32)]).unwrap();
    }
    for n in 0..10 {
        // Bucket 2 is full of strangers from bucket 1.
        known.insert(&[(hash(1, 2, n + 20), n as u32 + 20)]).unwrap();
    }
    assert_eq!(known.spill(1), 10);
    known.insert(&[(hash(1, 2, 50), 50)]).unwrap();
    assert_eq!(known.spill(1), 11, "in the stash");
    assert!((0..10).chain(20..30).chain([50]).all(|n| known.finds(n)));
    assert!(known.remove(50));
    assert_eq!(known.spill(1), 10);
    assert!(known.is_unlocked());
}

#[test]
fn what_finds_no_room_at_all_is_refused_and_leaves_nothing() {
    let known = Known::new();
    let room = 2 * SLOTS + STASH * SLOTS;
    for n in 0..room as u64 - 1 {
        known.insert(&[(hash(1, 2, n), n as u32)]).unwrap();
    }
    let pair = [(hash(1, 2, 500), 500), (hash(1, 2, 501), 501)];
    assert_eq!(known.insert(&pair), Err(Refused::Full));
    assert_eq!(known.insert(&pair[..1]), Ok(()));
    assert_eq!(known.insert(&pair[1..]), Err(Refused::Full));
    assert_eq!(known.rename(3, hash(1, 2, 900)), Err(Refused::Full));
    assert!((0..room as u32 - 1).chain([500]).all(|n| known.finds(n)));
    assert!(known.index.find(pair[1].0, |number| number == 501).is_none());
    assert!(known.is_unlocked());
}

#[test]
fn a_pair_never_shares_a_slot() {
    let known = Known::new();
    for n in 0..8 {
        known.insert(&[(hash(1, 2, n), n as u32)]).unwrap();
    }
    known.insert(&[(hash(1, 2, 20), 20), (hash(1, 2, 21), 21)]).unwrap();
    known.insert(&[(hash(1, 2, 30), 30), (hash(1, 2, 31), 31)]).unwrap();
    known.insert(&[(hash(2, 1, 40), 40), (hash(1, 2, 41), 41)]).unwrap();
    assert!((0..8).chain([20, 21, 30, 31, 40, 41]).all(|n| known.finds(n)));
    assert_eq!(known.spill(1), 3);
}

#[test]
fn a_key_that_is_there_is_named_with_its_place_in_the_pair() {
    let known = Known::new();
    known.insert(&[(hash(1, 2, 1), 7)]).unwrap();
    assert_eq!(known.insert(&[(hash(1, 2, 1), 8)]), Err(Refused::Exists(0, 7)));
    assert_eq!(known.insert(&[(hash(3, 4, 1), 8), (hash(1, 2, 1), 9)]), Err(Refused::Exists(1, 7)));
    assert!(known.index.find(hash(3, 4, 1), |_| true).is_none());
    assert_eq!(known.rename(7, hash(1, 2, 1)), Err(Refused::Exists(0, 7)));
    assert!(known.is_unlocked());
}

#[test]
fn a_renamed_entry_is_found_by_its_new_name_only() {
    for (old, new) in [((1, 2), (3, 4)), ((1, 2), (1, 4)), ((1, 2), (2, 1))] {
        let known = Known::new();
        for n in 0..13 {
            known.insert(&[(hash(old.0, old.1, n), n as u32)]).unwrap();
        }
        for n in [12, 0] {
            let (from, to) = (hash(old.0, old.1, n.into()), hash(new.0, new.1, 99 + u64::from(n)));
            assert_eq!(known.rename(n, to), Ok(true));
            assert!(known.index.find(from, |number| number == n).is_none());
            assert!(known.finds(n));
        }
        assert!((0..13).all(|n| known.finds(n)));
        assert!(known.remove(12) && known.remove(0));
        assert!(known.is_unlocked());
    }
}

#[test]
fn nothing_is_renamed_that_is_dead_or_gone() {
    let known = Known::new();
    known.insert(&[(hash(1, 2, 1), 7)]).unwrap();
    let names = [hash(1, 2, 1), hash(3, 4, 1)];
    let dead = known.index.rename(7, names, || false, |_| false, |_| names[0], || unreachable!());
    assert_eq!(dead, Ok(false));
    assert!(known.finds(7));
    assert!(known.remove(7));
    assert_eq!(known.rename(7, names[1]), Ok(false));
    assert!(known.index.find(names[1], |_| true).is_none());
}

#[test]
fn home_and_alternative_always_differ() {
    let index = Index::new(1).unwrap();
    assert_eq!(index.homes, 2, "there are at least two");
    for hash in [0, 1, u64::MAX, 1 << 63, 1 << 31, u64::from(u32::MAX)].map(Hash) {
        assert_ne!(index.home(hash), index.alternative(hash));
        assert!(index.home(hash) < 2 && index.alternative(hash) < 2);
    }
    let index = Index::new(5).unwrap();
    assert_eq!((index.home(Hash(u64::MAX)), index.alternative(Hash(u64::MAX))), (4, 0));
    assert_eq!((index.home(Hash(0)), index.alternative(Hash(0))), (0, 1));
}

#[test]
fn no_tag_means_free() {
    assert_eq!(Hash(0).tag(), 1);
    assert_eq!(Hash(0x1234_0000_1234).tag(), 1);
    assert_eq!(Hash(0x8000_0000_0001).tag(), 0x8001);
}

proptest! {
    #[test]
    fn the_index_does_what_a_set_does(
        steps in prop::collection::vec((0_u64..4, 0_u64..4, 0_u64..12, 0_u8..5), 1..250)
    ) {
        let known = Known::new();
        let mut there: BTreeMap<(u64, u64, u64), u32> = BTreeMap::new();
        let mut next = 1;
        for (home, alternative, salt, action) in steps {
            let (name, full) = ((home, alternative, salt), hash(home, alternative, salt));
            let free = SLOTS * 4 > there.len();
            match (there.get(&name).copied(), action) {
                (Some(number), 0 | 1) => {
                    prop_assert!(known.remove(number));
                    there.remove(&name);
                }
                (Some(number), 2) => {
                    let other = (alternative, home, salt + 20);
                    match known.rename(number, hash(other.0, other.1, other.2)) {
                        Ok(moved) => {
                            prop_assert!(moved && !there.contains_key(&other));
                            there.remove(&name);
                            there.insert(other, number);
                        }
                        Err(Refused::Exists(0, number)) => prop_assert_eq!(there.get(&other), Some(&number)),
                        Err(refused) => prop_assert!(!free, "{:?}", refused),
                    }
                }
                (Some(number), _) => {
                    prop_assert_eq!(known.insert(&[(full, next)]), Err(Refused::Exists(0, number)));
                }
                (None, _) => {
                    let done = known.insert(&[(full, next)]);
                    prop_assert!(done.is_ok() || !free, "{:?}", done);
                    if done.is_ok() {
                        there.insert(name, next);
                        next += 1;
                    }
                }
            }
            prop_assert!(there.values().all(|number| known.finds(*number)));
        }
        let spilled: u64 = (0..BUCKETS).map(|bucket| known.spill(bucket)).sum();
        let away = there.keys().zip(there.values()).filter(|((home, alternative, salt), number)| {
            let full = hash(*home, *alternative, *salt);
            known.index.find_in(known.index.home(full), full, &mut |n| n == **number).0.is_none()
        });
        prop_assert_eq!(spilled, away.count() as u64);
        prop_assert!(known.is_unlocked());
    }
}

#[test]
fn a_bucket_tells_whether_entries_of_its_home_live_elsewhere_whatever_else_is_in_the_word() {
    let index = Index::new(BUCKETS).unwrap();
    let bucket = index.bucket(3);
    bucket.put(8, 0xffff, 1);
    bucket.put(9, 0xffff, 2);
    assert!(bucket.try_lock());
    assert!(!bucket.is_spilled());
    bucket.spill_more();
    assert!(bucket.is_spilled());
    bucket.unlock();
    bucket.spill_less();
    assert!(!bucket.is_spilled());
}
