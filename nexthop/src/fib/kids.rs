//! The children of a node by slot: few as a ranked list, many as an array of 256.

use std::iter;

use triomphe::{Arc, ThinArc};

use super::key::Key;
use super::node::Node;
use super::ranks::Ranks;

/// More children than this are an array: one read instead of two, at most four times the memory.
const RANKED: usize = 64;

/// At least one child.
#[derive(Clone, Debug)]
pub(crate) struct Kids<K: Key>(ThinArc<Ranks, Option<Node<K>>>);

impl<K: Key> Kids<K> {
    pub(crate) fn of(slot: u8, kid: Node<K>) -> Self {
        Self(ThinArc::from_header_and_iter(Ranks::default().with(slot), iter::once(Some(kid))))
    }

    #[inline]
    pub(crate) fn get(&self, slot: u8) -> Option<&Node<K>> {
        self.0.slice.get(self.index(slot)?)?.as_ref()
    }

    /// The only child, if there is only one.
    pub(crate) fn only(&self) -> Option<&Node<K>> {
        if self.0.header.header.len() == 1 { self.0.slice.iter().flatten().next() } else { None }
    }

    /// Changes the child of `slot` in place, if there is one.
    pub(crate) fn edit<R: Default>(&mut self, slot: u8, change: impl FnOnce(&mut Node<K>) -> R) -> R {
        let Some(index) = self.index(slot) else { return R::default() };
        self.in_place(|_, kids| match kids.get_mut(index) {
            Some(Some(kid)) => change(kid),
            _ => R::default(),
        })
    }

    /// Sets the child of `slot`.
    pub(crate) fn set(&mut self, slot: u8, kid: Node<K>) {
        let ranks = self.0.header.header.with(slot);
        if self.is_array() || self.0.header.header.contains(slot) {
            if let Some(index) = self.index(slot) {
                self.in_place(|header, kids| {
                    *header = ranks;
                    if let Some(place) = kids.get_mut(index) {
                        *place = Some(kid);
                    }
                });
            }
        } else if ranks.len() <= RANKED {
            let at = ranks.up_to(slot) - 1;
            let (before, behind) = self.0.slice.split_at(at);
            let all: Vec<_> =
                before.iter().cloned().chain([Some(kid)]).chain(behind.iter().cloned()).collect();
            self.0 = ThinArc::from_header_and_iter(ranks, all.into_iter());
        } else {
            let mut all = [const { None }; 256];
            for (slot, kid) in self.0.header.header.iter().zip(&self.0.slice) {
                all[usize::from(slot)].clone_from(kid);
            }
            all[usize::from(slot)] = Some(kid);
            self.0 = ThinArc::from_header_and_iter(ranks, all.into_iter());
        }
    }

    /// Without the child of `slot`; none if it was the last.
    pub(crate) fn without(mut self, slot: u8) -> Option<Self> {
        let ranks = self.0.header.header.without(slot);
        if ranks.len() == 0 {
            return None;
        }
        // Back to a list well below the limit, lest an array and a list alternate.
        if self.is_array() && ranks.len() > RANKED / 2 {
            self.in_place(|header, kids| {
                *header = ranks;
                kids[usize::from(slot)] = None;
            });
            return Some(self);
        }
        let rest: Vec<_> = ranks.iter().map(|slot| self.get(slot).cloned()).collect();
        Some(Self(ThinArc::from_header_and_iter(ranks, rest.into_iter())))
    }

    pub(crate) fn memory(&self) -> usize {
        let own = size_of::<Ranks>() + 16 + size_of_val(&self.0.slice);
        own + self.0.slice.iter().flatten().map(Node::memory).sum::<usize>()
    }

    #[inline]
    fn is_array(&self) -> bool {
        self.0.slice.len() == 256
    }

    /// Where the child of `slot` is, or would be in an array.
    #[inline]
    fn index(&self, slot: u8) -> Option<usize> {
        if self.is_array() {
            return Some(usize::from(slot));
        }
        let ranks = &self.0.header.header;
        ranks.contains(slot).then(|| ranks.up_to(slot).wrapping_sub(1))
    }

    /// Changes header and children in place, once this is the only owner.
    fn in_place<R: Default>(&mut self, change: impl FnOnce(&mut Ranks, &mut [Option<Node<K>>]) -> R) -> R {
        if !self.0.with_arc_mut(|kids| kids.is_unique()) {
            self.0 = ThinArc::from_header_and_iter(self.0.header.header, self.0.slice.iter().cloned());
        }
        self.0.with_arc_mut(|kids| match Arc::get_mut(kids) {
            Some(kids) => {
                let mut ranks = *kids.header();
                let result = change(&mut ranks, kids.slice_mut());
                *kids.header_mut() = ranks;
                result
            }
            None => R::default(),
        })
    }
}
