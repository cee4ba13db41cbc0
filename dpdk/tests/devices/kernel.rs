//! Devices on the kernel's network: tap, af_packet, af_xdp, pcap on an interface. Each test makes a
//! network namespace of its own, for which it needs to be root; otherwise it says that it was skipped.

use std::io::Write;
use std::process::Command;
use std::thread;

use packet::PacketBuf;

use dpdk::{Burst, Device, DeviceError, DeviceKind, Mempool, Port, PortConfig, Queues};

use crate::common::{burst, bytes, eal, eventually, frame, pool, start};

/// Runs `test` on a thread in a new network namespace.
fn in_new_namespace(name: &str, test: impl FnOnce() + Send + 'static) {
    // Before the thread leaves: the EAL's own threads stay in the first namespace.
    eal();
    let entered = thread::spawn(move || {
        // SAFETY: changes this thread only.
        let entered = unsafe { libc::unshare(libc::CLONE_NEWNET) } == 0;
        if entered {
            ip("link set lo up");
            test();
        }
        entered
    });
    match entered.join() {
        Ok(true) => {}
        Ok(false) => skipped(name, "needs root for a network namespace"),
        Err(panic) => std::panic::resume_unwind(panic),
    }
}

/// Says so where the harness does not swallow it.
fn skipped(test: &str, reason: &str) {
    let mut out = std::io::stderr();
    writeln!(out, "SKIPPED {test}: {reason}").unwrap();
}

fn ip(arguments: &str) {
    let output = Command::new("ip").args(arguments.split(' ')).output().expect("the ip command");
    assert!(output.status.success(), "ip {arguments}: {}", String::from_utf8_lossy(&output.stderr));
}

fn exists(interface: &str) -> bool {
    Command::new("ip").args(["link", "show", interface]).output().expect("the ip command").status.success()
}

fn veth(a: &str, b: &str) {
    ip(&format!("link add {a} type veth peer name {b}"));
    for interface in [a, b] {
        // No neighbour discovery in between the test's frames.
        drop(std::fs::write(format!("/proc/sys/net/ipv6/conf/{interface}/disable_ipv6"), "1"));
        ip(&format!("link set {interface} up"));
    }
}

fn af_packet(interface: &str) -> Device {
    Device::new(DeviceKind::AfPacket { interface: interface.to_owned() })
}

/// Frames that the kernel passes on: a destination, a source, an ethertype for experiments.
fn ethernet(number: u8, len: usize) -> Vec<u8> {
    let mut frame = frame(number, len);
    frame[..14].copy_from_slice(&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 0, 0, 0, 0, number, 0x88, 0xb5]);
    frame
}

fn carries_both_ways(a: &mut Queues, b: &mut Queues, pool: &Mempool) {
    let frames = [ethernet(1, 60), ethernet(2, 1514)];
    assert_eq!(transfer_ours(a, b, pool, &frames), frames);
    let frames = [ethernet(3, 64)];
    assert_eq!(transfer_ours(b, a, pool, &frames), frames);
}

/// As `transfer`, without what the kernel itself has to say on an interface.
fn transfer_ours(from: &mut Queues, to: &mut Queues, pool: &Mempool, frames: &[Vec<u8>]) -> Vec<Vec<u8>> {
    let mut sending = burst(pool, frames);
    let mut received = Vec::new();
    eventually("transferred", || {
        from.tx[0].send(&mut sending);
        let mut burst = Burst::new();
        to.rx[0].receive(&mut burst);
        received.extend(bytes(&burst).into_iter().filter(|frame| frame[12..14] == [0x88, 0xb5]));
        received.len() >= frames.len()
    });
    received
}

fn detach(port: Port, queues: Queues) {
    drop(queues);
    port.detach().unwrap();
}

#[test]
fn a_tap_appears_carries_frames_and_disappears() {
    in_new_namespace("a_tap_appears_carries_frames_and_disappears", || {
        let pool = pool(4000);
        let tap = |persist| Device::new(DeviceKind::Tap { name: "tapA".to_owned(), persist });
        let (mut port, mut queues) = start(&tap(false), &pool);
        assert!(exists("tapA"));
        drop(std::fs::write("/proc/sys/net/ipv6/conf/tapA/disable_ipv6", "1"));
        ip("link set tapA up");
        eventually("the link is up", || port.link().unwrap().up);
        assert_ne!(port.mac().unwrap(), [0; 6]);
        port.set_mac([2, 0, 0, 0, 7, 7]).unwrap();
        assert_eq!(port.mac().unwrap(), [2, 0, 0, 0, 7, 7]);
        port.set_mtu(1400).unwrap();
        let shown = Command::new("ip").args(["link", "show", "tapA"]).output().unwrap().stdout;
        let shown = String::from_utf8(shown).unwrap();
        assert!(shown.contains("mtu 1400") && shown.contains("02:00:00:00:07:07"), "{shown}");
        port.set_mtu(1500).unwrap();

        let (kernel, mut kernel_queues) = start(&af_packet("tapA"), &pool);
        carries_both_ways(&mut queues, &mut kernel_queues, &pool);
        assert!(port.stats().unwrap().tx_packets >= 2);
        detach(kernel, kernel_queues);
        detach(port, queues);
        // A child process that another test starts holds the descriptor for a moment.
        eventually("the interface is gone", || !exists("tapA"));
        assert_eq!(pool.in_use(), 0);

        let (port, queues) = start(&tap(true), &pool);
        detach(port, queues);
        assert!(exists("tapA"), "a persistent one stays");
    });
}

#[test]
fn a_taken_tap_name_is_refused() {
    in_new_namespace("a_taken_tap_name_is_refused", || {
        veth("tapB", "peer");
        let error = eal()
            .attach(&Device::new(DeviceKind::Tap { name: "tapB".to_owned(), persist: false }))
            .unwrap_err();
        assert!(error.to_string().starts_with("tap 'tapB': "), "{error}");
        assert!(exists("tapB"), "it was left alone");
    });
}

#[test]
fn af_packet_carries_frames_and_sees_the_link() {
    in_new_namespace("af_packet_carries_frames_and_sees_the_link", || {
        let pool = pool(4000);
        veth("va", "vb");
        let (a, mut a_queues) = start(&af_packet("va"), &pool);
        let (b, mut b_queues) = start(&af_packet("vb"), &pool);
        carries_both_ways(&mut a_queues, &mut b_queues, &pool);
        eventually("the link is up", || a.link().unwrap().up);
        ip("link set vb down");
        eventually("the link is down", || !a.link().unwrap().up);
        ip("link set vb up");
        eventually("the link is up", || a.link().unwrap().up);
        ip("link del vb");
        eventually("both are gone", || !a.link().unwrap().up && !b.link().unwrap().up);
        detach(a, a_queues);
        detach(b, b_queues);
        assert_eq!(pool.in_use(), 0);
    });
}

#[test]
fn af_packet_has_several_queues() {
    in_new_namespace("af_packet_has_several_queues", || {
        let pool = pool(4000);
        veth("va", "vb");
        let (a, queues) = start(&Device { queues: 3, ..af_packet("va") }, &pool);
        assert_eq!((queues.rx.len(), queues.tx.len()), (3, 3));
        detach(a, queues);
    });
}

#[test]
fn af_xdp_carries_frames_and_can_be_attached_again_and_again() {
    let name = "af_xdp_carries_frames_and_can_be_attached_again_and_again";
    in_new_namespace(name, move || {
        let pool = pool(4000);
        veth("va", "vb");
        let device = Device::new(DeviceKind::AfXdp { interface: "va".to_owned(), force_copy: true });
        if let Err(error) = eal().attach(&device) {
            return skipped(name, &error.to_string());
        }
        let (kernel, mut kernel_queues) = start(&af_packet("vb"), &pool);
        // Its driver forgets 2048 packets each time.
        for _ in 0..6 {
            let (port, mut queues) = start(&device, &pool);
            carries_both_ways(&mut queues, &mut kernel_queues, &pool);
            let mut second = eal().attach(&device).unwrap();
            assert!(second.configure(&PortConfig::default(), &pool).is_err(), "the queue is taken");
            drop(second);
            kernel_queues.tx[0].send(&mut burst(&pool, &[ethernet(4, 60)]));
            let mut kept = Burst::new();
            eventually("a packet to keep", || queues.rx[0].receive(&mut kept) > 0);
            assert_eq!(kept[0].port(), port.id(), "what is not delivered has no port: see PrivatePool");
            detach(port, queues);
            assert_eq!(kept[0].data(), ethernet(4, 60), "a packet outlives its port");
        }
        detach(kernel, kernel_queues);
        assert_eq!(pool.in_use(), 0);
    });
}

#[test]
fn pcap_works_on_an_interface() {
    in_new_namespace("pcap_works_on_an_interface", || {
        let pool = pool(4000);
        veth("va", "vb");
        let name = || Some("va".to_owned());
        let device = Device::new(DeviceKind::Pcap {
            rx_file: None,
            tx_file: None,
            infinite_rx: false,
            rx_interface: name(),
            tx_interface: name(),
        });
        let (port, mut queues) = start(&device, &pool);
        let (kernel, mut kernel_queues) = start(&af_packet("vb"), &pool);
        carries_both_ways(&mut queues, &mut kernel_queues, &pool);
        detach(kernel, kernel_queues);
        detach(port, queues);
        assert_eq!(pool.in_use(), 0);
    });
}

#[test]
fn an_absent_interface_is_named() {
    for (field, kind) in [
        ("af_packet.interface", DeviceKind::AfPacket { interface: "absent0".into() }),
        ("af_xdp.interface", DeviceKind::AfXdp { interface: "absent0".into(), force_copy: false }),
    ] {
        let error = eal().attach(&Device::new(kind)).unwrap_err();
        assert!(matches!(&error, DeviceError::Unavailable { .. }), "{error}");
        assert_eq!(error.to_string(), format!("{field}: there is no interface 'absent0'"));
    }
}

#[test]
fn taps_come_and_go_a_hundred_times() {
    in_new_namespace("taps_come_and_go_a_hundred_times", || {
        let pool = pool(4000);
        for round in 0..100 {
            let name = format!("tap{round}");
            let (port, queues) =
                start(&Device::new(DeviceKind::Tap { name: name.clone(), persist: false }), &pool);
            detach(port, queues);
            eventually("the interface is gone", || !exists(&name));
            assert_eq!(pool.in_use(), 0, "round {round}");
        }
    });
}
