//! What others ask of a worker. It looks once per turn, and one load tells it that there is nothing.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::Sender;

use crossbeam::queue::ArrayQueue;
use packet::{InterfaceId, PortId};

use super::io::Io;
use super::queues::{Input, Output};
use crate::datapath::{Memory, MemoryOf};

/// Requests that wait for a worker, at most.
const COMMANDS: usize = 64;
/// Frames that wait for a worker, at most.
const OUTGOING: usize = 1024;

/// A request. What is given back goes through the sender, which has room for it.
#[derive(Debug)]
pub enum Command<I: Io> {
    /// Poll this queue from now on.
    AddInput(Input<I>),
    /// Send to this port so from now on.
    AddOutput(PortId, Output<I>),
    /// Give the receive queues of this port back.
    RemoveInputs(PortId, Sender<Vec<Input<I>>>),
    /// Give what sends to this port back.
    RemoveOutput(PortId, Sender<Option<Output<I>>>),
    /// Say what the data path remembers, for whoever explains a packet.
    Recall(MemoryOf, Sender<Memory>),
    /// End.
    Stop,
}

/// A frame that the control side made.
#[derive(Debug)]
pub struct Outgoing<B> {
    /// Where it leaves, or where it is taken to have arrived.
    pub interface: InterfaceId,
    /// Whether it goes through the pipeline as if received, rather than to the device as it is.
    pub ingress: bool,
    /// The frame.
    pub frame: B,
}

/// The way to one worker.
#[derive(Debug)]
pub struct Mailbox<I: Io> {
    pub(super) commands: ArrayQueue<Command<I>>,
    pub(super) outgoing: ArrayQueue<Outgoing<I::Frame>>,
    /// Written by the worker when it changes.
    generation: AtomicU64,
}

impl<I: Io> Mailbox<I> {
    /// An empty one.
    #[must_use]
    pub fn new() -> Self {
        Self {
            commands: ArrayQueue::new(COMMANDS),
            outgoing: ArrayQueue::new(OUTGOING),
            generation: AtomicU64::new(0),
        }
    }

    /// Asks for something, waiting while the worker is busy with earlier requests.
    pub fn ask(&self, mut command: Command<I>) {
        while let Err(refused) = self.commands.push(command) {
            command = refused;
            std::thread::yield_now();
        }
    }

    /// The generation of the tables that the worker used last.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.generation.load(Ordering::Relaxed)
    }

    /// Shows the generation that the worker uses.
    #[inline]
    pub(super) fn show_generation(&self, generation: u64) {
        if self.generation() != generation {
            self.generation.store(generation, Ordering::Relaxed);
        }
    }

    /// Hands over a frame to send.
    ///
    /// # Errors
    /// The frame, if too many wait already.
    pub fn send(&self, outgoing: Outgoing<I::Frame>) -> Result<(), Outgoing<I::Frame>> {
        self.outgoing.push(outgoing)
    }
}

impl<I: Io> Default for Mailbox<I> {
    fn default() -> Self {
        Self::new()
    }
}
