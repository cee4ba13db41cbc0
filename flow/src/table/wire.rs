//! Look-ups of common packets ([`packet::common`]): the key is in the words in which it lies in the packet and in the
//! half, and each step is a call of its own, so that a burst goes through one step before the next and the misses of
//! the cache overlap. The answers are those of [`FlowTable::lookup`].

use packet::common::{Common, Family, InPlace, Ipv4, Ipv6};
use packet::hash::FlowHasher;

use super::half::Half;
use super::index::Hash;
use super::{FlowTable, HalfId};
use crate::Scope;
use crate::timeouts::Ticks;

/// A flow key in the words of a half.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WireKey<A> {
    addresses: A,
    /// Source port 16 | destination port 16 | scope 24 | protocol 8, as halves store it.
    tail: u64,
}

impl<A> WireKey<A> {
    /// The key of a packet.
    #[inline(always)]
    #[must_use]
    pub const fn new(common: &Common<A>, scope: Scope) -> Self
    where
        A: Copy,
    {
        let ports = common.ports.rotate_left(16) as u64;
        let tail = ports | (scope.raw() as u64) << 32 | (common.protocol as u64) << 56;
        Self { addresses: common.addresses, tail }
    }

    /// Both addresses, as they lie in the packet.
    #[inline(always)]
    #[must_use]
    pub const fn addresses(&self) -> &A {
        &self.addresses
    }

    const fn ports(&self) -> u32 {
        (self.tail as u32).rotate_left(16)
    }

    const fn scope(&self) -> u32 {
        (self.tail >> 32) as u32 & 0xff_ffff
    }

    const fn protocol(&self) -> u8 {
        (self.tail >> 56) as u8
    }
}

/// Where a key is looked for.
#[derive(Clone, Copy, Debug, Default)]
pub struct Probe(Hash);

/// The families as the table tells them apart.
pub trait Wire: Family {
    /// The key's hash, that of [`crate::FlowKey`].
    #[doc(hidden)]
    fn hash(key: &WireKey<Self::Addresses>, hasher: &FlowHasher) -> u64;
    /// The half with this number, if it is of the family.
    #[doc(hidden)]
    fn half(table: &FlowTable, number: u32) -> Option<Half<'_>>;
    /// Whether it is the half of the key.
    #[doc(hidden)]
    fn has_key(half: &Half<'_>, key: &WireKey<Self::Addresses>) -> bool;
    /// What leaves instead of the half's addresses and ports.
    fn translation(half: &Half<'_>) -> InPlace<Self::Addresses>;
}

impl Wire for Ipv4 {
    #[inline(always)]
    fn hash(key: &WireKey<u64>, hasher: &FlowHasher) -> u64 {
        let [a, b, c, d, e, f, g, h] = key.addresses.to_ne_bytes();
        let (src, dst) = (u32::from_be_bytes([a, b, c, d]), u32::from_be_bytes([e, f, g, h]));
        hasher.ipv4(src, dst, key.ports(), key.protocol(), key.scope())
    }

    #[inline(always)]
    fn half(table: &FlowTable, number: u32) -> Option<Half<'_>> {
        table.line_v4(number).map(Half::v4)
    }

    #[inline(always)]
    fn has_key(half: &Half<'_>, key: &WireKey<u64>) -> bool {
        half.has_key_v4(key.tail, key.addresses)
    }

    #[inline(always)]
    fn translation(half: &Half<'_>) -> InPlace<u64> {
        half.in_place_v4()
    }
}

impl Wire for Ipv6 {
    #[inline(always)]
    fn hash(key: &WireKey<[u64; 4]>, hasher: &FlowHasher) -> u64 {
        let [a, b, c, d] = key.addresses.map(u64::to_ne_bytes);
        let address = |high: [u8; 8], low: [u8; 8]| {
            let mut bytes = [0; 16];
            bytes[..8].copy_from_slice(&high);
            bytes[8..].copy_from_slice(&low);
            bytes
        };
        hasher.ipv6(&address(a, b), &address(c, d), key.ports(), key.protocol(), key.scope())
    }

    #[inline(always)]
    fn half(table: &FlowTable, number: u32) -> Option<Half<'_>> {
        table.lines_v6(number).map(Half::v6)
    }

    #[inline(always)]
    fn has_key(half: &Half<'_>, key: &WireKey<[u64; 4]>) -> bool {
        half.has_words_v6(key.tail, &key.addresses)
    }

    #[inline(always)]
    fn translation(half: &Half<'_>) -> InPlace<[u64; 4]> {
        half.in_place_v6()
    }
}

impl FlowTable {
    /// First step: where to look. Asks the cache for the bucket.
    #[inline(always)]
    #[must_use]
    pub fn probe<F: Wire>(&self, key: &WireKey<F::Addresses>) -> Probe {
        let hash = Hash(F::hash(key, &self.hasher));
        self.index.prefetch(hash);
        Probe(hash)
    }

    /// Second step: the half that it most likely is, or 0. Asks the cache for it.
    #[inline(always)]
    #[must_use]
    pub fn candidate<F: Wire>(&self, probe: Probe) -> u32 {
        let number = self.index.candidate(probe.0).unwrap_or(0);
        self.prefetch(number, F::V6);
        number
    }

    /// Last step: the half, if the key is there.
    #[inline(always)]
    #[must_use]
    pub fn confirm<F: Wire>(
        &self,
        key: &WireKey<F::Addresses>,
        probe: Probe,
        candidate: u32,
    ) -> Option<(HalfId, Half<'_>)> {
        if let Some(half) = F::half(self, candidate)
            && F::has_key(&half, key)
        {
            return Some((HalfId::from_number(candidate)?, half));
        }
        self.search::<F>(key, probe)
    }

    /// Another entry of the bucket has the same tag, or the key lives elsewhere, or nowhere.
    #[inline(never)]
    fn search<F: Wire>(&self, key: &WireKey<F::Addresses>, probe: Probe) -> Option<(HalfId, Half<'_>)> {
        let is = |number| F::half(self, number).is_some_and(|half| F::has_key(&half, key));
        let number = self.index.find(probe.0, is)?;
        Some((HalfId::from_number(number)?, F::half(self, number)?))
    }
}

impl Half<'_> {
    /// Whether packets pass without a closer look: they are forwarded, nothing has changed since `epoch`, and a TCP
    /// connection is established. Returns the outer source port, or the peer that RPF accepted.
    #[inline(always)]
    #[must_use]
    pub fn passes(&self, epoch: u32, tcp: bool) -> Option<u16> {
        let holds = epoch.wrapping_sub(self.validated_at()) as i32 <= 0;
        let runs = !tcp || self.tcp() == crate::tcp::HalfState::ESTABLISHED;
        (self.forwards() && holds && runs).then(|| self.entropy_or_peer())
    }

    /// Counts a common packet of `bytes` bytes that was seen at `now`, and keeps the acknowledgement number of a TCP
    /// segment.
    #[inline(always)]
    pub fn account_common(&self, now: Ticks, bytes: u32, acknowledgement: Option<u32>) {
        self.set_seen(now, acknowledgement.unwrap_or_else(|| self.tcp_ack()));
        self.count(bytes);
    }
}
