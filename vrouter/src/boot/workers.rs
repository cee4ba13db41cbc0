//! The worker threads.

use std::sync::Arc;
use std::thread::{self, JoinHandle};

use anyhow::{Context as _, Result};
use dpdk::Eal;
use flow::SessionSink;
use tokio::sync::mpsc::UnboundedSender;

use super::placement::Place;
use crate::port::Dpdk;
use crate::worker::{Command, Mailbox, Parts, Worker};

/// A worker's thread and how it is told to stop.
type Thread<S> = (Arc<Mailbox<Dpdk>>, JoinHandle<Worker<Dpdk, S>>);

/// The threads, which end when this is dropped. The devices must be detached by then.
pub(super) struct WorkerThreads<S: SessionSink + Send + 'static> {
    threads: Vec<Thread<S>>,
}

impl<S: SessionSink + Send + 'static> WorkerThreads<S> {
    /// Starts one thread per place. A worker that ends before it is asked to says so to `failed`.
    ///
    /// # Errors
    /// Names the worker whose thread cannot be started or pinned; the others are ended again.
    pub(super) fn start(
        eal: &Eal,
        workers: Vec<(Place, Parts<Dpdk, S>)>,
        failed: &UnboundedSender<String>,
    ) -> Result<Self> {
        let mut started = Self { threads: Vec::with_capacity(workers.len()) };
        for (number, (place, parts)) in workers.into_iter().enumerate() {
            let mailbox = Arc::clone(&parts.mailbox);
            let (eal, failed) = (eal.clone(), failed.clone());
            let (ready, is_ready) = std::sync::mpsc::channel();
            let run = move || {
                let _alarm = Alarm { number, failed };
                let mut worker = Worker::new(parts);
                let registration = eal.register_thread(place.cpu);
                let registered = registration.as_ref().map(drop).map_err(ToString::to_string);
                // Nobody listens only if the start was given up.
                if ready.send(registered).is_ok() && registration.is_ok() {
                    worker.run();
                }
                worker
            };
            let thread = thread::Builder::new().name(format!("worker-{number}")).spawn(run);
            let thread = thread.with_context(|| format!("worker {number} cannot be started"))?;
            started.threads.push((mailbox, thread));
            let registered = is_ready.recv().unwrap_or_else(|_| Err("it ended at once".to_owned()));
            registered
                .map_err(anyhow::Error::msg)
                .with_context(|| format!("worker {number} cannot be started"))?;
        }
        Ok(started)
    }
}

impl<S: SessionSink + Send + 'static> Drop for WorkerThreads<S> {
    fn drop(&mut self) {
        for (mailbox, _) in &self.threads {
            mailbox.ask(Command::Stop);
        }
        // All have left their last burst before the first gives its sessions back.
        let ended: Vec<_> = self.threads.drain(..).map(|(_, thread)| thread.join()).collect();
        for worker in ended.into_iter().flatten() {
            worker.finish();
        }
    }
}

/// Tells when a worker panics: the process must not go on without one of its workers.
struct Alarm {
    number: usize,
    failed: UnboundedSender<String>,
}

impl Drop for Alarm {
    fn drop(&mut self) {
        if thread::panicking() {
            // Nobody listens only if the process is ending anyway.
            let _ = self.failed.send(format!("worker {} failed", self.number));
        }
    }
}
