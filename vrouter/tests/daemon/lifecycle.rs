//! From the start to the end, and what is left then.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::os::unix::process::CommandExt as _;
use std::path::Path;

use agent_api::v1::{Kind, ListRequest, WatchRequest};

use crate::harness::{Daemon, config, is_root, output, run_directories, vrouterd};
use crate::objects::{NETWORK, NULL, workload};

#[test]
fn a_stopped_daemon_leaves_nothing() {
    let mut daemon = Daemon::start();
    let process = daemon.process_id();
    daemon.apply(NETWORK);
    daemon.apply(&workload(1, "{vhost_user: {socket: $DIR/vhost, server: true}}"));
    daemon.apply(&workload(2, "{memif: {id: 1, server: true, socket: $DIR/memif}}"));
    daemon.apply(&workload(3, "{ring: {name: r}}"));
    daemon.apply(&workload(4, NULL));
    assert!(daemon.path("vhost").exists() && daemon.path("memif").exists());

    let stopped = daemon.stop();
    assert_eq!(stopped.status.code(), Some(0), "{}", stopped.log);
    let mut left: Vec<_> =
        fs::read_dir(&stopped.directory).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    left.sort();
    assert_eq!(left, ["log", "vrouter.toml"]);
    assert!(run_directories(process).is_empty());
    assert!(!stopped.log.contains("ERROR"), "{}", stopped.log);
}

#[test]
fn an_interrupt_from_the_terminal_is_an_orderly_end_too() {
    let daemon = Daemon::start();
    daemon.signal("INT");
    let stopped = daemon.stop();
    assert_eq!(stopped.status.code(), Some(0), "{}", stopped.log);
}

#[test]
fn a_watcher_does_not_hold_up_the_end() {
    let mut daemon = Daemon::start();
    let watching = daemon.runtime.block_on(daemon.client.watch(WatchRequest::default()));
    let stopped = daemon.stop();
    assert_eq!(stopped.status.code(), Some(0), "{}", stopped.log);
    drop(watching);
}

#[test]
fn several_daemons_live_on_one_machine() {
    let mut daemons = [Daemon::start(), Daemon::start(), Daemon::start()];
    for daemon in &mut daemons {
        daemon.apply(NETWORK);
        daemon.apply(&workload(1, NULL));
    }
    for daemon in daemons {
        assert_eq!(daemon.stop().status.code(), Some(0));
    }
}

#[test]
fn a_second_daemon_on_the_same_socket_is_refused_and_the_first_goes_on() {
    let mut daemon = Daemon::start();
    let directory = daemon.path("");
    let second = output(&mut vrouterd(&directory));
    assert_eq!(second.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&second.stderr).contains("agent.sock"), "{second:?}");
    daemon.apply(NETWORK);
}

#[test]
fn after_a_kill_the_next_daemon_starts_in_the_same_place() {
    let mut first = Daemon::start();
    let objects = [
        NETWORK,
        &workload(1, "{vhost_user: {socket: $DIR/vhost, server: true}}"),
        &workload(2, "{memif: {id: 1, server: true, socket: $DIR/memif}}"),
        &workload(3, "{pcap: {tx_file: $DIR/out.pcap}}"),
        &workload(4, "{ring: {name: r}}"),
    ]
    .concat();
    first.apply(&objects);
    let killed = first.process_id();
    let directory = first.kill();
    for socket in ["agent.sock", "vhost", "memif"] {
        assert!(directory.path().join(socket).exists(), "a killed daemon leaves {socket}");
    }

    let mut second = Daemon::start_in(directory, |_| {});
    second.apply(&objects);
    assert!(run_directories(killed).is_empty());
    let stopped = second.stop();
    assert_eq!(stopped.status.code(), Some(0), "{}", stopped.log);
    for socket in ["agent.sock", "vhost", "memif"] {
        assert!(!stopped.directory.join(socket).exists(), "{socket} is left");
    }
}

#[test]
fn objects_of_the_configuration_are_there_first_and_belong_to_it() {
    let settings = "[[objects.inline]]\nvrf = { id = 7, name = 'from-the-file' }\n";
    let mut daemon = Daemon::start_with(settings, |_| {});
    let request = ListRequest { kind: Kind::Vrf.into(), ..ListRequest::default() };
    let listed = daemon.runtime.block_on(async {
        let mut answers = daemon.client.list(request).await.unwrap().into_inner();
        answers.message().await.unwrap().unwrap().entries
    });
    assert_eq!(listed.len(), 1);
    assert_eq!(listed[0].owner, "config");

    let refused = daemon.try_apply("- vrf: {id: 7, name: mine}");
    assert_eq!(refused.code, 7, "PERMISSION_DENIED: {}", refused.message);
}

#[test]
fn metrics_are_served_where_the_configuration_says() {
    // A free port, as likely as not still free a moment later.
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let directory = tempfile::Builder::new().prefix("vrouter-test-").tempdir().unwrap();
    fs::write(directory.path().join("vrouter.toml"), config(directory.path())).unwrap();
    let mut daemon = Daemon::start_in(directory, |command| {
        command.args(["--agent-metrics", &address.to_string()]);
    });
    daemon.apply(&[NETWORK, &workload(1, NULL)].concat());
    let mut stream = TcpStream::connect(address).unwrap();
    write!(stream, "GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
    let mut page = String::new();
    stream.read_to_string(&mut page).unwrap();
    assert!(page.starts_with("HTTP/1.1 200 OK"), "{page}");
    assert!(page.contains("vrouter_interface_rx_packets_total{interface=\"1\",name=\"vm1\"} 0"), "{page}");
    assert!(page.contains("vrouter_worker_received_total{worker=\"0\"} 0"), "{page}");
}

#[test]
fn the_agent_socket_is_for_owner_and_group() {
    let daemon = Daemon::start();
    let mode = fs::metadata(daemon.path("agent.sock")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o660);
}

#[test]
fn an_ordinary_user_can_run_it() {
    const NOBODY: u32 = 65_534;
    if !is_root("an_ordinary_user_can_run_it") {
        // Then all the other tests have shown it.
        return;
    }
    let directory = tempfile::Builder::new().prefix("vrouter-test-").tempdir().unwrap();
    let place = directory.path().to_owned();
    fs::write(place.join("vrouter.toml"), config(&place)).unwrap();
    chown(&place, Some(NOBODY), Some(NOBODY)).unwrap();
    // The program may stand where only root can read.
    let program = place.join("vrouterd");
    fs::copy(env!("CARGO_BIN_EXE_vrouterd"), &program).unwrap();
    let start = |command: &mut std::process::Command| {
        let arguments: Vec<_> = command.get_args().map(ToOwned::to_owned).collect();
        *command = std::process::Command::new(&program);
        command.args(arguments).uid(NOBODY).gid(NOBODY).env("XDG_RUNTIME_DIR", &place);
    };
    let mut daemon = Daemon::start_in(directory, start);
    daemon.apply(NETWORK);
    daemon.apply(&workload(1, "{memif: {id: 1, server: true, socket: $DIR/memif}}"));
    daemon.apply(&workload(2, "{vhost_user: {socket: $DIR/vhost, server: true}}"));
    let stopped = daemon.stop();
    assert_eq!(stopped.status.code(), Some(0), "{}", stopped.log);
    assert!(!Path::new(&stopped.directory).join("vhost").exists());
}
