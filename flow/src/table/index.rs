//! From a hash to the number of a half: two candidate buckets per entry, a home and an alternative, and a
//! small stash behind them.
//!
//! A lookup reads the home, and goes on only if the home says that entries of it live elsewhere. Inserts
//! and removals hold the lock of the entry's home and of the bucket where it lives; so a miss is final
//! while its home is locked. Locks beyond the homes of a pair are only ever tried; if one is taken, all
//! are given back and the operation begins anew.
//!
//! An entry may be moved to make room, always from its home to its alternative, copy first: a reader that
//! goes home first finds one of the two.

use crate::atomic::back_off;
use crate::table::bucket::{Bucket, SLOTS};
use crate::table::machine::{preallocate, prefetch};

/// Buckets of the stash: 70 entries that found no room in either of their buckets. (A model is checked with
/// one, so that there is less to be interleaved.)
const STASH: usize = if cfg!(loom) { 1 } else { 7 };

/// A key's hash, and what the index makes of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Hash(pub(crate) u64);

impl Hash {
    /// 16 bits that tell entries of a bucket apart; never 0, which means "free".
    #[inline]
    fn tag(self) -> u16 {
        ((self.0 ^ self.0 >> 32) as u16).max(1)
    }
}

/// The index. Numbers are opaque here; what they mean, closures tell.
#[derive(Debug)]
pub(crate) struct Index {
    /// `homes` of them, then the stash.
    buckets: Box<[Bucket]>,
    homes: u64,
}

/// Why a pair was not inserted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    /// The n-th of the entries is there already, under this number.
    Exists(usize, u32),
    /// No room.
    Full,
}

/// A place that was found for an entry.
#[derive(Clone, Copy, Debug)]
struct Spot {
    bucket: usize,
    slot: usize,
    away: bool,
}

/// Why there is no place now.
enum NoSpot {
    /// Somebody else holds a lock that is needed.
    Busy,
    Full,
}

impl Index {
    /// An index with this many buckets (at least two); `None` without memory for it.
    pub(crate) fn new(buckets: usize) -> Option<Self> {
        let homes = buckets.max(2);
        Some(Self { buckets: preallocate(homes + STASH)?, homes: homes as u64 })
    }

    #[cfg(test)]
    pub(crate) fn lock_home(&self, hash: Hash) {
        self.bucket(self.home(hash)).lock();
    }

    #[cfg(test)]
    pub(crate) fn unlock_home(&self, hash: Hash) {
        self.bucket(self.home(hash)).unlock();
    }

    #[cfg(test)]
    pub(crate) fn memory(&self) -> usize {
        size_of_val(&*self.buckets)
    }

    #[inline]
    fn home(&self, hash: Hash) -> usize {
        (((hash.0 >> 32) * self.homes) >> 32) as usize
    }

    #[inline]
    fn alternative(&self, hash: Hash) -> usize {
        let other = (((hash.0 & 0xffff_ffff) * self.homes) >> 32) as usize;
        match other == self.home(hash) {
            false => other,
            true if other + 1 == self.homes as usize => 0,
            true => other + 1,
        }
    }

    #[inline]
    fn bucket(&self, at: usize) -> &Bucket {
        &self.buckets[at]
    }

    /// Asks the cache for the home of `hash`.
    #[inline]
    pub(crate) fn prefetch(&self, hash: Hash) {
        prefetch(self.bucket(self.home(hash)));
    }

    /// The first entry of the home with the tag of `hash`: most likely the right one.
    #[inline]
    pub(crate) fn candidate(&self, hash: Hash) -> Option<u32> {
        let bucket = self.bucket(self.home(hash));
        let slots = bucket.matches(hash.tag()).slots;
        (slots != 0).then(|| bucket.number(slots.trailing_zeros() as usize))
    }

    /// The entry that `is` says is the one.
    #[inline]
    pub(crate) fn find(&self, hash: Hash, mut is: impl FnMut(u32) -> bool) -> Option<u32> {
        let (found, spilled) = self.find_in(self.home(hash), hash, &mut is);
        if found.is_some() || !spilled { found } else { self.find_away(hash, &mut is) }
    }

    #[inline]
    fn find_in(&self, at: usize, hash: Hash, is: &mut impl FnMut(u32) -> bool) -> (Option<u32>, bool) {
        let bucket = self.bucket(at);
        let matches = bucket.matches(hash.tag());
        let mut slots = matches.slots;
        while slots != 0 {
            let number = bucket.number(slots.trailing_zeros() as usize);
            if is(number) {
                return (Some(number), matches.spilled);
            }
            slots &= slots - 1;
        }
        // A slot whose tag matched may have been given to another entry since, because ours had moved away:
        // then that can be seen by now.
        (None, matches.spilled || matches.slots != 0 && bucket.is_spilled())
    }

    #[cold]
    fn find_away(&self, hash: Hash, is: &mut impl FnMut(u32) -> bool) -> Option<u32> {
        std::iter::once(self.alternative(hash))
            .chain(self.stash())
            .find_map(|at| self.find_in(at, hash, is).0)
    }

    fn stash(&self) -> std::ops::Range<usize> {
        self.homes as usize..self.buckets.len()
    }

    /// Inserts the entries of one session, all or none. `is(n, number)` tells whether `number` has the key
    /// of the n-th entry, `hash_of` the hash of an entry that is there; `publish` runs when nothing can fail
    /// any more, before the first entry can be seen.
    pub(crate) fn insert(
        &self,
        entries: &[(Hash, u32)],
        is: impl Fn(usize, u32) -> bool,
        hash_of: impl Fn(u32) -> Hash,
        publish: impl FnOnce(),
    ) -> Result<(), Refused> {
        let mut attempt = 0;
        loop {
            let mut held = Held::new(self);
            held.lock_homes(entries.iter().map(|(hash, _)| self.home(*hash)));
            for (n, (hash, _)) in entries.iter().enumerate() {
                if let Some(number) = self.find(*hash, |number| is(n, number)) {
                    return Err(Refused::Exists(n, number));
                }
            }
            match self.spots(&mut held, entries, &hash_of) {
                Ok(spots) => {
                    publish();
                    for ((hash, number), spot) in entries.iter().zip(spots.into_iter().flatten()) {
                        self.fill(spot, *hash, *number);
                    }
                    return Ok(());
                }
                Err(NoSpot::Full) => return Err(Refused::Full),
                Err(NoSpot::Busy) => drop(held),
            }
            back_off(&mut attempt);
        }
    }

    /// Removes the entry of `number`; `false` if it was not there.
    pub(crate) fn remove(&self, hash: Hash, number: u32) -> bool {
        let mut attempt = 0;
        loop {
            let mut held = Held::new(self);
            held.lock_homes([self.home(hash)]);
            match self.clear(&mut held, hash, number) {
                Ok(found) => return found,
                Err(_) => drop(held),
            }
            back_off(&mut attempt);
        }
    }

    /// Gives `number` another key: `change` runs while neither key leads to it. Refused if the new key (told
    /// by `is`) is there already; `false` if `alive`, asked under the locks, says so or the old key is not
    /// there.
    pub(crate) fn rename(
        &self,
        number: u32,
        [old, new]: [Hash; 2],
        alive: impl Fn() -> bool,
        is: impl Fn(u32) -> bool,
        hash_of: impl Fn(u32) -> Hash,
        change: impl FnOnce(),
    ) -> Result<bool, Refused> {
        let mut attempt = 0;
        loop {
            let mut held = Held::new(self);
            held.lock_homes([self.home(old), self.home(new)]);
            if !alive() {
                return Ok(false);
            }
            if let Some(other) = self.find(new, &is) {
                return Err(Refused::Exists(0, other));
            }
            let spot = self.spot(&mut held, new, None, &hash_of);
            match spot.and_then(|spot| Ok((spot, self.clear(&mut held, old, number)?))) {
                Ok((spot, true)) => {
                    change();
                    self.fill(spot, new, number);
                    return Ok(true);
                }
                Ok((_, false)) => return Ok(false),
                Err(NoSpot::Full) => return Err(Refused::Full),
                Err(NoSpot::Busy) => drop(held),
            }
            back_off(&mut attempt);
        }
    }

    fn fill(&self, spot: Spot, hash: Hash, number: u32) {
        self.bucket(spot.bucket).put(spot.slot, hash.tag(), number);
        if spot.away {
            self.bucket(self.home(hash)).spill_more();
        }
    }

    /// Frees the slot of `number`, whose home is locked.
    fn clear(&self, held: &mut Held<'_>, hash: Hash, number: u32) -> Result<bool, NoSpot> {
        let home = self.home(hash);
        for at in [home, self.alternative(hash)].into_iter().chain(self.stash()) {
            let bucket = self.bucket(at);
            if at != home && self.find_in(at, hash, &mut |n| n == number).0.is_none() {
                continue;
            }
            if !held.try_lock(at) {
                return Err(NoSpot::Busy);
            }
            let slots = bucket.matches(hash.tag()).slots;
            if let Some(slot) =
                (0..SLOTS).find(|slot| slots >> slot & 1 == 1 && bucket.number(*slot) == number)
            {
                bucket.clear(slot);
                if at != home {
                    self.bucket(home).spill_less();
                }
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn spots(
        &self,
        held: &mut Held<'_>,
        entries: &[(Hash, u32)],
        hash_of: &impl Fn(u32) -> Hash,
    ) -> Result<[Option<Spot>; 2], NoSpot> {
        let mut spots = [None; 2];
        let mut taken = None;
        for ((hash, _), spot) in entries.iter().zip(&mut spots) {
            taken = Some(self.spot(held, *hash, taken, hash_of)?);
            *spot = taken;
        }
        Ok(spots)
    }

    /// A free slot for an entry whose home is locked: at home, else in the alternative, else where an entry
    /// can be moved away, else in the stash. The bucket of the spot is locked.
    fn spot(
        &self,
        held: &mut Held<'_>,
        hash: Hash,
        taken: Option<Spot>,
        hash_of: &impl Fn(u32) -> Hash,
    ) -> Result<Spot, NoSpot> {
        let home = self.home(hash);
        if let Some(slot) = self.free(home, taken) {
            return Ok(Spot { bucket: home, slot, away: false });
        }
        let alternative = self.alternative(hash);
        if !held.try_lock(alternative) {
            return Err(NoSpot::Busy);
        }
        if let Some(slot) = self.free(alternative, taken) {
            return Ok(Spot { bucket: alternative, slot, away: true });
        }
        let mut busy = false;
        for at in [home, alternative] {
            match self.move_one(held, at, taken, hash_of) {
                Ok(slot) => return Ok(Spot { bucket: at, slot, away: at != home }),
                Err(NoSpot::Busy) => busy = true,
                Err(NoSpot::Full) => {}
            }
        }
        for at in self.stash() {
            if !held.try_lock(at) {
                busy = true;
            } else if let Some(slot) = self.free(at, taken) {
                return Ok(Spot { bucket: at, slot, away: true });
            }
        }
        Err(if busy { NoSpot::Busy } else { NoSpot::Full })
    }

    fn free(&self, at: usize, taken: Option<Spot>) -> Option<usize> {
        self.bucket(at).free_slot(taken.filter(|spot| spot.bucket == at).map(|spot| spot.slot))
    }

    /// Moves one entry of the full, locked bucket `at` from there, its home, to its alternative.
    fn move_one(
        &self,
        held: &mut Held<'_>,
        at: usize,
        taken: Option<Spot>,
        hash_of: &impl Fn(u32) -> Hash,
    ) -> Result<usize, NoSpot> {
        let bucket = self.bucket(at);
        let mut busy = false;
        for slot in (0..SLOTS).filter(|slot| bucket.tag(*slot) != 0) {
            let number = bucket.number(slot);
            let hash = hash_of(number);
            if self.home(hash) != at {
                continue;
            }
            let to = self.alternative(hash);
            let ours = held.holds(to);
            if !ours && !held.try_lock(to) {
                busy = true;
                continue;
            }
            let room = self.free(to, taken);
            if let Some(room) = room {
                self.bucket(to).put(room, hash.tag(), number);
                bucket.spill_more();
                bucket.clear(slot);
            }
            if !ours {
                held.unlock_last();
            }
            if room.is_some() {
                return Ok(slot);
            }
        }
        Err(if busy { NoSpot::Busy } else { NoSpot::Full })
    }
}

/// The locks that an operation holds; given back at its end, however it ends.
struct Held<'a> {
    index: &'a Index,
    buckets: [usize; Held::MOST],
    len: usize,
}

impl<'a> Held<'a> {
    /// Two homes, two alternatives, the stash, and one bucket to move an entry to.
    const MOST: usize = 4 + STASH + 1;

    fn new(index: &'a Index) -> Self {
        Self { index, buckets: [0; Self::MOST], len: 0 }
    }

    /// Waits for the homes of a pair, in address order.
    fn lock_homes(&mut self, homes: impl IntoIterator<Item = usize>) {
        let mut homes = homes.into_iter();
        let (Some(one), two) = (homes.next(), homes.next()) else { return };
        let two = two.unwrap_or(one);
        for home in [one.min(two), one.max(two)] {
            if !self.holds(home) {
                self.index.bucket(home).lock();
                self.push(home);
            }
        }
    }

    fn try_lock(&mut self, bucket: usize) -> bool {
        self.holds(bucket)
            || (self.len < Self::MOST && self.index.bucket(bucket).try_lock() && {
                self.push(bucket);
                true
            })
    }

    fn holds(&self, bucket: usize) -> bool {
        self.buckets.iter().take(self.len).any(|held| *held == bucket)
    }

    fn push(&mut self, bucket: usize) {
        if let Some(place) = self.buckets.get_mut(self.len) {
            *place = bucket;
            self.len += 1;
        }
    }

    fn unlock_last(&mut self) {
        if let Some(last) = self.len.checked_sub(1) {
            self.index.bucket(self.buckets[last]).unlock();
            self.len = last;
        }
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        while self.len > 0 {
            self.unlock_last();
        }
    }
}

#[cfg(all(test, loom))]
mod loom_tests;
#[cfg(test)]
mod tests;
