//! All paths to all prefixes, and which one forwards. Control side only.
//!
//! A path's key is VRF, prefix and origin. The highest preference forwards; among equals, the lowest
//! origin by name. Withdrawing the best falls back to the next in the same generation.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use packet::VrfId;

use crate::prefix::Prefix;

/// A path as it is shown: `T` is what the owner of the RIB stores with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Path<'a, T> {
    /// Who says so.
    pub origin: &'a str,
    /// Higher wins.
    pub preference: u32,
    /// What comes with it.
    pub value: &'a T,
}

/// What an edit meant for forwarding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Best<T> {
    /// The best path's value is what it was.
    Same,
    /// The prefix leads to this now.
    Changed(T),
    /// No path is left.
    Gone,
}

/// What an edit did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Update<T> {
    /// Preference and value that this origin's path had.
    pub before: Option<(u32, T)>,
    /// What it meant for forwarding.
    pub best: Best<T>,
}

#[derive(Clone, Copy, Debug)]
struct Stored<T> {
    origin: u32,
    preference: u32,
    value: T,
}

/// The paths of one prefix: nearly always one.
#[derive(Clone, Debug)]
struct Paths<T> {
    best: Stored<T>,
    /// Best first.
    others: Box<[Stored<T>]>,
}

impl<T> Paths<T> {
    fn iter(&self) -> impl Iterator<Item = &Stored<T>> {
        std::iter::once(&self.best).chain(&self.others)
    }
}

/// All paths to all prefixes.
#[derive(Clone, Debug)]
pub struct Rib<T> {
    prefixes: BTreeMap<(VrfId, Prefix), Paths<T>>,
    paths: usize,
    origins: Origins,
}

impl<T> Default for Rib<T> {
    fn default() -> Self {
        Self { prefixes: BTreeMap::new(), paths: 0, origins: Origins::default() }
    }
}

impl<T: Copy + PartialEq> Rib<T> {
    /// A RIB without paths.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds the path of `origin` or replaces it.
    pub fn insert(
        &mut self,
        vrf: VrfId,
        prefix: Prefix,
        origin: &str,
        preference: u32,
        value: T,
    ) -> Update<T> {
        let origin = self.origins.take(origin);
        self.edit(vrf, prefix, origin, Some(Stored { origin, preference, value }))
    }

    /// Removes the path of `origin`; none if it has none.
    pub fn withdraw(&mut self, vrf: VrfId, prefix: Prefix, origin: &str) -> Option<Update<T>> {
        let origin = self.origins.find(origin)?;
        let update = self.edit(vrf, prefix, origin, None);
        update.before.is_some().then_some(update)
    }

    /// The path that forwards.
    #[must_use]
    pub fn best(&self, vrf: VrfId, prefix: Prefix) -> Option<Path<'_, T>> {
        self.paths(vrf, prefix).next()
    }

    /// The path of `origin`.
    #[must_use]
    pub fn get(&self, vrf: VrfId, prefix: Prefix, origin: &str) -> Option<Path<'_, T>> {
        self.paths(vrf, prefix).find(|path| path.origin == origin)
    }

    /// All paths to a prefix, the one that forwards first.
    pub fn paths(&self, vrf: VrfId, prefix: Prefix) -> impl Iterator<Item = Path<'_, T>> {
        self.prefixes.get(&(vrf, prefix)).into_iter().flat_map(|paths| self.shown(paths))
    }

    /// All paths from a prefix on, by VRF and prefix, the one that forwards first: a listing goes on where it
    /// stopped. `None` begins at the beginning.
    pub fn list(&self, start: Option<(VrfId, Prefix)>) -> impl Iterator<Item = (VrfId, Prefix, Path<'_, T>)> {
        let range = match start {
            Some(start) => self.prefixes.range(start..),
            None => self.prefixes.range(..),
        };
        range.flat_map(|((vrf, prefix), paths)| self.shown(paths).map(|path| (*vrf, *prefix, path)))
    }

    /// Whether any path is in the VRF.
    #[must_use]
    pub fn has_routes(&self, vrf: VrfId) -> bool {
        let first = (vrf, Prefix::DEFAULT_V4);
        self.prefixes.range(first..).next().is_some_and(|((found, _), _)| *found == vrf)
    }

    /// How many paths there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.paths
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.paths == 0
    }

    fn shown<'a>(&'a self, paths: &'a Paths<T>) -> impl Iterator<Item = Path<'a, T>> {
        paths.iter().map(|path| Path {
            origin: self.origins.name(path.origin),
            preference: path.preference,
            value: &path.value,
        })
    }

    /// Replaces the path of one origin, whose name is counted once more if there is a new path.
    fn edit(&mut self, vrf: VrfId, prefix: Prefix, origin: u32, new: Option<Stored<T>>) -> Update<T> {
        let known = self.prefixes.get(&(vrf, prefix));
        let best_before = known.map(|paths| paths.best.value);
        let before = known.and_then(|paths| paths.iter().find(|path| path.origin == origin)).copied();
        let others = known.into_iter().flat_map(Paths::iter).filter(|path| path.origin != origin);
        let mut all: Vec<_> = others.copied().chain(new).collect();
        all.sort_by_key(|path| (Reverse(path.preference), self.origins.name(path.origin)));
        self.paths = self.paths + usize::from(new.is_some()) - usize::from(before.is_some());
        let mut all = all.into_iter();
        let best = match all.next() {
            Some(best) => {
                self.prefixes.insert((vrf, prefix), Paths { best, others: all.collect() });
                if best_before == Some(best.value) { Best::Same } else { Best::Changed(best.value) }
            }
            None => {
                let gone = self.prefixes.remove(&(vrf, prefix)).is_some();
                if gone { Best::Gone } else { Best::Same }
            }
        };
        if before.is_some() {
            self.origins.release(origin);
        }
        Update { before: before.map(|path| (path.preference, path.value)), best }
    }
}

/// Names of origins, each kept once for as long as a path uses it.
#[derive(Clone, Debug, Default)]
struct Origins {
    names: Vec<(Arc<str>, usize)>,
    numbers: HashMap<Arc<str>, u32>,
    free: Vec<u32>,
}

impl Origins {
    fn find(&self, name: &str) -> Option<u32> {
        self.numbers.get(name).copied()
    }

    fn name(&self, number: u32) -> &str {
        self.names.get(number as usize).map_or("", |(name, _)| name)
    }

    /// The number of a name, which one more path uses.
    fn take(&mut self, name: &str) -> u32 {
        let number = self.find(name).unwrap_or_else(|| {
            let name: Arc<str> = name.into();
            let number = self.free.pop().unwrap_or(self.names.len() as u32);
            match self.names.get_mut(number as usize) {
                Some(entry) => *entry = (Arc::clone(&name), 0),
                None => self.names.push((Arc::clone(&name), 0)),
            }
            self.numbers.insert(name, number);
            number
        });
        if let Some((_, uses)) = self.names.get_mut(number as usize) {
            *uses += 1;
        }
        number
    }

    /// One path less uses the number.
    fn release(&mut self, number: u32) {
        let Some((name, uses)) = self.names.get_mut(number as usize) else { return };
        *uses -= 1;
        if *uses == 0 {
            self.numbers.remove(name);
            self.free.push(number);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use packet::VrfId;
    use proptest::prelude::*;

    use super::{Best, Path, Rib, Update};
    use crate::prefix::Prefix;

    const RED: VrfId = VrfId(1);

    fn prefix(text: &str) -> Prefix {
        text.parse().unwrap()
    }

    #[test]
    fn the_highest_preference_forwards_and_the_next_takes_over() {
        let mut rib = Rib::new();
        let net = prefix("10.0.0.0/8");
        let update = rib.insert(RED, net, "bgp", 100, 'a');
        assert_eq!(update, Update { before: None, best: Best::Changed('a') });
        assert_eq!(rib.insert(RED, net, "local", 200, 'b').best, Best::Changed('b'));
        assert_eq!(rib.insert(RED, net, "netlink", 150, 'c').best, Best::Same);
        assert_eq!(rib.best(RED, net), Some(Path { origin: "local", preference: 200, value: &'b' }));
        let shown: Vec<_> = rib.paths(RED, net).map(|path| (path.origin, *path.value)).collect();
        assert_eq!(shown, [("local", 'b'), ("netlink", 'c'), ("bgp", 'a')]);
        let update = rib.withdraw(RED, net, "local");
        assert_eq!(update, Some(Update { before: Some((200, 'b')), best: Best::Changed('c') }));
        assert_eq!(rib.withdraw(RED, net, "local"), None);
        assert_eq!(rib.withdraw(RED, net, "nobody"), None);
        assert_eq!(rib.withdraw(RED, net, "bgp").map(|update| update.best), Some(Best::Same));
        assert_eq!(rib.withdraw(RED, net, "netlink").map(|update| update.best), Some(Best::Gone));
        assert!(rib.is_empty() && rib.best(RED, net).is_none());
    }

    #[test]
    fn among_equals_the_lowest_origin_by_name_forwards() {
        let mut rib = Rib::new();
        let net = prefix("2001:db8::/32");
        for (origin, value) in [("zebra", 1), ("alpha", 2), ("middle", 3)] {
            rib.insert(RED, net, origin, 100, value);
        }
        let order: Vec<_> = rib.paths(RED, net).map(|path| path.origin).collect();
        assert_eq!(order, ["alpha", "middle", "zebra"]);
    }

    #[test]
    fn the_same_path_again_changes_nothing_and_a_new_value_does() {
        let mut rib = Rib::new();
        let net = prefix("10.0.0.0/8");
        rib.insert(RED, net, "a", 100, 1);
        assert_eq!(rib.insert(RED, net, "a", 100, 1), Update { before: Some((100, 1)), best: Best::Same });
        assert_eq!(rib.insert(RED, net, "a", 50, 1).best, Best::Same);
        assert_eq!(
            rib.insert(RED, net, "a", 50, 2),
            Update { before: Some((50, 1)), best: Best::Changed(2) }
        );
        assert_eq!(rib.get(RED, net, "a").map(|path| path.preference), Some(50));
        assert_eq!(rib.get(RED, net, "b"), None);
        assert_eq!(rib.len(), 1);
    }

    #[test]
    fn a_vrf_knows_whether_it_has_routes() {
        let mut rib = Rib::new();
        rib.insert(VrfId(2), prefix("::/0"), "a", 100, ());
        assert!(!rib.has_routes(RED) && rib.has_routes(VrfId(2)) && !rib.has_routes(VrfId(3)));
        rib.insert(RED, prefix("0.0.0.0/0"), "a", 100, ());
        assert!(rib.has_routes(RED));
    }

    #[test]
    fn a_route_of_16_bytes_costs_well_below_160() {
        // B-tree nodes are at least half full: twice the entry is the worst case, a share of the node's links included.
        let entry = size_of::<((VrfId, Prefix), super::Paths<[u32; 4]>)>();
        assert!(entry * 2 <= 144, "{entry}");
    }

    #[test]
    fn names_of_origins_are_kept_for_as_long_as_they_are_used() {
        let mut rib = Rib::new();
        for round in 0..100 {
            let origin = format!("owner-{round}");
            rib.insert(RED, prefix("10.0.0.0/8"), &origin, round, 0);
            rib.insert(RED, prefix("11.0.0.0/8"), &origin, round, 0);
            rib.withdraw(RED, prefix("10.0.0.0/8"), &origin);
            assert_eq!(rib.get(RED, prefix("11.0.0.0/8"), &origin).map(|path| path.preference), Some(round));
            rib.withdraw(RED, prefix("11.0.0.0/8"), &origin);
        }
        assert_eq!((rib.origins.names.len(), rib.origins.numbers.len()), (1, 0));
    }

    proptest! {
        #[test]
        fn it_behaves_like_a_sorted_list(
            steps in prop::collection::vec((0..3_u16, 0..4_u32, 0..4_u8, prop::option::weighted(0.7, (0..3_u32, 0..3_u8))), 0..80),
        ) {
            let (mut rib, mut twin) = (Rib::new(), BTreeMap::new());
            let best = |twin: &BTreeMap<_, _>, vrf, net| {
                let of_prefix = twin.iter().filter(|((v, p, _), _)| (*v, *p) == (vrf, net));
                of_prefix
                    .min_by_key(|((_, _, origin), (preference, _))| (u32::MAX - preference, origin))
                    .map(|(_, (_, value))| *value)
            };
            for (vrf, net, origin, path) in steps {
                let (vrf, net) = (VrfId(vrf), Prefix::v4(net << 24, 8).unwrap());
                let name = ["a", "b", "c", "d"][usize::from(origin)];
                let before = best(&twin, vrf, net);
                let update = match path {
                    Some((preference, value)) => {
                        let update = rib.insert(vrf, net, name, preference, value);
                        prop_assert_eq!(update.before, twin.insert((vrf, net, name), (preference, value)));
                        update.best
                    }
                    None => {
                        let update = rib.withdraw(vrf, net, name);
                        prop_assert_eq!(update.and_then(|u| u.before), twin.remove(&(vrf, net, name)));
                        update.map_or(Best::Same, |update| update.best)
                    }
                };
                let expected = match best(&twin, vrf, net) {
                    after if after == before => Best::Same,
                    Some(value) => Best::Changed(value),
                    None => Best::Gone,
                };
                prop_assert_eq!(update, expected);
                prop_assert_eq!(rib.best(vrf, net).map(|path| *path.value), best(&twin, vrf, net));
                prop_assert_eq!(rib.len(), twin.len());
                let from_here = rib.list(Some((vrf, net))).count();
                prop_assert_eq!(from_here, twin.range((vrf, net, "")..).count());
            }
            let listed: Vec<_> = rib.list(None).map(|(v, p, path)| ((v, p, path.origin), (path.preference, *path.value))).collect();
            let mut sorted = listed.clone();
            sorted.sort_unstable();
            prop_assert!(sorted.iter().eq(twin.iter().map(|(k, v)| (*k, *v)).collect::<Vec<_>>().iter()));
        }
    }
}
