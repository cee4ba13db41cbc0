//! One direction of a session: all that a packet of that direction needs, in one cache line (IPv6: two).
//!
//! ```text
//!          IPv4 (64 B)                              IPv6 (128 B)
//! word 0   ports 32 | scope 24 | protocol 8         the same
//! word 1   verdict 8 | TCP 8 | entropy port or      the same
//!          peer 16 | validated at 32
//! word 2   route 64                                 the same
//! word 3   last seen 32 | TCP acknowledgement 32    the same
//! word 4   source 32 | destination 32               source, destination: words 4..=7
//! word 5   new source 32 | new destination 32       new ones: words 8..=11
//! word 6   new ports 32 | deltas 2 x 16             word 14
//! word 7   bytes 36 | packets 28                    word 15
//! ```
//! In steady state one worker writes a half: the one that receives its direction. So the words are atomics
//! for the sake of others' reading only, and all accesses are plain moves; word 1, which slow paths of
//! several workers may write, is changed by compare-and-swap.

use packet::checksum::Delta;
use packet::common::InPlace;
use packet::rewrite::Translation;
use packet::{Address, DropReason, InterfaceId};

use crate::atomic::{AtomicU64, Ordering};
use crate::key::{FlowKey, Scope};
use crate::table::counter::Counter;
use crate::tcp::HalfState;
use crate::timeouts::Ticks;

/// What happens to the packets of a half.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Verdict {
    /// They go on.
    #[default]
    Forward,
    /// They are dropped for this reason.
    Drop(DropReason),
}

/// Marks a half of a session that a controller pinned.
const PINNED: u64 = 0x80;
const VERDICT_MASK: u64 = 0x7f;

const _: () = assert!(DropReason::COUNT < VERDICT_MASK as usize, "a verdict has seven bits");

impl Verdict {
    #[inline]
    const fn raw(self) -> u64 {
        match self {
            Self::Forward => 0,
            Self::Drop(reason) => reason as u64 + 1,
        }
    }

    #[inline]
    fn from_raw(raw: u64) -> Self {
        match (raw & VERDICT_MASK).checked_sub(1) {
            None => Self::Forward,
            Some(reason) => {
                Self::Drop(DropReason::ALL.get(reason as usize).copied().unwrap_or(DropReason::FlowDenied))
            }
        }
    }
}

/// What a new half begins with.
#[derive(Clone, Copy, Debug)]
pub struct NewHalf {
    /// Its key.
    pub key: FlowKey,
    /// What leaves instead. [`NewHalf::untranslated`] fills in the key itself.
    pub translation: Translation,
    /// What happens to its packets.
    pub verdict: Verdict,
    /// TCP: what is known already ([`crate::tcp::open`]).
    pub tcp: HalfState,
    /// TCP: the acknowledgement to start with ([`crate::tcp::open`]).
    pub tcp_ack: u32,
    /// Towards the fabric: the outer source port. From the fabric: the peer that RPF accepted.
    pub entropy_or_peer: u16,
    /// The epoch in which all of this was decided.
    pub validated_at: u32,
    /// Opaque here: next hop, label, ECMP member and flags.
    pub route: u64,
}

impl NewHalf {
    /// A half that forwards packets of `key` as they are.
    #[must_use]
    pub fn untranslated(key: FlowKey) -> Self {
        Self {
            key,
            translation: Translation {
                src: key.src,
                dst: key.dst,
                src_port: key.src_port,
                dst_port: key.dst_port,
                delta_addr: Delta::NONE,
                delta_l4: Delta::NONE,
            },
            verdict: Verdict::Forward,
            tcp: HalfState::NONE,
            tcp_ack: 0,
            entropy_or_peer: 0,
            validated_at: 0,
            route: 0,
        }
    }
}

/// One cache line of a half.
#[derive(Debug)]
#[repr(C, align(64))]
pub(crate) struct Line(pub(crate) [AtomicU64; 8]);

impl Default for Line {
    fn default() -> Self {
        Self(std::array::from_fn(|_| AtomicU64::new(0)))
    }
}

impl Line {
    #[inline(always)]
    fn get<const N: usize>(&self) -> u64 {
        const { assert!(N < 8) };
        self.0[N].load(Ordering::Relaxed)
    }

    #[inline(always)]
    fn set<const N: usize>(&self, value: u64) {
        const { assert!(N < 8) };
        self.0[N].store(value, Ordering::Relaxed);
    }
}

const TAIL: usize = 0;
const STATE: usize = 1;
const ROUTE: usize = 2;
const SEEN: usize = 3;
const ADDRESSES_V4: usize = 4;
const NEW_ADDRESSES_V4: usize = 5;
const NEW_PORTS: usize = 6;
const TRAFFIC: usize = 7;

const TCP_SHIFT: u32 = 8;
const PEER_SHIFT: u32 = 16;
const EPOCH_SHIFT: u32 = 32;

/// A half in the table.
#[derive(Clone, Copy, Debug)]
pub struct Half<'a> {
    /// Key, state, route, last seen.
    first: &'a Line,
    /// Ports, deltas and traffic: the same line for IPv4.
    last: &'a Line,
}

impl<'a> Half<'a> {
    #[inline(always)]
    pub(crate) const fn v4(line: &'a Line) -> Self {
        Self { first: line, last: line }
    }

    #[inline(always)]
    pub(crate) const fn v6(lines: &'a [Line; 2]) -> Self {
        Self { first: &lines[0], last: &lines[1] }
    }

    /// Whether the session is IPv6.
    #[inline]
    #[must_use]
    pub fn is_v6(&self) -> bool {
        !std::ptr::eq(self.first, self.last)
    }

    /// Whether this is the half of an IPv4 key.
    #[inline(always)]
    pub(crate) fn has_key_v4(&self, tail: u64, addresses: u64) -> bool {
        (self.first.get::<TAIL>() ^ tail) | (self.first.get::<ADDRESSES_V4>() ^ addresses) == 0
    }

    /// Whether this is the half of an IPv6 key.
    #[inline(always)]
    pub(crate) fn has_key_v6(&self, key: &FlowKey) -> bool {
        let ([a, b], [c, d]) = (words(&key.src), words(&key.dst));
        self.has_words_v6(key.tail(), &[a, b, c, d])
    }

    /// The same in words.
    #[inline(always)]
    pub(crate) fn has_words_v6(&self, tail: u64, &[a, b, c, d]: &[u64; 4]) -> bool {
        (self.first.get::<TAIL>() ^ tail)
            | (self.first.get::<4>() ^ a)
            | (self.first.get::<5>() ^ b)
            | (self.first.get::<6>() ^ c)
            | (self.first.get::<7>() ^ d)
            == 0
    }

    /// Whether this is the half of `key`.
    #[inline]
    #[must_use]
    pub fn has_key(&self, key: &FlowKey) -> bool {
        key.v6 == self.is_v6()
            && if key.v6 { self.has_key_v6(key) } else { self.has_key_v4(key.tail(), key.v4_word()) }
    }

    /// The key.
    #[must_use]
    pub fn key(&self) -> FlowKey {
        let (src, dst) = if self.is_v6() {
            (
                address([self.first.get::<4>(), self.first.get::<5>()]),
                address([self.first.get::<6>(), self.first.get::<7>()]),
            )
        } else {
            v4_addresses(self.first.get::<ADDRESSES_V4>())
        };
        FlowKey::from_words(self.first.get::<TAIL>(), src, dst, self.is_v6())
    }

    /// The scope of the key.
    #[inline]
    #[must_use]
    pub fn scope(&self) -> Scope {
        Scope::from_raw((self.first.get::<TAIL>() >> 32) as u32)
    }

    /// The interface whose workload's side this half is; `None` for a service.
    #[inline]
    #[must_use]
    pub fn interface(&self) -> Option<InterfaceId> {
        self.scope().interface()
    }

    /// The protocol of the key.
    #[inline]
    #[must_use]
    pub fn protocol(&self) -> u8 {
        (self.first.get::<TAIL>() >> 56) as u8
    }

    /// Changes the scope of the key, in one store: nobody ever sees half a key.
    pub(crate) fn set_scope(&self, scope: Scope) {
        let tail = self.first.get::<TAIL>() & !(0xff_ffff << 32);
        self.first.set::<TAIL>(tail | u64::from(scope.raw()) << 32);
    }

    /// What leaves instead of the key's addresses and ports.
    #[inline]
    #[must_use]
    pub fn translation(&self) -> Translation {
        let (src, dst) = if self.is_v6() {
            (
                address([self.last.get::<0>(), self.last.get::<1>()]),
                address([self.last.get::<2>(), self.last.get::<3>()]),
            )
        } else {
            v4_addresses(self.first.get::<NEW_ADDRESSES_V4>())
        };
        let ports = self.last.get::<NEW_PORTS>();
        Translation {
            src,
            dst,
            src_port: ports as u16,
            dst_port: (ports >> 16) as u16,
            delta_addr: Delta::from_raw((ports >> 32) as u16),
            delta_l4: Delta::from_raw((ports >> 48) as u16),
        }
    }

    /// Whether the translation changes anything: false means that packets leave as they came.
    ///
    /// Deltas alone do not tell, since a change may have no effect on a checksum; so this compares.
    #[inline]
    #[must_use]
    pub fn is_translated(&self) -> bool {
        let ports = (self.last.get::<NEW_PORTS>() ^ self.first.get::<TAIL>()) & 0xffff_ffff;
        let addresses = if self.is_v6() {
            (self.first.get::<4>() ^ self.last.get::<0>())
                | (self.first.get::<5>() ^ self.last.get::<1>())
                | (self.first.get::<6>() ^ self.last.get::<2>())
                | (self.first.get::<7>() ^ self.last.get::<3>())
        } else {
            self.first.get::<ADDRESSES_V4>() ^ self.first.get::<NEW_ADDRESSES_V4>()
        };
        ports | addresses != 0
    }

    /// Changes the translation. Packets of this half that another worker has in hand may leave with parts of
    /// both; the caller makes sure that there are none, or that it does not matter.
    pub fn set_translation(&self, translation: &Translation) {
        if self.is_v6() {
            let ([a, b], [c, d]) = (words(&translation.src), words(&translation.dst));
            self.last.set::<0>(a);
            self.last.set::<1>(b);
            self.last.set::<2>(c);
            self.last.set::<3>(d);
        } else {
            let key = FlowKey { src: translation.src, dst: translation.dst, ..FlowKey::default() };
            self.first.set::<NEW_ADDRESSES_V4>(key.v4_word());
        }
        self.last.set::<NEW_PORTS>(
            u64::from(translation.src_port)
                | u64::from(translation.dst_port) << 16
                | u64::from(translation.delta_addr.raw()) << 32
                | u64::from(translation.delta_l4.raw()) << 48,
        );
    }

    /// What happens to its packets.
    #[inline]
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        Verdict::from_raw(self.first.get::<STATE>())
    }

    /// Whether packets go on: the verdict in one comparison.
    #[inline]
    #[must_use]
    pub fn forwards(&self) -> bool {
        self.first.get::<STATE>() & VERDICT_MASK == 0
    }

    /// Changes the verdict and the epoch in which it was found, together.
    pub fn set_verdict(&self, verdict: Verdict, validated_at: u32) {
        self.change_state(|state| {
            state & 0xffff_ff80 | verdict.raw() | u64::from(validated_at) << EPOCH_SHIFT
        });
    }

    /// Whether a controller pinned the session: it is never aged, evicted nor decided again.
    #[inline]
    #[must_use]
    pub fn is_pinned(&self) -> bool {
        self.first.get::<STATE>() & PINNED != 0
    }

    /// What is known of this side of the TCP connection.
    #[inline]
    #[must_use]
    pub fn tcp(&self) -> HalfState {
        HalfState((self.first.get::<STATE>() >> TCP_SHIFT) as u8)
    }

    pub(crate) fn set_tcp(&self, state: HalfState) {
        self.change_state(|old| old & !(0xff << TCP_SHIFT) | u64::from(state.0) << TCP_SHIFT);
    }

    /// Towards the fabric: the outer source port. From the fabric: the peer that RPF accepted.
    #[inline]
    #[must_use]
    pub fn entropy_or_peer(&self) -> u16 {
        (self.first.get::<STATE>() >> PEER_SHIFT) as u16
    }

    /// Changes the outer source port or the accepted peer.
    pub fn set_entropy_or_peer(&self, value: u16) {
        self.change_state(|old| old & !(0xffff << PEER_SHIFT) | u64::from(value) << PEER_SHIFT);
    }

    /// The epoch in which the half was last found right. Epochs wrap; see [`crate::table::Sweeper`].
    #[inline]
    #[must_use]
    pub fn validated_at(&self) -> u32 {
        (self.first.get::<STATE>() >> EPOCH_SHIFT) as u32
    }

    /// The half was found right in this epoch.
    pub fn set_validated_at(&self, epoch: u32) {
        self.change_state(|old| old & 0xffff_ffff | u64::from(epoch) << EPOCH_SHIFT);
    }

    fn change_state(&self, change: impl Fn(u64) -> u64) {
        let word = &self.first.0[STATE];
        let mut old = word.load(Ordering::Relaxed);
        while let Err(now) =
            word.compare_exchange_weak(old, change(old), Ordering::Relaxed, Ordering::Relaxed)
        {
            old = now;
        }
    }

    /// The route word, as the caller stored it.
    #[inline]
    #[must_use]
    pub fn route(&self) -> u64 {
        self.first.get::<ROUTE>()
    }

    /// Changes the route word.
    #[inline]
    pub fn set_route(&self, route: u64) {
        self.first.set::<ROUTE>(route);
    }

    /// When a packet was last seen.
    #[inline]
    #[must_use]
    pub fn last_seen(&self) -> Ticks {
        Ticks(self.first.get::<SEEN>() as u32)
    }

    /// TCP: the last acknowledgement number that this side sent, or what [`crate::tcp`] keeps there.
    #[inline]
    #[must_use]
    pub fn tcp_ack(&self) -> u32 {
        (self.first.get::<SEEN>() >> 32) as u32
    }

    #[inline]
    pub(crate) fn set_tcp_ack(&self, ack: u32) {
        let seen = self.first.get::<SEEN>() & 0xffff_ffff;
        self.first.set::<SEEN>(seen | u64::from(ack) << 32);
    }

    /// Counts a packet of `bytes` bytes that was seen at `now`.
    #[inline]
    pub fn account(&self, now: Ticks, bytes: u32) {
        self.set_seen(now, self.tcp_ack());
        self.count(bytes);
    }

    #[inline(always)]
    pub(crate) fn set_seen(&self, now: Ticks, tcp_ack: u32) {
        self.first.set::<SEEN>(u64::from(now.0) | u64::from(tcp_ack) << 32);
    }

    #[inline(always)]
    pub(crate) fn count(&self, bytes: u32) {
        let traffic = self.last.get::<TRAFFIC>();
        self.last.set::<TRAFFIC>(Counter(traffic).plus(bytes).0);
    }

    /// [`Self::translation`] of an IPv4 half, in the words of a packet.
    #[inline(always)]
    pub(crate) fn in_place_v4(&self) -> InPlace<u64> {
        self.in_place(self.first.get::<NEW_ADDRESSES_V4>())
    }

    /// The same of an IPv6 half.
    #[inline(always)]
    pub(crate) fn in_place_v6(&self) -> InPlace<[u64; 4]> {
        let last = self.last;
        self.in_place([last.get::<0>(), last.get::<1>(), last.get::<2>(), last.get::<3>()])
    }

    #[inline(always)]
    fn in_place<A>(&self, addresses: A) -> InPlace<A> {
        let ports = self.last.get::<NEW_PORTS>();
        InPlace {
            addresses,
            ports: (ports as u32).rotate_left(16),
            delta_addr: Delta::from_stored((ports >> 32) as u16),
            delta_l4: Delta::from_stored((ports >> 48) as u16),
        }
    }

    /// Bytes and packets as one running number, see [`Counter`].
    #[inline]
    pub(crate) fn counter(&self) -> Counter {
        Counter(self.last.get::<TRAFFIC>())
    }

    #[cfg(test)]
    pub(crate) fn set_counter(&self, counter: Counter) {
        self.last.set::<TRAFFIC>(counter.0);
    }

    /// Writes a new half; nobody can find it yet.
    pub(crate) fn write(&self, new: &NewHalf, pinned: bool, now: Ticks) {
        let key = &new.key;
        self.first.set::<TAIL>(key.tail());
        if self.is_v6() {
            let ([a, b], [c, d]) = (words(&key.src), words(&key.dst));
            self.first.set::<4>(a);
            self.first.set::<5>(b);
            self.first.set::<6>(c);
            self.first.set::<7>(d);
        } else {
            self.first.set::<ADDRESSES_V4>(key.v4_word());
        }
        self.set_translation(&new.translation);
        self.first.set::<STATE>(
            new.verdict.raw()
                | if pinned { PINNED } else { 0 }
                | u64::from(new.tcp.0) << TCP_SHIFT
                | u64::from(new.entropy_or_peer) << PEER_SHIFT
                | u64::from(new.validated_at) << EPOCH_SHIFT,
        );
        self.first.set::<ROUTE>(new.route);
        self.first.set::<SEEN>(u64::from(now.0) | u64::from(new.tcp_ack) << 32);
        self.last.set::<TRAFFIC>(0);
    }

    /// Writes a half that does not exist: the session has one direction only.
    pub(crate) fn write_absent(&self, now: Ticks) {
        self.first.set::<TAIL>(0);
        self.first.set::<STATE>(0);
        self.first.set::<SEEN>(u64::from(now.0));
        self.last.set::<TRAFFIC>(0);
    }
}

#[inline(always)]
fn words(address: &Address) -> [u64; 2] {
    let [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p] = *address;
    [u64::from_ne_bytes([a, b, c, d, e, f, g, h]), u64::from_ne_bytes([i, j, k, l, m, n, o, p])]
}

#[inline(always)]
fn address(words: [u64; 2]) -> Address {
    let ([a, b, c, d, e, f, g, h], [i, j, k, l, m, n, o, p]) =
        (words[0].to_ne_bytes(), words[1].to_ne_bytes());
    [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p]
}

#[inline(always)]
fn v4_addresses(word: u64) -> (Address, Address) {
    let [a, b, c, d, e, f, g, h] = word.to_ne_bytes();
    (packet::meta::v4([a, b, c, d]), packet::meta::v4([e, f, g, h]))
}
