//! The packet that an ICMP error quotes: the key to the flow which the error belongs to.

use crate::bytes;
use crate::extension;
use crate::meta::{Address, Facts, Meta, icmp_class, v4};
use crate::protocol::ip;
use crate::rewrite::Tuple;

/// A quoted packet, as far as the quotation shows it. Offsets count from the start of the frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quoted {
    /// Its ends, in its own direction (which is against the error's). Ports are 0 if `l4_present` is not set.
    pub tuple: Tuple,
    /// Its transport protocol.
    pub protocol: u8,
    /// Whether it is IPv6.
    pub ipv6: bool,
    /// Whether the quotation reaches the ports (or the ICMP identifier): never so for later fragments.
    pub l4_present: bool,
    /// Its network header.
    pub l3: u16,
    /// Its transport header.
    pub l4: u16,
    /// One past the last quoted byte.
    pub end: u16,
}

impl Quoted {
    /// Whether the quoted packet is itself ICMP, where both directions share the identifier.
    #[inline]
    #[must_use]
    pub const fn is_icmp(&self) -> bool {
        self.protocol == if self.ipv6 { ip::ICMPV6 } else { ip::ICMP }
    }

    /// The key of packets that travel the error's way: the quoted packet's ends, exchanged.
    #[must_use]
    pub const fn reply(&self) -> Tuple {
        let Tuple { src, dst, src_port, dst_port } = self.tuple;
        if self.is_icmp() {
            Tuple { src: dst, dst: src, src_port, dst_port }
        } else {
            Tuple { src: dst, dst: src, src_port: dst_port, dst_port: src_port }
        }
    }
}

/// The packet that the ICMP error in `data` quotes. `None` if the message is no error, a fragment's tail, or
/// quotes too little to tell its addresses, or another family.
#[must_use]
pub fn quoted(data: &[u8], meta: &Meta) -> Option<Quoted> {
    if !meta.facts.contains(Facts::ICMP_ERROR) {
        return None;
    }
    let l3 = usize::from(meta.l4) + 8;
    let message = data.get(..usize::from(meta.end))?;
    if meta.is_ipv4() { quoted_ipv4(message, l3) } else { quoted_ipv6(message, l3) }
}

fn quoted_ipv4(message: &[u8], l3: usize) -> Option<Quoted> {
    let header = bytes::chunk::<20>(message, l3)?;
    let length = usize::from(header[0] & 0xf) * 4;
    if header[0] >> 4 != 4 || length < 20 {
        return None;
    }
    let total = usize::from(u16::from_be_bytes([header[2], header[3]]));
    let later = u16::from_be_bytes([header[6], header[7]]) & 0x1fff != 0;
    let src = v4([header[12], header[13], header[14], header[15]]);
    let dst = v4([header[16], header[17], header[18], header[19]]);
    let end = message.len().min(l3 + total);
    // "The internet header plus the first 64 bits" (RFC 792).
    if l3 + length > end {
        return None;
    }
    Some(transport(message, src, dst, Place { protocol: header[9], l3, l4: l3 + length, end, later }, false))
}

fn quoted_ipv6(message: &[u8], l3: usize) -> Option<Quoted> {
    let header = bytes::chunk::<40>(message, l3)?;
    if header[0] >> 4 != 6 {
        return None;
    }
    let length = usize::from(u16::from_be_bytes([header[4], header[5]]));
    let end = message.len().min(l3 + 40 + length);
    let mut src = Address::default();
    let mut dst = Address::default();
    src.copy_from_slice(&header[8..24]);
    dst.copy_from_slice(&header[24..40]);
    let chain = extension::walk(message.get(..end)?, header[6], l3 + 40).ok()?;
    let later = chain.fragment.is_some_and(|fragment| fragment.place != 0);
    Some(transport(
        message,
        src,
        dst,
        Place { protocol: chain.protocol, l3, l4: chain.transport, end, later },
        true,
    ))
}

struct Place {
    protocol: u8,
    l3: usize,
    l4: usize,
    end: usize,
    later: bool,
}

/// Reads the ports of a packet that may be cut behind any byte.
fn transport(message: &[u8], src: Address, dst: Address, place: Place, ipv6: bool) -> Quoted {
    let Place { protocol, l3, l4, end, later } = place;
    let mut quote = Quoted {
        tuple: Tuple { src, dst, ..Tuple::default() },
        protocol,
        ipv6,
        l4_present: false,
        l3: l3 as u16,
        l4: l4 as u16,
        end: end as u16,
    };
    // "At least 64 bits of the original datagram's data" (RFC 792); whoever quotes less shows no ports.
    let header = message.get(..end).and_then(|quoted| bytes::chunk::<8>(quoted, l4));
    let Some(header) = header.filter(|_| !later) else { return quote };
    let first = u16::from_be_bytes([header[0], header[1]]);
    let second = u16::from_be_bytes([header[2], header[3]]);
    match protocol {
        ip::TCP | ip::UDP | ip::UDP_LITE | ip::SCTP => {
            quote.tuple.src_port = first;
            quote.tuple.dst_port = second;
            quote.l4_present = true;
        }
        _ if quote.is_icmp() => {
            quote.tuple.dst_port = icmp_class(protocol, header[0]);
            if quote.tuple.dst_port == 0 {
                quote.tuple.src_port = u16::from_be_bytes([header[4], header[5]]);
            }
            quote.l4_present = true;
        }
        _ => {}
    }
    quote
}
