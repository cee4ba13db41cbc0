//! Who is refused, and who makes room.

use super::*;
use crate::tcp::HalfState;

/// A TCP session of A with a SYN without answer, if `established` is not set.
fn tcp(n: u32, established: bool, limit: u32) -> NewSession {
    let mut new = session(FlowKey { protocol: 6, ..key(n, false) });
    new.limits = [limit; 2];
    new.forward.tcp = if established { HalfState::ESTABLISHED } else { HalfState::SYN_SENT };
    if let (Some(reverse), true) = (&mut new.reverse, established) {
        reverse.tcp = HalfState::ESTABLISHED;
    }
    new
}

/// A session between A and B, both local.
fn local(n: u32, limits: [u32; 2]) -> NewSession {
    let forward = key(n, false);
    let reverse = Some(NewHalf::untranslated(forward.reversed(Scope::from_workload(B))));
    NewSession { reverse, limits, ..session(forward) }
}

#[test]
fn an_interface_counts_what_its_workload_sends_or_answers() {
    let (table, mut slots) = table(16);
    let counts = || (table.sessions_of(A), table.sessions_of(B));
    let out = table.insert(&mut slots, &session(key(1, false)), Ticks(0)).unwrap();
    assert_eq!(counts(), (1, 0));
    let both = table.insert(&mut slots, &local(2, [0; 2]), Ticks(0)).unwrap();
    assert_eq!(counts(), (2, 1));
    let inbound = session(key(3, false));
    let inbound = NewSession { forward: inbound.reverse.unwrap(), reverse: Some(inbound.forward), ..inbound };
    let inbound = table.insert(&mut slots, &inbound, Ticks(0)).unwrap();
    assert_eq!(counts(), (3, 1));
    let refused = FlowKey { scope: Scope::to_workload(B), ..key(4, false) };
    let refused = table.insert(&mut slots, &denied(refused), Ticks(0)).unwrap();
    assert_eq!(counts(), (3, 2));
    for made in [out, both, inbound, refused] {
        assert!(table.remove(&mut slots, made, EndReason::Removed));
    }
    assert_eq!(counts(), (0, 0));
}

#[test]
fn at_its_limit_an_interface_is_refused_by_name_and_others_are_not() {
    let (table, mut slots) = table(64);
    for n in 0..5 {
        table.insert(&mut slots, &tcp(n, true, 5), Ticks(0)).unwrap();
    }
    assert_eq!(table.insert(&mut slots, &tcp(9, true, 5), Ticks(1000)), Err(InsertError::InterfaceLimit(A)));
    assert_eq!((table.sessions_of(A), table.len()), (5, 5));
    let existing = table.lookup(&tcp(3, true, 5).forward.key).unwrap();
    assert_eq!(
        table.insert(&mut slots, &tcp(3, true, 5), Ticks(0)),
        Err(InsertError::Exists(existing)),
        "what is there is not refused"
    );
    assert!(table.insert(&mut slots, &tcp(9, true, 6), Ticks(0)).is_ok(), "the limit is the caller's");
    assert!(table.insert(&mut slots, &tcp(10, true, 0), Ticks(0)).is_ok(), "none at all");
}

#[test]
fn the_limit_of_the_other_end_counts_too_and_nothing_is_left_behind() {
    let (table, mut slots) = table(64);
    table.insert(&mut slots, &local(1, [9, 1]), Ticks(0)).unwrap();
    assert_eq!(table.insert(&mut slots, &local(2, [9, 1]), Ticks(0)), Err(InsertError::InterfaceLimit(B)));
    assert_eq!((table.sessions_of(A), table.sessions_of(B)), (1, 1));
    assert_eq!(table.insert(&mut slots, &local(2, [1, 9]), Ticks(0)), Err(InsertError::InterfaceLimit(A)));
    assert_eq!((table.sessions_of(A), table.sessions_of(B)), (1, 1));
}

#[test]
fn a_flooder_replaces_its_own_old_half_open_sessions_and_no_established_one() {
    let (table, mut slots) = table(256);
    let limit = 40;
    for n in 0..20 {
        table.insert(&mut slots, &tcp(n, true, limit), Ticks(0)).unwrap();
    }
    for n in 20..40 {
        table.insert(&mut slots, &tcp(n, false, limit), Ticks(0)).unwrap();
    }
    let young = table.insert(&mut slots, &tcp(40, false, limit), Ticks(10));
    assert_eq!(young, Err(InsertError::InterfaceLimit(A)), "answers may still be on their way");
    let mut replaced = 0;
    for n in 100..400 {
        replaced += u32::from(table.insert(&mut slots, &tcp(n, false, limit), Ticks(100)).is_ok());
        assert!(table.sessions_of(A) <= limit);
    }
    assert!((5..=20).contains(&replaced), "{replaced}");
    for n in 0..20 {
        assert!(table.lookup(&tcp(n, true, limit).forward.key).is_some(), "established {n}");
    }
    let mut log = Log::default();
    settle(&table, &mut slots, &mut log);
    assert_eq!(log.ended.len() as u32, replaced);
    assert!(log.ended.iter().all(|(_, reason)| *reason == EndReason::Evicted));
}

#[test]
fn another_interfaces_half_open_sessions_are_not_touched() {
    let (table, mut slots) = table(64);
    let of_b = |n| {
        let mut new = tcp(n, false, 4);
        new.forward.key.scope = Scope::from_workload(B);
        new.reverse.as_mut().unwrap().key.scope = Scope::to_workload(B);
        new
    };
    for n in 0..4 {
        table.insert(&mut slots, &of_b(n), Ticks(0)).unwrap();
        table.insert(&mut slots, &tcp(n, true, 4), Ticks(0)).unwrap();
    }
    assert_eq!(table.insert(&mut slots, &tcp(9, false, 4), Ticks(500)), Err(InsertError::InterfaceLimit(A)));
    assert_eq!(table.sessions_of(B), 4);
    assert!(table.insert(&mut slots, &of_b(9), Ticks(500)).is_ok());
}

#[test]
fn a_number_that_another_interface_has_taken_over_is_not_evicted() {
    let (table, mut slots) = table(16);
    let mut log = Log::default();
    table.insert(&mut slots, &tcp(20, true, 0), Ticks(0)).unwrap();
    // Above three quarters of the limit half-open sessions of A are noted. Then they go.
    let noted: Vec<_> =
        (0..8).map(|n| table.insert(&mut slots, &tcp(n, false, 9), Ticks(0)).unwrap()).collect();
    for made in noted {
        table.remove(&mut slots, made, EndReason::Removed);
    }
    settle(&table, &mut slots, &mut log);
    let mut others = 0;
    let mut taken_over = tcp(0, false, 0);
    taken_over.forward.key.scope = Scope::from_workload(B);
    taken_over.reverse.as_mut().unwrap().key.scope = Scope::to_workload(B);
    while table.insert(&mut slots, &taken_over, Ticks(0)).is_ok() {
        others += 1;
        taken_over.forward.key.src_port += 1;
        taken_over.reverse.as_mut().unwrap().key.dst_port += 1;
    }
    assert!(others >= 14, "every number is used: {others}");
    assert_eq!(table.insert(&mut slots, &tcp(21, true, 1), Ticks(500)), Err(InsertError::InterfaceLimit(A)));
    assert_eq!(table.sessions_of(B), others);
}

#[test]
fn refused_flows_fill_an_eighth_of_the_table_and_no_more() {
    let table = FlowTable::new(&config(64, 16)).unwrap();
    let mut slots = table.worker::<()>(WorkerId(0)).unwrap();
    for n in 0..10 {
        table.insert(&mut slots, &denied(key(n, false)), Ticks(0)).unwrap();
    }
    assert_eq!(table.denied(), (10, 10));
    assert_eq!(table.insert(&mut slots, &denied(key(10, false)), Ticks(0)), Err(InsertError::DeniedLimit));
    assert_eq!((table.sessions_of(A), table.denied().0), (10, 10));
    assert!(table.insert(&mut slots, &session(key(10, false)), Ticks(0)).is_ok());
    let pinned = NewSession { pinned: true, ..denied(key(11, false)) };
    assert!(table.insert(&mut slots, &pinned, Ticks(0)).is_ok(), "a pinned flow is not a remembered refusal");
    let one = table.reference(table.lookup(&key(3, false)).unwrap()).unwrap();
    table.remove(&mut slots, one, EndReason::Removed);
    assert_eq!(table.denied().0, 9);
    assert!(table.insert(&mut slots, &denied(key(12, false)), Ticks(0)).is_ok());
}

#[test]
fn no_flow_is_refused_while_the_table_has_room() {
    for (sessions, workers) in [(1, 1), (7, 2), (1000, 2), (20_000, 1)] {
        let table = FlowTable::new(&Config { workers, ..config(sessions, 0) }).unwrap();
        let mut slots = table.worker::<()>(WorkerId(0)).unwrap();
        for n in 0..sessions {
            table.insert(&mut slots, &tcp(n, true, 0), Ticks(0)).unwrap();
        }
        assert_eq!(table.insert(&mut slots, &tcp(sessions, true, 0), Ticks(0)), Err(InsertError::TableFull));
        assert_eq!(table.len(), sessions as usize);
        assert!((0..sessions).all(|n| table.lookup(&tcp(n, true, 0).forward.key).is_some()));
    }
}

#[test]
fn the_index_takes_entries_until_nineteen_of_twenty_slots_are_full() {
    let sessions: u32 = 20_000;
    let buckets = (f64::from(sessions) * 2.0 / 9.5) as usize;
    let table = FlowTable::with_buckets(&config(sessions, 0), buckets).unwrap();
    let mut slots = table.worker::<()>(WorkerId(0)).unwrap();
    for n in 0..sessions {
        table.insert(&mut slots, &tcp(n, true, 0), Ticks(0)).unwrap();
    }
    for n in 0..sessions {
        let new = tcp(n, true, 0);
        let half = table.lookup(&new.forward.key).unwrap();
        assert_eq!(table.lookup(&new.reverse.unwrap().key), Some(half.other()));
    }
    for n in (0..sessions).step_by(2) {
        let half = table.lookup(&tcp(n, true, 0).forward.key).unwrap();
        assert!(table.remove(&mut slots, table.reference(half).unwrap(), EndReason::Removed));
    }
    for n in 0..sessions {
        assert_eq!(table.lookup(&tcp(n, true, 0).forward.key).is_some(), n % 2 == 1);
    }
}

#[test]
fn when_the_index_itself_is_full_nothing_is_half_inserted() {
    let table = FlowTable::with_buckets(&config(1000, 0), 2).unwrap();
    let mut slots = table.worker::<()>(WorkerId(0)).unwrap();
    let taken =
        (0..1000).take_while(|n| table.insert(&mut slots, &tcp(*n, true, 0), Ticks(0)).is_ok()).count();
    assert!((40..=45).contains(&taken), "two buckets and the stash: {taken}");
    assert_eq!((table.len(), table.sessions_of(A) as usize), (taken, taken));
    let refused = tcp(taken as u32, true, 0);
    assert_eq!(table.insert(&mut slots, &refused, Ticks(0)), Err(InsertError::TableFull));
    assert_eq!(table.lookup(&refused.forward.key), None);
    assert_eq!(table.lookup(&refused.reverse.unwrap().key), None);
    for n in 0..taken as u32 {
        let half = table.lookup(&tcp(n, true, 0).forward.key).unwrap();
        assert!(table.remove(&mut slots, table.reference(half).unwrap(), EndReason::Removed));
    }
    assert!(table.is_empty());
    assert!((0..1000).all(|n| table.lookup(&tcp(n, true, 0).forward.key).is_none()));
}

#[test]
fn when_the_table_is_nearly_full_half_open_and_denied_sessions_make_room() {
    let (table, mut slots) = table(1024);
    let mut log = Log::default();
    for n in 0..500 {
        table.insert(&mut slots, &tcp(n, true, 0), Ticks(0)).unwrap();
    }
    for n in 500..900 {
        table.insert(&mut slots, &tcp(n, false, 0), Ticks(0)).unwrap();
    }
    for n in 900..960 {
        table.insert(&mut slots, &denied(key(n, false)), Ticks(0)).unwrap();
    }
    assert!(slots.in_limbo() <= 1, "there was room: {}", slots.in_limbo());
    for n in 2000..2300 {
        table.insert(&mut slots, &tcp(n, true, 0), Ticks(100)).unwrap();
        settle(&table, &mut slots, &mut log);
    }
    assert!((0..500).all(|n| table.lookup(&tcp(n, true, 0).forward.key).is_some()));
    assert!((2000..2300).all(|n| table.lookup(&tcp(n, true, 0).forward.key).is_some()));
    assert!(log.ended.iter().all(|(view, reason)| {
        *reason == EndReason::Evicted && (view.reverse.is_none() || view.connection().is_half_open())
    }));
    for n in 3000..3300 {
        // What is left in the end is established.
        let _ = table.insert(&mut slots, &tcp(n, true, 0), Ticks(100));
        settle(&table, &mut slots, &mut log);
    }
    assert!((0..500).all(|n| table.lookup(&tcp(n, true, 0).forward.key).is_some()));
}

/// Fills a table of 1024 sessions of one family until `free` sessions are in the pool and none at hand, half of them half-open
/// since tick 0, and inserts one more at `now`; how many were evicted for it.
fn evicted_with(v6: bool, free: u32, now: Ticks) -> usize {
    // One of eight workers takes eight sessions from the pool at a time.
    let config = if v6 { config(64, 1024) } else { config(1024, 0) };
    let table = FlowTable::new(&Config { workers: 8, ..config }).unwrap();
    let mut slots = table.worker::<()>(WorkerId(0)).unwrap();
    let tcp = |n, established| {
        let mut new = tcp(n, established, 0);
        new.forward.key = FlowKey { protocol: 6, ..key(n, v6) };
        if let Some(reverse) = &mut new.reverse {
            reverse.key = new.forward.key.reversed(Scope::to_workload(A));
        }
        new
    };
    for n in 0..1024 - free {
        table.insert(&mut slots, &tcp(n, n % 2 == 0), Ticks(0)).unwrap();
    }
    let before = slots.in_limbo();
    table.insert(&mut slots, &tcp(5000, true), now).unwrap();
    slots.in_limbo() - before
}

#[test]
fn half_open_sessions_make_room_only_under_pressure_and_young_ones_only_under_high_pressure() {
    assert_eq!(evicted_with(false, 72, Ticks(1000)), 0, "more than a sixteenth is free");
    assert_eq!(evicted_with(false, 64, Ticks(1000)), 0, "a sixteenth");
    assert_eq!(evicted_with(false, 56, Ticks(1000)), 4, "less");
    assert_eq!(evicted_with(false, 56, Ticks(63)), 4, "old enough");
    assert_eq!(evicted_with(false, 56, Ticks(62)), 0, "young");
    assert_eq!(evicted_with(false, 32, Ticks(62)), 0, "a thirty-second is free, still too young");
    assert_eq!(evicted_with(false, 24, Ticks(62)), 4, "less");
    assert_eq!(evicted_with(true, 64, Ticks(1000)), 0, "IPv6: a sixteenth");
    assert_eq!(evicted_with(true, 56, Ticks(1000)), 4, "less");
}

#[test]
fn interfaces_beyond_the_configured_number_share_the_last_line() {
    let (table, mut slots) = table(8);
    for (n, id) in [(1, 7), (2, 8), (3, 65535)] {
        let mut new = session(key(n, false));
        new.forward.key.scope = Scope::from_workload(InterfaceId(id));
        table.insert(&mut slots, &new, Ticks(0)).unwrap();
    }
    assert_eq!(table.sessions_of(InterfaceId(65535)), 3);
    assert_eq!((table.sessions_of(InterfaceId(7)), table.sessions_of(InterfaceId(6))), (3, 0));
}

#[test]
fn other_protocols_are_half_open_until_they_are_answered() {
    let table = FlowTable::new(&config(64, 0)).unwrap();
    let mut slots = table.worker::<()>(WorkerId(0)).unwrap();
    let limited = |n| NewSession { limits: [8; 2], ..session(key(n, false)) };
    for n in 0..8 {
        let made = table.insert(&mut slots, &limited(n), Ticks(0)).unwrap();
        table.half(made.session.forward()).account(Ticks(0), 60);
        table.half(made.session.reverse()).account(Ticks(0), 60);
    }
    assert_eq!(table.insert(&mut slots, &limited(9), Ticks(500)), Err(InsertError::InterfaceLimit(A)));
    let first = table.reference(table.lookup(&key(7, false)).unwrap()).unwrap();
    table.remove(&mut slots, first, EndReason::Removed);
    table.insert(&mut slots, &limited(9), Ticks(500)).unwrap();
    assert_eq!(table.insert(&mut slots, &limited(10), Ticks(510)), Err(InsertError::InterfaceLimit(A)));
    assert!(table.insert(&mut slots, &limited(10), Ticks(600)).is_ok());
    assert_eq!(table.lookup(&key(9, false)), None);
}

#[test]
fn a_pinned_session_makes_room_for_nobody() {
    let table = FlowTable::new(&config(64, 0)).unwrap();
    let mut slots = table.worker::<()>(WorkerId(0)).unwrap();
    for n in 0..4 {
        let pinned = NewSession { pinned: true, ..tcp(n, false, 4) };
        table.insert(&mut slots, &pinned, Ticks(0)).unwrap();
    }
    assert_eq!(table.insert(&mut slots, &tcp(9, false, 4), Ticks(5000)), Err(InsertError::InterfaceLimit(A)));
}

#[test]
fn what_would_be_refused_is_refused_and_looking_changes_nothing() {
    let (table, mut slots) = table(256);
    let mut seen = [0; 3];
    // A's limit fills with established and half-open sessions; B's end of local ones has a limit, too.
    for n in 0..120 {
        let mut new = if n % 3 == 0 { local(n, [30, 12]) } else { tcp(n, n % 2 == 0, 30) };
        if n % 10 == 9 {
            // The reply's key is another session's.
            new.reverse.as_mut().unwrap().key = tcp(n - 2, true, 30).reverse.unwrap().key;
        }
        let now = Ticks(n * 20);
        let reverse = new.reverse.unwrap().key;
        let foreseen = table.refusal(&new.forward.key, &reverse, new.limits, now);
        assert_eq!(table.refusal(&new.forward.key, &reverse, new.limits, now), foreseen);
        let result = table.insert(&mut slots, &new, now);
        assert_eq!(result.err(), foreseen, "session {n}");
        seen[match foreseen {
            None => 0,
            Some(InsertError::ReverseTaken(_)) => 1,
            Some(_) => 2,
        }] += 1;
    }
    assert!(seen.iter().all(|count| *count > 0), "{seen:?}");
    let forward = key(1, false);
    assert_eq!(table.refusal(&forward, &forward, [0; 2], Ticks(0)), Some(InsertError::SelfMirrored));
    let answer = key(7000, false);
    table.insert(&mut slots, &denied(answer), Ticks(3000)).unwrap();
    assert_eq!(
        table.refusal(&key(7001, false), &answer, [0; 2], Ticks(3000)),
        None,
        "a refused flow gives way"
    );
}
