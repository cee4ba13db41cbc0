//! Devices of plain memory, for tests.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use arrayvec::ArrayVec;
use packet::{MemoryBuf, PacketBuf};

use super::io::{Allocate, Io, Receive, Transmit};
use crate::datapath::BURST;

#[derive(Debug)]
pub(crate) struct Memory;

impl Io for Memory {
    type Frame = MemoryBuf;
    type Rx = Wire;
    type Tx = Wire;
    type Pool = MemoryPool;
}

/// A device's ring: what is put in is received, what is sent is taken out. Clones are the same ring.
#[derive(Clone, Debug)]
pub(crate) struct Wire {
    frames: Arc<Mutex<Vec<MemoryBuf>>>,
    room: usize,
}

impl Wire {
    /// A ring for `room` frames.
    pub(crate) fn new(room: usize) -> Self {
        Self { frames: Arc::default(), room }
    }

    pub(crate) fn tx(&self) -> Self {
        self.clone()
    }

    pub(crate) fn put(&self, frame: &[u8]) {
        self.frames.lock().unwrap().push(MemoryBuf::new(frame));
    }

    pub(crate) fn take(&self) -> Vec<MemoryBuf> {
        std::mem::take(&mut self.frames.lock().unwrap())
    }
}

impl Receive<MemoryBuf> for Wire {
    fn receive(&mut self, frames: &mut ArrayVec<MemoryBuf, BURST>) -> bool {
        let mut waiting = self.frames.lock().unwrap();
        let count = waiting.len().min(frames.remaining_capacity());
        frames.extend(waiting.drain(..count));
        frames.iter().all(PacketBuf::is_whole)
    }
}

impl Transmit<MemoryBuf> for Wire {
    fn send(&mut self, frames: &mut ArrayVec<MemoryBuf, BURST>) {
        let mut ring = self.frames.lock().unwrap();
        let count = frames.len().min(self.room.saturating_sub(ring.len()));
        ring.extend(frames.drain(..count));
    }
}

/// A pool that counts. Clones are the same pool.
#[derive(Clone, Debug)]
pub(crate) struct MemoryPool(Arc<AtomicUsize>);

impl MemoryPool {
    pub(crate) fn new(frames: usize) -> Self {
        Self(Arc::new(AtomicUsize::new(frames)))
    }
}

impl Allocate<MemoryBuf> for MemoryPool {
    fn allocate(&mut self) -> Option<MemoryBuf> {
        let left = self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1));
        left.is_ok().then(|| MemoryBuf::new(&[]))
    }
}
