//! Look-ups of common packets against ordinary ones.

use packet::checksum::Delta;
use packet::common::{Common, Ipv4, Ipv6};
use packet::rewrite::Translation;

use super::*;
use crate::table::{Wire, WireKey};
use crate::tcp::HalfState;

fn common<A>(key: &FlowKey, addresses: A) -> Common<A> {
    Common {
        addresses,
        ports: u32::from(key.src_port) << 16 | u32::from(key.dst_port),
        acknowledgement: 77,
        length: 100,
        protocol: key.protocol,
        ttl: 64,
        traffic_class: 0,
    }
}

fn v4_key(key: &FlowKey) -> WireKey<u64> {
    let addresses = u64::from_ne_bytes([&key.src[..4], &key.dst[..4]].concat().try_into().unwrap());
    WireKey::new(&common(key, addresses), key.scope)
}

fn v6_key(key: &FlowKey) -> WireKey<[u64; 4]> {
    let word = |address: &[u8; 16], at: usize| u64::from_ne_bytes(address[at..at + 8].try_into().unwrap());
    let addresses = [word(&key.src, 0), word(&key.src, 8), word(&key.dst, 0), word(&key.dst, 8)];
    WireKey::new(&common(key, addresses), key.scope)
}

fn find<F: Wire>(table: &FlowTable, key: &WireKey<F::Addresses>) -> Option<HalfId> {
    let probe = table.probe::<F>(key);
    let number = table.candidate::<F>(probe);
    table.confirm::<F>(key, probe, number).map(|(id, half)| {
        assert_eq!(half.key(), table.half(id).key());
        id
    })
}

fn both(table: &FlowTable, key: &FlowKey) -> Option<HalfId> {
    if key.v6 { find::<Ipv6>(table, &v6_key(key)) } else { find::<Ipv4>(table, &v4_key(key)) }
}

#[test]
fn the_same_halves_are_found_in_a_table_so_full_that_entries_live_away_from_home() {
    for v6 in [false, true] {
        // A bucket has ten places: at 95 of a hundred filled, many are in their alternative or in the stash.
        let table = FlowTable::with_buckets(&config(960, 960), 205).unwrap();
        let mut slots = table.worker::<()>(WorkerId(0)).unwrap();
        for n in 0..950 {
            table.insert(&mut slots, &session(key(n, v6)), Ticks(0)).unwrap();
        }
        let mut found = 0;
        for n in 0..2_000 {
            let key = key(n, v6);
            for key in
                [key, key.reversed(Scope::to_workload(A)), FlowKey { scope: Scope::from_workload(B), ..key }]
            {
                assert_eq!(both(&table, &key), table.lookup(&key), "{key:?}");
            }
            found += usize::from(both(&table, &key).is_some());
        }
        assert_eq!(found, table.len());
        assert!(found > 850, "{found} found room");
    }
}

#[test]
fn every_part_of_the_key_counts() {
    for v6 in [false, true] {
        let (table, mut slots) = table(8);
        let key = key(3, v6);
        let made = table.insert(&mut slots, &session(key), Ticks(0)).unwrap();
        assert_eq!(both(&table, &key), Some(made.session.forward()));
        let address_bytes = if v6 { 16 } else { 4 };
        for byte in 0..address_bytes {
            let (mut src, mut dst) = (key, key);
            src.src[byte] ^= 0x10;
            dst.dst[byte] ^= 0x10;
            assert_eq!((both(&table, &src), both(&table, &dst)), (None, None), "byte {byte}");
        }
        for other in [
            FlowKey { src_port: key.src_port ^ 0x100, ..key },
            FlowKey { dst_port: key.dst_port ^ 0x100, ..key },
            FlowKey { protocol: 6, ..key },
            FlowKey { scope: Scope::to_workload(A), ..key },
        ] {
            assert_eq!(both(&table, &other), None, "{other:?}");
        }
    }
}

#[test]
fn the_translation_in_place_is_that_of_the_half() {
    for v6 in [false, true] {
        let (table, mut slots) = table(8);
        let mut new = session(key(5, v6));
        let (src, dst) = (key(300, v6).dst, key(4000, v6).dst);
        new.forward.translation = Translation {
            src,
            dst,
            src_port: 0x1234,
            dst_port: 0xabcd,
            delta_addr: Delta::from_raw(0x0102),
            delta_l4: Delta::from_raw(0xfe03),
        };
        let id = table.insert(&mut slots, &new, Ticks(0)).unwrap().session.forward();
        let half = table.half(id);
        let moved = FlowKey { src, dst, ..key(5, v6) };
        if v6 {
            let place = Ipv6::translation(&half);
            assert_eq!(&place.addresses, v6_key(&moved).addresses());
            assert_eq!(
                (place.ports, place.delta_addr.raw(), place.delta_l4.raw()),
                (0x1234_abcd, 0x102, 0xfe03)
            );
        } else {
            let place = Ipv4::translation(&half);
            assert_eq!(&place.addresses, v4_key(&moved).addresses());
            assert_eq!(
                (place.ports, place.delta_addr.raw(), place.delta_l4.raw()),
                (0x1234_abcd, 0x102, 0xfe03)
            );
        }
    }
}

#[test]
fn a_half_passes_while_it_forwards_holds_and_is_established() {
    let (table, mut slots) = table(8);
    let mut new = session(key(1, false));
    new.forward.entropy_or_peer = 50_000;
    new.forward.validated_at = u32::MAX;
    let id = table.insert(&mut slots, &new, Ticks(0)).unwrap().session.forward();
    let half = table.half(id);
    assert_eq!(half.passes(u32::MAX, false), Some(50_000));
    assert_eq!(half.passes(u32::MAX - 1, false), Some(50_000), "validated later than asked for");
    assert_eq!(half.passes(0, false), None, "epochs wrap: one later");
    assert_eq!(half.passes(u32::MAX, true), None, "TCP that is not established");
    half.set_tcp(HalfState::ESTABLISHED);
    assert_eq!(half.passes(u32::MAX, true), Some(50_000));
    half.set_tcp(HalfState(HalfState::ESTABLISHED.0 | HalfState::FIN_SENT.0));
    assert_eq!(half.passes(u32::MAX, true), None);
    assert_eq!(half.passes(u32::MAX, false), Some(50_000));
    half.set_verdict(Verdict::Drop(DropReason::SecurityGroup), u32::MAX);
    assert_eq!(half.passes(u32::MAX, false), None);
}

#[test]
fn common_packets_are_counted_like_all_others() {
    let (table, mut slots) = table(8);
    let made = table.insert(&mut slots, &session(key(1, false)), Ticks(0)).unwrap();
    let half = table.half(made.session.forward());
    half.account_common(Ticks(7), 100, Some(0xdead_beef));
    assert_eq!((half.last_seen(), half.tcp_ack()), (Ticks(7), 0xdead_beef));
    half.account_common(Ticks(9), 50, None);
    assert_eq!((half.last_seen(), half.tcp_ack()), (Ticks(9), 0xdead_beef), "UDP acknowledges nothing");
    half.account(Ticks(10), 1);
    assert_eq!((half.last_seen(), half.tcp_ack()), (Ticks(10), 0xdead_beef));
    let (packets, bytes) = half.counter().since(crate::table::counter::Counter(0));
    assert_eq!((packets, bytes), (3, 151));
}
