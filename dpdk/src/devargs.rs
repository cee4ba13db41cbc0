//! The one place where structured parameters become the text that DPDK's drivers parse.

use std::ffi::{CStr, CString};

use crate::device::{Device, DeviceKind};
use crate::error::DeviceError;

/// How a device is named towards DPDK.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct DevArgs {
    pub(crate) bus: &'static CStr,
    /// The device's name on its bus, and the port's name. Virtual ones are found by their prefix.
    pub(crate) name: CString,
    pub(crate) arguments: CString,
}

/// For a device that [`Device::validate`] has passed; `number` is unique in the process.
pub(crate) fn devargs(device: &Device, number: u32) -> Result<DevArgs, DeviceError> {
    let queues = device.queues;
    let flag = |set: bool| if set { "1" } else { "0" };
    let mut arguments: Vec<String> = Vec::new();
    let mut set = |key: &str, value: &str| arguments.push(format!("{key}={value}"));
    let driver = match &device.kind {
        // Made by function calls: see ring.rs. This would be a ring of its own.
        DeviceKind::Ring { .. } => "net_ring",
        DeviceKind::Pci { address } => {
            return Ok(DevArgs {
                bus: c"pci",
                name: text(&address.to_string())?,
                arguments: CString::default(),
            });
        }
        DeviceKind::Pcap { rx_file, tx_file, infinite_rx, rx_interface, tx_interface } => {
            // `rx_iface` would also receive what is sent there.
            let parameters = [
                ("rx_pcap", rx_file),
                ("rx_iface_in", rx_interface),
                ("tx_pcap", tx_file),
                ("tx_iface", tx_interface),
            ];
            for (key, value) in parameters {
                if let Some(value) = value {
                    set(key, value);
                }
            }
            if *infinite_rx {
                set("infinite_rx", "1");
            }
            "net_pcap"
        }
        DeviceKind::Tap { name, persist } => {
            set("iface", name);
            if *persist {
                arguments.push("persist".to_owned());
            }
            "net_tap"
        }
        DeviceKind::AfPacket { interface } => {
            set("iface", interface);
            set("qpairs", &queues.to_string());
            "net_af_packet"
        }
        DeviceKind::AfXdp { interface, force_copy } => {
            set("iface", interface);
            set("queue_count", &queues.to_string());
            set("force_copy", flag(*force_copy));
            "net_af_xdp"
        }
        DeviceKind::Memif { id, server, socket, secret } => {
            set("role", if *server { "server" } else { "client" });
            set("id", &id.to_string());
            set("socket", socket);
            set("socket-abstract", "no");
            if !secret.is_empty() {
                set("secret", secret);
            }
            "net_memif"
        }
        DeviceKind::VhostUser { socket, server } => {
            set("iface", socket);
            set("queues", &queues.to_string());
            set("client", flag(!server));
            // A guest may leave the segmentation of TCP to us.
            set("tso", "1");
            "net_vhost"
        }
        DeviceKind::VirtioUser { socket, server } => {
            set("path", socket);
            set("queues", &queues.to_string());
            set("server", flag(*server));
            "net_virtio_user"
        }
        DeviceKind::Null { generate } => {
            set("no-rx", flag(!generate));
            "net_null"
        }
    };
    Ok(DevArgs {
        bus: c"vdev",
        name: text(&format!("{driver}{number}"))?,
        arguments: text(&arguments.join(","))?,
    })
}

fn text(value: &str) -> Result<CString, DeviceError> {
    CString::new(value).map_err(|_| DeviceError::invalid("device", "contains a zero byte"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(kind: DeviceKind, queues: u16) -> String {
        let device = Device { kind, queues };
        device.validate().unwrap();
        let DevArgs { bus, name, arguments } = devargs(&device, 3).unwrap();
        format!("{}:{},{}", bus.to_str().unwrap(), name.to_str().unwrap(), arguments.to_str().unwrap())
    }

    #[test]
    fn every_parameter_reaches_its_driver() {
        let file = |name: &str| Some(format!("/tmp/{name}"));
        let both = DeviceKind::Pcap {
            rx_file: file("in.pcap"),
            tx_file: file("out.pcap"),
            infinite_rx: true,
            rx_interface: None,
            tx_interface: None,
        };
        assert_eq!(line(both, 1), "vdev:net_pcap3,rx_pcap=/tmp/in.pcap,tx_pcap=/tmp/out.pcap,infinite_rx=1");
        let interfaces = DeviceKind::Pcap {
            rx_file: None,
            tx_file: None,
            infinite_rx: false,
            rx_interface: Some("a".into()),
            tx_interface: Some("b".into()),
        };
        assert_eq!(line(interfaces, 1), "vdev:net_pcap3,rx_iface_in=a,tx_iface=b");
        assert_eq!(line(DeviceKind::Tap { name: "t0".into(), persist: false }, 2), "vdev:net_tap3,iface=t0");
        assert_eq!(
            line(DeviceKind::Tap { name: "t0".into(), persist: true }, 1),
            "vdev:net_tap3,iface=t0,persist"
        );
        assert_eq!(
            line(DeviceKind::AfPacket { interface: "v".into() }, 2),
            "vdev:net_af_packet3,iface=v,qpairs=2"
        );
        assert_eq!(
            line(DeviceKind::AfXdp { interface: "v".into(), force_copy: true }, 4),
            "vdev:net_af_xdp3,iface=v,queue_count=4,force_copy=1"
        );
        let memif = |server, secret: &str| DeviceKind::Memif {
            id: 7,
            server,
            socket: "/run/m".into(),
            secret: secret.into(),
        };
        assert_eq!(
            line(memif(true, ""), 1),
            "vdev:net_memif3,role=server,id=7,socket=/run/m,socket-abstract=no"
        );
        assert_eq!(
            line(memif(false, "s3"), 1),
            "vdev:net_memif3,role=client,id=7,socket=/run/m,socket-abstract=no,secret=s3"
        );
        let socket = || "/run/v".to_owned();
        assert_eq!(
            line(DeviceKind::VhostUser { socket: socket(), server: false }, 2),
            "vdev:net_vhost3,iface=/run/v,queues=2,client=1,tso=1"
        );
        assert_eq!(
            line(DeviceKind::VirtioUser { socket: socket(), server: true }, 2),
            "vdev:net_virtio_user3,path=/run/v,queues=2,server=1"
        );
        assert_eq!(line(DeviceKind::Null { generate: false }, 1), "vdev:net_null3,no-rx=1");
        assert_eq!(line(DeviceKind::Null { generate: true }, 1), "vdev:net_null3,no-rx=0");
        assert_eq!(line(DeviceKind::Pci { address: "03:00.1".parse().unwrap() }, 1), "pci:0000:03:00.1,");
    }
}
