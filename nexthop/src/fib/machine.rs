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

/// Which of sorted starts of 16 bits, four in a word, are not behind `address`: one bit each, 64 at most. `N` is a multiple of
/// four.
#[inline(always)]
pub(crate) fn not_behind16<const N: usize>(starts: &[u64; N], address: u16) -> u64 {
    #[cfg(target_arch = "x86_64")]
    {
        // SAFETY: SSE2, which is all that it takes, is part of every x86_64.
        unsafe { sse2::not_behind16(starts, address) }
    }
    #[cfg(not(target_arch = "x86_64"))]
    {
        let starts =
            starts.iter().flat_map(|word| [0, 16, 32, 48].map(|shift| (word.to_le() >> shift) as u16));
        starts.enumerate().fold(0, |bits, (i, start)| bits | u64::from(start <= address) << i)
    }
}

/// The same for 32 starts of 32 bits.
#[inline(always)]
pub(crate) fn not_behind32(starts: &[u64; 16], address: u32) -> u64 {
    #[cfg(target_arch = "x86_64")]
    {
        // SAFETY: as above.
        unsafe { sse2::not_behind32(starts, address) }
    }
    #[cfg(not(target_arch = "x86_64"))]
    {
        let starts = starts.iter().flat_map(|word| [0, 32].map(|shift| (word.to_le() >> shift) as u32));
        starts.enumerate().fold(0, |bits, (i, start)| bits | u64::from(start <= address) << i)
    }
}

#[cfg(target_arch = "x86_64")]
mod sse2 {
    use std::arch::x86_64::{
        __m128i, _mm_cmpeq_epi16, _mm_cmpgt_epi32, _mm_movemask_epi8, _mm_packs_epi16, _mm_packs_epi32,
        _mm_set_epi64x, _mm_set1_epi16, _mm_set1_epi32, _mm_setzero_si128, _mm_subs_epu16, _mm_xor_si128,
    };

    #[inline]
    #[target_feature(enable = "sse2")]
    fn pair(low: u64, high: u64) -> __m128i {
        _mm_set_epi64x(high as i64, low as i64)
    }

    #[inline]
    #[target_feature(enable = "sse2")]
    pub(super) fn not_behind16<const N: usize>(starts: &[u64; N], address: u16) -> u64 {
        let (address, zero) = (_mm_set1_epi16(address as i16), _mm_setzero_si128());
        // What is left of a start after the address is taken off: nothing, unless it lies behind.
        let none_left = |starts| _mm_cmpeq_epi16(_mm_subs_epu16(starts, address), zero);
        let (fours, _) = starts.as_chunks::<4>();
        let mut bits = 0;
        for (i, [a, b, c, d]) in fours.iter().enumerate() {
            let bytes = _mm_packs_epi16(none_left(pair(*a, *b)), none_left(pair(*c, *d)));
            bits |= u64::from(_mm_movemask_epi8(bytes) as u16) << (i * 16);
        }
        bits
    }

    #[inline]
    #[target_feature(enable = "sse2")]
    pub(super) fn not_behind32(starts: &[u64; 16], address: u32) -> u64 {
        // There is only a comparison of signed numbers.
        let sign = _mm_set1_epi32(i32::MIN);
        let address = _mm_xor_si128(_mm_set1_epi32(address as i32), sign);
        let behind = |low, high| _mm_cmpgt_epi32(_mm_xor_si128(pair(low, high), sign), address);
        let (eights, _) = starts.as_chunks::<8>();
        let mut bits = 0;
        for (i, [a, b, c, d, e, f, g, h]) in eights.iter().enumerate() {
            let low = _mm_packs_epi32(behind(*a, *b), behind(*c, *d));
            let high = _mm_packs_epi32(behind(*e, *f), behind(*g, *h));
            bits |= u64::from(!_mm_movemask_epi8(_mm_packs_epi16(low, high)) as u16) << (i * 16);
        }
        bits
    }
}
