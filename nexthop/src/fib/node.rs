//! The trie for prefixes shorter than a whole address.
//!
//! Each node decides eight bits. What it knows of its own lies in one allocation: the header with the
//! starts of its runs, then the words that [`Content`] packs. A lookup reads the header and one run per node and carries
//! the longest match down; so a route is stored once, in one node, and an edit touches that node and the
//! path to it. A crowded slot has a child node; a child says itself at which depth it stands and under which
//! bits, since the path to it is compressed. Results are numbers in the table that all VRFs share.

use arrayvec::ArrayVec;
use triomphe::{Arc, ThinArc};

use super::content::{Content, Crowded, Layout, Words};
use super::entry::{Hidden, LONG_BITS, Long, Run, Short};
use super::key::Key;
use super::kids::{Kids, slot_of};
use super::prefetch::prefetch;

/// A child with no more routes than this gives them back to its parent.
const FOLD: usize = 4;

#[derive(Clone, Debug)]
pub(crate) struct Head<K: Key> {
    layout: Layout,
    /// A multiple of eight, below `K::BITS`.
    depth: u8,
    /// The bits that all addresses below this node share: the first `depth`.
    key: K::Stored,
    kids: Kids<K>,
}

/// A node of the trie; a clone is the same node shared.
#[derive(Clone, Debug)]
pub(crate) struct Node<K: Key>(ThinArc<Head<K>, u64>);

/// A prefix shorter than a whole address: `length` bits of `key`, zeros behind.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Route<K> {
    pub(crate) key: K,
    pub(crate) length: u8,
}

impl<K: Key> Route<K> {
    /// The depth of the deepest node that could hold it.
    fn depth(self) -> u8 {
        (self.length - 1) & !7
    }
}

/// A prefix that covers an address: the number of its result, and above that its length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Match(u64);

impl Match {
    /// No prefix covers the address; no result has this number.
    pub(crate) const NONE: Self = Self::new(u32::MAX, 0);

    const fn new(result: u32, length: u8) -> Self {
        Self((length as u64) << 32 | result as u64)
    }
    #[inline]
    pub(crate) const fn result(self) -> u32 {
        self.0 as u32
    }
    pub(crate) const fn length(self) -> u8 {
        (self.0 >> 32) as u8
    }
}

/// Where a route is in a node.
enum Place {
    Short(Short),
    /// In `slot`, `bits` behind it.
    Long {
        slot: u8,
        window: u64,
        bits: u8,
    },
}

impl<K: Key> Node<K> {
    /// A node without routes that stands at `depth` under the first bits of `key`.
    pub(crate) fn new(key: K, depth: u8) -> Self {
        Self::pack(key.masked(depth).store(), depth, &Content::empty(), Kids::None)
    }

    fn pack(key: K::Stored, depth: u8, content: &Content, kids: Kids<K>) -> Self {
        let mut words = Words::new();
        let layout = content.pack(&mut words);
        Self(ThinArc::from_header_and_slice(Head { layout, depth, key, kids }, &words))
    }

    fn content(&self) -> Content {
        Content::unpack(&self.head().layout, &self.0.slice)
    }

    fn head(&self) -> &Head<K> {
        &self.0.header.header
    }

    pub(crate) fn depth(&self) -> u8 {
        self.head().depth
    }

    /// The bits all addresses below share.
    pub(crate) fn key(&self) -> K {
        K::load(self.head().key)
    }

    /// Asks for the cache lines that a step is about to read.
    #[inline(always)]
    pub(crate) fn prefetch(&self) {
        // The header, and the words behind it of all but large nodes.
        let first = self.0.heap_ptr().cast::<u8>();
        prefetch(first);
        prefetch(first.wrapping_add(64));
        prefetch(first.wrapping_add(128));
    }

    /// One step of a lookup: notes a longer match than `best` and returns the child that may know a longer one still.
    #[inline(always)]
    pub(crate) fn step(&self, key: K, best: &mut Match) -> Option<&Self> {
        let head = self.head();
        if !key.agrees(K::load(head.key), head.depth) {
            return None;
        }
        let window = key.window(head.depth);
        let slot = (window >> 56) as u8;
        let (run, kid) = match &head.kids {
            Kids::None => (self.run(slot), None),
            Kids::Array(chunks) => {
                let here = slot_of(chunks, slot);
                (here.run, here.kid.as_ref())
            }
            list @ Kids::List(_) => (self.run(slot), list.get(slot)),
        };
        let covered = Match::new(run.index(), head.depth.wrapping_add(run.rank()).wrapping_sub(1));
        // A select, not a branch: nobody could predict it.
        *best = if run.rank() > 0 { covered } else { *best };
        // A slot has a child or long routes, not both.
        if kid.is_none()
            && head.layout.longs > 0
            && let Some(long) = self.longest(window)
        {
            *best = Match::new(long.index(), head.depth + 8 + long.bits());
        }
        kid
    }

    /// The longest of the long routes that cover an address, given from the node's depth on.
    #[inline(always)]
    fn longest(&self, window: u64) -> Option<Long> {
        let (fours, _) = self.words_of_longs().as_chunks::<4>();
        // All are looked at, four at once: nobody could predict where a search would end.
        let mut covering = 0_u32;
        for (i, four) in fours.iter().enumerate() {
            let covers = four.map(|long| Long::from_bits(long).covers(window));
            let bits = covers.iter().rev().fold(0, |bits, covers| bits << 1 | u32::from(*covers));
            covering |= bits << ((i * 4) & 31);
        }
        let first = (covering != 0).then(|| covering.trailing_zeros() as usize)?;
        self.0.slice.get(first).map(|long| Long::from_bits(*long))
    }

    #[inline(always)]
    fn words_of_longs(&self) -> &[u64] {
        let words = Layout::words_of_longs(usize::from(self.head().layout.longs));
        self.0.slice.get(..words).unwrap_or_default()
    }

    /// What a slot shows.
    #[inline(always)]
    fn run(&self, slot: u8) -> Run {
        let layout = &self.head().layout;
        // The first run begins at slot 0, so there is always one.
        let index = layout.runs.up_to(slot).wrapping_sub(1);
        let first = Layout::words_of_longs(usize::from(layout.longs));
        let word = |per_word| self.0.slice.get(first + index / per_word).copied().unwrap_or(0);
        if layout.wide {
            Run::from_wide((word(2) >> (index % 2 * 32)) as u32)
        } else {
            Run::from_narrow((word(4) >> (index % 4 * 16)) as u16)
        }
    }

    /// The long routes.
    fn longs(&self) -> impl Iterator<Item = Long> {
        let longs = self.0.slice.iter().take(usize::from(self.head().layout.longs));
        longs.map(|long| Long::from_bits(*long))
    }

    /// The hidden routes.
    fn hidden(&self) -> impl Iterator<Item = Hidden> {
        let layout = &self.head().layout;
        let runs = layout.runs.len().div_ceil(if layout.wide { 2 } else { 4 });
        self.0.slice.iter().skip(self.words_of_longs().len() + runs).map(|word| Hidden::from_bits(*word))
    }

    /// The longest match.
    pub(crate) fn lookup(&self, key: K) -> Match {
        let mut best = Match::NONE;
        let mut node = Some(self);
        while let Some(next) = node {
            node = next.step(key, &mut best);
        }
        best
    }

    /// The result of exactly this route.
    pub(crate) fn get(&self, route: Route<K>) -> Option<u32> {
        match self.place(route) {
            Place::Short(short) => {
                let mut shown = (short.slot..=short.last()).map(|slot| self.run(slot));
                let shown = shown.find(|run| run.rank() == short.rank()).map(Run::index);
                shown.or_else(|| self.hidden().find(|hidden| hidden.short() == short).map(Hidden::index))
            }
            Place::Long { slot, window, bits } => match self.kid(slot) {
                Some(kid) => kid.may_hold(route).then(|| kid.get(route))?,
                None if bits > LONG_BITS => None,
                None => {
                    let long = Long::new(window, bits, 0);
                    self.longs().find(|other| other.same_route(long)).map(Long::index)
                }
            },
        }
    }

    /// Sets the result of a route and returns the one it had.
    pub(crate) fn insert(&mut self, route: Route<K>, result: u32) -> Option<u32> {
        let (slot, window, bits) = match self.place(route) {
            Place::Short(short) => return self.edit(|content| content.set_short(short, result)),
            Place::Long { slot, window, bits } => (slot, window, bits),
        };
        if self.kid(slot).is_some() {
            return self.edit_kid(slot, |kid| {
                if !kid.may_hold(route) {
                    kid.lift(route);
                }
                kid.insert(route, result)
            });
        }
        if bits > LONG_BITS {
            self.split(slot, route);
            return self.insert(route, result);
        }
        match self.edit(|content| content.set_long(window, bits, result)) {
            Ok(old) => old,
            Err(Crowded(slot)) => {
                self.split(slot, route);
                self.insert(route, result)
            }
        }
    }

    /// Removes a route and returns its result. If there is no such route, nodes on the way may be copied for nothing.
    pub(crate) fn remove(&mut self, route: Route<K>) -> Option<u32> {
        match self.place(route) {
            Place::Short(short) => self.edit(|content| content.remove_short(short)),
            Place::Long { slot, window, bits } => match self.kid(slot) {
                Some(kid) if kid.may_hold(route) => {
                    let result = self.edit_kid(slot, |kid| kid.remove(route));
                    self.settle(slot);
                    result
                }
                Some(_) => None,
                None if bits > LONG_BITS => None,
                None => self.edit(|content| content.remove_long(window, bits)),
            },
        }
    }

    /// Whether there is no route in or below the node.
    pub(crate) fn is_empty(&self) -> bool {
        self.head().layout.routes == 0 && self.head().kids.is_none()
    }

    /// Tells the result of every route in and below the node.
    pub(crate) fn for_each_result(&self, tell: &mut impl FnMut(u32)) {
        let content = self.content();
        content.shorts().for_each(|(_, result)| tell(result));
        content.longs().iter().for_each(|long| tell(long.index()));
        self.head().kids.for_each(|kid| kid.for_each_result(tell));
    }

    /// Bytes of this node and all below, without what the allocator adds.
    pub(crate) fn memory(&self) -> usize {
        // The reference count and the length stand with the header.
        let own = size_of::<Head<K>>() + 16 + size_of_val(&self.0.slice);
        own + self.head().kids.memory()
    }

    fn kid(&self, slot: u8) -> Option<&Self> {
        self.head().kids.get(slot)
    }

    /// Whether the route belongs to this node or below it, this node being a child: more bits, the same ones first.
    fn may_hold(&self, route: Route<K>) -> bool {
        route.length > self.depth() && route.key.agrees(self.key(), self.depth())
    }

    fn place(&self, route: Route<K>) -> Place {
        let depth = self.depth();
        let window = route.key.window(depth);
        let slot = (window >> 56) as u8;
        match (route.length - depth).checked_sub(9) {
            None => Place::Short(Short::covering(slot, route.length - depth)),
            Some(bits) => Place::Long { slot, window, bits: bits + 1 },
        }
    }

    /// Puts a new node in this one's place, above it, at the deepest depth where both it and `route` belong below.
    fn lift(&mut self, route: Route<K>) {
        let depth = self.key().common(route.key).min(self.depth() - 1) & !7;
        let depth = depth.min(route.depth());
        let mut above = Self::new(route.key, depth);
        let slot = (self.key().window(depth) >> 56) as u8;
        std::mem::swap(self, &mut above);
        self.adopt(slot, above);
    }

    /// Gives the long routes of `slot` to a child; if there are none, the child is one for `route`.
    fn split(&mut self, slot: u8, route: Route<K>) {
        let (depth, key) = (self.depth(), self.key());
        let longs = self.edit(|content| content.take_longs(slot));
        let routes = longs.iter().map(|long| {
            let key = key.with_window(depth, long.window());
            (Route { key, length: depth + 8 + long.bits() }, long.index())
        });
        let first = routes.clone().next().map_or(route, |(first, _)| first);
        let mut shared = first.depth();
        for (other, _) in routes.clone() {
            shared = shared.min(first.key.common(other.key) & !7).min(other.depth());
        }
        let mut kid = Self::new(first.key, shared);
        for (route, result) in routes {
            kid.insert(route, result);
        }
        self.adopt(slot, kid);
    }

    /// After a removal below: a child that is empty goes, one with a single child and nothing else gives way to it, one with few
    /// routes gives them back.
    fn settle(&mut self, slot: u8) {
        let Some(kid) = self.kid(slot) else { return };
        let routes = usize::from(kid.head().layout.routes);
        let kids = &kid.head().kids;
        if kids.is_none() && routes == 0 {
            self.orphan(slot);
        } else if kids.is_none() && routes <= FOLD {
            let kid = kid.clone();
            self.fold(slot, &kid);
        } else if let Some(only) = kids.only().filter(|_| routes == 0).cloned() {
            self.adopt(slot, only);
        }
    }

    /// Makes the few routes of a child without children long routes again, if there is room for them.
    fn fold(&mut self, slot: u8, kid: &Self) {
        let (own, content) = (self.content(), kid.content());
        let (from, key) = (kid.depth(), kid.key());
        let shorts = content.shorts().map(|(short, result)| {
            (key.with_window(from, u64::from(short.slot) << 56), from + short.bits, result)
        });
        let longs = content
            .longs()
            .iter()
            .map(|long| (key.with_window(from, long.window()), from + 8 + long.bits(), long.index()));
        let depth = self.depth() + 8;
        let routes: ArrayVec<_, FOLD> = shorts.chain(longs).take(FOLD).collect();
        if routes.len() > own.room() || routes.iter().any(|(_, length, _)| *length > depth + LONG_BITS) {
            return;
        }
        self.orphan(slot);
        let window = |key: K| key.window(depth - 8);
        self.edit(|content| {
            for (key, length, result) in routes {
                // There is room.
                let _ = content.set_long(window(key), length - depth, result);
            }
        });
    }

    /// Changes this node's own routes. A clone that shares the node keeps it as it was.
    fn edit<R>(&mut self, change: impl FnOnce(&mut Content) -> R) -> R {
        let mut content = self.content();
        let result = change(&mut content);
        let (key, depth) = (self.head().key, self.depth());
        let mut kids = self.take_kids();
        kids.show(content.slots());
        *self = Self::pack(key, depth, &content, kids);
        result
    }

    /// The children, out of a node that is about to be replaced.
    fn take_kids(&mut self) -> Kids<K> {
        self.0.with_arc_mut(|node| match Arc::get_mut(node) {
            Some(unique) => std::mem::replace(&mut unique.header_mut().kids, Kids::None),
            None => node.header().kids.clone(),
        })
    }

    /// Makes the node its owner's alone, so that it can be changed in place.
    fn unshare(&mut self) {
        if !self.0.with_arc_mut(|node| node.is_unique()) {
            self.0 = ThinArc::from_header_and_slice(self.head().clone(), &self.0.slice);
        }
    }

    /// Changes the header in place.
    fn with_head<R: Default>(&mut self, change: impl FnOnce(&mut Head<K>) -> R) -> R {
        self.unshare();
        self.0
            .with_arc_mut(|node| Arc::get_mut(node).map_or_else(R::default, |node| change(node.header_mut())))
    }

    /// Changes the child of `slot`, which must have one.
    fn edit_kid<R: Default>(&mut self, slot: u8, change: impl FnOnce(&mut Self) -> R) -> R {
        self.with_head(|head| head.kids.edit(slot, change))
    }

    /// Sets the child of `slot`.
    fn adopt(&mut self, slot: u8, kid: Self) {
        let content = self.content();
        self.with_head(|head| head.kids.set(slot, kid, content.slots()));
    }

    /// Removes the child of `slot`.
    fn orphan(&mut self, slot: u8) {
        self.with_head(|head| head.kids.remove(slot));
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::{Node, Route};

    /// Where each node lies.
    fn places(node: &Node<u32>, into: &mut BTreeSet<usize>) {
        into.insert(node.0.heap_ptr().addr());
        node.head().kids.for_each(|kid| places(kid, into));
    }

    fn placed(node: &Node<u32>) -> BTreeSet<usize> {
        let mut all = BTreeSet::new();
        places(node, &mut all);
        all
    }

    fn route(key: u32, length: u8) -> Route<u32> {
        Route { key, length }
    }

    /// 256 * 256 / 4 routes below 10/8 and some elsewhere: arrays, lists and leaves.
    fn crowded() -> Node<u32> {
        let mut root = Node::new(0, 0);
        for high in 0..=255 {
            for low in (0..=255).step_by(4) {
                root.insert(route(0x0a00_0000 | high << 16 | low << 8, 24), low);
            }
            root.insert(route(high << 24, 8), high);
            for low in 0..9 {
                root.insert(route(high << 24 | low << 12, 20), high);
            }
        }
        root
    }

    #[test]
    fn one_edit_of_a_shared_trie_copies_the_path_to_it() {
        let mut root = crowded();
        let older = root.clone();
        let nodes = placed(&older);
        assert!(nodes.len() > 500);
        root.insert(route(0x0a01_0100, 24), 7);
        let shared = placed(&root).intersection(&nodes).count();
        assert_eq!(shared, nodes.len() - 3, "root, 10/8 and 10.1/16");
        let before = placed(&root);
        root.insert(route(0x0a02_0100, 24), 7);
        assert_eq!(placed(&root).intersection(&before).count(), nodes.len() - 1, "the path is its own now");
        assert_eq!(placed(&older), nodes);
    }

    #[test]
    fn memory_follows_what_is_there() {
        let mut root = crowded();
        let before = root.memory();
        assert!((100_000..2_000_000).contains(&before));
        let mut all = Vec::new();
        root.for_each_result(&mut |result| all.push(result));
        assert_eq!(all.len(), 256 * 64 + 256 + 256 * 9);
        for high in 0..=255 {
            for low in (0..=255).step_by(4) {
                assert_eq!(root.remove(route(0x0a00_0000 | high << 16 | low << 8, 24)), Some(low));
            }
        }
        assert!(root.memory() * 4 < before, "{} of {before}", root.memory());
        assert_eq!(root.remove(route(0x0a00_0000, 24)), None);
        for high in 0..=255 {
            assert_eq!(root.lookup(high << 24 | 9).length(), 20);
            for low in 0..9 {
                root.remove(route(high << 24 | low << 12, 20));
            }
            assert_eq!(root.lookup(high << 24 | 9).length(), 8);
        }
        assert_eq!(placed(&root).len(), 1, "a root of short routes only");
    }

    #[test]
    fn a_child_that_has_few_routes_left_gives_them_back() {
        let mut root = Node::new(0, 0);
        let all: Vec<_> = (0..9).map(|i| route(0x0a00_0000 | i << 12, 20 + i as u8 % 3)).collect();
        for (i, route) in (0..).zip(&all) {
            assert_eq!(placed(&root).len(), 1, "long routes of the root");
            root.insert(*route, i);
        }
        assert_eq!(placed(&root).len(), 2, "the ninth is one too many in its slot");
        for left in (4..9).rev() {
            assert_eq!(placed(&root).len(), 2);
            root.remove(all[left]);
        }
        assert_eq!(placed(&root).len(), 1);
        for (i, route) in (0..).zip(&all) {
            assert_eq!(root.get(*route), (i < 4).then_some(i));
            assert_eq!(root.lookup(route.key).length(), if i < 4 { route.length } else { 0 });
        }
    }

    #[test]
    fn a_child_keeps_its_few_routes_where_the_parent_has_no_room() {
        let mut root = Node::new(0, 0);
        for high in 0..5 {
            for low in 0..8 {
                root.insert(route(high << 24 | low << 12, 20), low);
            }
        }
        // 40 routes are more than a node has long ones: one slot had to go.
        assert_eq!(placed(&root).len(), 2);
        let mut all = Vec::new();
        root.for_each_result(&mut |result| all.push(result));
        assert_eq!(all.len(), 40);
        for high in 0..5 {
            for low in 0..4 {
                root.remove(route(high << 24 | low << 12, 20));
            }
            for low in 4..8 {
                assert_eq!(root.get(route(high << 24 | low << 12, 20)), Some(low));
            }
        }
    }
}
