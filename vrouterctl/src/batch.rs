//! Cutting a long list of operations into batches.

use agent_api::{
    order,
    v1::{Batch, Kind, Operation},
};
use prost::Message as _;

/// How large a batch may become. The vRouter takes more, but a refused batch changes nothing: small ones
/// lose less, and many in flight are merged into one generation anyway.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    pub(crate) operations: usize,
    pub(crate) bytes: usize,
}

impl Limits {
    pub(crate) const USUAL: Self = Self { operations: 1_000, bytes: 1 << 20 };
    /// Everything at once.
    pub(crate) const NONE: Self = Self { operations: usize::MAX, bytes: usize::MAX };
}

/// Cuts operations, which already stand in the order of their references, into batches with the ids 1, 2, ….
/// Objects of a kind that may name each other in a circle are never parted.
pub(crate) fn cut(operations: Vec<(Kind, Operation)>, limits: Limits, takeover: bool) -> Vec<Batch> {
    let mut batches: Vec<Batch> = Vec::new();
    let mut bytes = 0;
    let mut last = Kind::Unspecified;
    for (kind, operation) in operations {
        let size = operation.encoded_len();
        let inseparable = kind == last && order::may_be_circular(kind);
        match batches.last_mut() {
            Some(batch)
                if inseparable
                    || (batch.operations.len() < limits.operations && bytes + size <= limits.bytes) =>
            {
                batch.operations.push(operation);
                bytes += size;
            }
            _ => {
                let id = batches.len() as u64 + 1;
                batches.push(Batch { id, operations: vec![operation], takeover, report_unchanged: true });
                bytes = size;
            }
        }
        last = kind;
    }
    batches
}

#[cfg(test)]
mod tests {
    use super::*;
    use agent_api::v1::{Key, key, operation};

    fn operation(id: u32) -> Operation {
        Operation { operation: Some(operation::Operation::Delete(Key { key: Some(key::Key::NextHop(id)) })) }
    }

    fn sizes(kinds: &[Kind], limits: Limits) -> Vec<usize> {
        let operations = kinds.iter().map(|&kind| (kind, operation(7))).collect();
        let batches = cut(operations, limits, false);
        assert!(batches.iter().zip(1..).all(|(batch, id)| batch.id == id && batch.report_unchanged));
        batches.iter().map(|batch| batch.operations.len()).collect()
    }

    #[test]
    fn a_batch_holds_as_many_operations_as_it_may() {
        let limits = Limits { operations: 3, bytes: usize::MAX };
        assert_eq!(sizes(&[Kind::Route; 7], limits), [3, 3, 1]);
        assert_eq!(sizes(&[Kind::Route; 3], limits), [3]);
        assert_eq!(sizes(&[], limits), Vec::<usize>::new());
        assert_eq!(sizes(&[Kind::Route; 5_000], Limits::NONE), [5_000]);
    }

    #[test]
    fn a_batch_holds_as_many_bytes_as_it_may_but_always_one_operation() {
        let size = operation(7).encoded_len();
        assert_eq!(sizes(&[Kind::Route; 5], Limits { operations: 9, bytes: 2 * size }), [2, 2, 1]);
        assert_eq!(sizes(&[Kind::Route; 2], Limits { operations: 9, bytes: 1 }), [1, 1]);
    }

    #[test]
    fn security_groups_stay_together() {
        let limits = Limits { operations: 2, bytes: usize::MAX };
        let kinds = [Kind::Vrf, Kind::SecurityGroup, Kind::SecurityGroup, Kind::SecurityGroup, Kind::Route];
        assert_eq!(sizes(&kinds, limits), [4, 1]);
        let kinds = [
            Kind::Vrf,
            Kind::Vrf,
            Kind::SecurityGroup,
            Kind::SecurityGroup,
            Kind::SecurityGroup,
            Kind::Route,
        ];
        assert_eq!(sizes(&kinds, limits), [2, 3, 1]);
    }

    #[test]
    fn takeover_is_asked_for_in_every_batch() {
        let operations = (0..3).map(|id| (Kind::NextHop, operation(id))).collect();
        let batches = cut(operations, Limits { operations: 1, bytes: 99 }, true);
        assert_eq!((batches.len(), batches.iter().all(|batch| batch.takeover)), (3, true));
    }
}
