//! Sets of security groups that routes carry, interned: a route stores two bytes.

use std::sync::Arc;

use ahash::AHashMap;
use packet::GroupSetId;

/// The sets in use, counted; a set that no route carries any more gives its id back.
#[derive(Clone, Debug)]
pub(crate) struct GroupSets {
    by_groups: AHashMap<Arc<[u32]>, GroupSetId>,
    sets: Vec<Option<Set>>,
    free: Vec<GroupSetId>,
    /// Ids whose content changed since they were last asked for.
    dirty: Vec<GroupSetId>,
}

#[derive(Clone, Debug)]
struct Set {
    groups: Arc<[u32]>,
    routes: u32,
}

impl Default for GroupSets {
    fn default() -> Self {
        // Id 0 is the empty set and always there.
        Self { by_groups: AHashMap::new(), sets: vec![None], free: Vec::new(), dirty: Vec::new() }
    }
}

impl GroupSets {
    /// Counts one more route that carries these groups (sorted, each once). `None` when all ids are in use.
    pub(crate) fn take(&mut self, groups: &[u32]) -> Option<GroupSetId> {
        if groups.is_empty() {
            return Some(GroupSetId(0));
        }
        if let Some(&id) = self.by_groups.get(groups) {
            self.retain(id);
            return Some(id);
        }
        let id = match self.free.pop() {
            Some(id) => id,
            None => {
                let id = GroupSetId(u16::try_from(self.sets.len()).ok()?);
                self.sets.push(None);
                id
            }
        };
        let groups: Arc<[u32]> = groups.into();
        self.by_groups.insert(groups.clone(), id);
        self.sets[id.index()] = Some(Set { groups, routes: 1 });
        self.dirty.push(id);
        Some(id)
    }

    fn retain(&mut self, id: GroupSetId) {
        if let Some(Some(set)) = self.sets.get_mut(id.index()) {
            set.routes += 1;
        }
    }

    /// Counts one route less.
    pub(crate) fn release(&mut self, id: GroupSetId) {
        let Some(slot) = self.sets.get_mut(id.index()) else { return };
        let Some(set) = slot else { return };
        set.routes -= 1;
        if set.routes == 0 {
            self.by_groups.remove(&set.groups);
            *slot = None;
            self.free.push(id);
            self.dirty.push(id);
        }
    }

    /// The groups of a set.
    pub(crate) fn get(&self, id: GroupSetId) -> &[u32] {
        self.sets.get(id.index()).and_then(Option::as_ref).map_or(&[], |set| &set.groups)
    }

    /// The sets that hold a group, with the number of their routes.
    pub(crate) fn holding(&self, group: u32) -> impl Iterator<Item = (GroupSetId, u32)> + '_ {
        self.sets.iter().enumerate().filter_map(move |(index, set)| {
            let set = set.as_ref().filter(|set| set.groups.binary_search(&group).is_ok())?;
            Some((GroupSetId(u16::try_from(index).ok()?), set.routes))
        })
    }

    /// Takes the list of ids whose content changed, with the content they have now.
    pub(crate) fn take_changes(&mut self) -> Vec<(GroupSetId, Option<Arc<[u32]>>)> {
        let mut dirty = std::mem::take(&mut self.dirty);
        dirty.sort_unstable();
        dirty.dedup();
        let content = |id: GroupSetId| self.sets.get(id.index())?.as_ref().map(|set| set.groups.clone());
        dirty.into_iter().map(|id| (id, content(id))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_sets_share_an_id_until_the_last_route_goes() {
        let mut sets = GroupSets::default();
        let a = sets.take(&[7, 9]).unwrap();
        assert_eq!(sets.take(&[7, 9]), Some(a));
        let b = sets.take(&[7]).unwrap();
        assert_ne!(a, b);
        assert_eq!((sets.take(&[]), sets.get(GroupSetId(0))), (Some(GroupSetId(0)), &[][..]));
        assert_eq!(sets.holding(7).collect::<Vec<_>>(), [(a, 2), (b, 1)]);
        assert_eq!(sets.take_changes().len(), 2);
        sets.release(a);
        assert_eq!(sets.get(a), &[7, 9]);
        assert!(sets.take_changes().is_empty());
        sets.release(a);
        assert!(sets.get(a).is_empty());
        assert_eq!(sets.take_changes(), [(a, None)]);
        assert_eq!(sets.take(&[1, 2]), Some(a), "the id is used again");
    }

    #[test]
    fn sets_run_out_by_none() {
        let mut sets = GroupSets::default();
        for group in 1..=u32::from(u16::MAX) {
            assert!(sets.take(&[group]).is_some());
        }
        assert_eq!(sets.take(&[70_000]), None);
        assert!(sets.take(&[1]).is_some());
    }
}
