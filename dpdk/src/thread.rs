//! Threads that handle packets.

use std::cell::Cell;
use std::io;
use std::marker::PhantomData;
use std::mem;

use dpdk_sys as sys;

use crate::eal::Eal;
use crate::error::EalError;
use crate::log;

/// A registered thread's membership; ends where it is dropped, on the same thread.
#[derive(Debug)]
pub struct ThreadRegistration {
    // Charter 2: no thread has a mempool cache once the EAL is gone.
    _eal: Eal,
    // The membership is the thread's: neither Send nor Sync.
    _thread: PhantomData<*const ()>,
}

thread_local!(static REGISTERED: Cell<bool> = const { Cell::new(false) });

impl Eal {
    /// Makes the calling thread known to DPDK, which gives it caches in front of the mempools, and pins
    /// it to `cpu` if that is given. Unregistered threads may use everything too, only slower.
    ///
    /// # Errors
    /// [`EalError::Thread`] if the CPU is not there or not allowed, if more than 127 threads are
    /// registered, or if this one is already.
    pub fn register_thread(&self, cpu: Option<usize>) -> Result<ThreadRegistration, EalError> {
        if let Some(cpu) = cpu {
            pin(cpu).map_err(|error| EalError::Thread { reason: format!("CPU {cpu}: {error}") })?;
        }
        if REGISTERED.get() {
            return Err(EalError::Thread { reason: "it is registered already".to_owned() });
        }
        let mark = log::Mark::now();
        // SAFETY: the EAL is started and the thread is not registered yet.
        if unsafe { sys::rte_thread_register() } != 0 {
            // SAFETY: reads a thread-local integer of the EAL.
            return Err(EalError::Thread { reason: mark.reason(unsafe { sys::shim_errno() }) });
        }
        REGISTERED.set(true);
        Ok(ThreadRegistration { _eal: self.clone(), _thread: PhantomData })
    }
}

impl Drop for ThreadRegistration {
    fn drop(&mut self) {
        // SAFETY: this thread registered itself, and the EAL is still there.
        unsafe { sys::rte_thread_unregister() }
        REGISTERED.set(false);
    }
}

/// The CPUs that the calling thread may run on.
pub(crate) fn allowed_cpus() -> io::Result<Vec<usize>> {
    // SAFETY: a cpu_set_t is plain bits; the kernel writes no more than its size.
    let set = unsafe {
        let mut set: libc::cpu_set_t = mem::zeroed();
        if libc::sched_getaffinity(0, size_of::<libc::cpu_set_t>(), &raw mut set) != 0 {
            return Err(io::Error::last_os_error());
        }
        set
    };
    // SAFETY: the index is below CPU_SETSIZE.
    Ok((0..libc::CPU_SETSIZE as usize).filter(|&cpu| unsafe { libc::CPU_ISSET(cpu, &set) }).collect())
}

fn pin(cpu: usize) -> io::Result<()> {
    if cpu >= libc::CPU_SETSIZE as usize {
        return Err(io::Error::from_raw_os_error(libc::EINVAL));
    }
    // SAFETY: a cpu_set_t is plain bits, the index is below CPU_SETSIZE, the kernel reads no more than its size.
    let result = unsafe {
        let mut set: libc::cpu_set_t = mem::zeroed();
        libc::CPU_SET(cpu, &mut set);
        libc::sched_setaffinity(0, size_of::<libc::cpu_set_t>(), &raw const set)
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
