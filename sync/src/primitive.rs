//! The seam between the real atomics and loom's, so that the models run the very code that ships.

#[cfg(not(loom))]
pub(crate) use std::sync::atomic::{AtomicU64, Ordering, fence};

#[cfg(loom)]
pub(crate) use loom::sync::atomic::{AtomicU64, Ordering, fence};

use std::sync::Arc;

/// A place that holds one `Arc`, stored by one thread and loaded by any, without a lock.
#[cfg(not(loom))]
#[derive(Debug)]
pub(crate) struct Slot<T>(arc_swap::ArcSwap<T>);

#[cfg(not(loom))]
impl<T> Slot<T> {
    pub(crate) fn new(value: Arc<T>) -> Self {
        Self(arc_swap::ArcSwap::new(value))
    }
    pub(crate) fn load(&self) -> Arc<T> {
        self.0.load_full()
    }
    pub(crate) fn store(&self, value: Arc<T>) {
        self.0.store(value);
    }
}

/// The model of an `ArcSwap`: every value ever stored, and an atomic index that may be read stale, so that
/// loom finds a load which relies on more order than acquire and release give.
#[cfg(loom)]
#[derive(Debug)]
pub(crate) struct Slot<T> {
    index: loom::sync::atomic::AtomicUsize,
    values: std::sync::Mutex<Vec<Arc<T>>>,
}

#[cfg(loom)]
impl<T> Slot<T> {
    pub(crate) fn new(value: Arc<T>) -> Self {
        Self { index: loom::sync::atomic::AtomicUsize::new(0), values: std::sync::Mutex::new(vec![value]) }
    }
    pub(crate) fn load(&self) -> Arc<T> {
        let index = self.index.load(Ordering::Acquire);
        let values = self.values.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        Arc::clone(&values[index])
    }
    pub(crate) fn store(&self, value: Arc<T>) {
        let index = {
            let mut values = self.values.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            values.push(value);
            values.len() - 1
        };
        self.index.store(index, Ordering::Release);
    }
}
