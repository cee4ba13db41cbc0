//! `Apply`: batches in, one result each, in order.

use agent_api::v1;
use tokio::sync::mpsc;
use tonic::{Status, Streaming};

use super::{
    Answers,
    stream::{next, spawn},
};
use crate::control::{
    Owner,
    thread::{Handle, Pending},
};

/// Batches of one client that may be on their way; then it waits for answers.
pub(super) const IN_FLIGHT: usize = 16;

pub(super) fn answers(
    control: Handle,
    owner: Owner,
    batches: Streaming<v1::Batch>,
) -> Answers<v1::BatchResult> {
    let (submitted, pending) = mpsc::channel(IN_FLIGHT);
    tokio::spawn(submit(control, owner, batches, submitted));
    spawn(|answers| answer(pending, answers))
}

/// Queues batches as they come. A stream that breaks off leaves whole batches only: what was queued is
/// complete.
async fn submit(
    control: Handle,
    owner: Owner,
    mut batches: Streaming<v1::Batch>,
    submitted: mpsc::Sender<Result<Pending, Status>>,
) {
    loop {
        let step = match next(&mut batches).await {
            Ok(None) => return,
            Ok(Some(batch)) => Ok(control.submit(&owner, batch).await),
            Err(status) => Err(status),
        };
        let last = step.is_err();
        if submitted.send(step).await.is_err() || last {
            return;
        }
    }
}

async fn answer(
    mut pending: mpsc::Receiver<Result<Pending, Status>>,
    answers: mpsc::Sender<Result<v1::BatchResult, Status>>,
) {
    while let Some(step) = pending.recv().await {
        let answer = match step {
            Ok(pending) => Ok(pending.result().await),
            Err(status) => Err(status),
        };
        if answers.send(answer).await.is_err() {
            return;
        }
    }
}
