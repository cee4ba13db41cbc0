//! MPLS over GRE of a hot queue, spread over the workers by the flows inside: a NIC sees its two outer addresses only
//! and puts everything that one gateway sends into one queue.
//!
//! Each flow has one owner while its queue is spread, and the receiving worker otherwise. Packets of a flow stay in order:
//!
//! * The receiving worker runs to completion, so whatever it handed over comes behind what it treated itself, as long as it
//!   holds nothing back for a neighbour.
//! * It takes flows back only when their owners have seen everything to its end.
//! * What a worker sends through another one's queue leaves before what that one then takes over (see `Outputs`).
//!
//! All that is remembered per worker stays where it is: fragments are never handed over, so all of a datagram meet.

use arrayvec::ArrayVec;
use packet::PacketBuf;
use packet::encap::inner_flow;
use packet::hash::FlowHasher;

use super::heat::Heat;
use super::lane::{Arrival, Giver, Taker, lane};
use crate::datapath::{BURST, Now};

/// A receive queue's part in this.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Spreading {
    heat: Heat,
    on: bool,
}

/// What a poll changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Course {
    /// The receiving worker treats what it received.
    Alone,
    /// The same, and others have just done so: what they sent through this one has to leave first.
    AloneAgain,
    /// Flows go to their owners.
    Spread,
}

/// One worker's ends of the lanes to and from all others.
#[derive(Debug)]
pub struct Spread<B> {
    hasher: FlowHasher,
    /// This worker's number.
    own: usize,
    /// By worker; its own place is empty.
    givers: Vec<Option<Giver<B>>>,
    pub(super) takers: Vec<Taker<B>>,
    /// By worker: sorted, not yet handed over.
    sorted: Vec<ArrayVec<B, BURST>>,
}

/// Lanes from each of so many workers to each other; the seed keys which flow is whose.
#[must_use]
pub fn spreads<B>(workers: usize, seed: u64) -> Vec<Spread<B>> {
    let empty = |own| Spread {
        hasher: FlowHasher::new(seed),
        own,
        givers: (0..workers).map(|_| None).collect(),
        takers: Vec::with_capacity(workers),
        sorted: (0..workers).map(|_| ArrayVec::new()).collect(),
    };
    let mut all: Vec<Spread<B>> = (0..workers).map(empty).collect();
    for from in 0..workers {
        for to in (0..workers).filter(|to| *to != from) {
            let (giver, taker) = lane();
            all[from].givers[to] = Some(giver);
            all[to].takers.push(taker);
        }
    }
    all
}

impl<B: PacketBuf> Spread<B> {
    /// Whether there are others.
    #[inline]
    pub(super) const fn has_others(&self) -> bool {
        !self.takers.is_empty()
    }

    /// What to do with the frames that a poll brought, none included. `holds` tells whether this worker holds packets
    /// back.
    #[inline]
    pub(super) fn polled(&self, queue: &mut Spreading, frames: &[B], now: Now, holds: bool) -> Course {
        queue.heat.polled(frames, now);
        match (queue.on, queue.heat.is_hot(now)) {
            (false, false) => Course::Alone,
            (false, true) => {
                queue.on = !holds;
                if queue.on { Course::Spread } else { Course::Alone }
            }
            (true, false) if self.givers.iter().flatten().all(Giver::is_done) => {
                queue.on = false;
                Course::AloneAgain
            }
            (true, _) => Course::Spread,
        }
    }

    /// Hands frames over to the owners of their flows. What stays in `frames` is for this worker, what is put into
    /// `refused` had no room in its owner's lane. Returns how many were handed over.
    pub(super) fn hand_over(
        &mut self,
        arrival: Arrival,
        frames: &mut ArrayVec<B, BURST>,
        refused: &mut ArrayVec<B, BURST>,
    ) -> usize {
        frames.iter().for_each(PacketBuf::prefetch);
        let received = frames.len();
        for frame in frames.take() {
            let flow = if frame.is_whole() { inner_flow(frame.data(), &self.hasher) } else { None };
            let owner = flow.map(|flow| self.owner(flow));
            match owner.and_then(|owner| self.sorted.get_mut(owner)).filter(|_| owner != Some(self.own)) {
                Some(sorted) => sorted.push(frame),
                None => frames.push(frame),
            }
        }
        for (giver, sorted) in self.givers.iter_mut().zip(&mut self.sorted) {
            if let Some(giver) = giver.as_mut().filter(|_| !sorted.is_empty()) {
                giver.give(arrival, sorted);
                refused.extend(sorted.drain(..));
            }
        }
        received - frames.len() - refused.len()
    }

    /// The worker that a flow belongs to: each has an equal share of the hashes.
    #[inline]
    fn owner(&self, flow: u64) -> usize {
        ((u128::from(flow) * self.givers.len() as u128) >> 64) as usize
    }
}
