//! The agent server: the contract of `vrouter.v1` over gRPC. Every call only queues and waits; the control
//! thread and the workers do the work. One file per group of calls.

mod apply;
mod drops;
mod explain;
mod flow_log;
mod flows;
mod identity;
mod list;
mod packets;
mod server;
mod sketch;
mod stats;
mod stream;
mod sync;

pub use flow_log::FlowLog;
pub use server::{Endpoint, ListenError, Listeners, ServeError, Tls};

use std::{fmt, pin::Pin, sync::Arc};

use agent_api::v1::{self, agent_server};
use flow::FlowTable;
use packet::{InterfaceId, WorkerId};
use tokio_stream::Stream;
use tonic::{Request, Response, Status, Streaming};

use crate::{
    control::{Code, Fault, Topics, thread::Handle},
    datapath::{DropSample, Explanation, WorkerCounters},
    services::ServiceCounters,
    tables::Tables,
};

/// One worker, for statistics.
#[derive(Clone, Debug)]
pub struct WorkerReport {
    /// The core it is pinned to.
    pub core: Option<u32>,
    /// How it waits for packets: busy, adaptive, interrupt.
    pub poll: &'static str,
    /// What it counts.
    pub counters: Arc<WorkerCounters>,
    /// Receive queues it serves.
    pub queues: Vec<(InterfaceId, u32)>,
    /// The generation it uses.
    pub generation: u64,
}

/// What the agent asks of those who forward.
pub trait Dataplane: Send + Sync + 'static {
    /// All workers, in order of their number.
    fn workers(&self) -> Vec<WorkerReport>;
    /// The flow table.
    fn flows(&self) -> Option<Arc<FlowTable>>;
    /// What would happen to a frame, changing nothing; `None` without memory for it.
    fn explain(&self, tables: &Tables, interface: InterfaceId, frame: &[u8]) -> Option<Explanation>;
    /// What became of what workloads asked; `None` where nothing is served.
    fn services(&self) -> Option<Arc<ServiceCounters>> {
        None
    }
    /// Takes the sampled drops that nobody has taken yet.
    fn take_samples(&self, sample: &mut dyn FnMut(WorkerId, DropSample));
    /// The workers' clock now, in milliseconds.
    fn milliseconds(&self) -> u64;
    /// Name and version of the DPDK in use; empty without.
    fn dpdk(&self) -> String;
}

/// The service.
#[derive(Clone)]
pub struct Agent {
    control: Handle,
    dataplane: Arc<dyn Dataplane>,
    drops: Arc<drops::Ring>,
    flows: Arc<flow_log::Follower>,
}

impl fmt::Debug for Agent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Agent").field("control", &self.control).finish_non_exhaustive()
    }
}

impl Agent {
    /// Serves what this control thread and these workers have.
    #[must_use]
    pub fn new(control: Handle, dataplane: Arc<dyn Dataplane>) -> Self {
        Self { control, dataplane, drops: Arc::default(), flows: Arc::default() }
    }
}

/// A refusal as the status of a call.
fn status(fault: &Fault) -> Status {
    let code = match fault.code {
        Code::InvalidArgument => tonic::Code::InvalidArgument,
        Code::PermissionDenied => tonic::Code::PermissionDenied,
        Code::ResourceExhausted => tonic::Code::ResourceExhausted,
        Code::FailedPrecondition => tonic::Code::FailedPrecondition,
        Code::Internal => tonic::Code::Internal,
        Code::Unavailable => tonic::Code::Unavailable,
    };
    Status::new(code, fault.to_string())
}

/// A stream of answers.
type Answers<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

#[tonic::async_trait]
impl agent_server::Agent for Agent {
    type ApplyStream = Answers<v1::BatchResult>;
    type SyncStream = Answers<v1::SyncResponse>;
    type ListStream = Answers<v1::ListResponse>;
    type WatchStream = Answers<v1::WatchEvent>;
    type ListFlowsStream = Answers<v1::ListFlowsResponse>;
    type ListNeighboursStream = Answers<v1::ListNeighboursResponse>;
    type ListDropsStream = Answers<v1::DropSample>;
    type PacketInStream = Answers<v1::PacketInMessage>;

    async fn apply(
        &self,
        request: Request<Streaming<v1::Batch>>,
    ) -> Result<Response<Self::ApplyStream>, Status> {
        let owner = identity::owner(&request)?;
        Ok(Response::new(apply::answers(self.control.clone(), owner, request.into_inner())))
    }

    async fn sync(
        &self,
        request: Request<Streaming<v1::SyncRequest>>,
    ) -> Result<Response<Self::SyncStream>, Status> {
        let owner = identity::owner(&request)?;
        Ok(Response::new(sync::answers(self.control.clone(), owner, request.into_inner())))
    }

    async fn list(&self, request: Request<v1::ListRequest>) -> Result<Response<Self::ListStream>, Status> {
        list::objects(self, request.into_inner()).await.map(Response::new)
    }

    async fn watch(&self, request: Request<v1::WatchRequest>) -> Result<Response<Self::WatchStream>, Status> {
        let topics = Topics::of(request.into_inner());
        let events = self.control.watchers().subscribe(topics);
        if self.control.watchers().wants(Topics::FLOWS.and(Topics::POLICY_LOG)) {
            self.flows.start(self.control.clone(), Arc::clone(&self.dataplane));
        }
        Ok(Response::new(stream::received(events)))
    }

    async fn stats(&self, request: Request<v1::StatsRequest>) -> Result<Response<v1::StatsResponse>, Status> {
        stats::stats(self, request.into_inner()).await.map(Response::new)
    }

    async fn list_flows(
        &self,
        request: Request<v1::ListFlowsRequest>,
    ) -> Result<Response<Self::ListFlowsStream>, Status> {
        flows::list(self, request.into_inner()).map(Response::new)
    }

    async fn list_neighbours(
        &self,
        request: Request<v1::ListNeighboursRequest>,
    ) -> Result<Response<Self::ListNeighboursStream>, Status> {
        list::neighbours(&self.control, request.into_inner()).await.map(Response::new)
    }

    async fn explain(
        &self,
        request: Request<v1::ExplainRequest>,
    ) -> Result<Response<v1::ExplainResponse>, Status> {
        explain::explain(self, request.into_inner()).map(Response::new)
    }

    async fn list_drops(
        &self,
        request: Request<v1::ListDropsRequest>,
    ) -> Result<Response<Self::ListDropsStream>, Status> {
        self.drops.list(&*self.dataplane, request.into_inner()).map(Response::new)
    }

    async fn packet_in(
        &self,
        request: Request<v1::PacketInRequest>,
    ) -> Result<Response<Self::PacketInStream>, Status> {
        packets::incoming(&self.control, request.into_inner()).map(Response::new)
    }

    async fn packet_out(
        &self,
        request: Request<Streaming<v1::PacketOutMessage>>,
    ) -> Result<Response<v1::PacketOutSummary>, Status> {
        packets::outgoing(&self.control, request.into_inner()).await.map(Response::new)
    }

    async fn get_version(
        &self,
        _request: Request<v1::GetVersionRequest>,
    ) -> Result<Response<v1::GetVersionResponse>, Status> {
        Ok(Response::new(v1::GetVersionResponse {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            dpdk: self.dataplane.dpdk(),
            api: agent_api::API.to_owned(),
            generation: self.control.tables().generation,
        }))
    }
}
