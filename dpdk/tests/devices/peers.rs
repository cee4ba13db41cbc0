//! Devices whose other end is another process, which dies and comes back: memif, vhost-user, virtio-user.

use std::env;
use std::io::Read;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;

use dpdk::{Burst, Device, Mempool, Port, Queues};

use crate::common::{burst, bytes, eventually, frame, pool, start};
use crate::sockets::{memif, start_when_peer_came, vhost, virtio};

const DEVICE: &str = "VROUTER_TEST_PEER_DEVICE";
const SOCKET: &str = "VROUTER_TEST_PEER_SOCKET";

fn device(name: &str, socket: &Path) -> Device {
    match name {
        "memif server" => memif(socket, 7, true),
        "memif client" => memif(socket, 7, false),
        "vhost server" => vhost(socket, true),
        "vhost client" => vhost(socket, false),
        "virtio server" => virtio(socket, true),
        "virtio client" => virtio(socket, false),
        other => panic!("{other}"),
    }
}

fn open(name: &str, socket: &Path, pool: &Mempool) -> (Port, Queues) {
    let device = device(name, socket);
    if name == "virtio server" { start_when_peer_came(&device, pool) } else { start(&device, pool) }
}

/// Not a test: this program, started by the tests below, sends back what it receives.
#[test]
fn peer_process() {
    let (Ok(name), Some(socket)) = (env::var(DEVICE), env::var_os(SOCKET)) else { return };
    // Ends with its parent, however that ends.
    thread::spawn(|| {
        drop(std::io::stdin().read_to_end(&mut Vec::new()));
        std::process::exit(0);
    });
    let pool = pool(4000);
    let (_port, mut queues) = open(&name, Path::new(&socket), &pool);
    let mut burst = Burst::new();
    loop {
        queues.rx[0].receive(&mut burst);
        queues.tx[0].send(&mut burst);
    }
}

/// A running peer; killed without warning when it is dropped.
struct Peer(Child);

impl Peer {
    fn start(name: &str, socket: &Path) -> Self {
        let mut command = Command::new(env::current_exe().unwrap());
        command.args(["--exact", "peers::peer_process", "--nocapture"]).env(DEVICE, name).env(SOCKET, socket);
        Self(command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap())
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

/// Whether somebody accepts connections at a socket: it is there a little earlier.
fn listens(socket: &Path) -> bool {
    const ACCEPTS: &str = "00010000";
    let sockets = std::fs::read_to_string("/proc/net/unix").unwrap();
    let mut lines = sockets.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    lines.any(|fields| fields.get(3) == Some(&ACCEPTS) && fields.last().copied() == socket.to_str())
}

fn up(port: &Port) -> bool {
    port.link().unwrap().up
}

/// Frames go to the peer and come back. Sent until they do: what a peer had when it died is lost.
fn echoes(queues: &mut Queues, pool: &Mempool) {
    let wanted = [frame(1, 60), frame(2, 1400)];
    let mut received = Vec::new();
    eventually("echoed", || {
        queues.tx[0].send(&mut burst(pool, &wanted));
        let mut burst = Burst::new();
        queues.rx[0].receive(&mut burst);
        received.extend(bytes(&burst));
        wanted.iter().all(|frame| received.contains(frame))
    });
}

/// Waits until the peer is there. `restart`: by stopping and starting the port, as often as it takes,
/// for devices that try only once.
fn connect(port: &mut Port, queues: &mut Option<Queues>, restart: bool) {
    let mut tries = 0_u32;
    eventually("connected", || {
        tries += 1;
        if restart && (queues.is_none() || tries.is_multiple_of(200)) {
            *queues = None;
            port.stop().unwrap();
            *queues = port.start().ok();
        }
        queues.is_some() && up(port)
    });
}

/// Meets a peer, loses it, meets its successor.
fn survives_the_death_of_its_peer(ours: &str, theirs: &str, restart: bool) {
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("peer.sock");
    let pool = pool(4000);
    let mut peer = Peer::start(theirs, &socket);
    if matches!(ours, "memif client" | "virtio client") {
        eventually("the peer listens", || listens(&socket));
    }
    let (mut port, queues) = open(ours, &socket, &pool);
    let mut queues = Some(queues);
    connect(&mut port, &mut queues, restart);
    echoes(queues.as_mut().unwrap(), &pool);

    drop(peer);
    eventually("the loss is seen", || !up(&port));
    // Packets for nobody are refused, dropped or kept for later, and nothing waits.
    for _ in 0..100 {
        let queues = queues.as_mut().unwrap();
        queues.tx[0].send(&mut burst(&pool, &[frame(3, 60)]));
        queues.rx[0].receive(&mut Burst::new());
    }
    peer = Peer::start(theirs, &socket);
    connect(&mut port, &mut queues, restart);
    echoes(queues.as_mut().unwrap(), &pool);
    drop(peer);
    drop(queues);
    port.detach().unwrap();
    assert_eq!(pool.in_use(), 0);
}

#[test]
fn a_memif_client_meets_its_server_again_when_it_is_started_again() {
    survives_the_death_of_its_peer("memif client", "memif server", true);
}

#[test]
fn a_memif_server_meets_its_client_again() {
    survives_the_death_of_its_peer("memif server", "memif client", false);
}

#[test]
fn a_vhost_user_client_meets_its_guest_again() {
    survives_the_death_of_its_peer("vhost client", "virtio server", false);
}

#[test]
fn a_vhost_user_server_meets_its_guest_again() {
    survives_the_death_of_its_peer("vhost server", "virtio client", false);
}

#[test]
fn a_virtio_user_server_meets_its_host_again() {
    survives_the_death_of_its_peer("virtio server", "vhost client", false);
}
