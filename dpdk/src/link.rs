//! Whether the other end is there.

use std::mem;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

/// A port's link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Link {
    /// Whether packets can get through: cable plugged in, peer connected, kernel interface running.
    pub up: bool,
    /// Speed, where it means something.
    pub speed_mbps: Option<u32>,
    /// Whether both directions work at once.
    pub full_duplex: bool,
}

/// Whether a kernel interface exists, is up and has a carrier.
pub(crate) fn is_running(name: &str) -> bool {
    // SAFETY: an ifreq is plain bytes. The kernel reads the name, which ends with a zero byte because
    // fewer bytes than fit are written, and writes the flags; the socket is closed by its owner.
    unsafe {
        let mut request: libc::ifreq = mem::zeroed();
        let room = request.ifr_name.len() - 1;
        for (to, from) in request.ifr_name.iter_mut().take(room).zip(name.bytes()) {
            *to = from as libc::c_char;
        }
        let socket = libc::socket(libc::AF_INET, libc::SOCK_DGRAM | libc::SOCK_CLOEXEC, 0);
        if socket < 0 {
            return false;
        }
        let socket = OwnedFd::from_raw_fd(socket);
        let found = libc::ioctl(socket.as_raw_fd(), libc::SIOCGIFFLAGS, &raw mut request) == 0;
        let wanted = libc::IFF_UP | libc::IFF_RUNNING;
        found && i32::from(request.ifr_ifru.ifru_flags) & wanted == wanted
    }
}
