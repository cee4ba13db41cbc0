//! DPDK as the workers see it.

use arrayvec::ArrayVec;
use dpdk::{Mbuf, Mempool, RxQueue, TxQueue};
use packet::{L4Checksum, PacketBuf, checksum, parse};

use crate::datapath::BURST;
use crate::worker::io::{Allocate, Io, Receive, Transmit};

// A burst is handed to the driver as it is.
const _: () = assert!(BURST == dpdk::BURST);

/// Frames are mbufs, queues are DPDK's.
#[derive(Debug)]
pub struct Dpdk;

impl Io for Dpdk {
    type Frame = Mbuf;
    type Rx = Receiver;
    type Tx = TxQueue;
    type Pool = Pool;
}

/// What a device does about checksums that a sender has left to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LeftChecksums {
    /// It completes them, or never sees any.
    Completed,
    /// It says which they are.
    Named,
    /// It hands the packets over and does not say which they are: a packet socket keeps that to itself.
    Silent,
}

/// A receive queue.
#[derive(Debug)]
pub struct Receiver {
    queue: RxQueue,
    left: LeftChecksums,
}

impl Receiver {
    /// A queue of a device that treats checksums so.
    #[must_use]
    pub const fn new(queue: RxQueue, left: LeftChecksums) -> Self {
        Self { queue, left }
    }

    /// The queue's number.
    #[must_use]
    pub fn number(&self) -> u16 {
        self.queue.queue()
    }
}

impl Receive<Mbuf> for Receiver {
    #[inline]
    fn receive(&mut self, frames: &mut ArrayVec<Mbuf, BURST>) -> bool {
        self.queue.receive(frames);
        match self.left {
            LeftChecksums::Completed => {}
            LeftChecksums::Named => {
                let left = |frame: &&mut Mbuf| frame.l4_checksum() == L4Checksum::Partial && frame.is_whole();
                frames.iter_mut().filter(left).for_each(complete);
            }
            LeftChecksums::Silent => frames.iter_mut().for_each(complete),
        }
        self.queue.received_whole()
    }
}

/// Completes the checksum of a packet that was sent without.
fn complete<B: PacketBuf>(frame: &mut B) {
    let Ok(meta) = parse::ethernet(frame.data()) else { return };
    let left = frame.l4_checksum() == L4Checksum::Partial || checksum::is_partial(frame.data(), &meta);
    if left && checksum::complete(frame.data_mut(), &meta) {
        frame.set_l4_checksum(L4Checksum::Verified);
    }
}

impl Transmit<Mbuf> for TxQueue {
    #[inline]
    fn send(&mut self, frames: &mut ArrayVec<Mbuf, BURST>) {
        Self::send(self, frames);
    }
}

/// The pool that packets of our own come from.
#[derive(Debug)]
pub struct Pool(pub Mempool);

impl Allocate<Mbuf> for Pool {
    #[inline]
    fn allocate(&mut self) -> Option<Mbuf> {
        self.0.alloc()
    }
}
