//! Leaves of every form against a search through all their routes.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::{ArrayVec, Form, Key, Leaf, Route, Routes, Shown};

type Drawn = Vec<(u128, u8, u32)>;

/// Routes behind `depth` bits of one address, at most `span` bits longer: the lower bits of what was drawn.
fn routes<K: Key>(drawn: &Drawn, depth: u8, span: u8) -> Routes<K> {
    let base = K::from_aligned(0x2001_0db8_5555_aaaa_1234_5678_9abc_def0 << 3);
    let all: BTreeMap<_, _> = drawn
        .iter()
        .map(|(bits, length, result)| {
            let length = (depth + length % (span + 1)).clamp(1, K::BITS - 1);
            let behind = K::from_aligned(bits.checked_shr(u32::from(depth)).unwrap_or(0));
            ((base.masked(depth).or(behind).masked(length), length), *result)
        })
        .collect();
    let all: Vec<_> = all.into_iter().map(|((key, length), result)| Route { key, length, result }).collect();
    all.into_iter().take(if span == 8 { 400 } else { super::FEW }).collect()
}

fn longest<K: Key>(routes: &[Route<K>], address: K) -> Shown {
    let covers = routes.iter().filter(|route| address.masked(route.length) == route.key);
    let longest = covers.max_by_key(|route| route.length);
    longest.map_or(Shown::NOTHING, |route| Shown::new(route.length, route.result))
}

/// Both ends of all routes, and what is before and behind them.
fn edges<K: Key>(routes: &[Route<K>]) -> impl Iterator<Item = K> {
    routes.iter().flat_map(|r| [r.key, r.key.previous(), r.last(), r.last().next()])
}

fn agrees<K: Key>(leaf: &Leaf<K>, routes: &[Route<K>]) -> Result<(), TestCaseError> {
    for address in edges(routes) {
        let shown = longest(routes, address);
        prop_assert_eq!(leaf.lookup(address), shown);
        let found = leaf.find(address).longest();
        prop_assert_eq!((found.result(), found == Shown::NOTHING), (shown.result(), shown == Shown::NOTHING));
        prop_assert!(found == Shown::NOTHING || found > Shown::new(127, u32::MAX));
    }
    let mut all = Routes::new();
    leaf.routes(&mut all);
    prop_assert_eq!(&all[..], routes);
    Ok(())
}

fn replace<K: Key>(leaf: &mut Leaf<K>, route: Route<K>) -> Option<u32> {
    let mut intervals = ArrayVec::new();
    leaf.intervals(&mut intervals);
    leaf.replace(route, &intervals)
}

fn behaves<K: Key>(drawn: &Drawn, depth: u8, span: u8, pick: usize) -> Result<(), TestCaseError> {
    let mut routes = routes::<K>(drawn, depth, span);
    prop_assume!(Leaf::fits(&routes));
    let mut leaf = Leaf::new(&routes);
    agrees(&leaf, &routes)?;
    let before = (leaf.clone(), routes.clone());
    // One that is there, with another result; then one that is not.
    let pick = pick % routes.len();
    let other = Route { result: routes[pick].result ^ 5, ..routes[pick] };
    match replace(&mut leaf, other) {
        Some(old) => prop_assert_eq!(old, std::mem::replace(&mut routes[pick], other).result),
        None => {
            leaf = {
                routes[pick] = other;
                Leaf::new(&routes)
            }
        }
    }
    agrees(&leaf, &routes)?;
    agrees(&before.0, &before.1)?;
    let gone = routes.remove(pick);
    if !routes.is_empty() && Leaf::fits(&routes) {
        let mut leaf = Leaf::new(&routes);
        prop_assert_eq!(replace(&mut leaf, gone), None);
        agrees(&leaf, &routes)?;
    }
    Ok(())
}

fn drawn(few: bool) -> impl Strategy<Value = Drawn> {
    let byte =
        if few { prop::sample::select(vec![0_u8, 1, 0x80, 0xff]).boxed() } else { any::<u8>().boxed() };
    let bits = prop::collection::vec(byte, 16)
        .prop_map(|b| b.into_iter().fold(0, |bits, b| bits << 8 | u128::from(b)));
    let result = prop_oneof![8 => 0..3_u32, 1 => Just(255), 1 => Just(4_095), 1 => Just(super::Shown::new(0, u32::MAX).result())];
    prop::collection::vec((bits, any::<u8>(), result), 1..120)
}

proptest! {
    #[test]
    fn every_form_finds_the_longest_route_and_gives_all_back(
        few in drawn(true), many in drawn(false),
        (depth, span) in prop::sample::select(vec![
            (0_u8, 8_u8), (8, 8), (16, 8), (8, 16), (16, 15), (0, 31), (8, 23), (24, 7),
        ]),
        (depth6, span6) in prop::sample::select(vec![
            (0_u8, 8_u8), (64, 8), (56, 16), (32, 32), (64, 32), (16, 64), (56, 64), (0, 127), (8, 119), (120, 7), (40, 80),
        ]),
        pick: usize,
    ) {
        for drawn in [few, many] {
            behaves::<u32>(&drawn, depth, span, pick)?;
            behaves::<u128>(&drawn, depth6, span6, pick)?;
        }
    }
}

#[test]
fn the_form_follows_the_length_of_the_routes_and_their_number() {
    let route = |bits: u128, length: u8| Route { key: bits << (128 - u32::from(length)), length, result: 1 };
    let form = |routes: &[Route<u128>]| Leaf::new(routes).head().form;
    // Two that differ behind eight bits, which is the depth.
    let pair = |length: u8| {
        form(&[route(0x100_u128 << (length - 9), length), route(0x101_u128 << (length - 9), length)])
    };
    let forms = [16, 17, 24, 25, 40, 41, 72, 73, 127].map(pair);
    let expected = [
        Form::Set,
        Form::Starts16,
        Form::Starts16,
        Form::Starts32,
        Form::Starts32,
        Form::Starts64,
        Form::Starts64,
        Form::Starts128,
        Form::Starts128,
    ];
    assert_eq!(forms, expected);
    let every_other: Vec<_> = (0..128_u128).map(|i| Route { result: i as u32, ..route(i << 1, 8) }).collect();
    assert_eq!(form(&every_other[..64]), Form::Set);
    assert_eq!(form(&every_other), Form::Slots);
    assert!(Leaf::fits(&every_other));
    let longer = [&every_other[..], &[route(0x1ff, 9)]].concat();
    assert!(!Leaf::fits(&longer) && Leaf::fits(&longer[70..]));
}

#[test]
fn a_route_that_shares_an_interval_with_its_like_is_not_changed_in_place() {
    let route = |key: u32, length, result| Route { key: key << 8, length, result };
    let routes =
        [route(0x0a_0b00, 16, 1), route(0x0a_0b02, 24, 7), route(0x0a_0b03, 24, 7), route(0x0a_0b05, 24, 7)];
    let mut leaf = Leaf::<u32>::new(&routes);
    for shared in &routes[1..3] {
        assert_eq!(replace(&mut leaf, Route { result: 9, ..*shared }), None);
    }
    let (alone, covering) = (Route { result: 9, ..routes[3] }, Route { result: 8, ..routes[0] });
    assert_eq!(replace(&mut leaf, alone), Some(7));
    assert_eq!(replace(&mut leaf, covering), Some(1));
    let found = [0, 2, 3, 4, 5, 6].map(|low| leaf.lookup(0x0a0b_0000 | low << 8).result());
    assert_eq!(found, [8, 7, 7, 8, 9, 8]);
    for elsewhere in [route(0x0a_0c02, 24, 9), route(0x0a_0000, 8, 9), route(0x0a_0b02, 23, 9)] {
        assert_eq!(replace(&mut leaf, elsewhere), None);
    }
}

#[test]
fn nor_is_one_that_shares_only_its_beginning() {
    let route = |key, length, result| Route { key, length, result };
    let routes = [route(0x0a0b_0200, 24, 7), route(0x0a0b_0300, 24, 7), route(0x0a0b_0340, 26, 1)];
    let mut leaf = Leaf::<u32>::new(&routes);
    assert_eq!(replace(&mut leaf, Route { result: 9, ..routes[1] }), None);
    assert_eq!(replace(&mut leaf, Route { result: 9, ..routes[2] }), Some(1));
    let found = [0x0200, 0x0300, 0x0340, 0x0380].map(|low| leaf.lookup(0x0a0b_0000 | low).result());
    assert_eq!(found, [7, 7, 9, 7]);
}

#[test]
fn a_leaf_of_the_internet_takes_eight_bytes_a_route() {
    // 18 of 256 slots, as the internet's table has on average.
    let routes: BTreeSet<u32> = (0..18).map(|i| 0x0a0b_0000 | (i * 97 % 256) << 8).collect();
    let routes: Vec<_> =
        routes.into_iter().map(|key| Route { key, length: 24, result: key >> 8 & 63 }).collect();
    let leaf = Leaf::<u32>::new(&routes);
    assert!(leaf.memory() <= 18 * 8, "{}", leaf.memory());
}
