//! The queues of one worker, and how it reaches devices whose transmit queue another worker has.

use std::sync::Arc;

use arrayvec::ArrayVec;
use crossbeam::queue::ArrayQueue;
use packet::{InterfaceId, PortId};

use super::io::{Allocate, Io, Transmit};
use crate::datapath::{BURST, Ports};

/// Frames on their way to the worker that has the transmit queue. Many may put in, that worker takes out.
#[derive(Debug)]
pub struct Handoff<B>(ArrayQueue<B>);

/// Frames that a handoff holds.
const HANDOFF: usize = 512;

impl<B> Handoff<B> {
    /// An empty one.
    #[must_use]
    pub fn new() -> Self {
        Self(ArrayQueue::new(HANDOFF))
    }

    /// Puts frames in from the front; what stays did not fit.
    fn offer(&self, frames: &mut ArrayVec<B, BURST>) {
        let mut offered = frames.take().into_iter();
        for frame in offered.by_ref() {
            // It comes back when the queue is full.
            if let Err(frame) = self.0.push(frame) {
                frames.push(frame);
                break;
            }
        }
        frames.extend(offered);
    }
}

impl<B> Default for Handoff<B> {
    fn default() -> Self {
        Self::new()
    }
}

/// How a worker sends to one port.
#[derive(Debug)]
pub enum Output<I: Io> {
    /// By a queue that it alone has.
    Own(I::Tx),
    /// By a queue of its own, through which other workers send too.
    Shared(I::Tx, Arc<Handoff<I::Frame>>),
    /// Through the worker that has the queue.
    Through(Arc<Handoff<I::Frame>>),
}

/// A receive queue and whose packets it brings.
#[derive(Debug)]
pub struct Input<I: Io> {
    /// The port.
    pub port: PortId,
    /// The queue's number.
    pub queue: u16,
    /// The interface that the packets arrive on.
    pub interface: InterfaceId,
    /// The queue.
    pub rx: I::Rx,
}

/// What a worker sends through.
#[derive(Debug)]
pub(super) struct Outputs<I: Io> {
    /// By port.
    ports: Vec<Option<Output<I>>>,
    /// Ports whose queue is ours and shared.
    shared: Vec<PortId>,
    /// Taken from a handoff, not yet taken by the device: one burst per shared port, in their order.
    pending: Vec<ArrayVec<I::Frame, BURST>>,
    /// Whether any of these may have frames.
    behind: bool,
    pool: I::Pool,
}

impl<I: Io> Outputs<I> {
    pub(super) const fn new(pool: I::Pool) -> Self {
        Self { ports: Vec::new(), shared: Vec::new(), pending: Vec::new(), behind: false, pool }
    }

    pub(super) fn add(&mut self, port: PortId, output: Output<I>) {
        if self.ports.len() <= port.index() {
            self.ports.resize_with(port.index() + 1, || None);
        }
        if matches!(output, Output::Shared(..)) {
            self.shared.push(port);
            self.pending.push(ArrayVec::new());
        }
        self.ports[port.index()] = Some(output);
    }

    /// Gives the port's output back. What other workers still wanted to send by it goes out first, as far
    /// as the device takes it.
    pub(super) fn remove(&mut self, port: PortId) -> Option<Output<I>> {
        self.forward();
        if let Some(at) = self.shared.iter().position(|shared| *shared == port) {
            self.shared.swap_remove(at);
            drop(self.pending.swap_remove(at));
        }
        self.ports.get_mut(port.index()).and_then(Option::take)
    }

    /// Sends what other workers handed over; whether anything moved.
    #[inline]
    pub(super) fn forward(&mut self) -> bool {
        let mut any = false;
        self.behind = false;
        for (port, pending) in self.shared.iter().zip(&mut self.pending) {
            let Some(Some(Output::Shared(tx, handoff))) = self.ports.get_mut(port.index()) else { continue };
            loop {
                let before = pending.len();
                while !pending.is_full()
                    && let Some(frame) = handoff.0.pop()
                {
                    pending.push(frame);
                }
                if pending.is_empty() {
                    break;
                }
                let ready = pending.len();
                tx.send(pending);
                any |= before < ready || pending.len() < ready;
                // A device that is full gets the rest in the next turn.
                if !pending.is_empty() {
                    self.behind = true;
                    break;
                }
            }
        }
        any
    }

    /// Sends to a shared port while a full device left frames of others here: those go first.
    #[cold]
    fn send_behind(&mut self, port: PortId, frames: &mut ArrayVec<I::Frame, BURST>) {
        let Some(Some(Output::Shared(tx, _))) = self.ports.get_mut(port.index()) else { return };
        let at = self.shared.iter().position(|shared| *shared == port);
        if let Some(pending) =
            at.and_then(|at| self.pending.get_mut(at)).filter(|pending| !pending.is_empty())
        {
            tx.send(pending);
            if !pending.is_empty() {
                return;
            }
        }
        tx.send(frames);
    }
}

impl<I: Io> Ports<I::Frame> for Outputs<I> {
    #[inline]
    fn send(&mut self, port: PortId, frames: &mut ArrayVec<I::Frame, BURST>) {
        match self.ports.get_mut(port.index()) {
            Some(Some(Output::Shared(..))) if self.behind => self.send_behind(port, frames),
            Some(Some(Output::Own(tx) | Output::Shared(tx, _))) => tx.send(frames),
            Some(Some(Output::Through(handoff))) => handoff.offer(frames),
            _ => {}
        }
    }

    #[inline]
    fn allocate(&mut self) -> Option<I::Frame> {
        self.pool.allocate()
    }
}

#[cfg(test)]
mod tests {
    use packet::PacketBuf;
    use packet::buf::MemoryBuf;

    use super::super::memory::{Memory, MemoryPool, Wire};
    use super::*;

    fn burst(from: u8, count: usize) -> ArrayVec<MemoryBuf, BURST> {
        (0..count).map(|i| MemoryBuf::new(&[from + i as u8])).collect()
    }

    fn first_bytes(wire: &Wire) -> Vec<u8> {
        wire.take().iter().map(|frame| frame.data()[0]).collect()
    }

    #[test]
    fn a_worker_without_the_queue_sends_through_the_one_that_has_it_in_order() {
        let wire = Wire::new(1000);
        let handoff = Arc::new(Handoff::new());
        let mut owner = Outputs::<Memory>::new(MemoryPool::new(9));
        let mut other = Outputs::<Memory>::new(MemoryPool::new(9));
        owner.add(PortId(3), Output::Shared(wire.tx(), Arc::clone(&handoff)));
        other.add(PortId(3), Output::Through(handoff));

        other.send(PortId(3), &mut burst(1, 3));
        assert!(wire.take().is_empty(), "it is the owner's to send");
        owner.send(PortId(3), &mut burst(10, 1));
        assert!(owner.forward());
        assert_eq!(first_bytes(&wire), [10, 1, 2, 3]);
        assert!(!owner.forward(), "nothing is left");
    }

    #[test]
    fn what_does_not_fit_stays_with_the_sender_and_nothing_is_lost_in_between() {
        let wire = Wire::new(5);
        let handoff = Arc::new(Handoff::new());
        let mut owner = Outputs::<Memory>::new(MemoryPool::new(9));
        let mut other = Outputs::<Memory>::new(MemoryPool::new(9));
        owner.add(PortId(0), Output::Shared(wire.tx(), Arc::clone(&handoff)));
        other.add(PortId(0), Output::Through(handoff));
        let mut accepted = 0;
        for _ in 0..20 {
            let mut frames = burst(0, BURST);
            other.send(PortId(0), &mut frames);
            accepted += BURST - frames.len();
        }
        assert_eq!(accepted, HANDOFF);
        let mut arrived = Vec::new();
        while owner.forward() {
            arrived.extend(first_bytes(&wire));
        }
        let expected: Vec<u8> = (0..HANDOFF).map(|i| (i % BURST) as u8).collect();
        assert_eq!(arrived, expected);
    }

    #[test]
    fn what_waits_for_a_full_device_leaves_before_what_the_owner_sends_later() {
        let wire = Wire::new(2);
        let handoff = Arc::new(Handoff::new());
        let mut owner = Outputs::<Memory>::new(MemoryPool::new(9));
        owner.add(PortId(0), Output::Shared(wire.tx(), Arc::clone(&handoff)));
        handoff.offer(&mut burst(1, 3));
        assert!(owner.forward());
        let mut later = burst(10, 1);
        owner.send(PortId(0), &mut later);
        assert_eq!(later.len(), 1, "there is no room for it, as the device is full");
        assert_eq!(first_bytes(&wire), [1, 2]);
        owner.send(PortId(0), &mut later);
        assert_eq!(first_bytes(&wire), [3, 10]);
    }

    #[test]
    fn a_port_that_is_removed_first_sends_what_others_handed_over() {
        let wire = Wire::new(1000);
        let handoff = Arc::new(Handoff::new());
        let mut owner = Outputs::<Memory>::new(MemoryPool::new(9));
        owner.add(PortId(1), Output::Shared(wire.tx(), Arc::clone(&handoff)));
        handoff.offer(&mut burst(5, 2));
        assert!(matches!(owner.remove(PortId(1)), Some(Output::Shared(..))));
        assert_eq!(first_bytes(&wire), [5, 6]);
        let mut frames = burst(1, 2);
        owner.send(PortId(1), &mut frames);
        assert_eq!(frames.len(), 2, "nobody takes them any more");
        assert!(owner.remove(PortId(1)).is_none());
        assert!(owner.remove(PortId(77)).is_none());
    }
}
