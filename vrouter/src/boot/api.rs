//! The agent API's listeners, from the first to the last call.

use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result};
use tokio::sync::mpsc::UnboundedSender;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::agent::{Agent, Endpoint, Listeners, Tls};
use crate::config::{self, Config, Listen};

/// How long running calls may take to end; watchers would never.
const GRACE: Duration = Duration::from_secs(1);

/// The running server.
pub(super) struct Api {
    stop: watch::Sender<bool>,
    server: JoinHandle<()>,
}

impl Api {
    /// Listens everywhere; UNIX sockets appear last, so that whoever waits for one finds everything there.
    ///
    /// # Errors
    /// Names the address; nothing is left behind.
    pub(super) fn start(config: &Config, agent: Agent, failed: &UnboundedSender<String>) -> Result<Self> {
        let tls = tls(&config.agent)?;
        let (mut endpoints, mut sockets) = (Vec::new(), Vec::new());
        for listen in &config.agent.listen {
            match (listen, &tls) {
                (Listen::Unix(path), _) => sockets.push(Endpoint::Unix(path.clone())),
                (Listen::Tcp(address), Some(tls)) => endpoints.push(Endpoint::Tls(*address, tls.clone())),
                (Listen::Tcp(address), None) => endpoints.push(Endpoint::Tcp(*address)),
            }
        }
        endpoints.append(&mut sockets);
        let listeners = Listeners::bind(&endpoints).context("agent.listen")?;
        for listen in &config.agent.listen {
            tracing::info!(address = %listen, "serving the agent API");
        }
        let (stop, stopped) = watch::channel(false);
        let failed = failed.clone();
        let server = tokio::spawn(async move {
            if let Err(error) = listeners.serve(agent, stopped).await {
                // Nobody listens only if the process is ending anyway.
                let _ = failed.send(error.to_string());
            }
        });
        Ok(Self { stop, server })
    }

    /// Takes no more calls and lets running ones end, for a moment.
    pub(super) async fn stop(mut self) {
        self.stop.send_replace(true);
        if tokio::time::timeout(GRACE, &mut self.server).await.is_err() {
            self.server.abort();
            // Aborted or ended: the sockets are gone either way.
            let _ = self.server.await;
        }
    }
}

/// Checked: all three files are given, or none.
fn tls(agent: &config::Agent) -> Result<Option<Tls>> {
    if agent.tls_certificate == Path::new("") {
        return Ok(None);
    }
    let read = |setting: &'static str, path: &Path| {
        fs::read(path).with_context(|| format!("agent.{setting}: {}", path.display()))
    };
    Ok(Some(Tls {
        certificate: read("tls_certificate", &agent.tls_certificate)?,
        key: read("tls_key", &agent.tls_key)?,
        client_ca: read("tls_client_ca", &agent.tls_client_ca)?,
    }))
}
