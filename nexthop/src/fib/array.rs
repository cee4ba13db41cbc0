//! A node of the trie with many routes below: what stands behind each value of the next eight bits, the *slots*.
//!
//! Its own routes are those that cover whole slots, up to eight bits longer than its depth: each slot shows the longest. An
//! own route whose slots are all taken by longer ones is kept aside as hidden, so that removing a route needs
//! only its key: what covers it is still there.

use std::array;

use triomphe::Arc;

use super::key::Key;
use super::paint::Routes;
use super::route::{Route, Shown, shared_depth};
use super::trie::Slot;

/// A node whose routes are no more than this, with all below, becomes a leaf again: well below what made it one.
pub(crate) const FOLD: usize = super::leaf::FEW / 2;

#[derive(Clone, Debug)]
struct Inner<K: Key> {
    slots: [Slot<K>; 256],
    /// The bits that all addresses below this node share: the first `depth`.
    key: K::Stored,
    /// A multiple of eight, below `K::BITS`.
    depth: u8,
    /// How many slots have something below.
    kids: u16,
    /// Routes of its own and of all below.
    total: u32,
    /// Own routes that no slot shows; nearly always empty.
    hidden: Vec<Route<K>>,
}

/// A clone is the same node shared.
#[derive(Clone, Debug)]
pub(crate) struct Array<K: Key>(Arc<Inner<K>>);

impl<K: Key> Array<K> {
    /// A node for sorted routes, as deep as it can stand.
    pub(crate) fn new(routes: &[Route<K>]) -> Self {
        let depth = shared_depth(routes);
        let mut new = Self::empty(routes.first().map_or(K::default(), |route| route.key), depth);
        let inner = Arc::make_mut(&mut new.0);
        inner.total = routes.len() as u32;
        // The routes below one slot stand together: what covers slots comes before all that is in the first of them.
        let own = |route: &Route<K>| route.length <= depth + 8;
        for group in
            routes.chunk_by(|a, b| !own(a) && !own(b) && slot_of(a.key, depth) == slot_of(b.key, depth))
        {
            match group {
                [route] if own(route) => {
                    inner.set(*route);
                }
                group => {
                    let slot = &mut inner.slots[slot_of(group[0].key, depth)];
                    slot.put(group);
                    inner.kids += 1;
                }
            }
        }
        new
    }

    fn empty(key: K, depth: u8) -> Self {
        let key = key.masked(depth).store();
        let slots = array::from_fn(|_| Slot::default());
        Self(Arc::new(Inner { slots, key, depth, kids: 0, total: 0, hidden: Vec::new() }))
    }

    /// A node with this one below, deep enough to have the route too.
    fn above(self, route: Route<K>) -> Self {
        let key = K::load(self.0.key);
        let depth = key.common(route.key).min(self.0.depth - 1).min(route.depth()) & !7;
        let mut above = Self::empty(key, depth);
        let inner = Arc::make_mut(&mut above.0);
        (inner.kids, inner.total) = (1, self.0.total);
        inner.slots[slot_of(key, depth)] = Slot::Array(Shown::NOTHING, self);
        above
    }

    /// What stands behind an address; none if it is not below the node.
    #[inline(always)]
    pub(crate) fn slot(&self, key: K) -> Option<&Slot<K>> {
        let slot = &self.0.slots[usize::from(key.byte(self.0.depth))];
        key.agrees(K::load(self.0.key), self.0.depth).then_some(slot)
    }

    /// Whether the route's bits before the node's depth are the node's, and it has more of them.
    fn may_hold(&self, route: Route<K>) -> bool {
        let depth = self.0.depth;
        (route.length > depth || depth == 0) && route.key.agrees(K::load(self.0.key), depth)
    }

    /// The result of exactly this route.
    pub(crate) fn get(&self, route: Route<K>) -> Option<u32> {
        if !self.may_hold(route) {
            return None;
        }
        if route.length <= self.0.depth + 8 {
            return self.0.get(route);
        }
        self.0.slots[slot_of(route.key, self.0.depth)].get(route)
    }

    /// Sets the result of a route and returns the one it had.
    pub(crate) fn insert(&mut self, route: Route<K>) -> Option<u32> {
        if !self.may_hold(route) {
            *self = self.clone().above(route);
        }
        let inner = Arc::make_mut(&mut self.0);
        let old = if route.length <= inner.depth + 8 {
            inner.set(route)
        } else {
            let slot = &mut inner.slots[slot_of(route.key, inner.depth)];
            inner.kids += u16::from(slot.is_bare());
            slot.insert(route)
        };
        inner.total += u32::from(old.is_none());
        old
    }

    /// Removes a route and returns its result. If there is no such route, the node may be copied for nothing.
    pub(crate) fn remove(&mut self, route: Route<K>) -> Option<u32> {
        if !self.may_hold(route) {
            return None;
        }
        let inner = Arc::make_mut(&mut self.0);
        let old = if route.length <= inner.depth + 8 {
            inner.unset(route)
        } else {
            let slot = &mut inner.slots[slot_of(route.key, inner.depth)];
            let was_bare = slot.is_bare();
            let old = slot.remove(route);
            inner.kids -= u16::from(!was_bare && slot.is_bare());
            old
        };
        inner.total -= u32::from(old.is_some());
        old
    }

    /// Whether all routes would rather be a leaf.
    pub(crate) fn folds(&self) -> bool {
        self.0.total as usize <= FOLD || self.0.kids == 0
    }

    /// The only thing below, if there is nothing else.
    pub(crate) fn only(&self) -> Option<&Slot<K>> {
        let inner = &self.0;
        let bare = inner.kids == 1 && inner.hidden.is_empty();
        let mut slots = inner.slots.iter().filter(|_| bare);
        slots
            .clone()
            .all(|slot| slot.shown() == Shown::NOTHING)
            .then(|| slots.find(|slot| !slot.is_bare()))?
    }

    /// Adds all routes, sorted.
    pub(crate) fn routes(&self, routes: &mut Routes<K>) {
        let first = routes.len();
        self.0.for_each_own(|route| routes.extend([route]));
        self.0.slots.iter().for_each(|slot| slot.routes(routes));
        if let Some(new) = routes.get_mut(first..) {
            new.sort_unstable_by_key(Route::order);
        }
    }

    /// Tells the result of every route in and below the node.
    pub(crate) fn for_each_result(&self, tell: &mut impl FnMut(u32)) {
        self.0.for_each_own(|route| tell(route.result));
        self.0.slots.iter().for_each(|slot| slot.for_each_result(tell));
    }

    /// Bytes of this node and all below, without what the allocator adds.
    pub(crate) fn memory(&self) -> usize {
        let own = size_of::<Inner<K>>() + 8 + self.0.hidden.capacity() * size_of::<Route<K>>();
        own + self.0.slots.iter().map(Slot::memory).sum::<usize>()
    }

    /// Where the node lies.
    #[cfg(test)]
    pub(crate) fn place(&self) -> usize {
        self.0.heap_ptr().addr()
    }

    /// Everything that stands in a slot.
    #[cfg(test)]
    pub(crate) fn slots(&self) -> &[Slot<K>; 256] {
        &self.0.slots
    }
}

/// The slot of an address in a node at `depth`.
fn slot_of<K: Key>(key: K, depth: u8) -> usize {
    usize::from(key.byte(depth))
}

impl<K: Key> Inner<K> {
    /// The slots of an own route.
    fn covered(&self, route: Route<K>) -> std::ops::RangeInclusive<usize> {
        slot_of(route.key, self.depth)..=slot_of(route.last(), self.depth)
    }

    fn get(&self, route: Route<K>) -> Option<u32> {
        let hidden =
            self.hidden.iter().find(|other| other.order() == route.order()).map(|other| other.result);
        let mut shown = self.slots[self.covered(route)].iter().map(Slot::shown);
        hidden.or_else(|| shown.find(|shown| shown.length() == Some(route.length)).map(Shown::result))
    }

    /// Whether some slot shows the route.
    fn is_shown(&self, route: Route<K>) -> bool {
        self.slots[self.covered(route)].iter().any(|slot| slot.shown().length() == Some(route.length))
    }

    /// Lets the slots of `route` that show `old` lengths show something else; returns what the last of them showed.
    fn paint(&mut self, route: Route<K>, old: impl Fn(Option<u8>) -> bool, new: Shown) -> Option<Shown> {
        let slots = self.covered(route);
        let slots = self.slots[slots].iter_mut().filter(|slot| old(slot.shown().length()));
        slots.fold(None, |_, slot| Some(slot.show(new)))
    }

    /// Sets the result of an own route and returns the one it had.
    fn set(&mut self, route: Route<K>) -> Option<u32> {
        let new = Shown::new(route.length, route.result);
        let same = |length| length == Some(route.length);
        if let Some(old) = self.get(route) {
            for hidden in self.hidden.iter_mut().filter(|other| other.order() == route.order()) {
                hidden.result = route.result;
            }
            self.paint(route, same, new);
            return Some(old);
        }
        // Wherever a shorter route is seen here, it is one and the same: the longest that covers this one.
        match self.paint(route, |length| length < Some(route.length), new) {
            None => self.hidden.push(route),
            Some(beneath) => {
                if let Some(length) = beneath.length() {
                    let cover = Route { key: route.key.masked(length), length, result: beneath.result() };
                    if !self.is_shown(cover) {
                        self.hidden.push(cover);
                    }
                }
            }
        }
        None
    }

    /// Removes an own route and returns its result.
    fn unset(&mut self, route: Route<K>) -> Option<u32> {
        let old = self.get(route)?;
        if let Some(at) = self.hidden.iter().position(|other| other.order() == route.order()) {
            self.hidden.swap_remove(at);
            return Some(old);
        }
        let mut covers = (self.depth..route.length).rev().map(|length| {
            let cover = Route { key: route.key.masked(length), length, result: 0 };
            Some(Route { result: self.get(cover)?, ..cover })
        });
        let cover = covers.find_map(|cover| cover);
        let shown = cover.map_or(Shown::NOTHING, |cover| Shown::new(cover.length, cover.result));
        self.paint(route, |length| length == Some(route.length), shown);
        if let Some(cover) = cover {
            self.hidden.retain(|hidden| hidden.order() != cover.order());
        }
        Some(old)
    }

    /// Calls with each own route.
    fn for_each_own(&self, mut call: impl FnMut(Route<K>)) {
        let base = K::load(self.key);
        self.hidden.iter().copied().for_each(&mut call);
        for (i, slot) in self.slots.iter().enumerate() {
            let Some(length) = slot.shown().length() else { continue };
            let key = base.or(K::from_window(self.depth, (i as u64) << 56)).masked(length);
            let route = Route { key, length, result: slot.shown().result() };
            // Told at the first slot that shows it.
            let before = &self.slots[slot_of(key, self.depth)..i];
            if before.iter().all(|before| before.shown().length() != Some(length)) {
                call(route);
            }
        }
    }
}
