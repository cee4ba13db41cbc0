//! Up to 64 packets on their way through the stages, and how each of them ended.

use flow::{HalfId, Scope};
use packet::{DropReason, InterfaceId, Label, Meta, NextHopId, PacketBuf, VrfId};

use crate::tables::PeerId;

/// Most packets in a burst.
pub const BURST: usize = 64;

/// Who handed the packet to this vRouter.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Origin {
    /// A workload: the vRouter is its first hop.
    #[default]
    Workload,
    /// Another node, through a tunnel.
    Tunnel,
    /// The fabric, as plain IP.
    Plain,
}

/// Where a packet finally goes, as a session caches it: next hop 24 | label 24 | receive 1 | local 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Leaf(pub u64);

impl Leaf {
    const LOCAL: u64 = 1 << 63;

    /// To the vRouter itself.
    pub const RECEIVE: Self = Self(1 << 62);

    /// A label named the next hop: the destination was not looked up. Kept with a cached leaf.
    pub const DIRECT: u64 = 1 << 61;

    /// The session rests on the routes of a VRF that is not its workload's own, or on another workload than its ends: their
    /// epochs do not tell whether it still holds. Kept with a cached leaf.
    pub const ELSEWHERE: u64 = 1 << 60;

    /// What a session keeps beside its leaf.
    pub const FLAGS: u64 = Self::DIRECT | Self::ELSEWHERE;

    /// The leaf of a session's route word.
    #[inline]
    #[must_use]
    pub const fn cached(route: u64) -> Self {
        Self(route & !Self::FLAGS)
    }

    /// The route word of a session that goes here from now on.
    #[inline]
    #[must_use]
    pub const fn instead_of(self, route: u64) -> u64 {
        self.0 | route & Self::FLAGS
    }

    /// Through a next hop that is neither ECMP nor VRF, with the label to push (if it is a tunnel).
    #[inline]
    #[must_use]
    pub const fn next_hop(id: NextHopId, label: Label) -> Self {
        Self(id.0 as u64 | (label.0 as u64) << 24)
    }

    /// To a local workload.
    #[inline]
    #[must_use]
    pub const fn local(interface: InterfaceId) -> Self {
        Self(interface.0 as u64 | Self::LOCAL)
    }

    /// The local workload, if it is one.
    #[inline]
    #[must_use]
    pub const fn interface(self) -> Option<InterfaceId> {
        if self.0 & Self::LOCAL != 0 { Some(InterfaceId(self.0 as u16)) } else { None }
    }

    /// The next hop; meaningless for a local workload.
    #[inline]
    #[must_use]
    pub const fn id(self) -> NextHopId {
        NextHopId(self.0 as u32 & 0xff_ffff)
    }

    /// Without its label.
    #[inline]
    #[must_use]
    pub const fn unlabelled(self) -> Self {
        Self(if self.0 & Self::LOCAL != 0 { self.0 } else { self.0 | (Label::NONE.0 as u64) << 24 })
    }

    /// The label to push, or `Label::NONE` for the next hop's own.
    #[inline]
    #[must_use]
    pub const fn label(self) -> Label {
        Label((self.0 >> 24) as u32 & 0xff_ffff)
    }
}

/// What the stages know about a packet beside its [`Meta`].
#[derive(Clone, Copy, Debug)]
pub struct Slot {
    /// Where it came in.
    pub arrival: InterfaceId,
    /// Where its destination is looked up.
    pub vrf: VrfId,
    /// The next hop that its label named; 0 = none, look the destination up.
    pub direct: NextHopId,
    /// Who handed it in.
    pub origin: Origin,
    /// The tunnel it came through.
    pub peer: PeerId,
    /// The flow scope, once known; [`Scope::NONE`] for packets without a session.
    pub scope: Scope,
    /// Its session half, once found or made.
    pub half: Option<HalfId>,
    /// Where it goes, once known.
    pub leaf: Leaf,
    /// Source port of the outer UDP header.
    pub entropy: u16,
}

impl Default for Slot {
    fn default() -> Self {
        Self {
            arrival: InterfaceId(0),
            vrf: VrfId(0),
            direct: NextHopId(0),
            origin: Origin::Workload,
            peer: PeerId::UNKNOWN,
            scope: Scope::NONE,
            half: None,
            leaf: Leaf::default(),
            entropy: 0,
        }
    }
}

/// How a packet ended (or that it has not yet).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Verdict {
    /// Still on its way.
    #[default]
    Live,
    /// Handed to a transmit queue.
    Queued,
    /// Ended in a local responder.
    Consumed,
    /// Handed to the control thread.
    Punted,
    /// Waits for a neighbour.
    Held,
    /// Dropped.
    Dropped(DropReason),
}

/// A burst: structure of arrays, so that a stage touches only what it needs.
#[derive(Debug)]
pub struct Burst<B> {
    /// The frames; `None` once a frame has been handed on.
    pub bufs: [Option<B>; BURST],
    /// What the parser found.
    pub meta: [Meta; BURST],
    /// What the stages found.
    pub slot: [Slot; BURST],
    /// How each ended.
    pub verdict: [Verdict; BURST],
    /// Bit i: packet i is still on its way.
    pub live: u64,
    /// How many packets came in.
    pub count: usize,
}

impl<B: PacketBuf> Burst<B> {
    pub(super) fn new() -> Self {
        Self {
            bufs: std::array::from_fn(|_| None),
            meta: [Meta::default(); BURST],
            slot: [Slot::default(); BURST],
            verdict: [Verdict::Live; BURST],
            live: 0,
            count: 0,
        }
    }

    /// Bit i: packet i came in.
    #[inline]
    pub(super) const fn all(&self) -> u64 {
        if self.count == BURST { u64::MAX } else { (1 << self.count) - 1 }
    }

    /// The packets still on their way.
    #[inline]
    pub(super) fn live(&self) -> Bits {
        Bits(self.live)
    }

    /// Ends packet `i`.
    #[inline]
    pub(super) fn end(&mut self, i: usize, verdict: Verdict) {
        self.live &= !(1 << i);
        self.verdict[i] = verdict;
    }
}

/// The set bits of a word, lowest first.
#[derive(Clone, Copy, Debug)]
pub struct Bits(pub u64);

impl Iterator for Bits {
    type Item = usize;

    #[inline]
    fn next(&mut self) -> Option<usize> {
        if self.0 == 0 {
            return None;
        }
        let i = self.0.trailing_zeros() as usize;
        self.0 &= self.0 - 1;
        // The mask tells the compiler what the loop already knows, so that array accesses need no check.
        Some(i & (BURST - 1))
    }
}
