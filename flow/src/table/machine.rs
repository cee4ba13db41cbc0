//! What the machine offers and the language has no safe form for: hints to the cache, comparison of several
//! numbers at once, large pages. The crate's only `unsafe`.

#![allow(unsafe_code, reason = "prefetch, SIMD intrinsics and madvise have no safe form")]

/// `len` values in one piece of memory that is taken and touched here and now, in large pages where the kernel
/// has them: a random visit to a large table otherwise costs a walk through page tables as well.
/// `None` without so much memory.
pub(crate) fn preallocate<T: Default>(len: usize) -> Option<Box<[T]>> {
    let mut memory = Vec::new();
    memory.try_reserve_exact(len).ok()?;
    prefer_large_pages(memory.spare_capacity_mut());
    memory.resize_with(len, T::default);
    Some(memory.into_boxed_slice())
}

/// Asks the kernel for large pages under memory that has not been touched.
#[cfg(all(target_os = "linux", not(miri)))]
fn prefer_large_pages<T>(memory: &mut [std::mem::MaybeUninit<T>]) {
    const PAGE: usize = 4096;
    let range = memory.as_mut_ptr_range();
    let start = range.start.addr().next_multiple_of(PAGE);
    let len = range.end.addr().saturating_sub(start) / PAGE * PAGE;
    if len != 0 {
        let first = range.start.with_addr(start).cast();
        // SAFETY: first..first + len is whole pages inside memory that is exclusively ours. MADV_HUGEPAGE
        // changes no content; it is advice, and its failure changes nothing.
        unsafe { libc::madvise(first, len, libc::MADV_HUGEPAGE) };
    }
}

#[cfg(not(all(target_os = "linux", not(miri))))]
fn prefer_large_pages<T>(_: &mut [std::mem::MaybeUninit<T>]) {}

/// Asks the cache for the line in which `target` begins.
#[inline(always)]
pub(crate) fn prefetch<T>(target: &T) {
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        // SAFETY: PREFETCHT0 belongs to SSE, which every x86_64 has. It changes no architectural state and
        // does not fault; the address comes from a live reference anyway.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(std::ptr::from_ref(target).cast()) }
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = target;
}

/// Bit n is set where tag n of the ten in `words` equals `tag`.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
pub(crate) fn equal_tags(words: [u64; 3], tag: u16) -> u32 {
    use std::arch::x86_64::{
        _mm_cmpeq_epi16, _mm_movemask_epi8, _mm_packs_epi16, _mm_set_epi64x, _mm_set1_epi16,
    };
    // SAFETY: all of these are SSE2, which every x86_64 has; they work on values, not on memory.
    let equal = unsafe {
        let wanted = _mm_set1_epi16(tag as i16);
        let low = _mm_cmpeq_epi16(_mm_set_epi64x(words[1] as i64, words[0] as i64), wanted);
        let high = _mm_cmpeq_epi16(_mm_set_epi64x(0, words[2] as i64), wanted);
        _mm_movemask_epi8(_mm_packs_epi16(low, high))
    };
    equal as u32 & 0x3ff
}

/// Bit n is set where tag n of the ten in `words` equals `tag`.
#[cfg(not(target_arch = "x86_64"))]
#[inline(always)]
pub(crate) fn equal_tags(words: [u64; 3], tag: u16) -> u32 {
    portable_equal_tags(words, tag)
}

/// The same, one tag at a time.
#[cfg(any(test, not(target_arch = "x86_64")))]
fn portable_equal_tags(words: [u64; 3], tag: u16) -> u32 {
    (0..10).filter(|slot| (words[slot / 4] >> (slot % 4 * 16)) as u16 == tag).map(|slot| 1 << slot).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn memory_is_complete_and_zeroed_by_default() {
        for len in [0, 1, 511, 512, 5000] {
            let memory = preallocate::<u64>(len).unwrap();
            assert_eq!((memory.len(), memory.iter().sum::<u64>()), (len, 0));
        }
        assert!(preallocate::<u64>(usize::MAX / 16).is_none());
    }

    #[test]
    fn a_hint_may_name_any_memory() {
        prefetch(&0_u8);
        prefetch(&[0_u64; 64]);
    }

    proptest! {
        #[test]
        fn the_fast_comparison_agrees_with_the_obvious_one(
            words in prop::array::uniform3(any::<u64>()), near in 0_usize..10, any_tag in any::<u16>()
        ) {
            let present = (words[near / 4] >> (near % 4 * 16)) as u16;
            for tag in [present, any_tag, 0] {
                prop_assert_eq!(equal_tags(words, tag), portable_equal_tags(words, tag));
            }
        }
    }
}
