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
    /// First slot and value of each run; the first begins at slot 0.
    runs: ArrayVec<(u8, Run), 256>,
    /// Sorted.
    longs: ArrayVec<Long, LONGS>,
    hidden: ArrayVec<Hidden, SHORTS>,
    routes: usize,
}

/// What stands in a node's header about the words behind it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Layout {
    /// The first slot of each run.
    pub(crate) runs: Ranks,
    /// How many of the words are long routes; runs and hidden routes follow.
    pub(crate) longs: u8,
    /// Runs take 32 bits instead of 16.
    pub(crate) wide: bool,
    /// How many routes there are.
    pub(crate) routes: u16,
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
        let mut content = Self::blank();
        content.runs.push((0, Run::default()));
        content
    }

    fn blank() -> Self {
        Self { runs: ArrayVec::new(), longs: ArrayVec::new(), hidden: ArrayVec::new(), routes: 0 }
    }

    /// Packs into the words of a node, which are empty before.
    pub(crate) fn pack(&self, words: &mut Words) -> Layout {
        let mut starts = [0_u64; 4];
        for (start, _) in &self.runs {
            starts[usize::from(start >> 6)] |= 1 << (start & 63);
        }
        words.extend(self.longs.iter().map(|long| long.to_bits()));
        let wide = self.runs.iter().any(|(_, run)| run.to_narrow().is_none());
        if wide {
            for runs in self.runs.chunks(2) {
                words.push(runs.iter().rev().fold(0, |word, (_, run)| word << 32 | u64::from(run.to_wide())));
            }
        } else {
            let narrow = |(_, run): &(u8, Run)| u64::from(run.to_narrow().unwrap_or_default());
            for runs in self.runs.chunks(4) {
                words.push(runs.iter().rev().fold(0, |word, run| word << 16 | narrow(run)));
            }
        }
        words.extend(self.hidden.iter().map(|hidden| hidden.to_bits()));
        let (longs, routes) = (self.longs.len() as u8, self.routes as u16);
        Layout { runs: Ranks::from_words(starts), longs, wide, routes }
    }

    /// The inverse of [`pack`](Self::pack).
    #[inline]
    pub(crate) fn unpack(layout: &Layout, words: &[u64]) -> Self {
        let mut content = Self::blank();
        content.routes = usize::from(layout.routes);
        let (longs, words) = words.split_at_checked(usize::from(layout.longs)).unwrap_or_default();
        content.longs.extend(longs.iter().copied().map(Long::from_bits));
        let (per_word, shift) = if layout.wide { (2, 32) } else { (4, 16) };
        let mut words = words.iter().copied();
        let mut word = 0_u64;
        layout.runs.for_each(|i, start| {
            word = if i % per_word == 0 { words.next().unwrap_or(0) } else { word >> shift };
            let run = if layout.wide { Run::from_wide(word as u32) } else { Run::from_narrow(word as u16) };
            content.runs.push((start, run));
        });
        content.hidden.extend(words.map(Hidden::from_bits));
        content
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
                    if run.rank() == short.rank() { run.covered(run.rank(), index) } else { run }
                },
            );
            return old;
        }
        self.routes += 1;
        // Wherever a shorter route is seen here, it is one and the same: the longest that covers this one.
        let beneath = self.shown(short).find(|run| run.rank() < short.rank());
        self.paint(
            short,
            |run| {
                if run.rank() < short.rank() { run.covered(short.rank(), index) } else { run }
            },
        );
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
                Some((cover, index)) => run.covered(cover.rank(), index),
                None => run.covered(0, 0),
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
        let at = self.longs.partition_point(|other| *other < long);
        self.longs.insert(at, long);
        self.routes += 1;
        self.set_more(long.slot(), true);
        Ok(None)
    }

    /// Removes a long route and returns its result.
    pub(crate) fn remove_long(&mut self, window: u64, bits: u8) -> Option<u32> {
        let long = Long::new(window, bits, 0);
        let at = self.longs.iter().position(|other| other.same_route(long))?;
        let index = self.longs.remove(at).index();
        self.routes -= 1;
        if self.longs_of(long.slot()) == 0 {
            self.set_more(long.slot(), false);
        }
        Some(index)
    }

    /// How many more long routes there is room for.
    pub(crate) fn room(&self) -> usize {
        self.longs.remaining_capacity().min(LONGS_OF_SLOT)
    }

    /// Takes the long routes of `slot` out, which has a child from now on.
    pub(crate) fn take_longs(&mut self, slot: u8) -> ArrayVec<Long, LONGS> {
        let taken: ArrayVec<_, LONGS> =
            self.longs.iter().filter(|long| long.slot() == slot).copied().collect();
        self.longs.retain(|long| long.slot() != slot);
        self.routes -= taken.len();
        self.set_more(slot, true);
        taken
    }

    /// Says whether longer routes are inside `slot`.
    pub(crate) fn set_more(&mut self, slot: u8, more: bool) {
        self.paint(Short { slot, bits: 8 }, |run| run.with_more(more));
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
        let shown = self.runs.iter().enumerate().flat_map(|(i, (start, run))| {
            // Routes of one length and one result may share a run.
            let (mut next, end) = (Some(*start), self.end(i));
            std::iter::from_fn(move || {
                let short = Short::of_rank(next.filter(|slot| *slot <= end)?, run.rank())?;
                next = short.last().checked_add(1);
                Some((short, run.index()))
            })
        });
        let hidden = self.hidden.iter().map(|hidden| (hidden.short(), hidden.index()));
        shown.filter(move |(short, _)| new(short)).chain(hidden)
    }

    /// What each of the 256 slots shows.
    pub(crate) fn slots(&self) -> impl Iterator<Item = Run> + '_ {
        let run = |(i, (start, run)): (usize, &(u8, Run))| {
            std::iter::repeat_n(*run, usize::from(self.end(i) - start) + 1)
        };
        self.runs.iter().enumerate().flat_map(run)
    }

    /// How many long routes there are in `slot`.
    fn longs_of(&self, slot: u8) -> usize {
        self.longs.iter().filter(|long| long.slot() == slot).count()
    }

    /// The runs that the slots of `short` show.
    fn shown(&self, short: Short) -> impl Iterator<Item = Run> + '_ {
        let first = self.runs.partition_point(|(start, _)| *start <= short.slot).saturating_sub(1);
        self.runs[first..].iter().take_while(move |(start, _)| *start <= short.last()).map(|(_, run)| *run)
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

    /// The last slot of the `i`-th run.
    fn end(&self, i: usize) -> u8 {
        self.runs.get(i + 1).map_or(255, |(next, _)| next - 1)
    }

    /// Changes what the slots of `short` show, splitting and joining runs.
    fn paint(&mut self, short: Short, change: impl Fn(Run) -> Run) {
        let (first, last) = (short.slot, short.last());
        let mut painted = ArrayVec::<(u8, Run), 256>::new();
        let mut push = |start: u8, run: Run| {
            if painted.last().is_none_or(|(_, last)| *last != run) {
                painted.push((start, run));
            }
        };
        for (i, (start, run)) in self.runs.iter().copied().enumerate() {
            let end = self.end(i);
            if end < first || start > last {
                push(start, run);
                continue;
            }
            if start < first {
                push(start, run);
            }
            push(start.max(first), change(run));
            if end > last {
                push(last + 1, run);
            }
        }
        self.runs.clear();
        self.runs.extend(painted.iter().copied());
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::super::entry::{Long, Short};
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
        prop_assert!(content.runs.windows(2).all(|pair| pair[0].1 != pair[1].1), "runs are joined");
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
        let result = prop_oneof![8 => 0..6_u32, 1 => Just(2_047), 1 => Just(2_048), 1 => Just(134_217_727)];
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
                prop_assert!(content.longs().is_sorted_by_key(|long| Long::to_bits(*long)));
                for slot in 0..7 {
                    let more = content.shown(Short { slot: slot as u8, bits: 8 }).next().unwrap().more();
                    prop_assert_eq!(more, of_slot(&twin, slot) > 0);
                }
                prop_assert_eq!(content.room(), LONGS_OF_SLOT.min(LONGS - twin.len()));
                prop_assert_eq!(routes(&content), twin.len() + 1);
            }
            prop_assert_eq!(content.short(Short::covering(1, 8)), Some(2));
            let taken = content.take_longs(2);
            prop_assert_eq!(taken.len(), twin.keys().filter(|(w, _)| w >> 56 == 2).count());
            prop_assert!(taken.iter().all(|long| twin[&(long.window(), long.bits())] == long.index()));
            prop_assert!(content.longs().iter().all(|long| long.slot() != 2));
            let more = content.shown(Short { slot: 2, bits: 8 }).next().unwrap().more();
            prop_assert!(more);
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
