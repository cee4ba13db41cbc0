//! The longest match. What several steps of a decision ask about one address is searched for once.

use nexthop::FibResult;
use packet::{Address, VrfId};

use crate::tables::{NextHop, Tables, v4_number};

/// Most VRFs that look into another one, and levels of groups, on the way to a leaf.
pub(super) const MAX_STEPS: usize = 8;

/// The longest match for an address.
#[inline]
pub(super) fn lookup(tables: &Tables, vrf: VrfId, v6: bool, address: &Address) -> Option<FibResult> {
    lookup_length(tables, vrf, v6, address).map(|(route, _)| route)
}

/// A route and the length of its prefix.
type Match = (FibResult, u8);

/// The longest match for an address and the length of the prefix that matched.
#[inline]
pub(super) fn lookup_length(tables: &Tables, vrf: VrfId, v6: bool, address: &Address) -> Option<Match> {
    if v6 {
        tables.vrfs.lookup6_len(vrf, u128::from_be_bytes(*address))
    } else {
        tables.vrfs.lookup4_len(vrf, v4_number(address))
    }
}

/// The routes to one address in whatever VRF is asked about. The last two answers are remembered: a workload's own VRF
/// and the public one, as a rule.
#[derive(Clone, Copy)]
pub(super) struct Routes<'t> {
    pub(super) tables: &'t Tables,
    pub(super) v6: bool,
    pub(super) address: Address,
    known: [Option<(VrfId, Option<Match>)>; 2],
}

impl<'t> Routes<'t> {
    /// To this address; nothing is looked up yet.
    #[inline]
    pub(super) const fn to(tables: &'t Tables, v6: bool, address: &Address) -> Self {
        Self { tables, v6, address: *address, known: [None; 2] }
    }

    /// The longest match in a VRF and the length of its prefix.
    #[inline]
    pub(super) fn with_length(&mut self, vrf: VrfId) -> Option<Match> {
        if let Some((_, found)) = self.known.iter().flatten().find(|(known, _)| *known == vrf) {
            return *found;
        }
        let found = lookup_length(self.tables, vrf, self.v6, &self.address);
        self.known = [Some((vrf, found)), self.known[0]];
        found
    }

    /// The longest match in a VRF.
    #[inline]
    pub(super) fn in_vrf(&mut self, vrf: VrfId) -> Option<FibResult> {
        self.with_length(vrf).map(|(route, _)| route)
    }

    /// The route by which the address is known, and the VRF it is in: where one VRF looks into another, the route there.
    pub(super) fn known(&mut self, vrf: VrfId) -> (VrfId, Option<FibResult>) {
        let (mut vrf, mut found) = (vrf, self.in_vrf(vrf));
        for _ in 0..MAX_STEPS {
            let next_hop = found.and_then(|route| self.tables.next_hop(route.next_hop()));
            let Some(NextHop::Vrf(other)) = next_hop else { break };
            vrf = *other;
            found = self.in_vrf(vrf);
        }
        (vrf, found)
    }
}
