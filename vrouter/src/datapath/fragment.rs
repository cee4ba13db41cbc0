//! Fragments follow their datagram's first one, in any order and without reassembly (SEMANTICS 14): they
//! carry no ports, so the first fragment leaves a context, and those that come before it wait.

use std::collections::VecDeque;

use arrayvec::ArrayVec;
use flow::{HalfId, Scope, SessionRef};
use packet::{Address, DropReason, Facts, Meta, PacketBuf};

use super::burst::{BURST, Slot, Verdict};
use super::{Context, Datapath, Ports};

/// Datagrams remembered per worker.
const DATAGRAMS: usize = 4096;
/// Fragments of one datagram that wait for its first.
const PER_DATAGRAM: usize = 8;
/// Fragments that wait on one worker.
const PER_WORKER: usize = 1024;
/// How long a datagram is remembered and its fragments wait, in milliseconds.
const LIFETIME: u64 = 1_000;
/// Separate stretches of one datagram that are told apart.
const STRETCHES: usize = 16;

/// What all fragments of one datagram share.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Key {
    scope: Scope,
    /// When the interface of the scope was created: another one with its id has no part in the datagram.
    born: u32,
    src: Address,
    dst: Address,
    protocol: u8,
    identification: u32,
}

/// What is known about a datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Its first fragment has not been judged yet.
    Waiting,
    /// Its fragments belong to this session half, while the session lives.
    Open(HalfId, SessionRef),
    /// Its fragments overlap: all that is still to come is dropped (RFC 5722).
    Condemned,
}

/// A datagram whose fragments come in.
#[derive(Clone, Debug)]
pub(super) struct Datagram {
    key: Key,
    state: State,
    until: u64,
    waiting: usize,
    /// Payload seen so far, as [begin, end) in bytes, in order and apart from each other.
    seen: ArrayVec<(u32, u32), STRETCHES>,
}

#[derive(Debug)]
struct Waiting<B> {
    key: Key,
    meta: Meta,
    slot: Slot,
    until: u64,
    frame: B,
}

/// Contexts in a direct-mapped table (a collision costs the older datagram its later fragments), and the
/// fragments that wait.
#[derive(Debug)]
pub(super) struct Fragments<B> {
    datagrams: Box<[Option<Datagram>]>,
    waiting: VecDeque<Waiting<B>>,
    /// Fragments whose first has come: they go on when the burst is through.
    ready: Vec<(HalfId, Waiting<B>)>,
}

/// What happens to a later fragment.
enum Place {
    Follow(HalfId, SessionRef),
    Wait(Key),
}

impl<B: PacketBuf> Fragments<B> {
    pub(super) fn new() -> Self {
        Self {
            datagrams: (0..DATAGRAMS).map(|_| None).collect(),
            waiting: VecDeque::with_capacity(PER_WORKER),
            ready: Vec::with_capacity(PER_WORKER),
        }
    }

    /// A copy of what is known about a datagram, for whoever explains a packet.
    pub(super) fn recall(&self, key: &Key, seed: u64) -> Option<Datagram> {
        let known = self.datagrams[slot(key, seed)].as_ref().filter(|datagram| datagram.key == *key);
        let mut datagram = known?.clone();
        if self.waiting.len() >= PER_WORKER {
            datagram.waiting = PER_DATAGRAM;
        }
        Some(datagram)
    }

    /// Takes over what is known about a datagram elsewhere.
    pub(super) fn remember(&mut self, datagram: Datagram, seed: u64) {
        let place = slot(&datagram.key, seed);
        self.datagrams[place] = Some(datagram);
    }

    /// The datagram of a fragment, with this fragment's payload added to what was seen of it.
    fn datagram(
        &mut self,
        now: u64,
        seed: u64,
        (key, fragment): (Key, packet::Fragment),
    ) -> Result<&mut Datagram, DropReason> {
        let place = &mut self.datagrams[slot(&key, seed)];
        let known = place.as_ref().is_some_and(|datagram| datagram.key == key && now <= datagram.until);
        if !known {
            let until = now + LIFETIME;
            *place = Some(Datagram { key, state: State::Waiting, until, waiting: 0, seen: ArrayVec::new() });
        }
        let Some(datagram) = place else { return Err(DropReason::FragmentLimit) };
        let begin = u32::from(fragment.place);
        match datagram.see(begin, begin + u32::from(fragment.length)) {
            Ok(()) => Ok(datagram),
            Err(reason) => {
                datagram.state = State::Condemned;
                Err(reason)
            }
        }
    }

    fn place(&mut self, now: u64, seed: u64, fragment: (Key, packet::Fragment)) -> Result<Place, DropReason> {
        let full = self.waiting.len() >= PER_WORKER;
        let datagram = self.datagram(now, seed, fragment)?;
        match datagram.state {
            State::Open(half, session) => Ok(Place::Follow(half, session)),
            State::Condemned => Err(DropReason::FragmentOverlap),
            State::Waiting if full || datagram.waiting >= PER_DATAGRAM => Err(DropReason::FragmentLimit),
            State::Waiting => {
                datagram.waiting += 1;
                Ok(Place::Wait(datagram.key))
            }
        }
    }
}

/// Which datagram a fragment is part of, and its place in it.
pub(super) fn key_of<B: PacketBuf>(
    cx: &Context<'_>,
    buf: &B,
    meta: &Meta,
    scope: Scope,
) -> Option<(Key, packet::Fragment)> {
    let fragment = packet::fragment(buf.data(), meta)?;
    let packet::Fragment { identification, protocol, .. } = fragment;
    let interface = scope.interface().and_then(|id| cx.tables.interface(id));
    let born = interface.map_or(0, |row| row.born);
    Some((Key { scope, born, src: meta.src, dst: meta.dst, protocol, identification }, fragment))
}

impl Datagram {
    /// The session half that its later fragments belong to, once the first has been judged.
    pub(super) fn session(&self) -> Option<(HalfId, SessionRef)> {
        match self.state {
            State::Open(half, session) => Some((half, session)),
            State::Waiting | State::Condemned => None,
        }
    }

    /// Its later fragments belong to this half from now on.
    pub(super) fn belongs_to(&mut self, half: HalfId, session: SessionRef) {
        self.state = State::Open(half, session);
    }

    /// Adds a stretch of payload; an overlap with what was seen condemns the datagram.
    fn see(&mut self, begin: u32, end: u32) -> Result<(), DropReason> {
        if self.state == State::Condemned {
            return Err(DropReason::FragmentOverlap);
        }
        let at = self.seen.partition_point(|(_, other)| *other <= begin);
        if self.seen.get(at).is_some_and(|(other, _)| *other < end) {
            return Err(DropReason::FragmentOverlap);
        }
        let joins_left = at > 0 && self.seen[at - 1].1 == begin;
        let joins_right = self.seen.get(at).is_some_and(|(other, _)| *other == end);
        match (joins_left, joins_right) {
            (true, true) => self.seen[at - 1].1 = self.seen.remove(at).1,
            (true, false) => self.seen[at - 1].1 = end,
            (false, true) => self.seen[at].0 = begin,
            (false, false) => {
                self.seen.try_insert(at, (begin, end)).map_err(|_| DropReason::FragmentLimit)?;
            }
        }
        Ok(())
    }
}

impl<B: PacketBuf> Datapath<B> {
    /// A fragment in the flow stage: `Ok(true)` if it is a first one, to be looked up by its ports.
    pub(super) fn fragment(&mut self, cx: &Context<'_>, i: usize, scope: Scope) -> Result<bool, DropReason> {
        let meta = self.burst.meta[i];
        let Some(buf) = &self.burst.bufs[i] else { return Ok(false) };
        if !meta.facts.contains(Facts::LATER_FRAGMENT) {
            if !meta.facts.contains(Facts::L4) {
                return Err(DropReason::FragmentTiny);
            }
            let fragment = key_of(cx, buf, &meta, scope).ok_or(DropReason::InvalidIpHeader)?;
            return self.fragments.datagram(cx.now.milliseconds, self.seed, fragment).map(|_| true);
        }
        let fragment = key_of(cx, buf, &meta, scope).ok_or(DropReason::InvalidIpHeader)?;
        match self.fragments.place(cx.now.milliseconds, self.seed, fragment)? {
            Place::Follow(half, session) if cx.flows.resolve(session).is_some() => self.hit(cx, i, half),
            // The half may be another conversation's by now.
            Place::Follow(..) => return Err(DropReason::FragmentNoFirst),
            Place::Wait(key) => {
                let slot = self.burst.slot[i];
                if let Some(frame) = self.burst.bufs[i].take() {
                    let until = cx.now.milliseconds + LIFETIME;
                    self.fragments.waiting.push_back(Waiting { key, meta, slot, until, frame });
                }
                self.burst.end(i, Verdict::Held);
            }
        }
        Ok(false)
    }

    /// The first fragment has its session: those that waited for it follow.
    pub(super) fn open_datagram(&mut self, cx: &Context<'_>, i: usize, half: HalfId) {
        let (meta, scope) = (&self.burst.meta[i], self.burst.slot[i].scope);
        let Some(buf) = &self.burst.bufs[i] else { return };
        let Some((key, _)) = key_of(cx, buf, meta, scope) else { return };
        let fragments = &mut self.fragments;
        let Some(datagram) = fragments.datagrams[slot(&key, self.seed)].as_mut().filter(|d| d.key == key)
        else {
            return;
        };
        let Some(session) = cx.flows.reference(half) else { return };
        datagram.state = State::Open(half, session);
        datagram.until = cx.now.milliseconds + LIFETIME;
        if std::mem::take(&mut datagram.waiting) == 0 {
            return;
        }
        for _ in 0..fragments.waiting.len() {
            let Some(waiting) = fragments.waiting.pop_front() else { break };
            if waiting.key == key {
                fragments.ready.push((half, waiting));
            } else {
                fragments.waiting.push_back(waiting);
            }
        }
    }

    /// Sends the fragments on whose first came in the last burst, as a burst of their own.
    pub(super) fn follow_firsts<P: Ports<B>>(&mut self, cx: &Context<'_>, ports: &mut P) {
        while !self.fragments.ready.is_empty() {
            let count = self.fragments.ready.len().min(BURST);
            let mut ready = self.fragments.ready.drain(..count);
            let mut halves = [None; BURST];
            for (i, place) in halves.iter_mut().enumerate().take(count) {
                let Some((half, waiting)) = ready.next() else { break };
                *place = Some(half);
                self.burst.meta[i] = waiting.meta;
                self.burst.slot[i] = waiting.slot;
                self.burst.verdict[i] = Verdict::Live;
                self.burst.bufs[i] = Some(waiting.frame);
            }
            drop(ready);
            self.counters.released.add(count as u64);
            self.burst.count = count;
            self.burst.live = if count == BURST { u64::MAX } else { (1 << count) - 1 };
            self.staged.misses = 0;
            for i in self.burst.live() {
                if let Some(half) = halves[i] {
                    self.hit(cx, i, half);
                }
            }
            // A session that ended meanwhile takes its fragments along.
            for i in self.take_misses() {
                self.burst.end(i, Verdict::Dropped(DropReason::FragmentNoFirst));
            }
            self.forward(cx, ports);
            self.settle(cx);
            self.flush(cx, ports);
        }
    }

    /// Drops the fragments whose first did not come in time.
    pub(super) fn expire_fragments(&mut self, cx: &Context<'_>) {
        while let Some(waiting) = self.fragments.waiting.front()
            && waiting.until < cx.now.milliseconds
        {
            let arrival = waiting.slot.arrival;
            self.fragments.waiting.pop_front();
            self.counters.released.add(1);
            self.count_drop(cx, arrival, DropReason::FragmentNoFirst);
        }
    }
}

fn slot(key: &Key, seed: u64) -> usize {
    let word = |bytes: &[u8]| bytes.iter().fold(0_u64, |word, byte| word << 8 | u64::from(*byte));
    let words = [
        word(&key.src[..8]),
        word(&key.src[8..]),
        word(&key.dst[..8]),
        word(&key.dst[8..]),
        u64::from(key.identification) << 32 | u64::from(key.scope.raw()) << 8 | u64::from(key.protocol),
    ];
    let mixed = words.iter().fold(seed, |hash, word| {
        let product = u128::from(hash ^ word) * u128::from(0x9e37_79b9_7f4a_7c15_u64);
        (product as u64) ^ (product >> 64) as u64
    });
    mixed as usize % DATAGRAMS
}

#[cfg(test)]
mod tests {
    use super::*;

    fn datagram() -> Datagram {
        let key =
            Key { scope: Scope::NONE, born: 0, src: [0; 16], dst: [0; 16], protocol: 17, identification: 7 };
        Datagram { key, state: State::Waiting, until: 0, waiting: 0, seen: ArrayVec::new() }
    }

    #[test]
    fn stretches_in_any_order_join_and_do_not_overlap() {
        let mut datagram = datagram();
        for (begin, end) in [(16, 24), (0, 8), (32, 40), (8, 16), (24, 32)] {
            assert_eq!(datagram.see(begin, end), Ok(()));
        }
        assert_eq!(&datagram.seen[..], &[(0, 40)]);
    }

    #[test]
    fn any_overlap_is_seen() {
        for (begin, end) in [(0, 9), (8, 16), (15, 24), (4, 30), (10, 12)] {
            let mut datagram = datagram();
            assert_eq!(datagram.see(8, 16), Ok(()));
            assert_eq!(datagram.see(begin, end), Err(DropReason::FragmentOverlap), "{begin}..{end}");
        }
    }

    #[test]
    fn too_many_stretches_are_refused() {
        let mut datagram = datagram();
        for n in 0..STRETCHES as u32 {
            assert_eq!(datagram.see(n * 16, n * 16 + 8), Ok(()));
        }
        assert_eq!(datagram.see(8000, 8008), Err(DropReason::FragmentLimit));
    }
}
