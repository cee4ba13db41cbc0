//! What routes tell about the workloads behind them, interned: a route stores two bytes.

use std::sync::Arc;

use ahash::AHashMap;
use packet::GroupSetId;

use crate::tables::Membership;

/// The memberships in use, counted; one that no route carries any more gives its id back.
#[derive(Clone, Debug)]
pub(crate) struct Memberships {
    by_content: AHashMap<Arc<Membership>, GroupSetId>,
    nobody: Membership,
    sets: Vec<Option<Set>>,
    free: Vec<GroupSetId>,
    /// Ids whose content changed since they were last asked for.
    dirty: Vec<GroupSetId>,
}

#[derive(Clone, Debug)]
struct Set {
    content: Arc<Membership>,
    routes: u32,
}

impl Default for Memberships {
    fn default() -> Self {
        // Id 0 is the empty one and always there.
        Self {
            by_content: AHashMap::new(),
            nobody: Membership::default(),
            sets: vec![None],
            free: Vec::new(),
            dirty: Vec::new(),
        }
    }
}

impl Memberships {
    /// Counts one more route that carries this. `None` when all ids are in use.
    pub(crate) fn take(&mut self, membership: &Membership) -> Option<GroupSetId> {
        if membership.is_empty() {
            return Some(GroupSetId(0));
        }
        if let Some(&id) = self.by_content.get(membership) {
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
        let content = Arc::new(membership.clone());
        self.by_content.insert(content.clone(), id);
        self.sets[id.index()] = Some(Set { content, routes: 1 });
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
            self.by_content.remove(&set.content);
            *slot = None;
            self.free.push(id);
            self.dirty.push(id);
        }
    }

    /// What an id stands for.
    pub(crate) fn get(&self, id: GroupSetId) -> &Membership {
        self.sets.get(id.index()).and_then(Option::as_ref).map_or(&self.nobody, |set| &set.content)
    }

    /// The memberships that hold a security group, with the number of their routes.
    pub(crate) fn holding(&self, group: u32) -> impl Iterator<Item = (GroupSetId, u32)> + '_ {
        self.sets.iter().enumerate().filter_map(move |(index, set)| {
            let set = set.as_ref().filter(|set| set.content.groups.binary_search(&group).is_ok())?;
            Some((GroupSetId(u16::try_from(index).ok()?), set.routes))
        })
    }

    /// Takes the list of ids whose content changed, with the content they have now.
    pub(crate) fn take_changes(&mut self) -> Vec<(GroupSetId, Option<Arc<Membership>>)> {
        let mut dirty = std::mem::take(&mut self.dirty);
        dirty.sort_unstable();
        dirty.dedup();
        let content = |id: GroupSetId| self.sets.get(id.index())?.as_ref().map(|set| set.content.clone());
        dirty.into_iter().map(|id| (id, content(id))).collect()
    }
}

#[cfg(test)]
mod tests {
    use packet::{TagId, VrfId};

    use super::*;

    fn groups(groups: &[u32]) -> Membership {
        Membership { groups: groups.into(), ..Membership::default() }
    }

    #[test]
    fn equal_sets_share_an_id_until_the_last_route_goes() {
        let mut sets = Memberships::default();
        let a = sets.take(&groups(&[7, 9])).unwrap();
        assert_eq!(sets.take(&groups(&[7, 9])), Some(a));
        let b = sets.take(&groups(&[7])).unwrap();
        assert_ne!(a, b);
        assert_eq!(sets.take(&groups(&[])), Some(GroupSetId(0)));
        assert!(sets.get(GroupSetId(0)).is_empty());
        assert_eq!(sets.holding(7).collect::<Vec<_>>(), [(a, 2), (b, 1)]);
        assert_eq!(sets.take_changes().len(), 2);
        sets.release(a);
        assert_eq!(*sets.get(a), groups(&[7, 9]));
        assert!(sets.take_changes().is_empty());
        sets.release(a);
        assert!(sets.get(a).is_empty());
        assert_eq!(sets.take_changes(), [(a, None)]);
        assert_eq!(sets.take(&groups(&[1, 2])), Some(a), "the id is used again");
    }

    #[test]
    fn the_same_groups_of_another_network_or_with_tags_are_another_set() {
        let mut sets = Memberships::default();
        let plain = groups(&[7]);
        let foreign = Membership { network: Some(VrfId(2)), ..plain.clone() };
        let tagged = Membership { tags: [TagId(1)].into(), ..plain.clone() };
        let ids = [&plain, &foreign, &tagged].map(|set| sets.take(set).unwrap());
        assert!(ids[0] != ids[1] && ids[1] != ids[2] && ids[0] != ids[2]);
        assert_eq!(sets.get(ids[1]).network, Some(VrfId(2)));
        assert!(
            sets.take(&Membership { network: Some(VrfId(0)), ..Membership::default() })
                != Some(GroupSetId(0))
        );
    }

    #[test]
    fn sets_run_out_by_none() {
        let mut sets = Memberships::default();
        for group in 1..=u32::from(u16::MAX) {
            assert!(sets.take(&groups(&[group])).is_some());
        }
        assert_eq!(sets.take(&groups(&[70_000])), None);
        assert!(sets.take(&groups(&[1])).is_some());
    }
}
