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

/// A receive queue.
#[derive(Debug)]
pub struct Receiver {
    queue: RxQueue,
    /// The device hands over what a kernel sent to it with checksums left to the device, and does not say which: a
    /// packet socket keeps that to itself.
    completes: bool,
}

impl Receiver {
    /// A queue of a device that completes checksums, or says where it did not; or of one that does neither.
    #[must_use]
    pub const fn new(queue: RxQueue, silent: bool) -> Self {
        Self { queue, completes: silent }
    }

    /// The queue's number.
    #[must_use]
    pub fn number(&self) -> u16 {
        self.queue.queue()
    }
}

impl Receive<Mbuf> for Receiver {
    #[inline]
    fn receive(&mut self, frames: &mut ArrayVec<Mbuf, BURST>) {
        self.queue.receive(frames);
        if self.completes {
            frames.iter_mut().for_each(complete);
        }
    }
}

/// Completes the checksum of a packet that was sent without.
fn complete<B: PacketBuf>(frame: &mut B) {
    let Ok(meta) = parse::ethernet(frame.data()) else { return };
    if checksum::is_partial(frame.data(), &meta) && checksum::complete(frame.data_mut(), &meta) {
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
