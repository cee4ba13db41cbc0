//! Counters beyond the word that a worker adds to.

use proptest::prelude::*;

use super::*;
use crate::table::counter::{Counter, Wraps};

/// What a half would show after this much traffic.
fn counter(packets: u64, bytes: u64) -> Counter {
    Counter((bytes << 28).wrapping_add(packets))
}

#[test]
fn a_session_larger_than_its_word_shows_all_its_packets_and_bytes() {
    let (table, mut slots) = table(2);
    let mut log = Log::default();
    let made = table.insert(&mut slots, &session(key(1, false)), Ticks(0)).unwrap();
    let half = table.half(made.session.reverse());
    let (mut packets, mut bytes) = (0_u64, 0_u64);
    for _ in 0..20 {
        packets += 200_000_000;
        bytes += 60_000_000_000;
        half.set_counter(counter(packets, bytes));
        table.report_all(&mut log);
    }
    let view = table.view(made.session).unwrap();
    assert_eq!((view.forward.packets, view.forward.bytes), (0, 0));
    assert_eq!(view.reverse.map(|half| (half.packets, half.bytes)), Some((packets, bytes)));
    assert_eq!(log.traffic.iter().map(|traffic| traffic.packets).sum::<u64>(), packets);
    assert_eq!(log.traffic.iter().map(|traffic| traffic.bytes).sum::<u64>(), bytes);

    table.remove(&mut slots, made, EndReason::Removed);
    settle(&table, &mut slots, &mut log);
    assert_eq!(log.ended[0].0.reverse.map(|half| half.bytes), Some(bytes));
    let again = table.insert(&mut slots, &session(key(1, false)), Ticks(0)).unwrap();
    assert_eq!(again.session, made.session);
    assert_eq!(
        table.view(again.session).unwrap().reverse.map(|half| (half.packets, half.bytes)),
        Some((0, 0))
    );
}

proptest! {
    #[test]
    fn any_traffic_between_two_readings_is_exact(
        before in (0_u64..1 << 40, 0_u64..1 << 50), more in (0_u64..1 << 28, 0_u64..(1 << 36) - 1)
    ) {
        let (packets, bytes) = (before.0 + more.0, before.1 + more.1);
        prop_assert_eq!(counter(packets, bytes).since(counter(before.0, before.1)), more);
    }

    #[test]
    fn totals_follow_from_wraps(steps in prop::collection::vec((0_u64..1 << 28, 0_u64..(1 << 36) - 1), 1..40)) {
        let mut wraps = Wraps::default();
        let (mut packets, mut bytes) = (0, 0);
        for (more_packets, more_bytes) in steps {
            let from = counter(packets, bytes);
            packets += more_packets;
            bytes += more_bytes;
            let (of_packets, whole) = counter(packets, bytes).wrapped_since(from);
            wraps.packets += u32::from(of_packets);
            wraps.whole += u32::from(whole);
        }
        prop_assert_eq!(counter(packets, bytes).total(wraps), (packets, bytes));
    }
}

#[test]
fn a_counter_that_stands_still_or_is_full_has_not_gone_through_zero() {
    const PACKETS: u64 = (1 << 28) - 1;
    let nothing = counter(0, 0);
    for standing in [nothing, counter(7, 700), counter(PACKETS, 1 << 35)] {
        assert_eq!(standing.wrapped_since(standing), (false, false));
    }
    let full = counter(PACKETS, 0);
    assert_eq!(full.wrapped_since(nothing), (false, false));
    assert_eq!(full.plus(64).wrapped_since(full), (true, false));
    let last = counter(PACKETS, (1 << 36) - 1);
    assert_eq!(last.plus(1).wrapped_since(last), (true, true));
}
