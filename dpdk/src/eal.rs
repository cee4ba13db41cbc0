//! The environment abstraction layer: started once, shut down when its last user is gone.

use std::ffi::CStr;
use std::fmt;
use std::io;
use std::mem;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

use dpdk_sys as sys;

use crate::attach::Attached;
use crate::config::{EalConfig, MemoryMode};
use crate::error::EalError;
use crate::log;
use crate::mempool::Pools;
use crate::run_directory::RunDirectory;

/// DPDK, started. A handle: clones are the same environment, which ends with the last of them and of the
/// pools, ports, queues, memory and registered threads made from it.
#[derive(Clone)]
pub struct Eal(Arc<Inner>);

struct Inner {
    memory: MemoryMode,
    pools: Mutex<Pools>,
    attached: Mutex<Attached>,
    // Goes after the EAL was shut down.
    _run_directory: RunDirectory,
}

impl Eal {
    /// Starts DPDK.
    ///
    /// The caller's CPU affinity stays as it is, and no thread of the caller becomes an EAL thread:
    /// threads that handle packets register themselves with [`Eal::register_thread`].
    ///
    /// # Errors
    /// [`EalError::Invalid`] names the setting at fault. After [`EalError::Start`] DPDK cannot be started
    /// in this process again, nor can it after it was shut down.
    pub fn init(config: &EalConfig) -> Result<Self, EalError> {
        static STARTED: AtomicBool = AtomicBool::new(false);
        let memory = config.resolved_memory();
        let cpus =
            crate::thread::allowed_cpus().map_err(|error| EalError::Start { reason: error.to_string() })?;
        let arguments = config.arguments(memory, &cpus)?;
        if STARTED.swap(true, Ordering::SeqCst) {
            return Err(EalError::AlreadyStarted);
        }
        let run_directory = RunDirectory::hold(&config.file_prefix, &config.unique_prefix());
        log::install().map_err(|code| EalError::Start { reason: log::error_text(code) })?;
        let mark = log::Mark::now();

        // EAL makes the thread that starts it its main lcore, pins it, and gives it a mempool cache for
        // ever. A thread of its own keeps the caller as it was (and see charter 2).
        let result = thread::Builder::new().name("dpdk-init".to_owned()).spawn(move || {
            // EAL permutes the vector and may keep pointers to the texts: they live as long as the process.
            let texts = Vec::leak(arguments);
            let mut pointers: Vec<_> = texts.iter().map(|text| text.as_ptr().cast_mut()).collect();
            let count = i32::try_from(pointers.len()).unwrap_or(i32::MAX);
            // SAFETY: charter 5; `pointers` are `count` NUL-terminated strings, and STARTED makes this the only call.
            match unsafe { sys::rte_eal_init(count, pointers.as_mut_ptr()) } {
                // SAFETY: reads a thread-local integer of the EAL.
                code if code < 0 => Err(unsafe { sys::shim_errno() }),
                _ => Ok(()),
            }
        });
        let started = result
            .and_then(|thread| thread.join().map_err(|_| io::Error::other("the starting thread panicked")));
        match started {
            Ok(Ok(())) => {}
            Ok(Err(code)) => return Err(EalError::Start { reason: mark.reason(code) }),
            Err(error) => return Err(EalError::Start { reason: error.to_string() }),
        }
        run_directory.remove_if_empty();
        Ok(Self(Arc::new(Inner {
            memory,
            _run_directory: run_directory,
            pools: Mutex::default(),
            attached: Mutex::default(),
        })))
    }

    /// DPDK's version, for example `DPDK 22.11.11`.
    #[must_use]
    pub fn version() -> &'static str {
        // SAFETY: rte_version returns a NUL-terminated static string.
        unsafe { CStr::from_ptr(sys::rte_version()) }.to_str().unwrap_or("DPDK")
    }

    /// How many devices can be attached at a time; fixed when DPDK was built (Debian: 32).
    #[must_use]
    pub fn max_ports() -> u16 {
        // SAFETY: returns a constant.
        unsafe { sys::shim_max_ports() }
    }

    /// Where memory comes from; never [`MemoryMode::Auto`].
    #[must_use]
    pub fn memory_mode(&self) -> MemoryMode {
        self.0.memory
    }

    /// Ticks per second of [`tsc::now`](crate::tsc::now).
    #[must_use]
    pub fn tsc_hz(&self) -> u64 {
        // SAFETY: reads a number that rte_eal_init has set.
        unsafe { sys::rte_get_tsc_hz() }
    }

    pub(crate) fn pools(&self) -> MutexGuard<'_, Pools> {
        self.0.pools.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn attached(&self) -> MutexGuard<'_, Attached> {
        self.0.attached.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Eal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Eal").field("memory", &self.0.memory).finish_non_exhaustive()
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        let pools = mem::take(self.pools.get_mut().unwrap_or_else(PoisonError::into_inner));
        let out = pools.packets_out();
        if out == 0 {
            // SAFETY: charter 2; nothing of the EAL is referred to any more.
            unsafe { sys::rte_eal_cleanup() };
        } else {
            tracing::warn!(target: "dpdk", packets = out, "packets are still out: DPDK's memory stays until the process ends");
        }
    }
}
