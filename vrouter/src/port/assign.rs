//! Which worker gets which queue.

use std::sync::{Mutex, PoisonError};

use packet::{InterfaceId, PortId};

/// Who polls what now, as the API shows it.
#[derive(Debug, Default)]
pub struct Assignments(Mutex<Vec<Assignment>>);

#[derive(Clone, Copy, Debug)]
struct Assignment {
    port: PortId,
    interface: InterfaceId,
    queue: u32,
    worker: usize,
}

impl Assignments {
    pub(super) fn add(&self, port: PortId, interface: InterfaceId, receivers: &[usize]) {
        let new =
            (0_u32..).zip(receivers).map(|(queue, &worker)| Assignment { port, interface, queue, worker });
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend(new);
    }

    pub(super) fn remove(&self, port: PortId) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).retain(|assignment| assignment.port != port);
    }

    /// The receive queues of a worker: interface and queue.
    #[must_use]
    pub fn of_worker(&self, worker: usize) -> Vec<(InterfaceId, u32)> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let own = all.iter().filter(|assignment| assignment.worker == worker);
        own.map(|assignment| (assignment.interface, assignment.queue)).collect()
    }
}

/// By number of the receive queue: the worker that polls it. `load` is how many queues each worker polls
/// already, and is raised. The least loaded worker is next, the lowest of equals.
pub(super) fn receivers(queues: usize, load: &mut [usize]) -> Vec<usize> {
    (0..queues)
        .filter_map(|_| {
            let (worker, least) =
                load.iter_mut().enumerate().min_by_key(|(worker, load)| (**load, *worker))?;
            *least += 1;
            Some(worker)
        })
        .collect()
}

/// By worker: the number of the transmit queue that it has for itself or shares, and whether it owns it.
/// With at least as many queues as workers everybody has one; with fewer, the workers that receive from
/// the port own them and the others send through an owner.
pub(super) fn senders(queues: usize, workers: usize, receivers: &[usize]) -> Vec<(usize, bool)> {
    let mut owners: Vec<usize> = Vec::with_capacity(queues.min(workers));
    for worker in receivers.iter().copied().chain(0..workers) {
        if owners.len() < queues.min(workers) && !owners.contains(&worker) {
            owners.push(worker);
        }
    }
    (0..workers)
        .map(|worker| match owners.iter().position(|&owner| owner == worker) {
            Some(queue) => (queue, true),
            None => (worker % owners.len().max(1), false),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn queues_go_to_the_least_loaded_worker() {
        let mut load = [2, 0, 1];
        assert_eq!(receivers(4, &mut load), [1, 1, 2, 0]);
        assert_eq!(load, [3, 2, 2]);
    }

    #[test]
    fn what_a_worker_polls_is_shown_until_the_port_goes() {
        let assignments = Assignments::default();
        assignments.add(PortId(1), InterfaceId(11), &[0, 1, 0]);
        assignments.add(PortId(2), InterfaceId(12), &[1]);
        assert_eq!(assignments.of_worker(0), [(InterfaceId(11), 0), (InterfaceId(11), 2)]);
        assert_eq!(assignments.of_worker(1), [(InterfaceId(11), 1), (InterfaceId(12), 0)]);
        assignments.remove(PortId(1));
        assert!(assignments.of_worker(0).is_empty());
        assert_eq!(assignments.of_worker(1), [(InterfaceId(12), 0)]);
    }

    #[test]
    fn the_worker_that_receives_from_a_port_owns_its_only_transmit_queue() {
        assert_eq!(senders(1, 3, &[2]), [(0, false), (0, false), (0, true)]);
        assert_eq!(senders(4, 2, &[0, 1, 0, 1]), [(0, true), (1, true)]);
        assert_eq!(senders(1, 1, &[0]), [(0, true)]);
    }

    proptest! {
        #[test]
        fn every_queue_has_at_most_one_owner_and_every_worker_a_way_out(
            queues in 1_usize..20,
            load in proptest::collection::vec(0_usize..5, 1..17),
        ) {
            let mut after = load.clone();
            let receivers = receivers(queues, &mut after);
            prop_assert_eq!(receivers.len(), queues);
            prop_assert_eq!(after.iter().sum::<usize>(), load.iter().sum::<usize>() + queues);
            let senders = senders(queues, load.len(), &receivers);
            let mut owned: Vec<usize> =
                senders.iter().filter(|(_, owns)| *owns).map(|(queue, _)| *queue).collect();
            owned.sort_unstable();
            prop_assert_eq!(&owned, &(0..queues.min(load.len())).collect::<Vec<_>>());
            prop_assert!(senders.iter().all(|(queue, _)| owned.contains(queue)));
        }
    }
}
