//! Telling the service manager (`systemd`, `Type=notify`) that we are ready or on our way out.

use std::env;
use std::io;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};

/// Sends `state` (`READY=1`, `STOPPING=1`) if somebody wants to know.
pub(super) fn tell(state: &str) {
    let Some(path) = env::var_os("NOTIFY_SOCKET") else { return };
    if let Err(error) = send(path.as_encoded_bytes(), state) {
        tracing::warn!(%error, state, "the service manager was not told");
    }
}

fn send(path: &[u8], state: &str) -> io::Result<()> {
    let address = match path.split_first() {
        Some((b'@', name)) => SocketAddr::from_abstract_name(name)?,
        _ => SocketAddr::from_pathname(std::str::from_utf8(path).map_err(io::Error::other)?)?,
    };
    UnixDatagram::unbound()?.send_to_addr(state.as_bytes(), &address).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_manager_hears_it_by_path_and_by_abstract_name() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("notify");
        let name = format!("vrouter-test-{}", std::process::id());
        let by_path = (SocketAddr::from_pathname(&path).unwrap(), path.display().to_string());
        let by_name = (SocketAddr::from_abstract_name(&name).unwrap(), format!("@{name}"));
        for (address, text) in [by_path, by_name] {
            let manager = UnixDatagram::bind_addr(&address).unwrap();
            send(text.as_bytes(), "READY=1").unwrap();
            let mut buffer = [0; 16];
            let length = manager.recv(&mut buffer).unwrap();
            assert_eq!(&buffer[..length], b"READY=1");
        }
        assert!(send(b"/nonexistent/notify", "READY=1").is_err());
    }
}
