//! UNIX sockets that a device listens on: a server that was killed leaves its file, and no server starts
//! while it is there.

use std::fs;
use std::io;
use std::os::unix::fs::FileTypeExt;
use std::os::unix::net::{UnixDatagram, UnixListener, UnixStream};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

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

/// Listens in the place of a driver that would block until its peer connects.
#[derive(Debug)]
pub(crate) struct Placeholder {
    listener: UnixListener,
    path: String,
}

impl Placeholder {
    pub(crate) fn new(field: &'static str, path: &str) -> Result<Self, DeviceError> {
        make_free(field, path)?;
        let listener = UnixListener::bind(path).and_then(|listener| {
            listener.set_nonblocking(true)?;
            Ok(listener)
        });
        match listener {
            Ok(listener) => Ok(Self { listener, path: path.to_owned() }),
            Err(error) => Err(DeviceError::unavailable(field, format!("{path}: {error}"))),
        }
    }

    /// Whether a peer is there. It is turned away and comes back, as peers of servers do.
    pub(crate) fn peer_came(&self) -> bool {
        self.listener.accept().is_ok()
    }
}

impl Drop for Placeholder {
    fn drop(&mut self) {
        drop(remove(&self.path));
    }
}

/// Runs `work`, which waits for a peer to connect to `path`; after `patience` without one, a connection
/// that is closed at once ends the wait. Returns the result and whether that happened.
pub(crate) fn with_patience<T>(path: &str, patience: Duration, work: impl FnOnce() -> T) -> (T, bool) {
    let (done, waiting) = mpsc::channel::<()>();
    thread::scope(|scope| {
        let watch = scope.spawn(move || {
            let expired = waiting.recv_timeout(patience) == Err(mpsc::RecvTimeoutError::Timeout);
            if expired {
                drop(UnixStream::connect(path));
            }
            expired
        });
        let result = work();
        drop(done);
        (result, watch.join().unwrap_or(false))
    })
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
    #[test]
    fn a_placeholder_sees_a_peer_and_leaves_no_file() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("socket");
        let placeholder = Placeholder::new("x", path.to_str().unwrap()).unwrap();
        assert!(!placeholder.peer_came());
        let _peer = UnixStream::connect(&path).unwrap();
        assert!(placeholder.peer_came());
        assert!(!placeholder.peer_came());
        drop(placeholder);
        assert!(!path.exists());
    }

    #[test]
    fn waiting_for_a_peer_ends() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("socket");
        let listener = UnixListener::bind(&path).unwrap();
        let (accepted, gave_up) =
            with_patience(path.to_str().unwrap(), Duration::from_millis(1), || listener.accept().is_ok());
        assert!(accepted && gave_up);
        let (three, gave_up) = with_patience(path.to_str().unwrap(), Duration::from_secs(60), || 3);
        assert!(three == 3 && !gave_up);
    }
}
