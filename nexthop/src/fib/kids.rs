//! The children of a node by slot: few as a ranked list, many as an array of 256 in chunks of 16.
//!
//! An array also repeats what each slot shows, so that a lookup in a crowded node reads one place instead of three. It is in chunks so
//! that a change copies little of what a clone shares.

use std::array;
use std::iter;

use triomphe::{Arc, ThinArc};

use super::entry::Run;
use super::key::Key;
use super::node::Node;
use super::ranks::Ranks;

/// More children than this are an array: at most four times the memory.
const RANKED: usize = 64;
/// Slots per chunk, and chunks.
const CHUNK: usize = 16;

/// What a slot of an array leads to.
#[derive(Clone, Debug, Default)]
pub(crate) struct Slot<K: Key> {
    pub(crate) kid: Option<Node<K>>,
    /// What the slot shows.
    pub(crate) run: Run,
}

type Chunk<K> = Arc<[Slot<K>; CHUNK]>;

#[derive(Clone, Debug)]
pub(crate) enum Kids<K: Key> {
    None,
    /// At least one, in the order of their slots.
    List(ThinArc<Ranks, Node<K>>),
    Array(Arc<[Chunk<K>; CHUNK]>),
}

impl<K: Key> Kids<K> {
    /// The child of `slot`.
    #[inline]
    pub(crate) fn get(&self, slot: u8) -> Option<&Node<K>> {
        match self {
            Self::None => None,
            Self::List(list) => {
                let ranks = &list.header.header;
                if ranks.contains(slot) { list.slice.get(ranks.up_to(slot).wrapping_sub(1)) } else { None }
            }
            Self::Array(chunks) => slot_of(chunks, slot).kid.as_ref(),
        }
    }

    pub(crate) fn for_each(&self, mut call: impl FnMut(&Node<K>)) {
        match self {
            Self::None => {}
            Self::List(list) => list.slice.iter().for_each(call),
            Self::Array(chunks) => {
                chunks
                    .iter()
                    .flat_map(|chunk| chunk.iter())
                    .filter_map(|slot| slot.kid.as_ref())
                    .for_each(&mut call);
            }
        }
    }

    pub(crate) fn is_none(&self) -> bool {
        matches!(self, Self::None)
    }

    /// The only child, if there is only one.
    pub(crate) fn only(&self) -> Option<&Node<K>> {
        match self {
            Self::List(list) if list.slice.len() == 1 => list.slice.first(),
            _ => None,
        }
    }

    /// Changes the child of `slot` in place, if there is one.
    pub(crate) fn edit<R: Default>(&mut self, slot: u8, change: impl FnOnce(&mut Node<K>) -> R) -> R {
        match self {
            Self::None => R::default(),
            Self::List(list) => {
                let ranks = list.header.header;
                if !ranks.contains(slot) {
                    return R::default();
                }
                if !list.with_arc_mut(|list| list.is_unique()) {
                    *list = ThinArc::from_header_and_iter(ranks, list.slice.iter().cloned());
                }
                list.with_arc_mut(|list| {
                    let kids = Arc::get_mut(list).map(|list| list.slice_mut());
                    kids.and_then(|kids| kids.get_mut(ranks.up_to(slot).wrapping_sub(1))).map(change)
                })
                .unwrap_or_default()
            }
            Self::Array(chunks) => edit_slot(chunks, slot).kid.as_mut().map(change).unwrap_or_default(),
        }
    }

    /// Sets the child of `slot`. `shown` are the runs of the node's slots, for a list that becomes an array.
    pub(crate) fn set(&mut self, slot: u8, kid: Node<K>, shown: impl Iterator<Item = Run>) {
        match self {
            Self::Array(chunks) => edit_slot(chunks, slot).kid = Some(kid),
            Self::None => {
                let ranks = Ranks::default().with(slot);
                *self = Self::List(ThinArc::from_header_and_iter(ranks, iter::once(kid)));
            }
            Self::List(list) if list.slice.len() < RANKED || list.header.header.contains(slot) => {
                let ranks = list.header.header.with(slot);
                let at = ranks.up_to(slot) - 1;
                let behind = at + usize::from(list.header.header.contains(slot));
                let (before, behind) = (list.slice[..at].iter(), list.slice[behind..].iter());
                let all: Vec<_> = before.cloned().chain([kid]).chain(behind.cloned()).collect();
                *list = ThinArc::from_header_and_iter(ranks, all.into_iter());
            }
            Self::List(_) => {
                let mut slots = (0..=255).zip(shown).map(|(other, run)| {
                    let kid = if other == slot { Some(&kid) } else { self.get(other) };
                    Slot { kid: kid.cloned(), run }
                });
                let mut chunk = |_| Arc::new(array::from_fn(|_| slots.next().unwrap_or_default()));
                *self = Self::Array(Arc::new(array::from_fn(&mut chunk)));
            }
        }
    }

    /// Removes the child of `slot`.
    pub(crate) fn remove(&mut self, slot: u8) {
        match self {
            Self::None => {}
            Self::List(list) => {
                let ranks = list.header.header.without(slot);
                let rest = list.slice.iter().enumerate();
                let at = list.header.header.up_to(slot).wrapping_sub(1);
                let rest: Vec<_> = rest.filter(|(i, _)| *i != at).map(|(_, kid)| kid.clone()).collect();
                *self = if rest.is_empty() {
                    Self::None
                } else {
                    Self::List(ThinArc::from_header_and_iter(ranks, rest.into_iter()))
                };
            }
            Self::Array(chunks) => {
                edit_slot(chunks, slot).kid = None;
                let kids = (0..=255_u8).filter_map(|slot| Some((slot, slot_of(chunks, slot).kid.clone()?)));
                // Back to a list well below the limit, lest an array and a list alternate.
                if kids.clone().count() <= RANKED / 2 {
                    let ranks = kids.clone().fold(Ranks::default(), |ranks, (slot, _)| ranks.with(slot));
                    let all: Vec<_> = kids.map(|(_, kid)| kid).collect();
                    *self = Self::List(ThinArc::from_header_and_iter(ranks, all.into_iter()));
                }
            }
        }
    }

    /// Repeats what each slot shows, if this is an array.
    pub(crate) fn show(&mut self, shown: impl Iterator<Item = Run>) {
        if let Self::Array(chunks) = self {
            for (slot, run) in (0..=255).zip(shown) {
                if slot_of(chunks, slot).run != run {
                    edit_slot(chunks, slot).run = run;
                }
            }
        }
    }

    /// Bytes of all children, without what the allocator adds.
    pub(crate) fn memory(&self) -> usize {
        let mut bytes = match self {
            Self::None => 0,
            Self::List(list) => size_of::<Ranks>() + 16 + size_of_val(&list.slice),
            Self::Array(_) => {
                size_of::<[Chunk<K>; CHUNK]>() + 8 + CHUNK * (size_of::<[Slot<K>; CHUNK]>() + 8)
            }
        };
        self.for_each(|kid| bytes += kid.memory());
        bytes
    }
}

/// A slot of an array.
#[inline]
pub(crate) fn slot_of<K: Key>(chunks: &[Chunk<K>; CHUNK], slot: u8) -> &Slot<K> {
    &chunks[usize::from(slot) / CHUNK][usize::from(slot) % CHUNK]
}

/// A slot of an array for a change in place: what a clone shares is copied first.
fn edit_slot<K: Key>(chunks: &mut Arc<[Chunk<K>; CHUNK]>, slot: u8) -> &mut Slot<K> {
    let chunk = &mut Arc::make_mut(chunks)[usize::from(slot) / CHUNK];
    &mut Arc::make_mut(chunk)[usize::from(slot) % CHUNK]
}
