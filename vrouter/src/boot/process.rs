//! The threads that forward and those that serve them.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use dpdk::{Eal, Mempool};
use packet::WorkerId;
use tokio::sync::mpsc::UnboundedSender;

use super::dataplane::{Seen, View};
use super::memory;
use super::placement::Place;
use super::workers::WorkerThreads;
use crate::agent::FlowLog;
use crate::config::Config;
use crate::control::thread::ControlThread;
use crate::control::{Control, Limits, Settings};
use crate::datapath::{Datapath, DatapathConfig, EventQueue, Variant, WorkerCounters};
use crate::port::{Allowed, Dpdk, DpdkPorts, Pool};
use crate::services::{ServiceCounters, Services, ServicesThread, of_this_node};
use crate::worker::{Ageing, AgeingThread, Clock, Crew, Parts, spreads};

/// Events that one worker may be ahead of the control thread.
const EVENTS: usize = 4096;
/// Drop samples that one worker keeps until somebody asks for them.
const SAMPLES: usize = 1024;

/// All threads. The order of the fields is that of their end: the control thread takes the devices back from
/// the workers.
pub(super) struct Process {
    _services: ServicesThread,
    pub(super) control: ControlThread,
    _ageing: AgeingThread,
    _workers: WorkerThreads<FlowLog>,
    pub(super) view: Arc<View>,
}

impl Process {
    /// Starts a worker at each place, and the others; there is no device yet.
    ///
    /// # Errors
    /// What cannot be had; what was started has ended again.
    pub(super) fn start(
        config: &Config,
        eal: &Eal,
        pool: &Mempool,
        places: &[Place],
        failed: &UnboundedSender<String>,
    ) -> Result<Self> {
        let count = u8::try_from(places.len())?;
        let seed = memory::seed(config);
        let flows = Arc::new(memory::sessions(config, seed, count + 1)?);
        let clock = Clock::new(dpdk::tsc::now, eal.tsc_hz());
        let seen: Vec<Seen> = places.iter().map(|place| see(*place)).collect();
        let mailboxes: Vec<_> = seen.iter().map(|seen| Arc::clone(&seen.mailbox)).collect();

        let directories = config.devices.directories.clone();
        let allowed = Allowed { directories: directories.clone(), pci: memory::pci(config)? };
        let ports = DpdkPorts::new(eal.clone(), pool.clone(), allowed, mailboxes.clone());
        let assignments = ports.assignments();
        let settings = Settings {
            limits: Limits { routes: config.tables.routes as usize, ..Limits::default() },
            directories: Some(directories),
            // The ageing thread reads the tables too.
            workers: places.len() + 1,
        };
        let (control, mut readers) = Control::new(settings, ports);
        let boundaries = control.boundaries();
        let ageing_reader = readers.pop().context("no reader for the ageing thread")?;

        let events: Vec<_> = seen.iter().map(|seen| Arc::clone(&seen.events)).collect();
        let crew = || Crew::<Dpdk>::new(mailboxes.clone(), events.clone(), Pool(pool.clone()));
        let control =
            ControlThread::start(control, crew()).context("the control thread cannot be started")?;
        let served = Arc::<ServiceCounters>::default();
        let services = Services::new(resolvers(config), Arc::clone(&served));
        let handle = control.handle().clone();
        let services = ServicesThread::start(services, crew(), handle)
            .context("the services thread cannot be started")?;
        let log = FlowLog::new(control.handle().clone());

        let variant = Variant::best();
        tracing::info!(variant = variant.name(), "short way for common packets");
        let mut parts = Vec::with_capacity(places.len());
        let ways = readers.into_iter().zip(spreads(places.len(), seed));
        for ((id, seen), (tables, spread)) in (0_u8..).map(WorkerId).zip(&seen).zip(ways) {
            let slots = flows.worker(id).context("no sessions for a worker")?;
            let settings = DatapathConfig { worker: id, seed, express: Some(variant) };
            let (counters, events) = (Arc::clone(&seen.counters), Arc::clone(&seen.events));
            let part = Parts {
                id,
                tables,
                boundaries: boundaries.clone(),
                flows: Arc::clone(&flows),
                datapath: Datapath::new(&settings, slots, Arc::clone(&counters), events),
                counters,
                mailbox: Arc::clone(&seen.mailbox),
                pool: Pool(pool.clone()),
                sink: log.clone(),
                clock,
                poll: seen.place.poll,
                spread,
            };
            parts.push((seen.place, part));
        }
        let workers = WorkerThreads::start(eal, parts, failed)?;
        let ageing = Ageing {
            tables: ageing_reader,
            boundaries,
            slots: flows.worker(WorkerId(count)).context("no sessions for the ageing thread")?,
            flows: Arc::clone(&flows),
            timeouts: memory::timeouts(config),
            clock,
            sink: log,
        };
        let ageing = AgeingThread::start(ageing).context("the ageing thread cannot be started")?;
        let view = Arc::new(View { workers: seen, flows, assignments, services: served, seed, clock });
        Ok(Self { _services: services, control, _ageing: ageing, _workers: workers, view })
    }
}

/// Where names are asked for interfaces that do not say.
fn resolvers(config: &Config) -> Vec<SocketAddr> {
    let named: Vec<_> = config.services.resolvers.iter().map(|resolver| resolver.0).collect();
    if named.is_empty() { of_this_node() } else { named }
}

/// What others see of a worker, before it is there.
fn see(place: Place) -> Seen {
    Seen {
        place,
        counters: Arc::new(WorkerCounters::default()),
        events: Arc::new(EventQueue::new(EVENTS, SAMPLES)),
        mailbox: Arc::default(),
    }
}
