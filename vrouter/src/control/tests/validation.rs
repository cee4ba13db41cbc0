//! Every wrong field is refused by code, object and path, and nothing changes.

use super::*;

/// What is put, what it is refused for: code, field.
const BAD: &[(&str, u32, &str)] = &[
    // vrf
    ("vrf: {id: 65536, name: x}", 3, "id"),
    ("vrf: {id: 9}", 3, "name"),
    ("vrf: {id: 9, name: x, vni: 16777216}", 3, "vni"),
    ("vrf: {id: 9, name: red}", 9, "name"),
    ("vrf: {id: 9, name: x, network_policies: [0]}", 3, "network_policies[0]"),
    ("vrf: {id: 9, name: x, network_policies: [1, 1]}", 3, "network_policies[1]"),
    ("vrf: {id: 9, name: x, network_policies: [77]}", 9, "network_policies[0]"),
    // network policy
    ("network_policy: {id: 0}", 3, "id"),
    ("network_policy: {id: 9, rules: [{id: 1}]}", 3, "rules[0].action"),
    ("network_policy: {id: 9, rules: [{id: 1, action: PASS}, {id: 1, action: DENY}]}", 3, "rules[1].id"),
    ("network_policy: {id: 9, rules: [{id: 1, action: PASS, protocol: 256}]}", 3, "rules[0].protocol"),
    (
        "network_policy: {id: 9, rules: [{id: 1, action: PASS, protocol: 1, source_ports: {first: 1, last: 2}}]}",
        3,
        "rules[0].source_ports",
    ),
    (
        "network_policy: {id: 9, rules: [{id: 1, action: PASS, destination_ports: {first: 2, last: 1}}]}",
        3,
        "rules[0].destination_ports.first",
    ),
    (
        "network_policy: {id: 9, rules: [{id: 1, action: PASS, destination_ports: {first: 1, last: 65536}}]}",
        3,
        "rules[0].destination_ports.last",
    ),
    (
        "network_policy: {id: 9, rules: [{id: 1, action: PASS, protocol: 6, icmp: {type: 8}}]}",
        3,
        "rules[0].icmp",
    ),
    (
        "network_policy: {id: 9, rules: [{id: 1, action: PASS, icmp: {type: 8}, source_ports: {first: 1, last: 1}}]}",
        3,
        "rules[0].icmp",
    ),
    (
        "network_policy: {id: 9, rules: [{id: 1, action: PASS, source: {network: 65536}}]}",
        3,
        "rules[0].source.network",
    ),
    (
        "network_policy: {id: 9, rules: [{id: 1, action: PASS, destination: {prefix: '10.0.0.1/8'}}]}",
        3,
        "rules[0].destination.prefix",
    ),
    (
        "network_policy: {id: 9, rules: [{id: 1, action: PASS, source: {prefix: '10.0.0.0/8'}, destination: {prefix: '::/0'}}]}",
        3,
        "rules[0].destination.prefix",
    ),
    (
        "network_policy: {id: 9, rules: [{id: 1, action: PASS, source: {tags: ['tier=web', 'web']}}]}",
        3,
        "rules[0].source.tags[1]",
    ),
    (
        "network_policy: {id: 9, rules: [{id: 1, action: PASS, source: {tags: ['tier=web'], network: 1}}]}",
        3,
        "rules[0].source.tags",
    ),
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
    // next hop
    ("next_hop: {id: 0, discard: {}}", 3, "id"),
    ("next_hop: {id: 16711680, discard: {}}", 3, "id"),
    ("next_hop: {id: 9}", 3, "kind"),
    ("next_hop: {id: 9, discard: {}, mtu: 100}", 3, "mtu"),
    ("next_hop: {id: 9, resolve: {interface: 0}}", 3, "resolve.interface"),
    ("next_hop: {id: 9, resolve: {interface: 77}}", 9, "resolve.interface"),
    ("next_hop: {id: 9, resolve: {interface: 2}}", 9, "resolve.interface"),
    ("next_hop: {id: 9, interface: {interface: 77}}", 9, "interface.interface"),
    ("next_hop: {id: 9, interface: {interface: 1}}", 9, "interface.address"),
    ("next_hop: {id: 9, interface: {interface: 1, address: x}}", 3, "interface.address"),
    ("next_hop: {id: 9, interface: {interface: 2, address: '10.0.0.1'}}", 9, "interface.address"),
    ("next_hop: {id: 9, tunnel: {destination: '10.0.0.1'}}", 3, "tunnel.encapsulation"),
    ("next_hop: {id: 9, tunnel: {encapsulation: MPLS_OVER_UDP}}", 3, "tunnel.destination"),
    (
        "next_hop: {id: 9, tunnel: {encapsulation: MPLS_OVER_UDP, destination: '10.0.0.1', source: '::2'}}",
        3,
        "tunnel.source",
    ),
    (
        "next_hop: {id: 9, tunnel: {encapsulation: MPLS_OVER_UDP, destination: '10.0.0.1', label: 3}}",
        3,
        "tunnel.label",
    ),
    (
        "next_hop: {id: 9, tunnel: {encapsulation: MPLS_OVER_UDP, destination: '10.0.0.1', label: 1048576}}",
        3,
        "tunnel.label",
    ),
    (
        "next_hop: {id: 9, tunnel: {encapsulation: MPLS_OVER_GRE, destination: '10.0.0.1', outer_labels: [16, 3]}}",
        3,
        "tunnel.outer_labels[1]",
    ),
    (
        "next_hop: {id: 9, tunnel: {encapsulation: MPLS_OVER_GRE, destination: '10.0.0.1', outer_labels: [16, 17, 18]}}",
        3,
        "tunnel.outer_labels",
    ),
    (
        "next_hop: {id: 9, tunnel: {encapsulation: VXLAN, destination: '10.0.0.1', router_mac: '02:00:00:00:00:01', outer_labels: [16]}}",
        3,
        "tunnel.outer_labels",
    ),
    (
        "next_hop: {id: 9, tunnel: {encapsulation: MPLS_OVER_UDP, destination: '10.0.0.1', dscp: 64}}",
        3,
        "tunnel.dscp",
    ),
    (
        "next_hop: {id: 9, tunnel: {encapsulation: MPLS_OVER_UDP, destination: '10.0.0.1', transport_vrf: 77}}",
        9,
        "tunnel.transport_vrf",
    ),
    ("next_hop: {id: 9, tunnel: {encapsulation: VXLAN, destination: '10.0.0.1'}}", 3, "tunnel.router_mac"),
    (
        "next_hop: {id: 9, tunnel: {encapsulation: VXLAN, destination: '10.0.0.1', router_mac: x}}",
        3,
        "tunnel.router_mac",
    ),
    (
        "next_hop: {id: 9, ecmp: {members: [{next_hop: 10, weight: 1}, {next_hop: 0}]}}",
        3,
        "ecmp.members[1].next_hop",
    ),
    ("next_hop: {id: 9, ecmp: {members: [{next_hop: 77, weight: 1}]}}", 9, "ecmp.members[0].next_hop"),
    ("next_hop: {id: 9, ecmp: {members: [{next_hop: 10, weight: 65536}]}}", 3, "ecmp.members[0].weight"),
    ("next_hop: {id: 9, ecmp: {members: [{next_hop: 10, label: 3, weight: 1}]}}", 3, "ecmp.members[0].label"),
    (
        "next_hop: {id: 9, ecmp: {members: [{next_hop: 20, label: 1048576, weight: 1}]}}",
        9,
        "ecmp.members[0].label",
    ),
    (
        "next_hop: {id: 9, ecmp: {members: [{next_hop: 10, weight: 1}, {next_hop: 10, weight: 2}]}}",
        3,
        "ecmp.members[1].next_hop",
    ),
    ("next_hop: {id: 9, ecmp: {members: [{next_hop: 9, weight: 1}]}}", 9, "ecmp.members[0].next_hop"),
    ("next_hop: {id: 9, vrf: {vrf: 77}}", 9, "vrf.vrf"),
    (
        "interface: {id: 9, name: x, role: VIRTUAL, mac: '02:00:00:00:00:09', tags: ['tier=web', 'tier='], device: {'null': {}}}",
        3,
        "tags[1]",
    ),
    ("interface: {id: 9, name: x, role: FABRIC, tags: ['tier=web'], device: {'null': {}}}", 3, "tags"),
    // route
    ("route: {vrf: 1, prefix: '10.0.0.0/8', next_hop: 20, network: 65536}", 3, "network"),
    ("route: {vrf: 1, prefix: '10.0.0.0/8', next_hop: 20, tags: ['=web']}", 3, "tags[0]"),
    ("route: {vrf: 70000, prefix: '10.0.0.0/8', next_hop: 10}", 3, "vrf"),
    ("route: {vrf: 77, prefix: '10.0.0.0/8', next_hop: 10}", 9, "vrf"),
    ("route: {vrf: 1, prefix: '10.0.0.1/8', next_hop: 10}", 3, "prefix"),
    ("route: {vrf: 1, prefix: '10.0.0.0', next_hop: 10}", 3, "prefix"),
    ("route: {vrf: 1, prefix: '::/129', next_hop: 10}", 3, "prefix"),
    ("route: {vrf: 1, prefix: '10.0.0.0/8', next_hop: 77}", 9, "next_hop"),
    ("route: {vrf: 1, prefix: '10.0.0.0/8', next_hop: 16777216}", 3, "next_hop"),
    ("route: {vrf: 1, prefix: '10.0.0.0/8', next_hop: 20, label: 15}", 3, "label"),
    ("route: {vrf: 1, prefix: '10.0.0.0/8', next_hop: 20, label: 1048576}", 3, "label"),
    ("route: {vrf: 1, prefix: '10.0.0.0/8', next_hop: 20, label: 16777215}", 3, "label"),
    ("route: {vrf: 1, prefix: '10.0.0.0/8', next_hop: 20, security_groups: [0]}", 3, "security_groups"),
    ("route: {vrf: 1, prefix: '10.0.0.0/8', next_hop: 20, security_groups: [77]}", 9, "security_groups"),
    // labels
    ("mpls_label: {label: 15, vrf: 1}", 3, "label"),
    ("mpls_label: {label: 1048576, vrf: 1}", 3, "label"),
    ("mpls_label: {label: 16}", 3, "target"),
    ("mpls_label: {label: 16, vrf: 77}", 9, "vrf"),
    ("mpls_label: {label: 16, next_hop: 77}", 9, "next_hop"),
    ("vni: {vni: 0, vrf: 1}", 3, "vni"),
    ("vni: {vni: 16777216, vrf: 1}", 3, "vni"),
    ("vni: {vni: 16, next_hop: 77}", 9, "next_hop"),
    // security group
    ("security_group: {id: 0}", 3, "id"),
    ("security_group: {id: 9, rules: [{id: 1}]}", 3, "rules[0].direction"),
    (
        "security_group: {id: 9, rules: [{id: 1, direction: INGRESS}, {id: 1, direction: EGRESS}]}",
        3,
        "rules[1].id",
    ),
    ("security_group: {id: 9, rules: [{id: 1, direction: INGRESS, protocol: 256}]}", 3, "rules[0].protocol"),
    (
        "security_group: {id: 9, rules: [{id: 1, direction: INGRESS, protocol: 1, ports: {first: 1, last: 2}}]}",
        3,
        "rules[0].ports",
    ),
    (
        "security_group: {id: 9, rules: [{id: 1, direction: INGRESS, protocol: 6, ports: {first: 65536, last: 65536}}]}",
        3,
        "rules[0].ports.first",
    ),
    (
        "security_group: {id: 9, rules: [{id: 1, direction: INGRESS, protocol: 6, ports: {first: 2, last: 1}}]}",
        3,
        "rules[0].ports.first",
    ),
    (
        "security_group: {id: 9, rules: [{id: 1, direction: INGRESS, protocol: 6, icmp: {type: 8}}]}",
        3,
        "rules[0].icmp",
    ),
    (
        "security_group: {id: 9, rules: [{id: 1, direction: INGRESS, protocol: 1, icmp: {type: 256}}]}",
        3,
        "rules[0].icmp.type",
    ),
    (
        "security_group: {id: 9, rules: [{id: 1, direction: INGRESS, protocol: 1, icmp: {type: 8, code: 256}}]}",
        3,
        "rules[0].icmp.code",
    ),
    (
        "security_group: {id: 9, rules: [{id: 1, direction: INGRESS, ether_type: IPV6, prefix: '10.0.0.0/8'}]}",
        3,
        "rules[0].prefix",
    ),
    (
        "security_group: {id: 9, rules: [{id: 1, direction: INGRESS, prefix: '10.0.0.1/8'}]}",
        3,
        "rules[0].prefix",
    ),
    ("security_group: {id: 9, rules: [{id: 1, direction: INGRESS, group: 0}]}", 3, "rules[0].group"),
    ("security_group: {id: 9, rules: [{id: 1, direction: INGRESS, group: 77}]}", 9, "rules[0].group"),
    // node port
    ("floating_ip: {id: 9, address: '10.1.0.66', next_hop: 5}", 3, "next_hop"),
    (
        "floating_ip: {id: 9, address: '10.1.0.66', next_hop: 77, port_maps: [{protocol: 6, port: 30640, to_port: 80}]}",
        9,
        "next_hop",
    ),
    (
        "floating_ip: {id: 9, address: '10.1.0.66', next_hop: 16711680, port_maps: [{protocol: 6, port: 30640, to_port: 80}]}",
        9,
        "next_hop",
    ),
    // link-local service
    ("link_local_service: {id: 0, address: '169.254.169.254'}", 3, "id"),
    ("link_local_service: {id: 9, address: '169.254.169'}", 3, "address"),
    ("link_local_service: {id: 9, address: '169.254.169.254', protocol: 6, port: 80}", 3, "to_address"),
    (
        "link_local_service: {id: 9, address: '169.254.169.254', protocol: 6, port: 80, to_address: '::5', to_port: 80, vrfs: [1]}",
        3,
        "to_address",
    ),
    (
        "link_local_service: {id: 9, address: '169.254.169.254', protocol: 1, port: 80, to_address: '10.0.0.1', to_port: 80, vrfs: [1]}",
        3,
        "protocol",
    ),
    (
        "link_local_service: {id: 9, address: '169.254.169.254', protocol: 6, to_address: '10.0.0.1', to_port: 80, vrfs: [1]}",
        3,
        "port",
    ),
    (
        "link_local_service: {id: 9, address: '169.254.169.254', protocol: 6, port: 80, to_address: '10.0.0.1', to_port: 80}",
        3,
        "vrfs",
    ),
    (
        "link_local_service: {id: 9, address: '169.254.169.254', protocol: 6, port: 80, to_address: '10.0.0.1', to_port: 80, vrfs: [1, 77]}",
        9,
        "vrfs[1]",
    ),
    (
        "link_local_service: {id: 9, address: '169.254.169.254', protocol: 6, port: 80, to_address: '10.0.0.1', to_port: 80, to_vrf: 77, vrfs: [1]}",
        9,
        "to_vrf",
    ),
    // source nat
    ("source_nat: {id: 0, vrf: 0, addresses: ['203.0.113.5']}", 3, "id"),
    ("source_nat: {id: 65536, vrf: 0, addresses: ['203.0.113.5']}", 3, "id"),
    ("source_nat: {id: 9, vrf: 0}", 3, "addresses"),
    ("source_nat: {id: 9, vrf: 0, addresses: ['203.0.113.5', '224.0.0.5']}", 3, "addresses[1]"),
    ("source_nat: {id: 9, vrf: 0, addresses: ['203.0.113.5', '203.0.113.5']}", 3, "addresses[1]"),
    ("source_nat: {id: 9, vrf: 77, addresses: ['203.0.113.5']}", 9, "vrf"),
    ("source_nat: {id: 9, vrf: 0, addresses: ['203.0.113.5'], ports: {}}", 3, "ports.first"),
    ("source_nat: {id: 9, vrf: 0, addresses: ['203.0.113.5'], ports: {first: 5, last: 4}}", 3, "ports.last"),
    (
        "source_nat: {id: 9, vrf: 0, addresses: ['203.0.113.5'], ports: {first: 5, last: 65536}}",
        3,
        "ports.last",
    ),
    ("source_nat: {id: 9, vrf: 0, addresses: ['203.0.113.5'], interfaces: [77]}", 9, "interfaces[0]"),
    ("source_nat: {id: 9, vrf: 0, addresses: ['203.0.113.5'], interfaces: [2, 2]}", 3, "interfaces[1]"),
    ("source_nat: {id: 9, vrf: 0, addresses: ['203.0.113.5'], interfaces: [1]}", 9, "interfaces[0]"),
    ("source_nat: {id: 9, vrf: 1, addresses: ['203.0.113.5'], interfaces: [2]}", 9, "interfaces[0]"),
    ("source_nat: {id: 9, vrf: 0, addresses: ['203.0.113.5'], vrfs: [77]}", 9, "vrfs[0]"),
    ("source_nat: {id: 9, vrf: 1, addresses: ['203.0.113.5'], vrfs: [2, 1]}", 3, "vrfs[1]"),
    ("next_hop: {id: 9, source_nat: {source_nat: 1}}", 3, "source_nat"),
    ("next_hop: {id: 16646144, discard: {}}", 3, "id"),
    // floating ip
    ("floating_ip: {id: 0, address: '10.40.0.3'}", 3, "id"),
    ("floating_ip: {id: 9}", 3, "address"),
    ("floating_ip: {id: 9, address: '10.40.0.3', vrf: 77}", 9, "vrf"),
    ("floating_ip: {id: 9, address: '10.40.0.3', interfaces: [77]}", 9, "interfaces[0]"),
    ("floating_ip: {id: 9, address: '10.40.0.3', interfaces: [2, 2]}", 3, "interfaces[1]"),
    ("floating_ip: {id: 9, address: '10.40.0.3', interfaces: [1]}", 9, "interfaces[0]"),
    ("floating_ip: {id: 9, address: '2001:db8::3', interfaces: [2, 3]}", 9, "interfaces[1]"),
    ("floating_ip: {id: 9, address: '10.40.0.3', interfaces: [2], fixed_address: '::3'}", 3, "fixed_address"),
    (
        "floating_ip: {id: 9, address: '10.40.0.3', interfaces: [2], fixed_address: '10.9.9.9'}",
        9,
        "fixed_address",
    ),
    (
        "floating_ip: {id: 9, address: '10.40.0.3', port_maps: [{protocol: 1, port: 1, to_port: 1}]}",
        3,
        "port_maps[0].protocol",
    ),
    (
        "floating_ip: {id: 9, address: '10.40.0.3', port_maps: [{protocol: 6, port: 0, to_port: 1}]}",
        3,
        "port_maps[0].port",
    ),
    (
        "floating_ip: {id: 9, address: '10.40.0.3', port_maps: [{protocol: 6, port: 1, to_port: 65536}]}",
        3,
        "port_maps[0].to_port",
    ),
    (
        "floating_ip: {id: 9, address: '10.40.0.3', port_maps: [{protocol: 6, port: 1, to_port: 1}, {protocol: 6, port: 1, to_port: 2}]}",
        3,
        "port_maps[1].port",
    ),
    (
        "floating_ip: {id: 9, address: '10.40.0.3', port_maps: [{protocol: 6, port: 1, to_port: 1}, {protocol: 6, port: 2, to_port: 1}]}",
        3,
        "port_maps[1].to_port",
    ),
    (
        "floating_ip: {id: 9, address: '10.40.0.3', port_maps: [{protocol: 6, port: 10, last: 9, to_port: 1}]}",
        3,
        "port_maps[0].last",
    ),
    (
        "floating_ip: {id: 9, address: '10.40.0.3', port_maps: [{protocol: 6, port: 1, last: 10, to_port: 65530}]}",
        3,
        "port_maps[0].last",
    ),
    (
        "floating_ip: {id: 9, address: '10.40.0.3', port_maps: [{protocol: 6, port: 10, last: 20, to_port: 10}, {protocol: 6, port: 20, to_port: 1}]}",
        3,
        "port_maps[1].port",
    ),
    (
        "floating_ip: {id: 9, address: '10.40.0.3', port_maps: [{protocol: 6, port: 10, last: 20, to_port: 10}, {protocol: 6, port: 21, to_port: 20}]}",
        3,
        "port_maps[1].to_port",
    ),
    // flow
    (
        "flow: {interface: 0, direction: EGRESS, source: '10.0.0.1', destination: '10.0.0.2', action: DENY}",
        3,
        "interface",
    ),
    (
        "flow: {interface: 77, direction: EGRESS, source: '10.0.0.1', destination: '10.0.0.2', action: DENY}",
        9,
        "interface",
    ),
    ("flow: {interface: 2, source: '10.0.0.1', destination: '10.0.0.2', action: DENY}", 3, "direction"),
    ("flow: {interface: 2, direction: EGRESS, destination: '10.0.0.2', action: DENY}", 3, "source"),
    (
        "flow: {interface: 2, direction: EGRESS, source: '10.0.0.1', destination: '::2', action: DENY}",
        3,
        "destination",
    ),
    (
        "flow: {interface: 2, direction: EGRESS, source: '10.0.0.1', destination: '10.0.0.2', protocol: 256, action: DENY}",
        3,
        "protocol",
    ),
    (
        "flow: {interface: 2, direction: EGRESS, source: '10.0.0.1', destination: '10.0.0.2', source_port: 65536, action: DENY}",
        3,
        "source_port",
    ),
    ("flow: {interface: 2, direction: EGRESS, source: '10.0.0.1', destination: '10.0.0.2'}", 3, "action"),
];

#[test]
fn every_bad_field_is_refused_by_code_object_and_path_and_changes_nothing() {
    let mut bench = Bench::node();
    let before = bench.image();
    for &(text, code, field) in BAD {
        // A good object in front shows that nothing of the batch stays.
        let batch = format!("- vrf: {{id: 100, name: fine}}\n- {text}\n");
        let result = bench.try_put(&batch);
        let objects = agent_api::yaml::parse(&batch).unwrap();
        let (refused, object, path) = refusal(&result);
        // Once its owner is known, a route is named with its origin.
        let object = object.trim_end_matches("/controller");
        let key = agent_api::key_of(&objects[1]).to_string();
        assert_eq!((refused, object, path), (code, key.as_str(), field), "{text}: {}", result.message);
        assert!(result.message.contains(field), "{text}: {}", result.message);
        assert_eq!(bench.image(), before, "{text}");
    }
    assert_eq!(bench.control.ports().attached(), 4, "no device was left open");
}

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

#[test]
fn a_key_that_nobody_can_have_is_refused_too() {
    let mut bench = Bench::node();
    for (text, field) in [
        ("- vrf: {id: 65536, name: x}", "vrf"),
        ("- route: {vrf: 1, prefix: '10.0.0.1/8'}", "prefix"),
        ("- next_hop: {id: 16711681, receive: {}}", "next_hop"),
    ] {
        let result = bench.try_delete(text);
        assert_eq!((result.code, result.field.as_str()), (3, field), "{text}");
    }
    for operation in [
        v1::Operation { operation: None },
        super::operation(v1::operation::Operation::Put(v1::Object::default())),
        super::operation(v1::operation::Operation::Delete(v1::Key::default())),
    ] {
        let result =
            bench.apply_as("controller", v1::Batch { operations: vec![operation], ..v1::Batch::default() });
        assert_eq!(refusal(&result), (3, String::new(), "operations[0]"));
    }
}

#[test]
fn the_rules_of_all_policies_of_a_network_are_one_list_of_limited_length() {
    let mut bench = Bench::node();
    let policy = |id: u32, rules: u32| {
        let rules: Vec<_> = (1..=rules).map(|rule| format!("{{id: {rule}, action: PASS}}")).collect();
        format!("- network_policy: {{id: {id}, rules: [{}]}}\n", rules.join(", "))
    };
    bench.put(&(policy(1, 4096) + &policy(2, 0) + "- vrf: {id: 1, name: red, network_policies: [1, 2]}"));
    let result = bench.try_put(&policy(2, 1));
    assert_eq!(refusal(&result), (9, "vrf 1".to_owned(), "network_policies"), "{}", result.message);
    let result = bench.try_put(&policy(3, 4097));
    assert_eq!(refusal(&result), (3, "network_policy 3".to_owned(), "rules"));
    let result = bench.try_delete("- network_policy: {id: 2}");
    assert_eq!(refusal(&result), (9, "network_policy 2".to_owned(), ""), "it is bound");
    bench.put("- vrf: {id: 1, name: red}");
    bench.delete("- network_policy: {id: 2}\n- network_policy: {id: 1}");
}

#[test]
fn two_floating_ips_with_one_address_may_share_an_interface_but_not_a_port() {
    let service = |id: u32, map: &str| {
        format!(
            "- floating_ip: {{id: {id}, address: '10.40.0.3', vrf: 1, interfaces: [2], port_maps: [{map}]}}\n"
        )
    };
    let (web, more) =
        ("{protocol: 6, port: 80, last: 89, to_port: 80}", "{protocol: 6, port: 90, to_port: 90}");
    let same = "{protocol: 6, port: 89, to_port: 9}";
    let overlap = |result: &v1::BatchResult, id: u32| {
        assert_eq!(
            refusal(result),
            (9, format!("floating_ip {id}"), "port_maps[0].port"),
            "{}",
            result.message
        );
    };
    let mut bench = Bench::node();
    // Inside a batch, and beside what is there already.
    overlap(&bench.try_put(&(service(901, web) + &service(902, same))), 902);
    bench.put(&(service(901, web) + &service(902, more)));
    overlap(&bench.try_put(&service(903, same)), 903);
    overlap(&bench.try_put(&service(902, same)), 902);
    // A batch may move a port from one to the other; another protocol, interface or address is another port.
    bench.put(&(service(901, more) + &service(902, same)));
    bench.put(&service(903, "{protocol: 17, port: 89, to_port: 9}"));
    bench.put(&service(904, same).replace("10.40.0.3", "10.40.0.4"));
}
