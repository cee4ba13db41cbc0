//! What a tunnel stands on: its destination, followed through the transport VRF to neighbours on out interfaces.

use std::net::IpAddr;

use packet::{InterfaceId, NextHopId, VrfId};

/// How many next hops may lead on to others before that is a mistake.
pub const MAX_DEPTH: usize = 8;

/// A next hop as far as resolution is concerned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Hop {
    /// A connected subnet: the destination is the neighbour.
    Resolve {
        /// Where the subnet is.
        interface: InterfaceId,
    },
    /// Out of an interface, to a gateway there; without one, the destination is the neighbour.
    Interface {
        /// The out interface.
        interface: InterfaceId,
        /// The gateway, which may be of the other family.
        gateway: Option<IpAddr>,
    },
    /// Any of these; those without weight are left out by the caller.
    Ecmp(Vec<NextHopId>),
    /// Look up again in another VRF.
    Vrf(VrfId),
    /// Anything that is no way through the underlay: discard, reject, receive, another tunnel.
    Other,
}

/// One way to the destination.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Uplink {
    /// The out interface.
    pub interface: InterfaceId,
    /// Whose MAC the packets need.
    pub neighbour: IpAddr,
}

/// Why a destination does not resolve.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ResolveError {
    /// No prefix of the VRF covers the destination.
    #[error("no route in VRF {0}")]
    NoRoute(VrfId),
    /// A route or a group names a next hop that does not exist.
    #[error("next hop {0} does not exist")]
    NoNextHop(NextHopId),
    /// A next hop leads back to where it was reached from.
    #[error("next hop {0} leads back to itself")]
    Loop(NextHopId),
    /// More than [`MAX_DEPTH`] next hops lead on.
    #[error("more than {MAX_DEPTH} next hops lead on to others")]
    TooDeep,
    /// The next hop leads to no neighbour: discard, reject, receive, a tunnel, an empty group.
    #[error("next hop {0} leads to no neighbour")]
    NotForwarding(NextHopId),
}

/// Follows `destination` from `vrf` to the neighbours that lead there, in order of discovery, each once. `lookup` is the longest
/// match in a VRF, `next_hop` the definition of a next hop. Where several ways are open, those that fail are left out.
///
/// # Errors
/// No way leads to a neighbour; with several ways, the first one's reason.
pub fn resolve(
    vrf: VrfId,
    destination: IpAddr,
    lookup: impl Fn(VrfId, IpAddr) -> Option<NextHopId>,
    next_hop: impl Fn(NextHopId) -> Option<Hop>,
) -> Result<Vec<Uplink>, ResolveError> {
    let mut walk = Walk { destination, lookup, next_hop, path: Vec::new(), uplinks: Vec::new() };
    walk.vrf(vrf)?;
    Ok(walk.uplinks)
}

struct Walk<L, N> {
    destination: IpAddr,
    lookup: L,
    next_hop: N,
    /// The next hops that led here.
    path: Vec<NextHopId>,
    uplinks: Vec<Uplink>,
}

impl<L, N> Walk<L, N>
where
    L: Fn(VrfId, IpAddr) -> Option<NextHopId>,
    N: Fn(NextHopId) -> Option<Hop>,
{
    fn vrf(&mut self, vrf: VrfId) -> Result<(), ResolveError> {
        let id = (self.lookup)(vrf, self.destination).ok_or(ResolveError::NoRoute(vrf))?;
        self.hop(id)
    }

    fn hop(&mut self, id: NextHopId) -> Result<(), ResolveError> {
        if self.path.contains(&id) {
            return Err(ResolveError::Loop(id));
        }
        if self.path.len() == MAX_DEPTH {
            return Err(ResolveError::TooDeep);
        }
        self.path.push(id);
        let outcome = self.follow(id);
        self.path.pop();
        outcome
    }

    fn follow(&mut self, id: NextHopId) -> Result<(), ResolveError> {
        match (self.next_hop)(id).ok_or(ResolveError::NoNextHop(id))? {
            Hop::Resolve { interface } => self.found(interface, self.destination),
            Hop::Interface { interface, gateway } => {
                self.found(interface, gateway.unwrap_or(self.destination));
            }
            Hop::Ecmp(members) => return self.any(id, &members),
            Hop::Vrf(vrf) => return self.vrf(vrf),
            Hop::Other => return Err(ResolveError::NotForwarding(id)),
        }
        Ok(())
    }

    fn any(&mut self, group: NextHopId, members: &[NextHopId]) -> Result<(), ResolveError> {
        let mut outcome = Err(ResolveError::NotForwarding(group));
        for (i, member) in members.iter().enumerate() {
            match self.hop(*member) {
                Ok(()) => outcome = Ok(()),
                Err(error) if i == 0 => outcome = Err(error),
                Err(_) => {}
            }
        }
        outcome
    }

    fn found(&mut self, interface: InterfaceId, neighbour: IpAddr) {
        let uplink = Uplink { interface, neighbour };
        if !self.uplinks.contains(&uplink) {
            self.uplinks.push(uplink);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use packet::{InterfaceId, NextHopId, VrfId};

    use super::{Hop, ResolveError, Uplink, resolve};

    const DESTINATION: &str = "10.1.0.194";

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn out(interface: u16) -> Hop {
        Hop::Resolve { interface: InterfaceId(interface) }
    }

    fn via(interface: u16, gateway: &str) -> Hop {
        Hop::Interface { interface: InterfaceId(interface), gateway: Some(ip(gateway)) }
    }

    fn ecmp(members: &[u32]) -> Hop {
        Hop::Ecmp(members.iter().map(|id| NextHopId(*id)).collect())
    }

    fn up(interface: u16, neighbour: &str) -> Uplink {
        Uplink { interface: InterfaceId(interface), neighbour: ip(neighbour) }
    }

    /// VRF `v` routes everything to next hop `v + 1`; next hop `i` is `hops[i - 1]`.
    fn resolved(hops: &[Hop]) -> Result<Vec<Uplink>, ResolveError> {
        let lookup = |vrf: VrfId, destination| {
            assert_eq!(destination, ip(DESTINATION));
            (vrf.0 < 90).then(|| NextHopId(u32::from(vrf.0) + 1))
        };
        resolve(VrfId(0), ip(DESTINATION), lookup, |id| hops.get(id.index() - 1).cloned())
    }

    #[test]
    fn on_a_connected_subnet_the_destination_is_the_neighbour() {
        assert_eq!(resolved(&[out(3)]), Ok(vec![up(3, DESTINATION)]));
        let direct = Hop::Interface { interface: InterfaceId(4), gateway: None };
        assert_eq!(resolved(&[direct]), Ok(vec![up(4, DESTINATION)]));
    }

    #[test]
    fn a_gateway_is_the_neighbour_even_of_the_other_family() {
        assert_eq!(resolved(&[via(3, "10.1.0.1")]), Ok(vec![up(3, "10.1.0.1")]));
        assert_eq!(resolved(&[via(3, "fe80::1")]), Ok(vec![up(3, "fe80::1")]));
    }

    #[test]
    fn several_uplinks_are_each_found_once() {
        let hops = [ecmp(&[2, 3, 4, 3]), via(1, "10.0.0.1"), via(2, "10.0.1.1"), ecmp(&[3, 5]), out(7)];
        let expected = vec![up(1, "10.0.0.1"), up(2, "10.0.1.1"), up(7, DESTINATION)];
        assert_eq!(resolved(&hops), Ok(expected));
    }

    #[test]
    fn a_dead_way_does_not_block_the_others() {
        let hops = [ecmp(&[2, 99, 3, 4]), Hop::Other, out(1), Hop::Vrf(VrfId(91))];
        assert_eq!(resolved(&hops), Ok(vec![up(1, DESTINATION)]));
        let none = [ecmp(&[2, 99]), Hop::Vrf(VrfId(91))];
        assert_eq!(resolved(&none), Err(ResolveError::NoRoute(VrfId(91))), "the first one's reason");
        let last = [ecmp(&[2, 3]), out(1), Hop::Other];
        assert_eq!(resolved(&last), Ok(vec![up(1, DESTINATION)]));
    }

    #[test]
    fn another_vrf_is_looked_up_in() {
        assert_eq!(resolved(&[Hop::Vrf(VrfId(1)), out(5)]), Ok(vec![up(5, DESTINATION)]));
    }

    #[test]
    fn dead_ends_have_a_reason() {
        assert_eq!(resolved(&[Hop::Other]), Err(ResolveError::NotForwarding(NextHopId(1))));
        assert_eq!(resolved(&[ecmp(&[])]), Err(ResolveError::NotForwarding(NextHopId(1))));
        assert_eq!(resolved(&[]), Err(ResolveError::NoNextHop(NextHopId(1))));
        assert_eq!(resolved(&[Hop::Vrf(VrfId(99))]), Err(ResolveError::NoRoute(VrfId(99))));
        assert_eq!(ResolveError::NoRoute(VrfId(99)).to_string(), "no route in VRF 99");
    }

    #[test]
    fn loops_are_found_and_depth_is_limited() {
        assert_eq!(resolved(&[Hop::Vrf(VrfId(0))]), Err(ResolveError::Loop(NextHopId(1))));
        assert_eq!(resolved(&[ecmp(&[2]), ecmp(&[1])]), Err(ResolveError::Loop(NextHopId(1))));
        assert_eq!(resolved(&[ecmp(&[2, 3]), ecmp(&[1]), out(6)]), Ok(vec![up(6, DESTINATION)]));
        let chain = |length: u16| {
            let mut hops: Vec<_> = (1..length).map(|next| Hop::Vrf(VrfId(next))).collect();
            hops.push(out(1));
            resolved(&hops)
        };
        assert_eq!(chain(8), Ok(vec![up(1, DESTINATION)]));
        assert_eq!(chain(9), Err(ResolveError::TooDeep));
    }
}
