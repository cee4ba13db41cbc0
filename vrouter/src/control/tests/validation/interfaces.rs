//! Interfaces and their devices.

use super::super::*;
use super::Bad;

pub(super) const BAD: &[Bad] = &[
    // interface
    ("interface: {id: 0, name: x, role: VIRTUAL, device: {'null': {}}}", 3, "id"),
    ("interface: {id: 65536, name: x, role: VIRTUAL, device: {'null': {}}}", 3, "id"),
    ("interface: {id: 9, role: VIRTUAL, device: {'null': {}}}", 3, "name"),
    ("interface: {id: 9, name: x, device: {'null': {}}}", 3, "role"),
    ("interface: {id: 9, name: x, role: FABRIC}", 3, "device"),
    ("interface: {id: 9, name: x, role: FABRIC, device: {}}", 3, "device"),
    ("interface: {id: 9, name: x, role: VIRTUAL, vrf: 1, device: {'null': {}}}", 3, "mac"),
    ("interface: {id: 9, name: x, role: FABRIC, mac: '01:00:00:00:00:01', device: {'null': {}}}", 3, "mac"),
    ("interface: {id: 9, name: x, role: FABRIC, vrf: 70000, device: {'null': {}}}", 3, "vrf"),
    ("interface: {id: 9, name: x, role: FABRIC, vrf: 77, device: {'null': {}}}", 9, "vrf"),
    (
        "interface: {id: 9, name: x, role: FABRIC, addresses: ['10.0.0.1/33'], device: {'null': {}}}",
        3,
        "addresses[0]",
    ),
    (
        "interface: {id: 9, name: x, role: FABRIC, addresses: ['10.0.0.1/24', '224.0.0.1'], device: {'null': {}}}",
        3,
        "addresses[1]",
    ),
    (
        "interface: {id: 9, name: x, role: FABRIC, addresses: ['10.0.0.1', '10.0.0.1/24'], device: {'null': {}}}",
        3,
        "addresses[1]",
    ),
    (
        "interface: {id: 9, name: x, role: VIRTUAL, mac: '02:00:00:00:00:09', addresses: ['10.0.0.1/24'], device: {'null': {}}}",
        3,
        "addresses[0]",
    ),
    (
        "interface: {id: 9, name: x, role: VIRTUAL, mac: '02:00:00:00:00:09', allowed_address_pairs: [{prefix: '10.0.0.1/8'}], device: {'null': {}}}",
        3,
        "allowed_address_pairs[0].prefix",
    ),
    (
        "interface: {id: 9, name: x, role: VIRTUAL, mac: '02:00:00:00:00:09', allowed_address_pairs: [{prefix: '10.0.0.0/8', mac: 'x'}], device: {'null': {}}}",
        3,
        "allowed_address_pairs[0].mac",
    ),
    (
        "interface: {id: 9, name: x, role: VIRTUAL, mac: '02:00:00:00:00:09', gateways: ['10.0.0.0/8'], device: {'null': {}}}",
        3,
        "gateways[0]",
    ),
    (
        "interface: {id: 9, name: x, role: VIRTUAL, mac: '02:00:00:00:00:09', gateway_mac: 'ff:ff:ff:ff:ff:ff', device: {'null': {}}}",
        3,
        "gateway_mac",
    ),
    (
        "interface: {id: 9, name: x, role: FABRIC, gateways: ['10.0.0.1'], device: {'null': {}}}",
        3,
        "gateways",
    ),
    ("interface: {id: 9, name: x, role: FABRIC, mtu: 575, device: {'null': {}}}", 3, "mtu"),
    ("interface: {id: 9, name: x, role: FABRIC, mtu: 9217, device: {'null': {}}}", 3, "mtu"),
    ("interface: {id: 9, name: x, role: FABRIC, label: 15, device: {'null': {}}}", 3, "label"),
    ("interface: {id: 9, name: x, role: FABRIC, policy: true, device: {'null': {}}}", 3, "policy"),
    (
        "interface: {id: 9, name: x, role: FABRIC, security_groups: [7], device: {'null': {}}}",
        3,
        "security_groups",
    ),
    (
        "interface: {id: 9, name: x, role: VIRTUAL, mac: '02:00:00:00:00:09', security_groups: [7, 0], device: {'null': {}}}",
        3,
        "security_groups[1]",
    ),
    (
        "interface: {id: 9, name: x, role: VIRTUAL, mac: '02:00:00:00:00:09', security_groups: [7, 77], device: {'null': {}}}",
        9,
        "security_groups[1]",
    ),
    ("interface: {id: 9, name: vm1, role: FABRIC, device: {'null': {}}}", 9, "name"),
    ("interface: {id: 9, name: x, role: HOST, device: {'null': {}}}", 3, "twin_of"),
    ("interface: {id: 9, name: x, role: FABRIC, twin_of: 1, device: {'null': {}}}", 3, "twin_of"),
    ("interface: {id: 9, name: x, role: HOST, twin_of: 77, device: {'null': {}}}", 9, "twin_of"),
    ("interface: {id: 9, name: x, role: HOST, twin_of: 2, vrf: 1, device: {'null': {}}}", 9, "twin_of"),
    ("interface: {id: 9, name: x, role: HOST, twin_of: 1, vrf: 1, device: {'null': {}}}", 9, "twin_of"),
    ("interface: {id: 9, name: x, role: HOST, twin_of: 1, mtu: 9000, device: {'null': {}}}", 9, "mtu"),
    ("interface: {id: 1, name: fabric, role: FABRIC, device: {ring: {name: other}}}", 9, "device"),
    (
        "interface: {id: 9, name: x, role: VIRTUAL, mac: '02:00:00:00:00:09', tags: ['tier=web', 'tier='], device: {'null': {}}}",
        3,
        "tags[1]",
    ),
    ("interface: {id: 9, name: x, role: FABRIC, tags: ['tier=web'], device: {'null': {}}}", 3, "tags"),
    // device
    ("interface: {id: 9, name: x, role: FABRIC, device: {queues: 65, 'null': {}}}", 3, "device.queues"),
    (
        "interface: {id: 9, name: x, role: FABRIC, device: {pci: {address: '03:00.0'}}}",
        3,
        "device.pci.address",
    ),
    (
        "interface: {id: 9, name: x, role: FABRIC, device: {tap: {name: 'sixteen-bytes-xx'}}}",
        3,
        "device.tap.name",
    ),
    ("interface: {id: 9, name: x, role: FABRIC, device: {tap: {name: 'a,b=c'}}}", 3, "device.tap.name"),
    ("interface: {id: 9, name: x, role: FABRIC, device: {af_packet: {}}}", 3, "device.af_packet.interface"),
    (
        "interface: {id: 9, name: x, role: FABRIC, device: {af_xdp: {interface: '..'}}}",
        3,
        "device.af_xdp.interface",
    ),
    ("interface: {id: 9, name: x, role: FABRIC, device: {pcap: {}}}", 3, "device.pcap"),
    (
        "interface: {id: 9, name: x, role: FABRIC, device: {pcap: {rx_file: 'relative'}}}",
        3,
        "device.pcap.rx_file",
    ),
    (
        "interface: {id: 9, name: x, role: FABRIC, device: {pcap: {rx_file: '/a/../b'}}}",
        3,
        "device.pcap.rx_file",
    ),
    (
        "interface: {id: 9, name: x, role: FABRIC, device: {pcap: {tx_file: '/a,b'}}}",
        3,
        "device.pcap.tx_file",
    ),
    (
        "interface: {id: 9, name: x, role: FABRIC, device: {pcap: {rx_file: '/a', rx_interface: b}}}",
        3,
        "device.pcap.rx_interface",
    ),
    ("interface: {id: 9, name: x, role: FABRIC, device: {vhost_user: {}}}", 3, "device.vhost_user.socket"),
    (
        "interface: {id: 9, name: x, role: FABRIC, device: {virtio_user: {socket: 'x'}}}",
        3,
        "device.virtio_user.socket",
    ),
    (
        "interface: {id: 9, name: x, role: FABRIC, device: {memif: {socket: '/x', secret: 'a b'}}}",
        3,
        "device.memif.secret",
    ),
    ("interface: {id: 9, name: x, role: FABRIC, device: {ring: {}}}", 3, "device.ring.name"),
];

#[test]
fn sockets_and_files_lie_where_the_configuration_allows() {
    let directories = Some(vec!["/run/vrouter".into()]);
    let (control, _) = Control::new(Settings { directories, ..Settings::default() }, MemoryPorts::default());
    let mut bench = Bench { control };
    bench.put("- vrf: {id: 0, name: fabric}");
    let device =
        |device: &str| format!("- interface: {{id: 9, name: x, role: FABRIC, device: {{{device}}}}}");
    for (bad, field) in [
        ("vhost_user: {socket: /tmp/x}", "device.vhost_user.socket"),
        ("vhost_user: {socket: /run/vrouter}", "device.vhost_user.socket"),
        ("memif: {socket: /run/vrouterx/a}", "device.memif.socket"),
        ("pcap: {tx_file: /etc/passwd}", "device.pcap.tx_file"),
    ] {
        let result = bench.try_put(&device(bad));
        assert_eq!(refusal(&result), (3, "interface 9".to_owned(), field));
    }
    bench.put(&device("vhost_user: {socket: /run/vrouter/a.sock}"));
}
