//! The table of interfaces: what `vif --list` tells.

use std::io::Write;

use agent_api::v1::{Device, Entry, Interface, Object, Rpf, device, object};

use crate::{
    ask,
    connect::Client,
    error::Error,
    table::{Flag, Grid, legend, signs},
    text,
};

const FLAGS: &[Flag<Interface>] = &[
    Flag { sign: "P", meaning: "policy", set: |interface| interface.policy },
    Flag { sign: "Sg", meaning: "security groups", set: |interface| !interface.security_groups.is_empty() },
    Flag { sign: "Gw", meaning: "answers for gateways", set: |interface| !interface.gateways.is_empty() },
    Flag {
        sign: "Ap",
        meaning: "allowed address pairs",
        set: |interface| !interface.allowed_address_pairs.is_empty(),
    },
    Flag { sign: "Rl", meaning: "RPF loose", set: |interface| interface.rpf() == Rpf::Loose },
    Flag { sign: "Ro", meaning: "RPF off", set: |interface| interface.rpf() == Rpf::Off },
    Flag { sign: "Np", meaning: "no TCP pick-up", set: |interface| interface.no_tcp_pickup },
];

pub(super) async fn table(
    client: &mut Client,
    entries: &[Entry],
    wide: bool,
    out: &mut dyn Write,
) -> Result<(), Error> {
    let counters = ask::interface_stats(client).await?;
    let heads = [
        "ID>",
        "NAME",
        "ROLE",
        "STATE",
        "VRF>",
        "MAC",
        "ADDRESSES",
        "FLAGS",
        "RX PACKETS>",
        "TX PACKETS>",
        "DROPS>",
        "+RX BYTES>",
        "+TX BYTES>",
        "+FLOWS>",
        "+MTU>",
        "+LABEL>",
        "+GROUPS",
        "+TAGS",
        "+DEVICE",
        "+DRIVER",
        "+PORT>",
        "+QUEUES",
        "+OWNER",
        "+GENERATION>",
        "+REASON",
    ];
    let mut grid = Grid::new(wide, &heads);
    for entry in entries {
        let Some(Object { object: Some(object::Object::Interface(interface)) }) = &entry.object else {
            continue;
        };
        let state = entry.interface.clone().unwrap_or_default();
        let counters = counters.get(&interface.id).cloned().unwrap_or_default();
        let queues = state.queues.iter().map(|queue| format!("q{}:w{}", queue.queue, queue.worker));
        grid.row([
            interface.id.to_string(),
            interface.name.clone(),
            interface.role().as_str_name().to_lowercase(),
            if state.up { "up" } else { "down" }.into(),
            interface.vrf.to_string(),
            if state.mac.is_empty() { interface.mac.clone() } else { state.mac },
            interface.addresses.join(","),
            signs(FLAGS, interface),
            counters.rx_packets.to_string(),
            counters.tx_packets.to_string(),
            counters.dropped.to_string(),
            counters.rx_bytes.to_string(),
            counters.tx_bytes.to_string(),
            counters.flows.to_string(),
            if interface.mtu == 0 { "1500".into() } else { interface.mtu.to_string() },
            text::nonzero(interface.label),
            text::numbers(&interface.security_groups),
            interface.tags.join(","),
            interface.device.as_ref().map(device).unwrap_or_default(),
            state.driver,
            if state.up { state.port.to_string() } else { String::new() },
            queues.collect::<Vec<_>>().join(","),
            entry.owner.clone(),
            entry.generation.to_string(),
            state.reason,
        ]);
    }
    if wide {
        writeln!(out, "{}", legend(FLAGS))?;
    }
    grid.print(out, "No interfaces.")
}

/// A device by its kind and what tells it from others of the kind.
fn device(device: &Device) -> String {
    let first =
        |texts: [&String; 2]| texts.into_iter().find(|text| !text.is_empty()).cloned().unwrap_or_default();
    let (kind, which) = match &device.kind {
        None => return String::new(),
        Some(device::Kind::Pci(pci)) => ("pci", pci.address.clone()),
        Some(device::Kind::Pcap(pcap)) => ("pcap", first([&pcap.rx_file, &pcap.rx_interface])),
        Some(device::Kind::Tap(tap)) => ("tap", tap.name.clone()),
        Some(device::Kind::AfPacket(packet)) => ("af_packet", packet.interface.clone()),
        Some(device::Kind::AfXdp(xdp)) => ("af_xdp", xdp.interface.clone()),
        Some(device::Kind::Memif(memif)) => ("memif", memif.id.to_string()),
        Some(device::Kind::VhostUser(vhost)) => ("vhost_user", vhost.socket.clone()),
        Some(device::Kind::VirtioUser(virtio)) => ("virtio_user", virtio.socket.clone()),
        Some(device::Kind::Ring(ring)) => ("ring", ring.name.clone()),
        Some(device::Kind::Null(_)) => ("null", String::new()),
    };
    if which.is_empty() { kind.into() } else { format!("{kind}:{which}") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use agent_api::v1::{
        AfPacketDevice, AfXdpDevice, MemifDevice, NullDevice, PcapDevice, PciDevice, RingDevice, TapDevice,
        VhostUserDevice, VirtioUserDevice,
    };

    #[test]
    fn every_device_is_told_from_others_of_its_kind() {
        let kinds = [
            device::Kind::Pci(PciDevice { address: "0000:03:00.0".into() }),
            device::Kind::Pcap(PcapDevice { rx_interface: "eth1".into(), ..PcapDevice::default() }),
            device::Kind::Tap(TapDevice { name: "tap1".into(), persist: false }),
            device::Kind::AfPacket(AfPacketDevice { interface: "eth2".into() }),
            device::Kind::AfXdp(AfXdpDevice { interface: "eth3".into(), force_copy: false }),
            device::Kind::Memif(MemifDevice { id: 4, ..MemifDevice::default() }),
            device::Kind::VhostUser(VhostUserDevice { socket: "/run/vm".into(), server: false }),
            device::Kind::VirtioUser(VirtioUserDevice { socket: "/run/v".into(), server: false }),
            device::Kind::Ring(RingDevice { name: "r".into() }),
            device::Kind::Null(NullDevice {}),
        ];
        let texts = kinds.map(|kind| device(&Device { queues: 0, kind: Some(kind) }));
        assert_eq!(
            texts,
            [
                "pci:0000:03:00.0",
                "pcap:eth1",
                "tap:tap1",
                "af_packet:eth2",
                "af_xdp:eth3",
                "memif:4",
                "vhost_user:/run/vm",
                "virtio_user:/run/v",
                "ring:r",
                "null",
            ]
        );
        assert_eq!(device(&Device::default()), "");
    }
}
