//! The calls of the agent API. Each reads a snapshot or queues for the control thread.

use std::pin::Pin;
use std::sync::Arc;

use agent_api::v1::agent_server::Agent;
use agent_api::v1::{self, sync_request, sync_response};
use packet::InterfaceId;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tokio_stream::{Stream, StreamExt};
use tonic::{Request, Response, Status, Streaming};

use super::dataplane::Dataplane;
use super::{flows, peer, sketch, stats};
use crate::control::{Code, Fault, Filter, Handle, Owner, Replay, Topics};
use crate::tables::Tables;

/// Entries in one message of a listing.
const CHUNK: usize = 1000;
/// Results that may wait for a slow client; then its batches wait too.
const RESULTS: usize = 64;

/// A stream of answers.
type Answers<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

/// The agent API on top of the control thread and the workers' counters.
#[derive(Clone, Debug)]
pub struct Service {
    control: Handle,
    dataplane: Arc<Dataplane>,
    dpdk: String,
}

impl Service {
    /// The service; `dpdk` is the version of the library, as `GetVersion` tells it.
    #[must_use]
    pub const fn new(control: Handle, dataplane: Arc<Dataplane>, dpdk: String) -> Self {
        Self { control, dataplane, dpdk }
    }

    async fn tables(&self) -> Result<Arc<Tables>, Status> {
        self.control.tables().await.map_err(status)
    }
}

/// A refusal as a status: the message names object and field.
fn status(fault: Fault) -> Status {
    let message = fault.to_string();
    match fault.code {
        Code::InvalidArgument => Status::invalid_argument(message),
        Code::PermissionDenied => Status::permission_denied(message),
        Code::ResourceExhausted => Status::resource_exhausted(message),
        Code::FailedPrecondition => Status::failed_precondition(message),
        Code::Internal => Status::internal(message),
        Code::Unavailable => Status::unavailable(message),
    }
}

fn invalid((field, message): (&'static str, String)) -> Status {
    Status::invalid_argument(format!("{field}: {message}"))
}

fn interface(field: &'static str, id: u32) -> Result<InterfaceId, Status> {
    u16::try_from(id).map(InterfaceId).map_err(|_| invalid((field, format!("{id} is more than 65535"))))
}

/// Answers made ahead of the client, as far as the queue holds.
fn answers<T: Send + 'static>(receiver: mpsc::Receiver<Result<T, Status>>) -> Response<Answers<T>> {
    Response::new(Box::pin(ReceiverStream::new(receiver)))
}

fn all<T: Send + 'static>(items: Vec<T>) -> Response<Answers<T>> {
    Response::new(Box::pin(tokio_stream::iter(items.into_iter().map(Ok))))
}

#[tonic::async_trait]
impl Agent for Service {
    type ApplyStream = Answers<v1::BatchResult>;

    async fn apply(
        &self,
        request: Request<Streaming<v1::Batch>>,
    ) -> Result<Response<Self::ApplyStream>, Status> {
        let owner = peer::owner(request.extensions())?;
        let mut batches = request.into_inner();
        let (sender, receiver) = mpsc::channel(RESULTS);
        let control = self.control.clone();
        // Batches are queued in order, and so are their answers: several may wait for one generation.
        let (waiting, mut waited) = mpsc::channel::<tokio::task::JoinHandle<v1::BatchResult>>(RESULTS);
        let answer = sender.clone();
        tokio::spawn(async move {
            while let Some(result) = waited.recv().await {
                let Ok(result) = result.await else { return };
                if answer.send(Ok(result)).await.is_err() {
                    return;
                }
            }
        });
        tokio::spawn(async move {
            loop {
                match batches.next().await {
                    Some(Ok(batch)) => {
                        let result = control.submit(&owner, batch).await;
                        if waiting.send(tokio::spawn(result)).await.is_err() {
                            return;
                        }
                    }
                    // A message that cannot be read, or one that is too long, is refused by name.
                    Some(Err(refused)) => {
                        let _ = sender.send(Err(refused)).await;
                        return;
                    }
                    None => return,
                }
            }
        });
        Ok(answers(receiver))
    }

    type SyncStream = Answers<v1::SyncResponse>;

    async fn sync(
        &self,
        request: Request<Streaming<v1::SyncRequest>>,
    ) -> Result<Response<Self::SyncStream>, Status> {
        let owner = peer::owner(request.extensions())?;
        let mut steps = request.into_inner();
        let (sender, receiver) = mpsc::channel(RESULTS);
        let control = self.control.clone();
        tokio::spawn(async move {
            let mut replay = None;
            while let Some(step) = steps.next().await {
                let answered = match step {
                    Ok(step) => sync_step(&control, &owner, &mut replay, step).await,
                    Err(refused) => Err(refused),
                };
                match answered {
                    Ok(None) => {}
                    Ok(Some(answer)) => {
                        if sender.send(Ok(v1::SyncResponse { step: Some(answer) })).await.is_err() {
                            return;
                        }
                    }
                    Err(refused) => {
                        // Whoever has gone hears nothing, and nothing is swept.
                        let _ = sender.send(Err(refused)).await;
                        return;
                    }
                }
            }
        });
        Ok(answers(receiver))
    }

    type ListStream = Answers<v1::ListResponse>;

    async fn list(&self, request: Request<v1::ListRequest>) -> Result<Response<Self::ListStream>, Status> {
        let filter = Filter::of(request.into_inner()).map_err(invalid)?;
        let snapshot = self.control.snapshot(filter.kind()).await.map_err(status)?;
        let (sender, receiver) = mpsc::channel(4);
        tokio::task::spawn_blocking(move || {
            let generation = snapshot.generation();
            let mut entries = snapshot.entries(&filter).peekable();
            while entries.peek().is_some() {
                let entries = entries.by_ref().take(CHUNK).collect();
                if sender.blocking_send(Ok(v1::ListResponse { generation, entries })).is_err() {
                    return;
                }
            }
        });
        Ok(answers(receiver))
    }

    type WatchStream = Answers<v1::WatchEvent>;

    async fn watch(&self, request: Request<v1::WatchRequest>) -> Result<Response<Self::WatchStream>, Status> {
        let events = self.control.watchers().subscribe(Topics::of(request.into_inner()));
        Ok(Response::new(Box::pin(ReceiverStream::new(events).map(Ok))))
    }

    async fn stats(&self, request: Request<v1::StatsRequest>) -> Result<Response<v1::StatsResponse>, Status> {
        let tables = self.tables().await?;
        Ok(Response::new(stats::stats(&self.dataplane, &tables, &request.into_inner())))
    }

    type ListFlowsStream = Answers<v1::ListFlowsResponse>;

    async fn list_flows(
        &self,
        request: Request<v1::ListFlowsRequest>,
    ) -> Result<Response<Self::ListFlowsStream>, Status> {
        let request = request.into_inner();
        let tables = self.tables().await?;
        let dataplane = Arc::clone(&self.dataplane);
        let (sender, receiver) = mpsc::channel(4);
        tokio::task::spawn_blocking(move || {
            let now = dataplane.now().tick();
            let limit = if request.limit == 0 { usize::MAX } else { request.limit as usize };
            let wanted = dataplane.flows.sessions(None).filter(|view| flows::matches(&tables, view, &request));
            let mut entries = wanted.take(limit).map(|view| flows::entry(&tables, &view, now)).peekable();
            while entries.peek().is_some() {
                let flows = entries.by_ref().take(CHUNK).collect();
                if sender.blocking_send(Ok(v1::ListFlowsResponse { flows })).is_err() {
                    return;
                }
            }
        });
        Ok(answers(receiver))
    }

    type ListNeighboursStream = Answers<v1::ListNeighboursResponse>;

    async fn list_neighbours(
        &self,
        request: Request<v1::ListNeighboursRequest>,
    ) -> Result<Response<Self::ListNeighboursStream>, Status> {
        let wanted = request.into_inner().interface.map(|id| interface("interface", id)).transpose()?;
        let neighbours = self.control.neighbours(wanted).await.map_err(status)?;
        let chunk = |chunk: &[v1::Neighbour]| v1::ListNeighboursResponse { neighbours: chunk.to_vec() };
        Ok(all(neighbours.chunks(CHUNK).map(chunk).collect()))
    }

    async fn explain(
        &self,
        request: Request<v1::ExplainRequest>,
    ) -> Result<Response<v1::ExplainResponse>, Status> {
        let request = request.into_inner();
        let tables = self.tables().await?;
        let arrival = interface("interface", request.interface)?;
        let row = tables
            .interface(arrival)
            .ok_or_else(|| Status::not_found(format!("interface: there is no interface {arrival}")))?;
        let frame = match (&request.sketch, request.packet.is_empty()) {
            (None, false) => request.packet,
            (Some(sketch), true) => sketch::frame(row, sketch).map_err(invalid)?,
            _ => return Err(invalid(("packet", "either a packet or a sketch is needed".to_owned()))),
        };
        let dataplane = Arc::clone(&self.dataplane);
        let explained = tokio::task::spawn_blocking(move || dataplane.explain(&tables, arrival, &frame)).await;
        match explained {
            Ok(Some(explanation)) => Ok(Response::new(explanation)),
            _ => Err(Status::resource_exhausted("no memory for an explanation")),
        }
    }

    type ListDropsStream = Answers<v1::DropSample>;

    async fn list_drops(
        &self,
        request: Request<v1::ListDropsRequest>,
    ) -> Result<Response<Self::ListDropsStream>, Status> {
        Ok(all(self.dataplane.drops(&request.into_inner())))
    }

    type PacketInStream = Answers<v1::PacketInMessage>;

    async fn packet_in(
        &self,
        request: Request<v1::PacketInRequest>,
    ) -> Result<Response<Self::PacketInStream>, Status> {
        let packets = self.control.punts().subscribe(request.into_inner().classes);
        Ok(Response::new(Box::pin(ReceiverStream::new(packets).map(Ok))))
    }

    async fn packet_out(
        &self,
        request: Request<Streaming<v1::PacketOutMessage>>,
    ) -> Result<Response<v1::PacketOutSummary>, Status> {
        // Whoever may write tables may send packets: the peer needs a name.
        peer::owner(request.extensions())?;
        let mut packets = request.into_inner();
        let mut summary = v1::PacketOutSummary::default();
        while let Some(packet) = packets.next().await {
            if self.control.packet_out(packet?).await.map_err(status)? {
                summary.accepted += 1;
            } else {
                summary.refused += 1;
            }
        }
        Ok(Response::new(summary))
    }

    async fn get_version(
        &self,
        _: Request<v1::GetVersionRequest>,
    ) -> Result<Response<v1::GetVersionResponse>, Status> {
        Ok(Response::new(v1::GetVersionResponse {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            dpdk: self.dpdk.clone(),
            api: agent_api::API.to_owned(),
            generation: self.tables().await?.generation,
        }))
    }
}

/// One step of a replay.
async fn sync_step(
    control: &Handle,
    owner: &Owner,
    replay: &mut Option<Replay>,
    step: v1::SyncRequest,
) -> Result<Option<sync_response::Step>, Status> {
    match step.step {
        Some(sync_request::Step::Open(open)) => {
            let kinds = open.kinds.iter().map(|kind| {
                v1::Kind::try_from(*kind).map_err(|_| invalid(("open.kinds", format!("{kind} is no kind"))))
            });
            let kinds = kinds.collect::<Result<_, _>>()?;
            *replay = Some(control.open_replay(owner, kinds).await.map_err(status)?);
            Ok(None)
        }
        Some(sync_request::Step::Batch(batch)) if replay.is_some() => {
            Ok(Some(sync_response::Step::Result(control.apply(owner, batch).await)))
        }
        Some(sync_request::Step::Close(_)) => {
            let Some(replay) = replay.take() else {
                return Err(Status::failed_precondition("close: nothing was opened"));
            };
            let swept = control.close_replay(replay).await.map_err(status)?;
            Ok(Some(sync_response::Step::Closed(v1::SyncClosed {
                generation: swept.generation,
                swept: u32::try_from(swept.swept).unwrap_or(u32::MAX),
                kept: u32::try_from(swept.kept).unwrap_or(u32::MAX),
            })))
        }
        Some(sync_request::Step::Batch(_)) => Err(Status::failed_precondition("batch: open comes first")),
        None => Err(invalid(("step", "open, batch or close is needed".to_owned()))),
    }
}
