//! Source NAT: which port of a shared outside address a workload's conversation leaves with (RFC 4787, RFC 5382).
//!
//! A [`PortPool`] gives out the ports of one outside address. It is asked only when a session is created and told
//! only when one has ended; packets of known sessions carry their translation with them. That two sessions never
//! share a reply's key is the flow table's own law: the pool finds a port that keeps it without trying.

mod mappings;
mod ports;

use std::ops::RangeInclusive;

use packet::protocol::ip;
use packet::{Address, InterfaceId};

use mappings::Mappings;
use ports::Ports;

/// Which sessions of a workload share an outside port.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mapping {
    /// All sessions from one address and port, wherever they lead (RFC 4787 §4.1): peers that learn the outside
    /// port from others can use it, and an address has as many mappings as ports.
    #[default]
    EndpointIndependent,
    /// None: the same outside port serves different destinations at once, so that a pool lasts for far more
    /// sessions than it has ports.
    PerDestination,
}

/// The workload's end of a conversation that is translated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Inside {
    /// Whose workload's.
    pub interface: InterfaceId,
    /// Its address.
    pub address: Address,
    /// Its port; ICMP: the identifier of the echo.
    pub port: u16,
    /// IP protocol.
    pub protocol: u8,
}

/// The far end of a conversation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Remote {
    /// Its address.
    pub address: Address,
    /// Its port; 0 for ICMP.
    pub port: u16,
}

/// Destinations are told apart by so many classes in [`Mapping::PerDestination`]: ports are unique within one.
const CLASSES: usize = 16;
/// Protocols with ports, in the order of [`place_of`].
const PROTOCOLS: usize = 5;

/// The ports of one outside address.
#[derive(Debug)]
pub struct PortPool {
    /// Taken ports by protocol and class of destination.
    taken: Box<[Ports]>,
    /// Endpoint-independent mappings; `None` per destination.
    mappings: Option<Mappings>,
}

impl PortPool {
    /// A pool without a port taken; memory for as many mappings as `expected` is taken now.
    #[must_use]
    pub fn new(mapping: Mapping, expected: usize) -> Self {
        let (classes, mappings) = match mapping {
            Mapping::EndpointIndependent => (1, Some(Mappings::new(expected))),
            Mapping::PerDestination => (CLASSES, None),
        };
        Self { taken: (0..PROTOCOLS * classes).map(|_| Ports::default()).collect(), mappings }
    }

    /// Takes a port of `range` for a new session: the one that its inside end has already, else the inside port
    /// itself, else the next free one behind a place that `hash` names. `None` if none is free.
    ///
    /// A protocol without ports keeps what stands in their place.
    #[must_use]
    pub fn claim(
        &self,
        inside: &Inside,
        remote: &Remote,
        range: &RangeInclusive<u16>,
        hash: u32,
    ) -> Option<u16> {
        let Some(ports) = self.ports(inside.protocol, remote) else { return Some(inside.port) };
        let take = || ports.claim(inside.port, range, hash);
        match &self.mappings {
            Some(mappings) => mappings.claim(inside, take),
            None => take(),
        }
    }

    /// The port that [`Self::claim`] would take now. Nothing is taken.
    #[must_use]
    pub fn foresee(
        &self,
        inside: &Inside,
        remote: &Remote,
        range: &RangeInclusive<u16>,
        hash: u32,
    ) -> Option<u16> {
        let Some(ports) = self.ports(inside.protocol, remote) else { return Some(inside.port) };
        let mapped = self.mappings.as_ref().and_then(|mappings| mappings.find(inside));
        mapped.or_else(|| ports.foresee(inside.port, range, hash))
    }

    /// Whether an inside end has a port here that its next session will share.
    #[must_use]
    pub fn knows(&self, inside: &Inside) -> bool {
        self.mappings.as_ref().is_some_and(|mappings| mappings.find(inside).is_some())
    }

    /// A session that had claimed `port` is over: it is free again if no other session of its mapping is left.
    pub fn release(&self, inside: &Inside, remote: &Remote, port: u16) {
        let Some(ports) = self.ports(inside.protocol, remote) else { return };
        let last = self.mappings.as_ref().is_none_or(|mappings| mappings.release(inside, port));
        if last {
            ports.release(port);
        }
    }

    /// Who is behind an outside port, for packets that one inside end sends to another's outside address
    /// (RFC 4787 §6). Nobody per destination: there a port has no owner.
    #[must_use]
    pub fn behind(&self, protocol: u8, port: u16) -> Option<Inside> {
        self.mappings.as_ref()?.behind(protocol, port)
    }

    /// How many ports are taken, of all protocols and classes of destinations.
    #[must_use]
    pub fn taken(&self) -> u64 {
        self.taken.iter().map(Ports::taken).sum()
    }

    fn ports(&self, protocol: u8, remote: &Remote) -> Option<&Ports> {
        let place = place_of(protocol)?;
        let class = if self.mappings.is_some() { 0 } else { class_of(remote) };
        self.taken.get(class * PROTOCOLS + place)
    }
}

/// Whether a protocol has ports, or identifiers that stand for them.
#[must_use]
pub const fn has_ports(protocol: u8) -> bool {
    place_of(protocol).is_some()
}

/// The place of a protocol that has ports or identifiers.
const fn place_of(protocol: u8) -> Option<usize> {
    Some(match protocol {
        ip::TCP => 0,
        ip::UDP => 1,
        ip::ICMP | ip::ICMPV6 => 2,
        ip::SCTP => 3,
        ip::UDP_LITE => 4,
        _ => return None,
    })
}

/// The class of a destination: any even spread will do, since the flow table keeps replies apart.
fn class_of(remote: &Remote) -> usize {
    let address = u128::from_ne_bytes(remote.address);
    let folded = address as u64 ^ (address >> 64) as u64 ^ u64::from(remote.port).rotate_left(48);
    (folded.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 60) as usize % CLASSES
}

#[cfg(test)]
mod tests;
