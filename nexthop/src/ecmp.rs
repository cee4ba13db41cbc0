//! Equal-cost groups: which member takes a packet or a new flow.
//!
//! A group has a table of slots, a power of two of them, shared out in exact proportion to the weights; the upper bits
//! of a multiplied hash choose the slot. A new group gives slots away in an order that depends on members and
//! slots alone (each member has its own permutation, as in Maglev); the successor of a group keeps every slot it can: a slot moves only if its
//! member has gone or has more than its share. So, without any state per flow, losing one of N members moves
//! only what that member had, and flows that pin a member by its identity do not move at all.

use packet::{Address, Label, NextHopId};

/// The fewest slots of a group.
const SLOTS_MIN: usize = 256;
/// The most slots of a group.
const SLOTS_MAX: usize = 1 << 15;
/// Slots wanted for the lightest member: a share is met to half a slot.
const SLOTS_OF_LIGHTEST: u64 = 128;
/// No member.
const FREE: u16 = u16::MAX;

/// One way out of a group. Next hop and label together are its identity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Member {
    /// The next hop to go on with: not an ECMP group again.
    pub next_hop: NextHopId,
    /// The label to push there; `Label::NONE`: the next hop's own.
    pub label: Label,
    /// Share of new flows; 0 takes none and keeps those it has.
    pub weight: u32,
}

impl Member {
    /// Whether both are the same way out, whatever their weights.
    #[inline]
    #[must_use]
    pub fn is(&self, next_hop: NextHopId, label: Label) -> bool {
        self.next_hop == next_hop && self.label == label
    }

    /// A number that depends on the identity only.
    fn identity(&self) -> u64 {
        mix(u64::from(self.next_hop.0) << 32 | u64::from(self.label.0))
    }
}

/// A group has more members than slots.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{members} members are more than the {} an ECMP group can have", EcmpGroup::MEMBERS)]
pub struct TooManyMembers {
    /// How many there are.
    pub members: usize,
}

/// A group of members with the table that picks one.
#[derive(Clone, Debug)]
pub struct EcmpGroup {
    members: Box<[Member]>,
    /// Index of a member per slot; [`FREE`] in all of them if no member has weight.
    slots: Box<[u16]>,
}

impl EcmpGroup {
    /// The most members of a group.
    pub const MEMBERS: usize = 4096;

    /// A group without history.
    ///
    /// # Errors
    /// More than [`Self::MEMBERS`] members.
    pub fn new(members: impl IntoIterator<Item = Member>) -> Result<Self, TooManyMembers> {
        Self::build(members.into_iter().collect(), None)
    }

    /// The group that takes this one's place: it moves as few slots as the new members and weights allow.
    ///
    /// # Errors
    /// More than [`Self::MEMBERS`] members.
    pub fn successor(&self, members: impl IntoIterator<Item = Member>) -> Result<Self, TooManyMembers> {
        Self::build(members.into_iter().collect(), Some(self))
    }

    /// The members, in the order they were given in.
    #[inline]
    #[must_use]
    pub fn members(&self) -> &[Member] {
        &self.members
    }

    /// The member at an index that [`pick`](Self::pick) or [`find`](Self::find) gave.
    #[inline]
    #[must_use]
    pub fn member(&self, index: usize) -> Option<&Member> {
        self.members.get(index)
    }

    /// The member for a hash, as an index; none if no member has weight.
    #[inline]
    #[must_use]
    pub fn pick(&self, hash: u32) -> Option<usize> {
        let slot = (u64::from(spread(hash)) * self.slots.len() as u64) >> 32;
        let member = usize::from(*self.slots.get(slot as usize)?);
        (member < self.members.len()).then_some(member)
    }

    /// Where the member with this identity is. `hint` is where it was, perhaps in another group.
    #[inline]
    #[must_use]
    pub fn find(&self, next_hop: NextHopId, label: Label, hint: usize) -> Option<usize> {
        if self.members.get(hint).is_some_and(|member| member.is(next_hop, label)) {
            return Some(hint);
        }
        self.members.iter().position(|member| member.is(next_hop, label))
    }

    fn build(members: Box<[Member]>, before: Option<&Self>) -> Result<Self, TooManyMembers> {
        if members.len() > Self::MEMBERS {
            return Err(TooManyMembers { members: members.len() });
        }
        let size = slots_for(&members).max(before.map_or(0, |before| before.slots.len()));
        let mut slots = match before {
            Some(before) => before.renumbered(&members, size),
            None => vec![FREE; size].into_boxed_slice(),
        };
        let mut wanted = quotas(&members, size);
        if wanted.iter().all(|quota| *quota == 0) {
            slots.fill(FREE);
            return Ok(Self { members, slots });
        }
        // What a member keeps counts against its quota; what is beyond that is given up.
        for slot in &mut slots {
            match wanted.get_mut(usize::from(*slot)) {
                Some(0) | None => *slot = FREE,
                Some(quota) => *quota -= 1,
            }
        }
        fill(&mut slots, &members, &mut wanted);
        Ok(Self { members, slots })
    }

    /// The slots of this group in a table of at least as many, with the members' new indexes.
    fn renumbered(&self, members: &[Member], size: usize) -> Box<[u16]> {
        let new_index = |old: &Member| {
            let found = members.iter().position(|member| member.is(old.next_hop, old.label));
            found.map_or(FREE, |index| index as u16)
        };
        let renumber: Vec<u16> = self.members.iter().map(new_index).collect();
        let widen = size / self.slots.len();
        let slot = |i: usize| *renumber.get(usize::from(self.slots[i / widen])).unwrap_or(&FREE);
        (0..size).map(slot).collect()
    }
}

/// How many slots a table needs: a power of two.
fn slots_for(members: &[Member]) -> usize {
    let weights = || members.iter().map(|member| u64::from(member.weight)).filter(|weight| *weight > 0);
    let lightest = weights().min().unwrap_or(1);
    let total: u64 = weights().sum();
    let slots = (SLOTS_OF_LIGHTEST * total).div_ceil(lightest).min(SLOTS_MAX as u64);
    (slots as usize).next_power_of_two().max(SLOTS_MIN)
}

/// How many of `size` slots each member gets: in proportion to the weights, rounded so that the sum is exact, and at least one
/// for every weight.
fn quotas(members: &[Member], size: usize) -> Vec<usize> {
    let weights = || members.iter().map(|member| u64::from(member.weight));
    let total: u64 = weights().sum();
    if total == 0 {
        return vec![0; members.len()];
    }
    // Every member with weight gets one slot, the rest is shared out.
    let rest = (size - weights().filter(|weight| *weight > 0).count()) as u64;
    let mut quotas: Vec<_> =
        weights().map(|weight| (rest * weight / total) as usize + usize::from(weight > 0)).collect();
    let mut by_remainder: Vec<_> = (0..members.len()).filter(|i| members[*i].weight > 0).collect();
    by_remainder.sort_by_key(|i| {
        let remainder = rest * u64::from(members[*i].weight) % total;
        (std::cmp::Reverse(remainder), members[*i].identity())
    });
    let missing = size - quotas.iter().sum::<usize>();
    for index in by_remainder.into_iter().cycle().take(missing) {
        quotas[index] += 1;
    }
    quotas
}

/// Gives the free slots to members that want more, in turns; each takes the next free one of its own
/// permutation of the slots. The order of the members does not matter.
fn fill(slots: &mut [u16], members: &[Member], wanted: &mut [usize]) {
    let mask = slots.len() - 1;
    let mut order: Vec<_> = (0..members.len()).collect();
    order.sort_by_key(|i| members[*i].identity());
    // An odd step visits every slot of a power of two.
    let mut cursors: Vec<_> = members
        .iter()
        .map(|member| (member.identity() as usize & mask, (member.identity() >> 32) as usize | 1))
        .collect();
    while wanted.iter().any(|quota| *quota > 0) {
        for index in order.iter().copied().filter(|i| wanted[*i] > 0).collect::<Vec<_>>() {
            let (at, step) = &mut cursors[index];
            while slots[*at] != FREE {
                *at = (*at + *step) & mask;
            }
            slots[*at] = index as u16;
            wanted[index] -= 1;
        }
    }
}

/// Spreads a hash over its upper bits, and apart from what its other users see of it.
#[inline]
const fn spread(hash: u32) -> u32 {
    (hash ^ hash >> 15).wrapping_mul(0x2c1b_3c6d)
}

/// A hash of an address alone, for groups whose members keep their clients. It has no seed: a client finds its member
/// again after a restart, and an attacker who wants one member needs no hash for that, only one address.
#[must_use]
pub fn client_hash(address: &Address) -> u32 {
    let number = u128::from_be_bytes(*address);
    (mix((number >> 64) as u64 ^ mix(number as u64)) >> 32) as u32
}

const fn mix(word: u64) -> u64 {
    let word = (word ^ word >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let word = (word ^ word >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    word ^ word >> 31
}

#[cfg(test)]
mod tests {
    use packet::{Label, NextHopId};
    use proptest::prelude::*;
    use rand::rngs::SmallRng;
    use rand::{RngExt, SeedableRng};

    use super::{
        EcmpGroup, Member, SLOTS_MAX, SLOTS_MIN, SLOTS_OF_LIGHTEST, TooManyMembers, client_hash, quotas,
        slots_for,
    };

    fn member(next_hop: u32, weight: u32) -> Member {
        Member { next_hop: NextHopId(next_hop), label: Label::NONE, weight }
    }

    fn equal(ids: impl IntoIterator<Item = u32>) -> Vec<Member> {
        ids.into_iter().map(|id| member(id, 1)).collect()
    }

    fn flows(count: usize) -> impl Iterator<Item = u32> {
        let mut random = SmallRng::seed_from_u64(7);
        std::iter::repeat_with(move || random.random()).take(count)
    }

    fn picked(group: &EcmpGroup, hash: u32) -> Option<NextHopId> {
        group.member(group.pick(hash)?).map(|member| member.next_hop)
    }

    /// The share of flows that one group sends elsewhere than the other.
    fn moved(before: &EcmpGroup, after: &EcmpGroup) -> f64 {
        let all = 100_000;
        flows(all).filter(|hash| picked(before, *hash) != picked(after, *hash)).count() as f64 / all as f64
    }

    #[test]
    fn weights_of_3_to_1_are_met_within_2_percent_over_100_000_flows() {
        let group = EcmpGroup::new([member(1, 3), member(2, 1)]).unwrap();
        let first = flows(100_000).filter(|hash| picked(&group, *hash) == Some(NextHopId(1))).count();
        assert!((first as f64 / 75_000.0 - 1.0).abs() < 0.02, "{first}");
    }

    #[test]
    fn clients_with_neighbouring_addresses_are_spread_in_both_families() {
        let group = EcmpGroup::new(equal(0..4)).unwrap();
        for family in [[10, 1, 0, 0, 0], [0x20, 1, 0xd, 0xb8, 0]] {
            let mut counts = [0_u32; 4];
            for n in 0..40_000_u32 {
                let mut address = [0; 16];
                address[..5].copy_from_slice(&family);
                let [a, b, c, d] = n.to_be_bytes();
                let at = if family[0] == 10 { 1 } else { 12 };
                address[at..at + 4].copy_from_slice(&[a, b, c, d]);
                counts[group.pick(client_hash(&address)).unwrap()] += 1;
            }
            assert!(counts.iter().all(|count| (9_500..10_500).contains(count)), "{counts:?}");
        }
    }

    #[test]
    fn hashes_that_count_upwards_are_spread_as_well() {
        let group = EcmpGroup::new(equal(0..4)).unwrap();
        let mut counts = [0_u32; 4];
        (0..40_000).for_each(|hash| counts[group.pick(hash).unwrap()] += 1);
        assert!(counts.iter().all(|count| (9_500..10_500).contains(count)), "{counts:?}");
    }

    #[test]
    fn a_member_of_weight_0_takes_no_new_flow_but_is_still_found() {
        let group = EcmpGroup::new([member(1, 0), member(2, 5)]).unwrap();
        assert!(flows(1_000).all(|hash| picked(&group, hash) == Some(NextHopId(2))));
        assert_eq!(group.find(NextHopId(1), Label::NONE, 9), Some(0));
        let drained = EcmpGroup::new([member(1, 0)]).unwrap();
        assert_eq!(drained.pick(5), None);
        let empty = EcmpGroup::new([]).unwrap();
        assert_eq!((empty.pick(5), empty.member(0).is_none()), (None, true));
        assert_eq!(drained.successor([member(1, 1)]).unwrap().pick(5), Some(0));
        assert_eq!(group.successor([member(2, 0)]).unwrap().pick(5), None);
    }

    #[test]
    fn losing_1_of_n_moves_only_what_that_one_had() {
        for n in [2, 3, 4, 8, 20, 64] {
            let before = EcmpGroup::new(equal(0..n)).unwrap();
            let after = before.successor(equal((0..n).filter(|id| *id != n / 2))).unwrap();
            let moved = moved(&before, &after);
            assert!(moved <= 1.0 / f64::from(n) + 0.01, "{n}: {moved}");
            let stayed = flows(10_000).filter(|hash| picked(&before, *hash) != Some(NextHopId(n / 2)));
            assert!(stayed.into_iter().all(|hash| picked(&before, hash) == picked(&after, hash)));
        }
    }

    #[test]
    fn a_new_member_takes_its_share_and_nothing_else_moves() {
        for n in [1, 3, 4, 20, 63] {
            let before = EcmpGroup::new(equal(0..n)).unwrap();
            let after = before.successor(equal(0..=n)).unwrap();
            let moved = moved(&before, &after);
            assert!((moved - 1.0 / f64::from(n + 1)).abs() < 0.01, "{n}: {moved}");
            for hash in flows(10_000) {
                let now = picked(&after, hash);
                assert!(now == picked(&before, hash) || now == Some(NextHopId(n)));
            }
        }
    }

    #[test]
    fn the_order_of_members_does_not_matter() {
        let before = EcmpGroup::new(equal([5, 9, 2, 7])).unwrap();
        assert_eq!(moved(&before, &EcmpGroup::new(equal([2, 5, 7, 9])).unwrap()), 0.0);
        assert_eq!(moved(&before, &before.successor(equal([9, 7, 5, 2])).unwrap()), 0.0);
    }

    #[test]
    fn a_group_built_anew_is_much_like_the_one_that_had_a_history() {
        let before = EcmpGroup::new(equal(0..8)).unwrap();
        let after = EcmpGroup::new(equal(0..7)).unwrap();
        assert!(moved(&before, &after) < 0.5, "{}", moved(&before, &after));
    }

    #[test]
    fn the_label_is_part_of_the_identity() {
        let labelled = |label| Member { next_hop: NextHopId(1), label: Label(label), weight: 1 };
        let group = EcmpGroup::new([labelled(16), labelled(17)]).unwrap();
        assert_eq!(group.find(NextHopId(1), Label(17), 0), Some(1));
        assert_eq!(group.find(NextHopId(1), Label(17), 1), Some(1));
        assert_eq!(group.find(NextHopId(1), Label(18), 0), None);
        assert_eq!(group.find(NextHopId(2), Label(16), 0), None);
        let replaced = group.successor([labelled(18), labelled(17)]).unwrap();
        for hash in flows(1_000).filter(|hash| group.pick(*hash) == Some(1)) {
            assert_eq!(replaced.pick(hash), Some(1));
        }
    }

    #[test]
    fn a_table_is_large_enough_for_the_lightest_member_and_no_larger() {
        for weights in [&[1, 1][..], &[1, 3], &[2, 7, 9], &[5, 0, 50], &[1; 30], &[3, 90]] {
            let members: Vec<_> = (0..).zip(weights).map(|(id, weight)| member(id, *weight)).collect();
            let (total, lightest) =
                (weights.iter().sum::<u32>(), weights.iter().filter(|w| **w > 0).min().unwrap());
            let wanted = SLOTS_OF_LIGHTEST * u64::from(total);
            let size = slots_for(&members);
            assert!(size as u64 * u64::from(*lightest) >= wanted, "{weights:?}: {size}");
            assert!(
                size == SLOTS_MIN || (size as u64 / 2) * u64::from(*lightest) < wanted,
                "{weights:?}: {size}"
            );
        }
        assert_eq!(slots_for(&[member(1, 1), member(2, u32::MAX)]), SLOTS_MAX);
        assert_eq!(slots_for(&[]), SLOTS_MIN);
    }

    #[test]
    fn a_group_has_a_limit() {
        assert_eq!(EcmpGroup::new(equal(0..4097)).unwrap_err(), TooManyMembers { members: 4097 });
        let group = EcmpGroup::new(equal(0..4096)).unwrap();
        assert_eq!(group.members().len(), 4096);
        let seen: std::collections::BTreeSet<_> =
            flows(200_000).filter_map(|hash| group.pick(hash)).collect();
        assert!(seen.len() > 4090);
    }

    proptest! {
        #[test]
        fn shares_are_exact_and_a_successor_moves_no_more_than_it_must(
            before in prop::collection::vec((0..12_u32, 0..6_u32), 0..10),
            after in prop::collection::vec((0..12_u32, prop_oneof![0..6_u32, Just(1000)]), 0..10),
        ) {
            let distinct = |list: Vec<(u32, u32)>| -> Vec<Member> {
                let map: std::collections::BTreeMap<_, _> = list.into_iter().collect();
                map.into_iter().map(|(id, weight)| member(id, weight)).collect()
            };
            let (before, after) = (distinct(before), distinct(after));
            let old = EcmpGroup::new(before.clone()).unwrap();
            let new = old.successor(after.clone()).unwrap();
            let size = new.slots.len();
            prop_assert_eq!(size, slots_for(&after).max(old.slots.len()));
            let quota = quotas(&after, size);
            for (i, member) in after.iter().enumerate() {
                let has = new.slots.iter().filter(|slot| usize::from(**slot) == i).count();
                prop_assert_eq!(has, quota[i]);
                prop_assert_eq!(has == 0, member.weight == 0);
                // A slot left a member only because it had more than its share.
                let Some(was) = before.iter().position(|old| old.next_hop == member.next_hop) else { continue };
                let widen = size / old.slots.len();
                let had: Vec<_> = (0..size).filter(|s| usize::from(old.slots[s / widen]) == was).collect();
                let kept = had.iter().filter(|s| usize::from(new.slots[**s]) == i).count();
                prop_assert_eq!(kept, had.len().min(has));
            }
        }
    }
}
