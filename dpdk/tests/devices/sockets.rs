//! Devices with a socket: what happens to the socket, and both ends in one process where that works.

use std::path::Path;

use dpdk::{
    Burst, ChecksumRequest, Device, DeviceError, DeviceKind, Mempool, Offloads, Port, PortConfig, Queues,
    Transport,
};
use packet::{L4Checksum, PacketBuf};

use crate::common::{eal, eventually, frame, pool, start, transfer};

pub(crate) fn memif(socket: &Path, id: u32, server: bool) -> Device {
    let (socket, secret) = (socket.to_str().unwrap().to_owned(), "s3cret".to_owned());
    Device::new(DeviceKind::Memif { id, server, socket, secret })
}

pub(crate) fn vhost(socket: &Path, server: bool) -> Device {
    Device::new(DeviceKind::VhostUser { socket: socket.to_str().unwrap().to_owned(), server })
}

pub(crate) fn virtio(socket: &Path, server: bool) -> Device {
    Device::new(DeviceKind::VirtioUser { socket: socket.to_str().unwrap().to_owned(), server })
}

/// As `start`, for a server that becomes a device when its peer has connected.
pub(crate) fn start_when_peer_came(device: &Device, pool: &Mempool) -> (Port, Queues) {
    let mut attached = None;
    eventually("a peer", || match eal().attach(device) {
        Err(DeviceError::NoPeer { .. }) => false,
        result => {
            attached = Some(result.unwrap());
            true
        }
    });
    let mut port = attached.unwrap();
    port.configure(&PortConfig::default(), pool).unwrap();
    let queues = port.start().unwrap();
    (port, queues)
}

#[test]
fn memif_servers_share_a_socket_and_a_client_of_it_is_elsewhere() {
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("memif.sock");
    let pool = pool(4000);
    let (first, first_queues) = start(&memif(&socket, 1, true), &pool);
    let (second, second_queues) = start(&memif(&socket, 2, true), &pool);
    drop(first_queues);
    first.detach().unwrap();
    assert!(socket.exists(), "the second still listens");
    let client = eal().attach(&memif(&socket, 2, false));
    assert!(matches!(client, Err(DeviceError::Unavailable { field: "memif.socket", .. })), "{client:?}");
    drop(second_queues);
    second.detach().unwrap();
    assert!(!socket.exists(), "the socket goes with its last server");

    std::os::unix::net::UnixListener::bind(&socket).unwrap();
    let client = eal().attach(&memif(&socket, 2, false)).unwrap();
    let server = eal().attach(&memif(&socket, 2, true));
    assert!(matches!(server, Err(DeviceError::Unavailable { field: "memif.socket", .. })), "{server:?}");
    client.detach().unwrap();
    start(&memif(&socket, 2, true), &pool);
}

#[test]
fn a_vhost_user_client_serves_a_virtio_user_server() {
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("vhost.sock");
    let pool = pool(4000);
    let nobody = eal().attach(&virtio(&socket, true));
    assert!(matches!(nobody, Err(DeviceError::NoPeer { .. })), "{nobody:?}");
    let (host, mut host_queues) = start(&vhost(&socket, false), &pool);
    let (guest, mut guest_queues) = start_when_peer_came(&virtio(&socket, true), &pool);
    eventually("connected", || host.link().unwrap().up && guest.link().unwrap().up);
    let frames = [frame(1, 60), frame(2, 1500)];
    assert_eq!(transfer(&mut guest_queues, &mut host_queues, &pool, &frames), frames);
    let frames = [frame(3, 61)];
    assert_eq!(transfer(&mut host_queues, &mut guest_queues, &pool, &frames), frames);

    // The host is restarted: the guest waits for it.
    drop(host_queues);
    host.detach().unwrap();
    eventually("the guest sees that its host went away", || !guest.link().unwrap().up);
    let (host, mut host_queues) = start(&vhost(&socket, false), &pool);
    eventually("connected again", || host.link().unwrap().up && guest.link().unwrap().up);
    let frames = [frame(4, 60)];
    assert_eq!(transfer(&mut guest_queues, &mut host_queues, &pool, &frames), frames);

    drop((guest_queues, host_queues));
    guest.detach().unwrap();
    host.detach().unwrap();
    assert!(!socket.exists());
    assert_eq!(pool.in_use(), 0);
}

#[test]
fn a_virtio_user_client_connects_to_a_vhost_user_server() {
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("vhost.sock");
    let pool = pool(4000);
    let (host, mut host_queues) = start(&vhost(&socket, true), &pool);
    let (guest, mut guest_queues) = start(&virtio(&socket, false), &pool);
    eventually("connected", || host.link().unwrap().up && guest.link().unwrap().up);
    let frames = [frame(1, 60)];
    assert_eq!(transfer(&mut guest_queues, &mut host_queues, &pool, &frames), frames);
    let frames = [frame(2, 1000)];
    assert_eq!(transfer(&mut host_queues, &mut guest_queues, &pool, &frames), frames);
    drop((guest_queues, host_queues));
    guest.detach().unwrap();
    host.detach().unwrap();
    assert!(!socket.exists());
    assert_eq!(pool.in_use(), 0);
}

/// A UDP packet whose checksum field holds the folded pseudo header, and that sum.
fn unfinished() -> (Vec<u8>, u16) {
    let mut packet = vec![0; 60];
    packet[..14].copy_from_slice(&[2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0]);
    packet[14..34].copy_from_slice(&[0x45, 0, 0, 46, 0, 0, 0, 0, 64, 17, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2]);
    packet[34..40].copy_from_slice(&[0, 1, 0, 2, 0, 26]);
    let sum = 0x0a00 + 0x0001 + 0x0a00 + 0x0002 + 17 + 26_u16;
    packet[40..42].copy_from_slice(&sum.to_be_bytes());
    (packet, sum)
}

/// Sends the unfinished packet, and returns what is known of its checksum at the other end, and the field.
fn hand_over(from: &mut Queues, to: &mut Queues, pool: &Mempool) -> (L4Checksum, [u8; 2]) {
    let mut packet = pool.alloc_copy(&unfinished().0).unwrap();
    let transport = Some(Transport::Udp);
    packet.request_checksum(ChecksumRequest {
        l2_len: 14,
        l3_len: 20,
        ipv6: false,
        header: false,
        transport,
    });
    let (mut sending, mut received) = (Burst::from_iter([packet]), Burst::new());
    eventually("handed over", || {
        from.tx[0].send(&mut sending);
        to.rx[0].receive(&mut received) > 0
    });
    (received[0].l4_checksum(), [received[0].data()[40], received[0].data()[41]])
}

#[test]
fn an_unfinished_checksum_passes_between_guest_and_host_or_is_completed() {
    let checksums = Offloads::RX_L4_CHECKSUM | Offloads::TX_UDP_CHECKSUM;
    for host_offloads in [checksums, Offloads::empty()] {
        let directory = tempfile::tempdir().unwrap();
        let socket = directory.path().join("vhost.sock");
        let pool = pool(4000);
        let open = |device: &Device, offloads| {
            let mut port = eal().attach(device).unwrap();
            port.configure(&PortConfig { offloads, ..PortConfig::default() }, &pool).unwrap();
            assert_eq!(port.offloads(), offloads);
            let queues = port.start().unwrap();
            (port, queues)
        };
        let (host, mut host_queues) = open(&vhost(&socket, true), host_offloads);
        let (guest, mut guest_queues) = open(&virtio(&socket, false), checksums);
        eventually("connected", || host.link().unwrap().up && guest.link().unwrap().up);
        let (state, field) = hand_over(&mut guest_queues, &mut host_queues, &pool);
        let sum = unfinished().1;
        if host_offloads.is_empty() {
            // UDP header and no data but zeros: ports 1 and 2, length 26.
            assert_eq!((state, field), (L4Checksum::Verified, (!(sum + 1 + 2 + 26)).to_be_bytes()));
        } else {
            assert_eq!((state, field), (L4Checksum::Partial, sum.to_be_bytes()));
        }
        let (state, field) = hand_over(&mut host_queues, &mut guest_queues, &pool);
        assert_eq!((state, field), (L4Checksum::Partial, sum.to_be_bytes()), "a guest completes it itself");
    }
}

#[test]
fn a_server_takes_a_left_over_socket_and_no_other() {
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("memif.sock");
    drop(std::os::unix::net::UnixListener::bind(&socket).unwrap());
    assert!(socket.exists(), "as a killed server leaves it");
    let pool = pool(4000);
    let (port, queues) = start(&memif(&socket, 1, true), &pool);
    let busy = eal().attach(&vhost(&socket, true));
    assert!(matches!(busy, Err(DeviceError::Unavailable { field: "vhost_user.socket", .. })), "{busy:?}");
    drop(queues);
    port.detach().unwrap();

    let file = directory.path().join("file");
    std::fs::write(&file, "precious").unwrap();
    let not_a_socket = eal().attach(&virtio(&file, true));
    assert!(matches!(not_a_socket, Err(DeviceError::Unavailable { field: "virtio_user.socket", .. })));
    assert!(file.exists());
}

#[test]
fn a_server_without_a_peer_listens_until_it_is_forgotten() {
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("vhost.sock");
    for _ in 0..2 {
        let nobody = eal().attach(&virtio(&socket, true));
        assert!(matches!(nobody, Err(DeviceError::NoPeer { .. })), "{nobody:?}");
        assert!(socket.exists());
    }
    eal().forget(&virtio(&socket, true));
    assert!(!socket.exists());
}

#[test]
fn a_guest_without_a_host_is_refused_and_leaves_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let error = eal().attach(&virtio(&directory.path().join("nobody"), false)).unwrap_err();
    assert!(matches!(error, DeviceError::Attach { .. }), "{error}");
    assert!(error.to_string().starts_with("virtio-user client on /"), "{error}");
    let error = eal().attach(&memif(Path::new("/nowhere/memif"), 1, true)).unwrap_err();
    assert_eq!(error.to_string(), "memif.socket: there is no directory /nowhere");
    let pool = pool(4000);
    let (port, mut queues) = start(&vhost(&directory.path().join("later"), false), &pool);
    assert!(!port.link().unwrap().up, "a host waits for its guest");
    assert_eq!(queues.rx[0].receive(&mut Burst::new()), 0);
}
