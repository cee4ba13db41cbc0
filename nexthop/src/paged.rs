//! A persistent sparse array: cheap to clone, edited in place where nobody else holds the page.
//!
//! A radix tree of 64-way directories over pages of `P` entries, as tall as its largest index needs: 0 to 2^32 - 1
//! all work, and a single entry anywhere costs one page and one directory per level. A clone shares everything; an edit
//! copies the directories on the way and one page once, after which further edits of that page are in place.

use std::array;
use std::fmt;

use triomphe::Arc;

/// Entries per directory.
const FAN_OUT: usize = 64;
const FAN_OUT_SHIFT: u32 = FAN_OUT.trailing_zeros();

/// An array block that knows how many of its slots are used.
#[derive(Clone)]
struct Block<S, const N: usize> {
    used: u32,
    slots: [Option<S>; N],
}

impl<S, const N: usize> Block<S, N> {
    fn empty() -> Self {
        Self { used: 0, slots: array::from_fn(|_| None) }
    }

    /// Sets a slot, which exists because indexes are masked, and returns what was there.
    fn replace(&mut self, index: usize, value: Option<S>) -> Option<S> {
        let slot = self.slots.get_mut(index & (N - 1))?;
        self.used = self.used + u32::from(value.is_some()) - u32::from(slot.is_some());
        std::mem::replace(slot, value)
    }
}

enum Branch<T, const P: usize> {
    Directory(Arc<Block<Self, FAN_OUT>>),
    Page(Arc<Block<T, P>>),
}

impl<T, const P: usize> Clone for Branch<T, P> {
    fn clone(&self) -> Self {
        match self {
            Self::Directory(directory) => Self::Directory(Arc::clone(directory)),
            Self::Page(page) => Self::Page(Arc::clone(page)),
        }
    }
}

/// A persistent sparse array from `u32` to `T`, in pages of `P` (a power of two) entries.
pub struct Paged<T, const P: usize = 64> {
    root: Option<Branch<T, P>>,
    /// Directory levels above the pages.
    height: u32,
    len: usize,
}

impl<T, const P: usize> Paged<T, P> {
    const PAGE_SHIFT: u32 = {
        assert!(P.is_power_of_two());
        P.trailing_zeros()
    };

    /// An array without entries. Costs no memory.
    #[must_use]
    pub const fn new() -> Self {
        Self { root: None, height: 0, len: 0 }
    }

    /// The entry at `index`.
    #[inline]
    #[must_use]
    pub fn get(&self, index: u32) -> Option<&T> {
        if !Self::fits(self.height, index) {
            return None;
        }
        let mut shift = Self::PAGE_SHIFT + FAN_OUT_SHIFT * self.height;
        let mut branch = self.root.as_ref()?;
        loop {
            match branch {
                Branch::Directory(directory) => {
                    shift -= FAN_OUT_SHIFT;
                    branch = directory.slots[(index >> shift) as usize & (FAN_OUT - 1)].as_ref()?;
                }
                Branch::Page(page) => return page.slots[index as usize & (P - 1)].as_ref(),
            }
        }
    }

    /// How many entries there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there is no entry.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The entries by ascending index.
    pub fn iter(&self) -> impl Iterator<Item = (u32, &T)> {
        self.iter_from(0)
    }

    /// The entries from `start` on, by ascending index: a listing goes on where it stopped.
    pub fn iter_from(&self, start: u32) -> impl Iterator<Item = (u32, &T)> {
        let mut next = Some(start);
        std::iter::from_fn(move || {
            let (index, value) = self.first_from(self.root.as_ref()?, self.height, next?)?;
            next = index.checked_add(1);
            Some((index, value))
        })
    }

    /// The first entry at or after `start`.
    fn first_from<'a>(&self, branch: &'a Branch<T, P>, height: u32, start: u32) -> Option<(u32, &'a T)> {
        if !Self::fits(height, start) && height == self.height {
            return None;
        }
        match branch {
            Branch::Page(page) => {
                let base = start & !Self::low_mask(Self::PAGE_SHIFT);
                (start as usize & (P - 1)..P)
                    .find_map(|i| page.slots[i].as_ref().map(|value| (base | i as u32, value)))
            }
            Branch::Directory(directory) => {
                let shift = Self::PAGE_SHIFT + FAN_OUT_SHIFT * (height - 1);
                let base = start & !Self::low_mask(shift + FAN_OUT_SHIFT);
                let first = (start >> shift) as usize & (FAN_OUT - 1);
                (first..FAN_OUT).find_map(|i| {
                    let below = directory.slots[i].as_ref()?;
                    let start = if i == first { start } else { base | (i as u32) << shift };
                    self.first_from(below, height - 1, start)
                })
            }
        }
    }

    fn low_mask(bits: u32) -> u32 {
        1_u32.checked_shl(bits).map_or(u32::MAX, |bit| bit - 1)
    }

    /// Whether a tree of `height` directory levels reaches `index`.
    #[inline]
    fn fits(height: u32, index: u32) -> bool {
        index.checked_shr(Self::PAGE_SHIFT + FAN_OUT_SHIFT * height).unwrap_or(0) == 0
    }
}

impl<T: Clone, const P: usize> Paged<T, P> {
    /// The entry at `index`, for a change in place: copies its page first if a clone shares it.
    pub fn get_mut(&mut self, index: u32) -> Option<&mut T> {
        // Looked up first, so that a miss copies nothing.
        self.get(index)?;
        let mut shift = Self::PAGE_SHIFT + FAN_OUT_SHIFT * self.height;
        let mut branch = self.root.as_mut()?;
        loop {
            match branch {
                Branch::Directory(directory) => {
                    shift -= FAN_OUT_SHIFT;
                    let slot = (index >> shift) as usize & (FAN_OUT - 1);
                    branch = Arc::make_mut(directory).slots[slot].as_mut()?;
                }
                Branch::Page(page) => return Arc::make_mut(page).slots[index as usize & (P - 1)].as_mut(),
            }
        }
    }

    /// Sets the entry at `index` and returns the one that was there.
    pub fn set(&mut self, index: u32, value: T) -> Option<T> {
        while !Self::fits(self.height, index) {
            self.grow();
        }
        let root = self.root.take().unwrap_or_else(|| Self::empty_branch(self.height));
        let (root, old) = Self::replace(root, self.height, index, Some(value));
        self.root = root;
        self.len += usize::from(old.is_none());
        old
    }

    /// Removes the entry at `index` and returns it.
    pub fn remove(&mut self, index: u32) -> Option<T> {
        self.get(index)?;
        let root = self.root.take()?;
        let (root, old) = Self::replace(root, self.height, index, None);
        self.root = root;
        self.len -= 1;
        if self.root.is_none() {
            self.height = 0;
        }
        old
    }

    /// One more directory level above the root.
    fn grow(&mut self) {
        self.height += 1;
        self.root = self.root.take().map(|root| {
            let mut directory = Block::empty();
            directory.replace(0, Some(root));
            Branch::Directory(Arc::new(directory))
        });
    }

    fn empty_branch(height: u32) -> Branch<T, P> {
        if height == 0 {
            Branch::Page(Arc::new(Block::empty()))
        } else {
            Branch::Directory(Arc::new(Block::empty()))
        }
    }

    /// Sets or clears an entry below `branch`; the branch is gone when that leaves it empty.
    fn replace(
        branch: Branch<T, P>,
        height: u32,
        index: u32,
        value: Option<T>,
    ) -> (Option<Branch<T, P>>, Option<T>) {
        match branch {
            Branch::Page(mut page) => {
                let block = Arc::make_mut(&mut page);
                let old = block.replace(index as usize & (P - 1), value);
                ((block.used > 0).then_some(Branch::Page(page)), old)
            }
            Branch::Directory(mut directory) => {
                let block = Arc::make_mut(&mut directory);
                let slot = (index >> (Self::PAGE_SHIFT + FAN_OUT_SHIFT * (height - 1))) as usize;
                let below = block.replace(slot & (FAN_OUT - 1), None);
                let below = below.unwrap_or_else(|| Self::empty_branch(height - 1));
                let (below, old) = Self::replace(below, height - 1, index, value);
                block.replace(slot & (FAN_OUT - 1), below);
                ((block.used > 0).then_some(Branch::Directory(directory)), old)
            }
        }
    }
}

impl<T, const P: usize> Clone for Paged<T, P> {
    fn clone(&self) -> Self {
        Self { root: self.root.clone(), height: self.height, len: self.len }
    }
}

impl<T, const P: usize> Default for Paged<T, P> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T: fmt::Debug, const P: usize> fmt::Debug for Paged<T, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

impl<T: Clone, const P: usize> FromIterator<(u32, T)> for Paged<T, P> {
    fn from_iter<I: IntoIterator<Item = (u32, T)>>(entries: I) -> Self {
        let mut paged = Self::new();
        for (index, value) in entries {
            paged.set(index, value);
        }
        paged
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::Paged;

    #[derive(Clone, Debug)]
    enum Step {
        Set(u32, u16),
        Remove(u32),
        Edit(u32, u16),
        Snapshot,
    }

    fn index() -> impl Strategy<Value = u32> {
        prop_oneof![0..200_u32, 4_000..4_200_u32, Just(1 << 24), Just(u32::MAX), any::<u32>()]
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let step = prop_oneof![
            4 => (index(), any::<u16>()).prop_map(|(i, v)| Step::Set(i, v)),
            3 => index().prop_map(Step::Remove),
            2 => (index(), any::<u16>()).prop_map(|(i, v)| Step::Edit(i, v)),
            1 => Just(Step::Snapshot),
        ];
        prop::collection::vec(step, 0..120)
    }

    fn same<const P: usize>(paged: &Paged<u16, P>, twin: &BTreeMap<u32, u16>) -> Result<(), TestCaseError> {
        prop_assert_eq!(paged.len(), twin.len());
        prop_assert_eq!(paged.is_empty(), twin.is_empty());
        prop_assert!(paged.iter().eq(twin.iter().map(|(i, v)| (*i, v))));
        Ok(())
    }

    fn behaves_like_a_map<const P: usize>(steps: Vec<Step>) -> Result<(), TestCaseError> {
        let (mut paged, mut twin) = (Paged::<u16, P>::new(), BTreeMap::new());
        let mut snapshots = Vec::new();
        for step in steps {
            match step {
                Step::Set(i, v) => prop_assert_eq!(paged.set(i, v), twin.insert(i, v)),
                Step::Remove(i) => prop_assert_eq!(paged.remove(i), twin.remove(&i)),
                Step::Edit(i, v) => {
                    prop_assert_eq!(paged.get(i), twin.get(&i));
                    if let Some(entry) = paged.get_mut(i) {
                        *entry = v;
                        twin.insert(i, v);
                    }
                }
                Step::Snapshot => snapshots.push((paged.clone(), twin.clone())),
            }
        }
        for (i, v) in &twin {
            prop_assert_eq!(paged.get(*i), Some(v));
            prop_assert!(paged.iter_from(*i).eq(twin.range(i..).map(|(i, v)| (*i, v))));
            if let Some(next) = i.checked_add(1) {
                prop_assert!(paged.iter_from(next).eq(twin.range(next..).map(|(i, v)| (*i, v))));
            }
        }
        same(&paged, &twin)?;
        snapshots.iter().try_for_each(|(paged, twin)| same(paged, twin))
    }

    proptest! {
        #[test]
        fn it_is_a_map_and_older_clones_never_change(steps in steps()) {
            behaves_like_a_map::<64>(steps.clone())?;
            behaves_like_a_map::<16>(steps)?;
        }
    }

    #[test]
    fn an_edit_of_an_unshared_page_is_in_place() {
        let mut paged: Paged<u16> = (0..100).map(|i| (i, i as u16)).collect();
        let before = std::ptr::from_ref(paged.get(70).unwrap());
        paged.set(71, 9);
        assert_eq!(std::ptr::from_ref(paged.get(70).unwrap()), before);
        let snapshot = paged.clone();
        *paged.get_mut(71).unwrap() = 10;
        assert_ne!(std::ptr::from_ref(paged.get(70).unwrap()), before, "shared, so copied once");
        let copied = std::ptr::from_ref(paged.get(70).unwrap());
        paged.set(72, 11);
        paged.remove(73);
        assert_eq!(std::ptr::from_ref(paged.get(70).unwrap()), copied);
        assert_eq!(std::ptr::from_ref(snapshot.get(70).unwrap()), before);
        assert_eq!(std::ptr::from_ref(paged.get(1).unwrap()), std::ptr::from_ref(snapshot.get(1).unwrap()));
    }

    #[test]
    fn looking_for_what_is_not_there_copies_nothing() {
        let mut paged: Paged<u16> = (0..64).map(|i| (i * 2, 0)).collect();
        let snapshot = paged.clone();
        assert!(paged.get_mut(1).is_none() && paged.remove(3).is_none() && paged.remove(1 << 30).is_none());
        assert_eq!(std::ptr::from_ref(paged.get(0).unwrap()), std::ptr::from_ref(snapshot.get(0).unwrap()));
        assert_eq!(format!("{:?}", Paged::<u16>::from_iter([(7, 3)])), "{7: 3}");
    }
}
