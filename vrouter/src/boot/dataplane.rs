//! The workers as the agent API shows them: read-only, and never in a worker's way.

use std::sync::{Arc, mpsc};
use std::time::Duration;

use dpdk::{Eal, Mbuf};
use flow::FlowTable;
use packet::{InterfaceId, WorkerId};

use super::placement::Place;
use crate::agent::{Dataplane, WorkerReport};
use crate::datapath::{
    Context, DropSample, EventQueue, Explanation, Memory, MemoryOf, Now, WorkerCounters, explain,
};
use crate::port::{Assignments, Dpdk};
use crate::services::ServiceCounters;
use crate::tables::Tables;
use crate::worker::{Clock, Command, Mailbox};

/// One worker, as others see it.
pub(super) struct Seen {
    pub(super) place: Place,
    pub(super) counters: Arc<WorkerCounters>,
    pub(super) events: Arc<EventQueue<Mbuf>>,
    pub(super) mailbox: Arc<Mailbox<Dpdk>>,
}

/// The workers and what they share.
pub(super) struct View {
    pub(super) workers: Vec<Seen>,
    pub(super) flows: Arc<FlowTable>,
    pub(super) assignments: Arc<Assignments>,
    pub(super) services: Arc<ServiceCounters>,
    pub(super) seed: u64,
    pub(super) clock: Clock,
}

/// How long a worker may take to say what it remembers: one that is stuck is explained without.
const PATIENCE: Duration = Duration::from_millis(500);

impl View {
    /// What the worker that receives from an interface remembers. Of several, the one that knows the datagram:
    /// which of them a packet reaches is for the device to say.
    fn recall(&self, interface: InterfaceId, of: MemoryOf) -> Option<Memory> {
        let receives = |number| self.assignments.of_worker(number).iter().any(|(id, _)| *id == interface);
        let asked =
            self.workers.iter().enumerate().filter(|(number, _)| receives(*number)).map(|(_, worker)| {
                let (reply, answer) = mpsc::channel();
                worker.mailbox.ask(Command::Recall(of, reply));
                answer
            });
        let asked: Vec<_> = asked.collect();
        let mut answers: Vec<_> =
            asked.into_iter().filter_map(|answer| answer.recv_timeout(PATIENCE).ok()).collect();
        let knows = answers.iter().position(Memory::knows_datagram).unwrap_or(0);
        (knows < answers.len()).then(|| answers.swap_remove(knows))
    }
}

impl Dataplane for View {
    fn workers(&self) -> Vec<WorkerReport> {
        let report = |(number, view): (usize, &Seen)| WorkerReport {
            core: view.place.cpu.and_then(|cpu| u32::try_from(cpu).ok()),
            poll: view.place.poll.name(),
            counters: Arc::clone(&view.counters),
            queues: self.assignments.of_worker(number),
            generation: view.mailbox.generation(),
        };
        self.workers.iter().enumerate().map(report).collect()
    }

    fn flows(&self) -> Option<Arc<FlowTable>> {
        Some(Arc::clone(&self.flows))
    }

    fn services(&self) -> Option<Arc<ServiceCounters>> {
        Some(Arc::clone(&self.services))
    }

    fn explain(&self, tables: &Tables, interface: InterfaceId, frame: &[u8]) -> Option<Explanation> {
        let now = Now { milliseconds: self.clock.milliseconds() };
        let cx = Context { tables, flows: &self.flows, now };
        explain(&cx, self.seed, |of| self.recall(interface, of), interface, frame)
    }

    fn take_samples(&self, sample: &mut dyn FnMut(WorkerId, DropSample)) {
        for (id, view) in (0_u8..).map(WorkerId).zip(&self.workers) {
            while let Some(taken) = view.events.pop_sample() {
                sample(id, taken);
            }
        }
    }

    fn milliseconds(&self) -> u64 {
        self.clock.milliseconds()
    }

    fn dpdk(&self) -> String {
        Eal::version().to_owned()
    }
}
