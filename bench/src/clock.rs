//! What time it took.

use std::hint::black_box;
use std::time::{Duration, Instant};

use dpdk::tsc;
use vrouter::datapath::BURST;

/// Bursts between two looks at the clock: some 0.2 ms, so that few blocks are interrupted.
pub const BLOCK: usize = 64;

/// Ticks per packet of blocks of bursts.
#[derive(Clone, Copy, Debug, Default)]
pub struct Ticks {
    /// Of the middle block.
    pub median: f64,
    /// A tenth of the blocks took no more.
    pub tenth: f64,
}

/// Runs blocks of bursts for so long, at least one; stops early when there are `most`.
pub fn blocks(time: Duration, most: usize, mut burst: impl FnMut()) -> Ticks {
    let (start, mut ticks) = (Instant::now(), Vec::with_capacity(1 << 14));
    while ticks.is_empty() || (ticks.len() < most && start.elapsed() < time) {
        let before = tsc::now();
        (0..BLOCK).for_each(|_| burst());
        ticks.push((tsc::now() - before) as f64 / (BLOCK * BURST) as f64);
    }
    ticks.sort_by(f64::total_cmp);
    Ticks { median: ticks[ticks.len() / 2], tenth: ticks[ticks.len() / 10] }
}

/// The middle value.
#[must_use]
pub fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or(f64::NAN)
}

/// Clock cycles of the core per tick of the counter: a chain of multiplications and exclusive ors, which take three
/// cycles and one on every x86-64 of the last ten years, each waiting for the one before. The best of several tries,
/// for an interruption only makes it slower.
#[must_use]
pub fn cycles_per_tick() -> f64 {
    const STEPS: u64 = 2_000_000;
    let (factor, bits) = black_box((0x9e37_79b9_7f4a_7c15_u64, 0x5555_u64));
    let attempt = |_| {
        let start = tsc::now();
        let mut x = black_box(1_u64);
        for _ in 0..STEPS {
            x = x.wrapping_mul(factor) ^ bits;
        }
        black_box(x);
        (4 * STEPS) as f64 / (tsc::now() - start) as f64
    };
    (0..20).map(attempt).fold(0.0, f64::max)
}
