//! What a worker asks of the world of devices. DPDK implements it in `port`; tests do in plain memory.

use std::fmt::Debug;

use arrayvec::ArrayVec;
use packet::PacketBuf;

use crate::datapath::BURST;

/// A receive queue, used by one worker at a time.
pub trait Receive<B>: Debug + Send {
    /// Appends what has arrived, as far as there is room. Whether all of that is whole ([`PacketBuf::is_whole`]).
    fn receive(&mut self, frames: &mut ArrayVec<B, BURST>) -> bool;
}

/// A transmit queue, used by one worker at a time.
pub trait Transmit<B>: Debug + Send {
    /// Sends from the front; what stays in `frames` was not taken.
    fn send(&mut self, frames: &mut ArrayVec<B, BURST>);
}

/// Where empty frames come from.
pub trait Allocate<B>: Debug + Send {
    /// An empty frame with headroom; `None` when there is none left.
    fn allocate(&mut self) -> Option<B>;
}

/// The kinds of things that go together.
pub trait Io: Debug + 'static {
    /// A frame's memory.
    type Frame: PacketBuf + Debug + Send + 'static;
    /// A receive queue.
    type Rx: Receive<Self::Frame> + 'static;
    /// A transmit queue.
    type Tx: Transmit<Self::Frame> + 'static;
    /// A source of empty frames.
    type Pool: Allocate<Self::Frame> + 'static;
}
