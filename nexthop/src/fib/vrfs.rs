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
    /// Prefixes shorter than an address can lead to 2^27 (134 million) different results in all; beyond that the
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
            let mut row = self.neighbouring_rows();
            let tables = keys.iter().map(|(vrf, address)| (row(*vrf).map(|row| &row.v4), *address));
            burst::lookup(tables, &self.results, results);
        }
    }

    /// [`lookup6`](Self::lookup6) for many addresses at once: memory is asked for ahead. Stops at the shorter slice.
    #[inline]
    pub fn lookup_burst6(&self, keys: &[(VrfId, u128)], results: &mut [Option<FibResult>]) {
        for (keys, results) in keys.chunks(BURST).zip(results.chunks_mut(BURST)) {
            let mut row = self.neighbouring_rows();
            let tables = keys.iter().map(|(vrf, address)| (row(*vrf).map(|row| &row.v6), *address));
            burst::lookup(tables, &self.results, results);
        }
    }

    /// Finds rows, at once if it is the same as before.
    #[inline]
    fn neighbouring_rows<'a>(&'a self) -> impl FnMut(VrfId) -> Option<&'a Row> {
        let mut last = (VrfId(0), self.row(VrfId(0)));
        move |vrf| {
            if vrf != last.0 {
                last = (vrf, self.row(vrf));
            }
            last.1
        }
    }

    #[inline]
    fn row(&self, vrf: VrfId) -> Option<&Row> {
        self.rows.get(u32::from(vrf.0))
    }
}
