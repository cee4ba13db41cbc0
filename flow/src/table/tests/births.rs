//! How sessions come, are found, move and go.

use packet::NextHopId;

use super::*;

#[test]
fn both_directions_of_a_session_are_found_and_lead_to_each_other() {
    for v6 in [false, true] {
        let (table, mut slots) = table(4);
        let new = session(key(1, v6));
        let reverse_key = new.reverse.unwrap().key;
        assert_eq!(table.lookup(&new.forward.key), None);
        let made = table.insert(&mut slots, &new, Ticks(5)).unwrap();
        let forward = table.lookup(&new.forward.key).unwrap();
        let reverse = table.lookup(&reverse_key).unwrap();
        assert_eq!((forward.other(), reverse.other()), (reverse, forward));
        assert_eq!((forward.is_reverse(), reverse.is_reverse()), (false, true));
        assert_eq!((forward.session(), reverse.session()), (made.session, made.session));
        assert_eq!((made.session.forward(), made.session.reverse()), (forward, reverse));
        assert_eq!(table.half(forward).key(), new.forward.key);
        assert_eq!(table.half(reverse).key(), reverse_key);
        assert_eq!((table.len(), table.is_empty()), (1, false));
        assert_eq!(table.reference(forward), Some(made));
        assert_eq!(table.resolve(made), Some(forward));
    }
}

#[test]
fn keys_that_differ_in_one_field_are_different_keys() {
    for v6 in [false, true] {
        let (table, mut slots) = table(4);
        let base = key(1, v6);
        table.insert(&mut slots, &session(base), Ticks(0)).unwrap();
        let mut others = Vec::new();
        for byte in (0..if v6 { 16 } else { 4 }).step_by(if v6 { 5 } else { 3 }) {
            let (mut src, mut dst) = (base, base);
            (src.src[byte], dst.dst[byte]) = (src.src[byte] ^ 1, dst.dst[byte] ^ 1);
            others.extend([src, dst]);
        }
        others.push(FlowKey { src_port: 9, ..base });
        others.push(FlowKey { dst_port: 9, ..base });
        others.push(FlowKey { protocol: 6, ..base });
        others.push(FlowKey { scope: Scope::from_workload(B), ..base });
        others.push(FlowKey { scope: Scope::to_workload(A), ..base });
        others.push(FlowKey { v6: !v6, ..base });
        for other in others {
            assert_eq!(table.lookup(&other), None, "{other:?}");
            assert!(table.half(table.lookup(&base).unwrap()).has_key(&base));
            assert!(!table.half(table.lookup(&base).unwrap()).has_key(&other), "{other:?}");
        }
    }
}

#[test]
fn the_same_direction_twice_is_one_session() {
    let (table, mut slots) = table(4);
    let new = session(key(1, false));
    let made = table.insert(&mut slots, &new, Ticks(0)).unwrap();
    assert_eq!(table.insert(&mut slots, &new, Ticks(0)), Err(InsertError::Exists(made.session.forward())));
    assert_eq!((table.len(), table.sessions_of(A)), (1, 1));
}

#[test]
fn the_mirrored_session_of_another_worker_wins() {
    let (table, mut slots) = table(4);
    let new = session(key(1, false));
    let made = table.insert(&mut slots, &new, Ticks(0)).unwrap();
    let mirrored = NewSession { forward: new.reverse.unwrap(), reverse: Some(new.forward), ..new };
    let mut others = table.worker::<()>(WorkerId(1)).unwrap();
    assert_eq!(
        table.insert(&mut others, &mirrored, Ticks(0)),
        Err(InsertError::Exists(made.session.reverse()))
    );
    assert_eq!(table.len(), 1);
}

#[test]
fn a_reverse_key_that_another_session_has_is_named() {
    let (table, mut slots) = table(4);
    let one = session(key(1, false));
    let made = table.insert(&mut slots, &one, Ticks(0)).unwrap();
    let clash = NewSession { reverse: one.reverse, ..session(key(2, false)) };
    assert_eq!(
        table.insert(&mut slots, &clash, Ticks(0)),
        Err(InsertError::ReverseTaken(made.session.reverse()))
    );
    assert_eq!(table.lookup(&clash.forward.key), None);
    assert_eq!((table.len(), table.sessions_of(A)), (1, 1));
}

#[test]
fn directions_that_cannot_be_told_apart_are_refused() {
    let (table, mut slots) = table(4);
    let new = session(key(1, false));
    let mirror = NewSession { reverse: Some(new.forward), ..new };
    assert_eq!(table.insert(&mut slots, &mirror, Ticks(0)), Err(InsertError::SelfMirrored));
    assert!(table.is_empty());
}

#[test]
fn a_denied_session_has_one_direction_and_gives_way_to_an_allowed_conversation() {
    let (table, mut slots) = table(16);
    let refused = denied(key(1, false));
    let stale = table.insert(&mut slots, &refused, Ticks(0)).unwrap();
    let half = table.half(table.lookup(&refused.forward.key).unwrap());
    assert_eq!((half.verdict(), half.forwards()), (Verdict::Drop(DropReason::SecurityGroup), false));
    let answer = refused.forward.key.reversed(Scope::to_workload(A));
    assert_eq!(table.lookup(&answer), None);
    assert_eq!(table.denied(), (1, 4));

    let allowed = NewSession {
        forward: NewHalf::untranslated(answer),
        reverse: Some(NewHalf::untranslated(refused.forward.key)),
        ..session(answer)
    };
    let made = table.insert(&mut slots, &allowed, Ticks(0)).unwrap();
    assert_eq!(table.lookup(&answer), Some(made.session.forward()));
    assert_eq!(table.lookup(&refused.forward.key), Some(made.session.reverse()));
    assert_eq!((table.resolve(stale), table.len(), table.denied().0), (None, 1, 0));
    let mut log = Log::default();
    settle(&table, &mut slots, &mut log);
    assert_eq!(log.ended.iter().map(|(_, reason)| *reason).collect::<Vec<_>>(), [EndReason::Replaced]);
}

#[test]
fn a_removed_session_is_gone_at_once_but_its_number_waits_for_the_readers() {
    for v6 in [false, true] {
        let (table, mut slots) = table(1);
        let new = session(key(1, v6));
        let made = table.insert(&mut slots, &new, Ticks(3)).unwrap();
        assert!(table.remove(&mut slots, made, EndReason::Removed));
        assert!(!table.remove(&mut slots, made, EndReason::Removed), "only once");
        assert_eq!(table.lookup(&new.forward.key), None);
        assert_eq!(table.lookup(&new.reverse.unwrap().key), None);
        assert_eq!((table.resolve(made), table.reference(made.session.forward())), (None, None));
        assert_eq!((table.len(), table.sessions_of(A), slots.in_limbo()), (0, 0, 1));

        let mut log = Log::default();
        assert_eq!(table.insert(&mut slots, &new, Ticks(4)), Err(InsertError::TableFull));
        slots.advance(&table, || (), |()| panic!("nothing was observed yet"), &mut log);
        slots.advance(&table, || panic!("still waiting"), |()| false, &mut log);
        assert_eq!(table.insert(&mut slots, &new, Ticks(4)), Err(InsertError::TableFull));
        slots.advance(&table, || panic!("nothing left to observe"), |()| true, &mut log);
        let again = table.insert(&mut slots, &new, Ticks(4)).unwrap();
        assert_eq!(again.session, made.session);
        assert_eq!(again.generation, made.generation + 2);
        assert_eq!((table.resolve(made), table.resolve(again)), (None, Some(again.session.forward())));
        assert!(!table.remove(&mut slots, made, EndReason::Removed), "the old reference ends nobody");
    }
}

#[test]
fn what_is_removed_while_others_wait_waits_for_the_next_boundary() {
    let (table, mut slots) = table(2);
    let mut log = Log::default();
    let one = table.insert(&mut slots, &session(key(1, false)), Ticks(0)).unwrap();
    let two = table.insert(&mut slots, &session(key(2, false)), Ticks(0)).unwrap();
    table.remove(&mut slots, one, EndReason::Removed);
    slots.advance(&table, || (), |()| unreachable!(), &mut log);
    assert_eq!(slots.in_limbo(), 1);
    table.remove(&mut slots, two, EndReason::Removed);
    assert_eq!(slots.in_limbo(), 2);
    slots.advance(&table, || (), |()| true, &mut log);
    assert_eq!(log.ended.iter().map(|(view, _)| view.session).collect::<Vec<_>>(), [one]);
    slots.advance(&table, || (), |()| true, &mut log);
    assert_eq!(log.ended.len(), 2);
    assert_eq!(slots.in_limbo(), 0);
}

#[test]
fn a_full_limbo_refuses_removals_until_it_has_moved_on() {
    let table = FlowTable::new(&config(2, 0)).unwrap();
    let mut slots = table.worker(WorkerId(0)).unwrap();
    let mut others = table.worker::<()>(WorkerId(1)).unwrap();
    let mut log = Log::default();
    for n in 0..2 {
        let made = table.insert(&mut others, &session(key(n, false)), Ticks(0)).unwrap();
        assert!(table.remove(&mut slots, made, EndReason::Removed));
    }
    slots.advance(&table, || (), |()| true, &mut log);
    slots.advance(&table, || (), |()| true, &mut log);
    let made = table.insert(&mut slots, &session(key(5, false)), Ticks(0)).unwrap();
    for _ in 0..2 {
        slots.retire(0, EndReason::Removed);
    }
    assert!(!table.remove(&mut slots, made, EndReason::Removed));
    assert!(table.lookup(&key(5, false)).is_some(), "nothing half done");
    assert!(table.remove(&mut others, made, EndReason::Removed));
}

#[test]
fn a_worker_that_ends_gives_everything_back() {
    let (table, mut slots) = table(4);
    let mut log = Log::default();
    for n in 0..4 {
        let made = table.insert(&mut slots, &session(key(n, false)), Ticks(0)).unwrap();
        table.remove(&mut slots, made, EndReason::Removed);
        if n == 1 {
            slots.advance(&table, || (), |()| false, &mut log);
        }
    }
    slots.release(&table, &mut log);
    assert_eq!(log.ended.len(), 4);
    let mut slots = table.worker::<()>(WorkerId(1)).unwrap();
    for n in 0..4 {
        table.insert(&mut slots, &session(key(n, false)), Ticks(0)).unwrap();
    }
    assert_eq!(table.len(), 4, "counted over both workers");
}

#[test]
fn what_one_worker_frees_another_can_use() {
    let table = FlowTable::new(&config(1024, 0)).unwrap();
    let mut log = Log::default();
    let [mut one, mut other] = [0, 1].map(|worker| table.worker::<()>(WorkerId(worker)).unwrap());
    let pinned = |n| NewSession { pinned: true, ..session(key(n, false)) };
    let made: Vec<_> = (0..1024).map(|n| table.insert(&mut one, &pinned(n), Ticks(0)).unwrap()).collect();
    for session in made {
        assert!(table.remove(&mut one, session, EndReason::Removed));
    }
    settle(&table, &mut one, &mut log);
    let taken =
        (0..1024).take_while(|n| table.insert(&mut other, &session(key(*n, false)), Ticks(0)).is_ok());
    assert_eq!(taken.count(), 1024 - 64, "all but two batches that the first one keeps at hand");
}

#[test]
fn why_a_session_ended_has_a_name() {
    let reasons = [
        EndReason::Expired,
        EndReason::Evicted,
        EndReason::Unwanted,
        EndReason::Replaced,
        EndReason::Removed,
    ];
    let names = ["expired", "evicted", "unwanted", "replaced", "removed"];
    assert_eq!(reasons.map(EndReason::name), names);
}

#[test]
fn a_rekeyed_half_is_found_where_its_packets_come_from_now() {
    for v6 in [false, true] {
        let (table, mut slots) = table(4);
        let new = session(key(1, v6));
        let made = table.insert(&mut slots, &new, Ticks(0)).unwrap();
        let reverse = made.session.reverse();
        let (old, scope) = (new.reverse.unwrap().key, Scope::from_workload(B));
        assert_eq!((table.sessions_of(A), table.sessions_of(B)), (1, 0));
        assert_eq!(table.rekey(reverse, made, scope), Ok(()));
        assert_eq!(table.lookup(&old), None);
        assert_eq!(table.lookup(&FlowKey { scope, ..old }), Some(reverse));
        assert_eq!(table.half(reverse).key(), FlowKey { scope, ..old });
        assert_eq!((table.sessions_of(A), table.sessions_of(B)), (1, 1), "B's workload sends now");
        assert_eq!(table.rekey(reverse, made, scope), Ok(()), "again is no change");
        assert_eq!(table.rekey(reverse, made, old.scope), Ok(()));
        assert_eq!((table.sessions_of(A), table.sessions_of(B)), (1, 0));
        assert!(table.remove(&mut slots, made, EndReason::Removed));
        assert_eq!(table.lookup(&old), None);
        assert_eq!(table.rekey(reverse, made, scope), Err(RekeyError::Ended));
        assert_eq!(table.sessions_of(A), 0);
    }
}

#[test]
fn rekeying_onto_another_session_is_refused() {
    let (table, mut slots) = table(4);
    let new = session(key(1, false));
    let made = table.insert(&mut slots, &new, Ticks(0)).unwrap();
    let reverse_key = new.reverse.unwrap().key;
    let service = Scope::service(NextHopId(9));
    let other =
        table.insert(&mut slots, &denied(FlowKey { scope: service, ..reverse_key }), Ticks(0)).unwrap();
    let expected = Err(RekeyError::Exists(other.session.forward()));
    assert_eq!(table.rekey(made.session.reverse(), made, service), expected);
    assert_eq!(table.lookup(&reverse_key), Some(made.session.reverse()));
}

#[test]
fn a_burst_finds_what_single_lookups_find() {
    let (table, mut slots) = table(100);
    for n in 0..60 {
        table.insert(&mut slots, &session(key(n * 3, n % 2 == 0)), Ticks(0)).unwrap();
    }
    let keys: Vec<FlowKey> = (0..200).flat_map(|n| [key(n, false), key(n, true)]).collect();
    let mut found = vec![None; keys.len()];
    table.lookup_burst(&keys, &mut found);
    let singly: Vec<_> = keys.iter().map(|key| table.lookup(key)).collect();
    assert_eq!(found, singly);
    assert_eq!(found.iter().flatten().count(), 60);
    let mut short = [None; 3];
    table.lookup_burst(&keys, &mut short);
    assert_eq!(short[..], found[..3], "no more than there is room for");
}

#[test]
fn what_is_prefetched_is_what_is_taken() {
    for v6 in [false, true] {
        let (table, mut slots) = table(1000);
        assert_eq!(slots.peek(v6, 0), None, "nothing at hand yet");
        let first = table.insert(&mut slots, &session(key(0, v6)), Ticks(0)).unwrap();
        let expected: Vec<_> = (0..5).map(|ahead| slots.peek(v6, ahead)).collect();
        let mut taken = Vec::new();
        for n in 1..6 {
            let new = session(key(n, v6));
            table.prefetch_insert(&slots, &new.reverse.unwrap().key, 0);
            taken.push(Some(table.insert(&mut slots, &new, Ticks(0)).unwrap().session.number()));
        }
        assert_eq!(taken, expected);
        assert_eq!(taken[0], Some(first.session.number() + 1), "neighbours in memory at first");
    }
}

#[test]
fn a_half_of_nowhere_is_empty() {
    let (table, _) = table(1);
    let nowhere = HalfId::from_number(u32::MAX).unwrap();
    assert_eq!(table.half(nowhere).scope(), Scope::NONE);
    assert_eq!(table.reference(nowhere), None);
    assert_eq!(HalfId::from_number(0), None);
}

#[test]
fn a_table_too_large_for_its_numbers_is_refused() {
    let too_large = config(1 << 30, 0);
    assert_eq!(FlowTable::new(&too_large).err(), Some(ConfigError::TooManySessions));
    assert_eq!(FlowTable::new(&config(u32::MAX, u32::MAX)).err(), Some(ConfigError::TooManySessions));
    assert!(ConfigError::TooManySessions.to_string().contains("2^30"));
    assert!(ConfigError::NoMemory.to_string().contains("memory"));
}

#[test]
fn a_worker_beyond_the_configured_number_has_no_part() {
    let (table, _) = table(1);
    assert!(table.worker::<()>(WorkerId(1)).is_some());
    assert!(table.worker::<()>(WorkerId(2)).is_none());
    assert_eq!(table.capacity(), [1, 1]);
}

#[test]
fn a_session_takes_184_bytes_or_312_all_in() {
    for (config, most) in [(config(100_000, 0), 184.0), (config(0, 100_000), 312.0)] {
        let table = FlowTable::new(&config).unwrap();
        let bytes = size_of_val(&*table.v4)
            + size_of_val(&*table.v6)
            + size_of_val(&*table.cold)
            + table.index.memory();
        assert!(bytes as f64 / 1e5 <= most, "{bytes}");
    }
}
