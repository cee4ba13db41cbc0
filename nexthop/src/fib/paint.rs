//! Routes as intervals of addresses, and back.
//!
//! Each interval shows the longest route that covers it, by length and result. A route shown anywhere is known by that: its
//! bits are the first of the address. Only a route that longer ones cover completely has to be kept aside.

use arrayvec::ArrayVec;

use super::key::Key;
use super::route::{Route, Shown};

/// Most routes in a leaf: all of nine lengths in 256 slots, and one more for an insertion to find out.
pub(crate) const ROUTES: usize = 512;
/// Most intervals of routes that fit a leaf: 256 slots, or two ends of each of a few.
pub(crate) const INTERVALS: usize = 256;
/// Routes that cover each other: one of each length.
const NESTED: usize = 129;

/// Sorted routes without repetition.
pub(crate) type Routes<K> = ArrayVec<Route<K>, ROUTES>;

/// From `start` to the next interval, or to the end of the node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Interval<K> {
    pub(crate) start: K,
    pub(crate) shown: Shown,
}

/// The routes of a leaf as intervals.
#[derive(Debug)]
pub(crate) struct Painting<K> {
    /// At least one; no two neighbours show the same.
    pub(crate) intervals: ArrayVec<Interval<K>, INTERVALS>,
    /// Routes that no interval shows.
    pub(crate) hidden: ArrayVec<Route<K>, ROUTES>,
    /// For each interval the position of the route that it shows.
    owners: ArrayVec<Option<u16>, INTERVALS>,
}

impl<K: Key> Painting<K> {
    pub(crate) fn new() -> Self {
        Self { intervals: ArrayVec::new(), hidden: ArrayVec::new(), owners: ArrayVec::new() }
    }

    /// Paints sorted routes below a node at `depth`, into an empty painting.
    pub(crate) fn paint(&mut self, routes: &[Route<K>], depth: u8) {
        let first = routes.first().map_or(K::default(), |route| route.key).masked(depth);
        let end = first.last(depth);
        // Those that cover the address at hand: the last address of each, and its position.
        let mut open = ArrayVec::<(K, u16), NESTED>::new();
        let close = |this: &mut Self, open: &mut ArrayVec<(K, u16), NESTED>, before: Option<K>| {
            while let Some((last, _)) = open.last().copied()
                && before.is_none_or(|before| last < before)
            {
                open.pop();
                if last < end {
                    this.begin(last.next(), open.last().map(|(_, owner)| *owner));
                }
            }
        };
        self.begin(first, None);
        for (owner, route) in (0..).zip(routes) {
            close(self, &mut open, Some(route.key));
            open.push((route.last(), owner));
            self.begin(route.key, Some(owner));
        }
        close(self, &mut open, None);
        let mut seen = [false; ROUTES];
        for (interval, owner) in self.intervals.iter_mut().zip(&self.owners) {
            let Some((owner, route)) = owner.and_then(|owner| Some((owner, routes.get(usize::from(owner))?)))
            else {
                continue;
            };
            seen[usize::from(owner) % ROUTES] = true;
            interval.shown = Shown::new(route.length, route.result);
        }
        self.hidden.extend(routes.iter().zip(seen).filter(|(_, seen)| !seen).map(|(route, _)| *route));
        let mut before = None;
        self.intervals.retain(|interval| before.replace(interval.shown) != Some(interval.shown));
    }

    /// From here on the route at position `owner` is the longest.
    fn begin(&mut self, start: K, owner: Option<u16>) {
        if self.intervals.last().is_some_and(|last| last.start == start) {
            self.intervals.pop();
            self.owners.pop();
        }
        self.intervals.push(Interval { start, shown: Shown::NOTHING });
        self.owners.push(owner);
    }
}

/// Adds the routes of a node at `depth`, given by its intervals and what they do not show.
pub(crate) fn unpaint<K: Key>(
    intervals: &[Interval<K>],
    depth: u8,
    hidden: impl Iterator<Item = Route<K>>,
    routes: &mut Routes<K>,
) {
    // Those that cover the address at hand.
    let mut open = ArrayVec::<Route<K>, NESTED>::new();
    for (i, Interval { start, shown }) in intervals.iter().enumerate() {
        let Some(length) = shown.length() else { continue };
        let last = intervals.get(i + 1).map_or_else(|| start.last(depth), |next| next.start.previous());
        let mut at = *start;
        // Neighbours of one length and one result may share an interval.
        loop {
            let route = Route { key: at.masked(length), length, result: shown.result() };
            while open.last().is_some_and(|covers| covers.last() < at) {
                open.pop();
            }
            // A route comes back behind those that it covers.
            if open.last().is_none_or(|covers| covers.length != length || covers.key != route.key) {
                open.push(route);
                insert(routes, route);
            }
            let end = route.last();
            if end >= last {
                break;
            }
            at = end.next();
        }
    }
    hidden.for_each(|route| insert(routes, route));
}

/// Puts a new route where it belongs, which is near the end.
fn insert<K: Key>(routes: &mut Routes<K>, route: Route<K>) {
    let behind = routes.iter().rev().take_while(|other| other.order() > route.order()).count();
    // There is room: a leaf has fewer than `ROUTES` routes.
    let _ = routes.try_insert(routes.len() - behind, route);
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::{Painting, Routes, unpaint};
    use crate::fib::key::Key;
    use crate::fib::route::{Route, Shown};

    proptest! {
        #[test]
        fn intervals_show_the_longest_route_and_all_routes_come_back(
            drawn in prop::collection::btree_map((0..6_u32, 0..=16_u8), 0..3_u32, 0..60),
            depth in prop_oneof![Just(0_u8), Just(16)],
        ) {
            // 16 bits behind the depth; few keys, so that routes cover and hide each other.
            let keys = [0_u32, 0x8000, 0xffff, 0x1234, 0x1200, 0x12ff];
            let base = if depth == 0 { 0 } else { 0x0a0b_0000_u32 };
            let all: BTreeMap<_, _> = drawn.iter().map(|((key, bits), result)| {
                let key = (base | keys[*key as usize] << (16 - depth)).masked(depth + bits);
                ((key, depth + bits), *result)
            }).collect();
            let routes: Routes<u32> = all.iter().map(|((key, length), result)| Route { key: *key, length: *length, result: *result }).collect();
            let mut painting = Painting::new();
            painting.paint(&routes, depth);
            let Painting { intervals, hidden, .. } = painting;
            prop_assert!(intervals.windows(2).all(|p| p[0].start < p[1].start && p[0].shown != p[1].shown));
            let first = routes.first().map_or(0, |route| route.key).masked(depth);
            prop_assert_eq!(intervals[0].start, first);
            let longest = |address| routes.iter().filter(|r: &&Route<u32>| (r.key..=r.last()).contains(&address)).max_by_key(|r| r.length);
            for address in intervals.iter().flat_map(|i| [i.start, i.start.wrapping_sub(1)]).chain([first, first.last(depth)]) {
                if !(first..=first.last(depth)).contains(&address) {
                    continue;
                }
                let expected = longest(address).map_or(Shown::NOTHING, |r| Shown::new(r.length, r.result));
                let at = intervals.iter().rposition(|i| i.start <= address).unwrap();
                prop_assert_eq!(intervals[at].shown, expected);
            }
            let mut again = Routes::new();
            unpaint(&intervals, depth, hidden.iter().copied(), &mut again);
            prop_assert_eq!(&again[..], &routes[..]);
            for route in &routes {
                let starts = intervals.iter().map(|i| i.start).chain([route.key]);
                let seen = starts.filter(|s| (route.key..=route.last()).contains(s)).any(|s| longest(s) == Some(route));
                prop_assert_eq!(hidden.contains(route), !seen);
            }
        }
    }
}
