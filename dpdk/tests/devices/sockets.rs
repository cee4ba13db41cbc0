//! Devices whose other end is another process, here another device of this one: memif, vhost-user,
//! virtio-user.

use std::path::Path;

use dpdk::{Burst, Device, DeviceError, DeviceKind, Mempool, Port, PortConfig, Queues};

use crate::common::{eal, eventually, frame, pool, start, transfer};

fn memif(socket: &Path, id: u32, server: bool) -> Device {
    let (socket, secret) = (socket.to_str().unwrap().to_owned(), "s3cret".to_owned());
    Device::new(DeviceKind::Memif { id, server, socket, secret })
}

fn vhost(socket: &Path, server: bool) -> Device {
    Device::new(DeviceKind::VhostUser { socket: socket.to_str().unwrap().to_owned(), server })
}

fn virtio(socket: &Path, server: bool) -> Device {
    Device::new(DeviceKind::VirtioUser { socket: socket.to_str().unwrap().to_owned(), server })
}

/// As `start`, for a server that becomes a device when its peer has connected.
fn start_when_peer_came(device: &Device, pool: &Mempool) -> (Port, Queues) {
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
fn memif_carries_frames_both_ways_and_reports_its_peer() {
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("memif.sock");
    let pool = pool(4000);
    let (server, mut server_queues) = start(&memif(&socket, 1, true), &pool);
    assert!(!server.link().unwrap().up, "nobody is there yet");
    let (client, mut client_queues) = start(&memif(&socket, 1, false), &pool);
    eventually("connected", || server.link().unwrap().up && client.link().unwrap().up);
    let frames = [frame(1, 60), frame(2, 1500)];
    assert_eq!(transfer(&mut client_queues, &mut server_queues, &pool, &frames), frames);
    let frames = [frame(3, 61)];
    assert_eq!(transfer(&mut server_queues, &mut client_queues, &pool, &frames), frames);

    drop(client_queues);
    client.detach().unwrap();
    eventually("the server sees that its client went away", || !server.link().unwrap().up);
    let (client, mut client_queues) = start(&memif(&socket, 1, false), &pool);
    eventually("connected again", || server.link().unwrap().up && client.link().unwrap().up);
    let frames = [frame(4, 60)];
    assert_eq!(transfer(&mut client_queues, &mut server_queues, &pool, &frames), frames);

    drop((client_queues, server_queues));
    client.detach().unwrap();
    server.detach().unwrap();
    assert!(!socket.exists(), "the socket goes with its server");
    assert_eq!(pool.in_use(), 0);
}

#[test]
fn memif_servers_share_a_socket() {
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("memif.sock");
    let pool = pool(4000);
    let (first, first_queues) = start(&memif(&socket, 1, true), &pool);
    let (second, _second_queues) = start(&memif(&socket, 2, true), &pool);
    drop(first_queues);
    first.detach().unwrap();
    assert!(socket.exists(), "the second still listens");
    let (client, _client_queues) = start(&memif(&socket, 2, false), &pool);
    eventually("connected", || second.link().unwrap().up && client.link().unwrap().up);
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
