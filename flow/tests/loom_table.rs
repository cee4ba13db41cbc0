//! The flow table under every interleaving of two threads.
//!
//! `RUSTFLAGS="--cfg loom" cargo test -p flow --test loom_table`

#![cfg(loom)]

use flow::policy::RuleSlot;
use flow::{
    Config, EndReason, FlowKey, FlowTable, InsertError, NewHalf, NewSession, Scope, SessionSink, SessionView,
    Ticks, Traffic,
};
use loom::sync::Arc;
use loom::thread;
use packet::{InterfaceId, WorkerId};

fn table(sessions: u32) -> Arc<FlowTable> {
    let config = Config { sessions_v4: sessions, sessions_v6: 0, seed: 1, interfaces: 1, workers: 2 };
    Arc::new(FlowTable::new(&config).unwrap())
}

fn session(port: u16) -> NewSession {
    let scope = Scope::from_workload(InterfaceId(1));
    let key = FlowKey { scope, src_port: port, dst_port: 53, protocol: 17, ..FlowKey::default() };
    let reverse = NewHalf::untranslated(key.reversed(Scope::to_workload(InterfaceId(1))));
    NewSession {
        forward: NewHalf { route: 77, ..NewHalf::untranslated(key) },
        reverse: Some(reverse),
        rules: [RuleSlot::NONE; 4],
        binding: 9,
        limits: [0; 2],
        pinned: false,
    }
}

struct Ignore;

impl SessionSink for Ignore {
    fn traffic(&mut self, _: &Traffic) {}
    fn ended(&mut self, _: &SessionView, _: EndReason) {}
}

#[test]
fn loom_both_directions_at_once_make_one_session() {
    loom::model(|| {
        let table = table(2);
        let new = session(1);
        let mirrored = NewSession { forward: new.reverse.unwrap(), reverse: Some(new.forward), ..new };
        let other = {
            let table = table.clone();
            thread::spawn(move || {
                let mut slots = table.worker::<()>(WorkerId(1)).unwrap();
                table.insert(&mut slots, &mirrored, Ticks(0))
            })
        };
        let mut slots = table.worker::<()>(WorkerId(0)).unwrap();
        let mine = table.insert(&mut slots, &new, Ticks(0));
        let theirs = other.join().unwrap();
        match (mine, theirs) {
            (Ok(made), Err(InsertError::Exists(half))) | (Err(InsertError::Exists(half)), Ok(made)) => {
                assert_eq!(half, made.session.reverse());
            }
            unexpected => panic!("{unexpected:?}"),
        }
        assert_eq!((table.len(), table.sessions_of(InterfaceId(1))), (1, 1));
    });
}

#[test]
fn loom_who_finds_a_half_finds_all_of_it() {
    loom::model(|| {
        let table = table(2);
        let new = session(1);
        let reader = {
            let table = table.clone();
            thread::spawn(move || {
                if let Some(half) = table.lookup(&new.forward.key) {
                    let found = table.half(half);
                    assert_eq!((found.route(), found.translation()), (77, new.forward.translation));
                    let made = table.reference(half).expect("it lives");
                    assert_eq!(table.view(made.session).map(|view| view.binding), Some(9));
                }
            })
        };
        let mut slots = table.worker::<()>(WorkerId(0)).unwrap();
        table.insert(&mut slots, &new, Ticks(0)).unwrap();
        reader.join().unwrap();
    });
}

#[test]
fn loom_a_session_is_removed_once() {
    loom::model(|| {
        let table = table(2);
        let mut slots = table.worker::<()>(WorkerId(0)).unwrap();
        let made = table.insert(&mut slots, &session(1), Ticks(0)).unwrap();
        let other = {
            let table = table.clone();
            thread::spawn(move || {
                let mut slots = table.worker::<()>(WorkerId(1)).unwrap();
                let removed = table.remove(&mut slots, made, EndReason::Removed);
                slots.release(&table, &mut Ignore);
                removed
            })
        };
        let mine = table.remove(&mut slots, made, EndReason::Removed);
        assert!(mine != other.join().unwrap());
        assert!(table.is_empty() && table.lookup(&session(1).forward.key).is_none());
    });
}

#[test]
fn loom_a_rekey_and_a_removal_leave_nothing_behind() {
    loom::model(|| {
        let table = table(2);
        let mut slots = table.worker::<()>(WorkerId(0)).unwrap();
        let new = session(1);
        let made = table.insert(&mut slots, &new, Ticks(0)).unwrap();
        let moved = FlowKey { scope: Scope::from_workload(InterfaceId(2)), ..new.reverse.unwrap().key };
        let other = {
            let table = table.clone();
            thread::spawn(move || {
                let _ = table.rekey(made.session.reverse(), made, moved.scope);
            })
        };
        assert!(table.remove(&mut slots, made, EndReason::Removed));
        other.join().unwrap();
        for key in [new.forward.key, new.reverse.unwrap().key, moved] {
            assert_eq!(table.lookup(&key), None);
        }
        assert_eq!(table.sessions_of(InterfaceId(1)), 0);
    });
}
