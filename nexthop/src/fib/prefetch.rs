//! A hint to the cache, for which the language has no safe form. The crate's only `unsafe`.

#![allow(unsafe_code, reason = "the prefetch intrinsic takes a raw pointer")]

/// Asks for the cache line of an address, whatever is there: nothing is read, no address faults.
#[inline(always)]
pub(crate) fn prefetch<T>(target: *const T) {
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        // SAFETY: PREFETCHT0 is part of SSE, which every x86_64 has; it is a hint that changes nothing a program can
        // observe and does not fault, whatever the address.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(target.cast()) }
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = target;
}
