//! Numbers for tunnel destinations, so that a session stores two bytes.

use ahash::AHashMap;
use packet::Address;

use crate::tables::{PeerId, Peers};

/// Ids in use, counted by the tunnels that name them.
#[derive(Debug)]
pub(super) struct PeerIds {
    by_address: AHashMap<Address, (PeerId, u32)>,
    used: Box<[bool; 1 << 16]>,
    /// Ids go round, so that an old session meets an id again as late as can be.
    next: u16,
}

impl Default for PeerIds {
    fn default() -> Self {
        Self { by_address: AHashMap::new(), used: Box::new([false; 1 << 16]), next: 1 }
    }
}

impl PeerIds {
    /// Counts one more tunnel to a destination; [`PeerId::UNKNOWN`] if all ids are in use.
    pub(super) fn take(&mut self, address: Address, peers: &mut Peers) -> PeerId {
        if let Some((id, tunnels)) = self.by_address.get_mut(&address) {
            *tunnels += 1;
            return *id;
        }
        for _ in 0..u16::MAX {
            let id = self.next;
            self.next = self.next.wrapping_add(1).max(1);
            if !self.used[usize::from(id)] {
                self.used[usize::from(id)] = true;
                self.by_address.insert(address, (PeerId(id), 1));
                peers.insert(address, PeerId(id));
                return PeerId(id);
            }
        }
        PeerId::UNKNOWN
    }

    /// Counts one tunnel less.
    pub(super) fn release(&mut self, address: Address, peers: &mut Peers) {
        let Some((id, tunnels)) = self.by_address.get_mut(&address) else { return };
        *tunnels -= 1;
        if *tunnels == 0 {
            self.used[usize::from(id.0)] = false;
            self.by_address.remove(&address);
            peers.remove(&address);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_destination_keeps_its_id_while_any_tunnel_names_it() {
        let (mut ids, mut peers) = (PeerIds::default(), Peers::default());
        let [a, b] = [[1; 16], [2; 16]];
        let id = ids.take(a, &mut peers);
        assert_eq!((id, ids.take(a, &mut peers)), (PeerId(1), PeerId(1)));
        ids.release(a, &mut peers);
        assert_eq!(peers.get(&a), id);
        ids.release(a, &mut peers);
        assert_eq!((peers.get(&a), ids.by_address.len()), (PeerId::UNKNOWN, 0));
        assert_eq!(ids.take(b, &mut peers), PeerId(2), "a freed id is not used again at once");
    }

    #[test]
    fn ids_go_round_and_never_give_unknown_while_one_is_free() {
        let (mut ids, mut peers) = (PeerIds::default(), Peers::default());
        let address = |n: u32| {
            let mut a = [0; 16];
            a[..4].copy_from_slice(&n.to_be_bytes());
            a
        };
        for n in 0..65_535 {
            assert_ne!(ids.take(address(n), &mut peers), PeerId::UNKNOWN);
        }
        assert_eq!(ids.take(address(70_000), &mut peers), PeerId::UNKNOWN);
        ids.release(address(41_000), &mut peers);
        assert_eq!(ids.take(address(70_000), &mut peers), PeerId(41_001));
    }
}
