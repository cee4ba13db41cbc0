//! One vrouterd, started as an operator would, programmed over gRPC, ended by signal.

use std::{
    fs,
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use agent_api::v1::{
    self, Batch, ListNeighboursRequest, Neighbour, Operation, StatsRequest, StatsResponse, SyncClose,
    SyncOpen, SyncRequest, agent_client::AgentClient, sync_request, sync_response,
};
use anyhow::{Context, Result, bail, ensure};
use nix::{sys::signal, unistd::Pid};
use tempfile::TempDir;
use tokio::runtime::{Builder, Runtime};
use tonic::transport::{Channel, Endpoint};

/// How long anything may take that has no reason to take long.
pub(super) const PATIENCE: Duration = Duration::from_secs(20);

/// A running vrouterd.
#[derive(Debug)]
pub(super) struct Process {
    directory: TempDir,
    child: Child,
    runtime: Runtime,
    client: AgentClient<Channel>,
}

/// Waits until something is so.
pub(super) fn wait_for(what: &str, is_so: impl FnMut() -> Result<bool>) -> Result<()> {
    wait_at_most(PATIENCE, what, is_so)
}

/// Waits until something is so, but no longer than `patience`.
pub(super) fn wait_at_most(
    patience: Duration,
    what: &str,
    mut is_so: impl FnMut() -> Result<bool>,
) -> Result<()> {
    let start = Instant::now();
    while !is_so()? {
        ensure!(start.elapsed() < patience, "waited in vain for {what}");
        thread::sleep(Duration::from_micros(200));
    }
    Ok(())
}

impl Process {
    /// Starts it in the calling thread's network namespace.
    ///
    /// # Errors
    /// A program that is not there or does not come up, with what it logged.
    pub(super) fn start(program: &Path, seed: u32) -> Result<Self> {
        let directory = tempfile::Builder::new().prefix("vrouter-golden-").tempdir()?;
        let place = directory.path();
        let socket = place.join("agent.sock");
        let config = format!(
            "[agent]\nlisten = ['unix://{}']\n\
             [memory]\nmode = 'no-huge'\nmegabytes = 64\npackets = 4095\n\
             [flows]\nipv4_sessions = 4096\nipv6_sessions = 4096\nentropy_seed = '{seed}'\n\
             [log]\nlevel = 'info'\n",
            socket.display()
        );
        fs::write(place.join("vrouter.toml"), config)?;
        let mut command = Command::new(program);
        command.arg("--config").arg(place.join("vrouter.toml"));
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("VROUTER_")) {
            command.env_remove(name);
        }
        let log = fs::File::create(place.join("log"))?;
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        let child = Starting(command.spawn().with_context(|| program.display().to_string())?);
        let child = child.wait(&socket, &place.join("log"))?;
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let endpoint = Endpoint::from_shared(format!("unix://{}", socket.display()))?;
        let client = AgentClient::new(runtime.block_on(endpoint.connect())?);
        Ok(Self { directory, child, runtime, client })
    }

    /// Applies one batch; it is in effect afterwards.
    pub(super) fn apply(&mut self, operations: Vec<Operation>) -> Result<()> {
        let batch = Batch { operations, ..Batch::default() };
        let client = &mut self.client;
        let answer = self.runtime.block_on(async {
            client.apply(tokio_stream::iter([batch])).await?.into_inner().message().await
        })?;
        let result = answer.context("a batch has an answer")?;
        ensure!(result.code == 0, "{} ({:?} {})", result.message, result.object, result.field);
        Ok(())
    }

    /// Deletes every object: a replay of nothing.
    pub(super) fn clear(&mut self) -> Result<()> {
        let step = |step| SyncRequest { step: Some(step) };
        let requests = [
            step(sync_request::Step::Open(SyncOpen::default())),
            step(sync_request::Step::Close(SyncClose {})),
        ];
        let client = &mut self.client;
        let closed = self.runtime.block_on(async {
            let mut answers = client.sync(tokio_stream::iter(requests)).await?.into_inner();
            let mut closed = false;
            while let Some(answer) = answers.message().await? {
                closed |= matches!(answer.step, Some(sync_response::Step::Closed(_)));
            }
            Ok::<_, tonic::Status>(closed)
        })?;
        ensure!(closed, "the replay was not closed");
        Ok(())
    }

    /// What it has counted.
    pub(super) fn stats(&mut self) -> Result<StatsResponse> {
        let request = StatsRequest { interfaces: true, drops: true, ..StatsRequest::default() };
        Ok(self.runtime.block_on(self.client.stats(request))?.into_inner())
    }

    /// The sums of the accounting equation alone.
    pub(super) fn accounting(&mut self) -> Result<v1::Accounting> {
        let request = StatsRequest { drops: true, ..StatsRequest::default() };
        let stats = self.runtime.block_on(self.client.stats(request))?.into_inner();
        stats.accounting.context("stats have an accounting")
    }

    /// Its neighbours. The answer passes through the control thread's queue.
    pub(super) fn neighbours(&mut self) -> Result<Vec<Neighbour>> {
        let client = &mut self.client;
        let found = self.runtime.block_on(async {
            let mut answers = client.list_neighbours(ListNeighboursRequest::default()).await?.into_inner();
            let mut found = Vec::new();
            while let Some(answer) = answers.message().await? {
                found.extend(answer.neighbours);
            }
            Ok::<_, tonic::Status>(found)
        })?;
        Ok(found)
    }

    /// What it has logged.
    pub(super) fn log(&self) -> String {
        fs::read_to_string(self.directory.path().join("log")).unwrap_or_default()
    }

    /// Ends it as an operator would.
    ///
    /// # Errors
    /// An exit code that is not 0, or an end that does not come.
    pub(super) fn stop(mut self) -> Result<()> {
        signal::kill(pid(&self.child)?, signal::Signal::SIGTERM)?;
        let mut status = None;
        wait_for("vrouterd to end", || {
            status = self.child.try_wait()?;
            Ok(status.is_some())
        })?;
        let status = status.context("it has ended")?;
        ensure!(status.success(), "vrouterd ended with {status}:\n{}", self.log());
        Ok(())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Ended already is as good.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn pid(child: &Child) -> Result<Pid> {
    Ok(Pid::from_raw(i32::try_from(child.id())?))
}

/// A child that is killed unless it comes up.
struct Starting(Child);

impl Starting {
    fn wait(mut self, socket: &PathBuf, log: &Path) -> Result<Child> {
        let came = wait_for("the agent socket", || {
            if let Some(status) = self.0.try_wait()? {
                bail!("vrouterd ended with {status}:\n{}", fs::read_to_string(log)?);
            }
            Ok(UnixStream::connect(socket).is_ok())
        });
        if let Err(error) = came {
            let _ = self.0.kill();
            let _ = self.0.wait();
            return Err(error);
        }
        Ok(self.0)
    }
}
