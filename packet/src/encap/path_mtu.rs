//! What the underlay says about our own tunnel packets: that they were too big for one of its links.

use super::template::Encapsulation;
use crate::bytes;
use crate::checksum::{self, Verification};
use crate::meta::{Address, Facts, Meta};
use crate::protocol::{ether_type, ip, udp};
use crate::quoted::quoted;

/// "Fragmentation needed" (RFC 1191) or "packet too big" (RFC 8201) about a packet of one of our tunnels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TunnelTooBig {
    /// Outer source of the packet that was too big.
    pub source: Address,
    /// Its outer destination: the tunnel's other end.
    pub destination: Address,
    /// Whether the outer header is IPv6.
    pub ipv6: bool,
    /// How it was carried.
    pub encapsulation: Encapsulation,
    /// What fits through the link, in bytes of the outer network packet: at least what every link carries, 576
    /// (RFC 791) or 1280 (RFC 8200 §5).
    pub mtu: u16,
}

impl TunnelTooBig {
    /// Reads the message in `data`. `None` if it is another message, is damaged, or quotes no tunnel packet. A
    /// router that does not say what would fit (before RFC 1191) is not listened to.
    #[must_use]
    pub fn read(data: &[u8], meta: &Meta) -> Option<Self> {
        if !meta.facts.contains(Facts::ICMP_ERROR) || meta.facts.contains(Facts::FRAGMENT) {
            return None;
        }
        let header = bytes::chunk::<8>(data, usize::from(meta.l4))?;
        let (told, least) = match (meta.protocol, header[0], header[1]) {
            (ip::ICMP, 3, 4) => (u32::from(u16::from_be_bytes([header[6], header[7]])), 576),
            (ip::ICMPV6, 2, _) => (u32::from_be_bytes([header[4], header[5], header[6], header[7]]), 1280),
            _ => return None,
        };
        if told == 0 || checksum::verify(data, meta) != Verification::Correct {
            return None;
        }
        let quote = quoted(data, meta)?;
        let encapsulation = match (quote.protocol, quote.tuple.dst_port) {
            (ip::UDP, udp::MPLS | udp::MPLS_LEGACY) if quote.l4_present => Encapsulation::MplsOverUdp,
            (ip::UDP, udp::VXLAN) if quote.l4_present => Encapsulation::Vxlan,
            (ip::GRE, _) if bytes::u16_at(data, usize::from(quote.l4) + 2) == Some(ether_type::MPLS) => {
                Encapsulation::MplsOverGre
            }
            _ => return None,
        };
        Some(Self {
            source: quote.tuple.src,
            destination: quote.tuple.dst,
            ipv6: quote.ipv6,
            encapsulation,
            mtu: u16::try_from(told).unwrap_or(u16::MAX).max(least),
        })
    }
}
