//! What the sweep does.

use std::time::Duration;

use super::*;
use crate::tcp::HalfState;
use crate::timeouts::{TimeoutClass, Timeouts};

/// A whole sweep.
fn sweep(table: &FlowTable, slots: &mut WorkerSlots<()>, now: Ticks, log: &mut Log) -> usize {
    let swept = Sweeper::new(Timeouts::default()).step(table, slots, now, 0, usize::MAX, log);
    settle(table, slots, log);
    swept.ended
}

fn seconds(seconds: u64) -> Ticks {
    Ticks::at(Duration::from_secs(seconds))
}

/// Makes a session, and tells after how many seconds of silence it goes.
fn lifetime(make: impl FnOnce(&mut NewSession), answered: bool) -> u64 {
    let (table, mut slots) = table(2);
    let mut new = session(key(1, false));
    make(&mut new);
    let made = table.insert(&mut slots, &new, seconds(100)).unwrap();
    table.half(made.session.forward()).account(seconds(100), 60);
    if answered {
        table.half(made.session.reverse()).account(seconds(100), 60);
    }
    let mut log = Log::default();
    // Ticks are 16 ms: what expires after s seconds is there at s - 0.1.
    (1..).find(|s| sweep(&table, &mut slots, Ticks(seconds(100 + s).0 + 1), &mut log) > 0).unwrap()
}

fn with_protocol(protocol: u8) -> impl FnOnce(&mut NewSession) {
    move |new| {
        new.forward.key.protocol = protocol;
        if let Some(reverse) = &mut new.reverse {
            reverse.key.protocol = protocol;
        }
    }
}

fn with_tcp(forward: HalfState, reverse: HalfState) -> impl FnOnce(&mut NewSession) {
    move |new| {
        with_protocol(6)(new);
        new.forward.tcp = forward;
        new.reverse.as_mut().unwrap().tcp = reverse;
    }
}

#[test]
fn each_protocol_and_state_has_its_own_timeout() {
    assert_eq!(lifetime(with_protocol(17), false), 30);
    assert_eq!(lifetime(with_protocol(17), true), 180);
    assert_eq!(lifetime(with_protocol(1), true), 30);
    assert_eq!(lifetime(with_protocol(132), false), 20);
    assert_eq!(lifetime(with_protocol(132), true), 600);
    assert_eq!(lifetime(with_protocol(47), true), 120);
    let (syn, established) = (HalfState::SYN_SENT, HalfState::ESTABLISHED);
    assert_eq!(lifetime(with_tcp(syn, HalfState::NONE), false), 20);
    assert_eq!(lifetime(with_tcp(syn, established), true), 20);
    assert_eq!(lifetime(with_tcp(established, established), true), 7440);
    let fin = HalfState(established.0 | HalfState::FIN_SENT.0);
    assert_eq!(lifetime(with_tcp(fin, established), true), 60);
    assert_eq!(lifetime(with_tcp(fin, fin), true), 60);
    let acked = HalfState(fin.0 | HalfState::FIN_ACKED.0);
    assert_eq!(lifetime(with_tcp(acked, acked), true), 2);
    let reset = HalfState(established.0 | HalfState::RESET.0);
    assert_eq!(lifetime(with_tcp(reset, established), true), 2);
    let unseen = HalfState(established.0 | HalfState::UNSEEN.0);
    assert_eq!(lifetime(with_tcp(established, unseen), false), 20);
    assert_eq!(lifetime(|new| *new = denied(key(1, false)), false), 5);
}

#[test]
fn a_packet_of_either_direction_keeps_a_session() {
    for reverse in [false, true] {
        let (table, mut slots) = table(2);
        let made = table.insert(&mut slots, &session(key(1, false)), seconds(0)).unwrap();
        let half = if reverse { made.session.reverse() } else { made.session.forward() };
        let mut log = Log::default();
        table.half(half).account(seconds(20), 60);
        assert_eq!(sweep(&table, &mut slots, seconds(49), &mut log), 0);
        assert_eq!(sweep(&table, &mut slots, seconds(300), &mut log), 1);
        assert_eq!(log.ended[0].1, EndReason::Expired);
        assert_eq!((log.ended[0].0.created, log.ended[0].0.last_seen()), (seconds(0), seconds(20)));
        assert!(table.is_empty());
    }
}

#[test]
fn timeouts_are_settable_and_act_on_sessions_that_are_there() {
    let (table, mut slots) = table(2);
    table.insert(&mut slots, &session(key(1, false)), seconds(0)).unwrap();
    let mut sweeper = Sweeper::new(Timeouts::default());
    let mut log = Log::default();
    assert_eq!(sweeper.step(&table, &mut slots, seconds(10), 0, usize::MAX, &mut log).ended, 0);
    let mut timeouts = Timeouts::default();
    timeouts.set(TimeoutClass::UdpOneWay, Duration::from_secs(9));
    sweeper.set_timeouts(timeouts);
    assert_eq!(sweeper.step(&table, &mut slots, seconds(12), 0, usize::MAX, &mut log).ended, 1);
}

#[test]
fn a_pinned_session_is_never_aged_but_goes_with_its_interface() {
    let (table, mut slots) = table(2);
    let pinned = NewSession { pinned: true, ..session(key(1, false)) };
    table.insert(&mut slots, &pinned, seconds(0)).unwrap();
    let mut log = Log::default();
    assert_eq!(sweep(&table, &mut slots, seconds(1_000_000), &mut log), 0);
    log.unwanted = Some(B);
    assert_eq!(sweep(&table, &mut slots, seconds(1_000_000), &mut log), 0);
    log.unwanted = Some(A);
    assert_eq!(sweep(&table, &mut slots, seconds(1_000_000), &mut log), 1);
    assert_eq!(log.ended[0].1, EndReason::Unwanted);
    assert!(log.ended[0].0.pinned);
}

/// A sink that wants no more than it must.
struct Modest(usize);

impl SessionSink for Modest {
    fn traffic(&mut self, _: &Traffic) {}
    fn ended(&mut self, _: &SessionView, _: EndReason) {
        self.0 += 1;
    }
}

#[test]
fn a_session_is_wanted_unless_the_sink_says_otherwise() {
    let (table, mut slots) = table(2);
    table.insert(&mut slots, &session(key(1, false)), Ticks(0)).unwrap();
    let mut sweeper = Sweeper::new(Timeouts::default());
    assert_eq!(sweeper.step(&table, &mut slots, Ticks(1), 0, usize::MAX, &mut Modest(0)).ended, 0);
    assert_eq!(sweeper.step(&table, &mut slots, Ticks(1 << 20), 0, usize::MAX, &mut Modest(0)).ended, 1);
    let mut sink = Modest(0);
    slots.release(&table, &mut sink);
    assert_eq!(sink.0, 1);
}

#[test]
fn each_packet_is_reported_once_also_those_counted_after_the_removal() {
    let (table, mut slots) = table(4);
    let mut log = Log::default();
    let rules = [1, 2, 3, 4].map(RuleSlot::new);
    let mut new = NewSession { rules, ..session(key(1, false)) };
    new.forward.route = 77;
    let made = table.insert(&mut slots, &new, Ticks(0)).unwrap();
    let (forward, reverse) = (table.half(made.session.forward()), table.half(made.session.reverse()));
    let mut sweeper = Sweeper::new(Timeouts::default());
    forward.account(Ticks(1), 100);
    forward.account(Ticks(1), 50);
    sweeper.step(&table, &mut slots, Ticks(125), 0, usize::MAX, &mut log);
    let scope = Scope::from_workload(A);
    let first = Traffic { scope, reverse: false, first: true, route: 77, rules, packets: 2, bytes: 150 };
    assert_eq!(log.traffic, [first]);
    sweeper.step(&table, &mut slots, Ticks(250), 0, usize::MAX, &mut log);
    assert_eq!(log.traffic.len(), 1, "nothing new");
    reverse.account(Ticks(300), 9);
    table.report_all(&mut log);
    assert_eq!((log.traffic[1].reverse, log.traffic[1].packets, log.traffic[1].bytes), (true, 1, 9));
    table.remove(&mut slots, made, EndReason::Removed);
    forward.account(Ticks(301), 7);
    settle(&table, &mut slots, &mut log);
    assert_eq!(log.traffic.len(), 3);
    assert_eq!((log.traffic[2].packets, log.traffic[2].bytes), (1, 7));
    assert!(!log.traffic[1].first && !log.traffic[2].first, "a session is counted once");
    let ended = log.ended[0].0;
    assert_eq!((ended.forward.packets, ended.forward.bytes, ended.session), (3, 157, made));
}

#[test]
fn the_whole_table_is_swept_within_two_seconds_in_steps_of_any_size() {
    let (table, mut slots) = table(1000);
    for n in 0..700 {
        table.insert(&mut slots, &session(key(n, n % 2 == 0)), Ticks(0)).unwrap();
    }
    for step in [1, 7, 60, 125, 1000] {
        let mut sweeper = Sweeper::new(Timeouts::default());
        let mut log = Log::default();
        sweeper.step(&table, &mut slots, Ticks(0), 0, usize::MAX, &mut log);
        let mut looked_at = 0;
        let mut laps = 0;
        for now in (0..=1250).step_by(step).skip(1) {
            let swept = sweeper.step(&table, &mut slots, Ticks(now), 0, usize::MAX, &mut log);
            looked_at += swept.looked_at;
            laps += usize::from(swept.wrapped);
        }
        let used = looked_at / if step > 125 { 1 } else { 10 };
        assert!((690..=850).contains(&used), "step {step}: {used}");
        assert!(laps >= 1, "step {step}");
    }
}

#[test]
fn a_step_does_no_more_than_it_may_and_the_rest_is_owed() {
    let (table, mut slots) = table(1000);
    // 31 sessions are handed out at once.
    for n in 0..31 * 20 {
        table.insert(&mut slots, &session(key(n, false)), Ticks(0)).unwrap();
    }
    let mut sweeper = Sweeper::new(Timeouts::default());
    let mut log = Log::default();
    let first = sweeper.step(&table, &mut slots, Ticks(0), 0, 500, &mut log);
    assert_eq!((first.looked_at, first.wrapped), (500, false));
    let second = sweeper.step(&table, &mut slots, Ticks(0), 0, 500, &mut log);
    assert_eq!((second.looked_at, second.wrapped), (120, false));
    let third = sweeper.step(&table, &mut slots, Ticks(125), 0, 1, &mut log);
    assert_eq!((third.looked_at, third.wrapped), (1, true));
}

#[test]
fn numbers_that_were_never_used_are_not_looked_at() {
    let (table, mut slots) = table(100_000);
    let mut log = Log::default();
    let mut sweeper = Sweeper::new(Timeouts::default());
    assert_eq!(sweeper.step(&table, &mut slots, Ticks(0), 0, usize::MAX, &mut log), Sweep::default());
    table.insert(&mut slots, &session(key(1, true)), Ticks(0)).unwrap();
    let swept = sweeper.step(&table, &mut slots, Ticks(125), 0, usize::MAX, &mut log);
    assert!((1..200).contains(&swept.looked_at));
}

#[test]
fn epochs_too_old_to_compare_are_renewed() {
    let (table, mut slots) = table(2);
    let mut new = session(key(1, false));
    new.forward.validated_at = 5;
    new.reverse.as_mut().unwrap().validated_at = 7;
    let made = table.insert(&mut slots, &new, Ticks(0)).unwrap();
    let ages =
        || [made.session.forward(), made.session.reverse()].map(|half| table.half(half).validated_at());
    let mut log = Log::default();
    let mut sweep = |epoch| {
        Sweeper::new(Timeouts::default()).step(&table, &mut slots, Ticks(1), epoch, usize::MAX, &mut log);
    };
    sweep((1 << 30) + 5);
    assert_eq!(ages(), [5, 7]);
    sweep((1 << 30) + 6);
    assert_eq!(ages(), [6, 7]);
    sweep(2);
    assert_eq!(ages(), [6, 7], "validated in an epoch that the sweeper has not seen yet");
    sweep((3 << 30) + 5);
    assert_eq!(ages(), [(2 << 30) + 5; 2]);
    sweep((3 << 30) + 6);
    assert_eq!(ages(), [(2 << 30) + 6; 2]);
    sweep(u32::MAX);
    sweep((1 << 30) - 2);
    assert_eq!(ages(), [u32::MAX - 1; 2], "across the wrap");
}

#[test]
fn half_open_sessions_that_the_sweep_meets_can_make_room_later() {
    let (table, mut slots) = table(64);
    let mut new = session(FlowKey { protocol: 6, ..key(1, false) });
    new.forward.tcp = HalfState::SYN_SENT;
    new.limits = [100; 2];
    table.insert(&mut slots, &new, Ticks(0)).unwrap();
    let mut log = Log::default();
    let next = |n| NewSession { limits: [1; 2], ..session(key(n, false)) };
    assert!(table.insert(&mut slots, &next(2), Ticks(200)).is_err(), "far from the old limit: not noted");
    sweep(&table, &mut slots, Ticks(200), &mut log);
    assert!(table.insert(&mut slots, &next(2), Ticks(200)).is_ok());
    assert_eq!(table.lookup(&new.forward.key), None);
}
