//! What names one direction of a conversation.

use packet::hash::FlowHasher;
use packet::{Address, InterfaceId, Meta, NextHopId};

/// Whose side of a conversation a key is seen from (SEMANTICS 1): two bits of kind, 22 bits of id.
///
/// It is always the *workload side*, so that tenants with the same addresses never meet in the table.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(transparent)]
pub struct Scope([u8; 3]);

/// The kinds of scope.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ScopeKind {
    /// Packets that an interface's workload sends.
    FromWorkload,
    /// Packets from the fabric to an interface's workload.
    ToWorkload,
    /// Packets from the fabric to a service with several local interfaces; the id is its next hop's.
    Service,
}

const ID_BITS: u32 = 22;
const ID_MASK: u32 = (1 << ID_BITS) - 1;

impl Scope {
    /// No scope: the key of a half that does not exist.
    pub const NONE: Self = Self([0; 3]);

    /// Packets that the workload behind `interface` sends.
    #[inline]
    #[must_use]
    pub const fn from_workload(interface: InterfaceId) -> Self {
        Self::from_raw(1 << ID_BITS | interface.0 as u32)
    }

    /// Packets from the fabric to the workload behind `interface`.
    #[inline]
    #[must_use]
    pub const fn to_workload(interface: InterfaceId) -> Self {
        Self::from_raw(2 << ID_BITS | interface.0 as u32)
    }

    /// Packets from the fabric to a service. The lower 22 bits of the next hop's id count.
    #[inline]
    #[must_use]
    pub const fn service(next_hop: NextHopId) -> Self {
        Self::from_raw(3 << ID_BITS | next_hop.0 & ID_MASK)
    }

    /// The kind, `None` for [`Scope::NONE`].
    #[inline]
    #[must_use]
    pub const fn kind(self) -> Option<ScopeKind> {
        match self.raw() >> ID_BITS {
            1 => Some(ScopeKind::FromWorkload),
            2 => Some(ScopeKind::ToWorkload),
            3 => Some(ScopeKind::Service),
            _ => None,
        }
    }

    /// The interface or next-hop id.
    #[inline]
    #[must_use]
    pub const fn id(self) -> u32 {
        self.raw() & ID_MASK
    }

    /// The interface whose workload this is; `None` for a service.
    #[inline]
    #[must_use]
    pub const fn interface(self) -> Option<InterfaceId> {
        match self.kind() {
            Some(ScopeKind::FromWorkload | ScopeKind::ToWorkload) => Some(InterfaceId(self.id() as u16)),
            _ => None,
        }
    }

    /// The 24 bits as stored and hashed.
    #[inline]
    #[must_use]
    pub const fn raw(self) -> u32 {
        let [low, middle, high] = self.0;
        u32::from_le_bytes([low, middle, high, 0])
    }

    #[inline]
    pub(crate) const fn from_raw(raw: u32) -> Self {
        let [low, middle, high, _] = raw.to_le_bytes();
        Self([low, middle, high])
    }
}

impl std::fmt::Display for Scope {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.kind() {
            Some(ScopeKind::FromWorkload) => write!(f, "from {}", self.id()),
            Some(ScopeKind::ToWorkload) => write!(f, "to {}", self.id()),
            Some(ScopeKind::Service) => write!(f, "service {}", self.id()),
            None => f.write_str("none"),
        }
    }
}

/// The key of one direction of a conversation. Laid out so that everything behind the addresses is one word.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[repr(C, align(8))]
pub struct FlowKey {
    /// Source address.
    pub src: Address,
    /// Destination address.
    pub dst: Address,
    /// Source port; ICMP: the identifier.
    pub src_port: u16,
    /// Destination port; ICMP: the type class, see [`packet::meta::icmp_class`].
    pub dst_port: u16,
    /// Whose workload's.
    pub scope: Scope,
    /// IP protocol.
    pub protocol: u8,
    /// Whether the addresses are IPv6.
    pub v6: bool,
}

impl FlowKey {
    /// The key of a parsed packet.
    #[inline]
    #[must_use]
    pub const fn from(meta: &Meta, scope: Scope) -> Self {
        Self {
            src: meta.src,
            dst: meta.dst,
            scope,
            src_port: meta.src_port,
            dst_port: meta.dst_port,
            protocol: meta.protocol,
            v6: meta.is_ipv6(),
        }
    }

    /// The key of the untranslated answer, as seen at `scope`. An ICMP identifier and class are the same in
    /// both directions and keep their places.
    #[inline]
    #[must_use]
    pub const fn reversed(&self, scope: Scope) -> Self {
        let icmp = matches!((self.v6, self.protocol), (false, 1) | (true, 58));
        let (src_port, dst_port) =
            if icmp { (self.src_port, self.dst_port) } else { (self.dst_port, self.src_port) };
        Self { src: self.dst, dst: self.src, scope, src_port, dst_port, ..*self }
    }

    /// Everything but the addresses in one word, as a half stores it:
    /// source port 16 | destination port 16 | scope 24 | protocol 8.
    #[inline(always)]
    pub(crate) const fn tail(&self) -> u64 {
        let ([a, b], [c, d]) = (self.src_port.to_le_bytes(), self.dst_port.to_le_bytes());
        let Scope([e, f, g]) = self.scope;
        u64::from_le_bytes([a, b, c, d, e, f, g, self.protocol])
    }

    /// The key made of stored words.
    pub(crate) const fn from_words(tail: u64, src: Address, dst: Address, v6: bool) -> Self {
        Self {
            src,
            dst,
            scope: Scope::from_raw((tail >> 32) as u32),
            src_port: tail as u16,
            dst_port: (tail >> 16) as u16,
            protocol: (tail >> 56) as u8,
            v6,
        }
    }

    /// Both IPv4 addresses in one word, in the order of memory.
    #[inline(always)]
    pub(crate) const fn v4_word(&self) -> u64 {
        let ([a, b, c, d, ..], [e, f, g, h, ..]) = (self.src, self.dst);
        u64::from_ne_bytes([a, b, c, d, e, f, g, h])
    }

    /// The seeded hash.
    #[inline]
    #[must_use]
    pub const fn hash(&self, hasher: &FlowHasher) -> u64 {
        let ports = (self.src_port as u32) << 16 | self.dst_port as u32;
        if self.v6 {
            hasher.ipv6(&self.src, &self.dst, ports, self.protocol, self.scope.raw())
        } else {
            let ([a, b, c, d, ..], [e, f, g, h, ..]) = (self.src, self.dst);
            let (src, dst) = (u32::from_be_bytes([a, b, c, d]), u32::from_be_bytes([e, f, g, h]));
            hasher.ipv4(src, dst, ports, self.protocol, self.scope.raw())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use packet::meta::v4;

    fn key(protocol: u8, v6: bool) -> FlowKey {
        FlowKey {
            src: v4([10, 0, 0, 1]),
            dst: v4([10, 0, 0, 2]),
            scope: Scope::from_workload(InterfaceId(7)),
            src_port: 1000,
            dst_port: 80,
            protocol,
            v6,
        }
    }

    #[test]
    fn a_scope_tells_kind_and_id() {
        let id = InterfaceId(65535);
        assert_eq!(Scope::from_workload(id).kind(), Some(ScopeKind::FromWorkload));
        assert_eq!(Scope::to_workload(id).kind(), Some(ScopeKind::ToWorkload));
        assert_eq!(Scope::from_workload(id).interface(), Some(id));
        assert_eq!(Scope::to_workload(id).interface(), Some(id));
        let service = Scope::service(NextHopId(0x3f_fffe));
        assert_eq!((service.kind(), service.id()), (Some(ScopeKind::Service), 0x3f_fffe));
        assert_eq!(service.interface(), None);
        assert_eq!((Scope::NONE.kind(), Scope::NONE.interface()), (None, None));
        assert_eq!(Scope::service(NextHopId(u32::MAX)).raw(), 0xff_ffff, "never more than 24 bits");
    }

    #[test]
    fn a_scope_reads_like_the_cli_prints_it() {
        assert_eq!(Scope::from_workload(InterfaceId(3)).to_string(), "from 3");
        assert_eq!(Scope::to_workload(InterfaceId(3)).to_string(), "to 3");
        assert_eq!(Scope::service(NextHopId(12)).to_string(), "service 12");
        assert_eq!(Scope::NONE.to_string(), "none");
    }

    #[test]
    fn the_answer_swaps_addresses_and_ports_but_not_an_icmp_identifier() {
        let scope = Scope::to_workload(InterfaceId(7));
        let tcp = key(6, false).reversed(scope);
        assert_eq!(
            (tcp.src, tcp.dst, tcp.src_port, tcp.dst_port),
            (v4([10, 0, 0, 2]), v4([10, 0, 0, 1]), 80, 1000)
        );
        assert_eq!((tcp.scope, tcp.protocol), (scope, 6));
        for (protocol, v6, kept) in [(1, false, true), (58, true, true), (1, true, false), (58, false, false)]
        {
            let back = key(protocol, v6).reversed(scope);
            assert_eq!((back.src_port, back.dst_port) == (1000, 80), kept, "protocol {protocol} v6 {v6}");
        }
    }

    #[test]
    fn the_stored_words_give_the_key_back() {
        for v6 in [false, true] {
            let key = key(17, v6);
            assert_eq!(FlowKey::from_words(key.tail(), key.src, key.dst, v6), key);
        }
    }

    #[test]
    fn a_packets_key_is_made_of_what_the_parser_found() {
        for (v6, facts) in [(false, packet::Facts::IPV4), (true, packet::Facts::IPV6)] {
            let expected = key(6, v6);
            let meta = Meta {
                src: expected.src,
                dst: expected.dst,
                src_port: expected.src_port,
                dst_port: expected.dst_port,
                protocol: expected.protocol,
                facts,
                ..Meta::default()
            };
            assert_eq!(FlowKey::from(&meta, expected.scope), expected);
        }
    }

    #[test]
    fn every_field_changes_the_hash() {
        let hasher = FlowHasher::new(42);
        for v6 in [false, true] {
            let base = key(6, v6);
            let mut others = vec![base; 6];
            others[0].src[3] ^= 1;
            others[1].dst[3] ^= 1;
            others[2].src_port ^= 1;
            others[3].dst_port ^= 1;
            others[4].protocol = 17;
            others[5].scope = Scope::to_workload(InterfaceId(7));
            let mut hashes: Vec<u64> = others.iter().map(|k| k.hash(&hasher)).collect();
            hashes.push(base.hash(&hasher));
            hashes.push(base.hash(&FlowHasher::new(43)));
            hashes.sort_unstable();
            hashes.dedup();
            assert_eq!(hashes.len(), 8);
        }
    }
}
