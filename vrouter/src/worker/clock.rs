//! The workers' clock: a counter that is cheap to read, in milliseconds where somebody wants those.

use std::sync::OnceLock;
use std::time::Instant;

use crate::datapath::Now;

/// A counter that never goes back, the same for all threads.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    read: fn() -> u64,
    start: u64,
    per_second: u64,
}

impl Clock {
    /// A clock that starts at zero now. `read` counts `per_second` ticks a second.
    #[must_use]
    pub fn new(read: fn() -> u64, per_second: u64) -> Self {
        Self { read, start: read(), per_second: per_second.max(1000) }
    }

    /// The operating system's clock, in nanoseconds.
    #[must_use]
    pub fn system() -> Self {
        static START: OnceLock<Instant> = OnceLock::new();
        Self::new(|| START.get_or_init(Instant::now).elapsed().as_nanos() as u64, 1_000_000_000)
    }

    /// Ticks since the start.
    #[inline]
    #[must_use]
    pub fn ticks(&self) -> u64 {
        (self.read)().saturating_sub(self.start)
    }

    /// Ticks in this many microseconds.
    #[must_use]
    pub const fn from_microseconds(&self, microseconds: u64) -> u64 {
        (self.per_second as u128 * microseconds as u128 / 1_000_000) as u64
    }

    /// Milliseconds since the start.
    #[must_use]
    pub fn milliseconds(&self) -> u64 {
        self.milliseconds_at(self.ticks())
    }

    const fn milliseconds_at(&self, ticks: u64) -> u64 {
        (ticks as u128 * 1000 / self.per_second as u128) as u64
    }
}

/// The time as one worker reads it: once per turn, divided only when a millisecond has passed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Time {
    clock: Clock,
    now: Now,
    /// Ticks at which `now` is over.
    until: u64,
}

impl Time {
    pub(super) const fn new(clock: Clock) -> Self {
        Self { clock, now: Now { milliseconds: 0 }, until: 0 }
    }

    /// The time at a reading of the clock.
    #[inline]
    pub(super) fn at(&mut self, ticks: u64) -> Now {
        if ticks >= self.until {
            let milliseconds = self.clock.milliseconds_at(ticks);
            self.now = Now { milliseconds };
            let next = (u128::from(milliseconds) + 1) * u128::from(self.clock.per_second);
            self.until = next.div_ceil(1000) as u64;
        }
        self.now
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn milliseconds_follow_the_ticks_whatever_their_rate() {
        for per_second in [1000, 2_600_000_000, 1_000_000_000, 999_999_937] {
            let clock = Clock::new(|| 0, per_second);
            let mut time = Time::new(clock);
            let mut ticks = 0_u64;
            for step in 1..3000_u64 {
                ticks += step * step * per_second / 10_000_000;
                let expected = (u128::from(ticks) * 1000 / u128::from(per_second)) as u64;
                assert_eq!(time.at(ticks).milliseconds, expected, "{ticks} of {per_second}");
            }
        }
    }

    #[test]
    fn the_systems_clock_starts_at_zero_and_goes_on() {
        let clock = Clock::system();
        assert!(clock.milliseconds() < 1000);
        let before = clock.ticks();
        while clock.ticks() == before {}
        assert_eq!(clock.from_microseconds(50), 50_000);
    }
}
