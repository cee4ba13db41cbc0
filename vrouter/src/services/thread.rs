//! The services thread.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use packet::InterfaceId;

use super::{Outcome, Services};
use crate::control::Handle;

/// How often requests and resolvers are looked at: a millisecond is nothing to a client.
const ROUND: Duration = Duration::from_millis(1);

/// A packet of a workload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// The name of its class.
    pub class: &'static str,
    /// Where it came in.
    pub interface: InterfaceId,
    /// The whole frame.
    pub frame: Vec<u8>,
}

/// The workers, as the services thread talks to them.
pub trait Requests: Send {
    /// Takes what workloads ask.
    fn requests(&mut self, requests: &mut Vec<Request>);
    /// Sends a frame out of an interface; `false` if no worker can take it.
    fn answer(&mut self, interface: InterfaceId, frame: Vec<u8>) -> bool;
}

/// The running thread; ends when it is dropped.
#[derive(Debug)]
pub struct ServicesThread {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl ServicesThread {
    /// Starts the thread. It reads the tables that `control` publishes, and tells what workloads asked to whoever
    /// listens on `PacketIn`.
    ///
    /// # Errors
    /// The system has no thread to give.
    pub fn start(
        mut services: Services,
        mut workers: impl Requests + 'static,
        control: Handle,
    ) -> io::Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let seen = Arc::clone(&stop);
        let thread = std::thread::Builder::new().name("services".to_owned()).spawn(move || {
            let start = Instant::now();
            let mut requests = Vec::new();
            while !seen.load(Ordering::Acquire) {
                std::thread::sleep(ROUND);
                workers.requests(&mut requests);
                round(&mut services, &mut workers, &control, &mut requests, start.elapsed());
            }
        })?;
        Ok(Self { stop, thread: Some(thread) })
    }
}

fn round(
    services: &mut Services,
    workers: &mut impl Requests,
    control: &Handle,
    requests: &mut Vec<Request>,
    elapsed: Duration,
) {
    let tables = control.tables();
    services.advance(&tables, u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX));
    for Request { class, interface, frame } in requests.drain(..) {
        services.hear(&tables, interface, &frame);
        control.punts().tell(class, interface, &frame);
    }
    for (interface, frame) in services.take_frames() {
        if !workers.answer(interface, frame) {
            services.counters.count(Outcome::NotSent);
        }
    }
}

impl Drop for ServicesThread {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the services thread has panicked");
        }
    }
}
