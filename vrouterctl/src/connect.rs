//! The way to the vRouter: a UNIX socket, plain TCP on this machine, or TLS.

use std::{fs, path::PathBuf, time::Duration};

use agent_api::{MAX_MESSAGE_BYTES, v1::agent_client::AgentClient};
use clap::Args;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity};

use crate::error::{Error, innermost};

pub(crate) type Client = AgentClient<Channel>;

/// How long to try.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

#[derive(Debug, Args)]
#[command(next_help_heading = "Connection")]
pub(crate) struct Connection {
    /// Where the vRouter listens: unix:///PATH, http://127.0.0.1:PORT or https://HOST:PORT
    #[arg(long, global = true, env = "VROUTER_AGENT", value_name = "ADDRESS",
          default_value_t = format!("unix://{}", agent_api::DEFAULT_SOCKET))]
    agent: String,
    /// Certificate of the authority that signed the vRouter's certificate (PEM), for https
    #[arg(long, global = true, value_name = "FILE")]
    ca: Option<PathBuf>,
    /// Our certificate (PEM), for https
    #[arg(long, global = true, value_name = "FILE")]
    cert: Option<PathBuf>,
    /// The key of our certificate (PEM), for https
    #[arg(long, global = true, value_name = "FILE")]
    key: Option<PathBuf>,
}

impl Connection {
    /// Connects, for at most five seconds.
    ///
    /// # Errors
    /// `Usage` for an address or certificate that cannot be used, `Connect` if nobody answers.
    pub(crate) async fn open(&self) -> Result<Client, Error> {
        let address = self.address()?;
        let mut endpoint = Endpoint::from_shared(address.clone())
            .map_err(|error| Error::Usage(format!("--agent {}: {error}", self.agent)))?
            .connect_timeout(CONNECT_TIMEOUT);
        if address.starts_with("https://") {
            endpoint = endpoint.tls_config(self.tls()?).map_err(|error| {
                Error::Usage(format!("the certificates cannot be used: {}", innermost(&error)))
            })?;
        }
        let channel = endpoint.connect().await.map_err(|error| {
            Error::Connect(format!("cannot connect to {}: {}", self.agent, innermost(&error)))
        })?;
        Ok(AgentClient::new(channel)
            .max_decoding_message_size(MAX_MESSAGE_BYTES)
            .max_encoding_message_size(MAX_MESSAGE_BYTES))
    }

    fn address(&self) -> Result<String, Error> {
        if self.agent.starts_with('/') {
            return Ok(format!("unix://{}", self.agent));
        }
        if ["unix:/", "http://", "https://"].iter().any(|scheme| self.agent.starts_with(scheme)) {
            return Ok(self.agent.clone());
        }
        Err(Error::Usage(format!(
            "--agent {}: expected unix:///PATH, http://127.0.0.1:PORT or https://HOST:PORT",
            self.agent
        )))
    }

    fn tls(&self) -> Result<ClientTlsConfig, Error> {
        let (Some(ca), Some(cert), Some(key)) = (&self.ca, &self.cert, &self.key) else {
            return Err(Error::Usage("https needs --ca, --cert and --key".into()));
        };
        Ok(ClientTlsConfig::new()
            .ca_certificate(Certificate::from_pem(read(ca)?))
            .identity(Identity::from_pem(read(cert)?, read(key)?)))
    }
}

fn read(path: &PathBuf) -> Result<Vec<u8>, Error> {
    fs::read(path).map_err(|error| Error::Usage(format!("{}: {error}", path.display())))
}
