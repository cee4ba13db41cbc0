//! The trie for prefixes shorter than a whole address.
//!
//! Each node decides eight bits. What it knows of its own lies in one allocation: the header with the
//! starts of its runs, then the words that [`Content`] packs. A lookup reads the header, one run and one result per node, and carries
//! the longest match down; so a route is stored once, in one node, and an edit touches that node and the
//! path to it. A crowded slot has a child node; a child says itself at which depth it stands and under which
//! bits, since the path to it is compressed.

use triomphe::{Arc, ThinArc};

use super::content::Content;
use super::entry::{LONG_BITS, LONGS, Long, Run, Short};
use super::key::Key;
use super::kids::Kids;
use super::ranks::Ranks;

/// Long routes in one slot before it gets a child.
const LONGS_OF_SLOT: usize = 8;
/// Routes in a child below which they become long routes of its parent again.
const FOLD: usize = 4;

#[derive(Clone, Debug)]
pub(crate) struct Head<K: Key> {
    /// The first slot of each run.
    runs: Ranks,
    kids: Option<Kids<K>>,
    /// The bits that all addresses below this node share: the first `depth`.
    key: K::Stored,
    /// How many of the words are results.
    results: u16,
    /// How many of the words behind are long routes.
    longs: u8,
    /// A multiple of eight, below `K::BITS`.
    depth: u8,
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
        Self::pack(key.masked(depth).store(), depth, &Content::empty(), None)
    }

    fn pack(key: K::Stored, depth: u8, content: &Content, kids: Option<Kids<K>>) -> Self {
        let (runs, words) = content.pack();
        let (results, longs) = (content.results() as u16, content.longs() as u8);
        Self(ThinArc::from_header_and_slice(Head { runs, kids, key, results, longs, depth }, &words))
    }

    fn content(&self) -> Content {
        let head = self.head();
        Content::unpack(head.runs, usize::from(head.results), usize::from(head.longs), &self.0.slice)
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

    /// One step of a lookup: notes a longer match in `best` and returns the child to go on with. `best` is the result
    /// as a word (0: none) and the length of its prefix.
    #[inline(always)]
    pub(crate) fn step(&self, key: K, best: &mut (u64, u8)) -> Option<&Self> {
        let (head, words) = (self.head(), &self.0.slice);
        if !key.agrees(K::load(head.key), head.depth) {
            return None;
        }
        let window = key.window(head.depth);
        let slot = (window >> 56) as u8;
        // The first run begins at slot 0, so there is always one.
        let index = head.runs.up_to(slot).wrapping_sub(1);
        let (results, longs) = (usize::from(head.results), usize::from(head.longs));
        let run = Run::from_bits((words.get(results + longs + index / 4)? >> (index % 4 * 16)) as u16);
        if run.rank() > 0 {
            *best = (*words.get(run.index())?, head.depth + run.rank() - 1);
        }
        if !run.more() {
            return None;
        }
        if longs > 0 {
            let longs = words.get(results..results + longs)?;
            let first = longs.iter().filter(|long| Long::from_bits(**long) < Long::first_of(slot)).count();
            let here = longs.get(first..)?.iter().map(|long| Long::from_bits(*long));
            for long in here.take_while(|long| long.slot() == slot) {
                if long.covers(window) {
                    *best = (*words.get(long.index())?, head.depth + 8 + long.bits());
                    break;
                }
            }
        }
        head.kids.as_ref()?.get(slot)
    }

    /// The longest match: its result as a word, 0 if there is none, and its length.
    pub(crate) fn lookup(&self, key: K) -> (u64, u8) {
        let mut best = (0, 0);
        let mut node = Some(self);
        while let Some(next) = node {
            node = next.step(key, &mut best);
        }
        best
    }

    /// The result of exactly this route.
    pub(crate) fn get(&self, route: Route<K>) -> Option<u64> {
        match self.place(route) {
            Place::Short(short) => self.content().short(short),
            Place::Long { slot, window, bits } => {
                match self.head().kids.as_ref().and_then(|kids| kids.get(slot)) {
                    Some(kid) if kid.may_hold(route) => kid.get(route),
                    Some(_) => None,
                    None => self.content().long(window, bits),
                }
            }
        }
    }

    /// Sets the result of a route and returns the one it had.
    pub(crate) fn insert(&mut self, route: Route<K>, result: u64) -> Option<u64> {
        let (slot, window, bits) = match self.place(route) {
            Place::Short(short) => return self.edit(|content| content.set_short(short, result)),
            Place::Long { slot, window, bits } => (slot, window, bits),
        };
        if self.has_kid(slot) {
            return self.edit_kid(slot, |kid| {
                if !kid.may_hold(route) {
                    kid.lift(route);
                }
                kid.insert(route, result)
            });
        }
        let content = self.content();
        let known = bits <= LONG_BITS && content.long(window, bits).is_some();
        if known || (bits <= LONG_BITS && content.longs_of(slot) < LONGS_OF_SLOT && content.longs() < LONGS) {
            return self.edit(|content| content.set_long(window, bits, result));
        }
        let crowded = if bits > LONG_BITS || content.longs_of(slot) >= LONGS_OF_SLOT {
            slot
        } else {
            content.fullest_slot().unwrap_or(slot)
        };
        self.split(crowded, route);
        self.insert(route, result)
    }

    /// Removes a route and returns its result.
    pub(crate) fn remove(&mut self, route: Route<K>) -> Option<u64> {
        // Looked up first, so that a miss copies nothing.
        let result = self.get(route)?;
        match self.place(route) {
            Place::Short(short) => {
                self.edit(|content| content.remove_short(short));
            }
            Place::Long { slot, .. } if self.has_kid(slot) => {
                self.edit_kid(slot, |kid| kid.remove(route));
                self.settle(slot);
            }
            Place::Long { window, bits, .. } => {
                self.edit(|content| content.remove_long(window, bits));
            }
        }
        Some(result)
    }

    /// Whether there is no route in or below the node.
    pub(crate) fn is_empty(&self) -> bool {
        self.head().results == 0 && self.head().kids.is_none()
    }

    /// Bytes of this node and all below, without what the allocator adds.
    pub(crate) fn memory(&self) -> usize {
        // The reference count and the length stand with the header.
        let own = size_of::<Head<K>>() + 16 + size_of_val(&self.0.slice);
        own + self.head().kids.as_ref().map_or(0, Kids::memory)
    }

    fn has_kid(&self, slot: u8) -> bool {
        self.head().kids.as_ref().is_some_and(|kids| kids.get(slot).is_some())
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

    /// Gives the long routes of `slot` to a child, deep enough to be of use and not too deep for `route`, which comes next if it
    /// is of that slot.
    fn split(&mut self, slot: u8, route: Route<K>) {
        let (depth, key) = (self.depth(), self.key());
        let longs = self.edit(|content| content.take_longs(slot));
        let routes = longs.iter().map(|(window, bits, result)| {
            (Route { key: key.with_window(depth, *window), length: depth + 8 + bits }, *result)
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

    /// After a removal below: a child that is empty goes, one with a single child of its own gives way to it, one with few routes
    /// gives them back.
    fn settle(&mut self, slot: u8) {
        let Some(kid) = self.head().kids.as_ref().and_then(|kids| kids.get(slot)).cloned() else { return };
        if kid.is_empty() {
            self.orphan(slot);
        } else if kid.head().results == 0 {
            if let Some(only) = kid.head().kids.as_ref().and_then(Kids::only) {
                self.adopt(slot, only.clone());
            }
        } else if kid.head().kids.is_none() && usize::from(kid.head().results) <= FOLD {
            self.fold(slot, &kid);
        }
    }

    /// Makes the routes of a child without children long routes again if they are few and fit.
    fn fold(&mut self, slot: u8, kid: &Self) {
        let (content, depth) = (kid.content(), self.depth());
        let room = LONGS - usize::from(self.head().longs);
        let (from, key) = (kid.depth(), kid.key());
        let shorts = content.iter_shorts().map(|(short, result)| {
            (key.with_window(from, u64::from(short.slot) << 56), from + short.bits, result)
        });
        let longs = content
            .iter_longs()
            .map(|(window, bits, result)| (key.with_window(from, window), from + 8 + bits, result));
        let mut routes = shorts.chain(longs);
        let few: arrayvec::ArrayVec<_, FOLD> = routes.by_ref().take(FOLD.min(room)).collect();
        if routes.next().is_some() || few.iter().any(|(_, length, _)| *length > depth + 8 + LONG_BITS) {
            return;
        }
        self.orphan(slot);
        self.edit(|content| {
            for (key, length, result) in &few {
                content.set_long(key.window(depth), length - depth - 8, *result);
            }
        });
    }

    /// Changes this node's own routes. A clone that shares the node keeps it as it was.
    fn edit<R>(&mut self, change: impl FnOnce(&mut Content) -> R) -> R {
        let mut content = self.content();
        let result = change(&mut content);
        let (key, depth) = (self.head().key, self.depth());
        let kids = self.take_kids();
        *self = Self::pack(key, depth, &content, kids);
        result
    }

    /// The children, out of a node that is about to be replaced.
    fn take_kids(&mut self) -> Option<Kids<K>> {
        self.0.with_arc_mut(|node| match Arc::get_mut(node) {
            Some(unique) => unique.header_mut().kids.take(),
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
        self.with_head(|head| match &mut head.kids {
            Some(kids) => kids.edit(slot, change),
            None => R::default(),
        })
    }

    /// Sets the child of `slot`.
    fn adopt(&mut self, slot: u8, kid: Self) {
        if !self.has_kid(slot) {
            self.edit(|content| content.set_more(slot, true));
        }
        self.with_head(|head| match &mut head.kids {
            Some(kids) => kids.set(slot, kid),
            None => head.kids = Some(Kids::of(slot, kid)),
        });
    }

    /// Removes the child of `slot`.
    fn orphan(&mut self, slot: u8) {
        self.with_head(|head| head.kids = head.kids.take().and_then(|kids| kids.without(slot)));
        self.edit(|content| content.set_more(slot, false));
    }
}
