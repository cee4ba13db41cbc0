//! ICMP and ICMPv6 that this node originates: echo replies, and errors about packets that it could not send
//! on. The received packet is turned into the answer in its own buffer, which then begins with the answer's
//! IP header: the caller routes it and puts a link-layer header in front, as for any packet.

use crate::answer::Answer;
use crate::buf::{L4Checksum, PacketBuf};
use crate::bytes;
use crate::checksum::{self, Delta, Sum};
use crate::drop::DropReason;
use crate::meta::{Address, Facts, Meta};
use crate::parse;
use crate::protocol::ip;

/// Longest ICMPv4 error: what every host takes (RFC 1812 §4.3.2.3).
const MAX_IPV4: usize = 576;
/// Longest ICMPv6 error: "as much of invoking packet as possible without the ICMPv6 packet exceeding the
/// minimum IPv6 MTU" (RFC 4443 §3.1).
const MAX_IPV6: usize = 1280;
const HEADER: usize = 8;
/// "ICMP error messages SHOULD have their IP Precedence field set to 6 or 7" (RFC 1812 §4.3.2.5).
const INTERNETWORK_CONTROL: u8 = 0xc0;

/// Why a packet is answered with an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IcmpError {
    /// TTL or hop limit ended here.
    TimeExceeded,
    /// No route to the destination.
    NetworkUnreachable,
    /// The destination's neighbour does not answer.
    HostUnreachable,
    /// Nobody listens on the destination port.
    PortUnreachable,
    /// Policy, or a reject next hop.
    AdministrativelyProhibited,
    /// Longer than `mtu` bytes, the MTU of the next link (at the network layer), and not to be fragmented.
    TooBig {
        /// What would fit.
        mtu: u16,
    },
}

impl IcmpError {
    /// Type and code of RFC 792, RFC 1191 §4 and RFC 1812 §5.2.7.1.
    const fn ipv4(self) -> [u8; 2] {
        match self {
            Self::TimeExceeded => [11, 0],
            Self::NetworkUnreachable => [3, 0],
            Self::HostUnreachable => [3, 1],
            Self::PortUnreachable => [3, 3],
            Self::TooBig { .. } => [3, 4],
            Self::AdministrativelyProhibited => [3, 13],
        }
    }

    /// Type and code of RFC 4443 §3.
    const fn ipv6(self) -> [u8; 2] {
        match self {
            Self::NetworkUnreachable => [1, 0],
            Self::AdministrativelyProhibited => [1, 1],
            Self::HostUnreachable => [1, 3],
            Self::PortUnreachable => [1, 4],
            Self::TooBig { .. } => [2, 0],
            Self::TimeExceeded => [3, 0],
        }
    }

    /// The second word of the message: the MTU in its low half for both families, else nothing.
    const fn rest(self) -> [u8; 4] {
        match self {
            Self::TooBig { mtu } => (mtu as u32).to_be_bytes(),
            _ => [0; 4],
        }
    }
}

/// Whether the packet may be answered with an error at all (RFC 1812 §4.3.2.7, RFC 4443 §2.4e): not if it is
/// an ICMP error itself, went to a group, comes from nobody, or is a fragment other than the first.
#[must_use]
pub const fn may_answer(meta: &Meta) -> bool {
    const NEVER: Facts = Facts::ICMP_ERROR.union(Facts::MULTICAST).union(Facts::LATER_FRAGMENT);
    const REDIRECT: u8 = 137;
    let redirect = meta.facts.contains(Facts::NEIGHBOUR_DISCOVERY) && meta.l4_flags == REDIRECT;
    !meta.facts.intersects(NEVER) && !redirect && u128::from_be_bytes(meta.src) != 0
}

/// Whether the packet is a whole echo request.
#[must_use]
pub const fn is_echo_request(meta: &Meta) -> bool {
    meta.facts.contains(Facts::L4)
        && !meta.facts.contains(Facts::FRAGMENT)
        && matches!(
            (meta.is_ipv6(), meta.protocol, meta.l4_flags),
            (false, ip::ICMP, 8) | (true, ip::ICMPV6, 128)
        )
}

/// Turns the packet that `meta` describes into an error about it, sent from `from` (an address of the same
/// family). The packet must be as it was received (no TTL taken, nothing translated), since that is what its
/// sender knows. Returns the error's own facts.
///
/// # Errors
/// `Headroom` without room for the headers; a parser's reason if `from` can be nobody's address.
pub fn error<B: PacketBuf>(
    buf: &mut B,
    meta: &Meta,
    error: IcmpError,
    from: &Address,
) -> Result<Meta, DropReason> {
    if buf.l4_checksum() == L4Checksum::Partial {
        checksum::complete(buf.data_mut(), meta);
    }
    let (l3, end) = (usize::from(meta.l3), usize::from(meta.end));
    let (network, longest, kind) =
        if meta.is_ipv4() { (20, MAX_IPV4, error.ipv4()) } else { (40, MAX_IPV6, error.ipv6()) };
    buf.truncate(end.min(l3 + longest - network - HEADER));
    if !buf.shrink_front(l3) || !buf.grow_front(HEADER) {
        return Err(DropReason::Headroom);
    }
    let [m0, m1, m2, m3] = error.rest();
    bytes::put(buf.data_mut(), 0, [kind[0], kind[1], 0, 0, m0, m1, m2, m3]);
    let class = if meta.is_ipv4() { INTERNETWORK_CONTROL } else { 0 };
    let protocol = if meta.is_ipv4() { ip::ICMP } else { ip::ICMPV6 };
    let answer = Answer { protocol, from, to: &meta.src, class, identification: None };
    answer.send(buf, meta.is_ipv4())
}

/// Turns an echo request into its reply (RFC 792, RFC 4443 §4.2): ends exchanged, the data as it came, no
/// options or extension headers. Its checksum follows by difference: a request that was damaged on its way
/// does not come back intact. Returns the reply's own facts.
///
/// # Errors
/// `InvalidL4` if it is no whole echo request; `Headroom` without room for the header.
pub fn echo_reply<B: PacketBuf>(buf: &mut B, meta: &Meta) -> Result<Meta, DropReason> {
    if !is_echo_request(meta) {
        return Err(DropReason::InvalidL4);
    }
    let l4 = usize::from(meta.l4);
    buf.truncate(usize::from(meta.end));
    if let Some(message) = bytes::chunk_mut::<4>(buf.data_mut(), l4) {
        let reply = if meta.is_ipv4() { 0 } else { 129 };
        let change = Delta::between(
            Sum::word(u16::from_be_bytes([message[0], 0])),
            Sum::word(u16::from_be_bytes([reply, 0])),
        );
        let checksum = change.apply(u16::from_be_bytes([message[2], message[3]])).to_be_bytes();
        *message = [reply, message[1], checksum[0], checksum[1]];
    }
    // An atomic datagram needs no identification (RFC 6864); another borrows the request's.
    let identification = if meta.facts.contains(Facts::DF) {
        None
    } else {
        bytes::u16_at(buf.data(), usize::from(meta.l3) + 4)
    };
    if !buf.shrink_front(l4) {
        return Err(DropReason::Truncated);
    }
    let (protocol, class) = (meta.protocol, meta.traffic_class);
    let answer = Answer { protocol, from: &meta.dst, to: &meta.src, class, identification };
    answer.network_header(buf, meta.is_ipv4())?;
    parse::ip(buf.data(), 0)
}
