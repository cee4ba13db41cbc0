//! DPDK as the workers see it.

use arrayvec::ArrayVec;
use dpdk::{Mbuf, Mempool, RxQueue, TxQueue};

use crate::datapath::BURST;
use crate::worker::io::{Allocate, Io, Receive, Transmit};

// A burst is handed to the driver as it is.
const _: () = assert!(BURST == dpdk::BURST);

/// Frames are mbufs, queues are DPDK's.
#[derive(Debug)]
pub struct Dpdk;

impl Io for Dpdk {
    type Frame = Mbuf;
    type Rx = RxQueue;
    type Tx = TxQueue;
    type Pool = Pool;
}

impl Receive<Mbuf> for RxQueue {
    #[inline]
    fn receive(&mut self, frames: &mut ArrayVec<Mbuf, BURST>) {
        Self::receive(self, frames);
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
