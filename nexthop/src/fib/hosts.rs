//! Whole addresses (/32, /128): a hash table of pages that is never rebuilt as a whole.
//!
//! A page grows a few buckets at a time, so it stays well filled, up to 4 kB; a full one makes way for four by the next two bits of the
//! hash, and each of those for four more in the same node: sixteen ways, of which four at first share a page. So an edit copies one page and
//! the few nodes above it, and memory follows the number of entries at every size.

use std::array;

use triomphe::Arc;

use super::key::HashKey;
use super::page::{Entry, Page, Probe, SLOTS};

/// Ways of a split, and the bits of the hash that choose.
const WAYS: usize = 16;
const WAY_BITS: u32 = WAYS.trailing_zeros();
/// Ways that share a page at first.
const GROUP: usize = 4;
/// Splits use the upper half of the hash, buckets the lower half.
const LEVELS: u32 = 32 / WAY_BITS;

#[derive(Clone, Debug)]
enum Place<K: HashKey> {
    Page(Page<K>),
    Split(Arc<Split<K>>),
}

/// Sixteen ways.
#[derive(Clone, Debug)]
struct Split<K: HashKey> {
    /// Groups of ways that still share the page of their first way: one bit each.
    shared: u8,
    ways: [Option<Place<K>>; WAYS],
}

/// A persistent hash table from addresses to words, which are not zero; a clone shares everything.
#[derive(Clone, Debug)]
pub(crate) struct Hosts<K: HashKey>(Option<Place<K>>);

impl<K: HashKey> Default for Hosts<K> {
    fn default() -> Self {
        Self(None)
    }
}

impl<K: HashKey> Hosts<K> {
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// The first half of a lookup: the page. None: surely not there.
    #[inline]
    pub(crate) fn probe(&self, key: K) -> Option<Probe<'_, K>> {
        let hash = key.hash();
        let (mut place, mut level) = (self.0.as_ref()?, 0);
        loop {
            match place {
                Place::Page(page) => return Some(page.probe(hash)),
                Place::Split(split) => place = split.ways[split.way(hash, level)].as_ref()?,
            }
            level += 1;
        }
    }

    /// The result of an address.
    pub(crate) fn get(&self, key: K) -> Option<u64> {
        self.probe(key)?.find(key)
    }

    /// Sets the result of an address and returns the one it had.
    pub(crate) fn insert(&mut self, key: K, result: u64) -> Option<u64> {
        insert(&mut self.0, Entry { key, hash: key.hash(), result }, 0)
    }

    /// Removes an address and returns its result.
    pub(crate) fn remove(&mut self, key: K) -> Option<u64> {
        // Looked up first, so that a miss copies nothing.
        let result = self.get(key)?;
        remove(&mut self.0, key, key.hash(), 0);
        Some(result)
    }

    /// Bytes, without what the allocator adds.
    pub(crate) fn memory(&self) -> usize {
        self.0.as_ref().map_or(0, Place::memory)
    }
}

impl<K: HashKey> Split<K> {
    /// Where a hash goes: its way, or the first one of a group that shares a page.
    #[inline]
    fn way(&self, hash: u64, level: u32) -> usize {
        let way = (hash >> (60 - WAY_BITS * level.min(LEVELS - 1))) as usize % WAYS;
        if self.shares(way) { way - way % GROUP } else { way }
    }

    #[inline]
    fn shares(&self, way: usize) -> bool {
        self.shared >> (way / GROUP) & 1 == 1
    }

    /// The page that the group of `way` shared is full: each way gets its own.
    fn part(&mut self, way: usize, entries: &[Entry<K>], level: u32) {
        self.shared &= !(1 << (way / GROUP));
        let first = way - way % GROUP;
        for way in first..first + GROUP {
            let here: Vec<_> =
                entries.iter().filter(|entry| self.way(entry.hash, level) == way).copied().collect();
            self.ways[way] = Place::of(&here, level + 1);
        }
    }
}

/// The entries of these ways, if all are pages and together half a page at most: well below where it would split again.
fn few<K: HashKey>(ways: &[Option<Place<K>>]) -> Option<Vec<Entry<K>>> {
    let pages = ways.iter().flatten().map(|place| match place {
        Place::Page(page) => Some(page),
        Place::Split(_) => None,
    });
    let buckets: usize = pages.clone().map(|page| page.map(Page::buckets)).sum::<Option<_>>()?;
    (buckets <= Page::<K>::BUCKETS / 2).then(|| pages.flatten().flat_map(Page::entries).collect())
}

impl<K: HashKey> Place<K> {
    /// A page of these entries, or a split if they are too many for one; none if there are none.
    fn of(entries: &[Entry<K>], level: u32) -> Option<Self> {
        let page = Page::of(entries)?;
        if page.buckets() <= Page::<K>::BUCKETS || level == LEVELS {
            return Some(Self::Page(page));
        }
        let mut split = Split { shared: 0b1111, ways: array::from_fn(|_| None) };
        for first in (0..WAYS).step_by(GROUP) {
            let here: Vec<_> =
                entries.iter().filter(|entry| split.way(entry.hash, level) == first).copied().collect();
            match Page::of(&here) {
                Some(page) if page.buckets() > Page::<K>::BUCKETS => split.part(first, &here, level),
                page => split.ways[first] = page.map(Self::Page),
            }
        }
        Some(Self::Split(Arc::new(split)))
    }

    fn memory(&self) -> usize {
        match self {
            Self::Page(page) => page.memory(),
            Self::Split(split) => {
                size_of::<Split<K>>() + 8 + split.ways.iter().flatten().map(Self::memory).sum::<usize>()
            }
        }
    }
}

/// Sets the result of an entry below `place` and returns the one it had.
fn insert<K: HashKey>(place: &mut Option<Place<K>>, entry: Entry<K>, level: u32) -> Option<u64> {
    match place {
        None => *place = Place::of(&[entry], level),
        Some(Place::Page(page)) => {
            let old = page.replace(entry);
            if old.is_some() {
                return old;
            }
            if !page.add(entry) {
                let mut all = page.entries();
                all.push(entry);
                *place = Place::of(&all, level);
            }
        }
        Some(Place::Split(split)) => {
            let split = Arc::make_mut(split);
            let way = split.way(entry.hash, level);
            if !split.shares(way) {
                return insert(&mut split.ways[way], entry, level + 1);
            }
            // A shared page must not become a split: its ways part instead.
            let below = &mut split.ways[way];
            let old = insert(below, entry, LEVELS);
            if let Some(Place::Page(page)) = below
                && page.buckets() > Page::<K>::BUCKETS
            {
                let all = page.entries();
                split.part(way, &all, level);
            }
            return old;
        }
    }
    None
}

/// Removes an address below `place`; what becomes empty is given back.
fn remove<K: HashKey>(place: &mut Option<Place<K>>, key: K, hash: u64, level: u32) {
    match place {
        Some(Place::Split(split)) => {
            let split = Arc::make_mut(split);
            let way = split.way(hash, level);
            remove(&mut split.ways[way], key, hash, level + 1);
            let first = way - way % GROUP;
            if !split.shares(way)
                && let Some(few) = few(&split.ways[first..first + GROUP])
            {
                split.shared |= 1 << (way / GROUP);
                split.ways[first..first + GROUP].fill(None);
                split.ways[first] = Page::of(&few).map(Place::Page);
            }
            if split.shared == 0b1111
                && let Some(few) = few(&split.ways)
            {
                *place = Page::of(&few).map(Place::Page);
            }
        }
        Some(Place::Page(page)) => {
            let left = page.remove(key, hash);
            // Half empty: fewer buckets, or none.
            if left * 2 < page.buckets() * SLOTS {
                *place = Page::of(&page.entries()).map(Place::Page);
            }
        }
        None => {}
    }
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
            Place::Split(split) => 1 + split.ways.iter().flatten().map(depth).max().unwrap_or(0),
        }
    }

    fn grows_and_shrinks<K: HashKey>(key: impl Fn(u32) -> K, bytes: usize) {
        let mut hosts = Hosts::default();
        let all = 0..50_000_u32;
        for i in all.clone() {
            assert_eq!(hosts.insert(key(i), u64::from(i) + 1), None);
            if i > 1_000 && i % 997 == 0 {
                let count = i as usize + 1;
                assert!(hosts.memory() <= count * bytes, "{} bytes for {count}", hosts.memory());
            }
        }
        assert!((2..=3).contains(&depth(hosts.0.as_ref().unwrap())));
        for i in all.clone() {
            assert_eq!(hosts.get(key(i)), Some(u64::from(i) + 1));
            assert_eq!(hosts.get(key(i + 50_000)), None);
            assert_eq!(hosts.insert(key(i), u64::from(i) + 2), Some(u64::from(i) + 1));
        }
        for i in all.clone().filter(|i| i % 10 > 0) {
            assert_eq!(hosts.remove(key(i)), Some(u64::from(i) + 2));
        }
        assert!(hosts.memory() <= 5_000 * bytes * 3 / 2, "{} bytes for 5 000", hosts.memory());
        for i in all.clone() {
            assert_eq!(hosts.get(key(i)).is_some(), i % 10 == 0);
            assert_eq!(hosts.insert(key(i), 7).is_some(), i % 10 == 0);
        }
        for i in all {
            assert_eq!(hosts.remove(key(i)), Some(7));
        }
        assert!(hosts.0.is_none());
    }

    #[test]
    fn an_ipv4_host_takes_16_bytes_at_every_size() {
        grows_and_shrinks(|i| 0x0a00_0000 | i, 16);
    }

    #[test]
    fn an_ipv6_host_takes_33_bytes_at_every_size() {
        grows_and_shrinks(|i| 0x2001_0db8_u128 << 96 | u128::from(i), 33);
    }

    #[test]
    fn one_edit_of_a_shared_table_copies_one_page() {
        let mut hosts = Hosts::default();
        (0..5_000_u32).for_each(|key| assert_eq!(hosts.insert(key, 1), None));
        let older = hosts.clone();
        hosts.insert(77, 2);
        let page = |hosts: &Hosts<u32>, key| hosts.probe(key).map(|probe| probe.page()).unwrap();
        let copied = (0..5_000_u32).filter(|key| page(&hosts, *key) != page(&older, *key)).count();
        assert!((1..=320).contains(&copied), "{copied} entries moved");
        assert_eq!((older.get(77), hosts.get(77)), (Some(1), Some(2)));
    }
}
