//! The atomics and the lock of this crate: the standard ones, or loom's when a model is checked.

#[cfg(not(loom))]
mod imp {
    pub(crate) use std::hint::spin_loop;
    pub(crate) use std::sync::atomic::{AtomicU32, AtomicU64, Ordering, fence};
    pub(crate) use std::sync::{Mutex, MutexGuard};
    pub(crate) use std::thread::yield_now;
}

#[cfg(loom)]
mod imp {
    pub(crate) use loom::hint::spin_loop;
    pub(crate) use loom::sync::atomic::{AtomicU32, AtomicU64, Ordering, fence};
    pub(crate) use loom::sync::{Mutex, MutexGuard};
    pub(crate) use loom::thread::yield_now;
}

pub(crate) use imp::*;

/// Locks, also behind a panic of another holder: what these locks guard is valid after each statement.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// Waits a little longer each time: spins first, then lets the other thread run.
pub(crate) fn back_off(attempt: &mut u32) {
    if *attempt < 6 && !cfg!(loom) {
        for _ in 0..1_u32 << *attempt {
            spin_loop();
        }
        *attempt += 1;
    } else {
        yield_now();
    }
}
