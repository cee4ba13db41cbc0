//! One worker's counters: written by that worker only, read by anyone, never reset.

use packet::DropReason;
use sync::Counter;

macro_rules! worker_counters {
    ($($field:ident $help:literal)*) => {
        /// One worker's share of what is counted.
        #[derive(Debug)]
        #[repr(align(128))]
        pub struct WorkerCounters {
            $(#[doc = $help] pub $field: Counter,)*
            /// Dropped packets by reason.
            pub drops: [Counter; DropReason::COUNT],
        }

        impl Default for WorkerCounters {
            fn default() -> Self {
                Self {
                    $($field: Counter::default(),)*
                    drops: std::array::from_fn(|_| Counter::default()),
                }
            }
        }

        impl WorkerCounters {
            /// Name, help and value of every counter but the drops.
            pub fn iter(&self) -> impl Iterator<Item = (&'static str, &'static str, u64)> + '_ {
                [$((stringify!($field), $help, self.$field.get())),*].into_iter()
            }
        }
    };
}

worker_counters! {
    received        "Packets taken from receive queues, or over from another worker."
    originated      "Packets the vRouter made itself."
    copied          "Further copies of a packet (replication, fragmentation)."
    sent            "Packets a device took."
    consumed        "Packets that ended in a local responder."
    punted          "Packets handed to the control thread."
    held_total      "Packets that began to wait for a neighbour."
    released        "Packets that ended waiting, however."
    handed_over     "Packets of a hot queue handed to the worker that owns their flow, which receives them."
    taken_over      "Packets received by another worker and treated by this one."
    bursts          "Bursts with at least one packet."
    express         "Packets that took the short way for common packets."
    flow_created    "Sessions created."
    flow_rekeyed    "Session halves found again at another scope."
    flow_redecided  "Session halves decided again after a change."
    ecmp_repin      "Sessions whose replies came through another valid member."
    tcp_pickup      "TCP sessions picked up in mid-stream."
    work_cycles     "TSC ticks spent on packets."
    poll_cycles     "TSC ticks spent on empty polls."
    sleep_cycles    "TSC ticks slept."
}

/// `received + originated + copied = sent + consumed + punted + held + dropped`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Accounting {
    /// Packets taken from receive queues, or over from another worker.
    pub received: u64,
    /// Packets the vRouter made itself.
    pub originated: u64,
    /// Further copies of packets.
    pub copied: u64,
    /// Packets a device took.
    pub sent: u64,
    /// Packets that ended in a local responder.
    pub consumed: u64,
    /// Packets handed to the control thread.
    pub punted: u64,
    /// Packets that wait for a neighbour now.
    pub held: u64,
    /// Dropped packets, all reasons.
    pub dropped: u64,
}

impl WorkerCounters {
    /// The sums of the accounting equation.
    #[must_use]
    pub fn accounting(&self) -> Accounting {
        Accounting {
            received: self.received.get(),
            originated: self.originated.get(),
            copied: self.copied.get(),
            sent: self.sent.get(),
            consumed: self.consumed.get(),
            punted: self.punted.get(),
            held: self.held_total.get().saturating_sub(self.released.get()),
            dropped: self.drops.iter().map(Counter::get).sum(),
        }
    }
}

impl Accounting {
    /// Whether every packet ended exactly once.
    #[must_use]
    pub const fn holds(&self) -> bool {
        self.received + self.originated + self.copied
            == self.sent + self.consumed + self.punted + self.held + self.dropped
    }
}

impl std::ops::AddAssign for Accounting {
    fn add_assign(&mut self, other: Self) {
        self.received += other.received;
        self.originated += other.originated;
        self.copied += other.copied;
        self.sent += other.sent;
        self.consumed += other.consumed;
        self.punted += other.punted;
        self.held += other.held;
        self.dropped += other.dropped;
    }
}
