//! Common packets of workloads without policy: routed by their destination, no session (SEMANTICS 3).

use flow::{Scope, Wire};
use nexthop::{FibResult, Vrfs};
use packet::common::{Ipv4, Ipv6};
use packet::hash::entropy_port;
use packet::{Address, PacketBuf, VrfId};

use super::super::burst::{BURST, Leaf};
use super::super::{Context, Datapath};
use super::Lane;
use super::arrive::{FromWorkload, Receive, is_plain};
use super::leave::{Departure, leave};
use super::ways::{Found, Ways};
use crate::tables::{Interface, v4_number};

/// Families as the FIB tells them apart.
pub(super) trait Routed: Wire {
    /// An address as the FIB looks it up.
    type Number: Copy + Default + PartialEq;

    /// The destination, if it is a single host's that may be routed to.
    fn destination(addresses: &Self::Addresses) -> Option<Self::Number>;

    /// The longest matches of a burst.
    fn lookup(vrfs: &Vrfs, keys: &[(VrfId, Self::Number)], results: &mut [Option<FibResult>]);

    /// An address of the family as a number.
    fn number(address: &Address) -> Self::Number;
}

impl Routed for Ipv4 {
    type Number = u32;

    #[inline(always)]
    fn destination(addresses: &u64) -> Option<u32> {
        let [_, _, _, _, a, b, c, d] = addresses.to_ne_bytes();
        // "This network", loopback, multicast and beyond: the parser knows what to do with each.
        (a != 0 && a != 127 && a < 224).then(|| u32::from_be_bytes([a, b, c, d]))
    }

    #[inline(always)]
    fn lookup(vrfs: &Vrfs, keys: &[(VrfId, u32)], results: &mut [Option<FibResult>]) {
        vrfs.lookup_burst4(keys, results);
    }

    #[inline(always)]
    fn number(address: &Address) -> u32 {
        v4_number(address)
    }
}

impl Routed for Ipv6 {
    type Number = u128;

    #[inline(always)]
    fn destination(addresses: &[u64; 4]) -> Option<u128> {
        let [.., high, low] = addresses.map(u64::from_be);
        // Unspecified, loopback and multicast.
        (high >> 56 != 0 && high >> 56 != 0xff).then_some(u128::from(high) << 64 | u128::from(low))
    }

    #[inline(always)]
    fn lookup(vrfs: &Vrfs, keys: &[(VrfId, u128)], results: &mut [Option<FibResult>]) {
        vrfs.lookup_burst6(keys, results);
    }

    #[inline(always)]
    fn number(address: &Address) -> u128 {
        u128::from_be_bytes(*address)
    }
}

impl<B: PacketBuf> Datapath<B> {
    /// The packets of one family.
    #[inline(always)]
    pub(super) fn express_routes<F: Routed>(&mut self, cx: &Context<'_>, arrival: &Interface) {
        // The vRouter's own addresses are no destinations of the FIB's.
        let gateways = arrival.gateways(F::V6);
        if self.burst.live == 0 || gateways.len() > 1 {
            return;
        }
        let gateway = gateways.first().map(F::number);
        let Some(mut receive) = FromWorkload::new(arrival, Scope::NONE, F::V6) else { return };
        let mut lanes = [Lane::default(); BURST];
        let mut entropies = [0_u16; BURST];
        let mut at = [0_u8; BURST];
        let mut keys = [(arrival.vrf, F::Number::default()); BURST];
        let mut results = [None; BURST];
        let mut count = 0;
        for i in self.burst.live() {
            let Some(buf) = self.burst.bufs[i].as_ref().filter(|buf| is_plain(*buf)) else { continue };
            let Some((lane, key)) = receive.receive::<F, B>(buf) else { continue };
            let Some(destination) = F::destination(key.addresses()) else { continue };
            if gateway == Some(destination) {
                continue;
            }
            let n = count & (BURST - 1);
            keys[n].1 = destination;
            lanes[n] = lane;
            entropies[n] = entropy_port(F::hash(&key, &self.hasher));
            at[n] = i as u8;
            count = n + 1;
        }
        F::lookup(&cx.tables.vrfs, &keys[..count], &mut results[..count]);
        let mut ways = Ways::without_sessions();
        let mut done = 0_u64;
        for n in 0..count {
            let i = usize::from(at[n]) & (BURST - 1);
            let Some(route) = results[n] else { continue };
            let leaf = Leaf::next_hop(route.next_hop(), route.label());
            let Some(Found { way, .. }) = ways.find(cx.tables, &mut self.outputs, leaf.0, F::V6) else {
                continue;
            };
            let Some(buf) = &mut self.burst.bufs[i] else { continue };
            let departure = Departure { way, leaf, entropy: Some(entropies[n]), hop: true, v6: F::V6 };
            let Some(output) = leave(buf, &lanes[n], departure, &mut self.identification, F::hop) else {
                continue;
            };
            self.express.output[i] = output;
            done |= 1 << i;
        }
        self.express.done |= done;
        self.burst.live &= !done;
    }
}
