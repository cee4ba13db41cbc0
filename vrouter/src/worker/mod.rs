//! A worker: one thread that takes packets from its receive queues and sees each to its end.

mod ageing;
mod clock;
mod crew;
mod heat;
mod idle;
pub mod io;
mod lane;
mod mailbox;
#[cfg(test)]
pub(crate) mod memory;
mod queues;
mod spread;
#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::Arc;
use std::thread;

use arrayvec::ArrayVec;
use flow::{FlowTable, SessionSink};
use packet::{DropReason, InterfaceId, PacketBuf, WorkerId};
use sync::{Boundaries, Reader};

pub use ageing::{Ageing, AgeingThread};
pub use clock::Clock;
pub use crew::Crew;
pub use idle::PollMode;
pub use io::Io;
pub use mailbox::{Command, Mailbox, Outgoing};
pub use queues::{Handoff, Input, Output};
pub use spread::{Spread, spreads};

use crate::datapath::{BURST, Context, Datapath, Now, Ports, WorkerCounters};
use crate::tables::{Interface, Role, Tables};
use clock::Time;
use idle::{Idle, Rest};
use lane::Arrival;
use queues::Outputs;
use spread::{Course, Spreading};

/// Frames of the control side that one turn sends at most, so that packets do not wait for them.
const OUTGOING_PER_TURN: usize = BURST;

/// What a worker is made of.
pub struct Parts<I: Io, S> {
    /// Its number.
    pub id: WorkerId,
    /// The published tables.
    pub tables: Reader<Tables>,
    /// Who has passed a burst boundary.
    pub boundaries: Boundaries,
    /// The sessions of all workers.
    pub flows: Arc<FlowTable>,
    /// What it does with packets.
    pub datapath: Datapath<I::Frame>,
    /// What it counts; the data path counts there too.
    pub counters: Arc<WorkerCounters>,
    /// Where requests come from.
    pub mailbox: Arc<Mailbox<I>>,
    /// Where empty frames come from.
    pub pool: I::Pool,
    /// Who hears of sessions that ended.
    pub sink: S,
    /// The time.
    pub clock: Clock,
    /// What it does when there is nothing to do.
    pub poll: PollMode,
    /// Its lanes to and from the other workers.
    pub spread: Spread<I::Frame>,
}

/// A receive queue, and what this worker has seen of it.
#[derive(Debug)]
struct Polled<I: Io> {
    input: Input<I>,
    spreading: Spreading,
}

/// See the module.
pub struct Worker<I: Io, S> {
    id: WorkerId,
    tables: Reader<Tables>,
    boundaries: Boundaries,
    flows: Arc<FlowTable>,
    datapath: Datapath<I::Frame>,
    counters: Arc<WorkerCounters>,
    mailbox: Arc<Mailbox<I>>,
    sink: S,
    clock: Clock,
    time: Time,
    idle: Idle,
    inputs: Vec<Polled<I>>,
    outputs: Outputs<I>,
    spread: Spread<I::Frame>,
    frames: ArrayVec<I::Frame, BURST>,
    /// Frames that found no room on their way to another worker.
    refused: ArrayVec<I::Frame, BURST>,
    stopped: bool,
}

impl<I: Io, S: SessionSink> Worker<I, S> {
    /// A worker without queues: they come by its mailbox.
    #[must_use]
    pub fn new(parts: Parts<I, S>) -> Self {
        let Parts {
            id,
            tables,
            boundaries,
            flows,
            datapath,
            counters,
            mailbox,
            pool,
            sink,
            clock,
            poll,
            spread,
        } = parts;
        Self {
            id,
            tables,
            boundaries,
            flows,
            datapath,
            counters,
            mailbox,
            sink,
            clock,
            time: Time::new(clock),
            idle: Idle::new(poll, &clock),
            inputs: Vec::new(),
            outputs: Outputs::new(pool),
            spread,
            frames: ArrayVec::new(),
            refused: ArrayVec::new(),
            stopped: false,
        }
    }

    /// Works until it is asked to stop; whoever joins the thread then calls [`Self::finish`].
    pub fn run(&mut self) {
        let mut before = self.clock.ticks();
        self.idle.worked(before);
        while !self.stopped {
            let now = self.time.at(before);
            let worked = self.turn(now);
            let after = self.clock.ticks();
            let spent = after - before;
            before = after;
            if worked {
                self.counters.work_cycles.add(spent);
                self.idle.worked(after);
                continue;
            }
            self.counters.poll_cycles.add(spent);
            match self.idle.rest(after) {
                Rest::None => {}
                Rest::Pause => std::hint::spin_loop(),
                Rest::Sleep(time) => {
                    // Nobody waits for a sleeper; it takes the newest tables before the next packet.
                    self.tables.offline();
                    thread::sleep(time);
                    before = self.clock.ticks();
                    self.counters.sleep_cycles.add(before - after);
                }
            }
        }
        self.tables.offline();
    }

    /// Looks once at everything that could bring work; whether there was any.
    fn turn(&mut self, now: Now) -> bool {
        let mut worked = self.catch_up();
        let cx = Context { tables: self.tables.current(), flows: &self.flows, now };
        self.mailbox.show_generation(cx.tables.generation);
        self.datapath.release(&cx, &mut self.outputs);
        if !self.mailbox.outgoing.is_empty() {
            self.originate(now);
            worked = true;
        }
        for Polled { input, spreading } in &mut self.inputs {
            // Each burst is a boundary, so that a change does not wait for the round over all queues.
            let cx = Context { tables: self.tables.refresh(), flows: &self.flows, now };
            if !self.mailbox.commands.is_empty() {
                // These tables may lead to a port that the next turn gets to know.
                worked = true;
                break;
            }
            // What comes before the interface is in the tables waits in the device.
            let known = cx.tables.interface(input.interface);
            let Some(interface) = known.filter(|interface| interface.port == Some(input.port)) else {
                continue;
            };
            let whole = io::Receive::receive(&mut input.rx, &mut self.frames);
            worked |= !self.frames.is_empty();
            if interface.role == Role::Fabric && self.spread.has_others() {
                match self.spread.polled(spreading, &self.frames, now, self.datapath.held() > 0) {
                    Course::Alone => {}
                    Course::AloneAgain => _ = self.outputs.forward(),
                    Course::Spread => {
                        let (arrival, refused) = (arrival_at(interface), &mut self.refused);
                        let handed = self.spread.hand_over(arrival, &mut self.frames, refused);
                        self.counters.handed_over.add(handed as u64);
                        if !refused.is_empty() {
                            self.datapath.turn_away(&cx, input.interface, refused, DropReason::SpreadFull);
                        }
                    }
                }
            }
            if self.frames.is_empty() {
                continue;
            }
            if whole {
                self.datapath.run(&cx, input.interface, &mut self.frames, &mut self.outputs);
            } else {
                self.datapath.run_super_frames(&cx, input.interface, &mut self.frames, &mut self.outputs);
            }
        }
        worked |= self.take_over(now);
        worked |= self.outputs.forward();
        let tables = self.tables.current();
        self.datapath.housekeeping(tables, &self.flows, &self.boundaries, &mut self.sink);
        worked
    }

    /// Sees to their end what other workers handed over; whether there was anything.
    fn take_over(&mut self, now: Now) -> bool {
        let mut worked = false;
        for taker in &mut self.spread.takers {
            // As with a queue of its own.
            let cx = Context { tables: self.tables.refresh(), flows: &self.flows, now };
            if !self.mailbox.commands.is_empty() {
                return true;
            }
            if let Some(arrival) = taker.take(&mut self.frames) {
                worked = true;
                // Earlier packets of these flows, which their receiver sent through this worker, leave first.
                self.outputs.forward();
                let interface = cx.tables.interface(arrival.interface);
                let same = interface.is_some_and(|interface| arrival_at(interface) == arrival);
                let from = if same { arrival.interface } else { InterfaceId(0) };
                self.counters.taken_over.add(self.frames.len() as u64);
                self.datapath.run(&cx, from, &mut self.frames, &mut self.outputs);
            }
            // What waits for a neighbour is not over.
            if self.datapath.held() == 0 {
                taker.finish();
            }
        }
        worked
    }

    /// Takes the newest tables and then does what was asked before they were published: where they lead to a new
    /// port, this worker can send by it. Whether anything was asked.
    fn catch_up(&mut self) -> bool {
        self.tables.refresh();
        let mut asked = false;
        while let Some(command) = self.mailbox.commands.pop() {
            self.obey(command);
            asked = true;
        }
        asked
    }

    fn obey(&mut self, command: Command<I>) {
        match command {
            Command::AddInput(input) => {
                self.inputs.push(Polled { input, spreading: Spreading::default() });
            }
            Command::AddOutput(port, output) => self.outputs.add(port, output),
            Command::RemoveInputs(port, reply) => {
                let removed = self.inputs.extract_if(.., |polled| polled.input.port == port);
                let removed = removed.map(|polled| polled.input).collect();
                // Who asked and went away gets nothing: then the queues are dropped here.
                let _ = reply.send(removed);
            }
            Command::RemoveOutput(port, reply) => {
                let _ = reply.send(self.outputs.remove(port));
            }
            Command::Recall(of, reply) => {
                let _ = reply.send(self.datapath.recall(of));
            }
            Command::Stop => self.stopped = true,
        }
    }

    /// Sends what the control side made.
    fn originate(&mut self, now: Now) {
        for _ in 0..OUTGOING_PER_TURN {
            let Some(Outgoing { interface, ingress, frame }) = self.mailbox.outgoing.pop() else { break };
            self.catch_up();
            let cx = Context { tables: self.tables.current(), flows: &self.flows, now };
            self.frames.push(frame);
            if ingress {
                self.datapath.run(&cx, interface, &mut self.frames, &mut self.outputs);
                continue;
            }
            let bytes = self.frames.iter().map(|frame| frame.len() as u64).sum();
            let row = cx.tables.interface(interface);
            let port = row.and_then(|row| row.port);
            if let Some(port) = port {
                self.outputs.send(port, &mut self.frames);
            }
            self.counters.originated.add(1);
            if self.frames.is_empty() {
                self.counters.sent.add(1);
                if let Some(row) = row {
                    let counters = row.counters.worker(self.id);
                    counters.tx_packets.add(1);
                    counters.tx_bytes.add(bytes);
                }
            } else {
                let reason = if port.is_some() { DropReason::TxFull } else { DropReason::TxDown };
                self.counters.drops[reason as usize].add(1);
                if let Some(row) = row {
                    row.counters.worker(self.id).drops[reason as usize].add(1);
                }
                self.frames.clear();
            }
        }
    }

    /// Gives sessions and frames back. No worker may be inside a burst any more.
    pub fn finish(mut self) {
        self.datapath.finish(&self.flows, &mut self.sink);
    }
}

/// Where the frames of an interface's device come in.
fn arrival_at(interface: &Interface) -> Arrival {
    Arrival { interface: interface.id, born: interface.born }
}

impl<I: Io, S> fmt::Debug for Worker<I, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Worker").field("id", &self.id).field("inputs", &self.inputs).finish_non_exhaustive()
    }
}

impl<I: Io, S> fmt::Debug for Parts<I, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Parts").field("id", &self.id).finish_non_exhaustive()
    }
}
