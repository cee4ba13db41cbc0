//! UNIX sockets that a device listens on: a server that was killed leaves its file, and no server starts
//! while it is there.

use std::fs;
use std::io;
use std::os::unix::fs::FileTypeExt;
use std::os::unix::net::UnixDatagram;

use crate::error::DeviceError;

/// Makes `path` free for a new server: removes a socket that nobody listens on.
pub(crate) fn make_free(field: &'static str, path: &str) -> Result<(), DeviceError> {
    let busy = |reason: &str| Err(DeviceError::unavailable(field, format!("{path}: {reason}")));
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return busy(&error.to_string()),
        Ok(data) if !data.file_type().is_socket() => return busy("exists and is not a socket"),
        Ok(_) => {}
    }
    // A datagram socket cannot connect to a listener: the kernel answers "wrong type", unseen by the
    // listener, and "refused" only where there is none.
    match UnixDatagram::unbound().and_then(|probe| probe.connect(path)) {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => remove(path).map_err(|error| {
            DeviceError::unavailable(field, format!("{path}: cannot remove a left-over socket: {error}"))
        }),
        _ => busy("another process, or another device of this one, listens there"),
    }
}

/// Removes a socket's file, and nothing else.
pub(crate) fn remove(path: &str) -> io::Result<()> {
    match fs::symlink_metadata(path) {
        Ok(data) if data.file_type().is_socket() => fs::remove_file(path),
        Ok(_) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::{UnixListener, UnixStream};

    use super::*;

    #[test]
    fn a_left_over_socket_is_removed_and_anything_else_is_not() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("socket");
        let text = path.to_str().unwrap();
        assert!(make_free("x", text).is_ok(), "nothing there");

        let listener = UnixListener::bind(&path).unwrap();
        assert!(make_free("x", text).unwrap_err().to_string().contains("listens there"));
        UnixStream::connect(&path).expect("the listener was not disturbed");
        drop(listener);
        make_free("x", text).unwrap();
        assert!(!path.exists());

        fs::write(&path, "precious").unwrap();
        assert!(make_free("x", text).unwrap_err().to_string().contains("not a socket"));
        remove(text).unwrap();
        assert!(path.exists());
    }
}
