//! Tunnel packets that the underlay has cut are put together again before they are opened (SEMANTICS 14). Only the
//! first fragment tells whether a packet is a tunnel's or the node's own: fragments wait for it, and those of the
//! node's own packets then go on as they came.

use std::collections::VecDeque;

use arrayvec::ArrayVec;
use packet::protocol::ip;
use packet::{Address, DropReason, Facts, InterfaceId, MemoryBuf, Meta, PacketBuf, encap, join, parse};

use super::burst::{Origin, Verdict};
use super::{Context, Datapath, Ports};
use crate::tables::{Interface, Role};

/// Packets that are being put together on one worker; the oldest gives way.
const PACKETS: usize = 128;
/// Fragments of one packet.
const PIECES: usize = 16;
/// Fragments that wait on one worker: each has a buffer of the mempool.
const PER_WORKER: usize = 512;
/// How long a packet is waited for, in milliseconds.
const LIFETIME: u64 = 1_000;

/// What all fragments of one packet share.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Key {
    identification: u32,
    arrival: InterfaceId,
    /// When the interface was created: another one with its id has no part in the packet.
    born: u32,
    protocol: u8,
    src: Address,
    dst: Address,
}

/// What is known about a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Its first fragment has not come.
    Unknown,
    /// It is a tunnel's.
    Tunnel,
    /// It is the node's own: its fragments are none of our business.
    Plain,
    /// It cannot be had any more: what still comes of it is dropped.
    Condemned(DropReason),
}

/// A packet that comes in fragments.
#[derive(Clone, Debug)]
pub(super) struct Packet<B> {
    key: Key,
    state: State,
    until: u64,
    /// Bytes of its payload, once its last fragment has come.
    length: Option<u32>,
    /// What is here of it, in order and apart from each other.
    pieces: ArrayVec<Piece<B>, PIECES>,
}

#[derive(Clone, Debug)]
struct Piece<B> {
    /// Its place in the payload, as [begin, end) in bytes.
    begin: u32,
    end: u32,
    frame: B,
}

/// What goes on when the burst is through.
#[derive(Debug)]
enum Ready<B> {
    /// A packet that is all here.
    Whole(Packet<B>),
    /// A fragment of the node's own.
    Plain(InterfaceId, B),
}

/// The packets that are being put together, oldest first.
#[derive(Debug)]
pub(super) struct Reassembly<B> {
    packets: VecDeque<Packet<B>>,
    waiting: usize,
    ready: VecDeque<Ready<B>>,
    /// Whether fragments are let by: those that go on here have been looked at.
    pass: bool,
}

/// Which packet a frame of the fabric is a fragment of, if that could be a tunnel's to this node.
fn fragment_of(interface: &Interface, frame: &[u8], meta: &Meta) -> Option<(Key, packet::Fragment)> {
    let own = interface.role == Role::Fabric
        && meta.facts.contains(Facts::FRAGMENT)
        && frame.first_chunk() == Some(&interface.mac)
        && interface.addresses(meta.is_ipv6()).contains(&meta.dst);
    let fragment = packet::fragment(frame, meta).filter(|_| own)?;
    let packet::Fragment { identification, protocol, .. } = fragment;
    let Meta { src, dst, .. } = *meta;
    let key = Key { identification, arrival: interface.id, born: interface.born, protocol, src, dst };
    matches!(protocol, ip::UDP | ip::GRE).then_some((key, fragment))
}

/// The packet that a frame is a fragment of.
pub(super) fn key_of(interface: &Interface, frame: &[u8]) -> Option<Key> {
    let meta = parse::ethernet(frame).ok()?;
    fragment_of(interface, frame, &meta).map(|(key, _)| key)
}

impl<B: PacketBuf> Packet<B> {
    /// Where a stretch of payload belongs among the pieces.
    fn place(&self, begin: u32, end: u32, more: bool) -> Result<usize, DropReason> {
        let at = self.pieces.partition_point(|piece| piece.end <= begin);
        let overlaps = self.pieces.get(at).is_some_and(|next| next.begin < end);
        let beyond = match (self.length, self.pieces.last()) {
            (Some(length), _) => end > length || !more,
            (None, Some(last)) => !more && last.end > end,
            (None, None) => false,
        };
        if overlaps || beyond {
            return Err(DropReason::FragmentOverlap);
        }
        if self.pieces.is_full() { Err(DropReason::FragmentLimit) } else { Ok(at) }
    }

    /// Adds a fragment that belongs at `at`.
    fn add(&mut self, at: usize, fragment: &packet::Fragment, frame: B) {
        let begin = u32::from(fragment.place);
        let end = begin + u32::from(fragment.length);
        if !fragment.more {
            self.length = Some(end);
        }
        self.pieces.insert(at, Piece { begin, end, frame });
    }

    fn is_complete(&self) -> bool {
        let reached = self.pieces.iter().try_fold(0, |at, piece| (piece.begin == at).then_some(piece.end));
        self.state == State::Tunnel && self.length.is_some() && reached == self.length
    }

    /// Writes the whole packet into an empty buffer.
    fn join_into(&self, out: &mut B) -> Result<(), DropReason> {
        let facts: ArrayVec<(&[u8], Meta), PIECES> = self
            .pieces
            .iter()
            .filter_map(|piece| Some((piece.frame.data(), parse::ethernet(piece.frame.data()).ok()?)))
            .collect();
        let ((first, meta), rest) = facts.split_first().ok_or(DropReason::InvalidIpHeader)?;
        let marked = facts.iter().any(|(_, meta)| join::is_marked(meta));
        let rest = rest.iter().filter_map(|(frame, meta)| join::payload(frame, meta));
        join::join(out, (first, meta), rest.map(|(_, payload)| payload), marked)
    }
}

impl Packet<MemoryBuf> {
    /// The whole packet, if this fragment was all that is missing; for whoever explains it.
    pub(super) fn completed_by(&self, interface: &Interface, frame: &[u8]) -> Option<Vec<u8>> {
        let meta = parse::ethernet(frame).ok()?;
        let (_, fragment) = fragment_of(interface, frame, &meta)?;
        let mut packet = self.clone();
        let begin = u32::from(fragment.place);
        let at = packet.place(begin, begin + u32::from(fragment.length), fragment.more).ok()?;
        packet.add(at, &fragment, MemoryBuf::new(frame));
        if packet.state == State::Unknown && encap::begins_tunnel(frame, &meta) {
            packet.state = State::Tunnel;
        }
        let mut whole = MemoryBuf::with_tailroom(&[], usize::from(u16::MAX) + 64);
        (packet.is_complete() && packet.join_into(&mut whole).is_ok()).then(|| whole.data().to_vec())
    }
}

impl<B: PacketBuf> Reassembly<B> {
    pub(super) fn new() -> Self {
        Self {
            packets: VecDeque::with_capacity(PACKETS),
            waiting: 0,
            ready: VecDeque::with_capacity(PER_WORKER),
            pass: false,
        }
    }

    /// A copy of what is here of a packet, for whoever explains one of its fragments.
    pub(super) fn recall(&self, key: &Key) -> Option<Packet<MemoryBuf>> {
        let packet = self.packets.iter().find(|packet| packet.key == *key)?;
        let pieces = packet.pieces.iter().map(|piece| Piece {
            begin: piece.begin,
            end: piece.end,
            frame: MemoryBuf::new(piece.frame.data()),
        });
        let Packet { key, state, until, length, .. } = *packet;
        Some(Packet { key, state, until, length, pieces: pieces.collect() })
    }

    /// Takes over what is known about a packet elsewhere.
    pub(super) fn remember(&mut self, packet: Packet<B>) {
        self.waiting += packet.pieces.len();
        self.packets.push_back(packet);
    }

    /// The packet with this key, known by now.
    fn packet(&mut self, key: Key, now: u64) -> Option<&mut Packet<B>> {
        let known = self.packets.iter().position(|packet| packet.key == key);
        if known.is_none() {
            let (state, until) = (State::Unknown, now + LIFETIME);
            self.packets.push_back(Packet { key, state, until, length: None, pieces: ArrayVec::new() });
        }
        self.packets.get_mut(known.unwrap_or(self.packets.len() - 1))
    }
}

impl<B: PacketBuf> Datapath<B> {
    /// Takes packet `i` if it is a fragment of what could be a tunnel packet to this node; whether it did.
    #[cold]
    #[inline(never)]
    pub(super) fn gather(&mut self, cx: &Context<'_>, interface: &Interface, i: usize) -> bool {
        let meta = self.burst.meta[i];
        let Some(frame) = self.burst.bufs[i].as_ref().filter(|_| !self.reassembly.pass) else { return false };
        let Some((key, fragment)) = fragment_of(interface, frame.data(), &meta) else { return false };
        self.burst.slot[i].origin = Origin::Plain;
        let first = fragment.place == 0;
        let begins_tunnel = first && encap::begins_tunnel(frame.data(), &meta);
        if self.reassembly.packets.len() >= PACKETS && !self.reassembly.packets.iter().any(|p| p.key == key) {
            self.give_way(cx);
        }
        let full = self.reassembly.waiting >= PER_WORKER;
        let Some(packet) = self.reassembly.packet(key, cx.now.milliseconds) else { return false };
        // The node's own may have had the same identification a moment ago.
        if first && (packet.state == State::Unknown || (packet.state == State::Plain && begins_tunnel)) {
            packet.state = if begins_tunnel { State::Tunnel } else { State::Plain };
            if !begins_tunnel {
                // They go behind their first.
                let waited = std::mem::take(&mut packet.pieces);
                self.go_plain(key.arrival, waited);
                return false;
            }
        }
        let begin = u32::from(fragment.place);
        let place = match packet.state {
            State::Plain => return false,
            State::Condemned(reason) => Err(reason),
            State::Unknown | State::Tunnel if full => Err(DropReason::FragmentLimit),
            State::Unknown | State::Tunnel => {
                packet.place(begin, begin + u32::from(fragment.length), fragment.more)
            }
        };
        match place {
            Ok(at) => {
                if let Some(frame) = self.burst.bufs[i].take() {
                    packet.add(at, &fragment, frame);
                    self.reassembly.waiting += 1;
                }
                self.burst.end(i, Verdict::Held);
                self.finish_packet(key);
            }
            Err(reason) => {
                packet.state = State::Condemned(reason);
                let pieces = std::mem::take(&mut packet.pieces);
                self.drop_pieces(cx, key.arrival, pieces, reason);
                self.burst.end(i, Verdict::Dropped(reason));
            }
        }
        true
    }

    /// Takes the packet out if it is complete: it goes on when the burst is through.
    fn finish_packet(&mut self, key: Key) {
        let packets = &mut self.reassembly.packets;
        let complete = packets.iter().position(|packet| packet.key == key && packet.is_complete());
        if let Some(packet) = complete.and_then(|at| packets.remove(at)) {
            self.reassembly.waiting -= packet.pieces.len();
            self.reassembly.ready.push_back(Ready::Whole(packet));
        }
    }

    /// Fragments of which nobody knows that they are a tunnel's go on as they came.
    fn go_plain(&mut self, arrival: InterfaceId, pieces: ArrayVec<Piece<B>, PIECES>) {
        self.reassembly.waiting -= pieces.len();
        let frames = pieces.into_iter().map(|piece| Ready::Plain(arrival, piece.frame));
        self.reassembly.ready.extend(frames);
    }

    fn drop_pieces(
        &mut self,
        cx: &Context<'_>,
        arrival: InterfaceId,
        pieces: ArrayVec<Piece<B>, PIECES>,
        reason: DropReason,
    ) {
        self.reassembly.waiting -= pieces.len();
        self.counters.released.add(pieces.len() as u64);
        pieces.iter().for_each(|_| self.count_drop(cx, arrival, reason));
    }

    /// Ends the waiting for a packet.
    fn give_up(&mut self, cx: &Context<'_>, packet: Packet<B>, reason: DropReason) {
        match packet.state {
            State::Unknown => self.go_plain(packet.key.arrival, packet.pieces),
            _ => self.drop_pieces(cx, packet.key.arrival, packet.pieces, reason),
        }
    }

    /// Makes room: a packet of which nothing waits goes first, then the oldest.
    fn give_way(&mut self, cx: &Context<'_>) {
        let packets = &mut self.reassembly.packets;
        let at = packets.iter().position(|packet| packet.pieces.is_empty()).unwrap_or(0);
        if let Some(packet) = packets.remove(at) {
            self.give_up(cx, packet, DropReason::FragmentLimit);
        }
    }

    /// Between bursts: gives up packets that were not complete in time.
    #[inline]
    pub(super) fn expire_pieces<P: Ports<B>>(&mut self, cx: &Context<'_>, ports: &mut P) {
        while self.reassembly.packets.front().is_some_and(|oldest| oldest.until < cx.now.milliseconds)
            && let Some(packet) = self.reassembly.packets.pop_front()
        {
            self.give_up(cx, packet, DropReason::OuterFragment);
        }
        self.go_on(cx, ports);
    }

    /// Sends on what has been put together in the last burst, each as a burst of its own.
    #[inline]
    pub(super) fn go_on<P: Ports<B>>(&mut self, cx: &Context<'_>, ports: &mut P) {
        while let Some(ready) = self.reassembly.ready.pop_front() {
            self.go_on_with(cx, ready, ports);
        }
    }

    #[cold]
    #[inline(never)]
    fn go_on_with<P: Ports<B>>(&mut self, cx: &Context<'_>, ready: Ready<B>, ports: &mut P) {
        let (arrival, frame) = match ready {
            Ready::Plain(arrival, frame) => {
                self.counters.released.add(1);
                self.reassembly.pass = true;
                (arrival, frame)
            }
            Ready::Whole(packet) => {
                // One of the pieces goes on as the whole; it absorbs the others (SEMANTICS 15).
                let (arrival, pieces) = (packet.key.arrival, packet.pieces.len() as u64);
                self.counters.released.add(pieces);
                self.counters.consumed.add(pieces - 1);
                let whole = ports.allocate().ok_or(DropReason::NoBuffer);
                let whole = whole.and_then(|mut whole| packet.join_into(&mut whole).map(|()| whole));
                match whole {
                    Ok(whole) => (arrival, whole),
                    Err(reason) => return self.count_drop(cx, arrival, reason),
                }
            }
        };
        self.burst.bufs[0] = Some(frame);
        self.burst.count = 1;
        self.burst.live = 1;
        self.stages(cx, arrival, ports);
        self.reassembly.pass = false;
    }
}
