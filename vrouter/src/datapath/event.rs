//! What a worker tells the control thread: bounded queues, losses counted, no allocation.

use crossbeam::queue::ArrayQueue;
use packet::{Address, DropReason, InterfaceId};
use sync::Counter;

/// Why a packet is handed up, to the control thread or to the services thread. Each class has a rate limit of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PuntClass {
    /// ARP and neighbour discovery from the fabric.
    Neighbour,
    /// DHCP and router solicitations of workloads.
    Workload,
    /// What workloads ask their service address: names.
    Dns,
    /// Packets for the node itself where no HOST twin exists.
    Host,
    /// What the underlay says about tunnel packets that were too big for it.
    PathMtu,
}

impl PuntClass {
    /// All classes.
    pub const ALL: [Self; 5] = [Self::Neighbour, Self::Workload, Self::Dns, Self::Host, Self::PathMtu];

    /// The name in `PacketIn`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Neighbour => "neighbour",
            Self::Workload => "workload",
            Self::Dns => "dns",
            Self::Host => "host",
            Self::PathMtu => "path_mtu",
        }
    }

    /// Packets of the class that one worker hands up in a second.
    #[must_use]
    pub const fn per_second(self) -> u32 {
        match self {
            Self::Dns => 5_000,
            Self::Neighbour | Self::Workload | Self::Host | Self::PathMtu => 2_000,
        }
    }

    /// Of those, at most so many of one interface: what one workload floods with, the others do not lack.
    #[must_use]
    pub const fn per_interface(self) -> Option<u32> {
        match self {
            Self::Workload => Some(20),
            Self::Dns => Some(500),
            Self::Neighbour | Self::Host | Self::PathMtu => None,
        }
    }
}

/// Something the control thread should know.
#[derive(Debug)]
pub enum Event<B> {
    /// A packet waits for this neighbour.
    NeighbourNeeded {
        /// Where it is to be asked for.
        interface: InterfaceId,
        /// Whether the address is IPv6.
        v6: bool,
        /// Who is wanted.
        address: Address,
    },
    /// A packet for the control thread.
    Punt {
        /// Its class.
        class: PuntClass,
        /// Where it came in.
        interface: InterfaceId,
        /// The whole frame.
        frame: B,
    },
}

/// Bytes kept of a sampled drop.
pub const SAMPLE_BYTES: usize = 128;

/// The head of a dropped packet.
#[derive(Clone, Copy, Debug)]
pub struct DropSample {
    /// When, in milliseconds of the workers' clock.
    pub milliseconds: u64,
    /// Why.
    pub reason: DropReason,
    /// Where it came in.
    pub interface: InterfaceId,
    /// Length of the whole frame as it was when dropped.
    pub length: u16,
    /// How many bytes of `head` are there.
    pub kept: u8,
    /// Its first bytes.
    pub head: [u8; SAMPLE_BYTES],
}

/// What workloads may be ahead of the services thread. Each holds a frame of the pool.
const REQUESTS: usize = 1024;

/// One worker's way to the control thread, and what workloads ask of the services thread beside it: neither can fill
/// the other's queue.
#[derive(Debug)]
pub struct EventQueue<B> {
    events: ArrayQueue<Event<B>>,
    requests: ArrayQueue<Event<B>>,
    samples: ArrayQueue<DropSample>,
    /// Events that found the queue full.
    pub overruns: Counter,
}

impl<B> EventQueue<B> {
    /// Queues of these capacities.
    #[must_use]
    pub fn new(events: usize, samples: usize) -> Self {
        Self {
            events: ArrayQueue::new(events.max(1)),
            requests: ArrayQueue::new(REQUESTS),
            samples: ArrayQueue::new(samples.max(1)),
            overruns: Counter::default(),
        }
    }

    /// Hands an event over; the event comes back if the queue is full.
    ///
    /// # Errors
    /// The event itself, counted as an overrun.
    pub fn push(&self, event: Event<B>) -> Result<(), Event<B>> {
        let queue = match event {
            Event::Punt { class: PuntClass::Workload | PuntClass::Dns, .. } => &self.requests,
            _ => &self.events,
        };
        queue.push(event).inspect_err(|_| self.overruns.add(1))
    }

    /// The oldest packet of a workload for the services thread: of class `Workload` or `Dns`.
    #[must_use]
    pub fn pop_request(&self) -> Option<Event<B>> {
        self.requests.pop()
    }

    /// The oldest event for the control thread.
    #[must_use]
    pub fn pop(&self) -> Option<Event<B>> {
        self.events.pop()
    }

    /// Keeps the head of a dropped packet; the oldest sample makes room.
    pub(super) fn sample(&self, sample: DropSample) {
        self.samples.force_push(sample);
    }

    /// The oldest sample.
    #[must_use]
    pub fn pop_sample(&self) -> Option<DropSample> {
        self.samples.pop()
    }
}
