//! `List` and `ListNeighbours`.

use std::time::{Duration, Instant};

use agent_api::v1::{self, Kind};
use packet::InterfaceId;
use prost::Message as _;
use tokio::sync::mpsc;
use tonic::Status;

use super::{
    Agent, Answers, status,
    stream::{WAITING, answered, chunks, ready},
};
use crate::{
    control::{Filter, ObjectCursor, Snapshot, thread::Handle},
    tables::RuleSink,
};

/// Most entries of one message.
const CHUNK: usize = 1000;
/// A message is closed when it is longer than this, so that what fitted into a batch fits into a list.
const CHUNK_BYTES: usize = 256 << 10;
/// How long one generation is held for a client that reads slowly; then the list goes on in the newest.
const HELD: Duration = Duration::from_secs(1);

pub(super) async fn objects(
    agent: &Agent,
    request: v1::ListRequest,
) -> Result<Answers<v1::ListResponse>, Status> {
    let filter = Filter::of(request)
        .map_err(|(field, message)| Status::invalid_argument(format!("{field}: {message}")))?;
    let control = agent.control.clone();
    if let (Kind::SecurityGroup | Kind::NetworkPolicy, Some(flows)) = (filter.kind(), agent.dataplane.flows())
    {
        // What the sweep has not counted yet.
        let tables = control.tables();
        let folded = tokio::task::spawn_blocking(move || flows.report_all(&mut RuleSink(&tables))).await;
        folded.map_err(|error| Status::internal(error.to_string()))?;
    }
    let first = control.snapshot(filter.kind()).await.map_err(|fault| status(&fault))?;
    let (sender, receiver) = mpsc::channel(WAITING);
    tokio::spawn(async move {
        let (mut snapshot, mut after) = (first, None);
        loop {
            let (filter_now, sender_now) = (filter.clone(), sender.clone());
            let sent =
                tokio::task::spawn_blocking(move || send(&snapshot, &filter_now, after, &sender_now)).await;
            match sent {
                Ok(Sent::Until(cursor)) => after = Some(cursor),
                Ok(Sent::All) => return,
                Err(error) => return drop(sender.send(Err(Status::internal(error.to_string()))).await),
            }
            snapshot = match control.snapshot(filter.kind()).await {
                Ok(snapshot) => snapshot,
                Err(fault) => return drop(sender.send(Err(status(&fault))).await),
            };
        }
    });
    Ok(answered(receiver))
}

enum Sent {
    /// The end was reached, or the client has gone.
    All,
    /// The generation was held long enough.
    Until(ObjectCursor),
}

fn send(
    snapshot: &Snapshot,
    filter: &Filter,
    after: Option<ObjectCursor>,
    sender: &mpsc::Sender<Result<v1::ListResponse, Status>>,
) -> Sent {
    let until = Instant::now() + HELD;
    let generation = snapshot.generation();
    let mut rest = snapshot.entries(filter, after).peekable();
    while rest.peek().is_some() {
        let (mut last, mut entries, mut bytes) = (None, Vec::new(), 0);
        while entries.len() < CHUNK
            && bytes < CHUNK_BYTES
            && let Some((cursor, entry)) = rest.next()
        {
            last = Some(cursor);
            bytes += entry.encoded_len();
            entries.push(entry);
        }
        if sender.blocking_send(Ok(v1::ListResponse { generation, entries })).is_err() {
            return Sent::All;
        }
        if let Some(last) = last.filter(|_| Instant::now() > until) {
            return Sent::Until(last);
        }
    }
    Sent::All
}

pub(super) async fn neighbours(
    control: &Handle,
    request: v1::ListNeighboursRequest,
) -> Result<Answers<v1::ListNeighboursResponse>, Status> {
    let interface = match request.interface {
        None => None,
        Some(id) => {
            let id = u16::try_from(id).map_err(|_| Status::invalid_argument("interface: no such number"))?;
            Some(InterfaceId(id))
        }
    };
    let found = control.neighbours(interface).await.map_err(|fault| status(&fault))?;
    let message = |neighbours| v1::ListNeighboursResponse { neighbours };
    Ok(ready(chunks(found.into_iter(), CHUNK, message)))
}
