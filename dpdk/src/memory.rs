//! Big zeroed memory for tables.

use std::fmt;
use std::io;
use std::ops::{Deref, DerefMut};
use std::ptr::{self, NonNull};
use std::slice;

use dpdk_sys as sys;

use crate::config::MemoryMode;
use crate::eal::Eal;
use crate::error::EalError;

/// Zeroed memory of its own, in huge pages where there are any. Given back when it is dropped.
pub struct Memory {
    start: NonNull<u8>,
    length: usize,
    origin: Origin,
}

enum Origin {
    /// DPDK's heap, which must stay until then.
    Heap { _eal: Eal },
    /// A mapping of this many bytes from `base`.
    Mapping { base: NonNull<u8>, size: usize },
}

// SAFETY: it is owned memory without a tie to a thread.
unsafe impl Send for Memory {}
// SAFETY: a shared reference gives only shared access.
unsafe impl Sync for Memory {}

impl Eal {
    /// `bytes` of zeros, aligned to `align`: from DPDK's huge pages if it has some and they suffice, else
    /// ordinary memory that the kernel is asked to back with huge pages.
    ///
    /// # Errors
    /// [`EalError::NoMemory`]; [`EalError::Invalid`] if `bytes` is 0 or `align` not a power of two up to 2 MB.
    pub fn allocate_zeroed(&self, bytes: usize, align: usize) -> Result<Memory, EalError> {
        let invalid = |field, reason: &str| Err(EalError::Invalid { field, reason: reason.to_owned() });
        if bytes == 0 || bytes > isize::MAX as usize / 2 {
            return invalid("bytes", "must be at least 1, and less than half of the address space");
        }
        if !align.is_power_of_two() || align > 2 << 20 {
            return invalid("align", "must be a power of two, at most 2 MB");
        }
        if self.memory_mode() != MemoryMode::NoHuge {
            // DPDK wants cache lines at least.
            let align = align.max(64) as u32;
            // SAFETY: the EAL is started; the name may be null.
            let start = unsafe { sys::rte_zmalloc(ptr::null(), bytes, align) };
            if let Some(start) = NonNull::new(start.cast::<u8>()) {
                return Ok(Memory { start, length: bytes, origin: Origin::Heap { _eal: self.clone() } });
            }
        }
        map(bytes, align)
    }
}

fn map(bytes: usize, align: usize) -> Result<Memory, EalError> {
    // Huge pages start at their own multiples: leave room to align.
    const HUGE: usize = 2 << 20;
    let align = align.max(if bytes >= HUGE { HUGE } else { 4096 });
    let size = bytes + align;
    let (protection, flags) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
    // SAFETY: a new anonymous mapping; nothing is replaced.
    let base = unsafe { libc::mmap(ptr::null_mut(), size, protection, flags, -1, 0) };
    let failed = || EalError::NoMemory { bytes, reason: io::Error::last_os_error().to_string() };
    if base == libc::MAP_FAILED {
        return Err(failed());
    }
    let Some(base) = NonNull::new(base.cast::<u8>()) else { return Err(failed()) };
    let pad = base.align_offset(align);
    // SAFETY: `pad` is less than `align`, so start + bytes is inside the mapping; advice changes no content.
    let start = unsafe {
        libc::madvise(base.as_ptr().cast(), size, libc::MADV_HUGEPAGE);
        base.add(pad)
    };
    Ok(Memory { start, length: bytes, origin: Origin::Mapping { base, size } })
}

impl Memory {
    /// Its first byte. Valid as long as `self` is, wherever that moves.
    #[must_use]
    pub fn as_ptr(&self) -> NonNull<u8> {
        self.start
    }
}

impl Deref for Memory {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        // SAFETY: `length` initialised bytes of ours.
        unsafe { slice::from_raw_parts(self.start.as_ptr(), self.length) }
    }
}

impl DerefMut for Memory {
    fn deref_mut(&mut self) -> &mut [u8] {
        // SAFETY: `length` initialised bytes of ours, borrowed mutably.
        unsafe { slice::from_raw_parts_mut(self.start.as_ptr(), self.length) }
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        // SAFETY: it came from exactly there, and nobody refers to it any more.
        unsafe {
            match &self.origin {
                Origin::Heap { .. } => sys::rte_free(self.start.as_ptr().cast()),
                Origin::Mapping { base, size } => {
                    libc::munmap(base.as_ptr().cast(), *size);
                }
            }
        }
    }
}

impl fmt::Debug for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let huge = matches!(self.origin, Origin::Heap { .. });
        f.debug_struct("Memory")
            .field("length", &self.length)
            .field("from_huge_pages", &huge)
            .finish_non_exhaustive()
    }
}
