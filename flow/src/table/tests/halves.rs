//! What a half keeps.

use packet::checksum::Delta;

use super::*;
use crate::tcp::HalfState;

fn translated(v6: bool) -> Translation {
    let new = key(77, v6);
    Translation {
        src: new.dst,
        dst: new.src,
        src_port: 0xfedc,
        dst_port: 0x1234,
        delta_addr: Delta::from_raw(0x1111),
        delta_l4: Delta::from_raw(0xeeee),
    }
}

#[test]
fn a_half_gives_back_what_it_was_made_of() {
    for v6 in [false, true] {
        let (table, mut slots) = table(2);
        let mut new = session(key(1, v6));
        new.pinned = true;
        new.forward = NewHalf {
            translation: translated(v6),
            verdict: Verdict::Drop(DropReason::NoBuffer),
            tcp: HalfState::ESTABLISHED,
            tcp_ack: 0xdead_beef,
            entropy_or_peer: 0xc123,
            validated_at: 0xffff_0001,
            route: 0x0123_4567_89ab_cdef,
            ..new.forward
        };
        let made = table.insert(&mut slots, &new, Ticks(9)).unwrap();
        let half = table.half(made.session.forward());
        assert_eq!((half.is_v6(), half.key(), half.scope()), (v6, new.forward.key, new.forward.key.scope));
        assert_eq!((half.interface(), half.protocol()), (Some(A), 17));
        assert_eq!((half.translation(), half.is_translated()), (translated(v6), true));
        assert_eq!((half.verdict(), half.forwards()), (Verdict::Drop(DropReason::NoBuffer), false));
        assert_eq!((half.tcp(), half.tcp_ack()), (HalfState::ESTABLISHED, 0xdead_beef));
        assert_eq!((half.entropy_or_peer(), half.validated_at()), (0xc123, 0xffff_0001));
        assert_eq!((half.route(), half.last_seen()), (0x0123_4567_89ab_cdef, Ticks(9)));
        assert!(half.is_pinned());

        let other = table.half(made.session.reverse());
        assert_eq!((other.verdict(), other.forwards(), other.is_pinned()), (Verdict::Forward, true, true));
        assert_eq!((other.is_translated(), other.route(), other.tcp()), (false, 0, HalfState::NONE));
        assert_eq!(other.translation(), new.reverse.unwrap().translation);
    }
}

#[test]
fn each_setter_changes_its_own_field_only() {
    for v6 in [false, true] {
        let (table, mut slots) = table(2);
        let mut new = session(key(1, v6));
        new.pinned = true;
        let made = table.insert(&mut slots, &new, Ticks(9)).unwrap();
        let half = table.half(made.session.forward());
        let before = || table.view(made.session).unwrap().forward;
        let mut expected = before();
        half.set_entropy_or_peer(0xabcd);
        expected.entropy_or_peer = 0xabcd;
        assert_eq!(before(), expected);
        half.set_tcp(HalfState::UNSEEN);
        expected.tcp = HalfState::UNSEEN;
        assert_eq!(before(), expected);
        half.set_validated_at(0x8000_0001);
        expected.validated_at = 0x8000_0001;
        assert_eq!(before(), expected);
        half.set_verdict(Verdict::Drop(DropReason::SecurityGroup), 77);
        (expected.verdict, expected.validated_at) = (Verdict::Drop(DropReason::SecurityGroup), 77);
        assert_eq!(before(), expected);
        half.set_verdict(Verdict::Forward, 78);
        (expected.verdict, expected.validated_at) = (Verdict::Forward, 78);
        assert_eq!(before(), expected);
        half.set_tcp_ack(u32::MAX);
        half.set_route(u64::MAX);
        expected.route = u64::MAX;
        half.set_translation(&translated(v6));
        expected.translation = translated(v6);
        assert_eq!((before(), half.tcp_ack()), (expected, u32::MAX));
        half.set_scope(Scope::to_workload(B));
        expected.key.scope = Scope::to_workload(B);
        assert_eq!(before(), expected);
        assert!(half.is_pinned());
    }
}

#[test]
fn a_translation_of_any_field_is_seen() {
    for v6 in [false, true] {
        let (table, mut slots) = table(2);
        let new = session(key(1, v6));
        let made = table.insert(&mut slots, &new, Ticks(9)).unwrap();
        let half = table.half(made.session.forward());
        let same = new.forward.translation;
        let other = translated(v6);
        let mut far = same.src;
        far[if v6 { 2 } else { 0 }] ^= 0x80;
        for changed in [
            Translation { src: other.src, ..same },
            Translation { src: far, ..same },
            Translation { dst: other.dst, ..same },
            Translation { dst: far, ..same },
            Translation { src_port: 1000, ..same },
            Translation { dst_port: 1000, ..same },
        ] {
            half.set_translation(&changed);
            assert!(half.is_translated(), "{changed:?}");
            half.set_translation(&same);
            assert!(!half.is_translated());
        }
    }
}

#[test]
fn every_verdict_survives_its_seven_bits() {
    let (table, mut slots) = table(2);
    let made = table.insert(&mut slots, &session(key(1, false)), Ticks(9)).unwrap();
    let half = table.half(made.session.reverse());
    for reason in DropReason::ALL {
        half.set_verdict(Verdict::Drop(*reason), 5);
        assert_eq!(half.verdict(), Verdict::Drop(*reason));
        assert!(!half.forwards());
    }
}

#[test]
fn a_packet_counts_in_its_own_half_and_moves_the_clock() {
    for v6 in [false, true] {
        let (table, mut slots) = table(2);
        let made = table.insert(&mut slots, &session(key(1, v6)), Ticks(9)).unwrap();
        let half = table.half(made.session.reverse());
        half.set_tcp_ack(5);
        half.account(Ticks(10), 100);
        half.account(Ticks(12), 9000);
        let view = table.view(made.session).unwrap();
        let (forward, reverse) = (view.forward, view.reverse.unwrap());
        assert_eq!((forward.packets, forward.bytes, forward.last_seen), (0, 0, Ticks(9)));
        assert_eq!((reverse.packets, reverse.bytes, reverse.last_seen), (2, 9100, Ticks(12)));
        assert_eq!((half.tcp_ack(), view.last_seen(), view.created), (5, Ticks(12), Ticks(9)));
    }
}

#[test]
fn a_slot_that_is_used_again_remembers_nothing() {
    for v6 in [false, true] {
        let (table, mut slots) = table(1);
        let mut new = session(key(1, v6));
        new.forward.translation = translated(v6);
        new.pinned = true;
        (new.binding, new.rules) = (7, [3, 4, 5, 6].map(RuleSlot::new));
        let made = table.insert(&mut slots, &new, Ticks(9)).unwrap();
        for half in [made.session.forward(), made.session.reverse()] {
            table.half(half).account(Ticks(10), 100);
            table.half(half).set_tcp_ack(1);
        }
        table.remove(&mut slots, made, EndReason::Removed);
        settle(&table, &mut slots, &mut Log::default());
        let again = table.insert(&mut slots, &denied(key(2, v6)), Ticks(20)).unwrap();
        let view = table.view(again.session).unwrap();
        assert_eq!((view.reverse, view.pinned, view.binding), (None, false, 0));
        assert_eq!((view.rules, view.created), ([RuleSlot::NONE; 4], Ticks(20)));
        let forward = view.forward;
        assert_eq!((forward.packets, forward.bytes, forward.last_seen), (0, 0, Ticks(20)));
        assert_eq!((forward.key, table.half(again.session.forward()).is_translated()), (key(2, v6), false));
        let absent = table.half(again.session.reverse());
        assert_eq!(
            (absent.tcp(), absent.last_seen(), absent.is_pinned()),
            (HalfState::NONE, Ticks(20), false)
        );
    }
}

#[test]
fn rules_and_binding_are_kept_apart() {
    let (table, mut slots) = table(2);
    let mut new = session(key(1, false));
    (new.binding, new.rules) = (0xffff, [0xff_fffe, 0, 0, 0xff_fffe].map(RuleSlot::new));
    let made = table.insert(&mut slots, &new, Ticks(9)).unwrap();
    assert_eq!(table.view(made.session).unwrap().rules, new.rules);
    let rules = [0, 0xff_fffe, 0xff_fffe, 0].map(RuleSlot::new);
    table.set_rules(made, rules);
    let view = table.view(made.session).unwrap();
    assert_eq!((view.rules, view.binding), (rules, 0xffff));
    assert_eq!((table.rules(made.session), table.binding(made.session)), (rules, 0xffff));
    let stale = SessionRef { generation: made.generation + 2, ..made };
    table.set_rules(stale, [RuleSlot::NONE; 4]);
    assert_eq!(table.view(made.session).unwrap().rules, rules);
}
