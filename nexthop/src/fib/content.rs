//! A node's own routes, unpacked for an edit.
//!
//! Slots show the longest short route that covers them; equal neighbours make a run. A short route whose slots
//! are all taken by longer ones is kept aside as hidden, so that removing a route needs only its key: what
//! covers it is still there.

use arrayvec::ArrayVec;

use super::entry::{Hidden, LONGS, Long, RESULTS, Run, Short};
use super::ranks::Ranks;

/// A node's own routes. The lists are as long as they can get: no edit overflows them.
#[derive(Clone, Debug)]
pub(crate) struct Content {
    /// First slot and value of each run; the first begins at slot 0.
    runs: ArrayVec<(u8, Run), 256>,
    /// Distinct results that some entry points to.
    results: ArrayVec<u64, RESULTS>,
    /// Sorted.
    longs: ArrayVec<Long, LONGS>,
    hidden: ArrayVec<Hidden, 511>,
}

/// The most words that a node's content packs into.
pub(crate) const WORDS: usize = RESULTS + LONGS + 256 / 4 + 512 / 2;

impl Content {
    pub(crate) fn empty() -> Self {
        let mut runs = ArrayVec::new();
        runs.push((0, Run::default()));
        Self { runs, results: ArrayVec::new(), longs: ArrayVec::new(), hidden: ArrayVec::new() }
    }

    /// Packs into the words of a node: results, long routes, runs (four a word), hidden routes (two a word).
    pub(crate) fn pack(&self) -> (Ranks, ArrayVec<u64, WORDS>) {
        let mut starts = [0_u64; 4];
        for (start, _) in &self.runs {
            starts[usize::from(start >> 6)] |= 1 << (start & 63);
        }
        let mut words = ArrayVec::new();
        words.extend(self.results.iter().copied());
        words.extend(self.longs.iter().map(|long| long.to_bits()));
        for four in self.runs.chunks(4) {
            words.push(four.iter().rev().fold(0, |word, (_, run)| word << 16 | u64::from(run.to_bits())));
        }
        for two in self.hidden.chunks(2) {
            let second = two.get(1).copied().unwrap_or(Hidden::PADDING);
            words.push(u64::from(second.to_bits()) << 32 | u64::from(two[0].to_bits()));
        }
        (Ranks::from_words(starts), words)
    }

    /// The inverse of [`pack`](Self::pack).
    pub(crate) fn unpack(starts: Ranks, results: usize, longs: usize, words: &[u64]) -> Self {
        let mut words = words.iter().copied();
        let mut content = Self::empty();
        content.runs.clear();
        content.results.extend(words.by_ref().take(results));
        content.longs.extend(words.by_ref().take(longs).map(Long::from_bits));
        let mut word = 0_u64;
        for (i, start) in starts.iter().enumerate() {
            word = if i % 4 == 0 { words.next().unwrap_or(0) } else { word >> 16 };
            content.runs.push((start, Run::from_bits(word as u16)));
        }
        for word in words {
            for half in [word as u32, (word >> 32) as u32] {
                if half != Hidden::PADDING.to_bits() {
                    content.hidden.push(Hidden::from_bits(half));
                }
            }
        }
        content
    }

    pub(crate) fn results(&self) -> usize {
        self.results.len()
    }

    pub(crate) fn longs(&self) -> usize {
        self.longs.len()
    }

    /// The result of a short route.
    pub(crate) fn short(&self, short: Short) -> Option<u64> {
        self.results.get(self.find_short(short)?).copied()
    }

    /// Sets the result of a short route and returns the one it had.
    pub(crate) fn set_short(&mut self, short: Short, result: u64) -> Option<u64> {
        if let Some(index) = self.find_short(short) {
            let old = self.results[index];
            if old != result {
                let new = self.intern(result);
                for hidden in self.hidden.iter_mut().filter(|hidden| hidden.short() == short) {
                    *hidden = Hidden::new(short, new);
                }
                self.paint(short, |run| {
                    if run.rank() == short.rank() { run.covered(run.rank(), new) } else { run }
                });
                self.release(index);
            }
            return Some(old);
        }
        let index = self.intern(result);
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
    pub(crate) fn remove_short(&mut self, short: Short) -> Option<u64> {
        let index = self.find_short(short)?;
        let result = self.results[index];
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
        self.release(index);
        Some(result)
    }

    /// The result of the long route of `8 + bits` bits of `window`.
    pub(crate) fn long(&self, window: u64, bits: u8) -> Option<u64> {
        let long = Long::new(window, bits, 0);
        let found = self.longs.iter().find(|other| other.same_route(long))?;
        self.results.get(found.index()).copied()
    }

    /// How many long routes there are in `slot`.
    pub(crate) fn longs_of(&self, slot: u8) -> usize {
        self.longs.iter().filter(|long| long.slot() == slot).count()
    }

    /// The slot with the most long routes.
    pub(crate) fn fullest_slot(&self) -> Option<u8> {
        self.longs.iter().map(|long| long.slot()).max_by_key(|slot| self.longs_of(*slot))
    }

    /// Sets the result of a long route and returns the one it had. For a new one there must be room, and no child in the slot.
    pub(crate) fn set_long(&mut self, window: u64, bits: u8, result: u64) -> Option<u64> {
        let index = self.intern(result);
        let long = Long::new(window, bits, index);
        if let Some(found) = self.longs.iter_mut().find(|other| other.same_route(long)) {
            let was = std::mem::replace(found, long).index();
            let old = self.results[was];
            if was != index {
                self.release(was);
            }
            return Some(old);
        }
        let at = self.longs.partition_point(|other| *other < long);
        self.longs.insert(at, long);
        self.set_more(long.slot(), true);
        None
    }

    /// Removes a long route and returns its result.
    pub(crate) fn remove_long(&mut self, window: u64, bits: u8) -> Option<u64> {
        let long = Long::new(window, bits, 0);
        let at = self.longs.iter().position(|other| other.same_route(long))?;
        let index = self.longs.remove(at).index();
        let result = self.results[index];
        if self.longs_of(long.slot()) == 0 {
            self.set_more(long.slot(), false);
        }
        self.release(index);
        Some(result)
    }

    /// Takes the long routes of `slot` out: address from the node's depth on, bits behind the slot, result.
    pub(crate) fn take_longs(&mut self, slot: u8) -> ArrayVec<(u64, u8, u64), LONGS> {
        let mut taken = ArrayVec::new();
        while let Some(long) = self.longs.iter().find(|long| long.slot() == slot).copied() {
            if let Some(result) = self.remove_long(long.window(), long.bits()) {
                taken.push((long.window(), long.bits(), result));
            }
        }
        taken
    }

    /// Says whether longer routes are inside `slot`.
    pub(crate) fn set_more(&mut self, slot: u8, more: bool) {
        self.paint(Short { slot, bits: 8 }, |run| run.with_more(more));
    }

    /// All long routes: address from the node's depth on, bits behind the slot, result.
    pub(crate) fn iter_longs(&self) -> impl Iterator<Item = (u64, u8, u64)> + '_ {
        self.longs.iter().map(|long| (long.window(), long.bits(), self.results[long.index()]))
    }

    /// All short routes, in no particular order.
    pub(crate) fn iter_shorts(&self) -> impl Iterator<Item = (Short, u64)> + '_ {
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
        let shown = shown.filter(move |(short, _)| new(short));
        let hidden = self.hidden.iter().map(|hidden| (hidden.short(), hidden.index()));
        shown.chain(hidden).map(|(short, index)| (short, self.results[index]))
    }

    /// Where the result of a short route is.
    fn find_short(&self, short: Short) -> Option<usize> {
        let hidden = self.hidden.iter().find(|hidden| hidden.short() == short).map(|hidden| hidden.index());
        hidden.or_else(|| self.shown(short).find(|run| run.rank() == short.rank()).map(Run::index))
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
    fn cover(&self, short: Short) -> Option<(Short, usize)> {
        let mut shorter = (0..short.bits).rev().map(|bits| Short::covering(short.slot, bits));
        shorter.find_map(|cover| Some((cover, self.find_short(cover)?)))
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
        self.runs = painted;
    }

    /// Where `result` is in the list of results, which it enters if it is new.
    fn intern(&mut self, result: u64) -> usize {
        self.results.iter().position(|other| *other == result).unwrap_or_else(|| {
            self.results.push(result);
            self.results.len() - 1
        })
    }

    /// Takes the result at `index` off the list if no entry points to it any more; the last one takes its place.
    fn release(&mut self, index: usize) {
        let used = self.runs.iter().any(|(_, run)| run.rank() > 0 && run.index() == index)
            || self.longs.iter().any(|long| long.index() == index)
            || self.hidden.iter().any(|hidden| hidden.index() == index);
        if used {
            return;
        }
        self.results.swap_remove(index);
        let moved = self.results.len();
        for (_, run) in self.runs.iter_mut().filter(|(_, run)| run.rank() > 0 && run.index() == moved) {
            *run = run.covered(run.rank(), index);
        }
        for long in self.longs.iter_mut().filter(|long| long.index() == moved) {
            *long = long.with_index(index);
        }
        for hidden in self.hidden.iter_mut().filter(|hidden| hidden.index() == moved) {
            *hidden = Hidden::new(hidden.short(), index);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::super::entry::Short;
    use super::Content;

    /// What a slot shows, the slow way.
    fn longest(twin: &BTreeMap<(u8, u8), u64>, slot: u8) -> Option<(u8, u64)> {
        let covers = |(first, bits): (u8, u8)| Short::covering(slot, bits).slot == first;
        twin.iter().filter(|(key, _)| covers(**key)).map(|((_, bits), result)| (*bits, *result)).max()
    }

    fn agrees(content: &Content, twin: &BTreeMap<(u8, u8), u64>) -> Result<(), TestCaseError> {
        for slot in 0..=255 {
            let short = Short { slot, bits: 8 };
            let run = content.shown(short).next().unwrap();
            let shown = (run.rank() > 0).then(|| (run.rank() - 1, content.results[run.index()]));
            prop_assert_eq!(shown, longest(twin, slot));
        }
        let mut all: Vec<_> = content.iter_shorts().map(|(s, result)| ((s.slot, s.bits), result)).collect();
        all.sort_unstable();
        prop_assert!(all.into_iter().eq(twin.iter().map(|(key, result)| (*key, *result))));
        let mut distinct: Vec<_> = twin.values().collect();
        distinct.sort_unstable();
        distinct.dedup();
        prop_assert_eq!(content.results(), distinct.len(), "no result is kept that nobody uses");
        prop_assert!(content.runs.windows(2).all(|pair| pair[0].1 != pair[1].1), "runs are joined");
        Ok(())
    }

    fn steps() -> impl Strategy<Value = Vec<(u8, u8, Option<u64>)>> {
        // Few slots and few results, so that routes cover, hide and share.
        let slot = prop_oneof![any::<u8>(), (0..8_u8).prop_map(|s| s << 5 | 3)];
        prop::collection::vec((slot, 0..=8_u8, prop::option::weighted(0.6, 1..6_u64)), 0..80)
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
                let (starts, words) = content.pack();
                let again = Content::unpack(starts, content.results(), content.longs(), &words);
                agrees(&again, &twin)?;
            }
        }

        #[test]
        fn long_routes_are_kept_by_slot_and_share_the_results(
            steps in prop::collection::vec((0..4_u64, 0..4_u64, 1..=36_u8, prop::option::weighted(0.7, 1..4_u64)), 0..60),
        ) {
            let (mut content, mut twin) = (Content::empty(), BTreeMap::new());
            content.set_short(Short::covering(1, 8), 2);
            for (slot, suffix, bits, result) in steps {
                let window = slot << 56 | (suffix << (56 - bits) & ((1 << 56) - 1));
                let key = (window, bits);
                match result {
                    Some(_) if !twin.contains_key(&key) && content.longs() == super::LONGS => continue,
                    Some(result) => {
                        prop_assert_eq!(content.set_long(window, bits, result), twin.insert(key, result));
                    }
                    None => prop_assert_eq!(content.remove_long(window, bits), twin.remove(&key)),
                }
                prop_assert_eq!(content.long(window, bits), twin.get(&key).copied());
                let mut all: Vec<_> = content.iter_longs().map(|(w, b, r)| ((w, b), r)).collect();
                all.sort_unstable();
                prop_assert!(all.into_iter().eq(twin.iter().map(|(k, r)| (*k, *r))));
                for slot in 0..5 {
                    let expected = twin.keys().filter(|(w, _)| w >> 56 == slot).count();
                    prop_assert_eq!(content.longs_of(slot as u8), expected);
                    let more = content.shown(Short { slot: slot as u8, bits: 8 }).next().unwrap().more();
                    prop_assert_eq!(more, expected > 0);
                }
                let fullest = content.fullest_slot().map(|slot| content.longs_of(slot));
                prop_assert_eq!(fullest, (0..4).map(|slot| content.longs_of(slot)).max().filter(|n| *n > 0));
            }
            prop_assert_eq!(content.short(Short::covering(1, 8)), Some(2));
            let taken = content.take_longs(2);
            prop_assert_eq!(taken.len(), twin.keys().filter(|(w, _)| w >> 56 == 2).count());
            prop_assert!(taken.iter().all(|(w, b, r)| twin[&(*w, *b)] == *r));
            prop_assert_eq!(content.longs_of(2), 0);
        }
    }

    #[test]
    fn all_511_short_routes_with_a_result_each_fit() {
        let mut content = Content::empty();
        let all = (1..512).map(Short::from_heap);
        all.clone().for_each(|short| assert_eq!(content.set_short(short, u64::from(short.heap())), None));
        let (starts, words) = content.pack();
        let mut content = Content::unpack(starts, content.results(), content.longs(), &words);
        assert_eq!(content.results(), 511);
        all.for_each(|short| assert_eq!(content.remove_short(short), Some(u64::from(short.heap()))));
        assert_eq!(content.results(), 0);
    }
}
