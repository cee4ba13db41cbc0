//! The seeded flow hash, and the entropy port that comes from it.

use crate::meta::{Facts, Meta};

/// Hashes what identifies a flow in one direction. The two directions of a conversation hash differently:
/// each half of a session is found by its own key.
///
/// Keyed by a seed chosen per boot, so that nobody outside can aim at one bucket or one underlay path.
/// Built on a folded 64 × 64 → 128-bit multiplication: two for IPv4, four for IPv6.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FlowHasher {
    keys: [u64; 4],
}

impl FlowHasher {
    /// A hasher for this seed. The same seed gives the same hashes on every machine.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        let mut keys = [0; 4];
        let mut state = seed;
        let mut index = 0;
        while index < 4 {
            state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
            keys[index] = scramble(state);
            index += 1;
        }
        Self { keys }
    }

    /// Hash of an IPv4 key. `ports` are source and destination in one number, `scope` at most 24 bits.
    #[inline]
    #[must_use]
    pub const fn ipv4(&self, src: u32, dst: u32, ports: u32, protocol: u8, scope: u32) -> u64 {
        let addresses = ((src as u64) << 32) | dst as u64;
        let [a, b, c, _] = self.keys;
        fold(fold(addresses ^ a, rest(ports, protocol, scope) ^ b) ^ c, b)
    }

    /// Hash of an IPv6 key.
    #[inline]
    #[must_use]
    pub const fn ipv6(&self, src: &[u8; 16], dst: &[u8; 16], ports: u32, protocol: u8, scope: u32) -> u64 {
        let (src, dst) = (u128::from_be_bytes(*src), u128::from_be_bytes(*dst));
        let [a, b, c, d] = self.keys;
        let src = fold((src >> 64) as u64 ^ a, src as u64 ^ b);
        let dst = fold((dst >> 64) as u64 ^ b, dst as u64 ^ c);
        fold(fold(src ^ dst.rotate_left(32) ^ c, rest(ports, protocol, scope) ^ d) ^ a, d)
    }

    /// Hash of a packet. All fragments of one datagram hash alike: neither ports nor protocol count, since
    /// later fragments do not show them.
    #[inline]
    #[must_use]
    pub fn packet(&self, meta: &Meta, scope: u32) -> u64 {
        let whole = !meta.facts.contains(Facts::FRAGMENT);
        let ports = if whole { (u32::from(meta.src_port) << 16) | u32::from(meta.dst_port) } else { 0 };
        let protocol = if whole { meta.protocol } else { 0 };
        if meta.is_ipv6() {
            self.ipv6(&meta.src, &meta.dst, ports, protocol, scope)
        } else {
            self.ipv4(meta.src_v4(), meta.dst_v4(), ports, protocol, scope)
        }
    }
}

/// The source port of a tunnel packet: in the dynamic range 49152..=65535, as RFC 7510 §3 and RFC 7348 §5
/// ask, from the 14 low bits of the inner flow's hash.
#[inline]
#[must_use]
pub const fn entropy_port(hash: u64) -> u16 {
    49152 | (hash & 0x3fff) as u16
}

#[inline]
const fn rest(ports: u32, protocol: u8, scope: u32) -> u64 {
    ((ports as u64) << 32) | ((scope as u64) << 8) | protocol as u64
}

/// Both halves of the product: every output bit depends on every input bit.
#[inline]
const fn fold(a: u64, b: u64) -> u64 {
    let product = a as u128 * b as u128;
    product as u64 ^ (product >> 64) as u64
}

/// The finaliser of SplitMix64: turns a counter into independent keys.
const fn scramble(mut x: u64) -> u64 {
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}
