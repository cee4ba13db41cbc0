//! Starting and stopping DPDK, which a process can do once: each case runs in a child of its own.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test's helpers fail the test")]

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::available_parallelism;
use std::time::{Duration, Instant};
use std::{env, fs, thread};

use dpdk::{
    Device, DeviceKind, Eal, EalConfig, EalError, MemoryMode, Mempool, MempoolConfig, Port, PortConfig,
    PortError,
};

const CASE: &str = "VROUTER_TEST_CHILD";

/// Starts this test program again with nothing but the test `name`, which sees that it is the child.
fn child(name: &str) -> Child {
    let program = env::current_exe().unwrap();
    let mut command = Command::new(program);
    command.args(["--exact", name, "--nocapture"]).env(CASE, name);
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

fn finish(child: Child) -> String {
    let output = child.wait_with_output().unwrap();
    let text =
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{}: {text}", output.status);
    text
}

/// Runs `body` in a child; what it prints is the result.
fn in_child(name: &str, body: fn()) -> String {
    if env::var_os(CASE).is_some_and(|case| case == name) {
        body();
        String::new()
    } else {
        finish(child(name))
    }
}

fn small() -> EalConfig {
    EalConfig { memory: MemoryMode::NoHuge, memory_mb: 32, ..EalConfig::default() }
}

fn run_directories(process: u32) -> Vec<PathBuf> {
    let base = env::var_os("XDG_RUNTIME_DIR").map_or_else(|| PathBuf::from("/tmp"), PathBuf::from);
    let bases = [PathBuf::from("/var/run/dpdk"), base.join("dpdk")];
    let entries = bases.iter().filter_map(|base| fs::read_dir(base).ok()).flatten().flatten();
    entries
        .map(|entry| entry.path())
        .filter(|path| path.to_string_lossy().ends_with(&format!("-{process}")))
        .collect()
}

fn started_port(pool: &Mempool) -> (Port, dpdk::Queues) {
    let device = Device::new(DeviceKind::Ring { name: "r".to_owned() });
    let mut port = pool.eal().attach(&device).unwrap();
    port.configure(&PortConfig::default(), pool).unwrap();
    let queues = port.start().unwrap();
    (port, queues)
}

#[test]
fn it_starts_once_and_cleans_up() {
    in_child("it_starts_once_and_cleans_up", || {
        let bad = EalConfig { file_prefix: "a/b".to_owned(), ..small() };
        assert!(matches!(Eal::init(&bad), Err(EalError::Invalid { field: "file_prefix", .. })));
        let bad = EalConfig { memory_mb: 0, ..small() };
        assert!(matches!(Eal::init(&bad), Err(EalError::Invalid { field: "memory_mb", .. })));

        let cpus = available_parallelism().unwrap();
        let eal = Eal::init(&EalConfig { telemetry: true, ..small() }).unwrap();
        assert_eq!(available_parallelism().unwrap(), cpus, "the caller is not pinned");
        assert_eq!(
            thread::spawn(|| available_parallelism().unwrap()).join().unwrap(),
            cpus,
            "nor are its children"
        );
        assert_eq!(eal.memory_mode(), MemoryMode::NoHuge);
        assert_eq!(run_directories(std::process::id()).len(), 1, "telemetry has its socket there");
        assert!(matches!(Eal::init(&small()), Err(EalError::AlreadyStarted)));

        let pool = Mempool::new(&eal, &MempoolConfig { count: 2047, ..MempoolConfig::default() }).unwrap();
        let (port, queues) = started_port(&pool);
        // In this order, everything still works: each part keeps what it needs.
        drop(eal);
        drop(port);
        drop(pool);
        drop(queues);
        assert_eq!(run_directories(std::process::id()), Vec::<PathBuf>::new());
        assert!(matches!(Eal::init(&small()), Err(EalError::AlreadyStarted)));
    });
}

#[test]
fn a_packet_that_is_out_keeps_the_memory() {
    in_child("a_packet_that_is_out_keeps_the_memory", || {
        let eal = Eal::init(&small()).unwrap();
        let pool = Mempool::new(&eal, &MempoolConfig { count: 2047, ..MempoolConfig::default() }).unwrap();
        let packet = pool.alloc_copy(b"still here").unwrap();
        drop(pool);
        drop(eal);
        assert_eq!(packet::PacketBuf::data(&packet), b"still here");
    });
}

#[test]
fn many_instances_run_side_by_side() {
    let name = "many_instances_run_side_by_side";
    if env::var_os(CASE).is_some_and(|case| case == name) {
        let eal = Eal::init(&small()).unwrap();
        let pool = Mempool::new(&eal, &MempoolConfig { count: 2047, ..MempoolConfig::default() }).unwrap();
        let _port = started_port(&pool);
        thread::sleep(Duration::from_millis(200));
        return;
    }
    let children: Vec<Child> = (0..4).map(|_| child(name)).collect();
    let processes: Vec<u32> = children.iter().map(Child::id).collect();
    children.into_iter().for_each(|child| drop(finish(child)));
    for process in processes {
        assert_eq!(run_directories(process), Vec::<PathBuf>::new());
    }
}

#[test]
fn a_refused_start_says_why() {
    in_child("a_refused_start_says_why", || {
        // A kind of memory that is not there: no machine has a terabyte of free huge pages.
        let config =
            EalConfig { memory: MemoryMode::InMemoryHuge, memory_mb: 1 << 20, ..EalConfig::default() };
        let error = Eal::init(&config).unwrap_err();
        let text = error.to_string();
        assert!(matches!(error, EalError::Start { .. }), "{text}");
        assert!(text.contains("emory") || text.contains("huge"), "{text}");
        assert_eq!(run_directories(std::process::id()), Vec::<PathBuf>::new());
    });
}

#[test]
fn automatic_memory_always_starts() {
    in_child("automatic_memory_always_starts", || {
        let eal = Eal::init(&EalConfig { memory_mb: 64, ..EalConfig::default() }).unwrap();
        assert_ne!(eal.memory_mode(), MemoryMode::Auto);
    });
}

#[test]
fn what_a_killed_instance_leaves_is_removed_by_the_next() {
    let name = "what_a_killed_instance_leaves_is_removed_by_the_next";
    if env::var_os(CASE).is_some_and(|case| case == name) {
        let _eal = Eal::init(&EalConfig { telemetry: true, ..small() }).unwrap();
        thread::sleep(Duration::from_secs(60));
        return;
    }
    let mut killed = child(name);
    let start = Instant::now();
    let socket = |directory: &Path| directory.join("dpdk_telemetry.v2").exists();
    while !run_directories(killed.id()).iter().any(|directory| socket(directory)) {
        assert!(start.elapsed() < Duration::from_secs(20), "no telemetry socket");
        thread::sleep(Duration::from_millis(5));
    }
    killed.kill().unwrap();
    killed.wait().unwrap();
    assert_eq!(run_directories(killed.id()).len(), 1);
    finish(child("many_instances_run_side_by_side"));
    assert_eq!(run_directories(killed.id()), Vec::<PathBuf>::new());
}

#[test]
fn registered_threads_use_the_pool_and_unregister() {
    in_child("registered_threads_use_the_pool_and_unregister", || {
        let eal = Eal::init(&small()).unwrap();
        let config = MempoolConfig { count: 2047, cache: 64, ..MempoolConfig::default() };
        let pool = Mempool::new(&eal, &config).unwrap();
        for _ in 0..3 {
            let (eal, pool) = (eal.clone(), pool.clone());
            thread::spawn(move || {
                let registration = eal.register_thread(None).unwrap();
                assert!(matches!(eal.register_thread(None), Err(EalError::Thread { .. })), "twice");
                drop(pool.alloc().unwrap());
                assert_eq!(pool.in_use(), 0);
                assert_eq!(pool.available(), 2047, "what the thread has at hand is available");
                drop(registration);
                drop(eal.register_thread(None).unwrap());
            })
            .join()
            .unwrap();
        }
        let error = thread::spawn({
            let eal = eal.clone();
            move || eal.register_thread(Some(5000)).unwrap_err().to_string()
        });
        assert!(error.join().unwrap().contains("CPU 5000"));
        let pinned = thread::spawn({
            let eal = eal.clone();
            move || {
                let _registration = eal.register_thread(Some(0)).unwrap();
                available_parallelism().unwrap().get()
            }
        });
        assert_eq!(pinned.join().unwrap(), 1);
    });
}

#[test]
fn the_room_for_ports_is_limited_and_known() {
    in_child("the_room_for_ports_is_limited_and_known", || {
        let eal = Eal::init(&small()).unwrap();
        let null = Device::new(DeviceKind::Null { generate: false });
        let ports: Vec<Port> = (0..Eal::max_ports()).map(|_| eal.attach(&null).unwrap()).collect();
        let error = eal.attach(&null).unwrap_err().to_string();
        assert!(error.contains(&format!("all {} ports", ports.len())), "{error}");
        drop(ports);
        eal.attach(&null).unwrap().detach().unwrap();
    });
}

#[test]
fn a_port_with_queues_out_is_detached_by_the_last_of_them() {
    in_child("a_port_with_queues_out_is_detached_by_the_last_of_them", || {
        let eal = Eal::init(&small()).unwrap();
        let pool = Mempool::new(&eal, &MempoolConfig { count: 2047, ..MempoolConfig::default() }).unwrap();
        let (port, queues) = started_port(&pool);
        let id = port.id();
        assert!(matches!(port.detach(), Err(PortError::QueuesInUse { .. })));
        thread::spawn(move || drop(queues)).join().unwrap();
        assert_eq!(started_port(&pool).0.id(), id, "its number is free again");
    });
}
