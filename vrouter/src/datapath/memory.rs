//! What one worker alone remembers and a packet's fate depends on, for whoever explains a packet: the other
//! fragments of its datagram, and how much may still be said and punted.

use packet::PacketBuf;

use super::Datapath;
use super::fragment::{Datagram, Key};
use super::icmp::Limiter;

/// Which memory is asked for.
#[derive(Clone, Copy, Debug)]
pub struct MemoryOf(pub(super) Option<Key>);

/// A copy of what a worker remembers.
#[derive(Clone, Debug)]
pub struct Memory {
    pub(super) datagram: Option<Datagram>,
    pub(super) limiter: Limiter,
}

impl Memory {
    /// Whether the worker knows the datagram that was asked for: with several receive queues, whose packet it is.
    #[must_use]
    pub const fn knows_datagram(&self) -> bool {
        self.datagram.is_some()
    }
}

impl<B: PacketBuf> Datapath<B> {
    /// What this worker remembers.
    #[must_use]
    pub fn recall(&self, of: MemoryOf) -> Memory {
        let datagram = of.0.and_then(|key| self.fragments.recall(&key, self.seed));
        Memory { datagram, limiter: self.limiter.clone() }
    }

    /// Takes over what another one remembers.
    pub(super) fn remember(&mut self, memory: Memory) {
        self.limiter = memory.limiter;
        if let Some(datagram) = memory.datagram {
            self.fragments.remember(datagram, self.seed);
        }
    }
}
