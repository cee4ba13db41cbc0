//! Frames that wait for a neighbour: finished but for the destination MAC.

use std::collections::VecDeque;

use packet::{Address, DropReason, InterfaceId, PacketBuf};

use super::event::Event;
use super::{Context, Datapath, Ports};
use crate::tables::NeighbourState;

/// Most frames that wait for one neighbour (SEMANTICS 21).
const PER_NEIGHBOUR: usize = 16;
/// Most frames that wait on one worker.
const PER_WORKER: usize = 1024;
/// How long a frame waits at most, in milliseconds: the control thread gives up after three requests.
const PATIENCE: u64 = 4_000;

/// A neighbour of a fabric interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Wanted {
    pub(super) interface: InterfaceId,
    pub(super) v6: bool,
    pub(super) address: Address,
}

#[derive(Debug)]
struct Waiting<B> {
    wanted: Wanted,
    arrival: InterfaceId,
    since: u64,
    frame: B,
}

/// The frames that wait, oldest first.
#[derive(Debug)]
pub(super) struct Hold<B> {
    waiting: VecDeque<Waiting<B>>,
    checked: u64,
}

impl<B> Hold<B> {
    pub(super) fn new() -> Self {
        Self { waiting: VecDeque::with_capacity(PER_WORKER), checked: 0 }
    }

    pub(super) fn len(&self) -> usize {
        self.waiting.len()
    }
}

impl<B: PacketBuf> Datapath<B> {
    /// Parks a frame until its neighbour is known; the oldest of too many is dropped.
    pub(super) fn park(&mut self, cx: &Context<'_>, arrival: InterfaceId, wanted: Wanted, frame: B) {
        let same = |waiting: &Waiting<B>| waiting.wanted == wanted;
        let already = self.hold.waiting.iter().filter(|w| same(w)).count();
        if already == 0 {
            let Wanted { interface, v6, address } = wanted;
            // A full queue only delays the request: the next packet asks again.
            let _ = self.events.push(Event::NeighbourNeeded { interface, v6, address });
        }
        let evicted = if already >= PER_NEIGHBOUR {
            let oldest = self.hold.waiting.iter().position(same);
            oldest.and_then(|at| self.hold.waiting.remove(at))
        } else if self.hold.waiting.len() >= PER_WORKER {
            self.hold.waiting.pop_front()
        } else {
            None
        };
        if let Some(oldest) = evicted {
            self.counters.released.add(1);
            self.count_drop(cx, oldest.arrival, DropReason::NeighbourQueue);
        }
        self.hold.waiting.push_back(Waiting { wanted, arrival, since: cx.now.milliseconds, frame });
    }

    /// Lets go what no longer has to wait. Cheap when nothing waits or nothing changed.
    pub fn release<P: Ports<B>>(&mut self, cx: &Context<'_>, ports: &mut P) {
        let Context { tables, now, .. } = *cx;
        self.expire_fragments(cx);
        self.expire_pieces(cx, ports);
        if self.hold.waiting.is_empty() {
            return;
        }
        let overdue = |w: &Waiting<B>| now.milliseconds.saturating_sub(w.since) > PATIENCE;
        if self.hold.checked == tables.generation && !self.hold.waiting.front().is_some_and(overdue) {
            return;
        }
        self.hold.checked = tables.generation;
        for _ in 0..self.hold.waiting.len() {
            let Some(mut waiting) = self.hold.waiting.pop_front() else { break };
            let Wanted { interface, v6, address } = waiting.wanted;
            let row = tables.interface(interface);
            let verdict = match (row, tables.neighbours.get(interface, v6, &address)) {
                (None, _) => Err(DropReason::InterfaceDown),
                (Some(row), Some(NeighbourState::Resolved(mac))) => Ok((row, mac)),
                (_, Some(NeighbourState::Failed)) => Err(DropReason::NeighbourFailed),
                (_, None) if overdue(&waiting) => Err(DropReason::NeighbourFailed),
                (_, None) => {
                    self.hold.waiting.push_back(waiting);
                    continue;
                }
            };
            self.counters.released.add(1);
            match verdict {
                Ok((row, mac)) => {
                    if let Some(field) = waiting.frame.data_mut().first_chunk_mut::<6>() {
                        *field = mac;
                    }
                    self.outputs.push(row, waiting.frame);
                    // Room for the next ones: a queue holds more frames than the outputs do.
                    if self.outputs.is_nearly_full() {
                        self.flush(cx, ports);
                    }
                }
                Err(reason) => self.count_drop(cx, waiting.arrival, reason),
            }
        }
        self.flush(cx, ports);
    }
}
