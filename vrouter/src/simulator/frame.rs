//! Frames that are counted while they live, as a device's buffer pool counts its own.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use packet::{L4Checksum, MemoryBuf, PacketBuf};

/// The frames of one simulated vRouter that are not back yet.
#[derive(Clone, Debug, Default)]
pub(super) struct Pool(Arc<AtomicUsize>);

impl Pool {
    /// Counts a frame until it is dropped.
    pub(super) fn lend(&self, memory: MemoryBuf) -> Frame {
        self.0.fetch_add(1, Ordering::Relaxed);
        Frame { memory, pool: self.clone() }
    }

    /// Frames that live.
    pub(super) fn out(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

/// A frame in plain memory.
#[derive(Debug)]
pub struct Frame {
    memory: MemoryBuf,
    pool: Pool,
}

impl Drop for Frame {
    fn drop(&mut self) {
        self.pool.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl PacketBuf for Frame {
    fn data(&self) -> &[u8] {
        self.memory.data()
    }
    fn is_whole(&self) -> bool {
        self.memory.is_whole()
    }
    fn segment_size(&self) -> u16 {
        self.memory.segment_size()
    }
    fn parts(&self) -> impl Iterator<Item = &[u8]> {
        self.memory.parts()
    }
    fn data_mut(&mut self) -> &mut [u8] {
        self.memory.data_mut()
    }
    fn headroom(&self) -> usize {
        self.memory.headroom()
    }
    fn tailroom(&self) -> usize {
        self.memory.tailroom()
    }
    fn grow_front(&mut self, n: usize) -> bool {
        self.memory.grow_front(n)
    }
    fn shrink_front(&mut self, n: usize) -> bool {
        self.memory.shrink_front(n)
    }
    fn grow_back(&mut self, n: usize) -> bool {
        self.memory.grow_back(n)
    }
    fn truncate(&mut self, len: usize) {
        self.memory.truncate(len);
    }
    fn reframe<const N: usize>(&mut self, at: usize, end: usize, front: usize) -> Option<&mut [u8; N]> {
        self.memory.reframe(at, end, front)
    }
    fn l4_checksum(&self) -> L4Checksum {
        self.memory.l4_checksum()
    }
    fn set_l4_checksum(&mut self, state: L4Checksum) {
        self.memory.set_l4_checksum(state);
    }
}
