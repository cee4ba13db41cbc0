//! The crate's only `unsafe`: a hint to the cache, for which the language has no safe form.
#![allow(unsafe_code, reason = "prefetch intrinsics take a raw pointer")]

/// Asks for the cache line in which `bytes` begins. Never faults, reads nothing.
#[inline(always)]
pub fn prefetch(bytes: &[u8]) {
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        // SAFETY: PREFETCHT0 is part of SSE, which every x86_64 has; it is a hint that touches no
        // architectural state and does not fault, whatever the address.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(bytes.as_ptr().cast()) }
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = bytes;
}
