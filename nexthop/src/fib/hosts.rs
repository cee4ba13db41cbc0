//! Whole addresses (/32, /128): a hash table in which nearly every lookup touches one cache line.
//!
//! A page is up to 64 buckets of five entries; a bucket of IPv4 addresses is one cache line. Pages grow
//! a few buckets at a time, so they stay well filled; a full one splits in sixteen by the next bits of the hash, so
//! that an edit copies one page at most. An entry whose bucket is full lies in one behind it, rarely far; each
//! bucket knows how far its own have strayed.

use std::array;

use triomphe::Arc;

use super::key::HashKey;
use super::prefetch::prefetch;

/// Entries per bucket.
const SLOTS: usize = 5;
/// Most buckets per page.
const BUCKETS: usize = 64;
/// How far from its bucket an entry may lie.
const REACH: usize = 15;
/// Pages per split, and the bits of the hash that choose.
const WAYS: usize = 16;
const WAY_BITS: u32 = WAYS.trailing_zeros();
/// Splits use the upper half of the hash, buckets the lower half.
const LEVELS: u32 = 32 / WAY_BITS;

#[derive(Clone, Copy, Debug)]
#[repr(C, align(64))]
struct Bucket<K: HashKey> {
    /// 0: the slot is free.
    results: [u64; SLOTS],
    keys: [K::Stored; SLOTS],
    /// A bit for each entry of this bucket that lies in one behind it, by its hash: a sieve.
    strayed: u16,
    /// The farthest that one of those lies away.
    reach: u8,
}

impl<K: HashKey> Bucket<K> {
    fn empty() -> Self {
        Self { results: [0; SLOTS], keys: [K::Stored::default(); SLOTS], strayed: 0, reach: 0 }
    }

    #[inline]
    fn find(&self, key: K::Stored) -> Option<usize> {
        // No branch per slot: nobody could predict it.
        let here = |slot: usize| u32::from(self.keys[slot] == key && self.results[slot] != 0) << slot;
        let found = here(0) | here(1) | here(2) | here(3) | here(4);
        (found != 0).then(|| found.trailing_zeros() as usize)
    }
}

/// At least one bucket.
#[derive(Clone, Debug)]
struct Page<K: HashKey>(Arc<[Bucket<K>]>);

#[derive(Clone, Debug)]
enum Place<K: HashKey> {
    Page(Page<K>),
    Split(Arc<[Option<Self>; WAYS]>),
}

/// A persistent hash table from addresses to words, which are not zero; a clone shares everything.
#[derive(Clone, Debug)]
pub(crate) struct Hosts<K: HashKey>(Option<Place<K>>);

impl<K: HashKey> Default for Hosts<K> {
    fn default() -> Self {
        Self(None)
    }
}

/// Where a lookup goes on: prefetched by one stage of a burst, read by the next.
pub(crate) struct Probe<'a, K: HashKey> {
    buckets: &'a [Bucket<K>],
    hash: u64,
    home: usize,
}

impl<K: HashKey> Probe<'_, K> {
    /// Asks for the cache line that the probe will read.
    #[inline(always)]
    pub(crate) fn prefetch(&self) {
        if let Some(bucket) = self.buckets.get(self.home) {
            prefetch(bucket);
        }
    }

    /// The result of the address, as a word.
    #[inline]
    pub(crate) fn find(&self, key: K) -> Option<u64> {
        let (bucket, slot) = locate(self.buckets, self.home, self.hash, key)?;
        self.buckets.get(bucket)?.results.get(slot).copied()
    }
}

impl<K: HashKey> Hosts<K> {
    /// The first half of a lookup: the page. None: surely not there.
    #[inline]
    pub(crate) fn probe(&self, key: K) -> Option<Probe<'_, K>> {
        let hash = key.hash();
        let (mut place, mut shift) = (self.0.as_ref()?, 64);
        loop {
            match place {
                Place::Page(Page(page)) => {
                    return Some(Probe { buckets: page, hash, home: home(hash, page.len()) });
                }
                Place::Split(ways) => {
                    shift -= WAY_BITS;
                    place = ways[(hash >> shift) as usize % WAYS].as_ref()?;
                }
            }
        }
    }

    /// The result of an address.
    pub(crate) fn get(&self, key: K) -> Option<u64> {
        self.probe(key)?.find(key)
    }

    /// Sets the result of an address and returns the one it had.
    pub(crate) fn insert(&mut self, key: K, result: u64) -> Option<u64> {
        let entry = Entry { key, hash: key.hash(), result };
        match &mut self.0 {
            Some(place) => place.insert(entry, 0),
            None => {
                self.0 = Some(Place::Page(Page::build(&[entry])));
                None
            }
        }
    }

    /// Removes an address and returns its result.
    pub(crate) fn remove(&mut self, key: K) -> Option<u64> {
        // Looked up first, so that a miss copies nothing.
        let result = self.get(key)?;
        remove(&mut self.0, key, key.hash(), 64);
        Some(result)
    }

    /// Bytes, without what the allocator adds.
    pub(crate) fn memory(&self) -> usize {
        self.0.as_ref().map_or(0, Place::memory)
    }
}

/// An entry with its hash.
#[derive(Clone, Copy)]
struct Entry<K> {
    key: K,
    hash: u64,
    result: u64,
}

impl<K: HashKey> Place<K> {
    fn insert(&mut self, entry: Entry<K>, level: u32) -> Option<u64> {
        match self {
            Self::Split(ways) => {
                let way = &mut Arc::make_mut(ways)[way(entry.hash, level)];
                match way {
                    Some(place) => place.insert(entry, level + 1),
                    None => {
                        *way = Some(Self::Page(Page::build(&[entry])));
                        None
                    }
                }
            }
            Self::Page(page) => {
                if let Some((bucket, slot)) = page.locate(entry.key, entry.hash) {
                    let result = page.edit().get_mut(bucket)?.results.get_mut(slot)?;
                    return Some(std::mem::replace(result, entry.result));
                }
                if !place(page.edit(), entry) {
                    let mut all = page.entries();
                    all.push(entry);
                    *self = Self::build(&all, level);
                }
                None
            }
        }
    }

    /// A page of these entries, or a split if they are too many for one.
    fn build(entries: &[Entry<K>], level: u32) -> Self {
        let page = Page::build(entries);
        if page.0.len() <= BUCKETS || level == LEVELS {
            return Self::Page(page);
        }
        Self::Split(Arc::new(array::from_fn(|i| {
            let here: Vec<_> = entries.iter().filter(|entry| way(entry.hash, level) == i).copied().collect();
            (!here.is_empty()).then(|| Self::build(&here, level + 1))
        })))
    }

    fn memory(&self) -> usize {
        match self {
            Self::Page(page) => size_of::<Bucket<K>>() + size_of_val(&*page.0),
            Self::Split(ways) => {
                size_of::<[Option<Self>; WAYS]>() + 8 + ways.iter().flatten().map(Self::memory).sum::<usize>()
            }
        }
    }
}

/// Removes an address below `place`, whose hash is used up to bit `shift`; what becomes empty is given back.
fn remove<K: HashKey>(place: &mut Option<Place<K>>, key: K, hash: u64, shift: u32) {
    match place {
        Some(Place::Split(ways)) => {
            let ways = Arc::make_mut(ways);
            let shift = shift - WAY_BITS;
            remove(&mut ways[(hash >> shift) as usize % WAYS], key, hash, shift);
            if ways.iter().all(Option::is_none) {
                *place = None;
            }
        }
        Some(Place::Page(page)) => {
            let count = page.remove(key, hash);
            if count == 0 {
                *place = None;
            } else if page.0.len() > 1 && count * 2 < page.0.len() * SLOTS {
                *page = Page::build(&page.entries());
            }
        }
        None => {}
    }
}

impl<K: HashKey> Page<K> {
    /// A page with as few buckets as the entries need.
    fn build(entries: &[Entry<K>]) -> Self {
        // Eight slots in nine filled: small, yet not full again at the next insertion.
        let mut count = (entries.len() * 9).div_ceil(SLOTS * 8);
        loop {
            let mut buckets = vec![Bucket::empty(); count];
            if entries.iter().all(|entry| place(&mut buckets, *entry)) {
                return Self(buckets[..].into());
            }
            count += 1;
        }
    }

    fn entries(&self) -> Vec<Entry<K>> {
        let all = self.0.iter().flat_map(|bucket| bucket.keys.iter().zip(&bucket.results));
        all.filter(|(_, result)| **result != 0)
            .map(|(key, result)| {
                let key = K::load(*key);
                Entry { key, hash: key.hash(), result: *result }
            })
            .collect()
    }

    fn locate(&self, key: K, hash: u64) -> Option<(usize, usize)> {
        locate(&self.0, home(hash, self.0.len()), hash, key)
    }

    /// Removes an address and returns how many are left.
    fn remove(&mut self, key: K, hash: u64) -> usize {
        let found = self.locate(key, hash);
        let buckets = self.edit();
        if let Some(result) = found.and_then(|(bucket, slot)| buckets.get_mut(bucket)?.results.get_mut(slot))
        {
            *result = 0;
        }
        buckets.iter().flat_map(|bucket| &bucket.results).filter(|result| **result != 0).count()
    }

    /// The buckets, for a change in place: copied first if a clone shares them.
    fn edit(&mut self) -> &mut [Bucket<K>] {
        if !self.0.is_unique() {
            self.0 = self.0[..].into();
        }
        Arc::get_mut(&mut self.0).unwrap_or_default()
    }
}

/// The way that a hash takes at `level`.
fn way(hash: u64, level: u32) -> usize {
    (hash >> (64 - WAY_BITS * (level + 1))) as usize % WAYS
}

/// The bucket of a hash among `count`.
#[inline]
fn home(hash: u64, count: usize) -> usize {
    ((u64::from(hash as u32) * count as u64) >> 32) as usize
}

/// The bit of a hash in the sieve.
#[inline]
fn stray(hash: u64) -> u16 {
    // Bits that chose neither the page nor the bucket.
    1 << (hash & 15)
}

/// The bucket `distance` behind `home`, around the end.
#[inline]
fn at(home: usize, distance: usize, count: usize) -> usize {
    let index = home + distance;
    if index < count { index } else { index - count }
}

/// Bucket and slot of an address.
#[inline]
fn locate<K: HashKey>(buckets: &[Bucket<K>], home: usize, hash: u64, key: K) -> Option<(usize, usize)> {
    let stored = key.store();
    let bucket = buckets.get(home)?;
    if let Some(slot) = bucket.find(stored) {
        return Some((home, slot));
    }
    if bucket.strayed & stray(hash) == 0 {
        return None;
    }
    (1..=usize::from(bucket.reach)).find_map(|distance| {
        let index = at(home, distance, buckets.len());
        Some((index, buckets.get(index)?.find(stored)?))
    })
}

/// Puts an entry that is not there into the first free slot near its bucket; false if there is none.
fn place<K: HashKey>(buckets: &mut [Bucket<K>], entry: Entry<K>) -> bool {
    let home = home(entry.hash, buckets.len());
    for distance in 0..=REACH.min(buckets.len() - 1) {
        let bucket = &mut buckets[at(home, distance, buckets.len())];
        if let Some(slot) = bucket.results.iter().position(|result| *result == 0) {
            bucket.results[slot] = entry.result;
            bucket.keys[slot] = entry.key.store();
            if distance > 0 {
                buckets[home].strayed |= stray(entry.hash);
                buckets[home].reach = buckets[home].reach.max(distance as u8);
            }
            return true;
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::{HashKey, Hosts, Place};

    fn behaves_like_a_map<K: HashKey + Ord>(steps: &[(K, Option<u64>)]) -> Result<(), TestCaseError> {
        let (mut hosts, mut twin) = (Hosts::default(), BTreeMap::new());
        let (mut older, mut older_twin) = (hosts.clone(), twin.clone());
        for (i, (key, result)) in steps.iter().enumerate() {
            if i == steps.len() / 2 {
                (older, older_twin) = (hosts.clone(), twin.clone());
            }
            match result {
                Some(result) => prop_assert_eq!(hosts.insert(*key, *result), twin.insert(*key, *result)),
                None => prop_assert_eq!(hosts.remove(*key), twin.remove(key)),
            }
        }
        for (key, _) in steps {
            prop_assert_eq!(hosts.get(*key), twin.get(key).copied());
            prop_assert_eq!(older.get(*key), older_twin.get(key).copied());
        }
        for key in twin.keys() {
            prop_assert!(hosts.remove(*key).is_some());
        }
        prop_assert!(hosts.0.is_none());
        prop_assert_eq!(hosts.memory(), 0);
        Ok(())
    }

    proptest! {
        #[test]
        fn it_is_a_map_and_older_clones_never_change(
            steps in prop::collection::vec((0..60_u32, prop::option::weighted(0.7, 1..9_u64)), 0..300),
        ) {
            behaves_like_a_map(&steps)?;
            let v6: Vec<_> = steps.iter().map(|(key, result)| (u128::from(*key) << 64 | 7, *result)).collect();
            behaves_like_a_map(&v6)?;
        }
    }

    fn depth<K: HashKey>(place: &Place<K>) -> usize {
        match place {
            Place::Page(_) => 0,
            Place::Split(ways) => 1 + ways.iter().flatten().map(depth).max().unwrap_or(0),
        }
    }

    #[test]
    fn pages_split_stay_full_and_are_given_back() {
        let mut hosts = Hosts::default();
        let all = 0..50_000_u32;
        for key in all.clone() {
            assert_eq!(hosts.insert(0x0a00_0000 | key, u64::from(key) + 1), None);
        }
        assert!((1..=3).contains(&depth(hosts.0.as_ref().unwrap())));
        assert!(hosts.memory() <= 50_000 * 16, "{} bytes a host", hosts.memory() as f64 / 50_000.0);
        for key in all.clone() {
            assert_eq!(hosts.get(0x0a00_0000 | key), Some(u64::from(key) + 1));
            assert_eq!(hosts.get(0x0b00_0000 | key), None);
        }
        for key in all.clone().filter(|key| key % 10 > 0) {
            hosts.remove(0x0a00_0000 | key);
        }
        assert!(hosts.memory() <= 5_000 * 40, "{} bytes a host", hosts.memory() as f64 / 5_000.0);
        for key in all {
            assert_eq!(hosts.get(0x0a00_0000 | key).is_some(), key % 10 == 0);
        }
    }

    #[test]
    fn one_edit_of_a_shared_table_copies_one_page() {
        let mut hosts = Hosts::default();
        (0..5_000_u32).for_each(|key| assert_eq!(hosts.insert(key, 1), None));
        let older = hosts.clone();
        hosts.insert(77, 2);
        let page = |hosts: &Hosts<u32>, key| hosts.probe(key).map(|probe| probe.buckets.as_ptr()).unwrap();
        let copied = (0..5_000_u32).filter(|key| page(&hosts, *key) != page(&older, *key)).count();
        assert!((1..=320).contains(&copied), "{copied} entries moved");
        assert_eq!((older.get(77), hosts.get(77)), (Some(1), Some(2)));
        assert_eq!(size_of::<super::Bucket<u32>>(), 64);
    }
}
