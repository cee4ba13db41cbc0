//! Tunnel peers: the outer addresses of other nodes, interned so that a session stores two bytes.

use std::sync::Arc;

use ahash::AHashMap;
use packet::Address;

/// A tunnel destination known to this node; 0 is "unknown".
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PeerId(pub u16);

impl PeerId {
    /// An outer source that no tunnel next hop names.
    pub const UNKNOWN: Self = Self(0);
}

/// Peers by address. Peers come and go rarely: a change copies the map.
#[derive(Clone, Debug, Default)]
pub struct Peers {
    by_address: Arc<AHashMap<Address, PeerId>>,
}

impl Peers {
    /// The peer with this outer address.
    #[inline]
    #[must_use]
    pub fn get(&self, address: &Address) -> PeerId {
        self.by_address.get(address).copied().unwrap_or_default()
    }

    /// Names a peer; the control side gives out the ids.
    pub fn insert(&mut self, address: Address, peer: PeerId) {
        Arc::make_mut(&mut self.by_address).insert(address, peer);
    }

    /// Forgets a peer that no tunnel names any more.
    pub fn remove(&mut self, address: &Address) {
        Arc::make_mut(&mut self.by_address).remove(address);
    }
}
