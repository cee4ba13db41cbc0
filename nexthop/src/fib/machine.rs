//! What the processor can do and the language has no safe form for: a hint to the cache, and comparing many numbers at
//! once. The crate's only `unsafe`.

#![allow(unsafe_code, reason = "intrinsics of the processor")]

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

/// Which of 64 sorted starts of 16 bits are not behind `address`, one bit each. Those behind the end may be anything.
#[inline(always)]
pub(crate) fn not_behind(starts: &[u64; 16], address: u16) -> u64 {
    #[cfg(target_arch = "x86_64")]
    {
        // SAFETY: SSE2, which is all that it takes, is part of every x86_64.
        unsafe { not_behind_sse2(starts, address) }
    }
    #[cfg(not(target_arch = "x86_64"))]
    {
        let starts: &[u16; 64] = zerocopy::transmute_ref!(starts);
        starts.iter().enumerate().fold(0, |bits, (i, start)| bits | u64::from(*start <= address) << i)
    }
}

#[cfg(target_arch = "x86_64")]
#[inline]
#[target_feature(enable = "sse2")]
fn not_behind_sse2(starts: &[u64; 16], address: u16) -> u64 {
    use std::arch::x86_64::{
        _mm_cmpeq_epi16, _mm_movemask_epi8, _mm_packs_epi16, _mm_set_epi64x, _mm_set1_epi16,
        _mm_setzero_si128, _mm_subs_epu16,
    };
    let (address, zero) = (_mm_set1_epi16(address as i16), _mm_setzero_si128());
    // What is left of a start after the address is taken off: nothing, unless it lies behind.
    let none_left = |low: u64, high: u64| {
        _mm_cmpeq_epi16(_mm_subs_epu16(_mm_set_epi64x(high as i64, low as i64), address), zero)
    };
    let (fours, _) = starts.as_chunks::<4>();
    let mut bits = 0;
    for (i, [a, b, c, d]) in fours.iter().enumerate() {
        let bytes = _mm_packs_epi16(none_left(*a, *b), none_left(*c, *d));
        bits |= u64::from(_mm_movemask_epi8(bytes) as u16) << (i * 16);
    }
    bits
}
