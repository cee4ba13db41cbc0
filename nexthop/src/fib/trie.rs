//! The trie for prefixes shorter than a whole address.
//!
//! A neighbourhood with few routes is one [`Leaf`]; with more it is an [`Array`] by the next eight bits, and below each of
//! its slots the same again. A node says itself at which depth it stands and under which bits, since the path to it is
//! compressed. A route is stored once, in the node where it ends, and a lookup carries the longest match down; so an
//! edit touches that node and copies the path to it. Results are numbers in the table that all VRFs share.

use arrayvec::ArrayVec;

use super::array::Array;
use super::key::Key;
use super::leaf::Leaf;
use super::paint::Routes;
use super::route::{Route, Shown};

/// A place in the trie: what it shows and what stands below. The whole trie is a slot that shows nothing.
#[derive(Clone, Debug)]
pub(crate) enum Slot<K: Key> {
    /// Nothing below.
    Bare(Shown),
    Leaf(Shown, Leaf<K>),
    Array(Shown, Array<K>),
}

impl<K: Key> Default for Slot<K> {
    fn default() -> Self {
        Self::Bare(Shown::NOTHING)
    }
}

impl<K: Key> Slot<K> {
    #[inline(always)]
    pub(crate) fn shown(&self) -> Shown {
        match self {
            Self::Bare(shown) | Self::Leaf(shown, _) | Self::Array(shown, _) => *shown,
        }
    }

    /// Shows something else; returns what it showed.
    pub(crate) fn show(&mut self, new: Shown) -> Shown {
        match self {
            Self::Bare(shown) | Self::Leaf(shown, _) | Self::Array(shown, _) => std::mem::replace(shown, new),
        }
    }

    /// Whether nothing stands below.
    pub(crate) fn is_bare(&self) -> bool {
        matches!(self, Self::Bare(_))
    }

    /// The longest match: the number of its result and its length.
    pub(crate) fn lookup(&self, key: K) -> Option<(u32, u8)> {
        let mut best = Shown::NOTHING;
        let mut slot = self;
        loop {
            best = best.max(slot.shown());
            match slot {
                Self::Bare(_) => break,
                Self::Leaf(_, leaf) => {
                    best = best.max(leaf.lookup(key));
                    break;
                }
                Self::Array(_, array) => match array.slot(key) {
                    Some(next) => slot = next,
                    None => break,
                },
            }
        }
        Some((best.result(), best.length()?))
    }

    /// The result of exactly this route.
    pub(crate) fn get(&self, route: Route<K>) -> Option<u32> {
        match self {
            Self::Bare(_) => None,
            Self::Leaf(..) => {
                let mut routes = Routes::new();
                self.routes(&mut routes);
                let at = routes.binary_search_by_key(&route.order(), Route::order).ok()?;
                routes.get(at).map(|route| route.result)
            }
            Self::Array(_, array) => array.get(route),
        }
    }

    /// Sets the result of a route and returns the one it had.
    pub(crate) fn insert(&mut self, route: Route<K>) -> Option<u32> {
        let mut routes = Routes::new();
        match self {
            Self::Bare(_) => {}
            Self::Leaf(_, leaf) => {
                let mut intervals = ArrayVec::new();
                leaf.intervals(&mut intervals);
                let replaced = leaf.replace(route, &intervals);
                if replaced.is_some() {
                    return replaced;
                }
                leaf.routes_of(&intervals, &mut routes);
            }
            Self::Array(_, array) => return array.insert(route),
        }
        let old = match routes.binary_search_by_key(&route.order(), Route::order) {
            Ok(at) => routes.get_mut(at).map(|there| std::mem::replace(&mut there.result, route.result)),
            Err(at) => {
                // There is room: a leaf has fewer routes than that.
                let _ = routes.try_insert(at, route);
                None
            }
        };
        self.put(&routes);
        old
    }

    /// Removes a route and returns its result. If there is no such route, nodes on the way may be copied for nothing.
    pub(crate) fn remove(&mut self, route: Route<K>) -> Option<u32> {
        let mut routes = Routes::new();
        let old = match self {
            Self::Bare(_) => return None,
            Self::Leaf(_, leaf) => {
                leaf.routes(&mut routes);
                let at = routes.binary_search_by_key(&route.order(), Route::order).ok()?;
                routes.remove(at).result
            }
            Self::Array(_, array) => {
                let old = array.remove(route)?;
                if !array.folds() {
                    if let Some(only) = array.only().cloned() {
                        let shown = self.shown();
                        *self = only;
                        self.show(shown);
                    }
                    return Some(old);
                }
                array.routes(&mut routes);
                old
            }
        };
        self.put(&routes);
        Some(old)
    }

    /// Puts these sorted routes below, in place of whatever is there.
    pub(crate) fn put(&mut self, routes: &[Route<K>]) {
        let shown = self.shown();
        *self = if routes.is_empty() {
            Self::Bare(shown)
        } else if Leaf::<K>::fits(routes) {
            Self::Leaf(shown, Leaf::new(routes))
        } else {
            Self::Array(shown, Array::new(routes))
        };
    }

    /// Adds all routes below, sorted; no more than fit.
    pub(crate) fn routes(&self, routes: &mut Routes<K>) {
        match self {
            Self::Bare(_) => {}
            Self::Leaf(_, leaf) => leaf.routes(routes),
            Self::Array(_, array) => array.routes(routes),
        }
    }

    /// Tells the result of every route below.
    pub(crate) fn for_each_result(&self, tell: &mut impl FnMut(u32)) {
        match self {
            Self::Bare(_) => {}
            Self::Leaf(_, leaf) => {
                let mut routes = Routes::new();
                leaf.routes(&mut routes);
                routes.iter().for_each(|route| tell(route.result));
            }
            Self::Array(_, array) => array.for_each_result(tell),
        }
    }

    /// Bytes of all below, without what the allocator adds.
    pub(crate) fn memory(&self) -> usize {
        match self {
            Self::Bare(_) => 0,
            Self::Leaf(_, leaf) => leaf.memory(),
            Self::Array(_, array) => array.memory(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use proptest::prelude::*;

    use super::{Key, Route, Slot};

    /// Where each array lies, and how many leaves there are.
    fn places(slot: &Slot<u32>, arrays: &mut BTreeSet<usize>) -> usize {
        match slot {
            Slot::Bare(_) => 0,
            Slot::Leaf(..) => 1,
            Slot::Array(_, array) => {
                arrays.insert(array.place());
                array.slots().iter().map(|slot| places(slot, arrays)).sum()
            }
        }
    }

    fn placed(slot: &Slot<u32>) -> (BTreeSet<usize>, usize) {
        let mut all = BTreeSet::new();
        let leaves = places(slot, &mut all);
        (all, leaves)
    }

    fn route(key: u32, length: u8) -> Route<u32> {
        Route { key, length, result: key >> 20 }
    }

    /// 256 * 64 routes below 10/8, and nine in each /8: arrays and leaves.
    fn crowded() -> Slot<u32> {
        let mut root = Slot::default();
        for high in 0..=255 {
            for low in (0..=255).step_by(4) {
                root.insert(route(0x0a00_0000 | high << 16 | low << 8, 24));
            }
            root.insert(route(high << 24, 8));
            for low in 0..9 {
                root.insert(route(high << 24 | low << 12, 20));
            }
        }
        root
    }

    fn agrees(root: &Slot<u32>, twin: &BTreeMap<(u32, u8), u32>) -> Result<(), TestCaseError> {
        for address in
            (0..=255_u32).map(|slot| slot << 24 | 0xff_ffff).chain(twin.keys().map(|(key, _)| *key))
        {
            let covers = twin.iter().filter(|((key, length), _)| address.masked(*length) == *key);
            let longest = covers.max_by_key(|((_, length), _)| *length);
            prop_assert_eq!(root.lookup(address), longest.map(|((_, length), result)| (*result, *length)));
        }
        for ((key, length), result) in twin {
            prop_assert_eq!(root.get(Route { key: *key, length: *length, result: 0 }), Some(*result));
        }
        let (mut told, mut expected) = (Vec::new(), twin.values().copied().collect::<Vec<_>>());
        root.for_each_result(&mut |result| told.push(result));
        told.sort_unstable();
        expected.sort_unstable();
        prop_assert_eq!(told, expected);
        Ok(())
    }

    proptest! {
        #[test]
        fn an_array_behaves_like_a_list_of_its_routes(
            steps in prop::collection::vec((prop::sample::select(vec![0_u32, 1, 2, 3, 0x40, 0x80, 0xc0, 0xff]), 0..=8_u8, prop::option::weighted(0.65, 0..4_u32)), 0..120),
        ) {
            let (mut root, mut twin) = (Slot::default(), BTreeMap::new());
            // Enough that are longer to keep it an array.
            for i in 0..80 {
                let filler = Route { key: (i * 3) << 24 | 0x1000, length: 20, result: 9 };
                root.insert(filler);
                twin.insert((filler.key, 20), 9);
            }
            prop_assert_eq!(placed(&root).0.len(), 1);
            let older = (root.clone(), twin.clone());
            for (n, (slot, bits, result)) in steps.into_iter().enumerate() {
                let key = (slot << 24).masked(bits);
                let route = Route { key, length: bits, result: result.unwrap_or(0) };
                match result {
                    Some(result) => prop_assert_eq!(root.insert(route), twin.insert((key, bits), result)),
                    None => prop_assert_eq!(root.remove(route), twin.remove(&(key, bits))),
                }
                if n % 8 == 0 {
                    agrees(&root, &twin)?;
                }
            }
            agrees(&root, &twin)?;
            agrees(&older.0, &older.1)?;
            for (key, length) in twin.keys() {
                let route = Route { key: *key, length: *length, result: 0 };
                prop_assert!(root.remove(route).is_some());
            }
            prop_assert!(root.is_bare());
        }
    }

    #[test]
    fn a_place_takes_16_bytes() {
        assert_eq!((size_of::<Slot<u32>>(), size_of::<Slot<u128>>()), (16, 16));
    }

    #[test]
    fn one_edit_of_a_shared_trie_copies_the_path_to_it() {
        let mut root = crowded();
        let older = root.clone();
        let (arrays, leaves) = placed(&older);
        assert_eq!((arrays.len(), leaves), (2, 255 + 256), "the root and 10/8");
        root.insert(route(0xc000_0000, 20));
        let (now, _) = placed(&root);
        assert_eq!(now.intersection(&arrays).count(), 1, "the root is copied, 10/8 is not");
        root.insert(route(0xc100_0000, 20));
        assert_eq!(placed(&root).0, now, "the path is its own now");
        root.remove(route(0x0a00_0000, 24));
        assert_eq!(placed(&root).0.intersection(&arrays).count(), 0);
        assert_eq!(placed(&older), (arrays, leaves));
    }

    #[test]
    fn memory_follows_what_is_there() {
        let mut root = crowded();
        let before = root.memory();
        assert!((100_000..400_000).contains(&before), "{before}");
        let mut count = 0;
        root.for_each_result(&mut |_| count += 1);
        assert_eq!(count, 256 * 64 + 256 + 256 * 9);
        for high in 0..=255 {
            for low in (0..=255).step_by(4) {
                let gone = route(0x0a00_0000 | high << 16 | low << 8, 24);
                assert_eq!(root.remove(gone), Some(gone.result));
                assert_eq!(root.remove(gone), None);
            }
        }
        assert!(root.memory() * 3 < before, "{} of {before}", root.memory());
        for high in 0..=255 {
            assert_eq!(root.lookup(high << 24 | 9), Some((high << 4, 20)));
            for low in 0..9 {
                root.remove(route(high << 24 | low << 12, 20));
            }
            assert_eq!(root.lookup(high << 24 | 9), Some((high << 4, 8)));
        }
        assert_eq!(placed(&root), (BTreeSet::new(), 1), "a leaf of short routes only");
        (0..=255).for_each(|high| assert_eq!(root.remove(route(high << 24, 8)), Some(high << 4)));
        assert!(root.is_bare() && root.memory() == 0);
    }

    #[test]
    fn a_crowd_becomes_an_array_and_what_is_left_of_it_a_leaf_again() {
        let mut root = Slot::default();
        let all: Vec<_> = (0..65).map(|i| route(0x0a00_0000 | i << 17, 15 + i as u8 % 9)).collect();
        for (i, route) in all.iter().enumerate() {
            assert_eq!(placed(&root).0.len(), 0, "one leaf of {i}");
            root.insert(*route);
        }
        assert_eq!(placed(&root).0.len(), 1, "one more is too many");
        for left in (32..65).rev() {
            assert_eq!(placed(&root).0.len(), 1);
            assert_eq!(root.remove(all[left]), Some(all[left].result));
        }
        assert_eq!(placed(&root), (BTreeSet::new(), 1));
        for (i, route) in all.iter().enumerate() {
            assert_eq!(root.get(*route), (i < 32).then_some(route.result));
        }
    }

    #[test]
    fn a_node_that_covers_another_goes_with_its_routes() {
        let mut root = crowded();
        let (arrays, _) = placed(&root);
        let mut below = Slot::default();
        for low in 0..200 {
            below.insert(route(0x0a0b_0000 | low << 6, 26));
        }
        assert_eq!(placed(&below).0.len(), 1);
        below.insert(route(0, 0));
        below.insert(route(0x0a00_0000, 8));
        assert_eq!(placed(&below).0.len(), 2, "a root above what was there");
        assert_eq!(below.lookup(0x0a0b_3fc1), Some((0x0a0, 8)));
        assert_eq!(below.lookup(0x0a0b_0001), Some((0x0a0, 26)));
        assert_eq!(below.lookup(0xc000_0000), Some((0, 0)));
        below.remove(route(0, 0));
        assert_eq!(placed(&below).0.len(), 2);
        below.remove(route(0x0a00_0000, 8));
        assert_eq!(placed(&below).0.len(), 1, "it went with the last route");
        assert_eq!(below.lookup(0xc000_0000), None);
        root.insert(route(0, 0));
        assert_eq!(placed(&root).0, arrays);
    }
}
