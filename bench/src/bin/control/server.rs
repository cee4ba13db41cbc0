//! The agent server over the measured node's control side, and a client of it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use agent_api::v1::agent_client::AgentClient;
use agent_api::v1::{Batch, Operation};
use anyhow::{Context as _, Result, ensure};
use flow::FlowTable;
use packet::{InterfaceId, WorkerId};
use tempfile::TempDir;
use tokio::runtime::Runtime;
use tokio::sync::watch;
use tonic::transport::Channel;
use vrouter::agent::{Agent, Dataplane, Endpoint, Listeners, WorkerReport};
use vrouter::control::{Control, ControlThread, MemoryPorts, NoWorkers};
use vrouter::datapath::{DropSample, Explanation, WorkerCounters};
use vrouter::tables::Tables;

/// What the agent shows of the worker.
struct Shown {
    counters: Arc<WorkerCounters>,
    flows: Arc<FlowTable>,
}

impl Dataplane for Shown {
    fn workers(&self) -> Vec<WorkerReport> {
        let counters = Arc::clone(&self.counters);
        vec![WorkerReport { core: None, poll: "busy", counters, queues: Vec::new(), generation: 0 }]
    }

    fn flows(&self) -> Option<Arc<FlowTable>> {
        Some(Arc::clone(&self.flows))
    }

    fn explain(&self, _: &Tables, _: InterfaceId, _: &[u8]) -> Option<Explanation> {
        None
    }

    fn take_samples(&self, _: &mut dyn FnMut(WorkerId, DropSample)) {}

    fn milliseconds(&self) -> u64 {
        0
    }

    fn dpdk(&self) -> String {
        String::new()
    }
}

/// A controller with a connection to the server, which ends with it.
pub(crate) struct Controller {
    runtime: Runtime,
    client: AgentClient<Channel>,
    stop: watch::Sender<bool>,
    _thread: ControlThread,
    _directory: TempDir,
}

impl Controller {
    /// Starts the control thread and the server.
    ///
    /// # Errors
    /// The system does not let us.
    pub(crate) fn start(
        control: Control<MemoryPorts>,
        counters: Arc<WorkerCounters>,
        flows: Arc<FlowTable>,
    ) -> Result<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
        let directory = tempfile::Builder::new().prefix("vrouter-bench-").tempdir()?;
        let socket = directory.path().join("agent.sock");
        let thread = ControlThread::start(control, NoWorkers)?;
        let agent = Agent::new(thread.handle().clone(), Arc::new(Shown { counters, flows }));
        let (stop, stopped) = watch::channel(false);
        let client = runtime.block_on(async {
            let listeners = Listeners::bind(&[Endpoint::Unix(socket.clone())])?;
            tokio::spawn(listeners.serve(agent, stopped));
            let address = format!("unix://{}", socket.display());
            let channel = tonic::transport::Endpoint::from_shared(address)?.connect().await?;
            anyhow::Ok(AgentClient::new(channel).max_encoding_message_size(64 << 20))
        })?;
        Ok(Self { runtime, client, stop, _thread: thread, _directory: directory })
    }

    /// Sends batches in one call; returns how long it took until the last was in effect.
    ///
    /// # Errors
    /// One is refused.
    pub(crate) fn apply(&mut self, batches: Vec<Vec<Operation>>) -> Result<Duration> {
        let count = batches.len();
        let batches =
            batches.into_iter().map(|operations| Batch { operations, takeover: true, ..Batch::default() });
        let client = &mut self.client;
        self.runtime.block_on(async {
            let start = Instant::now();
            let mut answers =
                client.apply(tokio_stream::iter(batches.collect::<Vec<_>>())).await?.into_inner();
            for _ in 0..count {
                let answer = answers.message().await?.context("an answer")?;
                ensure!(answer.code == 0, "{}: {}", answer.field, answer.message);
            }
            Ok(start.elapsed())
        })
    }

    /// Sends batches one after the other in one call, each when the one before is in effect; returns how long each took.
    ///
    /// # Errors
    /// One is refused.
    pub(crate) fn each(&mut self, batches: Vec<Vec<Operation>>) -> Result<Vec<Duration>> {
        let client = &mut self.client;
        self.runtime.block_on(async {
            let (sender, receiver) = tokio::sync::mpsc::channel(1);
            let call = client.apply(tokio_stream::wrappers::ReceiverStream::new(receiver));
            let mut answers: Option<tonic::Streaming<_>> = None;
            let mut call = Some(Box::pin(call));
            let mut took = Vec::with_capacity(batches.len());
            for operations in batches {
                let start = Instant::now();
                sender.send(Batch { operations, takeover: true, ..Batch::default() }).await?;
                if let Some(call) = call.take() {
                    answers = Some(call.await?.into_inner());
                }
                let answers = answers.as_mut().context("a call")?;
                let answer = answers.message().await?.context("an answer")?;
                ensure!(answer.code == 0, "{}: {}", answer.field, answer.message);
                took.push(start.elapsed());
            }
            Ok(took)
        })
    }
}

impl Drop for Controller {
    fn drop(&mut self) {
        self.stop.send_replace(true);
    }
}
