//! What the tests share.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};

use dpdk::{
    Burst, Device, DeviceKind, Eal, EalConfig, MemoryMode, Mempool, MempoolConfig, Port, PortConfig, Queues,
};
use packet::PacketBuf;

/// The process's EAL; never a PCI device. Ordinary memory, because many of these may run at a time.
pub(crate) fn eal() -> &'static Eal {
    static EAL: OnceLock<Eal> = OnceLock::new();
    EAL.get_or_init(|| {
        Eal::init(&EalConfig { memory: MemoryMode::NoHuge, memory_mb: 512, ..EalConfig::default() })
            .expect("EAL")
    })
}

/// A number that no other test of this process has.
pub(crate) fn unique() -> u32 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

/// A pool of the test's own.
pub(crate) fn pool(count: u32) -> Mempool {
    let config =
        MempoolConfig { name: format!("test{}", unique()), count, cache: 0, ..MempoolConfig::default() };
    Mempool::new(eal(), &config).expect("mempool")
}

/// An attached, configured and started device.
pub(crate) fn start(device: &Device, pool: &Mempool) -> (Port, Queues) {
    let mut port = eal().attach(device).expect("attach");
    port.configure(&PortConfig::default(), pool).expect("configure");
    let queues = port.start().expect("start");
    (port, queues)
}

pub(crate) fn ring(name: &str) -> Device {
    Device::new(DeviceKind::Ring { name: name.to_owned() })
}

/// A frame of `len` bytes that differs from those with other numbers.
pub(crate) fn frame(number: u8, len: usize) -> Vec<u8> {
    (0..len).map(|at| (at as u8).wrapping_mul(7).wrapping_add(number)).collect()
}

/// A burst of copies.
pub(crate) fn burst(pool: &Mempool, frames: &[Vec<u8>]) -> Burst {
    frames.iter().map(|frame| pool.alloc_copy(frame).expect("a packet")).collect()
}

pub(crate) fn bytes(burst: &Burst) -> Vec<Vec<u8>> {
    burst.iter().map(|packet| packet.data().to_vec()).collect()
}

/// Tries until it is so, for at most ten seconds: other processes and the kernel take their time.
pub(crate) fn eventually(what: &str, mut so: impl FnMut() -> bool) {
    let start = Instant::now();
    while !so() {
        assert!(start.elapsed() < Duration::from_secs(10), "not within 10 s: {what}");
        sleep(Duration::from_millis(1));
    }
}

/// Sends everything on queue 0.
pub(crate) fn send(queues: &mut Queues, pool: &Mempool, frames: &[Vec<u8>]) {
    let mut burst = burst(pool, frames);
    eventually("sent", || {
        queues.tx[0].send(&mut burst);
        burst.is_empty()
    });
}

/// Receives `count` frames on queue 0.
pub(crate) fn receive(queues: &mut Queues, count: usize) -> Vec<Vec<u8>> {
    let mut frames = Vec::new();
    eventually("received", || {
        let mut burst = Burst::new();
        queues.rx[0].receive(&mut burst);
        frames.extend(bytes(&burst));
        frames.len() >= count
    });
    frames
}

/// Sends on one device and receives on the other at the same time: some drivers give buffers to their
/// peer only while they are polled.
pub(crate) fn transfer(
    from: &mut Queues,
    to: &mut Queues,
    pool: &Mempool,
    frames: &[Vec<u8>],
) -> Vec<Vec<u8>> {
    let mut sending = burst(pool, frames);
    let mut received = Vec::new();
    eventually("transferred", || {
        from.tx[0].send(&mut sending);
        let mut burst = Burst::new();
        to.rx[0].receive(&mut burst);
        received.extend(bytes(&burst));
        received.len() >= frames.len()
    });
    received
}
