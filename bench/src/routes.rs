//! Route tables of the size of the internet's, and addresses to look up in them.

use nexthop::{FibResult, Prefix, Vrfs};
use packet::{GroupSetId, Label, NextHopId, VrfId};

use crate::order;

/// The VRF that holds the routes.
pub const VRF: VrfId = VrfId(1);

/// Percent of the prefixes of each length in the IPv4 table of the internet (2024); the rest are /24.
const LENGTHS: [(u8, u32); 9] =
    [(16, 1), (18, 1), (19, 2), (20, 4), (21, 5), (22, 11), (23, 10), (17, 1), (15, 1)];

/// What is inserted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// Lengths as in the internet's table: /15 to /24, two thirds of them /24.
    Internet,
    /// Whole addresses, as a data centre has them.
    Hosts,
}

/// `count` different prefixes of this shape.
#[must_use]
pub fn prefixes(count: usize, shape: Shape) -> Vec<Prefix> {
    let mut seen = std::collections::HashSet::with_capacity(count);
    let mut prefixes = Vec::with_capacity(count);
    // Some are drawn twice.
    for number in order::numbers(count * 2) {
        if prefixes.len() == count {
            break;
        }
        let length = match shape {
            Shape::Hosts => 32,
            Shape::Internet => length_of(number),
        };
        // 1.0.0.0 to 223.255.255.255.
        let address = (number.rotate_left(9) % (223 << 24)) + (1 << 24);
        let address = address & (u32::MAX << (32 - length));
        if seen.insert((address, length))
            && let Ok(prefix) = Prefix::v4(address, length)
        {
            prefixes.push(prefix);
        }
    }
    prefixes
}

fn length_of(number: u32) -> u8 {
    let mut percent = number % 100;
    for (length, share) in LENGTHS {
        if percent < share {
            return length;
        }
        percent -= share;
    }
    24
}

/// A table of these prefixes over 64 next hops.
#[must_use]
pub fn table(prefixes: &[Prefix]) -> Vrfs {
    let mut vrfs = Vrfs::new();
    vrfs.add(VRF);
    for (n, prefix) in prefixes.iter().enumerate() {
        vrfs.insert(VRF, *prefix, result(n as u32));
    }
    vrfs
}

/// One of 64 results.
#[must_use]
pub fn result(n: u32) -> FibResult {
    FibResult::new(NextHopId(1 + n % 64), Label(100 + n % 64), GroupSetId(0))
}

/// An address below each prefix, shuffled.
#[must_use]
pub fn addresses(prefixes: &[Prefix]) -> Vec<(VrfId, u32)> {
    let mut order = order::Order::shuffled(prefixes.len() as u32);
    let random = order::numbers(prefixes.len());
    let below = |(n, random): (u64, u32)| {
        let prefix = prefixes[n as usize];
        let host = if prefix.length() == 32 { 0 } else { random >> prefix.length() };
        (VRF, prefix.bits4() | host)
    };
    random.into_iter().map(|random| below((order.draw(), random))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_address_finds_a_route() {
        for shape in [Shape::Internet, Shape::Hosts] {
            let prefixes = prefixes(20_000, shape);
            assert_eq!(prefixes.len(), 20_000);
            let table = table(&prefixes);
            assert_eq!(table.routes(VRF), 20_000);
            assert!(
                addresses(&prefixes).iter().all(|(vrf, address)| table.lookup4(*vrf, *address).is_some())
            );
        }
    }
}
