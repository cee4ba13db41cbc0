//! Changes through gRPC while a worker forwards at 80 % of its loss-free rate: how fast they are, and what is lost.
//!
//! The worker has the last core; controller, server and control thread share the first one, or all others.

mod server;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::Duration;

use agent_api::v1::{Key, Object, Operation, Route, RouteKey, key, operation};
use anyhow::{Context as _, Result, ensure};
use bench::cases::{self, BASE, BASE_NAME};
use bench::clock::median;
use bench::load::{Load, Report};
use bench::memory::{self, Pages};
use bench::order::{self, Order};
use bench::record::{Raw, Record, Recorder};
use bench::routes::{self, Place, Shape};
use bench::rules;
use bench::world::World;
use clap::Parser;
use dpdk::{Eal, Mbuf, Mempool, MempoolConfig};
use server::Controller;

/// Routes in a batch.
const BATCH: usize = 10_000;
/// The VRF of the routes, in which nobody forwards.
const OTHER: u32 = 3;
/// The next hop of the routes.
const NEXT_HOP: u32 = 200;

/// Changes under load.
#[derive(Debug, Parser)]
struct Options {
    /// Routes.
    #[arg(long, default_value_t = 1_000_000)]
    routes: usize,
    /// Single changes of each kind.
    #[arg(long, default_value_t = 2_000)]
    singles: usize,
    #[command(flatten)]
    pages: Pages,
    #[command(flatten)]
    raw: Raw,
}

/// A thread that forwards while something is measured.
struct Traffic {
    go: Sender<()>,
    reports: Receiver<Report>,
    stop: Arc<AtomicBool>,
}

impl Traffic {
    /// Starts the thread on a core of its own. Says the rate at which packets will come.
    fn start(eal: &Eal, mut load: Load<Mbuf>, core: usize) -> Result<(Self, f64)> {
        let (go, gone) = channel();
        let (report, reports) = channel();
        let (rate, rates) = channel();
        let stop = Arc::new(AtomicBool::new(false));
        let (stopped, eal) = (Arc::clone(&stop), eal.clone());
        thread::spawn(move || {
            let _registered = eal.register_thread(Some(core));
            memory::prefer_this_thread();
            let per_second = load.loss_free_rate(0.1) * 0.8;
            load.sleep();
            // Whoever wanted to know has ended: then so do we.
            let mut told = rate.send(per_second).is_ok();
            while told && gone.recv().is_ok() {
                told = report.send(load.run(per_second, 3600.0, &stopped)).is_ok();
                load.sleep();
            }
        });
        let rate = rates.recv()?;
        Ok((Self { go, reports, stop }, rate))
    }

    /// Does something while packets come.
    fn during<T>(&self, work: impl FnOnce() -> Result<T>) -> Result<(T, Report)> {
        self.stop.store(false, Ordering::Relaxed);
        self.go.send(())?;
        let done = work();
        self.stop.store(true, Ordering::Relaxed);
        let report = self.reports.recv()?;
        Ok((done?, report))
    }
}

fn main() -> Result<()> {
    let options = Options::parse();
    let mut recorder = options.raw.recorder()?;
    let eal = options.pages.eal(64)?;
    let cores = core_affinity::get_core_ids().unwrap_or_default();
    let worker_core = cores.last().context("a core")?.id;
    let pool = MempoolConfig { name: "control".into(), count: 4095, data_room: 2048, cache: 256 };
    let pool = Mempool::new(&eal, &pool)?;
    let case = cases::all(BASE).into_iter().find(|case| case.name == BASE_NAME).context("the base point")?;
    let mut world = World::open(|| memory::ring(&pool, 1024), &case)?;
    world.drill(&case)?;
    let (node, mut worker) = world.into_parts();
    worker.sleep();
    let flows = Arc::clone(node.flows());
    let load = Load::new(worker, case.measured.clone(), BASE, Order::shuffled(BASE), eal.tsc_hz())?;
    let counters = Arc::clone(load.counters());
    let (traffic, rate) = Traffic::start(&eal, load, worker_core)?;
    // Everything else has the other cores; threads that are started from now on inherit that.
    if cores.len() > 1 {
        core_affinity::set_for_current(cores[0]);
    }
    let mut controller = Controller::start(node.into_control(), Arc::clone(&counters), flows)?;
    recorder.keep(&Record::new("changes", "packets meanwhile", "", "M/s", vec![rate / 1e6]))?;
    changes(&options, &mut recorder, &traffic, &mut controller)?;
    let accounting = counters.accounting();
    let drops = counters.drops.iter().map(sync::Counter::get);
    let drops: Vec<_> = packet::DropReason::ALL.iter().zip(drops).filter(|(_, count)| *count > 0).collect();
    ensure!(accounting.holds() && drops.is_empty(), "{accounting:?}, {drops:?}");
    Ok(())
}

fn changes(
    options: &Options,
    recorder: &mut Recorder,
    traffic: &Traffic,
    controller: &mut Controller,
) -> Result<()> {
    controller.apply(vec![objects(&format!("- vrf: {{id: {OTHER}, name: other}}\n{}", tunnel(194)))?])?;
    let keep = |recorder: &mut Recorder, mut record: Record, report: &Report| {
        for (name, value) in [
            ("lost", report.lost()),
            ("of them, worker not running", report.away),
            ("missing or out of order", report.missing + report.disordered),
        ] {
            record.extra.insert(name.to_owned(), value as f64);
        }
        recorder.keep(&record)
    };
    let figure = |row: &str, at: &str, unit, runs| Record::new("changes", row, at, unit, runs);

    let ((), report) = traffic.during(|| {
        thread::sleep(Duration::from_secs(1));
        Ok(())
    })?;
    keep(recorder, figure("nothing, for a second", "", "s", vec![1.0]), &report)?;

    let places: Vec<Place> = routes::prefixes(options.routes, Shape::Internet);
    let batches = |operation: &dyn Fn(usize, &Place) -> Operation| -> Vec<Vec<Operation>> {
        let batch = |(n, places): (usize, &[Place])| places.iter().map(|place| operation(n, place)).collect();
        places.chunks(BATCH).enumerate().map(batch).collect()
    };
    let at = format!("{} k routes, batches of 10 000", options.routes / 1000);
    let rate = |took: Duration| options.routes as f64 / took.as_secs_f64() / 1e3;
    // Twice with the worker asleep: from nothing, and in memory that was used before.
    let mut asleep = Vec::new();
    for _ in 0..2 {
        asleep.push(rate(controller.apply(batches(&|_, place| route(OTHER, place, 0)))?));
        controller.apply(batches(&|_, place| delete(place)))?;
    }
    recorder.keep(&figure("routes put by gRPC, no traffic", &at, "k/s", asleep).asked(300.0, 300.0))?;
    let made = batches(&|_, place| route(OTHER, place, 0));
    let (took, report) = traffic.during(|| controller.apply(made))?;
    keep(recorder, figure("routes put by gRPC", &at, "k/s", vec![rate(took)]).asked(300.0, 300.0), &report)?;
    let made = batches(&|n, place| route(OTHER, place, 40 + n as u32));
    let (took, report) = traffic.during(|| controller.apply(made))?;
    keep(
        recorder,
        figure("routes changed by gRPC", &at, "k/s", vec![rate(took)]).asked(300.0, 300.0),
        &report,
    )?;

    let singles = |count: usize, operations: &dyn Fn(usize) -> Result<Vec<Operation>>| {
        (0..count).map(operations).collect::<Result<Vec<_>>>()
    };
    let few = options.singles / 20;
    let made = singles(few, &|n| objects(&tunnel(if n % 2 == 0 { 197 } else { 194 })))?;
    let (took, report) = traffic.during(|| controller.each(made))?;
    let row = format!("a next hop repointed under {} k routes", options.routes / 1000);
    keep(
        recorder,
        micros(figure(&row, "gRPC → effective", "µs", Vec::new()).asked(1000.0, 1000.0), &took, 0.5),
        &report,
    )?;

    let place = |n: usize| places[order::mix(n as u64) as usize % places.len()];
    let made = singles(options.singles, &|n| Ok(vec![route(OTHER, &place(n), 100 + n as u32)]))?;
    let (took, report) = traffic.during(|| controller.each(made))?;
    let single = |at: &str| figure("a single route", at, "µs", Vec::new());
    keep(recorder, micros(single("median"), &took, 0.5), &report)?;
    keep(recorder, micros(single("p99").asked(500.0, 500.0), &took, 0.99), &report)?;

    let made = singles(few, &|n| Ok(vec![route(1, &place(n), 100 + n as u32)]))?;
    let (took, report) = traffic.during(|| controller.each(made))?;
    let row = "a single route in the VRF of all flows";
    keep(recorder, micros(figure(row, "p99", "µs", Vec::new()), &took, 0.99), &report)?;

    // Rules of a workload that has none of the flows.
    controller.apply(vec![rules::objects(1_000)?.into_iter().map(put).collect()])?;
    let groups: Vec<Object> = rules::objects(1_000)?.into_iter().take(2).collect();
    let made = singles(few, &|n| {
        let mut group = groups[0].clone();
        if let Some(agent_api::v1::object::Object::SecurityGroup(group)) = &mut group.object
            && let Some(rule) = group.rules.first_mut()
        {
            rule.protocol = 6;
            rule.ports = Some(agent_api::v1::PortRange { first: 1 + n as u32, last: 1 + n as u32 });
        }
        Ok(vec![put(group)])
    })?;
    let (took, report) = traffic.during(|| controller.each(made))?;
    let row = "a rule changed among 1 000";
    keep(recorder, micros(figure(row, "p99", "µs", Vec::new()).asked(1000.0, 1000.0), &took, 0.99), &report)?;

    let made = batches(&|_, place| delete(place));
    let (took, report) = traffic.during(|| controller.apply(made))?;
    keep(recorder, figure("routes deleted by gRPC", &at, "k/s", vec![rate(took)]), &report)
}

/// The quantile of so many times.
fn micros(mut record: Record, took: &[Duration], quantile: f64) -> Record {
    let mut all: Vec<f64> = took.iter().map(|took| took.as_secs_f64() * 1e6).collect();
    all.sort_by(f64::total_cmp);
    let at = ((all.len() as f64 * quantile) as usize).min(all.len().saturating_sub(1));
    record.extra.insert("changes".to_owned(), all.len() as f64);
    record.runs = vec![if quantile == 0.5 { median(&all) } else { all.get(at).copied().unwrap_or(f64::NAN) }];
    record
}

fn put(object: Object) -> Operation {
    Operation { operation: Some(operation::Operation::Put(object)) }
}

fn objects(yaml: &str) -> Result<Vec<Operation>> {
    Ok(agent_api::yaml::parse(yaml)?.into_iter().map(put).collect())
}

/// The routes' next hop, to this node.
fn tunnel(host: u8) -> String {
    format!(
        "- next_hop: {{id: {NEXT_HOP}, tunnel: {{encapsulation: MPLS_OVER_UDP, destination: '10.1.0.{host}'}}}}"
    )
}

fn route(vrf: u32, (_, prefix): &Place, label: u32) -> Operation {
    let prefix = prefix.to_string();
    put(Route { vrf, prefix, next_hop: NEXT_HOP, label, ..Route::default() }.into())
}

fn delete((_, prefix): &Place) -> Operation {
    let key = RouteKey { vrf: OTHER, prefix: prefix.to_string(), ..RouteKey::default() };
    Operation { operation: Some(operation::Operation::Delete(Key { key: Some(key::Key::Route(key)) })) }
}
