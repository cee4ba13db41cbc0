//! The internet checksum (RFC 1071) in full, and its incremental update (RFC 1624) by differences that the
//! control side folds once and a worker adds in one step.

use crate::bytes;
use crate::crc32c;
use crate::meta::{Address, Facts, Meta};
use crate::protocol::ip;

/// A one's complement sum of 16-bit words that is not folded yet. Parts may be added in any order as long
/// as each begins at an even offset of the covered data.
///
/// Words are added as they lie in memory: the sum is independent of byte order (RFC 1071 §2 (B)), so only
/// the folded result is swapped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sum(u64);

impl Sum {
    /// The sum of `bytes`; an odd last byte counts as if a zero followed it.
    #[inline]
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        let (words, rest) = bytes.as_chunks::<4>();
        let mut total = 0_u64;
        for word in words {
            total += u64::from(u32::from_ne_bytes(*word));
        }
        let mut tail = [0_u8; 4];
        for (to, from) in tail.iter_mut().zip(rest) {
            *to = *from;
        }
        Self(total + u64::from(u32::from_ne_bytes(tail)))
    }

    /// The sum of a single 16-bit number.
    #[inline]
    #[must_use]
    pub const fn word(number: u16) -> Self {
        Self(number.to_be() as u64)
    }

    /// The sum of a 32-bit number.
    #[inline]
    #[must_use]
    pub const fn double_word(number: u32) -> Self {
        Self(number.to_be() as u64)
    }

    /// The sum of both parts together.
    #[inline]
    #[must_use]
    pub const fn plus(self, other: Self) -> Self {
        Self(self.0 + other.0)
    }

    /// The 16-bit one's complement sum, host order. Zero only if every word was zero.
    #[inline]
    #[must_use]
    pub const fn fold(self) -> u16 {
        let sum = (self.0 & 0xffff_ffff) + (self.0 >> 32);
        let sum = (sum & 0xffff) + (sum >> 16);
        let sum = (sum & 0xffff) + (sum >> 16);
        let sum = (sum & 0xffff) + (sum >> 16);
        u16::from_be(sum as u16)
    }

    /// The checksum that goes into the header: the complement of the sum.
    #[inline]
    #[must_use]
    pub const fn checksum(self) -> u16 {
        !self.fold()
    }

    /// The checksum for a UDP header: "if the computed checksum is zero, it is transmitted as all ones"
    /// (RFC 768), because zero means "none".
    #[inline]
    #[must_use]
    pub const fn udp_checksum(self) -> u16 {
        match self.checksum() {
            0 => 0xffff,
            checksum => checksum,
        }
    }

    /// The sum of an IPv4 header without options.
    #[inline(always)]
    #[must_use]
    pub const fn of_ipv4(header: &[u8; 20]) -> Self {
        let (words, rest) = header.as_chunks::<8>();
        let (sum, carry) = u64::from_ne_bytes(words[0]).overflowing_add(u64::from_ne_bytes(words[1]));
        let rest = u32::from_ne_bytes([rest[0], rest[1], rest[2], rest[3]]) as u64 + carry as u64;
        // The upper half is folded first, so that nothing is carried out.
        Self((sum >> 32) + (sum & 0xffff_ffff) + rest)
    }

    /// Whether the covered data, its checksum field included, is intact.
    #[inline]
    #[must_use]
    pub const fn is_intact(self) -> bool {
        self.fold() == 0xffff
    }
}

/// The internet checksum of `bytes`, whose checksum field must be zero; host order.
#[inline]
#[must_use]
pub fn internet(bytes: &[u8]) -> u16 {
    Sum::of(bytes).checksum()
}

/// The sum of the pseudo header (RFC 9293 §3.1, RFC 8200 §8.1). IPv4 and IPv6 need no two versions: an IPv4
/// address is zero-extended, and zeros add nothing.
#[inline]
#[must_use]
pub fn pseudo_header(src: &Address, dst: &Address, protocol: u8, length: u32) -> Sum {
    Sum::of(src).plus(Sum::of(dst)).plus(Sum::word(u16::from(protocol))).plus(Sum::double_word(length))
}

/// What a change of header fields adds to the one's complement sum, folded (RFC 1624: `~m + m'`). Computed
/// once per flow by the control or miss path, applied by a worker with one addition.
///
/// The value is in 0..=0xfffe; 0 is "no change" and leaves every checksum exactly as it was.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[repr(transparent)]
pub struct Delta(u16);

impl Delta {
    /// No change.
    pub const NONE: Self = Self(0);
    /// TTL less by one, in an IPv4 header: the word it shares with the protocol falls by 0x0100.
    pub const TTL_DECREMENT: Self = Self(0xfeff);

    /// The difference between words that summed to `old` and the ones that now sum to `new`.
    #[inline]
    #[must_use]
    pub const fn between(old: Sum, new: Sum) -> Self {
        Self::normal(!old.fold() as u32 + new.fold() as u32)
    }

    /// A delta from its stored value (0xffff, the other zero of one's complement, becomes 0).
    #[inline]
    #[must_use]
    pub const fn from_raw(raw: u16) -> Self {
        Self::normal(raw as u32)
    }

    /// A delta from what [`Self::raw`] gave, as it is.
    #[inline(always)]
    #[must_use]
    pub const fn from_stored(raw: u16) -> Self {
        Self(raw)
    }

    /// The checksum after both changes: [`Self::plus`] and [`Self::apply`] with one folding.
    #[inline(always)]
    #[must_use]
    pub const fn apply_with(self, other: Self, checksum: u16) -> u16 {
        !fold(!checksum as u32 + self.0 as u32 + other.0 as u32)
    }

    /// The value to store.
    #[inline]
    #[must_use]
    pub const fn raw(self) -> u16 {
        self.0
    }

    /// Both changes together.
    #[inline]
    #[must_use]
    pub const fn plus(self, other: Self) -> Self {
        Self::normal(self.0 as u32 + other.0 as u32)
    }

    /// This change without `other`'s part of it.
    #[inline]
    #[must_use]
    pub const fn minus(self, other: Self) -> Self {
        Self::normal(self.0 as u32 + !other.0 as u32)
    }

    /// The checksum after the change (RFC 1624 equation 3). Exact wherever some word of the covered data is
    /// not zero, which every IP, TCP and UDP header guarantees (RFC 1624 §4). A wrong checksum stays wrong.
    #[inline]
    #[must_use]
    pub const fn apply(self, checksum: u16) -> u16 {
        !add(!checksum, self.0)
    }

    /// The same for UDP and UDP-Lite: zero means "no checksum" and stays (RFC 768); a result of zero is
    /// written as all ones.
    #[inline]
    #[must_use]
    pub const fn apply_udp(self, checksum: u16) -> u16 {
        if checksum == 0 {
            return 0;
        }
        match self.apply(checksum) {
            0 => 0xffff,
            updated => updated,
        }
    }

    /// The same for the field of a *partial* checksum, which holds the folded pseudo header itself, not its
    /// complement.
    #[inline]
    #[must_use]
    pub const fn apply_partial(self, field: u16) -> u16 {
        add(field, self.0)
    }

    #[inline]
    const fn normal(sum: u32) -> Self {
        let sum = (sum & 0xffff) + (sum >> 16);
        Self(if sum == 0xffff { 0 } else { sum as u16 })
    }
}

/// The one's complement sum of a few 16-bit numbers that were added.
#[inline(always)]
pub(crate) const fn fold(sum: u32) -> u16 {
    let sum = (sum & 0xffff) + (sum >> 16);
    ((sum & 0xffff) + (sum >> 16)) as u16
}

/// One's complement addition.
#[inline]
const fn add(a: u16, b: u16) -> u16 {
    let (sum, carry) = a.overflowing_add(b);
    sum + carry as u16
}

/// What a look at a packet's transport checksum says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verification {
    /// It is there and right.
    Correct,
    /// It is there (or must be) and is not right.
    Wrong,
    /// Nothing to verify: no checksum (UDP over IPv4), a fragment, or a protocol we do not know.
    Absent,
}

/// Offset of the checksum field in the transport header, where it is an internet checksum.
#[inline]
#[must_use]
pub const fn field_offset(protocol: u8) -> Option<usize> {
    match protocol {
        ip::TCP => Some(16),
        ip::UDP | ip::UDP_LITE => Some(6),
        ip::ICMP | ip::ICMPV6 => Some(2),
        _ => None,
    }
}

/// Verifies the transport checksum of the packet that `meta` describes.
#[must_use]
pub fn verify(data: &[u8], meta: &Meta) -> Verification {
    let whole = meta.facts.contains(Facts::L4) && !meta.facts.contains(Facts::FRAGMENT);
    let Some(segment) = segment(data, meta).filter(|_| whole) else { return Verification::Absent };
    if meta.protocol == ip::SCTP {
        return match crc32c::sctp(segment) {
            Some(crc) if bytes::chunk(segment, 8) == Some(&crc) => Verification::Correct,
            _ => Verification::Wrong,
        };
    }
    let Some(covered) = covered(segment, meta.protocol) else { return Verification::Wrong };
    if meta.protocol == ip::UDP && meta.is_ipv4() && bytes::u16_at(segment, 6) == Some(0) {
        return Verification::Absent;
    }
    let zero_is_wrong =
        matches!(meta.protocol, ip::UDP | ip::UDP_LITE) && bytes::u16_at(segment, 6) == Some(0);
    if !zero_is_wrong && pseudo_header_of(segment, meta).plus(Sum::of(covered)).is_intact() {
        Verification::Correct
    } else {
        Verification::Wrong
    }
}

/// Whether a TCP or UDP checksum looks *partial*: its field is the folded pseudo header. A packet whose checksum is
/// right looks so once in 65 536 times, and completing it then changes nothing.
#[must_use]
pub fn is_partial(data: &[u8], meta: &Meta) -> bool {
    let whole = meta.facts.contains(Facts::L4) && !meta.facts.contains(Facts::FRAGMENT);
    let Some(segment) = segment(data, meta).filter(|_| whole) else { return false };
    let field = match meta.protocol {
        ip::TCP | ip::UDP => field_offset(meta.protocol).and_then(|at| bytes::u16_at(segment, at)),
        _ => None,
    };
    field.is_some_and(|field| field == pseudo_header_of(segment, meta).fold())
}

/// Completes a *partial* checksum: the field holds the folded pseudo header, the rest of the sum is added
/// here. `false`, and nothing changed, for packets that cannot have one (fragments, other protocols).
///
/// The caller then sets [`crate::L4Checksum::Verified`].
pub fn complete(data: &mut [u8], meta: &Meta) -> bool {
    if !meta.facts.contains(Facts::L4) || meta.facts.contains(Facts::FRAGMENT) {
        return false;
    }
    let Some(segment) = data.get_mut(usize::from(meta.l4)..usize::from(meta.end)) else { return false };
    if meta.protocol == ip::SCTP {
        let Some(crc) = crc32c::sctp(segment) else { return false };
        bytes::put(segment, 8, crc);
        return true;
    }
    let (Some(field), Some(covered)) = (field_offset(meta.protocol), covered(segment, meta.protocol)) else {
        return false;
    };
    let sum = Sum::of(covered);
    let checksum = match meta.protocol {
        ip::UDP | ip::UDP_LITE => sum.udp_checksum(),
        _ => sum.checksum(),
    };
    bytes::put(segment, field, checksum.to_be_bytes());
    true
}

/// Writes the whole transport checksum anew. For packets that this node originates; a forwarded packet's
/// checksum is only ever updated.
pub fn fill(data: &mut [u8], meta: &Meta) {
    let Some(segment) = data.get_mut(usize::from(meta.l4)..usize::from(meta.end)) else { return };
    let pseudo = pseudo_header_of(segment, meta);
    if let Some(field) = field_offset(meta.protocol) {
        bytes::put(segment, field, pseudo.fold().to_be_bytes());
    }
    complete(data, meta);
}

/// The transport header and all that follows it.
#[inline]
fn segment<'a>(data: &'a [u8], meta: &Meta) -> Option<&'a [u8]> {
    data.get(usize::from(meta.l4)..usize::from(meta.end))
}

/// The part of the segment that its checksum covers: UDP has its own length, UDP-Lite its coverage
/// (RFC 3828 §3.1: zero is all of it).
fn covered(segment: &[u8], protocol: u8) -> Option<&[u8]> {
    match protocol {
        ip::UDP | ip::UDP_LITE => match (protocol, usize::from(bytes::u16_at(segment, 4)?)) {
            (ip::UDP_LITE, 0) => Some(segment),
            (_, length) => segment.get(..length),
        },
        _ => Some(segment),
    }
}

/// The pseudo header that goes with `segment`; ICMP for IPv4 has none.
fn pseudo_header_of(segment: &[u8], meta: &Meta) -> Sum {
    let length = match meta.protocol {
        ip::ICMP => return Sum::default(),
        ip::UDP => bytes::u16_at(segment, 4).map_or(0, u32::from),
        _ => segment.len() as u32,
    };
    pseudo_header(&meta.src, &meta.dst, meta.protocol, length)
}
