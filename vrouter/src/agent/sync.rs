//! `Sync`: a controller replays what it wants; the rest of what it owned is swept.

use std::collections::VecDeque;

use agent_api::v1::{self, Kind, sync_request::Step, sync_response};
use tokio::sync::mpsc;
use tonic::{Status, Streaming};

use super::{
    Answers,
    apply::IN_FLIGHT,
    status,
    stream::{next, spawn},
};
use crate::control::{
    Owner, Replay,
    thread::{Handle, Pending},
};

type Sender = mpsc::Sender<Result<v1::SyncResponse, Status>>;

pub(super) fn answers(
    control: Handle,
    owner: Owner,
    steps: Streaming<v1::SyncRequest>,
) -> Answers<v1::SyncResponse> {
    spawn(|answers| async move {
        let mut session =
            Session { control, owner, replay: None, pending: VecDeque::new(), refused: 0, answers };
        if let Err(status) = session.run(steps).await {
            // Nobody listens any more if this fails, and nothing was swept.
            let _ = session.answers.send(Err(status)).await;
        }
    })
}

struct Session {
    control: Handle,
    owner: Owner,
    replay: Option<Replay>,
    pending: VecDeque<Pending>,
    /// Batches of this replay that were refused.
    refused: usize,
    answers: Sender,
}

impl Session {
    async fn run(&mut self, mut steps: Streaming<v1::SyncRequest>) -> Result<(), Status> {
        loop {
            let request = tokio::select! {
                biased;
                request = next(&mut steps) => request?,
                () = front(&mut self.pending) => {
                    self.answer_one().await?;
                    continue;
                }
            };
            let Some(request) = request else {
                // Without close nothing is swept.
                return self.answer_all().await;
            };
            match request
                .step
                .ok_or_else(|| Status::invalid_argument("a step is needed: open, batch or close"))?
            {
                Step::Open(open) => self.open(&open).await?,
                Step::Batch(batch) => self.batch(batch).await?,
                Step::Close(_) => self.close().await?,
            }
        }
    }

    async fn open(&mut self, open: &v1::SyncOpen) -> Result<(), Status> {
        if self.replay.is_some() {
            return Err(Status::failed_precondition("a replay is open already: close it first"));
        }
        let kinds: Vec<Kind> = open.kinds().collect();
        if kinds.len() != open.kinds.len() || kinds.contains(&Kind::Unspecified) {
            return Err(Status::invalid_argument("kinds: one of them is no kind of object"));
        }
        self.refused = 0;
        self.replay =
            Some(self.control.open_replay(&self.owner, kinds).await.map_err(|fault| status(&fault))?);
        Ok(())
    }

    async fn batch(&mut self, batch: v1::Batch) -> Result<(), Status> {
        if self.replay.is_none() {
            return Err(Status::failed_precondition("no replay is open: send open first"));
        }
        if self.pending.len() == IN_FLIGHT {
            self.answer_one().await?;
        }
        self.pending.push_back(self.control.submit(&self.owner, batch).await);
        Ok(())
    }

    async fn close(&mut self) -> Result<(), Status> {
        self.answer_all().await?;
        let replay = self.replay.take().ok_or_else(|| Status::failed_precondition("no replay is open"))?;
        if self.refused > 0 {
            // What those batches said is unknown to us: it would be swept although it is wanted.
            let text = format!("{} batches of the replay were refused: nothing is swept", self.refused);
            return Err(Status::failed_precondition(text));
        }
        let swept = self.control.close_replay(replay).await.map_err(|fault| status(&fault))?;
        let count = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
        self.answer(sync_response::Step::Closed(v1::SyncClosed {
            generation: swept.generation,
            swept: count(swept.swept),
            kept: count(swept.kept),
        }))
        .await
    }

    async fn answer_all(&mut self) -> Result<(), Status> {
        while !self.pending.is_empty() {
            self.answer_one().await?;
        }
        Ok(())
    }

    async fn answer_one(&mut self) -> Result<(), Status> {
        let Some(pending) = self.pending.pop_front() else { return Ok(()) };
        let result = pending.result().await;
        self.refused += usize::from(result.code != 0);
        self.answer(sync_response::Step::Result(result)).await
    }

    async fn answer(&self, step: sync_response::Step) -> Result<(), Status> {
        let response = v1::SyncResponse { step: Some(step) };
        self.answers.send(Ok(response)).await.map_err(|_| Status::cancelled("the client has gone"))
    }
}

/// Ready when the oldest batch has its answer; never while there is none.
async fn front(pending: &mut VecDeque<Pending>) {
    match pending.front_mut() {
        Some(pending) => pending.ready().await,
        None => std::future::pending().await,
    }
}
