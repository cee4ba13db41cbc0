//! A leaf of the trie: the routes of one neighbourhood as a sorted list of intervals, in one allocation.
//!
//! A lookup counts the starts that are not behind the address and reads the value of that interval. The starts have as
//! few bytes as the longest route needs behind the leaf's depth; all of them are compared, without a branch, which
//! the compiler turns into vector instructions. An edit unpacks the routes and packs them anew.

use std::hint::select_unpredictable;
use std::iter;

use arrayvec::ArrayVec;
use triomphe::{Arc, ThinArc};
use zerocopy::{FromBytes, Immutable, IntoBytes};

use super::key::Key;
use super::lanes::{count16, count32, count64, count128};
use super::machine::{not_behind16, not_behind32, prefetch};
use super::paint::{INTERVALS, Interval, Painting, ROUTES, Routes, unpaint};
use super::route::{INDEX_BITS, Route, Shown, shared_depth};

/// More routes than this are no leaf, unless all end within the next eight bits.
pub(crate) const FEW: usize = 64;
/// From so many intervals of eight bits on, each slot has a value of its own.
const DENSE: usize = 144;
/// Up to so many intervals a leaf is as small as can be; with more, as large as lookups like it.
const A_FEW: usize = 6;
/// Most words of a leaf: starts and values of a few routes, or values of 256 slots, and routes that are hidden.
const WORDS: usize = 4 * FEW + 2 + 3 * ROUTES;

type Words = ArrayVec<u64, WORDS>;

/// What a leaf says of an address, as it is stored: above the number of the result the length of the route behind the
/// leaf's depth and one more, or in all 32 bits [`Shown`] as it is. 0: nothing.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Value {
    bits: u32,
    result_bits: u8,
}

impl Value {
    /// With its result, as something longer than any route of the nodes above.
    #[inline(always)]
    pub(crate) fn longest(self) -> Shown {
        Shown::longest(self.bits != 0, self.bits & !(u32::MAX << self.result_bits))
    }

    fn shown(self, depth: u8) -> Shown {
        let result = self.bits & !(u32::MAX << self.result_bits);
        match ((self.bits >> self.result_bits) as u8).checked_sub(1) {
            None => Shown::NOTHING,
            Some(length) if u32::from(self.result_bits) == INDEX_BITS => Shown::new(length, result),
            Some(bits) => Shown::new(depth + bits, result),
        }
    }

    /// The form in 16 bits; none if the result's number takes more than `result_bits`.
    fn narrow(shown: Shown, depth: u8, result_bits: u32) -> Option<u16> {
        let Some(length) = shown.length() else { return Some(0) };
        let above = u32::from(length - depth + 1) << result_bits;
        (shown.result() >> result_bits == 0).then_some((above | shown.result()) as u16)
    }
}

/// How intervals are told apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    /// One value for each of the 256 slots behind the depth, no starts.
    Slots,
    /// Starts of eight bits, as a set of 256.
    Set,
    Starts16,
    Starts32,
    Starts64,
    Starts128,
}

impl Form {
    /// Bits of a start.
    fn bits(self) -> u8 {
        match self {
            Self::Slots | Self::Set => 8,
            Self::Starts16 => 16,
            Self::Starts32 => 32,
            Self::Starts64 => 64,
            Self::Starts128 => 128,
        }
    }

    /// Bits of a result's number in a narrow value: what the length leaves of 16.
    #[inline(always)]
    fn narrow_bits(self) -> u32 {
        match self {
            Self::Slots | Self::Set => 12,
            Self::Starts16 => 11,
            Self::Starts32 => 10,
            Self::Starts64 => 9,
            Self::Starts128 => 8,
        }
    }
}

#[derive(Clone, Debug)]
struct Head<K: Key> {
    /// The bits that all addresses below share: the first `depth`.
    key: K::Stored,
    /// A multiple of eight, below `K::BITS`.
    depth: u8,
    form: Form,
    /// Bits of a result's number in a value, which are the lower ones. 24: values take 32 bits instead of 16.
    result_bits: u8,
    /// Pairs of words that the starts take. The last one is filled up.
    pairs: u8,
    /// How many intervals there are. The first one has no start: it begins where the leaf does.
    intervals: u16,
    /// Routes that no interval shows: two words of address and one of length and result each, at the end.
    hidden: u16,
    /// How many members of a set of starts come before each of its four words.
    before: [u8; 4],
}

/// At least one route; a clone is the same leaf shared.
#[derive(Clone, Debug)]
pub(crate) struct Leaf<K: Key>(ThinArc<Head<K>, u64>);

impl<K: Key> Leaf<K> {
    /// Whether these sorted routes can be one leaf.
    pub(crate) fn fits(routes: &[Route<K>]) -> bool {
        let end = shared_depth(routes) + 8;
        routes.len() <= FEW || routes.iter().all(|route| route.length <= end)
    }

    /// A leaf of sorted routes that fit, as deep as it can stand.
    pub(crate) fn new(routes: &[Route<K>]) -> Self {
        let depth = shared_depth(routes);
        let mut painting = Painting::new();
        painting.paint(routes, depth);
        let Painting { intervals, hidden, .. } = &painting;
        let longest = routes.iter().map(|route| route.length - depth).max().unwrap_or(0);
        let form = match longest {
            0..=8 if intervals.len() >= DENSE => Form::Slots,
            0..=8 => Form::Set,
            9..=16 => Form::Starts16,
            17..=32 => Form::Starts32,
            33..=64 => Form::Starts64,
            _ => Form::Starts128,
        };
        let result_bits = form.narrow_bits();
        let narrow = |interval: &Interval<K>| Value::narrow(interval.shown, depth, result_bits).is_some();
        let result_bits = if intervals.iter().all(narrow) { result_bits } else { INDEX_BITS };
        let mut words = Words::new();
        let start = |interval: &Interval<K>| interval.start.window(depth) >> (64 - form.bits().min(64));
        let starts = intervals.iter().skip(1).map(start);
        let mut before = [0; 4];
        match form {
            Form::Slots => {}
            Form::Set => {
                let mut set = [0_u64; 4];
                starts.for_each(|start| set[(start >> 6) as usize & 3] |= 1 << (start & 63));
                let mut sum = 0;
                for (before, word) in before.iter_mut().zip(set) {
                    *before = sum;
                    sum += word.count_ones() as u8;
                }
                words.extend(set);
            }
            Form::Starts16 => pack(&mut words, starts.map(|start| start as u16)),
            Form::Starts32 => pack(&mut words, starts.map(|start| start as u32)),
            Form::Starts64 => words.extend(starts),
            Form::Starts128 => {
                let starts = intervals.iter().skip(1).map(|interval| interval.start.aligned() << depth);
                words.extend(starts.flat_map(|start| [(start >> 64) as u64, start as u64]));
            }
        }
        // Two at a time are compared.
        if words.len() % 2 == 1 {
            words.push(u64::MAX);
        }
        let head = Head {
            key: intervals[0].start.store(),
            depth,
            form,
            result_bits: result_bits as u8,
            pairs: (words.len() / 2) as u8,
            intervals: intervals.len() as u16,
            hidden: hidden.len() as u16,
            before,
        };
        if form == Form::Slots {
            let mut at = 0;
            let slots = (0..256).map(|slot| {
                at += usize::from(intervals.get(at + 1).is_some_and(|next| start(next) == slot));
                intervals[at].shown
            });
            pack_values(&mut words, slots, depth, result_bits);
        } else {
            pack_values(&mut words, intervals.iter().map(|interval| interval.shown), depth, result_bits);
        }
        // So that more than a few can be compared at once.
        let least = match form {
            Form::Starts16 if intervals.len() > A_FEW => 8,
            Form::Starts32 if intervals.len() > A_FEW => 16,
            _ => 0,
        };
        if words.len() < least {
            words.extend(iter::repeat_n(0, least - words.len()));
        }
        for route in hidden {
            let last = u64::from(route.length) << 32 | u64::from(route.result);
            let key = route.key.aligned();
            words.extend([(key >> 64) as u64, key as u64, last]);
        }
        Self(ThinArc::from_header_and_slice(head, &words))
    }

    fn head(&self) -> &Head<K> {
        &self.0.header.header
    }

    /// What is shown for an address.
    pub(crate) fn lookup(&self, key: K) -> Shown {
        self.find(key).shown(self.head().depth)
    }

    /// Sets the result of a route that is there and can be seen, in place, and returns the one it had. None: the route is not
    /// there, or the leaf has to be painted anew for it. The leaf's own intervals are given.
    pub(crate) fn replace(&mut self, route: Route<K>, intervals: &[Interval<K>]) -> Option<u32> {
        let head = self.head();
        if route.length < head.depth || !route.key.agrees(K::load(head.key), head.depth) {
            return None;
        }
        let (depth, values, bits) = (head.depth, usize::from(head.pairs) * 2, u32::from(head.result_bits));
        let new = Shown::new(route.length, route.result);
        let new = if bits == INDEX_BITS { new.to_bits() } else { Value::narrow(new, depth, bits)?.into() };
        let is_it = |interval: &Interval<K>| interval.shown.length() == Some(route.length);
        let from = intervals.iter().position(|interval| interval.start >= route.key)?;
        let last = route.last();
        let count = intervals.iter().skip(from).take_while(|interval| interval.start <= last).count();
        let within = intervals.get(from..from + count)?;
        let old = within.iter().find(|interval| is_it(interval))?.shown.result();
        // The route's like may share an interval with it, on either side.
        let shares_first = within[0].start > route.key && intervals[..from].last().is_some_and(is_it);
        let end =
            intervals.get(from + count).map_or_else(|| route.key.last(depth), |next| next.start.previous());
        if shares_first || end > last && within.last().is_some_and(is_it) {
            return None;
        }
        let shared = (!self.0.with_arc_mut(|leaf| leaf.is_unique())).then(|| self.head().clone());
        if let Some(head) = shared {
            self.0 = ThinArc::from_header_and_slice(head, &self.0.slice);
        }
        self.0.with_arc_mut(|leaf| {
            let Some(leaf) = Arc::get_mut(leaf) else { return };
            let words = leaf.slice_mut().get_mut(values..).unwrap_or_default();
            for (i, _) in (from..).zip(within).filter(|(_, interval)| is_it(interval)) {
                if bits == INDEX_BITS {
                    put(words, i, new);
                } else {
                    put(words, i, new as u16);
                }
            }
        });
        Some(old)
    }

    /// Asks for the cache lines that a lookup is about to read, of all but large leaves.
    #[inline(always)]
    pub(crate) fn prefetch(&self) {
        let first = self.0.heap_ptr().cast::<u8>();
        prefetch(first);
        prefetch(first.wrapping_add(64));
        prefetch(first.wrapping_add(128));
    }

    /// The value of an address: nothing if it is not below the leaf.
    #[inline(always)]
    pub(crate) fn find(&self, key: K) -> Value {
        let head = self.head();
        let words = &self.0.slice;
        let slot = key.byte(head.depth);
        let at = usize::from(head.pairs) * 2;
        let interval = match head.form {
            Form::Slots => usize::from(slot),
            Form::Set => {
                let word = words.get(usize::from(slot >> 6)).copied().unwrap_or(0) << (63 - (slot & 63));
                usize::from(head.before[usize::from(slot >> 6)]) + word.count_ones() as usize
            }
            form => {
                let last = usize::from(head.intervals) - 1;
                let window = key.window(head.depth);
                // Usually all that can be starts are compared, and those counted that come before the first one behind the
                // address: no loop whose end nobody could predict.
                let not_behind = match form {
                    Form::Starts16 => match (words.first_chunk::<16>(), words.first_chunk::<8>()) {
                        (Some(starts), _) if last < 64 => Some(not_behind16(starts, (window >> 48) as u16)),
                        (_, Some(starts)) if last < 32 => Some(not_behind16(starts, (window >> 48) as u16)),
                        _ => None,
                    },
                    Form::Starts32 => match words.first_chunk::<16>() {
                        Some(starts) if last < 32 => Some(not_behind32(starts, (window >> 32) as u32)),
                        _ => None,
                    },
                    _ => None,
                };
                match not_behind {
                    Some(bits) => ((!bits).trailing_zeros() as usize).min(last),
                    // The last word is filled up with the greatest start.
                    None => self.count(key, window).min(last),
                }
            }
        };
        let value = self.value(at, interval);
        let agrees = key.agrees(K::load(head.key), head.depth);
        Value { bits: select_unpredictable(agrees, value.bits, 0), ..value }
    }

    /// How many starts are not behind an address, for the less common forms.
    fn count(&self, key: K, window: u64) -> usize {
        let head = self.head();
        let starts = self.0.slice.get(..usize::from(head.pairs) * 2).unwrap_or_default();
        match head.form {
            Form::Slots | Form::Set => 0,
            Form::Starts16 => count16(starts, (window >> 48) as u16),
            Form::Starts32 => count32(starts, (window >> 32) as u32),
            Form::Starts64 => count64(starts, window),
            Form::Starts128 => count128(starts, key.aligned() << head.depth),
        }
    }

    /// The value of an interval or a slot; values begin at word `at`.
    #[inline(always)]
    fn value(&self, at: usize, index: usize) -> Value {
        let result_bits = self.head().result_bits;
        let word = |per_word| self.0.slice.get(at + index / per_word).copied().unwrap_or(0);
        let bits = if u32::from(result_bits) == INDEX_BITS {
            (word(2) >> (index % 2 * 32)) as u32
        } else {
            u32::from((word(4) >> (index % 4 * 16)) as u16)
        };
        Value { bits, result_bits }
    }

    /// Adds all routes, sorted.
    pub(crate) fn routes(&self, routes: &mut Routes<K>) {
        let mut intervals = ArrayVec::new();
        self.intervals(&mut intervals);
        self.routes_of(&intervals, routes);
    }

    /// Adds all routes, sorted. The leaf's own intervals are given.
    pub(crate) fn routes_of(&self, intervals: &[Interval<K>], routes: &mut Routes<K>) {
        let (hidden, _) = self.words_of_hidden().as_chunks::<3>();
        let hidden = hidden.iter().map(|[high, low, last]| Route {
            key: K::from_aligned(u128::from(*high) << 64 | u128::from(*low)),
            length: (last >> 32) as u8,
            result: *last as u32,
        });
        unpaint(intervals, self.head().depth, hidden, routes);
    }

    /// Adds all intervals.
    pub(crate) fn intervals(&self, intervals: &mut ArrayVec<Interval<K>, INTERVALS>) {
        let head = self.head();
        let base = K::load(head.key);
        let up = 64 - head.form.bits().min(64);
        let values = usize::from(head.pairs) * 2;
        let mut put = |behind| intervals.extend([Interval { start: base.or(behind), shown: Shown::NOTHING }]);
        put(K::default());
        let mut begin = |start: u64| put(K::from_window(head.depth, start << up));
        let starts = self.0.slice.get(..values).unwrap_or_default();
        let count = usize::from(head.intervals) - 1;
        match head.form {
            Form::Slots => (1..256).for_each(begin),
            Form::Set => {
                starts.iter().enumerate().for_each(|(i, word)| members(*word, i).for_each(&mut begin))
            }
            Form::Starts16 => lanes::<u16>(starts).take(count).for_each(|start| begin(start.into())),
            Form::Starts32 => lanes::<u32>(starts).take(count).for_each(|start| begin(start.into())),
            Form::Starts64 => starts.iter().take(count).for_each(|start| begin(*start)),
            Form::Starts128 => starts.as_chunks::<2>().0.iter().for_each(|[high, low]| {
                put(K::from_aligned((u128::from(*high) << 64 | u128::from(*low)) >> head.depth));
            }),
        }
        let result_bits = head.result_bits;
        let shown = |bits| Value { bits, result_bits }.shown(head.depth);
        let words = self.0.slice.get(values..).unwrap_or_default();
        if u32::from(result_bits) == INDEX_BITS {
            intervals.iter_mut().zip(lanes::<u32>(words)).for_each(|(to, bits)| to.shown = shown(bits));
        } else {
            intervals
                .iter_mut()
                .zip(lanes::<u16>(words))
                .for_each(|(to, bits)| to.shown = shown(bits.into()));
        }
    }

    fn words_of_hidden(&self) -> &[u64] {
        let words = &self.0.slice;
        words.get(words.len() - usize::from(self.head().hidden) * 3..).unwrap_or_default()
    }

    /// Bytes, without what the allocator adds.
    pub(crate) fn memory(&self) -> usize {
        // The reference count and the length stand with the header.
        size_of::<Head<K>>().next_multiple_of(8) + 16 + size_of_val(&self.0.slice)
    }
}

/// The members of one word of a set, the word's number given.
fn members(mut word: u64, number: usize) -> impl Iterator<Item = u64> {
    iter::from_fn(move || {
        let bit = (word != 0).then(|| word.trailing_zeros() as usize)?;
        word &= word - 1;
        Some((number * 64 + bit) as u64)
    })
}

/// Appends what intervals or slots show.
fn pack_values(words: &mut Words, values: impl Iterator<Item = Shown>, depth: u8, result_bits: u32) {
    if result_bits == INDEX_BITS {
        pack(words, values.map(Shown::to_bits));
    } else {
        pack(words, values.map(|shown| Value::narrow(shown, depth, result_bits).unwrap_or(0)));
    }
}

/// Appends values, filling the last word up with ones.
fn pack<T: IntoBytes + Immutable>(words: &mut Words, mut values: impl Iterator<Item = T>) {
    while let Some(first) = values.next() {
        let mut word = [0xff; 8];
        for (to, value) in word.chunks_exact_mut(size_of::<T>()).zip(iter::once(first).chain(values.by_ref()))
        {
            to.copy_from_slice(value.as_bytes());
        }
        words.push(u64::from_ne_bytes(word));
    }
}

/// Changes what [`pack`] put at an index.
fn put<T: FromBytes + IntoBytes + Immutable>(words: &mut [u64], index: usize, value: T) {
    let lanes = <[T]>::mut_from_bytes(words.as_mut_bytes()).unwrap_or_default();
    if let Some(lane) = lanes.get_mut(index) {
        *lane = value;
    }
}

/// What [`pack`] appended to no words.
fn lanes<T: FromBytes + Immutable + Copy + 'static>(words: &[u64]) -> impl Iterator<Item = T> {
    <[T]>::ref_from_bytes(words.as_bytes()).unwrap_or_default().iter().copied()
}

#[cfg(test)]
mod tests;
