//! The time stamp counter, the clock of the packet path. Its rate is [`Eal::tsc_hz`](crate::Eal::tsc_hz).

/// The counter now. About 20 cycles: read it once per burst, not per packet.
#[inline]
#[must_use]
pub fn now() -> u64 {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: every x86-64 processor has RDTSC; it reads no memory.
    return unsafe { core::arch::x86_64::_rdtsc() };
    #[cfg(not(target_arch = "x86_64"))]
    // SAFETY: reads a register.
    return unsafe { dpdk_sys::shim_tsc() };
}
