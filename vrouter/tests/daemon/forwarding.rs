//! Packets from device to device, and where they are counted.

use agent_api::v1::StatsRequest;

use crate::frames;
use crate::harness::{Daemon, wait_for};
use crate::objects::{NETWORK, NULL, record, repeat, replay, workload};

const FRAMES: u16 = 300;

fn frames_from_1_to_2() -> Vec<Vec<u8>> {
    (0..FRAMES).map(|i| frames::udp(1, 2, 1000 + i)).collect()
}

/// One frame as it leaves to workload 2.
fn delivered(mut frame: Vec<u8>) -> Vec<u8> {
    frame[..6].copy_from_slice(&frames::mac(2));
    frame[6..12].copy_from_slice(&frames::GATEWAY);
    frame[22] -= 1;
    // The header checksum follows the TTL, which is the high byte of its word (RFC 1624).
    let sum = u32::from(u16::from_be_bytes([frame[24], frame[25]])) + 0x100;
    let folded = ((sum & 0xffff) + (sum >> 16)) as u16;
    frame[24..26].copy_from_slice(&folded.to_be_bytes());
    frame
}

#[test]
fn a_capture_file_is_forwarded_into_another_one_frame_by_frame() {
    let write =
        |directory: &std::path::Path| frames::write(&directory.join("in.pcap"), &frames_from_1_to_2());
    let mut daemon = Daemon::start_with("", write);
    // One batch: no packet is read before everything is in effect.
    daemon.apply(&[NETWORK, &workload(1, &replay("in.pcap")), &workload(2, &record("out.pcap"))].concat());
    wait_for("all frames", || daemon.packets("vm2").1 == u64::from(FRAMES));
    let accounting = daemon.accounting();
    assert_eq!((accounting.received, accounting.sent), (FRAMES.into(), FRAMES.into()));

    let out = daemon.path("out.pcap");
    let stopped = daemon.stop();
    assert_eq!(stopped.status.code(), Some(0), "{}", stopped.log);
    let expected: Vec<_> = frames_from_1_to_2().into_iter().map(delivered).collect();
    assert_eq!(frames::read(&out), expected);
}

#[test]
fn two_workers_share_ports_that_have_one_queue() {
    let write =
        |directory: &std::path::Path| frames::write(&directory.join("in.pcap"), &frames_from_1_to_2());
    let mut daemon = Daemon::start_with("[workers]\ncount = 2\n", write);
    // The first worker receives from the first port and the second one owns the second port's transmit queue.
    daemon.apply(&[NETWORK, &workload(1, &replay("in.pcap")), &workload(2, &record("out.pcap"))].concat());
    wait_for("all frames", || daemon.packets("vm2").1 == u64::from(FRAMES));
    let stats = daemon.stats();
    let queues: Vec<Vec<u32>> = stats
        .workers
        .iter()
        .map(|worker| worker.queues.iter().map(|queue| queue.interface).collect())
        .collect();
    assert_eq!(queues, [[1], [2]], "each polls one port");

    let out = daemon.path("out.pcap");
    let _stopped = daemon.stop();
    assert_eq!(frames::read(&out).len(), usize::from(FRAMES), "handed over and sent");
}

#[test]
fn a_worker_is_seen_to_work_and_to_sleep() {
    let write =
        |directory: &std::path::Path| frames::write(&directory.join("in.pcap"), &frames_from_1_to_2());
    let mut daemon = Daemon::start_with("[workers]\npoll = 'adaptive'\n", write);
    let worker = |daemon: &mut Daemon| daemon.stats().workers[0].clone();
    wait_for("the worker to sleep", || worker(&mut daemon).sleep_cycles > 0);
    assert_eq!((worker(&mut daemon).core, worker(&mut daemon).poll.as_str()), (-1, "adaptive"));

    let generation = daemon
        .apply(&[NETWORK, &workload(1, &repeat("in.pcap")), &workload(2, crate::objects::NULL)].concat())
        .generation;
    wait_for("packets", || worker(&mut daemon).accounting.unwrap_or_default().sent > 100_000);
    let busy = worker(&mut daemon);
    assert_eq!(busy.generation, generation);
    assert!(busy.work_cycles > 0 && busy.bursts > 0);
    let request = StatsRequest { workers: true, ..StatsRequest::default() };
    let only = daemon.runtime.block_on(daemon.client.stats(request)).unwrap().into_inner();
    assert!(only.interfaces.is_empty() && only.workers.len() == 1);
}

#[test]
fn a_frame_without_a_whole_ethernet_header_is_dropped_by_name() {
    let sent = [frames::udp(1, 2, 1000)[..10].to_vec(), frames::udp(1, 2, 1000)];
    let mut daemon = Daemon::start_with("", |directory| frames::write(&directory.join("in.pcap"), &sent));
    daemon.apply(&[NETWORK, &workload(1, &replay("in.pcap")), &workload(2, NULL)].concat());
    wait_for("both frames", || daemon.packets("vm1").0 == 2);
    let accounting = daemon.accounting();
    assert_eq!((accounting.received, accounting.sent, accounting.dropped), (2, 1, 1));
    assert_eq!(daemon.stats().drops[0].reason, "truncated");
}
