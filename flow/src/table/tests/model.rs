//! Any sequence of operations against the obvious table.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

#[derive(Clone, Debug)]
enum Step {
    Insert(u32, bool),
    Deny(u32, bool),
    Remove(u32, bool),
    Rekey(u32, bool, bool),
    Settle,
    Dump,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let key = || (0_u32..40, any::<bool>());
    let step = prop_oneof![
        6 => key().prop_map(|(n, v6)| Step::Insert(n, v6)),
        1 => key().prop_map(|(n, v6)| Step::Deny(n, v6)),
        4 => key().prop_map(|(n, v6)| Step::Remove(n, v6)),
        2 => (key(), any::<bool>()).prop_map(|((n, v6), away)| Step::Rekey(n, v6, away)),
        1 => Just(Step::Settle),
        1 => Just(Step::Dump),
    ];
    prop::collection::vec(step, 1..200)
}

/// What the obvious table knows of a session: its reference, and the scope of its reverse half, if any.
type Model = BTreeMap<(u32, bool), (SessionRef, Option<Scope>)>;

fn check(table: &FlowTable, model: &Model) {
    for (n, v6) in (0..40).flat_map(|n| [(n, false), (n, true)]) {
        let forward = key(n, v6);
        let known = model.get(&(n, v6));
        assert_eq!(table.lookup(&forward), known.map(|(made, _)| made.session.forward()));
        for scope in [Scope::to_workload(A), Scope::from_workload(B)] {
            let expected = known.filter(|(_, reverse)| *reverse == Some(scope));
            let found = table.lookup(&forward.reversed(scope));
            assert_eq!(found, expected.map(|(made, _)| made.session.reverse()));
        }
    }
    assert_eq!(table.len(), model.len());
    let denied = model.values().filter(|(_, reverse)| reverse.is_none()).count();
    assert_eq!(table.denied().0 as usize, denied);
    assert_eq!(table.sessions_of(A) as usize, model.len());
    let local = model.values().filter(|(_, reverse)| *reverse == Some(Scope::from_workload(B))).count();
    assert_eq!(table.sessions_of(B) as usize, local);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn the_table_does_what_a_map_does(steps in steps(), buckets in 2_usize..30) {
        let table = FlowTable::with_buckets(&config(30, 30), buckets).unwrap();
        let mut workers = [0, 1].map(|worker| table.worker::<()>(WorkerId(worker)).unwrap());
        let mut log = Log::default();
        let mut model = Model::new();
        let mut ended = 0;
        for (turn, step) in steps.into_iter().enumerate() {
            let slots = &mut workers[turn % 2];
            match step {
                Step::Insert(n, v6) | Step::Deny(n, v6) => {
                    let denies = matches!(step, Step::Deny(..));
                    let new = if denies { denied(key(n, v6)) } else { session(key(n, v6)) };
                    let result = table.insert(slots, &new, Ticks(0));
                    // A refusal that is remembered may have made room.
                    model.retain(|_, (made, reverse)| {
                        let stays = table.resolve(*made).is_some();
                        ended += usize::from(!stays);
                        assert!(stays || reverse.is_none());
                        stays
                    });
                    match (result, model.get(&(n, v6))) {
                        (Ok(made), None) => {
                            let reverse = (!denies).then_some(Scope::to_workload(A));
                            model.insert((n, v6), (made, reverse));
                        }
                        (Err(InsertError::Exists(half)), Some((made, _))) => {
                            prop_assert_eq!(half, made.session.forward());
                        }
                        // Numbers may be in limbo or in the other worker's hands; two buckets hold few.
                        (Err(InsertError::TableFull), None) => {
                            prop_assert!(model.len() > 8 || ended > 0 || buckets < 5);
                        }
                        (Err(InsertError::DeniedLimit), None) => prop_assert!(denies),
                        (got, known) => prop_assert!(false, "{:?} where {:?}", got, known),
                    }
                }
                Step::Remove(n, v6) => {
                    if let Some((made, _)) = model.get(&(n, v6)) {
                        prop_assert!(table.remove(slots, *made, EndReason::Removed));
                        prop_assert!(!table.remove(slots, *made, EndReason::Removed));
                        model.remove(&(n, v6));
                        ended += 1;
                    }
                }
                Step::Rekey(n, v6, away) => {
                    let scope = if away { Scope::from_workload(B) } else { Scope::to_workload(A) };
                    if let Some((made, Some(reverse))) = model.get_mut(&(n, v6)) {
                        if table.rekey(made.session.reverse(), *made, scope).is_ok() {
                            *reverse = scope;
                        } else {
                            prop_assert!(buckets < 12);
                        }
                    }
                }
                Step::Settle => {
                    for slots in &mut workers {
                        settle(&table, slots, &mut log);
                    }
                    prop_assert_eq!(log.ended.len(), ended);
                }
                Step::Dump => {
                    let mut dumped: Vec<_> = table.sessions(None).map(|view| view.session).collect();
                    let mut expected: Vec<_> = model.values().map(|(made, _)| *made).collect();
                    dumped.sort_unstable_by_key(|made| made.session);
                    expected.sort_unstable_by_key(|made| made.session);
                    prop_assert_eq!(&dumped, &expected);
                    let half = expected.len() / 2;
                    let rest: Vec<_> = table.sessions(expected.get(half).map(|made| made.session)).collect();
                    prop_assert_eq!(rest.len(), expected.len() - half.min(expected.len()));
                }
            }
            check(&table, &model);
        }
    }
}
