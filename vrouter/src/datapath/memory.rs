//! What one worker alone remembers and a packet's fate depends on, for whoever explains a packet: the other
//! fragments of its datagram, and how much may still be said and punted.

use packet::{MemoryBuf, PacketBuf};

use super::fragment::{Datagram, Key};
use super::icmp::Limiter;
use super::{Datapath, reassembly};

/// Which memory is asked for.
#[derive(Clone, Copy, Debug, Default)]
pub struct MemoryOf {
    /// Of the datagram that a packet is a fragment of.
    pub(super) datagram: Option<Key>,
    /// Of the tunnel packet that a frame is a fragment of.
    pub(super) outer: Option<reassembly::Key>,
}

/// A copy of what a worker remembers.
#[derive(Clone, Debug)]
pub struct Memory {
    pub(super) datagram: Option<Datagram>,
    pub(super) outer: Option<reassembly::Packet<MemoryBuf>>,
    pub(super) limiter: Limiter,
}

impl Memory {
    /// Whether the worker knows the datagram that was asked for: with several receive queues, whose packet it is.
    #[must_use]
    pub const fn knows_datagram(&self) -> bool {
        self.datagram.is_some() || self.outer.is_some()
    }
}

impl<B: PacketBuf> Datapath<B> {
    /// What this worker remembers.
    #[must_use]
    pub fn recall(&self, of: MemoryOf) -> Memory {
        let datagram = of.datagram.and_then(|key| self.fragments.recall(&key, self.seed));
        let outer = of.outer.and_then(|key| self.reassembly.recall(&key));
        Memory { datagram, outer, limiter: self.limiter.clone() }
    }
}

impl Datapath<MemoryBuf> {
    /// Takes over what another one remembers.
    pub(super) fn remember(&mut self, memory: Memory) {
        self.limiter = memory.limiter;
        if let Some(datagram) = memory.datagram {
            self.fragments.remember(datagram, self.seed);
        }
        if let Some(outer) = memory.outer {
            self.reassembly.remember(outer);
        }
    }
}
