//! What can be attached: structured parameters, checked before DPDK sees any of them.

use std::ffi::CString;
use std::fmt;
use std::fs;
use std::path::Path;

use crate::config::PciAddress;
use crate::error::DeviceError;

/// `IFNAMSIZ` less the end mark.
const INTERFACE_NAME: usize = 15;
/// `sizeof(sockaddr_un.sun_path)` less the end mark.
const SOCKET_PATH: usize = 107;
const FILE_PATH: usize = 1024;
/// What memif takes as a secret.
const SECRET: usize = 23;
/// `RTE_PMD_RING_MAX_RX_RINGS`.
const RING_QUEUES: u16 = 16;
const QUEUES: u16 = 64;

/// A device to attach.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Device {
    /// What it is.
    pub kind: DeviceKind,
    /// Pairs of a receive and a transmit queue, at least 1.
    pub queues: u16,
}

/// The kinds of devices, each with its parameters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DeviceKind {
    /// A network card (or a virtual machine's virtio or vmxnet3 device).
    Pci {
        /// Where it is.
        address: PciAddress,
    },
    /// Capture files, or a kernel interface by libpcap. One queue. What is not given receives nothing or
    /// drops what is sent.
    Pcap {
        /// Frames to receive, once.
        rx_file: Option<String>,
        /// Where sent frames go; overwritten.
        tx_file: Option<String>,
        /// Receive the frames of `rx_file` again and again. They are held in packets of the mempool.
        infinite_rx: bool,
        /// Receive from this kernel interface instead of a file.
        rx_interface: Option<String>,
        /// Send to this kernel interface instead of a file.
        tx_interface: Option<String>,
    },
    /// A kernel TAP interface, made here.
    Tap {
        /// Its name, at most 15 bytes.
        name: String,
        /// Whether it stays when the device is detached.
        persist: bool,
    },
    /// An existing kernel interface over `AF_PACKET` sockets.
    AfPacket {
        /// Its name.
        interface: String,
    },
    /// An existing kernel interface over `AF_XDP` sockets.
    AfXdp {
        /// Its name.
        interface: String,
        /// Copy packets even where the kernel's driver could share memory.
        force_copy: bool,
    },
    /// Shared memory with another process.
    Memif {
        /// Number of the connection on its socket; the same at both ends.
        id: u32,
        /// Whether to listen on the socket. A client tries once, when its port is started: while its link
        /// is down, and after its server went away, stop and start the port. Both ends cannot be in one
        /// process.
        server: bool,
        /// Path of the UNIX socket.
        socket: String,
        /// Shared secret, at most 23 bytes; empty for none.
        secret: String,
    },
    /// The host's side of a virtual machine's (or container's) virtio device. The guest may leave checksums and the
    /// segmentation of TCP to it: [`PacketBuf::segment_size`](packet::PacketBuf::segment_size).
    VhostUser {
        /// Path of the UNIX socket.
        socket: String,
        /// Whether to listen. A client connects again by itself when the other end comes back.
        server: bool,
    },
    /// The guest's side of a vhost-user socket: connects to another switch, or is a container's interface.
    /// A client needs its server to attach, and does not connect again after it went away: detach and
    /// attach it. A server is attached when its peer has connected ([`DeviceError::NoPeer`]), and meets
    /// later ones by itself.
    VirtioUser {
        /// Path of the UNIX socket.
        socket: String,
        /// Whether to listen.
        server: bool,
    },
    /// A wire inside this process: two devices of the same name are its ends. With one end only, what is
    /// sent comes back. At most 16 queues, the same number at both ends.
    Ring {
        /// The wire's name.
        name: String,
    },
    /// Drops what is sent.
    Null {
        /// Whether it also makes 64-byte frames of arbitrary content as fast as they are polled (for
        /// measurements); otherwise it receives nothing.
        generate: bool,
    },
}

impl Device {
    /// A device with one queue pair.
    #[must_use]
    pub fn new(kind: DeviceKind) -> Self {
        Self { kind, queues: 1 }
    }

    /// Checks the parameters by themselves; nothing on the machine is looked at.
    ///
    /// # Errors
    /// [`DeviceError::Invalid`] names the parameter.
    pub fn validate(&self) -> Result<(), DeviceError> {
        let most = match &self.kind {
            DeviceKind::Pcap { rx_file, tx_file, infinite_rx, rx_interface, tx_interface } => {
                optional(rx_file, |text| file("pcap.rx_file", text))?;
                optional(tx_file, |text| file("pcap.tx_file", text))?;
                optional(rx_interface, |text| interface("pcap.rx_interface", text))?;
                optional(tx_interface, |text| interface("pcap.tx_interface", text))?;
                if rx_file.is_some() && rx_interface.is_some() {
                    return Err(DeviceError::invalid("pcap.rx_interface", "give it or rx_file, not both"));
                }
                if tx_file.is_some() && tx_interface.is_some() {
                    return Err(DeviceError::invalid("pcap.tx_interface", "give it or tx_file, not both"));
                }
                if *infinite_rx && rx_file.is_none() {
                    return Err(DeviceError::invalid("pcap.infinite_rx", "needs rx_file"));
                }
                1
            }
            DeviceKind::Tap { name, .. } => interface("tap.name", name).map(|()| QUEUES)?,
            DeviceKind::AfPacket { interface: name } => {
                interface("af_packet.interface", name).map(|()| QUEUES)?
            }
            DeviceKind::AfXdp { interface: name, .. } => {
                interface("af_xdp.interface", name).map(|()| QUEUES)?
            }
            DeviceKind::Memif { socket: path, secret, .. } => {
                socket("memif.socket", path)?;
                checked("memif.secret", secret, 0, SECRET, is_plain)?;
                QUEUES
            }
            DeviceKind::VhostUser { socket: path, .. } => {
                socket("vhost_user.socket", path).map(|()| QUEUES)?
            }
            DeviceKind::VirtioUser { socket: path, .. } => {
                socket("virtio_user.socket", path).map(|()| QUEUES)?
            }
            DeviceKind::Ring { name } => checked("ring.name", name, 1, 63, is_plain).map(|()| RING_QUEUES)?,
            DeviceKind::Pci { .. } | DeviceKind::Null { .. } => QUEUES,
        };
        if self.queues == 0 || self.queues > most {
            let what = if most == 1 { "must be 1".to_owned() } else { format!("must be 1 to {most}") };
            return Err(DeviceError::invalid("queues", what));
        }
        Ok(())
    }

    /// The kernel interface whose packets the device sends and receives, if it is bound to one that
    /// exists without it; and the name of that parameter.
    pub(crate) fn kernel_interface(&self) -> Option<(&'static str, &str)> {
        match &self.kind {
            DeviceKind::AfPacket { interface } => Some(("af_packet.interface", interface)),
            DeviceKind::AfXdp { interface, .. } => Some(("af_xdp.interface", interface)),
            DeviceKind::Pcap { rx_interface: Some(interface), .. } => Some(("pcap.rx_interface", interface)),
            DeviceKind::Pcap { tx_interface: Some(interface), .. } => Some(("pcap.tx_interface", interface)),
            _ => None,
        }
    }

    /// The UNIX socket, if any: parameter, path, and whether this end listens on it.
    pub(crate) fn socket(&self) -> Option<(&'static str, &str, bool)> {
        match &self.kind {
            DeviceKind::Memif { socket, server, .. } => Some(("memif.socket", socket, *server)),
            DeviceKind::VhostUser { socket, server } => Some(("vhost_user.socket", socket, *server)),
            DeviceKind::VirtioUser { socket, server } => Some(("virtio_user.socket", socket, *server)),
            _ => None,
        }
    }

    /// Checks that what the parameters name is there, so that the error says what is missing rather than
    /// what a driver makes of it.
    pub(crate) fn check_present(&self) -> Result<(), DeviceError> {
        if let Some((field, name)) = self.kernel_interface()
            && interface_index(name) == 0
        {
            return Err(DeviceError::unavailable(field, format!("there is no interface '{name}'")));
        }
        if let DeviceKind::Pcap { rx_file, tx_file, .. } = &self.kind {
            if let Some(path) = rx_file {
                // Opening something else than a file could wait for ever.
                let reason = match fs::metadata(path) {
                    Ok(data) if data.is_file() => fs::File::open(path).err().map(|error| error.to_string()),
                    Ok(_) => Some("is not a file".to_owned()),
                    Err(error) => Some(error.to_string()),
                };
                if let Some(reason) = reason {
                    return Err(DeviceError::unavailable("pcap.rx_file", format!("{path}: {reason}")));
                }
            }
            if let Some(path) = tx_file {
                directory_of("pcap.tx_file", path)?;
            }
        }
        match self.socket() {
            Some((field, path, true)) => directory_of(field, path),
            _ => Ok(()),
        }
    }
}

impl fmt::Display for Device {
    /// In words, for errors and logs.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let side = |server| if server { "server" } else { "client" };
        match &self.kind {
            DeviceKind::Pci { address } => write!(f, "PCI device {address}"),
            DeviceKind::Pcap { rx_file, tx_file, rx_interface, tx_interface, .. } => {
                let name = |file: &Option<String>, interface: &Option<String>| {
                    file.as_ref().or(interface.as_ref()).map_or("nothing", String::as_str).to_owned()
                };
                write!(f, "pcap from {} to {}", name(rx_file, rx_interface), name(tx_file, tx_interface))
            }
            DeviceKind::Tap { name, .. } => write!(f, "tap '{name}'"),
            DeviceKind::AfPacket { interface } => write!(f, "af_packet on '{interface}'"),
            DeviceKind::AfXdp { interface, .. } => write!(f, "af_xdp on '{interface}'"),
            DeviceKind::Memif { id, server, socket, .. } => {
                write!(f, "memif {} {id} on {socket}", side(*server))
            }
            DeviceKind::VhostUser { socket, server } => write!(f, "vhost-user {} on {socket}", side(*server)),
            DeviceKind::VirtioUser { socket, server } => {
                write!(f, "virtio-user {} on {socket}", side(*server))
            }
            DeviceKind::Ring { name } => write!(f, "ring '{name}'"),
            DeviceKind::Null { .. } => write!(f, "null"),
        }
    }
}

/// The kernel's number of an interface in this thread's network namespace; 0 if there is none.
pub(crate) fn interface_index(name: &str) -> u32 {
    let Ok(name) = CString::new(name) else { return 0 };
    // SAFETY: a NUL-terminated string that is only read.
    unsafe { libc::if_nametoindex(name.as_ptr()) }
}

fn optional(
    value: &Option<String>,
    check: impl Fn(&str) -> Result<(), DeviceError>,
) -> Result<(), DeviceError> {
    value.as_deref().map_or(Ok(()), check)
}

/// Letters, digits and marks that mean nothing to DPDK's parser, to a shell or to the kernel.
fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.' | b'@')
}

fn is_path(byte: u8) -> bool {
    is_plain(byte) || matches!(byte, b'/' | b'+' | b'~')
}

fn checked(
    field: &'static str,
    text: &str,
    least: usize,
    most: usize,
    allowed: fn(u8) -> bool,
) -> Result<(), DeviceError> {
    if text.len() < least || text.len() > most {
        return Err(DeviceError::invalid(field, format!("must be {least} to {most} bytes long")));
    }
    match text.chars().find(|&c| !u8::try_from(c).is_ok_and(allowed)) {
        Some(c) => Err(DeviceError::invalid(field, format!("must not contain {c:?}"))),
        None => Ok(()),
    }
}

fn interface(field: &'static str, name: &str) -> Result<(), DeviceError> {
    checked(field, name, 1, INTERFACE_NAME, is_plain)?;
    if name == "." || name == ".." {
        return Err(DeviceError::invalid(field, "is not an interface name"));
    }
    Ok(())
}

fn absolute(field: &'static str, path: &str, most: usize) -> Result<(), DeviceError> {
    checked(field, path, 1, most, is_path)?;
    if !path.starts_with('/') || path.ends_with('/') || path.split('/').any(|part| part == "..") {
        return Err(DeviceError::invalid(field, "must be the absolute path of a file, without '..'"));
    }
    Ok(())
}

fn file(field: &'static str, path: &str) -> Result<(), DeviceError> {
    absolute(field, path, FILE_PATH)
}

fn socket(field: &'static str, path: &str) -> Result<(), DeviceError> {
    absolute(field, path, SOCKET_PATH)
}

fn directory_of(field: &'static str, path: &str) -> Result<(), DeviceError> {
    let directory = Path::new(path).parent().unwrap_or(Path::new("/"));
    if directory.is_dir() {
        Ok(())
    } else {
        Err(DeviceError::unavailable(field, format!("there is no directory {}", directory.display())))
    }
}
