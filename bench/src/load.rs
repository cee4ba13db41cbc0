//! A generator with a clock: packets come at a rate whether the worker is ready or not, wait in a ring as a device has
//! it, and are lost where the ring is full. Each carries its flow and a number that counts the packets of that flow, so
//! that what leaves can be held against what came.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::Result;
use arrayvec::ArrayVec;
use dpdk::tsc;
use hdrhistogram::Histogram;
use packet::{PacketBuf, PortId};
use vrouter::datapath::{BURST, Ports, WorkerCounters};

use crate::node::Worker;
use crate::order::Order;
use crate::ways::Way;

/// Packets that wait at most, as in the receive ring of a network card.
pub const DESCRIPTORS: u64 = 4096;
/// One packet in so many has its time taken.
const SAMPLED: u64 = 8;
/// The last bytes of a frame: its flow and its number.
const STAMP: usize = 8;

/// What became of the packets.
#[derive(Clone, Debug)]
pub struct Report {
    /// Packets that came.
    pub offered: u64,
    /// Lost because the ring was full.
    pub overrun: u64,
    /// Of them, while the worker had not run for longer than the ring lasts: something else had its core.
    pub away: u64,
    /// Taken by the worker, but never seen again.
    pub missing: u64,
    /// Seen behind a later one of their flow.
    pub disordered: u64,
    /// The longest time between two turns, in ticks.
    pub longest: u64,
    /// Nanoseconds from a packet's arrival until it was sent, of one packet in eight.
    pub latency: Histogram<u64>,
}

impl Report {
    /// Lost in any way.
    #[must_use]
    pub const fn lost(&self) -> u64 {
        self.overrun + self.missing
    }
}

/// Takes what leaves, and holds it against what came.
#[derive(Debug)]
struct Sink<B> {
    frames: Vec<B>,
    /// The number that is expected next, by flow.
    expected: Vec<u32>,
    seen: u64,
    disordered: u64,
}

impl<B: PacketBuf> Ports<B> for Sink<B> {
    #[inline]
    fn send(&mut self, _: PortId, frames: &mut ArrayVec<B, BURST>) {
        for frame in frames.drain(..) {
            if let Some((flow, number)) = stamp(frame.data())
                && let Some(expected) = self.expected.get_mut(flow as usize)
            {
                self.disordered += u64::from(number < *expected);
                *expected = number + 1;
                self.seen += 1;
            }
            self.frames.push(frame);
        }
    }

    fn allocate(&mut self) -> Option<B> {
        None
    }
}

/// A worker under load.
#[derive(Debug)]
pub struct Load<B> {
    worker: Worker<B>,
    way: Way,
    order: Order,
    /// The next number, by flow.
    numbers: Vec<u32>,
    sink: Sink<B>,
    tsc_hz: f64,
    /// From 1 ns to a second, to three digits; empty.
    latency: Histogram<u64>,
}

impl<B: PacketBuf> Load<B> {
    /// A worker that knows the sessions of `flows` flows of this direction.
    ///
    /// # Errors
    /// No memory.
    pub fn new(worker: Worker<B>, way: Way, flows: u32, order: Order, tsc_hz: u64) -> Result<Self> {
        let latency = Histogram::new_with_bounds(1, 1_000_000_000, 3)?;
        let sink = Sink {
            frames: Vec::with_capacity(2 * BURST),
            expected: vec![0; flows as usize],
            seen: 0,
            disordered: 0,
        };
        let numbers = vec![0; flows as usize];
        Ok(Self { worker, way, order, numbers, sink, tsc_hz: tsc_hz as f64, latency })
    }

    /// The worker's counters.
    #[must_use]
    pub fn counters(&self) -> &Arc<WorkerCounters> {
        self.worker.counters()
    }

    /// Packets per second when none has to wait.
    pub fn greatest_rate(&mut self, bursts: usize) -> f64 {
        let mut blocks: Vec<u64> = (0..bursts.div_ceil(64))
            .map(|_| {
                let start = tsc::now();
                (0..64).for_each(|_| self.turn(BURST));
                tsc::now() - start
            })
            .collect();
        blocks.sort_unstable();
        self.tsc_hz * (64 * BURST) as f64 / blocks[blocks.len() / 2] as f64
    }

    /// The highest rate at which nothing is lost, to half a percent, in trials of so many seconds. A trial in which
    /// something else had the worker's core is made again, at most twice, and what was lost while the worker was not there
    /// is not counted against its rate.
    pub fn loss_free_rate(&mut self, seconds: f64) -> f64 {
        let never = AtomicBool::new(false);
        let (mut good, mut bad) = (0.0, self.greatest_rate(64 * 64) * 1.05);
        while bad - good > bad * 0.005 {
            let rate = (good + bad) / 2.0;
            let mut report = self.run(rate, seconds, &never);
            for _ in 0..2 {
                if report.away > 0 {
                    report = self.run(rate, seconds, &never);
                }
            }
            if report.lost() > report.away {
                bad = rate;
            } else {
                good = rate;
            }
        }
        good
    }

    /// So many packets.
    #[inline]
    fn turn(&mut self, count: usize) {
        let mut burst = ArrayVec::new();
        for _ in 0..count {
            let Some(mut buf) = self.worker.ring().pop() else { break };
            let flow = self.order.draw();
            self.way.of(flow).received.restore(&mut buf, flow);
            let number = &mut self.numbers[flow as usize];
            let length = buf.len();
            let bytes = (u64::from(*number) << 32 | flow).to_le_bytes();
            buf.data_mut()[length - STAMP..].copy_from_slice(&bytes);
            *number += 1;
            burst.push(buf);
        }
        self.worker.run_to(self.way.interface, &mut burst, &mut self.sink);
        let mut frames = ArrayVec::<B, BURST>::new();
        for frame in self.sink.frames.drain(..) {
            frames.push(frame);
            if frames.is_full() {
                self.worker.ring().give(&mut frames);
            }
        }
        self.worker.ring().give(&mut frames);
    }

    /// Packets come at this rate, for so long or until it is told to stop.
    pub fn run(&mut self, per_second: f64, seconds: f64, stop: &AtomicBool) -> Report {
        let mut report = Report {
            offered: 0,
            overrun: 0,
            away: 0,
            missing: 0,
            disordered: 0,
            longest: 0,
            latency: self.latency.clone(),
        };
        let (seen, disordered) = (self.sink.seen, self.sink.disordered);
        let ticks_per_packet = self.tsc_hz / per_second;
        let per_tick = 1.0 / ticks_per_packet;
        let nanoseconds = 1e9 / self.tsc_hz;
        let ring_lasts = (DESCRIPTORS as f64 * ticks_per_packet) as u64;
        let start = tsc::now();
        let end = start.saturating_add((seconds * self.tsc_hz) as u64);
        // Packets that were taken by the worker or lost.
        let (mut gone, mut before, mut taken) = (0, start, 0);
        loop {
            let now = tsc::now();
            let pause = now - before;
            before = now;
            report.longest = report.longest.max(pause);
            if now >= end || stop.load(Ordering::Relaxed) {
                break;
            }
            let due = ((now - start) as f64 * per_tick) as u64;
            let overrun = (due - gone).saturating_sub(DESCRIPTORS);
            if overrun > 0 {
                report.overrun += overrun;
                report.away += if pause > ring_lasts / 2 { overrun } else { 0 };
                gone += overrun;
            }
            let count = (due - gone).min(BURST as u64);
            if count == 0 {
                self.worker.idle();
                std::hint::spin_loop();
                continue;
            }
            self.turn(count as usize);
            let sent = tsc::now() - start;
            for number in gone..gone + count {
                if number.is_multiple_of(SAMPLED) {
                    let waited = sent as f64 - number as f64 * ticks_per_packet;
                    report.latency.saturating_record((waited * nanoseconds) as u64);
                }
            }
            gone += count;
            taken += count;
        }
        report.offered = gone;
        report.missing = taken - (self.sink.seen - seen).min(taken);
        report.disordered = self.sink.disordered - disordered;
        report
    }

    /// Lets go of the tables: nobody waits for this worker any more.
    pub fn sleep(&mut self) {
        self.worker.sleep();
    }
}

/// Flow and number of a frame.
#[inline]
fn stamp(frame: &[u8]) -> Option<(u32, u32)> {
    let both = u64::from_le_bytes(*frame.last_chunk()?);
    Some((both as u32, (both >> 32) as u32))
}
