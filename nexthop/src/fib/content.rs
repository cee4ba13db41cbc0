//! A node's own routes, unpacked for an edit.
//!
//! Slots show the longest short route that covers them; equal neighbours make a run. A short route whose slots
//! are all taken by longer ones is kept aside as hidden, so that removing a route needs only its key: what
//! covers it is still there.

use arrayvec::ArrayVec;

use super::entry::{Hidden, LONGS, Long, Run, Short};
use super::ranks::Ranks;

/// Long routes in one slot; one more, and it wants a child.
const LONGS_OF_SLOT: usize = 8;
/// Short routes in a node.
const SHORTS: usize = 511;

/// A node's own routes. The lists are as long as they can get: no edit overflows them.
#[derive(Clone, Debug)]
pub(crate) struct Content {
    /// The first slot of each run; slot 0 is one.
    starts: Ranks,
    /// What each run shows, and how many there are.
    runs: [Run; 256],
    count: usize,
    /// Longest first.
    longs: ArrayVec<Long, LONGS>,
    /// Nearly always empty.
    hidden: Vec<Hidden>,
    routes: usize,
}

/// What stands in a node's header about the words behind it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Layout {
    /// The first slot of each run.
    pub(crate) runs: Ranks,
    /// How many long routes there are, in groups of four words; runs and hidden routes follow.
    pub(crate) longs: u8,
    /// Runs take 32 bits instead of 16.
    pub(crate) wide: bool,
    /// How many routes there are.
    pub(crate) routes: u16,
}

impl Layout {
    /// How many words so many long routes fill.
    #[inline]
    pub(crate) fn words_of_longs(longs: usize) -> usize {
        longs.next_multiple_of(4)
    }
}

/// The most words that a node's content packs into.
pub(crate) const WORDS: usize = LONGS + 256 / 2 + SHORTS;

/// No room for a long route: first give those of this slot to a child.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Crowded(pub(crate) u8);

/// The words of a node.
pub(crate) type Words = ArrayVec<u64, WORDS>;

impl Content {
    pub(crate) fn empty() -> Self {
        Self::blank(Ranks::default().with(0))
    }

    fn blank(starts: Ranks) -> Self {
        let (runs, count) = ([Run::default(); 256], starts.len());
        Self { starts, runs, count, longs: ArrayVec::new(), hidden: Vec::new(), routes: 0 }
    }

    /// Packs into the words of a node, which are empty before.
    pub(crate) fn pack(&self, words: &mut Words) -> Layout {
        // Full groups of four: the last route fills up.
        let longs = self.longs.iter().chain(std::iter::repeat_n(self.longs.last(), 3).flatten());
        let filled = Layout::words_of_longs(self.longs.len());
        words.extend(longs.take(filled).map(|long| long.to_bits()));
        let wide = self.runs().iter().any(|run| !run.is_narrow());
        // There are 256 runs, though not all are used: full words everywhere.
        let mut packed = [0; 128];
        let packed = if wide {
            let packed = &mut packed[..self.count.div_ceil(2)];
            for (word, [a, b]) in packed.iter_mut().zip(self.runs.as_chunks::<2>().0) {
                *word = u64::from(b.to_wide()) << 32 | u64::from(a.to_wide());
            }
            packed
        } else {
            let packed = &mut packed[..self.count.div_ceil(4)];
            for (word, four) in packed.iter_mut().zip(self.runs.as_chunks::<4>().0) {
                let [a, b, c, d] = four.map(|run| u64::from(run.to_narrow()));
                *word = d << 48 | c << 32 | b << 16 | a;
            }
            packed
        };
        // There is room for the most there can be.
        let _ = words.try_extend_from_slice(packed);
        words.extend(self.hidden.iter().map(|hidden| hidden.to_bits()));
        let (longs, routes) = (self.longs.len() as u8, self.routes as u16);
        Layout { runs: self.starts, longs, wide, routes }
    }

    /// The inverse of [`pack`](Self::pack).
    pub(crate) fn unpack(layout: &Layout, words: &[u64]) -> Self {
        let mut content = Self::blank(layout.runs);
        content.routes = usize::from(layout.routes);
        let longs = usize::from(layout.longs);
        content.longs.extend(words.iter().take(longs).copied().map(Long::from_bits));
        let words = words.get(Layout::words_of_longs(longs)..).unwrap_or_default();
        let per_word = if layout.wide { 2 } else { 4 };
        let (runs, hidden) = words.split_at_checked(content.count.div_ceil(per_word)).unwrap_or_default();
        if layout.wide {
            let (pairs, _) = content.runs.as_chunks_mut::<2>();
            for (pair, word) in pairs.iter_mut().zip(runs) {
                *pair = [0, 32].map(|shift| Run::from_wide((word >> shift) as u32));
            }
        } else {
            let (fours, _) = content.runs.as_chunks_mut::<4>();
            for (four, word) in fours.iter_mut().zip(runs) {
                *four = [0, 16, 32, 48].map(|shift| Run::from_narrow((word >> shift) as u16));
            }
        }
        content.hidden.extend(hidden.iter().copied().map(Hidden::from_bits));
        content
    }

    fn runs(&self) -> &[Run] {
        self.runs.get(..self.count).unwrap_or_default()
    }

    /// The result of a short route.
    pub(crate) fn short(&self, short: Short) -> Option<u32> {
        let hidden = self.hidden.iter().find(|hidden| hidden.short() == short).map(|hidden| hidden.index());
        hidden.or_else(|| self.shown(short).find(|run| run.rank() == short.rank()).map(Run::index))
    }

    /// Sets the result of a short route and returns the one it had.
    pub(crate) fn set_short(&mut self, short: Short, index: u32) -> Option<u32> {
        let old = self.short(short);
        if old.is_some() {
            for hidden in self.hidden.iter_mut().filter(|hidden| hidden.short() == short) {
                *hidden = Hidden::new(short, index);
            }
            self.paint(
                short,
                |run| {
                    if run.rank() == short.rank() { Run::new(run.rank(), index) } else { run }
                },
            );
            return old;
        }
        self.routes += 1;
        // Wherever a shorter route is seen here, it is one and the same: the longest that covers this one.
        let beneath = self.shown(short).find(|run| run.rank() < short.rank());
        self.paint(short, |run| if run.rank() < short.rank() { Run::new(short.rank(), index) } else { run });
        match beneath {
            None => self.hidden.push(Hidden::new(short, index)),
            Some(run) => {
                if let Some(cover) = Short::of_rank(short.slot, run.rank())
                    && !self.is_shown(cover)
                {
                    self.hidden.push(Hidden::new(cover, run.index()));
                }
            }
        }
        None
    }

    /// Removes a short route and returns its result.
    pub(crate) fn remove_short(&mut self, short: Short) -> Option<u32> {
        let index = self.short(short)?;
        self.routes -= 1;
        if let Some(at) = self.hidden.iter().position(|hidden| hidden.short() == short) {
            self.hidden.swap_remove(at);
        } else {
            let cover = self.cover(short);
            self.paint(short, |run| match cover {
                _ if run.rank() != short.rank() => run,
                Some((cover, index)) => Run::new(cover.rank(), index),
                None => Run::default(),
            });
            if let Some((cover, _)) = cover {
                self.hidden.retain(|hidden| hidden.short() != cover);
            }
        }
        Some(index)
    }

    /// Sets the result of a long route, in a slot without a child, and returns the one it had.
    pub(crate) fn set_long(&mut self, window: u64, bits: u8, index: u32) -> Result<Option<u32>, Crowded> {
        let long = Long::new(window, bits, index);
        if let Some(found) = self.longs.iter_mut().find(|other| other.same_route(long)) {
            return Ok(Some(std::mem::replace(found, long).index()));
        }
        if self.longs_of(long.slot()) == LONGS_OF_SLOT {
            return Err(Crowded(long.slot()));
        }
        if self.longs.is_full() {
            let fullest = self.longs.iter().map(|long| long.slot()).max_by_key(|slot| self.longs_of(*slot));
            return Err(Crowded(fullest.unwrap_or(long.slot())));
        }
        let at = self.longs.partition_point(|other| other.bits() > long.bits());
        self.longs.insert(at, long);
        self.routes += 1;
        Ok(None)
    }

    /// Removes a long route and returns its result.
    pub(crate) fn remove_long(&mut self, window: u64, bits: u8) -> Option<u32> {
        let long = Long::new(window, bits, 0);
        let at = self.longs.iter().position(|other| other.same_route(long))?;
        let index = self.longs.remove(at).index();
        self.routes -= 1;
        Some(index)
    }

    /// How many more long routes there is room for.
    pub(crate) fn room(&self) -> usize {
        self.longs.remaining_capacity().min(LONGS_OF_SLOT)
    }

    /// Takes the long routes of `slot` out.
    pub(crate) fn take_longs(&mut self, slot: u8) -> ArrayVec<Long, LONGS> {
        let taken: ArrayVec<_, LONGS> =
            self.longs.iter().filter(|long| long.slot() == slot).copied().collect();
        self.longs.retain(|long| long.slot() != slot);
        self.routes -= taken.len();
        taken
    }

    /// All long routes.
    pub(crate) fn longs(&self) -> &[Long] {
        &self.longs
    }

    /// All short routes, in no particular order.
    pub(crate) fn shorts(&self) -> impl Iterator<Item = (Short, u32)> + '_ {
        let mut seen = [0_u64; 8];
        let mut new = move |short: &Short| {
            let word = &mut seen[usize::from(short.heap() >> 6) & 7];
            let bit = 1 << (short.heap() & 63);
            let new = *word & bit == 0;
            *word |= bit;
            new
        };
        // Routes of one length and one result may share a run, so every slot is asked.
        let shown = (0..=255).zip(self.slots());
        let shown = shown.filter_map(|(slot, run)| Some((Short::of_rank(slot, run.rank())?, run.index())));
        let hidden = self.hidden.iter().map(|hidden| (hidden.short(), hidden.index()));
        shown.filter(move |(short, _)| new(short)).chain(hidden)
    }

    /// What each of the 256 slots shows.
    pub(crate) fn slots(&self) -> impl Iterator<Item = Run> + '_ {
        let mut runs = self.runs().iter();
        let mut run = Run::default();
        (0..=255).map(move |slot| {
            if self.starts.contains(slot) {
                run = runs.next().copied().unwrap_or_default();
            }
            run
        })
    }

    /// How many long routes there are in `slot`.
    fn longs_of(&self, slot: u8) -> usize {
        self.longs.iter().filter(|long| long.slot() == slot).count()
    }

    /// The runs that the slots of `short` show.
    fn shown(&self, short: Short) -> impl Iterator<Item = Run> + '_ {
        let (first, behind) = (self.starts.up_to(short.slot) - 1, self.starts.up_to(short.last()));
        self.runs.get(first..behind).unwrap_or_default().iter().copied()
    }

    /// Whether some slot shows the route itself.
    fn is_shown(&self, short: Short) -> bool {
        self.shown(short).any(|run| run.rank() == short.rank())
    }

    /// The longest route that covers `short`, and where its result is.
    fn cover(&self, short: Short) -> Option<(Short, u32)> {
        let mut shorter = (0..short.bits).rev().map(|bits| Short::covering(short.slot, bits));
        shorter.find_map(|cover| Some((cover, self.short(cover)?)))
    }

    /// Changes what the slots of `short` show, splitting and joining runs.
    fn paint(&mut self, short: Short, change: impl Fn(Run) -> Run) {
        let (first, last) = (short.slot, short.last());
        // Which runs the slots show now, and the starts behind the first of them.
        let (from, to) = (self.starts.up_to(first) - 1, self.starts.up_to(last) - 1);
        let next_starts_there = last < 255 && self.starts.contains(last + 1);
        let keep = from + usize::from(!self.starts.contains(first));
        let mut starts = self.starts.bits();
        let mut painted = ArrayVec::<Run, 258>::new();
        let mut before = keep.checked_sub(1).map(|i| self.runs[i]);
        let mut put = |slot: u8, run: Run| {
            starts.set(slot, before != Some(run));
            if before != Some(run) {
                painted.push(run);
            }
            before = Some(run);
        };
        put(first, change(self.runs[from]));
        let inner = self.starts.between(first, last);
        for (slot, run) in inner.zip(&self.runs[from + 1..=to]) {
            put(slot, change(*run));
        }
        // What follows keeps its value, and may have to start or to stop being a run of its own.
        let behind = to + 1 + usize::from(next_starts_there);
        if last < 255 {
            put(last + 1, self.runs[behind - 1]);
        }
        self.starts = starts.into();
        self.splice(keep, behind, &painted);
    }

    /// Replaces the runs `from..to`.
    fn splice(&mut self, from: usize, to: usize, runs: &[Run]) {
        let behind = from + runs.len();
        self.runs.copy_within(to..self.count, behind);
        self.runs[from..behind].copy_from_slice(runs);
        self.count = self.count - to + behind;
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::super::entry::Short;
    use super::{Content, Crowded, LONGS, LONGS_OF_SLOT, Words};

    /// What a slot shows, the slow way.
    fn longest(twin: &BTreeMap<(u8, u8), u32>, slot: u8) -> Option<(u8, u32)> {
        let covers = |(first, bits): (u8, u8)| Short::covering(slot, bits).slot == first;
        twin.iter().filter(|(key, _)| covers(**key)).map(|((_, bits), result)| (*bits, *result)).max()
    }

    fn agrees(content: &Content, twin: &BTreeMap<(u8, u8), u32>) -> Result<(), TestCaseError> {
        prop_assert_eq!(content.slots().count(), 256);
        for (slot, run) in (0..=255).zip(content.slots()) {
            prop_assert_eq!(content.shown(Short { slot, bits: 8 }).next(), Some(run));
            let shown = (run.rank() > 0).then(|| (run.rank() - 1, run.index()));
            prop_assert_eq!(shown, longest(twin, slot));
        }
        let mut all: Vec<_> = content.shorts().map(|(s, result)| ((s.slot, s.bits), result)).collect();
        all.sort_unstable();
        prop_assert!(all.into_iter().eq(twin.iter().map(|(key, result)| (*key, *result))));
        prop_assert!(content.runs().windows(2).all(|pair| pair[0] != pair[1]), "runs are joined");
        prop_assert_eq!(content.count, content.starts.len());
        prop_assert_eq!(routes(content), twin.len());
        Ok(())
    }

    fn again(content: &Content) -> Content {
        let mut words = Words::new();
        Content::unpack(&content.pack(&mut words), &words)
    }

    fn routes(content: &Content) -> usize {
        usize::from(content.pack(&mut Words::new()).routes)
    }

    fn steps() -> impl Strategy<Value = Vec<(u8, u8, Option<u32>)>> {
        // Few slots and few results, so that routes cover, hide and share; some need the wide form.
        let slot = prop_oneof![any::<u8>(), (0..8_u8).prop_map(|s| s << 5 | 3)];
        let result = prop_oneof![8 => 0..6_u32, 1 => Just(4_095), 1 => Just(4_096), 1 => Just(134_217_727)];
        prop::collection::vec((slot, 0..=8_u8, prop::option::weighted(0.6, result)), 0..80)
    }

    proptest! {
        #[test]
        fn short_routes_behave_like_a_list_of_them(steps in steps()) {
            let (mut content, mut twin) = (Content::empty(), BTreeMap::new());
            for (slot, bits, result) in steps {
                let short = Short::covering(slot, bits);
                let key = (short.slot, bits);
                match result {
                    Some(result) => prop_assert_eq!(content.set_short(short, result), twin.insert(key, result)),
                    None => prop_assert_eq!(content.remove_short(short), twin.remove(&key)),
                }
                prop_assert_eq!(content.short(short), twin.get(&key).copied());
                agrees(&content, &twin)?;
                agrees(&again(&content), &twin)?;
            }
        }

        #[test]
        fn long_routes_are_kept_by_slot_until_it_is_crowded(
            steps in prop::collection::vec((0..6_u64, 0..4_u64, 1..=24_u8, prop::option::weighted(0.7, 1..4_u32)), 0..90),
        ) {
            let (mut content, mut twin) = (Content::empty(), BTreeMap::new());
            content.set_short(Short::covering(1, 8), 2);
            for (slot, suffix, bits, result) in steps {
                let window = slot << 56 | (suffix << (56 - bits) & ((1 << 56) - 1));
                let key = (window, bits);
                let of_slot = |twin: &BTreeMap<(u64, u8), u32>, slot| twin.keys().filter(|(w, _)| w >> 56 == slot).count();
                match result {
                    Some(result) => match content.set_long(window, bits, result) {
                        Ok(old) => prop_assert_eq!(old, twin.insert(key, result)),
                        Err(Crowded(crowded)) => {
                            prop_assert!(!twin.contains_key(&key));
                            let full = of_slot(&twin, slot) == LONGS_OF_SLOT;
                            prop_assert!(full || twin.len() == LONGS);
                            let most = (0..6).map(|slot| of_slot(&twin, slot)).max();
                            let right = if full { crowded == slot as u8 } else { most == Some(of_slot(&twin, u64::from(crowded))) };
                            prop_assert!(right);
                        }
                    },
                    None => prop_assert_eq!(content.remove_long(window, bits), twin.remove(&key)),
                }
                let all = |content: &Content| {
                    let mut all: Vec<_> = content.longs().iter().map(|l| ((l.window(), l.bits()), l.index())).collect();
                    all.sort_unstable();
                    all
                };
                prop_assert!(all(&content).into_iter().eq(twin.iter().map(|(k, r)| (*k, *r))));
                prop_assert_eq!(all(&again(&content)), all(&content));
                prop_assert!(content.longs().is_sorted_by(|a, b| a.bits() >= b.bits()), "longest first");
                prop_assert_eq!(content.room(), LONGS_OF_SLOT.min(LONGS - twin.len()));
                prop_assert_eq!(routes(&content), twin.len() + 1);
            }
            prop_assert_eq!(content.short(Short::covering(1, 8)), Some(2));
            let taken = content.take_longs(2);
            prop_assert_eq!(taken.len(), twin.keys().filter(|(w, _)| w >> 56 == 2).count());
            prop_assert!(taken.iter().all(|long| twin[&(long.window(), long.bits())] == long.index()));
            prop_assert!(content.longs().iter().all(|long| long.slot() != 2));
            prop_assert_eq!(routes(&content), 1 + twin.len() - taken.len());
        }
    }

    #[test]
    fn all_511_short_routes_fit() {
        let mut content = Content::empty();
        let all = (1..512).map(Short::from_heap);
        all.clone()
            .for_each(|short| assert_eq!(content.set_short(short, u32::from(short.heap()) << 16), None));
        let mut content = again(&content);
        all.for_each(|short| assert_eq!(content.remove_short(short), Some(u32::from(short.heap()) << 16)));
        assert_eq!(routes(&content), 0);
    }
}
