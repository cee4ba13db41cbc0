//! Devices that need nothing from the machine: ring, null, pcap.

use std::fs::File;
use std::path::Path;

use dpdk::{Burst, Device, DeviceError, DeviceKind, PortConfig, PortError};
use packet::{L4Checksum, PacketBuf};
use pcap_file::pcap::{PcapPacket, PcapReader, PcapWriter};

use crate::common::{burst, bytes, eal, frame, pool, receive, ring, send, start, unique};

fn write_pcap(path: &Path, frames: &[Vec<u8>]) {
    let mut writer = PcapWriter::new(File::create(path).unwrap()).unwrap();
    for frame in frames {
        let time = std::time::Duration::from_secs(1);
        writer.write_packet(&PcapPacket::new(time, frame.len() as u32, frame)).unwrap();
    }
}

fn read_pcap(path: &Path) -> Vec<Vec<u8>> {
    let mut reader = PcapReader::new(File::open(path).unwrap()).unwrap();
    let mut frames = Vec::new();
    while let Some(packet) = reader.next_packet() {
        frames.push(packet.unwrap().data.into_owned());
    }
    frames
}

fn pcap(rx: Option<&Path>, tx: Option<&Path>, infinite_rx: bool) -> Device {
    let text = |path: &Path| path.to_str().unwrap().to_owned();
    let (rx_file, tx_file) = (rx.map(text), tx.map(text));
    Device::new(DeviceKind::Pcap { rx_file, tx_file, infinite_rx, rx_interface: None, tx_interface: None })
}

#[test]
fn a_lone_ring_gives_back_what_it_sends() {
    let pool = pool(200);
    let (_port, mut queues) = start(&ring(&format!("lone{}", unique())), &pool);
    let frames = [frame(1, 60), frame(2, 1500)];
    send(&mut queues, &pool, &frames);
    assert_eq!(receive(&mut queues, 2), frames);
    drop(queues);
    assert_eq!(pool.in_use(), 0);
}

#[test]
fn two_rings_of_one_name_are_the_ends_of_a_wire() {
    let pool = pool(200);
    let name = format!("pair{}", unique());
    let (a, mut a_queues) = start(&ring(&name), &pool);
    let (b, mut b_queues) = start(&ring(&name), &pool);
    send(&mut a_queues, &pool, &[frame(1, 60), frame(2, 61)]);
    send(&mut b_queues, &pool, &[frame(3, 62)]);
    assert_eq!(receive(&mut b_queues, 2), [frame(1, 60), frame(2, 61)]);
    assert_eq!(receive(&mut a_queues, 1), [frame(3, 62)]);
    let mut none = Burst::new();
    assert_eq!(a_queues.rx[0].receive(&mut none), 0, "no echo while the other end is there");
    assert_eq!((a.stats().unwrap().tx_packets, b.stats().unwrap().rx_packets), (2, 2));
    assert!(a.link().unwrap().up);

    let third = eal().attach(&ring(&name));
    assert!(matches!(third, Err(DeviceError::Unavailable { field: "ring.name", .. })), "{third:?}");

    // Sent to an end that goes away unread: lost, not echoed.
    send(&mut a_queues, &pool, &[frame(4, 60)]);
    drop(b_queues);
    b.detach().unwrap();
    assert_eq!(a_queues.rx[0].receive(&mut none), 0);
    // From now on it is alone.
    send(&mut a_queues, &pool, &[frame(5, 60)]);
    assert_eq!(receive(&mut a_queues, 1), [frame(5, 60)]);
    // And can be joined again.
    let (_b, mut b_queues) = start(&ring(&name), &pool);
    send(&mut a_queues, &pool, &[frame(6, 60)]);
    assert_eq!(receive(&mut b_queues, 1), [frame(6, 60)]);
    drop((a_queues, b_queues));
    assert_eq!(pool.in_use(), 0);
}

#[test]
fn a_wire_has_one_number_of_queues_and_keeps_them_apart() {
    let pool = pool(200);
    let name = format!("wide{}", unique());
    let device = Device { queues: 3, ..ring(&name) };
    let (_a, mut a) = start(&device, &pool);
    let narrow = eal().attach(&ring(&name));
    assert!(matches!(narrow, Err(DeviceError::Invalid { field: "queues", .. })), "{narrow:?}");
    let (_b, mut b) = start(&device, &pool);
    assert_eq!((a.rx.len(), a.tx.len()), (3, 3));
    a.tx[2].send(&mut burst(&pool, &[frame(2, 70)]));
    let mut received = Burst::new();
    assert_eq!(b.rx[0].receive(&mut received) + b.rx[1].receive(&mut received), 0);
    assert_eq!(b.rx[2].receive(&mut received), 1);
    assert_eq!(bytes(&received), [frame(2, 70)]);
    assert_eq!((b.rx[2].queue(), a.tx[2].queue()), (2, 2));
}

#[test]
fn a_full_ring_leaves_the_rest_to_the_sender_in_order() {
    let pool = pool(1200);
    let (_port, mut queues) = start(&ring(&format!("full{}", unique())), &pool);
    let mut sent = 0;
    let rest = loop {
        let mut packets = burst(&pool, &[frame(0, 60), frame(1, 60), frame(2, 60), frame(3, 60)]);
        let n = queues.tx[0].send(&mut packets);
        sent += n;
        assert_eq!(packets.len(), 4 - n);
        if n < 4 {
            break packets;
        }
    };
    assert_eq!(sent, 1023);
    let expected: Vec<_> = (3..4).map(|number| frame(number, 60)).collect();
    assert_eq!(bytes(&rest), expected);
    assert_eq!(pool.in_use(), 1024);
    drop((rest, queues, _port));
    assert_eq!(pool.in_use(), 0, "packets in the ring go back when the port goes");
}

#[test]
fn receiving_appends_and_stops_at_a_full_burst() {
    let pool = pool(300);
    let (_port, mut queues) = start(&ring(&format!("append{}", unique())), &pool);
    let frames: Vec<_> = (0..100).map(|number| frame(number, 60)).collect();
    send(&mut queues, &pool, &frames[..50]);
    send(&mut queues, &pool, &frames[50..]);
    let mut received = burst(&pool, &[frame(200, 60)]);
    assert_eq!(queues.rx[0].receive(&mut received), 63);
    assert_eq!(bytes(&received)[0], frame(200, 60));
    assert_eq!(bytes(&received)[1..], frames[..63]);
    assert_eq!(queues.rx[0].receive(&mut received), 0, "no room");
    received.clear();
    assert_eq!(queues.rx[0].receive(&mut received), 37);
    assert!(queues.rx[0].received_whole());
}

#[test]
fn an_unfinished_checksum_stays_unfinished_over_a_wire() {
    let pool = pool(64);
    let (_port, mut queues) = start(&ring(&format!("checksum{}", unique())), &pool);
    let mut packets = burst(&pool, &[frame(0, 60)]);
    packets[0].set_l4_checksum(L4Checksum::Partial);
    queues.tx[0].send(&mut packets);
    queues.rx[0].receive(&mut packets);
    assert_eq!(packets[0].l4_checksum(), L4Checksum::Partial);
}

#[test]
fn null_drops_what_is_sent_and_receives_only_if_asked() {
    let pool = pool(400);
    let (port, mut queues) = start(&Device::new(DeviceKind::Null { generate: false }), &pool);
    send(&mut queues, &pool, &[frame(0, 60), frame(1, 60)]);
    let mut received = Burst::new();
    assert_eq!(queues.rx[0].receive(&mut received), 0);
    assert_eq!(port.info().unwrap().driver, "net_null");
    let (_source, mut source) = start(&Device::new(DeviceKind::Null { generate: true }), &pool);
    assert_eq!(source.rx[0].receive(&mut received), 64);
    assert!(received.iter().all(|packet| packet.len() == 64));
    drop(received);
    assert_eq!(pool.in_use(), 0);
}

#[test]
fn frames_of_a_capture_file_arrive_and_leave_unchanged() {
    let directory = tempfile::tempdir().unwrap();
    let (input, output) = (directory.path().join("in.pcap"), directory.path().join("out.pcap"));
    let frames: Vec<_> = [60, 64, 65, 1500, 1514].iter().zip(0..).map(|(&len, n)| frame(n, len)).collect();
    write_pcap(&input, &frames);
    let pool = pool(600);
    let (port, mut queues) = start(&pcap(Some(&input), Some(&output), false), &pool);
    let mut received = Burst::new();
    assert_eq!(queues.rx[0].receive(&mut received), 5);
    assert_eq!(bytes(&received), frames);
    assert_eq!(queues.rx[0].receive(&mut received), 0, "the file ends");
    assert_eq!(queues.tx[0].send(&mut received), 5);
    drop(queues);
    port.detach().unwrap();
    assert_eq!(read_pcap(&output), frames);
    assert_eq!(pool.in_use(), 0);
}

#[test]
fn an_infinite_capture_begins_again() {
    let directory = tempfile::tempdir().unwrap();
    let input = directory.path().join("in.pcap");
    write_pcap(&input, &[frame(0, 60), frame(1, 61), frame(2, 62)]);
    let pool = pool(600);
    let (port, mut queues) = start(&pcap(Some(&input), None, true), &pool);
    let frames = receive(&mut queues, 100);
    for (at, received) in frames.iter().enumerate() {
        assert_eq!(*received, frame((at % 3) as u8, 60 + at % 3));
    }
    send(&mut queues, &pool, &[frame(9, 60)]);
    drop(queues);
    port.detach().unwrap();
    assert_eq!(pool.in_use(), 0, "the replayed packets too");
}

#[test]
fn a_capture_that_does_not_fit_into_the_pool_says_so() {
    let directory = tempfile::tempdir().unwrap();
    let input = directory.path().join("in.pcap");
    write_pcap(&input, &vec![frame(0, 60); 100]);
    let pool = pool(63);
    let mut port = eal().attach(&pcap(Some(&input), None, true)).unwrap();
    let error = port.configure(&PortConfig::default(), &pool).unwrap_err().to_string();
    assert!(error.contains("At least 100 mbufs"), "{error}");
    port.detach().unwrap();
    assert_eq!(pool.in_use(), 0);
}

#[test]
fn a_port_waits_for_its_queues() {
    let pool = pool(200);
    let mut port = eal().attach(&ring(&format!("states{}", unique()))).unwrap();
    assert!(matches!(port.start(), Err(PortError::State { reason: "is not configured", .. })));
    port.configure(&PortConfig::default(), &pool).unwrap();
    let queues = port.start().unwrap();
    assert!(port.is_started());
    assert!(!port.is_idle());
    assert!(matches!(port.start(), Err(PortError::State { .. })));
    assert!(matches!(port.configure(&PortConfig::default(), &pool), Err(PortError::State { .. })));
    let dpdk::Queues { rx, tx } = queues;
    drop(rx);
    assert!(matches!(port.stop(), Err(PortError::QueuesInUse { .. })), "a transmit queue is out");
    drop(tx);
    port.stop().unwrap();
    assert!(!port.is_started());
    let mut queues = port.start().unwrap();
    send(&mut queues, &pool, &[frame(1, 60)]);
    assert_eq!(receive(&mut queues, 1), [frame(1, 60)]);
    let error = port.detach().unwrap_err();
    assert!(matches!(error, PortError::QueuesInUse { .. }), "{error}");
    send(&mut queues, &pool, &[frame(2, 60)]);
    assert_eq!(receive(&mut queues, 1), [frame(2, 60)], "until the last queue is dropped, it works");
}

#[test]
fn what_a_device_cannot_do_is_refused_by_name() {
    let pool = pool(64);
    let mut port = eal().attach(&Device { queues: 2, ..ring(&format!("limits{}", unique())) }).unwrap();
    let config = PortConfig { mtu: Some(2048), ..PortConfig::default() };
    let error = port.configure(&config, &pool).unwrap_err();
    assert!(matches!(error, PortError::Invalid { field: "mtu", .. }), "{error}");
    assert!(error.to_string().starts_with("ring 'limits"), "{error}");
    port.configure(&PortConfig { mtu: Some(1400), ..PortConfig::default() }, &pool).unwrap();
    assert_eq!(port.mtu().unwrap(), 1400);
    assert_eq!(port.offloads(), dpdk::Offloads::empty());
}

#[test]
fn devices_come_and_go_a_hundred_times_while_others_forward() {
    let directory = tempfile::tempdir().unwrap();
    let input = directory.path().join("in.pcap");
    write_pcap(&input, &[frame(0, 60), frame(1, 61)]);
    let pool = pool(800);
    let name = format!("steady{}", unique());
    let (_a, mut a) = start(&ring(&name), &pool);
    let (_b, mut b) = start(&ring(&name), &pool);
    let mut ids = std::collections::BTreeSet::new();
    for round in 0..100_u32 {
        let device = match round % 3 {
            0 => pcap(Some(&input), None, round % 2 == 0),
            1 => Device::new(DeviceKind::Null { generate: true }),
            _ => ring(&format!("visitor{}", unique())),
        };
        let (port, mut queues) = start(&device, &pool);
        ids.insert(port.id());
        let mut received = Burst::new();
        queues.rx[0].receive(&mut received);
        queues.tx[0].send(&mut received);
        send(&mut a, &pool, &[frame(round as u8, 60)]);
        assert_eq!(receive(&mut b, 1), [frame(round as u8, 60)]);
        drop((queues, received));
        port.detach().unwrap();
        assert_eq!(pool.in_use(), 0, "round {round}");
    }
    assert!(ids.len() < 20, "numbers are used again: {ids:?}");
}

#[test]
fn a_frame_longer_than_a_buffer_comes_in_parts_and_the_burst_says_so() {
    let directory = tempfile::tempdir().unwrap();
    let input = directory.path().join("in.pcap");
    let frames = [frame(0, 60), frame(1, 5000), frame(2, 62)];
    write_pcap(&input, &frames);
    let pool = pool(100);
    let (port, mut queues) = start(&pcap(Some(&input), None, false), &pool);
    let mut received = Burst::new();
    let mut whole = true;
    while queues.rx[0].receive(&mut received) > 0 {
        whole &= queues.rx[0].received_whole();
    }
    assert!(!whole);
    assert_eq!(received.iter().map(PacketBuf::is_whole).collect::<Vec<_>>(), [true, false, true]);
    for (packet, frame) in received.iter().zip(&frames) {
        assert_eq!(packet.parts().flatten().copied().collect::<Vec<_>>(), *frame);
        assert_eq!(packet.segment_size(), 0, "nobody asks to cut it");
    }
    drop((received, queues, port));
    assert_eq!(pool.in_use(), 0, "all parts go back");
}
