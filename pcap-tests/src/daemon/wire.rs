//! Cables between the test and a daemon: pairs of kernel interfaces in a network namespace that only the calling
//! thread and its children see, and that the kernel takes away when the last of them ends.

use std::{
    fs, io,
    os::fd::{AsRawFd, OwnedFd},
    process::Command,
};

use anyhow::{Context, Result, ensure};
use nix::{
    errno::Errno,
    ifaddrs::getifaddrs,
    sched::{CloneFlags, unshare},
    sys::socket::{AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, bind, recv, send, socket},
};

/// Longer than any frame of a case.
const FRAME: usize = 65_536;
/// What both ends carry: more than any interface of a case has.
const MTU: &str = "9216";

/// Moves the calling thread into a network namespace of its own, for good.
///
/// # Errors
/// Without the right to (`CAP_SYS_ADMIN`).
pub(super) fn leave_network() -> Result<()> {
    unshare(CloneFlags::CLONE_NEWNET).context("a network namespace of one's own")?;
    // The kernel is a cable here: it says nothing on its own. Without IPv6 it has nothing to say.
    match fs::write("/proc/sys/net/ipv6/conf/default/disable_ipv6", "1") {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error).context("disable_ipv6"),
        _ => Ok(()),
    }
}

/// One cable: the daemon's port is at one end, the test at the other.
#[derive(Debug)]
pub(super) struct Cable {
    /// The kernel interface at the daemon's end.
    pub(super) end: String,
    socket: OwnedFd,
    buffer: Vec<u8>,
}

impl Cable {
    /// Lays the cable with this number.
    ///
    /// # Errors
    /// What the kernel or `ip` has against it.
    pub(super) fn lay(number: usize) -> Result<Self> {
        let (end, ours) = (format!("port{number}"), format!("test{number}"));
        ip(&["link", "add", &end, "mtu", MTU, "type", "veth", "peer", "name", &ours, "mtu", MTU])?;
        for name in [&end, &ours] {
            ip(&["link", "set", name, "arp", "off", "up"])?;
        }
        let kind = (AddressFamily::Packet, SockType::Raw, SockFlag::SOCK_CLOEXEC);
        let socket = socket(kind.0, kind.1, kind.2, SockProtocol::EthAll)?;
        let link = getifaddrs()?
            .filter(|interface| interface.interface_name == ours)
            .find_map(|interface| interface.address?.as_link_addr().copied())
            .with_context(|| format!("{ours} has no link-layer address"))?;
        bind(socket.as_raw_fd(), &link)?;
        let mut cable = Self { end, socket, buffer: vec![0; FRAME] };
        // What all interfaces had to say before this one was named.
        while cable.receive()?.is_some() {}
        Ok(cable)
    }

    /// Sends a frame to the daemon.
    ///
    /// # Errors
    /// A frame that no Ethernet carries.
    pub(super) fn send(&self, frame: &[u8]) -> Result<()> {
        let sent =
            send(self.socket.as_raw_fd(), frame, MsgFlags::empty()).context("a frame to the daemon")?;
        ensure!(sent == frame.len(), "{sent} of {} bytes were sent", frame.len());
        Ok(())
    }

    /// The next frame from the daemon, if one is there.
    ///
    /// # Errors
    /// An interface that is gone.
    pub(super) fn receive(&mut self) -> Result<Option<Vec<u8>>> {
        match recv(self.socket.as_raw_fd(), &mut self.buffer, MsgFlags::MSG_DONTWAIT) {
            Ok(length) => Ok(Some(self.buffer[..length].to_vec())),
            Err(Errno::EAGAIN) => Ok(None),
            Err(error) => Err(error).context("a frame from the daemon"),
        }
    }
}

fn ip(arguments: &[&str]) -> Result<()> {
    let output = Command::new("ip").args(arguments).output().context("ip (iproute2)")?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "ip {}: {}", arguments.join(" "), said.trim());
    Ok(())
}
