//! A page of a hash table: buckets of five entries, as few of them as will do.
//!
//! A bucket of IPv4 addresses is one cache line, and nearly every lookup ends in it. An entry whose bucket is full lies
//! in one behind it, rarely far; each bucket has a sieve that tells most lookups not to look there.

use triomphe::Arc;

use super::key::HashKey;
use super::machine::prefetch;

/// Entries per bucket.
pub(crate) const SLOTS: usize = 5;
/// How far from its bucket an entry may lie.
const REACH: usize = 15;

#[derive(Clone, Copy, Debug)]
#[repr(C, align(64))]
pub(crate) struct Bucket<K: HashKey> {
    /// 0: the slot is free.
    results: [u64; SLOTS],
    keys: [K::Stored; SLOTS],
    /// A bit for each entry of this bucket that lies in one behind it, by its hash: the sieve.
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

/// An entry with its hash.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Entry<K> {
    pub(crate) key: K,
    pub(crate) hash: u64,
    pub(crate) result: u64,
}

/// At least one bucket; a clone shares them.
#[derive(Clone, Debug)]
pub(crate) struct Page<K: HashKey>(Arc<[Bucket<K>]>);

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

    /// The result of the key.
    #[inline]
    pub(crate) fn find(&self, key: K) -> Option<u64> {
        let (bucket, slot) = self.locate(key)?;
        self.buckets.get(bucket)?.results.get(slot).copied()
    }

    /// Where the page lies.
    #[cfg(test)]
    pub(crate) fn page(&self) -> usize {
        self.buckets.as_ptr().addr()
    }

    /// Bucket and slot of the key.
    #[inline]
    fn locate(&self, key: K) -> Option<(usize, usize)> {
        let stored = key.store();
        let bucket = self.buckets.get(self.home)?;
        if let Some(slot) = bucket.find(stored) {
            return Some((self.home, slot));
        }
        if bucket.strayed & stray(self.hash) == 0 {
            return None;
        }
        (1..=usize::from(bucket.reach)).find_map(|distance| {
            let index = behind(self.home, distance, self.buckets.len());
            Some((index, self.buckets.get(index)?.find(stored)?))
        })
    }
}

impl<K: HashKey> Page<K> {
    /// Most buckets of a page that is to be copied as a whole: 4 kB.
    pub(crate) const BUCKETS: usize = 4096 / size_of::<Bucket<K>>();

    /// A page with as few buckets as the entries need; none if there are none.
    pub(crate) fn of(entries: &[Entry<K>]) -> Option<Self> {
        if entries.is_empty() {
            return None;
        }
        // Eight slots in nine filled: small, yet not full again at the next insertion.
        let mut count = (entries.len() * 9).div_ceil(SLOTS * 8);
        loop {
            let mut buckets = vec![Bucket::empty(); count];
            if entries.iter().all(|entry| place(&mut buckets, *entry)) {
                return Some(Self(buckets[..].into()));
            }
            count += 1;
        }
    }

    #[inline]
    pub(crate) fn probe(&self, hash: u64) -> Probe<'_, K> {
        Probe { buckets: &self.0, hash, home: home(hash, self.0.len()) }
    }

    pub(crate) fn buckets(&self) -> usize {
        self.0.len()
    }

    pub(crate) fn entries(&self) -> Vec<Entry<K>> {
        let all = self.0.iter().flat_map(|bucket| bucket.keys.iter().zip(&bucket.results));
        all.filter(|(_, result)| **result != 0)
            .map(|(key, result)| {
                let key = K::load(*key);
                Entry { key, hash: key.hash(), result: *result }
            })
            .collect()
    }

    /// Replaces the result of an entry that is there and returns the old one.
    pub(crate) fn replace(&mut self, entry: Entry<K>) -> Option<u64> {
        let (bucket, slot) = self.probe(entry.hash).locate(entry.key)?;
        let result = self.edit().get_mut(bucket)?.results.get_mut(slot)?;
        Some(std::mem::replace(result, entry.result))
    }

    /// Adds an entry that is not there; false if there is no room near its bucket.
    pub(crate) fn add(&mut self, entry: Entry<K>) -> bool {
        place(self.edit(), entry)
    }

    /// Removes a key and returns how many entries are left.
    pub(crate) fn remove(&mut self, key: K, hash: u64) -> usize {
        let found = self.probe(hash).locate(key);
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

    /// Bytes, without what the allocator adds; the count of owners takes a line of its own.
    pub(crate) fn memory(&self) -> usize {
        align_of::<Bucket<K>>() + size_of_val(&*self.0)
    }
}

/// The bucket of a hash among `count`.
#[inline]
fn home(hash: u64, count: usize) -> usize {
    ((u64::from(hash as u32) * count as u64) >> 32) as usize
}

/// The bit of a hash in the sieve: bits that chose neither page nor bucket.
#[inline]
fn stray(hash: u64) -> u16 {
    1 << (hash & 15)
}

/// The bucket `distance` behind `home`, around the end.
#[inline]
fn behind(home: usize, distance: usize, count: usize) -> usize {
    let index = home + distance;
    if index < count { index } else { index - count }
}

/// Puts an entry that is not there into the first free slot near its bucket; false if there is none.
fn place<K: HashKey>(buckets: &mut [Bucket<K>], entry: Entry<K>) -> bool {
    let home = home(entry.hash, buckets.len());
    for distance in 0..=REACH.min(buckets.len() - 1) {
        let bucket = &mut buckets[behind(home, distance, buckets.len())];
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
    use super::{Bucket, Entry, HashKey, Page};

    fn entry(key: u32) -> Entry<u32> {
        Entry { key, hash: key.hash(), result: u64::from(key) + 1 }
    }

    #[test]
    fn a_bucket_of_ipv4_addresses_is_one_cache_line() {
        assert_eq!((size_of::<Bucket<u32>>(), align_of::<Bucket<u32>>()), (64, 64));
        assert_eq!(size_of::<Bucket<u128>>(), 128);
        assert_eq!((Page::<u32>::BUCKETS, Page::<u128>::BUCKETS), (64, 32));
    }

    #[test]
    fn most_entries_are_found_in_their_own_bucket_and_absent_ones_rarely_looked_for_elsewhere() {
        let entries: Vec<_> = (0..250).map(entry).collect();
        let page = Page::of(&entries).unwrap();
        assert!(page.buckets() <= 60, "{}", page.buckets());
        let at_home = entries.iter().filter(|entry| {
            let probe = page.probe(entry.hash);
            probe.locate(entry.key).map(|(bucket, _)| bucket) == Some(probe.home)
        });
        assert!(at_home.count() > 180);
        let looks_on = (1_000..2_000_u32).filter(|key| {
            let probe = page.probe(key.hash());
            assert_eq!(probe.find(*key), None);
            probe.buckets[probe.home].strayed & super::stray(probe.hash) != 0
        });
        assert!(looks_on.count() < 200);
    }

    #[test]
    fn a_full_page_refuses_and_a_removed_entry_makes_room() {
        let entries: Vec<_> = (0..5).map(entry).collect();
        assert!(Page::<u32>::of(&[]).is_none());
        let mut page = Page::of(&entries[..4]).unwrap();
        assert_eq!(page.buckets(), 1);
        assert!(page.add(entries[4]) && !page.add(entry(5)));
        assert_eq!(page.remove(2, 2_u32.hash()), 4);
        assert_eq!(page.probe(2_u32.hash()).find(2), None);
        assert!(page.add(entry(5)));
        assert_eq!(page.replace(Entry { result: 9, ..entry(5) }), Some(6));
        assert_eq!(page.replace(entry(2)), None);
        assert_eq!(page.probe(5_u32.hash()).find(5), Some(9));
        assert_eq!(page.memory(), 128);
        assert_eq!(page.entries().len(), 5);
    }
}
