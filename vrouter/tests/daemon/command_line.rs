//! What an operator is told before anything runs.

use std::fs;
use std::path::Path;

use crate::harness::{config, output, vrouterd};

/// Runs vrouterd with a configuration; its exit code and what it says.
fn told(settings: &str, arguments: &[&str]) -> (i32, String) {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("vrouter.toml"), config(directory.path()) + settings).unwrap();
    let result = told_in(directory.path(), arguments);
    let left: Vec<_> =
        fs::read_dir(directory.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["vrouter.toml"], "nothing is left behind");
    result
}

fn told_in(directory: &Path, arguments: &[&str]) -> (i32, String) {
    let output = output(vrouterd(directory).args(arguments));
    let text = [output.stdout, output.stderr].concat();
    (output.status.code().unwrap(), String::from_utf8(text).unwrap())
}

#[test]
fn a_good_configuration_is_said_to_be_good_and_starts_nothing() {
    let (code, text) = told("", &["check-config"]);
    assert_eq!(code, 0, "{text}");
    assert!(text.contains("vrouter.toml: good, 0 objects"), "{text}");
}

#[test]
fn a_configuration_that_cannot_be_read_is_named() {
    let directory = tempfile::tempdir().unwrap();
    for arguments in [&["check-config"][..], &[]] {
        let (code, text) = told_in(directory.path(), arguments);
        assert_eq!(code, 2, "{text}");
        assert!(text.contains("vrouter.toml") && text.contains("No such file"), "{text}");
    }
    let (code, text) = told("[workers\n", &[]);
    assert_eq!(code, 2, "{text}");
    assert!(text.contains("vrouter.toml") && text.contains("line"), "{text}");
}

#[test]
fn an_unknown_key_is_refused_with_its_line() {
    let (code, text) = told("[workers]\ncuont = 2\n", &["check-config"]);
    assert_eq!(code, 2, "{text}");
    assert!(text.contains("cuont") && text.contains("line 1"), "{text}");
    let (code, _) = told("[workers]\ncuont = 2\n", &[]);
    assert_eq!(code, 2, "it does not start either");
}

#[test]
fn settings_that_make_no_sense_are_all_named() {
    let (code, text) = told("[workers]\ncount = 99\n[timeouts]\nicmp = 0\n", &["check-config"]);
    assert_eq!(code, 2, "{text}");
    assert!(text.contains("workers.count (") && text.contains("timeouts.icmp ("), "{text}");
}

#[test]
fn objects_of_the_configuration_are_read_by_the_check() {
    let (code, text) = told("[[objects.inline]]\nvfr = {}\n", &["check-config"]);
    assert_eq!(code, 2, "{text}");
    assert!(text.contains("objects.inline[0]"), "{text}");
    let (code, text) = told("[objects]\nfiles = ['/nonexistent.yaml']\n", &["check-config"]);
    assert_eq!(code, 2, "{text}");
    assert!(text.contains("/nonexistent.yaml"), "{text}");
}

#[test]
fn the_configuration_in_effect_says_who_set_what() {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("vrouter.toml"), config(directory.path())).unwrap();
    let mut command = vrouterd(directory.path());
    command.env("VROUTER_WORKERS_COUNT", "3").args(["--print-config", "--memory-packets", "2047"]);
    let text = String::from_utf8(output(&mut command).stdout).unwrap();
    let line = |key: &str| text.lines().find(|line| line.starts_with(key)).unwrap_or_default().to_owned();
    assert!(line("count = 3").ends_with("# VROUTER_WORKERS_COUNT"), "{text}");
    assert!(line("packets = 2047").ends_with("# --memory-packets"), "{text}");
    assert!(line("megabytes = 64").ends_with("vrouter.toml"), "{text}");
    assert!(line("cores = []").ends_with(']'), "{text}");
}

#[test]
fn a_machine_without_the_memory_is_told_which_setting_asks_for_it() {
    let (code, text) = told("", &["--memory-mode", "no-huge", "--memory-packets", "1000000"]);
    assert_eq!(code, 1, "{text}");
    assert!(text.contains("memory.packets = 1000000") && text.contains("memory.megabytes = 64"), "{text}");
    let (code, text) = told("", &["--memory-mode", "in-memory", "--memory-megabytes", "1048576"]);
    assert_eq!(code, 1, "{text}");
    assert!(text.contains("memory.megabytes"), "{text}");
}

#[test]
fn a_cpu_that_is_not_there_is_named() {
    let (code, text) = told("[workers]\ncores = [4095]\n", &[]);
    assert_eq!(code, 1, "{text}");
    assert!(text.contains("workers.cores: CPU 4095"), "{text}");
}

#[test]
fn an_address_that_is_taken_is_named_and_nothing_is_left() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("tcp://{}", taken.local_addr().unwrap());
    let (code, text) = told("", &["--agent-listen", &address]);
    assert_eq!(code, 1, "{text}");
    assert!(text.contains(&address), "{text}");
    let (code, text) = told("", &["--agent-listen", "tcp://0.0.0.0:0"]);
    assert_eq!(code, 2, "{text}");
    assert!(text.contains("agent.tls_certificate"), "{text}");
}

#[test]
fn objects_that_the_vrouter_refuses_stop_the_start() {
    let interface = "interface = { id = 1, name = 'a', role = 'VIRTUAL', vrf = 1, mac = '02:00:00:00:00:01', \
                     device = { null = {} } }";
    let (code, text) = told(&format!("[[objects.inline]]\n{interface}\n"), &[]);
    assert_eq!(code, 1, "{text}");
    assert!(text.contains("interface 1") && text.contains("vrf 1"), "{text}");
}

#[test]
fn a_device_that_is_not_there_stops_the_start_and_is_named_with_its_interface() {
    for (device, named) in [
        ("pcap = { rx_file = '$DIR/missing.pcap' }", "missing.pcap"),
        ("af_packet = { interface = 'vr-missing' }", "vr-missing"),
        ("af_xdp = { interface = 'vr-missing' }", "vr-missing"),
        ("virtio_user = { socket = '$DIR/missing' }", "missing"),
        // No machine has so many buses.
        ("pci = { address = 'ffff:ff:1f.7' }", "ffff:ff:1f.7"),
    ] {
        let directory = tempfile::tempdir().unwrap();
        let device = device.replace("$DIR", &directory.path().display().to_string());
        let interface = |id: u8, device: &str| {
            format!(
                "[[objects.inline]]\ninterface = {{ id = {id}, name = 'vm{id}', role = 'VIRTUAL', vrf = 1, \
                 mac = '02:00:00:00:00:0{id}', device = {{ {device} }} }}\n"
            )
        };
        let settings = config(directory.path()).replace("[devices]", "[devices]\npci = ['ffff:ff:1f.7']");
        let vrf = "[[objects.inline]]\nvrf = { id = 1, name = 'red' }\n";
        let text = [&settings, vrf, &interface(1, "null = {}"), &interface(2, &device)].concat();
        fs::write(directory.path().join("vrouter.toml"), text).unwrap();
        let (code, text) = told_in(directory.path(), &[]);
        assert_eq!(code, 1, "{device}: {text}");
        assert!(text.contains("interface 2") && text.contains(named), "{device}: {text}");
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1, "{device} has left something");
    }
}
