//! What each interface has in the table: how many sessions, and a few that it could do without.

use packet::InterfaceId;

use crate::atomic::{AtomicU32, Ordering};

/// Sessions that are remembered as possible victims, per interface.
pub(crate) const CANDIDATES: usize = 15;

/// One interface's line.
#[derive(Debug)]
#[repr(C, align(64))]
pub(crate) struct InterfaceRow {
    sessions: AtomicU32,
    /// Numbers of sessions that were half-open or denied when they were noted, 0 = none.
    candidates: [AtomicU32; CANDIDATES],
}

impl Default for InterfaceRow {
    fn default() -> Self {
        Self { sessions: AtomicU32::new(0), candidates: std::array::from_fn(|_| AtomicU32::new(0)) }
    }
}

impl InterfaceRow {
    /// Sessions of the interface.
    pub(crate) fn sessions(&self) -> u32 {
        self.sessions.load(Ordering::Relaxed)
    }

    /// Counts one session more, unless there are `limit` already (0 = no limit). Above three quarters of the
    /// limit `Ok(true)`: time to note candidates.
    pub(crate) fn enter(&self, limit: u32) -> Result<bool, ()> {
        let before = self.sessions.fetch_add(1, Ordering::Relaxed);
        if limit != 0 && before >= limit {
            self.leave();
            return Err(());
        }
        Ok(limit != 0 && before >= limit - limit / 4)
    }

    /// Counts one session less.
    pub(crate) fn leave(&self) {
        self.sessions.fetch_sub(1, Ordering::Relaxed);
    }

    /// Remembers a session that could be done without.
    pub(crate) fn note(&self, session: u32) {
        if let Some(place) = self.candidates.get(session as usize % CANDIDATES) {
            place.store(session, Ordering::Relaxed);
        }
    }

    /// The remembered sessions.
    pub(crate) fn candidates(&self) -> impl Iterator<Item = u32> {
        self.candidates.iter().map(|place| place.load(Ordering::Relaxed)).filter(|session| *session != 0)
    }
}

/// All interfaces' lines. Ids beyond the configured number share the last line.
#[derive(Debug)]
pub(crate) struct Interfaces(Box<[InterfaceRow]>);

impl Interfaces {
    pub(crate) fn new(interfaces: u32) -> Self {
        Self((0..interfaces.max(1)).map(|_| InterfaceRow::default()).collect())
    }

    pub(crate) fn row(&self, interface: InterfaceId) -> &InterfaceRow {
        &self.0[interface.index().min(self.0.len() - 1)]
    }
}
