//! The directory of VRFs: 65 536 rows, paged, each with its routes and the epoch of their last change.

use packet::VrfId;

use super::burst::{self, BURST};
use super::result::FibResult;
use super::results::Results;
use super::table::Table;
use crate::paged::Paged;
use crate::prefix::Prefix;

/// One VRF. 48 bytes while it has no routes.
#[derive(Clone, Debug, Default)]
struct Row {
    v4: Table<u32>,
    v6: Table<u128>,
    /// The low 32 bits of the last generation that changed a route.
    epoch: u32,
    /// Prefixes of both families.
    routes: u32,
}

/// All VRFs and their routes as one persistent value: a clone is a snapshot that never changes and shares everything
/// that later edits leave alone.
#[derive(Clone, Debug, Default)]
pub struct Vrfs {
    rows: Paged<Row, 16>,
    results: Results,
}

impl Vrfs {
    /// No VRF at all.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds an empty VRF; false if it is there already.
    pub fn add(&mut self, vrf: VrfId) -> bool {
        let new = !self.contains(vrf);
        if new {
            self.rows.set(u32::from(vrf.0), Row::default());
        }
        new
    }

    /// Removes a VRF with all its routes; false if it is not there.
    pub fn delete(&mut self, vrf: VrfId) -> bool {
        let Some(row) = self.rows.remove(u32::from(vrf.0)) else { return false };
        row.v4.release(&mut self.results);
        row.v6.release(&mut self.results);
        true
    }

    /// Whether the VRF is there.
    #[must_use]
    pub fn contains(&self, vrf: VrfId) -> bool {
        self.row(vrf).is_some()
    }

    /// How many VRFs there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The VRFs in ascending order.
    pub fn iter(&self) -> impl Iterator<Item = VrfId> + '_ {
        self.rows.iter().map(|(id, _)| VrfId(id as u16))
    }

    /// How many prefixes the VRF has, of both families.
    #[must_use]
    pub fn routes(&self, vrf: VrfId) -> usize {
        self.row(vrf).map_or(0, |row| row.routes as usize)
    }

    /// Bytes of the VRF's routes, without what the allocator adds. Walks them all: for a gauge, not for a packet.
    #[must_use]
    pub fn memory(&self, vrf: VrfId) -> usize {
        self.row(vrf).map_or(0, |row| row.v4.memory() + row.v6.memory())
    }

    /// The epoch of the last change of any of its routes; 0 for a VRF that is not there.
    #[inline]
    #[must_use]
    pub fn epoch(&self, vrf: VrfId) -> u32 {
        self.row(vrf).map_or(0, |row| row.epoch)
    }

    /// Notes that routes of the VRF changed in the generation being built.
    pub fn set_epoch(&mut self, vrf: VrfId, epoch: u32) {
        if let Some(row) = self.rows.get_mut(u32::from(vrf.0)) {
            row.epoch = epoch;
        }
    }

    /// Sets what a prefix leads to and returns what it led to before. Adds the VRF if it is not there.
    ///
    /// Prefixes shorter than an address can lead to 2^24 (16 million) different results in all; beyond that the
    /// prefix keeps what it led to.
    pub fn insert(&mut self, vrf: VrfId, prefix: Prefix, result: FibResult) -> Option<FibResult> {
        self.add(vrf);
        let row = self.rows.get_mut(u32::from(vrf.0))?;
        let (results, length) = (&mut self.results, prefix.length());
        let old = if prefix.is_v6() {
            row.v6.insert(results, prefix.bits6(), length, result)
        } else {
            row.v4.insert(results, prefix.bits4(), length, result)
        };
        row.routes += u32::from(old == Ok(None));
        old.unwrap_or(None)
    }

    /// Removes a prefix and returns what it led to; what it covered or was covered by stays.
    pub fn remove(&mut self, vrf: VrfId, prefix: Prefix) -> Option<FibResult> {
        // Looked up first, so that a miss copies nothing.
        self.get_exact(vrf, prefix)?;
        let row = self.rows.get_mut(u32::from(vrf.0))?;
        row.routes -= 1;
        let (results, length) = (&mut self.results, prefix.length());
        if prefix.is_v6() {
            row.v6.remove(results, prefix.bits6(), length)
        } else {
            row.v4.remove(results, prefix.bits4(), length)
        }
    }

    /// What exactly this prefix leads to.
    #[must_use]
    pub fn get_exact(&self, vrf: VrfId, prefix: Prefix) -> Option<FibResult> {
        let row = self.row(vrf)?;
        if prefix.is_v6() {
            row.v6.get(&self.results, prefix.bits6(), prefix.length())
        } else {
            row.v4.get(&self.results, prefix.bits4(), prefix.length())
        }
    }

    /// The longest match for an IPv4 address in host order.
    #[must_use]
    pub fn lookup4(&self, vrf: VrfId, address: u32) -> Option<FibResult> {
        self.lookup4_len(vrf, address).map(|(result, _)| result)
    }

    /// The longest match for an IPv6 address in host order.
    #[must_use]
    pub fn lookup6(&self, vrf: VrfId, address: u128) -> Option<FibResult> {
        self.lookup6_len(vrf, address).map(|(result, _)| result)
    }

    /// The longest match for an IPv4 address and the length of its prefix.
    #[must_use]
    pub fn lookup4_len(&self, vrf: VrfId, address: u32) -> Option<(FibResult, u8)> {
        self.row(vrf)?.v4.lookup(&self.results, address)
    }

    /// The longest match for an IPv6 address and the length of its prefix.
    #[must_use]
    pub fn lookup6_len(&self, vrf: VrfId, address: u128) -> Option<(FibResult, u8)> {
        self.row(vrf)?.v6.lookup(&self.results, address)
    }

    /// [`lookup4`](Self::lookup4) for many addresses at once: memory is asked for ahead. Stops at the shorter slice.
    #[inline]
    pub fn lookup_burst4(&self, keys: &[(VrfId, u32)], results: &mut [Option<FibResult>]) {
        for (keys, results) in keys.chunks(BURST).zip(results.chunks_mut(BURST)) {
            burst::lookup(keys, |vrf| self.row(vrf).map(|row| &row.v4), &self.results, results);
        }
    }

    /// [`lookup6`](Self::lookup6) for many addresses at once: memory is asked for ahead. Stops at the shorter slice.
    #[inline]
    pub fn lookup_burst6(&self, keys: &[(VrfId, u128)], results: &mut [Option<FibResult>]) {
        for (keys, results) in keys.chunks(BURST).zip(results.chunks_mut(BURST)) {
            burst::lookup(keys, |vrf| self.row(vrf).map(|row| &row.v6), &self.results, results);
        }
    }

    #[inline]
    fn row(&self, vrf: VrfId) -> Option<&Row> {
        self.rows.get(u32::from(vrf.0))
    }
}

#[cfg(test)]
mod tests {
    use packet::{GroupSetId, Label, NextHopId, VrfId};

    use super::Vrfs;
    use crate::fib::FibResult;
    use crate::prefix::Prefix;

    const RED: VrfId = VrfId(7);

    fn result(next_hop: u32) -> FibResult {
        FibResult::new(NextHopId(next_hop), Label::NONE, GroupSetId(0))
    }

    fn prefix(text: &str) -> Prefix {
        text.parse().unwrap()
    }

    #[test]
    fn vrfs_are_added_once_and_deleted_with_their_routes() {
        let mut vrfs = Vrfs::new();
        assert!(vrfs.is_empty() && !vrfs.contains(RED));
        assert!(vrfs.add(RED) && !vrfs.add(RED) && vrfs.add(VrfId(u16::MAX)) && vrfs.add(VrfId(0)));
        vrfs.insert(RED, prefix("10.0.0.0/8"), result(1));
        assert!(!vrfs.add(RED));
        assert_eq!((vrfs.len(), vrfs.routes(RED), vrfs.is_empty()), (3, 1, false));
        assert_eq!(vrfs.iter().collect::<Vec<_>>(), [VrfId(0), RED, VrfId(u16::MAX)]);
        assert!(vrfs.delete(RED) && !vrfs.delete(RED));
        assert_eq!((vrfs.lookup4(RED, 0x0a00_0001), vrfs.routes(RED)), (None, 0));
        assert!(vrfs.add(RED));
        assert_eq!(vrfs.lookup4(RED, 0x0a00_0001), None);
    }

    #[test]
    fn inserting_into_a_vrf_that_is_not_there_adds_it() {
        let mut vrfs = Vrfs::new();
        assert_eq!(vrfs.remove(RED, prefix("::/0")), None);
        assert_eq!(vrfs.insert(RED, prefix("::/0"), result(1)), None);
        assert_eq!(vrfs.insert(RED, prefix("::/0"), result(2)), Some(result(1)));
        assert_eq!((vrfs.len(), vrfs.routes(RED)), (1, 1));
        assert_eq!(vrfs.lookup6(RED, 1), Some(result(2)));
        assert_eq!(vrfs.lookup4(RED, 1), None, "families are apart");
    }

    #[test]
    fn each_vrf_remembers_the_epoch_of_its_last_change() {
        let mut vrfs = Vrfs::new();
        vrfs.add(RED);
        vrfs.add(VrfId(8));
        let before = vrfs.clone();
        vrfs.set_epoch(RED, 42);
        vrfs.set_epoch(VrfId(9), 43);
        assert_eq!([RED, VrfId(8), VrfId(9)].map(|vrf| vrfs.epoch(vrf)), [42, 0, 0]);
        assert_eq!(before.epoch(RED), 0);
    }

    #[test]
    fn more_results_than_fit_the_narrow_form_are_told_apart() {
        let mut vrfs = Vrfs::new();
        let all = 0..6_000_u32;
        let address = |i: u32| 0x0a00_0000 | i << 8;
        for i in all.clone() {
            vrfs.insert(RED, Prefix::v4(address(i), 24).unwrap(), result(i));
        }
        // The other way round, so that numbers are narrow and wide within one node.
        for i in all.clone().rev() {
            assert_eq!(vrfs.get_exact(RED, Prefix::v4(address(i), 24).unwrap()), Some(result(i)));
            assert_eq!(vrfs.lookup4_len(RED, address(i) | 9), Some((result(i), 24)));
        }
        for i in all.clone().filter(|i| i % 3 > 0) {
            assert_eq!(vrfs.remove(RED, Prefix::v4(address(i), 24).unwrap()), Some(result(i)));
        }
        for i in all {
            assert_eq!(vrfs.lookup4(RED, address(i) | 9), (i % 3 == 0).then(|| result(i)));
        }
    }

    #[test]
    fn a_burst_finds_in_crowded_tables_what_single_lookups_find() {
        let mut vrfs = Vrfs::new();
        let wide = |address: u32| 0x2001_0db8 << 96 | u128::from(address) << 64;
        // So many neighbours that there are arrays below arrays; in one of the VRFs hosts too.
        let routes: Vec<_> =
            (0..300_u32).flat_map(|i| [(0x0a00_0000 | i << 12, 20), (0x0b00_0000 | i << 6, 26)]).collect();
        for (n, (address, length)) in (0..).zip(&routes) {
            for vrf in [RED, VrfId(8)] {
                vrfs.insert(vrf, Prefix::v4(*address, *length).unwrap(), result(n));
                vrfs.insert(vrf, Prefix::v6(wide(*address), length + 32).unwrap(), result(n + 1));
            }
            if n % 3 == 0 {
                vrfs.insert(RED, Prefix::v4(address | 7, 32).unwrap(), result(n + 2));
                vrfs.insert(RED, Prefix::v6(wide(address | 7), 128).unwrap(), result(n + 3));
            }
        }
        let vrf_of = |i: usize| [RED, RED, VrfId(8), VrfId(9)][i / 5 % 4];
        let addresses = routes.iter().flat_map(|(address, _)| [*address, address | 7, address ^ 0x0100_0000]);
        let keys4: Vec<_> = addresses.enumerate().map(|(i, address)| (vrf_of(i), address)).collect();
        let keys6: Vec<_> = keys4.iter().map(|(vrf, address)| (*vrf, wide(*address))).collect();
        let mut found = vec![None; keys4.len()];
        vrfs.lookup_burst4(&keys4, &mut found);
        for ((vrf, address), found) in keys4.iter().zip(&found) {
            assert_eq!(*found, vrfs.lookup4(*vrf, *address), "{vrf:?} {address:x}");
        }
        assert!((900..1_350).contains(&found.iter().flatten().count()));
        vrfs.lookup_burst6(&keys6, &mut found);
        for ((vrf, address), found) in keys6.iter().zip(&found) {
            assert_eq!(*found, vrfs.lookup6(*vrf, *address), "{vrf:?} {address:x}");
        }
        assert!((900..1_350).contains(&found.iter().flatten().count()));
    }

    #[test]
    fn memory_is_that_of_both_families_and_of_hosts_and_shorter_prefixes() {
        let routes = ["10.0.0.0/8", "10.0.0.7/32", "2001:db8::/32", "2001:db8::7/128"];
        let memory = |routes: &[&str]| {
            let mut vrfs = Vrfs::new();
            for route in routes {
                vrfs.insert(RED, prefix(route), result(1));
            }
            vrfs.memory(RED)
        };
        let each = routes.map(|route| memory(&[route]));
        assert!(each.iter().all(|bytes| (32..=256).contains(bytes)), "{each:?}");
        assert_eq!(memory(&routes), each.iter().sum());
        assert_eq!(memory(&[]), 0);
    }

    #[test]
    fn a_deleted_vrf_gives_its_results_back() {
        let mut vrfs = Vrfs::new();
        for i in 0..2_000_u32 {
            let length = [20, 24, 28][i as usize % 3];
            vrfs.insert(RED, Prefix::v4(0x0a00_0000 | i << 12, length).unwrap(), result(i));
            vrfs.insert(RED, Prefix::v6(u128::from(i) << 80, 48).unwrap(), result(i + 5_000));
            vrfs.insert(VrfId(8), Prefix::v4(i << 12, 20).unwrap(), result(i));
        }
        assert_eq!((0..4_000).filter_map(|number| vrfs.results.get(number)).count(), 4_000);
        vrfs.delete(RED);
        assert_eq!((0..4_000).filter_map(|number| vrfs.results.get(number)).count(), 2_000);
        vrfs.delete(VrfId(8));
        assert!((0..4_000).all(|number| vrfs.results.get(number).is_none()));
    }

    #[test]
    fn a_burst_stops_at_the_shorter_slice_and_overwrites_what_was_there() {
        let mut vrfs = Vrfs::new();
        vrfs.insert(RED, prefix("10.0.0.0/8"), result(1));
        vrfs.insert(RED, prefix("10.0.0.7/32"), result(2));
        vrfs.insert(RED, prefix("2001:db8::/32"), result(3));
        vrfs.insert(RED, prefix("2001:db8::7/128"), result(4));
        let vrf_of = |i: u32| if i < 60 { RED } else { VrfId(1) };
        let expected4 = |i: u32| (i < 60).then(|| if i == 7 { result(2) } else { result(1) });
        let expected6 = |i: u32| (i < 60).then(|| if i == 7 { result(4) } else { result(3) });
        for (keys, room) in [(0, 3), (3, 0), (63, 64), (64, 63), (130, 200), (200, 130)] {
            let keys4: Vec<_> = (0..keys).map(|i| (vrf_of(i), 0x0a00_0000 | i)).collect();
            let base = 0x2001_0db8_u128 << 96;
            let keys6: Vec<_> = (0..keys).map(|i| (vrf_of(i), base | u128::from(i))).collect();
            let mut found = vec![Some(result(9)); room];
            vrfs.lookup_burst4(&keys4, &mut found);
            let asked = (keys as usize).min(room);
            assert!(found[..asked].iter().copied().eq((0..asked as u32).map(expected4)));
            assert!(found[asked..].iter().all(|other| *other == Some(result(9))));
            vrfs.lookup_burst6(&keys6, &mut found);
            assert!(found[..asked].iter().copied().eq((0..asked as u32).map(expected6)));
            assert!(found[asked..].iter().all(|other| *other == Some(result(9))));
        }
    }
}
