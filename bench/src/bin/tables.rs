//! How much memory sessions, routes and VRFs take, as the system counts it: the growth of this process's resident memory. One
//! table per process (`--only`), since an allocator gives little back; without `--only` it calls itself for each.

use std::process::Command;
use std::time::Instant;

use agent_api::v1::{Batch, Object, Operation, Route, Vrf, operation};
use anyhow::{Context as _, Result, ensure};
use bench::memory;
use bench::record::{Raw, Record, Recorder};
use bench::routes::{self, Shape};
use bench::sessions::{self, session};
use clap::{Parser, ValueEnum};
use flow::{Config, FlowTable, Ticks};
use packet::{VrfId, WorkerId};
use sync::Observation;
use vrouter::control::{Control, MemoryPorts, Owner, Settings};

/// Routes in a batch.
const BATCH: usize = 10_000;

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Table {
    SessionsV4,
    SessionsV6,
    RoutesInternet,
    RoutesHosts,
    RoutesTenants,
    Vrfs,
}

/// Memory of tables.
#[derive(Debug, Parser)]
struct Options {
    /// Only this table, in this process.
    #[arg(long, value_enum)]
    only: Option<Table>,
    /// A tenth of each.
    #[arg(long)]
    tenth: bool,
    #[command(flatten)]
    raw: Raw,
}

fn main() -> Result<()> {
    let options = Options::parse();
    let mut recorder = options.raw.recorder()?;
    let part = |count: u32| if options.tenth { count / 10 } else { count };
    match options.only {
        None => each(&options),
        Some(Table::SessionsV4) => sessions(&mut recorder, "IPv4", part(10_000_000), false, 180.0),
        Some(Table::SessionsV6) => sessions(&mut recorder, "IPv6", part(2_000_000), true, 304.0),
        Some(Table::RoutesInternet) => routes(&mut recorder, "internet", part(1_000_000), Shape::Internet),
        Some(Table::RoutesHosts) => routes(&mut recorder, "hosts", part(1_000_000), Shape::Hosts),
        Some(Table::RoutesTenants) => routes(&mut recorder, "tenants", part(1_024_000), Shape::Tenants),
        Some(Table::Vrfs) => vrfs(&mut recorder),
    }
}

fn each(options: &Options) -> Result<()> {
    for table in Table::value_variants() {
        let name = table.to_possible_value().context("a name")?;
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["--only", name.get_name()]);
        if options.tenth {
            command.arg("--tenth");
        }
        if let Some(raw) = &options.raw.raw {
            command.arg("--raw").arg(raw);
        }
        ensure!(command.status()?.success(), "{} failed", name.get_name());
    }
    Ok(())
}

/// A table for `count` sessions, filled to the last.
fn sessions(recorder: &mut Recorder, name: &str, count: u32, six: bool, asked: f64) -> Result<()> {
    let before = memory::resident();
    let size = if six { [1, count] } else { [count, 1] };
    let config =
        Config { sessions_v4: size[0], sessions_v6: size[1], seed: 1, interfaces: 65_536, workers: 1 };
    let table = FlowTable::new(&config)?;
    let mut slots = table.worker::<Observation>(WorkerId(0)).context("a worker's sessions")?;
    let per_session = (memory::resident() - before) / f64::from(count);
    let (start, mut refused) = (Instant::now(), 0_u64);
    for n in 0..count {
        refused += u64::from(table.insert(&mut slots, &session(n, six), Ticks::default()).is_err());
    }
    let rate = f64::from(count) / start.elapsed().as_secs_f64() / 1e6;
    let inserted = table.len() as f64 / f64::from(count) * 100.0;
    let record =
        Record::new("memory", format!("a session, {name}"), sized(count), "bytes", vec![per_session]);
    recorder.keep(
        &record
            .asked(asked, asked)
            .with("in large pages, %", memory::in_large_pages() / memory::resident() * 100.0),
    )?;
    let record =
        Record::new("filling", format!("sessions, {name}"), sized(count), "% of the table", vec![inserted]);
    recorder.keep(&record.with("refused", refused as f64).with("M/s, one after the other", rate))?;
    slots.release(&table, &mut sessions::Unheard);
    Ok(())
}

fn sized(count: u32) -> String {
    if count >= 1_000_000 { format!("{} M", count / 1_000_000) } else { format!("{} k", count / 1_000) }
}

fn put(object: impl Into<Object>) -> Operation {
    Operation { operation: Some(operation::Operation::Put(object.into())) }
}

fn apply(control: &mut Control<MemoryPorts>, operations: Vec<Operation>) -> Result<()> {
    let owner = Owner::peer("bench").context("an owner")?;
    let result = control.apply(&owner, Batch { operations, ..Batch::default() });
    ensure!(result.code == 0, "{} ({})", result.message, result.field);
    Ok(())
}

/// A control side with a next hop and these VRFs; no worker reads.
fn control(vrfs: impl IntoIterator<Item = u32>) -> Result<Control<MemoryPorts>> {
    let (mut control, _) = Control::new(Settings::default(), MemoryPorts::default());
    let vrf = |id| put(Vrf { id, name: format!("vrf {id}"), ..Vrf::default() });
    let all: Vec<_> = vrfs.into_iter().map(vrf).collect();
    apply(&mut control, all)?;
    let reject = agent_api::yaml::parse("- next_hop: {id: 100, reject: {}}")?;
    apply(&mut control, reject.into_iter().map(put).collect())?;
    Ok(control)
}

/// The control side with so many routes, and the tables that it publishes.
fn routes(recorder: &mut Recorder, name: &str, count: u32, shape: Shape) -> Result<()> {
    let places = routes::prefixes(count as usize, shape);
    let mut vrfs: Vec<u32> = places.iter().map(|(vrf, _)| u32::from(vrf.0)).collect();
    vrfs.dedup();
    let mut control = control(vrfs)?;
    let before = memory::resident();
    let start = Instant::now();
    for batch in places.chunks(BATCH) {
        let route = |(vrf, prefix): &(VrfId, nexthop::Prefix)| {
            let (vrf, prefix) = (u32::from(vrf.0), prefix.to_string());
            put(Route { vrf, prefix, next_hop: 100, ..Route::default() })
        };
        apply(&mut control, batch.iter().map(route).collect())?;
    }
    let rate = f64::from(count) / start.elapsed().as_secs_f64() / 1e6;
    let all = (memory::resident() - before) / f64::from(count);
    let tables = control.tables();
    let read: usize = tables.vrfs.iter().map(|vrf| tables.vrfs.memory(vrf)).sum();
    let read = read as f64 / f64::from(count);
    let record =
        Record::new("memory", format!("a route's object, {name}"), sized(count), "bytes", vec![all - read]);
    recorder.keep(&record.asked(160.0, 160.0).with("and read by workers", read))?;
    recorder.keep(&Record::new("filling", format!("routes, {name}"), sized(count), "M/s", vec![rate]))
}

/// As many VRFs as there can be, all empty.
fn vrfs(recorder: &mut Recorder) -> Result<()> {
    let (mut control, _) = Control::new(Settings::default(), MemoryPorts::default());
    let before = memory::resident();
    let start = Instant::now();
    let vrf = |id| put(Vrf { id, name: format!("vrf {id}"), ..Vrf::default() });
    apply(&mut control, (0..65_536).map(vrf).collect())?;
    let seconds = start.elapsed().as_secs_f64();
    let each = (memory::resident() - before) / 65_536.0;
    let record = Record::new("memory", "an empty VRF", "65 536", "bytes", vec![each]).asked(1024.0, 1024.0);
    recorder.keep(&record)?;
    ensure!(control.tables().vrfs.len() == 65_536, "{} VRFs", control.tables().vrfs.len());
    recorder.keep(&Record::new("filling", "VRFs, one batch", "65 536", "M/s", vec![0.065_536 / seconds]))
}
