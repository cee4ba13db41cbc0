//! Route tables of the sizes that count, and addresses to look up in them.

use std::collections::HashSet;

use nexthop::{FibResult, Prefix, Vrfs};
use packet::{GroupSetId, Label, NextHopId, VrfId};

use crate::order;

/// The VRF that holds the routes, the first one where there are several.
pub const VRF: VrfId = VrfId(1);

/// Percent of the prefixes of each length in the IPv4 table of the internet (2024); the rest are /24.
const LENGTHS: [(u8, u32); 9] =
    [(16, 1), (18, 1), (19, 2), (20, 4), (21, 5), (22, 11), (23, 10), (17, 1), (15, 1)];

/// The same for IPv6; the rest are /48.
const LENGTHS6: [(u8, u32); 9] =
    [(32, 12), (29, 3), (33, 4), (34, 3), (36, 5), (40, 10), (44, 10), (46, 4), (47, 2)];

/// Leading 16 bits of what the registries have given out for IPv6: first and last.
const REGISTRIES: [(u16, u16); 5] =
    [(0x2400, 0x240f), (0x2600, 0x2620), (0x2800, 0x2806), (0x2a00, 0x2a14), (0x2c0e, 0x2c0f)];

/// What is inserted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// Lengths as in the internet's table: /15 to /24, two thirds of them /24.
    Internet,
    /// /24 to /32, all equally often.
    Deep,
    /// Whole addresses, as a data centre has them.
    Hosts,
    /// Whole addresses, 250 in each VRF.
    Tenants,
    /// IPv6 with the lengths of the internet's table, several below one allocation.
    Internet6,
}

/// A route's VRF and prefix.
pub type Place = (VrfId, Prefix);

/// Routes per VRF of [`Shape::Tenants`].
const TENANT: usize = 250;

/// `count` different prefixes of this shape.
#[must_use]
pub fn prefixes(count: usize, shape: Shape) -> Vec<Place> {
    let mut seen = HashSet::with_capacity(count);
    let mut prefixes = Vec::with_capacity(count);
    let mut numbers = order::endless();
    while prefixes.len() < count {
        let number = numbers.next().unwrap_or_default();
        let (vrf, length) = match shape {
            Shape::Internet => (VRF, length_of(&LENGTHS, 24, number as u32)),
            Shape::Deep => (VRF, 24 + (number % 9) as u8),
            Shape::Hosts => (VRF, 32),
            Shape::Tenants => (VrfId(VRF.0 + (prefixes.len() / TENANT) as u16), 32),
            Shape::Internet6 => (VRF, length_of(&LENGTHS6, 48, number as u32)),
        };
        let prefix = if shape == Shape::Internet6 {
            let address = allocated(number, count as u64 / 5);
            Prefix::v6(address & u128::MAX << (128 - length), length)
        } else {
            // 1.0.0.0 to 223.255.255.255.
            let address = ((number >> 32) as u32 % (223 << 24)) + (1 << 24);
            Prefix::v4(address & u32::MAX << (32 - length), length)
        };
        if let Ok(prefix) = prefix
            && seen.insert((vrf, prefix))
        {
            prefixes.push((vrf, prefix));
        }
    }
    prefixes
}

/// An address below one of `count` allocations of 32 bits, and below that in one of the lower 4 096 or anywhere.
fn allocated(number: u64, count: u64) -> u128 {
    let allocation = order::mix((number >> 20) % count.max(1));
    let (first, last) = REGISTRIES[(allocation % REGISTRIES.len() as u64) as usize];
    let registry = u64::from(first) + (allocation >> 8) % u64::from(last - first + 1);
    let below = order::mix(number);
    let subnet = if below.is_multiple_of(4) { below >> 16 & 0xffff } else { below >> 16 & 0xfff };
    u128::from(registry << 48 | (allocation >> 32 & 0xffff) << 32 | subnet << 16) << 64
}

fn length_of(lengths: &[(u8, u32)], otherwise: u8, number: u32) -> u8 {
    let mut percent = number % 100;
    for (length, share) in lengths {
        if percent < *share {
            return *length;
        }
        percent -= share;
    }
    otherwise
}

/// A table of these prefixes over 64 next hops.
#[must_use]
pub fn table(prefixes: &[Place]) -> Vrfs {
    let mut vrfs = Vrfs::new();
    vrfs.add(VRF);
    for (n, (vrf, prefix)) in prefixes.iter().enumerate() {
        vrfs.insert(*vrf, *prefix, result(n as u32));
    }
    vrfs
}

/// One of 64 results.
#[must_use]
pub fn result(n: u32) -> FibResult {
    FibResult::new(NextHopId(1 + n % 64), Label(100 + n % 64), GroupSetId(0))
}

/// An IPv4 address below each prefix, shuffled; one in a hundred is nowhere.
#[must_use]
pub fn addresses(prefixes: &[Place]) -> Vec<(VrfId, u32)> {
    each(prefixes, |(vrf, prefix), random, hit| {
        let host = if prefix.length() == 32 { 0 } else { random as u32 >> prefix.length() };
        (vrf, if hit { prefix.bits4() | host } else { 0xe000_0000 | random as u32 })
    })
}

/// [`addresses`] for IPv6.
#[must_use]
pub fn addresses6(prefixes: &[Place]) -> Vec<(VrfId, u128)> {
    each(prefixes, |(vrf, prefix), random, hit| {
        let random = u128::from(random) << 64;
        (vrf, if hit { prefix.bits6() | random >> prefix.length() } else { 0xf << 124 | random >> 4 })
    })
}

fn each<T>(prefixes: &[Place], below: impl Fn(Place, u64, bool) -> T) -> Vec<T> {
    let mut order = order::Order::shuffled(prefixes.len() as u32);
    let one =
        |random: u64| below(prefixes[order.draw() as usize], random, !(random >> 40).is_multiple_of(100));
    order::endless().take(prefixes.len()).map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nearly_every_address_finds_a_route() {
        for shape in [Shape::Internet, Shape::Deep, Shape::Hosts, Shape::Tenants] {
            let prefixes = prefixes(20_000, shape);
            assert_eq!(prefixes.len(), 20_000);
            let table = table(&prefixes);
            assert_eq!(table.iter().map(|vrf| table.routes(vrf)).sum::<usize>(), 20_000);
            let found =
                addresses(&prefixes).iter().filter(|(vrf, a)| table.lookup4(*vrf, *a).is_some()).count();
            assert!((19_700..19_900).contains(&found), "{found}");
        }
        let prefixes = prefixes(20_000, Shape::Internet6);
        let table = table(&prefixes);
        assert_eq!(table.routes(VRF), 20_000);
        let found = addresses6(&prefixes).iter().filter(|(vrf, a)| table.lookup6(*vrf, *a).is_some()).count();
        assert!((19_700..19_900).contains(&found), "{found}");
    }
}
