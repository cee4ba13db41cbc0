//! From the API's device to DPDK's: what the configuration does not allow stops here.

use std::fs;
use std::path::{Path, PathBuf};

use agent_api::v1::{self, device::Kind};
use dpdk::{Device, DeviceKind, PciAddress};

/// What devices may be.
#[derive(Clone, Debug, Default)]
pub struct Allowed {
    /// Sockets and capture files are under these.
    pub directories: Vec<PathBuf>,
    /// PCI devices that may be taken.
    pub pci: Vec<PciAddress>,
}

/// The device that DPDK is to attach.
///
/// # Errors
/// Names the field and says what is wrong with it.
pub(super) fn device(device: &v1::Device, allowed: &Allowed) -> Result<Device, String> {
    let kind = device.kind.as_ref().ok_or("device: give one kind: pci, pcap, tap, af_packet, ...")?;
    let kind = match kind {
        Kind::Pci(pci) => {
            let address = pci.address.parse().map_err(|error| format!("pci.address: {error}"))?;
            if !allowed.pci.contains(&address) {
                return Err(format!("pci.address: {address} is not in devices.pci of the configuration"));
            }
            DeviceKind::Pci { address }
        }
        Kind::Pcap(pcap) => {
            for (field, path) in [("pcap.rx_file", &pcap.rx_file), ("pcap.tx_file", &pcap.tx_file)] {
                if !path.is_empty() {
                    allowed.check(field, path)?;
                }
            }
            DeviceKind::Pcap {
                rx_file: given(&pcap.rx_file),
                tx_file: given(&pcap.tx_file),
                infinite_rx: pcap.infinite_rx,
                rx_interface: given(&pcap.rx_interface),
                tx_interface: given(&pcap.tx_interface),
            }
        }
        Kind::Tap(tap) => DeviceKind::Tap { name: tap.name.clone(), persist: tap.persist },
        Kind::AfPacket(device) => DeviceKind::AfPacket { interface: device.interface.clone() },
        Kind::AfXdp(device) => {
            DeviceKind::AfXdp { interface: device.interface.clone(), force_copy: device.force_copy }
        }
        Kind::Memif(memif) => {
            allowed.check("memif.socket", &memif.socket)?;
            DeviceKind::Memif {
                id: memif.id,
                server: memif.server,
                socket: memif.socket.clone(),
                secret: memif.secret.clone(),
            }
        }
        Kind::VhostUser(device) => {
            allowed.check("vhost_user.socket", &device.socket)?;
            DeviceKind::VhostUser { socket: device.socket.clone(), server: device.server }
        }
        Kind::VirtioUser(device) => {
            allowed.check("virtio_user.socket", &device.socket)?;
            DeviceKind::VirtioUser { socket: device.socket.clone(), server: device.server }
        }
        Kind::Ring(ring) => DeviceKind::Ring { name: ring.name.clone() },
        Kind::Null(_) => DeviceKind::Null { generate: false },
    };
    let queues = u16::try_from(device.queues.max(1)).map_err(|_| "queues: too many".to_owned())?;
    Ok(Device { kind, queues })
}

fn given(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| text.to_owned())
}

impl Allowed {
    /// Whether a file is where the configuration allows it, links followed.
    fn check(&self, field: &str, file: &str) -> Result<(), String> {
        let directory = Path::new(file).parent().unwrap_or(Path::new("/"));
        let real = fs::canonicalize(directory)
            .map_err(|error| format!("{field}: the directory {}: {error}", directory.display()))?;
        // The file itself may not be there yet; if it is a link, it could lead anywhere.
        if fs::symlink_metadata(file).is_ok_and(|data| data.is_symlink()) {
            return Err(format!("{field}: {file} is a symbolic link"));
        }
        let inside =
            |allowed: &PathBuf| fs::canonicalize(allowed).is_ok_and(|allowed| real.starts_with(allowed));
        if self.directories.iter().any(inside) {
            return Ok(());
        }
        let allowed: Vec<_> =
            self.directories.iter().map(|directory| directory.display().to_string()).collect();
        Err(format!(
            "{field}: {file} is not under devices.directories of the configuration ({})",
            allowed.join(", ")
        ))
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn vhost(socket: &str) -> v1::Device {
        let kind = v1::VhostUserDevice { socket: socket.to_owned(), server: true };
        v1::Device { kind: Some(Kind::VhostUser(kind)), queues: 0 }
    }

    #[test]
    fn files_outside_the_allowed_directories_are_refused_even_through_links() {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path();
        let (inside, outside) = (root.join("inside"), root.join("outside"));
        fs::create_dir(&inside).unwrap();
        fs::create_dir(&outside).unwrap();
        symlink(&outside, inside.join("way")).unwrap();
        symlink(outside.join("x"), inside.join("link")).unwrap();
        let allowed = Allowed { directories: vec![inside.clone()], pci: vec![] };
        let check = |path: PathBuf| device(&vhost(path.to_str().unwrap()), &allowed);
        assert_eq!(check(inside.join("socket")).unwrap().queues, 1);
        assert!(check(outside.join("socket")).unwrap_err().contains("devices.directories"));
        assert!(check(inside.join("way/socket")).unwrap_err().contains("devices.directories"));
        assert!(check(inside.join("link")).unwrap_err().contains("symbolic link"));
        assert!(check(inside.join("missing/socket")).unwrap_err().contains("missing"));
    }

    #[test]
    fn a_pci_device_must_be_allowed_by_the_configuration() {
        let pci = |address: &str| v1::Device {
            kind: Some(Kind::Pci(v1::PciDevice { address: address.to_owned() })),
            queues: 2,
        };
        let allowed = Allowed { directories: vec![], pci: vec!["0000:03:00.0".parse().unwrap()] };
        assert_eq!(device(&pci("0000:03:00.0"), &allowed).unwrap().queues, 2);
        assert!(device(&pci("0000:04:00.0"), &allowed).unwrap_err().contains("devices.pci"));
        assert!(device(&pci("eth0"), &allowed).unwrap_err().starts_with("pci.address"));
    }

    #[test]
    fn a_device_needs_a_kind_and_null_makes_no_packets() {
        assert!(device(&v1::Device::default(), &Allowed::default()).is_err());
        let null = v1::Device { kind: Some(Kind::Null(v1::NullDevice {})), queues: 3 };
        let expected = Device { kind: DeviceKind::Null { generate: false }, queues: 3 };
        assert_eq!(device(&null, &Allowed::default()).unwrap(), expected);
    }
}
