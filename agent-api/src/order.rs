//! In which order objects are written so that what is referred to exists first.
//!
//! Inside a batch references may point forward; between batches they may not. So whoever cuts a set of
//! objects into batches sorts it first.

use std::{
    cmp::Reverse,
    collections::{HashMap, HashSet},
};

use crate::{
    kind::kind_of,
    v1::{Kind, NextHop, Object, Role, next_hop, object},
};

/// Sorts objects so that each comes after those it refers to; otherwise the order stays as it was.
///
/// Security groups that name each other have no such order: they belong into one batch. Next hops that
/// name each other in a circle are left where they are; the server refuses them.
pub fn sort_for_put(objects: &mut [Object]) {
    let depths = ecmp_depths(objects);
    objects.sort_by_cached_key(|object| rank(object, &depths));
}

/// Sorts objects so that each comes before those it refers to: the order to delete them in.
pub fn sort_for_delete(objects: &mut [Object]) {
    let depths = ecmp_depths(objects);
    objects.sort_by_cached_key(|object| Reverse(rank(object, &depths)));
}

/// Kind first, then the order within the kind.
fn rank(object: &Object, depths: &HashMap<u32, usize>) -> (usize, usize) {
    let within = match &object.object {
        // A HOST interface names the FABRIC interface it is the twin of.
        Some(object::Object::Interface(interface)) => usize::from(interface.role() == Role::Host),
        Some(object::Object::NextHop(next_hop)) => depths.get(&next_hop.id).copied().unwrap_or(0),
        _ => 0,
    };
    (kind_of(object).rank(), within)
}

/// For every ecmp next hop the length of the longest way down to a member that is none.
fn ecmp_depths(objects: &[Object]) -> HashMap<u32, usize> {
    let groups: HashMap<u32, Vec<u32>> = objects.iter().filter_map(ecmp_members).collect();
    let mut depths = HashMap::new();
    for &id in groups.keys() {
        measure(id, &groups, &mut depths, &mut HashSet::new());
    }
    depths
}

fn ecmp_members(object: &Object) -> Option<(u32, Vec<u32>)> {
    match &object.object {
        Some(object::Object::NextHop(NextHop { id, kind: Some(next_hop::Kind::Ecmp(ecmp)), .. })) => {
            Some((*id, ecmp.members.iter().map(|member| member.next_hop).collect()))
        }
        _ => None,
    }
}

/// How deep groups of groups are followed: far above what a server takes, and the stack stays small.
const MAX_DEPTH: usize = 64;

fn measure(
    id: u32,
    groups: &HashMap<u32, Vec<u32>>,
    depths: &mut HashMap<u32, usize>,
    path: &mut HashSet<u32>,
) -> usize {
    let Some(members) = groups.get(&id) else { return 0 };
    if let Some(&depth) = depths.get(&id) {
        return depth;
    }
    if path.len() == MAX_DEPTH || !path.insert(id) {
        return 0;
    }
    let deepest = members.iter().map(|&member| measure(member, groups, depths, path)).max().unwrap_or(0);
    path.remove(&id);
    depths.insert(id, deepest + 1);
    deepest + 1
}

/// Whether objects of this kind may name each other in a circle, so that all of them go into one batch.
#[must_use]
pub const fn may_be_circular(kind: Kind) -> bool {
    matches!(kind, Kind::SecurityGroup)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        key::key_of,
        v1::{Discard, Ecmp, EcmpMember, FloatingIp, Interface, MplsLabel, Route, SecurityGroup, Vni, Vrf},
    };

    fn ecmp(id: u32, members: &[u32]) -> Object {
        let members = members.iter().map(|&next_hop| EcmpMember { next_hop, weight: 1, label: 0 }).collect();
        NextHop { id, kind: Some(next_hop::Kind::Ecmp(Ecmp { members, ..Default::default() })), mtu: 0 }
            .into()
    }

    fn discard(id: u32) -> Object {
        NextHop { id, kind: Some(next_hop::Kind::Discard(Discard {})), mtu: 0 }.into()
    }

    fn names(objects: &[Object]) -> Vec<String> {
        objects.iter().map(|object| key_of(object).to_string()).collect()
    }

    #[test]
    fn what_is_referred_to_comes_first() {
        let mut objects = vec![
            FloatingIp { id: 1, ..FloatingIp::default() }.into(),
            Vni { vni: 2, ..Vni::default() }.into(),
            MplsLabel { label: 3, ..MplsLabel::default() }.into(),
            Route { vrf: 4, prefix: "::/0".into(), ..Route::default() }.into(),
            ecmp(6, &[5, 7]),
            ecmp(7, &[5]),
            discard(5),
            Interface { id: 8, role: Role::Host.into(), ..Interface::default() }.into(),
            Interface { id: 9, role: Role::Fabric.into(), ..Interface::default() }.into(),
            SecurityGroup { id: 10, ..SecurityGroup::default() }.into(),
            Vrf { id: 11, ..Vrf::default() }.into(),
        ];
        let expected = [
            "vrf 11",
            "security_group 10",
            "interface 9",
            "interface 8",
            "next_hop 5",
            "next_hop 7",
            "next_hop 6",
            "route 4/::/0",
            "mpls_label 3",
            "vni 2",
            "floating_ip 1",
        ];
        sort_for_put(&mut objects);
        assert_eq!(names(&objects), expected);
        sort_for_delete(&mut objects);
        assert_eq!(names(&objects), expected.iter().copied().rev().collect::<Vec<_>>());
    }

    #[test]
    fn objects_without_references_stay_in_the_order_of_the_file() {
        let mut objects: Vec<Object> = vec![discard(9), discard(3), discard(5)];
        sort_for_put(&mut objects);
        assert_eq!(names(&objects), ["next_hop 9", "next_hop 3", "next_hop 5"]);
    }

    #[test]
    fn a_circle_or_a_chain_without_end_of_groups_does_not_hang() {
        let mut circle = vec![ecmp(1, &[2]), ecmp(2, &[1])];
        sort_for_put(&mut circle);
        let mut chain: Vec<_> = (1..100_000).map(|id| ecmp(id, &[id + 1])).collect();
        sort_for_put(&mut chain);
        assert_eq!((circle.len(), chain.len()), (2, 99_999));
    }

    #[test]
    fn only_security_groups_may_be_circular() {
        let circular: Vec<_> = Kind::ALL.into_iter().filter(|&kind| may_be_circular(kind)).collect();
        assert_eq!(circular, [Kind::SecurityGroup]);
    }
}
