//! Traffic from outside: this process is the peer of two memif ports of a daemon, offers packets at a fixed rate
//! through one of them, and looks at the number in each one that comes back through the other.

use std::fmt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use dpdk::{
    Burst, Device, DeviceKind, Eal, EalConfig, MemoryMode, Mempool, MempoolConfig, Port, PortConfig, Queues,
};
use packet::PacketBuf as _;

use crate::frames;
use crate::harness::{Daemon, PATIENCE, wait_for};
use crate::objects::workload;

/// Conversations that the packets are spread over.
const FLOWS: u16 = 256;
/// Packets on their way at a time: fewer than a memif ring holds, as nothing but the daemon is to lose any. What
/// is due and does not fit waits here, as in the transmit queue of a guest.
const WINDOW: u64 = 960;
/// Where a frame's number is: behind the Ethernet, IPv4 and UDP headers.
const NUMBER: usize = 42;
/// How often the source looks what is due.
const PACE: Duration = Duration::from_micros(100);

/// What came of it.
pub(crate) struct Report {
    /// Packets given to the daemon.
    pub(crate) sent: u64,
    /// Packets that came back, in order.
    pub(crate) received: u64,
    /// Packets that never came back.
    pub(crate) lost: u64,
    /// How long it took from the first to the last.
    pub(crate) time: Duration,
    /// The most packets that were due and waited, for this machine or for the daemon.
    pub(crate) longest_queue: u64,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { sent, lost, time, longest_queue, .. } = self;
        let rate = self.rate();
        write!(f, "{sent} packets in {time:.2?} ({rate:.0}/s), {lost} lost, at most {longest_queue} waited")
    }
}

impl Report {
    /// Packets per second that went through.
    pub(crate) fn rate(&self) -> f64 {
        self.received as f64 / self.time.as_secs_f64()
    }
}

/// Traffic from workload 1 to workload 2, until it is stopped.
pub(crate) struct Traffic {
    stop: Arc<AtomicBool>,
    received: Arc<AtomicU64>,
    source: JoinHandle<Report>,
}

impl Traffic {
    /// Gives a daemon that knows the network its workloads 1 and 2, and offers `rate` packets per second.
    pub(crate) fn start(daemon: &mut Daemon, rate: u64) -> Self {
        let server = |id| format!("{{memif: {{id: {id}, server: true, socket: $DIR/traffic}}}}");
        daemon.apply(&[workload(1, &server(1)), workload(2, &server(2))].concat());
        let mut source = Source::new(&daemon.path("traffic"));
        wait_for("the traffic's ports to be up", || {
            source.poll();
            daemon.is_up("vm1") && daemon.is_up("vm2")
        });
        let (stop, received) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let shared = (Arc::clone(&stop), Arc::clone(&received));
        let source = thread::spawn(move || source.run(rate, &shared.0, &shared.1));
        Self { stop, received, source }
    }

    /// Packets that have come back so far.
    pub(crate) fn received(&self) -> u64 {
        self.received.load(Ordering::Relaxed)
    }

    /// Offers no more, and waits for what is on its way.
    pub(crate) fn stop(self) -> Report {
        self.stop.store(true, Ordering::Relaxed);
        self.source.join().expect("the source has not panicked")
    }
}

/// The two ports, and the frames.
struct Source {
    pool: Mempool,
    // The queues go before their ports.
    near: Queues,
    far: Queues,
    ports: [Port; 2],
    frames: Vec<Vec<u8>>,
    sent: u64,
    /// The number that the next frame to come back has.
    next: u64,
    lost: u64,
}

impl Source {
    fn new(socket: &Path) -> Self {
        let pool = pool();
        let [(near_port, near), (far_port, far)] = [1, 2].map(|id| client(&pool, socket, id));
        let mut frames: Vec<_> = (0..FLOWS).map(|flow| frames::udp(1, 2, 1000 + flow)).collect();
        for frame in &mut frames {
            // No UDP checksum: the number differs from frame to frame.
            frame[40..42].fill(0);
        }
        Self { pool, near, far, ports: [near_port, far_port], frames, sent: 0, next: 0, lost: 0 }
    }

    fn run(mut self, rate: u64, stop: &AtomicBool, received: &AtomicU64) -> Report {
        let start = Instant::now();
        let mut longest_queue = 0;
        while !stop.load(Ordering::Relaxed) {
            let due = (start.elapsed().as_secs_f64() * rate as f64) as u64;
            longest_queue = longest_queue.max(due.saturating_sub(self.sent));
            self.send_until(due);
            self.poll();
            received.store(self.next - self.lost, Ordering::Relaxed);
            thread::sleep(PACE);
        }
        let last = Instant::now();
        while self.next < self.sent && last.elapsed() < PATIENCE {
            self.poll();
            thread::sleep(PACE);
        }
        let lost = self.lost + (self.sent - self.next);
        let report =
            Report { sent: self.sent, received: self.sent - lost, lost, time: last - start, longest_queue };
        let Self { near, far, ports, .. } = self;
        drop((near, far));
        for port in ports {
            port.detach().expect("a port can be detached");
        }
        report
    }

    /// Sends what is due, as far as the window is open.
    fn send_until(&mut self, due: u64) {
        let end = due.min(self.next + WINDOW);
        while self.sent < end {
            let mut burst = Burst::new();
            while burst.remaining_capacity() > 0 && self.sent + (burst.len() as u64) < end {
                let number = self.sent + burst.len() as u64;
                let frame = &self.frames[(number % u64::from(FLOWS)) as usize];
                let mut packet = self.pool.alloc_copy(frame).expect("the window is smaller than the pool");
                packet.data_mut()[NUMBER..NUMBER + 8].copy_from_slice(&number.to_be_bytes());
                burst.push(packet);
            }
            let taken = self.near.tx[0].send(&mut burst);
            self.sent += taken as u64;
            if !burst.is_empty() {
                return;
            }
        }
    }

    /// Takes what has come back. A gap in the numbers is a loss; a number out of order fails the test.
    fn poll(&mut self) {
        let mut other = Burst::new();
        self.near.rx[0].receive(&mut other);
        loop {
            let mut burst = Burst::new();
            if self.far.rx[0].receive(&mut burst) == 0 {
                return;
            }
            for packet in &burst {
                let number = packet.data()[NUMBER..NUMBER + 8].try_into().expect("it is as long as it was");
                let number = u64::from_be_bytes(number);
                assert!(number >= self.next, "packet {number} came again, or after a later one");
                self.lost += number - self.next;
                self.next = number + 1;
            }
        }
    }
}

/// Packets of this process, of which DPDK starts once.
fn pool() -> Mempool {
    static EAL: OnceLock<Eal> = OnceLock::new();
    static POOLS: AtomicU64 = AtomicU64::new(0);
    let eal = EAL.get_or_init(|| {
        let config = EalConfig { memory: MemoryMode::NoHuge, memory_mb: 256, ..EalConfig::default() };
        Eal::init(&config).expect("DPDK starts")
    });
    let name = format!("traffic{}", POOLS.fetch_add(1, Ordering::Relaxed));
    // Those on their way, and those that wait in the receive rings.
    let config = MempoolConfig { name, count: 8191, cache: 0, ..MempoolConfig::default() };
    Mempool::new(eal, &config).expect("there is memory for packets")
}

/// The other end of a memif port that listens at `socket`.
fn client(pool: &Mempool, socket: &Path, id: u32) -> (Port, Queues) {
    let socket = socket.display().to_string();
    let device = Device::new(DeviceKind::Memif { id, server: false, socket, secret: String::new() });
    let mut port = pool.eal().attach(&device).expect("a memif client can be attached");
    port.configure(&PortConfig::default(), pool).expect("a memif client can be configured");
    let queues = port.start().expect("a memif client can be started");
    (port, queues)
}
