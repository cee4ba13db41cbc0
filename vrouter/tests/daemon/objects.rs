//! The objects that most tests need, as YAML.

/// A network whose workloads have the numbers that the tests use.
pub(crate) const NETWORK: &str = "- vrf: {id: 1, name: red}\n";

/// The workload `number` (10.0.0.number) of VRF 1 behind a device, and the route to it.
pub(crate) fn workload(number: u8, device: &str) -> String {
    workload_with(number, device, "")
}

/// The same with further fields of the interface.
pub(crate) fn workload_with(number: u8, device: &str, fields: &str) -> String {
    format!(
        "- interface: {{id: {number}, name: vm{number}, role: VIRTUAL, vrf: 1, mac: '02:00:00:00:00:{number:02x}',
    addresses: ['10.0.0.{number}'], gateways: ['10.0.0.254'], {fields} device: {device}}}
- next_hop: {{id: {number}, interface: {{interface: {number}}}}}
- route: {{vrf: 1, prefix: '10.0.0.{number}/32', next_hop: {number}}}
"
    )
}

/// A device that swallows everything.
pub(crate) const NULL: &str = "{'null': {}}";

/// Reads a capture file of the daemon's directory once.
pub(crate) fn replay(file: &str) -> String {
    format!("{{pcap: {{rx_file: $DIR/{file}}}}}")
}

/// Writes what is sent into a capture file of the daemon's directory.
pub(crate) fn record(file: &str) -> String {
    format!("{{pcap: {{tx_file: $DIR/{file}}}}}")
}

/// Reads a capture file of the daemon's directory again and again.
pub(crate) fn repeat(file: &str) -> String {
    format!("{{pcap: {{rx_file: $DIR/{file}, infinite_rx: true}}}}")
}
