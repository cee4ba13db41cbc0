//! Where the API is served: a UNIX socket, or TCP; TCP beyond the machine only with certificates on both sides.

use std::{
    fs, io,
    net::{SocketAddr, TcpListener as StdTcpListener},
    os::unix::{
        fs::{DirBuilderExt as _, FileTypeExt as _, MetadataExt as _, PermissionsExt as _},
        net::{UnixListener as StdUnixListener, UnixStream},
    },
    path::{Path, PathBuf},
    time::Duration,
};

use agent_api::{MAX_MESSAGE_BYTES, v1::agent_server::AgentServer};
use tokio::{
    net::{TcpListener, UnixListener},
    sync::watch,
    task::JoinSet,
};
use tokio_stream::wrappers::{TcpListenerStream, UnixListenerStream};
use tonic::transport::{Certificate, Identity, Server, ServerTlsConfig, server::Router};

use super::Agent;

/// How long running calls may take to end.
const GRACE: Duration = Duration::from_millis(500);

/// A place to listen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Endpoint {
    /// A UNIX socket, mode 0660.
    Unix(PathBuf),
    /// TCP without certificates: on a loopback address only.
    Tcp(SocketAddr),
    /// TCP with certificates on both sides.
    Tls(SocketAddr, Tls),
}

/// Certificates, as PEM.
#[derive(Clone, PartialEq, Eq)]
pub struct Tls {
    /// The server's certificate, with whatever stands between it and its root.
    pub certificate: Vec<u8>,
    /// Its private key.
    pub key: Vec<u8>,
    /// The authorities that sign clients' certificates.
    pub client_ca: Vec<u8>,
}

impl std::fmt::Debug for Tls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Tls")
    }
}

/// Why it cannot be served somewhere.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// Somebody else is there.
    #[error("{0}: another process serves this socket")]
    InUse(PathBuf),
    /// Something else is there.
    #[error("{0} exists and is no socket: remove it, or listen elsewhere")]
    NoSocket(PathBuf),
    /// The system says no.
    #[error("cannot listen on {place}: {error}")]
    System {
        /// Where.
        place: String,
        /// Why not.
        error: io::Error,
    },
    /// TCP beyond the machine without certificates.
    #[error(
        "tcp://{0}: beyond loopback the API is served with certificates only: set tls_certificate, tls_key and tls_client_ca"
    )]
    Plain(SocketAddr),
    /// Certificates that are none.
    #[error("tcp://{0}: certificate, key or client CA cannot be used: {1}")]
    Certificates(SocketAddr, String),
}

/// Why serving ended early.
#[derive(Debug, thiserror::Error)]
#[error("the agent server failed: {0}")]
pub struct ServeError(String);

/// Open sockets; closed, and removed from the file system, when dropped.
#[derive(Debug)]
pub struct Listeners {
    open: Vec<Open>,
}

#[derive(Debug)]
enum Open {
    Unix(StdUnixListener, SocketFile),
    Tcp(StdTcpListener),
    Tls(StdTcpListener, Box<ServerTlsConfig>),
}

/// A socket's name, which goes with the socket.
#[derive(Debug)]
struct SocketFile {
    path: PathBuf,
    inode: u64,
    // Dropped after the socket is gone.
    _directory: Option<SocketDirectory>,
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        // Another process may serve there by now: its socket is not ours to remove.
        if fs::symlink_metadata(&self.path).is_ok_and(|found| found.ino() == self.inode) {
            let _gone = fs::remove_file(&self.path);
        }
    }
}

/// A directory made for a socket; goes again if nothing else is in it.
#[derive(Debug)]
struct SocketDirectory(PathBuf);

impl SocketDirectory {
    /// Makes the directory that the socket is to be in, where only that one is missing: `/run` forgets
    /// `/run/vrouter` at every boot.
    fn make_for(socket: &Path) -> io::Result<Option<Self>> {
        let Some(directory) = socket.parent().filter(|path| !path.as_os_str().is_empty()) else {
            return Ok(None);
        };
        match fs::DirBuilder::new().mode(0o755).create(directory) {
            Ok(()) => Ok(Some(Self(directory.to_owned()))),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(None),
            Err(error) => Err(error),
        }
    }
}

impl Drop for SocketDirectory {
    fn drop(&mut self) {
        // Refused while anybody else has something there.
        let _gone = fs::remove_dir(&self.0);
    }
}

impl Listeners {
    /// Opens all places, or none.
    ///
    /// # Errors
    /// Why one of them cannot be had.
    pub fn bind(endpoints: &[Endpoint]) -> Result<Self, ListenError> {
        let open = endpoints.iter().map(|endpoint| match endpoint {
            Endpoint::Unix(path) => bind_unix(path),
            Endpoint::Tcp(address) if !address.ip().is_loopback() => Err(ListenError::Plain(*address)),
            Endpoint::Tcp(address) => bind_tcp(*address).map(Open::Tcp),
            Endpoint::Tls(address, tls) => {
                let config = ServerTlsConfig::new()
                    .identity(Identity::from_pem(&tls.certificate, &tls.key))
                    .client_ca_root(Certificate::from_pem(&tls.client_ca));
                // Tried here, so that a bad file is told at start.
                let tried = Server::builder().tls_config(config.clone());
                tried.map_err(|error| ListenError::Certificates(*address, chain(&error)))?;
                Ok(Open::Tls(bind_tcp(*address)?, Box::new(config)))
            }
        });
        Ok(Self { open: open.collect::<Result<_, _>>()? })
    }

    /// The TCP addresses in effect, in order: port 0 has become a number.
    #[must_use]
    pub fn tcp_addresses(&self) -> Vec<SocketAddr> {
        let addresses = self.open.iter().filter_map(|open| match open {
            Open::Unix(..) => None,
            Open::Tcp(listener) | Open::Tls(listener, _) => listener.local_addr().ok(),
        });
        addresses.collect()
    }

    /// Serves until `stop` becomes true, then takes no more calls, lets running ones end for a moment, and removes
    /// the sockets. Needs a Tokio runtime.
    ///
    /// # Errors
    /// A listener failed.
    pub async fn serve(self, agent: Agent, stop: watch::Receiver<bool>) -> Result<(), ServeError> {
        let failed = |error: &dyn std::error::Error| ServeError(chain(error));
        let (reporter, health) = tonic_health::server::health_reporter();
        reporter.set_serving::<AgentServer<Agent>>().await;
        let reflection = || {
            tonic_reflection::server::Builder::configure()
                .register_encoded_file_descriptor_set(agent_api::FILE_DESCRIPTOR_SET)
                .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
        };
        let mut serving = JoinSet::new();
        let mut files = Vec::new();
        for open in self.open {
            let mut server = Server::builder();
            if let Open::Tls(_, config) = &open {
                server = server.tls_config((**config).clone()).map_err(|error| failed(&error))?;
            }
            let service = AgentServer::new(agent.clone())
                .max_decoding_message_size(MAX_MESSAGE_BYTES)
                .max_encoding_message_size(usize::MAX);
            let router = server
                .add_service(service)
                .add_service(health.clone())
                .add_service(reflection().build_v1().map_err(|error| failed(&error))?)
                .add_service(reflection().build_v1alpha().map_err(|error| failed(&error))?);
            match open {
                Open::Unix(listener, file) => {
                    files.push(file);
                    serving.spawn(serve_unix(router, listener, stop.clone()));
                }
                Open::Tcp(listener) | Open::Tls(listener, _) => {
                    serving.spawn(serve_tcp(router, listener, stop.clone()));
                }
            }
        }
        while let Some(ended) = serving.join_next().await {
            ended.map_err(|error| failed(&error))?.map_err(ServeError)?;
        }
        drop(files);
        Ok(())
    }
}

/// Ready when serving is to end.
async fn stopped(mut stop: watch::Receiver<bool>) {
    // An error means that whoever could stop us has gone: that stops us too.
    let _ = stop.wait_for(|stop| *stop).await;
}

/// Streams that nobody ends would hold up the end for ever.
async fn impatient(stop: watch::Receiver<bool>) {
    stopped(stop).await;
    tokio::time::sleep(GRACE).await;
}

async fn serve_unix(
    router: Router,
    listener: StdUnixListener,
    stop: watch::Receiver<bool>,
) -> Result<(), String> {
    let listener = UnixListener::from_std(listener).map_err(|error| error.to_string())?;
    let calls = UnixListenerStream::new(listener);
    tokio::select! {
        result = router.serve_with_incoming_shutdown(calls, stopped(stop.clone())) => {
            result.map_err(|error| chain(&error))
        }
        () = impatient(stop) => Ok(()),
    }
}

async fn serve_tcp(
    router: Router,
    listener: StdTcpListener,
    stop: watch::Receiver<bool>,
) -> Result<(), String> {
    let listener = TcpListener::from_std(listener).map_err(|error| error.to_string())?;
    let calls = TcpListenerStream::new(listener);
    tokio::select! {
        result = router.serve_with_incoming_shutdown(calls, stopped(stop.clone())) => {
            result.map_err(|error| chain(&error))
        }
        () = impatient(stop) => Ok(()),
    }
}

fn bind_tcp(address: SocketAddr) -> Result<StdTcpListener, ListenError> {
    let system = |error| ListenError::System { place: format!("tcp://{address}"), error };
    let listener = StdTcpListener::bind(address).map_err(system)?;
    listener.set_nonblocking(true).map_err(system)?;
    Ok(listener)
}

/// The socket is made under another name and renamed when its mode is right: nobody connects in between, and a
/// stale one is replaced in one step.
fn bind_unix(path: &Path) -> Result<Open, ListenError> {
    let system = |error| ListenError::System { place: format!("unix://{}", path.display()), error };
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(system(error)),
        Ok(found) if !found.file_type().is_socket() => return Err(ListenError::NoSocket(path.to_owned())),
        Ok(_) if UnixStream::connect(path).is_ok() => return Err(ListenError::InUse(path.to_owned())),
        Ok(_) => {}
    }
    let directory = SocketDirectory::make_for(path).map_err(system)?;
    let mut fresh = path.as_os_str().to_owned();
    fresh.push(format!(".{}", std::process::id()));
    let fresh = PathBuf::from(fresh);
    let _stale = fs::remove_file(&fresh);
    let listener = StdUnixListener::bind(&fresh).map_err(system)?;
    let finished = fs::set_permissions(&fresh, fs::Permissions::from_mode(0o660))
        .and_then(|()| fs::rename(&fresh, path))
        .and_then(|()| listener.set_nonblocking(true))
        .and_then(|()| fs::symlink_metadata(path));
    match finished {
        Ok(found) => {
            let file = SocketFile { path: path.to_owned(), inode: found.ino(), _directory: directory };
            Ok(Open::Unix(listener, file))
        }
        Err(error) => {
            let _gone = fs::remove_file(&fresh);
            Err(system(error))
        }
    }
}

/// An error with what caused it.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}
