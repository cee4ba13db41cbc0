//! How far somebody has come with what another gave him to do.

use std::sync::Arc;

use crossbeam::utils::CachePadded;

use crate::primitive::{AtomicU64, Ordering};

/// The end of whoever does the work.
#[derive(Debug)]
pub struct Worked(Arc<CachePadded<AtomicU64>>);

/// The end of whoever gave it.
#[derive(Debug)]
pub struct Progress(Arc<CachePadded<AtomicU64>>);

/// Both ends, at 0.
#[must_use]
pub fn progress() -> (Worked, Progress) {
    let count = Arc::new(CachePadded::new(AtomicU64::new(0)));
    (Worked(Arc::clone(&count)), Progress(count))
}

impl Worked {
    /// All work up to the `count`th piece is done: whoever sees the count sees everything that was done before.
    #[inline]
    pub fn reach(&mut self, count: u64) {
        self.0.store(count, Ordering::Release);
    }
}

impl Progress {
    /// How many pieces are done.
    #[inline]
    #[must_use]
    pub fn reached(&self) -> u64 {
        self.0.load(Ordering::Acquire)
    }
}
