//! A stream of batches: how many are on their way, and that none follows a refusal.

use std::collections::VecDeque;

use agent_api::{
    key_of,
    v1::{Batch, BatchResult, Key, operation},
};
use tokio::sync::mpsc;
use tokio_stream::{StreamExt as _, wrappers::ReceiverStream};
use tonic::Streaming;

use super::report::Report;
use crate::error::Error;

/// How many batches may wait for their result: enough to hide the round trip, few enough to stop soon.
const WINDOW: usize = 8;

/// The next answer; that there is none is an error.
pub(super) async fn next<T>(answers: &mut Streaming<T>) -> Result<T, Error> {
    match answers.next().await {
        Some(answer) => Ok(answer?),
        None => Err(Error::Failed("the vRouter ended the stream before it answered every batch".into())),
    }
}

pub(super) fn unexpected() -> Error {
    Error::Failed("the vRouter answered out of turn".into())
}

/// Batches on their way: at most [`WINDOW`] are sent and not answered, and none is sent after a refusal.
pub(super) struct Outgoing<Q, W> {
    unsent: VecDeque<Batch>,
    unanswered: VecDeque<(u64, Vec<Key>)>,
    wrap: W,
    sender: mpsc::Sender<Q>,
    requests: Option<mpsc::Receiver<Q>>,
    stopped: bool,
}

impl<Q: Send + 'static, W: Fn(Batch) -> Q> Outgoing<Q, W> {
    /// The first requests are queued before the call: a server may answer the call only when it has read some.
    pub(super) fn new(batches: Vec<Batch>, wrap: W, first: Option<Q>) -> Self {
        let (sender, requests) = mpsc::channel(WINDOW + 2);
        let mut outgoing = Self {
            unsent: batches.into(),
            unanswered: VecDeque::new(),
            wrap,
            sender,
            requests: Some(requests),
            stopped: false,
        };
        // Neither can fail: the channel has room for the window and for an opening and a closing request.
        if let Some(first) = first {
            let _ = outgoing.sender.try_send(first);
        }
        while outgoing.unanswered.len() < WINDOW
            && let Some(request) = outgoing.pop()
        {
            let _ = outgoing.sender.try_send(request);
        }
        outgoing
    }

    pub(super) fn take_requests(&mut self) -> Result<ReceiverStream<Q>, Error> {
        self.requests.take().map(ReceiverStream::new).ok_or_else(unexpected)
    }

    fn pop(&mut self) -> Option<Q> {
        let batch = self.unsent.pop_front()?;
        let keys = batch.operations.iter().map(|operation| match &operation.operation {
            Some(operation::Operation::Put(object)) => key_of(object),
            Some(operation::Operation::Delete(key)) => key.clone(),
            None => Key::default(),
        });
        self.unanswered.push_back((batch.id, keys.collect()));
        Some((self.wrap)(batch))
    }

    /// Whether a result is still to come.
    pub(super) fn waiting(&self) -> bool {
        !self.unanswered.is_empty()
    }

    /// Takes note of a result and sends the next batch.
    pub(super) async fn answered(
        &mut self,
        result: &BatchResult,
        report: &mut Report<'_>,
    ) -> Result<(), Error> {
        let Some((id, keys)) = self.unanswered.pop_front() else { return Err(unexpected()) };
        if id != result.id {
            return Err(unexpected());
        }
        self.stopped |= !report.result(&keys, result)?;
        if self.stopped {
            report.not_tried(self.unsent.iter().map(|batch| batch.operations.len()).sum());
        } else if let Some(request) = self.pop() {
            self.send(request).await;
        }
        Ok(())
    }

    pub(super) async fn send(&self, request: Q) {
        // A closed channel means that the call is over: the answers tell why.
        let _ = self.sender.send(request).await;
    }
}
