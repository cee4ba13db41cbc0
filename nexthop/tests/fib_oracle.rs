//! The FIB against a list of prefixes searched from the longest: same answers after every kind of edit,
//! and older clones never change.

#![allow(clippy::unwrap_used, reason = "strategies of a test")]

use std::collections::BTreeMap;

use nexthop::{FibResult, Prefix, Vrfs};
use packet::{GroupSetId, Label, NextHopId, VrfId};
use proptest::prelude::*;

type Twin = BTreeMap<(VrfId, Prefix), FibResult>;

fn result(next_hop: u32) -> FibResult {
    FibResult::new(NextHopId(next_hop), Label::NONE, GroupSetId(0))
}

fn longest(twin: &Twin, vrf: VrfId, address: packet::Address, v6: bool) -> Option<(FibResult, u8)> {
    let matches = |prefix: &Prefix| prefix.is_v6() == v6 && prefix.contains(address);
    let found = twin.range((vrf, MIN)..=(vrf, MAX)).filter(|((_, prefix), _)| matches(prefix));
    found.map(|((_, prefix), result)| (prefix.length(), *result)).max_by_key(|(l, _)| *l).map(|(l, r)| (r, l))
}

const MIN: Prefix = match Prefix::v4(0, 0) {
    Ok(prefix) => prefix,
    Err(_) => panic!(),
};
const MAX: Prefix = match Prefix::v6(u128::MAX, 128) {
    Ok(prefix) => prefix,
    Err(_) => panic!(),
};

/// Addresses with few choices per byte, so that prefixes cover each other, crowd in slots and part at any depth.
fn bits() -> impl Strategy<Value = u128> {
    let byte = || prop_oneof![4 => 0..3_u8, 1 => any::<u8>(), 1 => Just(0x80_u8), 1 => Just(0xff_u8)];
    prop::collection::vec(byte(), 16).prop_map(|b| b.into_iter().fold(0, |bits, b| bits << 8 | u128::from(b)))
}

fn prefix() -> impl Strategy<Value = Prefix> {
    let length = prop_oneof![0..=32_u8, Just(32), 20..=28_u8];
    let v4 = (bits(), length).prop_map(|(bits, length)| {
        let mask = u32::MAX.checked_shl(32 - u32::from(length)).unwrap_or(0);
        Prefix::v4((bits >> 96) as u32 & mask, length).unwrap()
    });
    let length = prop_oneof![0..=128_u8, Just(64), Just(128), 40..=64_u8];
    let v6 = (bits(), length).prop_map(|(bits, length)| {
        let mask = u128::MAX.checked_shl(128 - u32::from(length)).unwrap_or(0);
        Prefix::v6(bits & mask, length).unwrap()
    });
    prop_oneof![v4, v6]
}

#[derive(Clone, Debug)]
enum Step {
    Insert(u16, Prefix, u32),
    Remove(u16, Prefix),
    /// Removes the n-th of what is there.
    RemoveNth(usize),
    Snapshot,
}

fn steps(most: usize) -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        8 => (0..2_u16, prefix(), 0..20_u32).prop_map(|(v, p, r)| Step::Insert(v, p, r)),
        1 => (0..2_u16, prefix()).prop_map(|(v, p)| Step::Remove(v, p)),
        4 => any::<usize>().prop_map(Step::RemoveNth),
        1 => Just(Step::Snapshot),
    ];
    prop::collection::vec(step, 0..most)
}

/// Addresses worth asking for: those drawn, and both ends of every prefix and their neighbours.
fn probes<'a>(twin: &'a Twin, drawn: &'a [u128]) -> impl Iterator<Item = u128> + 'a {
    let edges = twin.keys().flat_map(|(_, prefix)| {
        let width = 128 - u32::from(prefix.length());
        let last = prefix.bits6() | 1_u128.checked_shl(width).map_or(u128::MAX, |bit| bit - 1);
        [prefix.bits6(), prefix.bits6().wrapping_sub(1), last, last.wrapping_add(1)]
    });
    edges.chain(drawn.iter().copied())
}

fn same(vrfs: &Vrfs, twin: &Twin, drawn: &[u128]) -> Result<(), TestCaseError> {
    for vrf in [VrfId(0), VrfId(1), VrfId(2)] {
        prop_assert_eq!(vrfs.routes(vrf), twin.range((vrf, MIN)..=(vrf, MAX)).count());
        let (mut keys4, mut keys6) = (Vec::new(), Vec::new());
        for address in probes(twin, drawn) {
            let v4 = (address >> 96) as u32;
            let expected = longest(twin, vrf, packet::meta::v4(v4.to_be_bytes()), false);
            prop_assert_eq!(vrfs.lookup4_len(vrf, v4), expected);
            prop_assert_eq!(vrfs.lookup4(vrf, v4), expected.map(|(result, _)| result));
            let expected = longest(twin, vrf, address.to_be_bytes(), true);
            prop_assert_eq!(vrfs.lookup6_len(vrf, address), expected);
            keys4.push((vrf, v4));
            keys6.push((vrf, address));
        }
        let mut found = vec![None; keys4.len()];
        vrfs.lookup_burst4(&keys4, &mut found);
        prop_assert!(found.iter().zip(&keys4).all(|(found, (vrf, a))| *found == vrfs.lookup4(*vrf, *a)));
        vrfs.lookup_burst6(&keys6, &mut found);
        prop_assert!(found.iter().zip(&keys6).all(|(found, (vrf, a))| *found == vrfs.lookup6(*vrf, *a)));
    }
    for ((vrf, prefix), result) in twin {
        prop_assert_eq!(vrfs.get_exact(*vrf, *prefix), Some(*result));
    }
    Ok(())
}

fn agrees_with_the_list(steps: Vec<Step>, drawn: &[u128]) -> Result<(), TestCaseError> {
    let (mut vrfs, mut twin) = (Vrfs::new(), Twin::new());
    let mut snapshots = Vec::new();
    for step in steps {
        match step {
            Step::Insert(vrf, prefix, next_hop) => {
                let (key, result) = ((VrfId(vrf), prefix), result(next_hop));
                prop_assert_eq!(vrfs.get_exact(key.0, prefix), twin.get(&key).copied());
                prop_assert_eq!(vrfs.insert(key.0, prefix, result), twin.insert(key, result));
            }
            Step::Remove(vrf, prefix) => {
                let key = (VrfId(vrf), prefix);
                prop_assert_eq!(vrfs.remove(key.0, prefix), twin.remove(&key));
            }
            Step::RemoveNth(n) => {
                if let Some(key) = twin.keys().nth(n % twin.len().max(1)).copied() {
                    prop_assert_eq!(vrfs.remove(key.0, key.1), twin.remove(&key));
                }
            }
            Step::Snapshot => snapshots.push((vrfs.clone(), twin.clone())),
        }
    }
    same(&vrfs, &twin, drawn)?;
    for (vrfs, twin) in &snapshots {
        same(vrfs, twin, drawn)?;
    }
    for (vrf, prefix) in twin.keys() {
        vrfs.remove(*vrf, *prefix);
    }
    prop_assert_eq!((vrfs.memory(VrfId(0)), vrfs.memory(VrfId(1))), (0, 0), "all memory is given back");
    Ok(())
}

proptest! {
    #[test]
    fn a_few_routes_of_any_kind(steps in steps(24), drawn in prop::collection::vec(bits(), 20)) {
        agrees_with_the_list(steps, &drawn)?;
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn many_routes_that_crowd(steps in steps(400), drawn in prop::collection::vec(bits(), 20)) {
        agrees_with_the_list(steps, &drawn)?;
    }
}
