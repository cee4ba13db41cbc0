//! How often the counters of the few very large sessions went through zero.

use std::collections::HashMap;

use crate::atomic::{AtomicU32, Mutex, Ordering, lock};

/// Of one half: how often its packet number and its whole counter went through zero.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Wraps {
    pub(crate) packets: u32,
    pub(crate) whole: u32,
}

/// Sessions with more than 2²⁸ packets or 2³⁶ bytes, by number.
#[derive(Debug, Default)]
pub(crate) struct Giants {
    /// How many there are: nearly always none, and then nobody takes the lock.
    len: AtomicU32,
    wraps: Mutex<HashMap<u32, [Wraps; 2]>>,
}

impl Giants {
    /// The wraps of both halves.
    pub(crate) fn get(&self, session: u32) -> [Wraps; 2] {
        if self.len.load(Ordering::Relaxed) == 0 {
            return Default::default();
        }
        lock(&self.wraps).get(&session).copied().unwrap_or_default()
    }

    /// Adds to the wraps of a half.
    pub(crate) fn add(&self, session: u32, reverse: bool, packets: bool, whole: bool) {
        let mut all = lock(&self.wraps);
        let [forward, backward] = all.entry(session).or_default();
        let wraps = if reverse { backward } else { forward };
        wraps.packets += u32::from(packets);
        wraps.whole += u32::from(whole);
        self.len.store(all.len() as u32, Ordering::Relaxed);
    }

    /// The session has ended.
    pub(crate) fn forget(&self, session: u32) {
        if self.len.load(Ordering::Relaxed) != 0 {
            let mut all = lock(&self.wraps);
            all.remove(&session);
            self.len.store(all.len() as u32, Ordering::Relaxed);
        }
    }
}
