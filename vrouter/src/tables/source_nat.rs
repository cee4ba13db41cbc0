//! Source NAT as the miss path reads it: outside addresses and the ports that are still free on them.

use std::ops::RangeInclusive;
use std::sync::Arc;

use flow::Scope;
use flow::nat::{Inside, PortPool, Remote};
use packet::{Address, NextHopId, VrfId};

/// One pool.
#[derive(Clone, Debug)]
pub struct SourceNat {
    /// The controller's id.
    pub id: u16,
    /// The outside: where routes lead to, and where replies are looked up.
    pub vrf: VrfId,
    /// The ports of each address that may be used.
    pub ports: RangeInclusive<u16>,
    /// The addresses of both families.
    pub addresses: Vec<OutsideAddress>,
    /// The next hop of the routes to its addresses.
    pub next_hop: NextHopId,
}

/// One address of a pool.
#[derive(Clone, Debug)]
pub struct OutsideAddress {
    /// The address.
    pub address: Address,
    /// Whether it is IPv6.
    pub v6: bool,
    /// Whether the node itself has it: what no session knows is for the node then.
    pub own: bool,
    /// Its ports; the same in every generation.
    pub pool: Arc<PortPool>,
}

/// An address and a port outside.
pub type Outside = (Address, u16);

impl SourceNat {
    /// The scope in which replies are looked up.
    #[must_use]
    pub const fn scope(&self) -> Scope {
        Scope::service(self.next_hop)
    }

    /// Whether it has addresses of a family.
    #[must_use]
    pub fn serves(&self, v6: bool) -> bool {
        self.of(v6).next().is_some()
    }

    /// Whether any address is the node's own.
    #[must_use]
    pub fn is_nodes(&self) -> bool {
        self.addresses.iter().any(|outside| outside.own)
    }

    /// Takes an outside address and port for a new session; `None` if all are taken. One inside address gets one
    /// outside address while that has a port free (RFC 4787 §4.1, "paired").
    #[must_use]
    pub fn claim(&self, v6: bool, inside: &Inside, remote: &Remote, hash: u32) -> Option<Outside> {
        self.choose(v6, inside, |outside| outside.pool.claim(inside, remote, &self.ports, hash))
    }

    /// What [`Self::claim`] would take now.
    #[must_use]
    pub fn foresee(&self, v6: bool, inside: &Inside, remote: &Remote, hash: u32) -> Option<Outside> {
        self.choose(v6, inside, |outside| outside.pool.foresee(inside, remote, &self.ports, hash))
    }

    /// A session is over that had claimed this.
    pub fn release(&self, v6: bool, inside: &Inside, remote: &Remote, (address, port): Outside) {
        if let Some(outside) = self.at(v6, &address) {
            outside.pool.release(inside, remote, port);
        }
    }

    /// Whether a session may keep what it has claimed under an earlier generation.
    #[must_use]
    pub fn still_has(&self, v6: bool, has_ports: bool, (address, port): Outside) -> bool {
        self.at(v6, &address).is_some() && (!has_ports || self.ports.contains(&port))
    }

    /// The address of the pool with this value.
    #[must_use]
    pub fn at(&self, v6: bool, address: &Address) -> Option<&OutsideAddress> {
        self.of(v6).find(|outside| outside.address == *address)
    }

    fn of(&self, v6: bool) -> impl DoubleEndedIterator<Item = &OutsideAddress> + Clone {
        self.addresses.iter().filter(move |outside| outside.v6 == v6)
    }

    /// The first address on which `take` finds a port: where the inside end is known already, else from its own
    /// place on.
    fn choose(
        &self,
        v6: bool,
        inside: &Inside,
        take: impl Fn(&OutsideAddress) -> Option<u16>,
    ) -> Option<Outside> {
        let count = self.of(v6).count().max(1);
        let folded =
            inside.address.iter().fold(0, |sum: usize, byte| sum.wrapping_mul(31) + usize::from(*byte));
        let known = self.of(v6).filter(|outside| count > 1 && outside.pool.knows(inside));
        let others = self.of(v6).cycle().skip(folded % count).take(count);
        known.chain(others).find_map(|outside| Some((outside.address, take(outside)?)))
    }
}
