//! Where the agent API is served: UNIX sockets, TCP with mutual TLS, and plain TCP on loopback only.

use std::fs;
use std::future::Future;
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::UnixStream as Probe;
use std::path::{Path, PathBuf};

use agent_api::v1::agent_server::{Agent, AgentServer};
use agent_api::{FILE_DESCRIPTOR_SET, MAX_MESSAGE_BYTES};
use thiserror::Error;
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::watch;
use tokio_stream::wrappers::UnixListenerStream;
use tonic::transport::server::{Router, TcpIncoming};
use tonic::transport::{Certificate, Identity, Server, ServerTlsConfig};

/// Who may use a UNIX socket: its owner and group.
const SOCKET_MODE: u32 = 0o660;

/// The three files that mutual TLS needs.
#[derive(Clone, Debug)]
pub struct Tls {
    /// The server's certificate chain, PEM.
    pub certificate: PathBuf,
    /// Its private key, PEM.
    pub key: PathBuf,
    /// The authority that signs controllers' certificates, PEM.
    pub client_ca: PathBuf,
}

/// Why the API cannot be served at an address.
#[derive(Debug, Error)]
pub enum ListenError {
    /// Somebody answers on the socket already.
    #[error("{0}: another vRouter serves this socket; give each its own")]
    Busy(PathBuf),
    /// What is there is not a socket, and is not ours to remove.
    #[error("{0}: exists and is no socket")]
    NoSocket(PathBuf),
    /// Plain TCP would let anybody in.
    #[error("{0}: TCP on anything but loopback needs mutual TLS; set tls_certificate, tls_key and tls_client_ca")]
    NotLoopback(SocketAddr),
    /// A TLS file cannot be used.
    #[error("{path}: {error}")]
    Tls {
        /// The file.
        path: PathBuf,
        /// Why not.
        error: String,
    },
    /// The system refused.
    #[error("{place}: {error}")]
    Io {
        /// The socket or address.
        place: String,
        /// Why.
        error: io::Error,
    },
}

/// An address that is ready to be served.
#[derive(Debug)]
pub enum Listener {
    /// A UNIX socket; the file is removed when this is dropped.
    Unix(UnixListener, SocketFile),
    /// TCP, with TLS where it is not loopback.
    Tcp(TcpListener, Option<Box<ServerTlsConfig>>),
}

/// A socket in the file system, removed when dropped.
#[derive(Debug)]
pub struct SocketFile(PathBuf);

impl Drop for SocketFile {
    fn drop(&mut self) {
        // Gone already is as good.
        let _ = fs::remove_file(&self.0);
    }
}

impl Listener {
    /// Opens a UNIX socket that its owner and group may use. A socket that a killed daemon left is replaced.
    ///
    /// # Errors
    /// [`ListenError`]; nothing is left behind.
    pub fn unix(path: &Path) -> Result<Self, ListenError> {
        let io = |error| ListenError::Io { place: path.display().to_string(), error };
        match fs::symlink_metadata(path) {
            Ok(found) if !found.file_type().is_socket() => return Err(ListenError::NoSocket(path.into())),
            Ok(_) if Probe::connect(path).is_ok() => return Err(ListenError::Busy(path.into())),
            Ok(_) => fs::remove_file(path).map_err(io)?,
            Err(error) if error.kind() == ErrorKind::NotFound => {
                if let Some(directory) = path.parent() {
                    fs::create_dir_all(directory).map_err(io)?;
                }
            }
            Err(error) => return Err(io(error)),
        }
        let listener = UnixListener::bind(path).map_err(io)?;
        let file = SocketFile(path.into());
        fs::set_permissions(path, fs::Permissions::from_mode(SOCKET_MODE)).map_err(io)?;
        Ok(Self::Unix(listener, file))
    }

    /// Opens a TCP address: loopback with or without TLS, any other with TLS only.
    ///
    /// # Errors
    /// [`ListenError`].
    pub async fn tcp(address: SocketAddr, tls: Option<&Tls>) -> Result<Self, ListenError> {
        if tls.is_none() && !address.ip().is_loopback() {
            return Err(ListenError::NotLoopback(address));
        }
        let tls = tls.map(server_tls).transpose()?;
        let listener = TcpListener::bind(address).await;
        let listener = listener.map_err(|error| ListenError::Io { place: address.to_string(), error })?;
        Ok(Self::Tcp(listener, tls.map(Box::new)))
    }

    /// The address in effect of a TCP listener.
    #[must_use]
    pub fn address(&self) -> Option<SocketAddr> {
        match self {
            Self::Unix(..) => None,
            Self::Tcp(listener, _) => listener.local_addr().ok(),
        }
    }

    /// Serves until `stop` says so, then lets running calls end.
    ///
    /// # Errors
    /// What broke the server.
    pub async fn serve<A: Agent>(
        self,
        agent: AgentServer<A>,
        stop: watch::Receiver<bool>,
    ) -> Result<(), tonic::transport::Error> {
        match self {
            Self::Unix(listener, _file) => {
                let incoming = UnixListenerStream::new(listener);
                routes(Server::builder(), agent).await.serve_with_incoming_shutdown(incoming, told(stop)).await
            }
            Self::Tcp(listener, tls) => {
                let mut server = Server::builder();
                if let Some(tls) = tls {
                    server = server.tls_config(*tls)?;
                }
                let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
                routes(server, agent).await.serve_with_incoming_shutdown(incoming, told(stop)).await
            }
        }
    }
}

fn told(mut stop: watch::Receiver<bool>) -> impl Future<Output = ()> {
    async move {
        // The sender is gone only when the process ends: that is being told as well.
        let _ = stop.wait_for(|stop| *stop).await;
    }
}

/// The agent service with health and reflection beside it.
async fn routes<A: Agent>(mut server: Server, agent: AgentServer<A>) -> Router {
    let (reporter, health) = tonic_health::server::health_reporter();
    reporter.set_serving::<AgentServer<A>>().await;
    let agent = agent.max_decoding_message_size(MAX_MESSAGE_BYTES).max_encoding_message_size(MAX_MESSAGE_BYTES);
    let router = server.add_service(agent).add_service(health);
    let reflection = tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(FILE_DESCRIPTOR_SET)
        .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
        .build_v1();
    match reflection {
        Ok(reflection) => router.add_service(reflection),
        Err(error) => {
            tracing::error!(%error, "the API is served without reflection");
            router
        }
    }
}

fn server_tls(tls: &Tls) -> Result<ServerTlsConfig, ListenError> {
    let read = |path: &PathBuf| {
        fs::read(path).map_err(|error| ListenError::Tls { path: path.clone(), error: error.to_string() })
    };
    let identity = Identity::from_pem(read(&tls.certificate)?, read(&tls.key)?);
    let authority = Certificate::from_pem(read(&tls.client_ca)?);
    Ok(ServerTlsConfig::new().identity(identity).client_ca_root(authority))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_stale_socket_is_replaced_and_a_used_one_is_not() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("run/agent.sock");
        let first = Listener::unix(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, SOCKET_MODE);
        assert!(matches!(Listener::unix(&path), Err(ListenError::Busy(_))));
        // As after kill -9: the file stays, nobody listens.
        let Listener::Unix(listener, file) = first else { panic!("a UNIX listener") };
        drop(listener);
        let second = Listener::unix(&path).unwrap();
        drop(second);
        assert!(!path.exists(), "removed at the end");
        drop(file);
    }

    #[tokio::test]
    async fn a_file_that_is_no_socket_is_left_alone() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("precious");
        fs::write(&path, "data").unwrap();
        assert!(matches!(Listener::unix(&path), Err(ListenError::NoSocket(_))));
        assert_eq!(fs::read(&path).unwrap(), b"data");
    }

    #[tokio::test]
    async fn plain_tcp_is_for_loopback_only() {
        let anywhere = "0.0.0.0:0".parse().unwrap();
        assert!(matches!(Listener::tcp(anywhere, None).await, Err(ListenError::NotLoopback(_))));
        let loopback = Listener::tcp("127.0.0.1:0".parse().unwrap(), None).await.unwrap();
        assert!(loopback.address().is_some_and(|address| address.port() != 0));
    }

    #[tokio::test]
    async fn a_missing_certificate_is_named() {
        let tls = Tls {
            certificate: "/nonexistent/cert.pem".into(),
            key: "/nonexistent/key.pem".into(),
            client_ca: "/nonexistent/ca.pem".into(),
        };
        let error = Listener::tcp("127.0.0.1:0".parse().unwrap(), Some(&tls)).await.unwrap_err();
        assert!(error.to_string().starts_with("/nonexistent/cert.pem: "), "{error}");
    }
}
