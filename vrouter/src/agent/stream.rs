//! Streams of answers.

use agent_api::MAX_MESSAGE_BYTES;
use tokio::sync::mpsc;
use tokio_stream::{StreamExt, wrappers::ReceiverStream};
use tonic::{Code, Status, Streaming};

use super::Answers;

/// Answers that wait for a slow client before their maker waits.
pub(super) const WAITING: usize = 16;

/// Messages from a queue, until its other end goes.
pub(super) fn received<T: Send + 'static>(receiver: mpsc::Receiver<T>) -> Answers<T> {
    Box::pin(ReceiverStream::new(receiver).map(Ok))
}

/// Answers and the error that may end them.
pub(super) fn answered<T: Send + 'static>(receiver: mpsc::Receiver<Result<T, Status>>) -> Answers<T> {
    Box::pin(ReceiverStream::new(receiver))
}

/// What is there already.
pub(super) fn ready<T: Send + 'static>(items: impl Iterator<Item = T> + Send + 'static) -> Answers<T> {
    Box::pin(tokio_stream::iter(items.map(Ok)))
}

/// The next message of a client; a message that is too long is refused by the name of its limit.
pub(super) async fn next<T>(messages: &mut Streaming<T>) -> Result<Option<T>, Status> {
    messages.message().await.map_err(|status| match status.code() {
        Code::OutOfRange => Status::resource_exhausted(format!(
            "limit message bytes: a message may have at most {MAX_MESSAGE_BYTES}; cut the batch into several"
        )),
        _ => status,
    })
}

/// Joins items into messages of at most `most`.
pub(super) fn chunks<T, M>(
    items: impl Iterator<Item = T>,
    most: usize,
    message: impl Fn(Vec<T>) -> M,
) -> impl Iterator<Item = M> {
    let mut items = items.peekable();
    std::iter::from_fn(move || {
        items.peek()?;
        Some(message(items.by_ref().take(most).collect()))
    })
}

/// A stream that ends with its maker; a dropped stream stops it.
pub(super) fn spawn<T, F>(make: impl FnOnce(mpsc::Sender<Result<T, Status>>) -> F) -> Answers<T>
where
    T: Send + 'static,
    F: Future<Output = ()> + Send + 'static,
{
    let (sender, receiver) = mpsc::channel(WAITING);
    tokio::spawn(make(sender));
    answered(receiver)
}
