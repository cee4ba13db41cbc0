//! Devices: structured fields only, checked before anything is opened (SEMANTICS 26).

use std::path::{Component, Path};

use agent_api::v1::{self, device::Kind};

use super::{Rules, number};
use crate::control::fault::Invalid;

/// Most receive and transmit queue pairs of one device.
const MAX_QUEUES: u32 = 64;
/// A kernel network device's name without its final zero (IFNAMSIZ).
const MAX_NETDEV: usize = 15;

pub(super) fn check(device: Option<&v1::Device>, rules: &Rules) -> Result<(), Invalid> {
    let Some((device, kind)) = device.and_then(|device| device.kind.as_ref().map(|kind| (device, kind)))
    else {
        return Err(Invalid::new("device", "a device is needed: pci, tap, vhost_user, ring, ..."));
    };
    number::<u32>("device.queues", device.queues, 0..=MAX_QUEUES)?;
    match kind {
        Kind::Pci(pci) => check_pci(&pci.address),
        Kind::Pcap(pcap) => check_pcap(pcap, rules),
        Kind::Tap(tap) => netdev("device.tap.name", &tap.name),
        Kind::AfPacket(device) => netdev("device.af_packet.interface", &device.interface),
        Kind::AfXdp(device) => netdev("device.af_xdp.interface", &device.interface),
        Kind::Memif(memif) => {
            if memif.secret.len() > 24 || memif.secret.contains(|c: char| !c.is_ascii_alphanumeric()) {
                let text = "at most 24 letters and digits are allowed";
                return Err(Invalid::new("device.memif.secret", text));
            }
            file("device.memif.socket", &memif.socket, rules)
        }
        Kind::VhostUser(device) => file("device.vhost_user.socket", &device.socket, rules),
        Kind::VirtioUser(device) => file("device.virtio_user.socket", &device.socket, rules),
        Kind::Ring(ring) => word("device.ring.name", &ring.name, 20),
        Kind::Null(_) => Ok(()),
    }
}

/// `0000:03:00.0`
fn check_pci(address: &str) -> Result<(), Invalid> {
    let bytes = address.as_bytes();
    let shape = bytes.len() == 12
        && bytes.iter().enumerate().all(|(index, byte)| match index {
            4 | 7 => *byte == b':',
            10 => *byte == b'.',
            11 => (b'0'..=b'7').contains(byte),
            _ => byte.is_ascii_hexdigit(),
        });
    if shape {
        Ok(())
    } else {
        Err(Invalid::new("device.pci.address", format!("{address:?} is no PCI address: write 0000:03:00.0")))
    }
}

fn check_pcap(pcap: &v1::PcapDevice, rules: &Rules) -> Result<(), Invalid> {
    let given = |text: &str| !text.is_empty();
    if given(&pcap.rx_file) && given(&pcap.rx_interface) {
        return Err(Invalid::new("device.pcap.rx_interface", "give either rx_file or rx_interface"));
    }
    if given(&pcap.tx_file) && given(&pcap.tx_interface) {
        return Err(Invalid::new("device.pcap.tx_interface", "give either tx_file or tx_interface"));
    }
    if ![&pcap.rx_file, &pcap.tx_file, &pcap.rx_interface, &pcap.tx_interface].iter().any(|text| given(text))
    {
        return Err(Invalid::new("device.pcap", "a file or an interface is needed"));
    }
    for (field, text) in [("device.pcap.rx_file", &pcap.rx_file), ("device.pcap.tx_file", &pcap.tx_file)] {
        if given(text) {
            file(field, text, rules)?;
        }
    }
    for (field, text) in
        [("device.pcap.rx_interface", &pcap.rx_interface), ("device.pcap.tx_interface", &pcap.tx_interface)]
    {
        if given(text) {
            netdev(field, text)?;
        }
    }
    Ok(())
}

fn netdev(field: &str, name: &str) -> Result<(), Invalid> {
    word(field, name, MAX_NETDEV)
}

/// A word that is nothing but a word wherever it is put.
fn word(field: &str, text: &str, most: usize) -> Result<(), Invalid> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.' | b'@');
    if text.is_empty() || text.len() > most || text == "." || text == ".." || !text.bytes().all(plain) {
        let text = format!("{text:?}: 1 to {most} letters, digits, '_', '-', '.' or '@' are allowed");
        return Err(Invalid::new(field, text));
    }
    Ok(())
}

/// An absolute path without detours, under one of the directories that the configuration allows.
fn file(field: &str, text: &str, rules: &Rules) -> Result<(), Invalid> {
    let path = Path::new(text);
    let straight = path.components().all(|part| matches!(part, Component::RootDir | Component::Normal(_)));
    // A comma would end the parameter in the device's argument list.
    if !path.is_absolute() || !straight || text.contains([',', '\0', '\n']) || text.len() > 4095 {
        let text = format!("{text:?}: an absolute path without \"..\" and commas is needed");
        return Err(Invalid::new(field, text));
    }
    match &rules.directories {
        Some(allowed)
            if !allowed.iter().any(|directory| path.starts_with(directory) && path != directory) =>
        {
            let allowed: Vec<_> = allowed.iter().map(|directory| directory.display().to_string()).collect();
            let text = format!(
                "{text} is under none of the directories that the configuration allows: {}",
                allowed.join(", ")
            );
            Err(Invalid::new(field, text))
        }
        _ => Ok(()),
    }
}
