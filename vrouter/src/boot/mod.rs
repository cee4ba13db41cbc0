//! From a configuration to a running vRouter, and back to a machine on which nothing of it is left.
//!
//! Everything that is started is owned by a value whose drop ends it. They are dropped in the reverse
//! order: the agent API, then the control thread with all devices, then the workers, then DPDK's memory.

mod api;
mod dataplane;
mod memory;
mod notify;
mod placement;
mod signals;
mod workers;

use std::sync::Arc;

use agent_api::v1::{Batch, Operation, operation};
use anyhow::{Context as _, Result, bail};
use dpdk::{Eal, Mempool};
use flow::{EndReason, SessionSink, SessionView, Traffic};
use packet::WorkerId;
use tokio::runtime::Runtime;
use tokio::sync::mpsc;

use crate::agent::Agent;
use crate::config::Config;
use crate::control::thread::{ControlThread, Handle};
use crate::control::{Control, Limits, Owner, Settings};
use crate::datapath::{Datapath, DatapathConfig, EventQueue, WorkerCounters};
use crate::port::{Allowed, Dpdk, DpdkPorts, Pool};
use crate::worker::{Ageing, AgeingThread, Clock, Crew, Mailbox, Parts};
use dataplane::{Seen, View};
use placement::Place;
use workers::WorkerThreads;

/// Events that one worker may be ahead of the control thread.
const EVENTS: usize = 4096;
/// Drop samples that one worker keeps until somebody asks for them.
const SAMPLES: usize = 1024;

/// Runs until a signal says stop.
///
/// # Errors
/// What is missing or refused, and the setting that asked for it; nothing is left behind.
pub fn run(config: &Config) -> Result<()> {
    let objects = config.objects()?;
    let places = placement::on_this_machine(&config.workers)?;
    // Its threads are there before anything changes what threads inherit.
    let runtime = Runtime::new().context("the runtime cannot be started")?;
    let mut signals = runtime.block_on(async { signals::Signals::new() })?;
    let (failed, mut failure) = mpsc::unbounded_channel();

    let eal = memory::dpdk(config)?;
    let pool = memory::packets(config, &eal)?;
    let process = Process::start(config, &eal, &pool, &places, &failed)?;
    let handle = process.control.handle();
    runtime.block_on(apply(handle, objects))?;
    let agent = Agent::new(handle.clone(), process.view.clone());
    let api = runtime.block_on(async { api::Api::start(config, agent, &failed) })?;
    notify::tell("READY=1");
    tracing::info!(workers = places.len(), "ready");

    let reason = runtime.block_on(async {
        tokio::select! {
            name = signals.next() => Ok(name),
            Some(reason) = failure.recv() => Err(reason),
        }
    });
    notify::tell("STOPPING=1");
    let why = match &reason {
        Ok(signal) => signal,
        Err(failure) => failure.as_str(),
    };
    tracing::info!(reason = why, "stopping");
    runtime.block_on(api.stop());
    drop(process);
    drop(runtime);
    let lost = pool.in_use();
    if lost > 0 {
        tracing::error!(packets = lost, "packets were not given back");
    }
    reason.map(drop).map_err(anyhow::Error::msg)
}

/// The objects of the configuration, in one batch.
async fn apply(handle: &Handle, objects: Vec<agent_api::v1::Object>) -> Result<()> {
    if objects.is_empty() {
        return Ok(());
    }
    let put = |object| Operation { operation: Some(operation::Operation::Put(object)) };
    let batch = Batch { operations: objects.into_iter().map(put).collect(), ..Batch::default() };
    let result = handle.apply(&Owner::config(), batch).await;
    if result.code != 0 {
        bail!("the objects of the configuration: {}", result.message);
    }
    Ok(())
}

/// The threads that forward and those that serve them. The order of the fields is that of their end.
struct Process {
    control: ControlThread,
    _ageing: AgeingThread,
    _workers: WorkerThreads<Unheard>,
    view: Arc<View>,
}

impl Process {
    fn start(
        config: &Config,
        eal: &Eal,
        pool: &Mempool,
        places: &[Place],
        failed: &mpsc::UnboundedSender<String>,
    ) -> Result<Self> {
        let count = u8::try_from(places.len())?;
        let ageing_id = WorkerId(count);
        let seed = memory::seed(config);
        let flows = Arc::new(memory::sessions(config, seed, count + 1)?);
        let clock = Clock::new(dpdk::tsc::now, eal.tsc_hz());

        let mailboxes: Vec<Arc<Mailbox<Dpdk>>> = places.iter().map(|_| Arc::default()).collect();
        let allowed = Allowed { directories: config.devices.directories.clone(), pci: memory::pci(config)? };
        let ports = DpdkPorts::new(eal.clone(), pool.clone(), allowed, mailboxes.clone());
        let settings = Settings {
            limits: Limits { routes: config.tables.routes as usize, ..Limits::default() },
            directories: Some(config.devices.directories.clone()),
            // The ageing thread reads the tables too.
            workers: places.len() + 1,
        };
        let assignments = ports.assignments();
        let (control, mut tables) = Control::new(settings, ports);
        let ageing_tables = tables.pop().context("no reader for the ageing thread")?;

        let mut parts = Vec::with_capacity(places.len());
        let mut views = Vec::with_capacity(places.len());
        let mut events = Vec::with_capacity(places.len());
        for (((id, place), tables), mailbox) in (0_u8..).zip(places).zip(tables).zip(&mailboxes) {
            let id = WorkerId(id);
            let counters = Arc::new(WorkerCounters::default());
            let queue = Arc::new(EventQueue::new(EVENTS, SAMPLES));
            views.push(Seen {
                place: *place,
                counters: Arc::clone(&counters),
                events: Arc::clone(&queue),
                mailbox: Arc::clone(mailbox),
            });
            events.push(Arc::clone(&queue));
            let slots = flows.worker(id).context("no sessions for a worker")?;
            let part = Parts {
                id,
                tables,
                boundaries: control.boundaries(),
                flows: Arc::clone(&flows),
                datapath: Datapath::new(
                    &DatapathConfig { worker: id, seed },
                    slots,
                    Arc::clone(&counters),
                    queue,
                ),
                counters,
                mailbox: Arc::clone(mailbox),
                pool: Pool(pool.clone()),
                sink: Unheard,
                clock,
                poll: place.poll,
            };
            parts.push((*place, part));
        }
        let ageing = Ageing {
            tables: ageing_tables,
            boundaries: control.boundaries(),
            slots: flows.worker(ageing_id).context("no sessions for the ageing thread")?,
            flows: Arc::clone(&flows),
            timeouts: memory::timeouts(config),
            clock,
            sink: Unheard,
        };
        // Bound in the order in which an early return has to end them: the last one first.
        let workers = WorkerThreads::start(eal, parts, failed)?;
        let ageing = AgeingThread::start(ageing).context("the ageing thread cannot be started")?;
        let crew = Crew::<Dpdk>::new(mailboxes, events, Pool(pool.clone()));
        let control = ControlThread::start(control, crew).context("the control thread cannot be started")?;
        let view = Arc::new(View { workers: views, flows, assignments, seed, clock });
        Ok(Self { control, _ageing: ageing, _workers: workers, view })
    }
}

/// Nobody wants to hear of sessions that end.
struct Unheard;

impl SessionSink for Unheard {
    fn traffic(&mut self, _: &Traffic) {}

    fn ended(&mut self, _: &SessionView, _: EndReason) {}
}
