//! The control side: the authoritative objects, and the one thread that turns batches of them into
//! generations of tables.
//!
//! [`Control`] itself is synchronous and knows neither threads nor gRPC: a batch is staged ([`batch`]),
//! taken over ([`store`]) and compiled into a working copy of the tables ([`compile`]); `publish` hands a
//! clone of it to the workers. [`thread`] runs it behind a queue.

mod attach;
mod batch;
mod compile;
mod fault;
mod list;
mod memberships;
mod names;
mod neighbours;
mod objects;
mod owner;
mod ports;
mod punts;
mod reach;
mod replay;
mod sorted;
mod store;
mod text;
pub mod thread;
mod watch;

pub use batch::Limits;
pub use fault::{Code, Fault};
pub use list::{Filter, ObjectCursor, Snapshot};
pub use owner::Owner;
pub use ports::{AttachedPort, Link, MemoryPorts, PortRequest, Ports};
pub use punts::Punts;
pub use replay::{Replay, Swept};
pub use thread::{ControlThread, Handle, NoWorkers, WorkerEvent, Workers};
pub use watch::{Topics, Watchers};

use std::{
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
};

use agent_api::v1::{self, Kind, watch_event::Event};
use ahash::AHashMap;
use packet::{InterfaceId, PortId};
use sync::{Publisher, Reader};

use crate::tables::Tables;
use batch::{Staged, Writer};
use compile::{Attachments, Compiler};
use names::NameId;
use neighbours::Neighbours;
use objects::{ObjectKey, Rules, Spec};
use store::Store;

/// What the control side is told when it is made.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// How much fits.
    pub limits: Limits,
    /// Directories under which sockets and pcap files may lie; `None` = anywhere.
    pub directories: Option<Vec<PathBuf>>,
    /// How many workers will read the tables.
    pub workers: usize,
}

/// The authoritative objects, and the tables they compile to.
#[derive(Debug)]
pub struct Control<P> {
    settings: Settings,
    rules: Rules,
    store: Store,
    compiler: Compiler,
    /// The working copy: what will be published next.
    tables: Tables,
    /// Whether the working copy differs from what was published.
    dirty: bool,
    publisher: Publisher<Tables>,
    ports: P,
    attachments: Attachments,
    /// Ports to close when no worker uses them any more.
    leaving: Vec<PortId>,
    neighbours: Neighbours,
    /// Milliseconds of the clock that drives neighbours.
    now: u64,
    /// Frames to be sent.
    outbox: Vec<(InterfaceId, Vec<u8>)>,
    watchers: Arc<Watchers>,
    shown: Arc<Shown>,
    /// What watchers will be told when the generation is effective.
    news: Vec<v1::ObjectChange>,
    /// The current replay of each owner.
    marks: AHashMap<NameId, u32>,
}

/// What a batch came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// The generation that contains the batch.
    pub generation: u64,
    /// Objects that differ from before.
    pub changed: usize,
    /// Where asked for: indexes of the operations that changed nothing.
    pub unchanged: Vec<u32>,
}

impl<P: Ports> Control<P> {
    /// An empty vRouter, and one reader of its tables per worker.
    pub fn new(settings: Settings, ports: P) -> (Self, Vec<Reader<Tables>>) {
        let (publisher, readers) = sync::publication(Arc::new(Tables::default()), settings.workers);
        let rules = Rules { directories: settings.directories.clone() };
        let neighbours = Neighbours::new(settings.limits.neighbours);
        let control = Self {
            settings,
            rules,
            store: Store::default(),
            compiler: Compiler::default(),
            tables: Tables::default(),
            dirty: false,
            publisher,
            ports,
            attachments: Attachments::default(),
            leaving: Vec::new(),
            neighbours,
            now: 0,
            outbox: Vec::new(),
            watchers: Arc::default(),
            shown: Arc::default(),
            news: Vec::new(),
            marks: AHashMap::new(),
        };
        (control, readers)
    }

    /// Applies one batch and returns when every worker uses it.
    pub fn apply(&mut self, owner: &Owner, batch: v1::Batch) -> v1::BatchResult {
        let id = batch.id;
        let result = self.execute(owner, batch);
        self.publish();
        while !self.is_effective() {
            std::thread::yield_now();
        }
        self.settle();
        match result {
            Ok(outcome) => outcome.into_result(id),
            Err(fault) => fault.into_result(id, self.generation()),
        }
    }

    /// The tables as they are published now.
    pub fn tables(&self) -> &Arc<Tables> {
        self.publisher.current()
    }

    /// Tells when every worker has passed a burst boundary.
    pub fn boundaries(&self) -> sync::Boundaries {
        self.publisher.boundaries()
    }

    /// The number of the newest published generation.
    pub fn generation(&self) -> u64 {
        self.publisher.generation()
    }

    /// The number of the generation being built.
    fn building(&self) -> u64 {
        self.generation() + 1
    }

    /// Who watches.
    pub fn watchers(&self) -> &Arc<Watchers> {
        &self.watchers
    }

    /// The published tables, for other threads.
    pub fn shown(&self) -> &Arc<Shown> {
        &self.shown
    }

    /// Entries and capacity of every table.
    pub fn table_stats(&self) -> Vec<v1::TableStats> {
        let kinds = Kind::ALL.iter().map(|&kind| {
            let (name, most) = self.settings.limits.of(kind);
            (name, self.store.count(kind), most)
        });
        let limits = &self.settings.limits;
        let others = [
            ("neighbours", self.neighbours.len(), limits.neighbours),
            // Tunnels whose path the underlay has called narrower than configured (SEMANTICS 11).
            ("path_mtus", self.compiler.narrow_paths(), limits.of(Kind::NextHop).1),
        ];
        let tables = kinds.chain(others);
        let table = |(name, entries, most): (&str, usize, usize)| v1::TableStats {
            table: name.to_owned(),
            entries: entries as u64,
            capacity: most as u64,
        };
        tables.map(table).collect()
    }

    /// The devices.
    pub fn ports(&mut self) -> &mut P {
        &mut self.ports
    }

    /// Takes a batch into the working copy: all of it, or nothing. It is effective after [`Self::publish`], when
    /// [`Self::is_effective`].
    ///
    /// # Errors
    /// What is wrong with the batch; nothing was changed.
    pub fn execute(&mut self, owner: &Owner, batch: v1::Batch) -> Result<Outcome, Fault> {
        let generation = self.building();
        let mark = self.store.names.find(owner.name()).and_then(|id| self.marks.get(&id)).copied();
        let writer = Writer { owner, takeover: batch.takeover, mark: mark.unwrap_or(0), generation };
        let staged = batch::stage(&mut self.store, writer, batch, &self.rules, &self.settings.limits)?;
        self.take_over(staged)
    }

    fn take_over(&mut self, staged: Staged) -> Result<Outcome, Fault> {
        if let Err(fault) = self.attach(&staged) {
            batch::abandon(&mut self.store, &staged);
            return Err(fault);
        }
        let displaced = displaced(&staged);
        self.store.commit(&staged);
        if staged.objects.is_empty() && staged.routes.is_empty() {
            let generation = self.generation() + u64::from(self.dirty);
            return Ok(Outcome { generation, changed: 0, unchanged: staged.unchanged });
        }
        self.dirty = true;
        for interface in displaced {
            self.forget_neighbours(interface);
        }
        let (compiler, mut cx) = self.compiler();
        let wanted = compiler.batch(&mut cx, &staged);
        self.ask_for(wanted);
        self.release(&staged);
        self.note(&staged);
        Ok(Outcome { generation: self.building(), changed: staged.changed, unchanged: staged.unchanged })
    }

    /// Keeps what watchers will be told when the batch is effective.
    fn note(&mut self, staged: &Staged) {
        if !self.watchers.wants(Topics::OBJECTS) {
            return;
        }
        let objects = staged.objects.iter().map(|change| {
            let holder = change.after.as_ref().or(change.before.as_ref()).map(|record| record.owner);
            (change.key, change.after.is_none(), holder)
        });
        let routes = staged.routes.iter().map(|change| {
            let holder = change.after.or(change.before).map(|path| path.owner);
            (ObjectKey::Route(change.key), change.after.is_none(), holder)
        });
        let (names, generation) = (&self.store.names, self.publisher.generation() + 1);
        self.news.extend(objects.chain(routes).map(|(key, deleted, holder)| v1::ObjectChange {
            key: Some(key.to_api(names)),
            deleted,
            generation,
            owner: holder.map(|id| names.get(id).to_owned()).unwrap_or_default(),
        }));
    }

    /// Hands the working copy to the workers, if it differs from what they have.
    pub fn publish(&mut self) {
        if std::mem::take(&mut self.dirty) {
            self.tables.generation = self.generation() + 1;
            let tables = Arc::new(self.tables.clone());
            self.publisher.publish(Arc::clone(&tables));
            self.shown.set(tables);
        }
    }

    /// Whether every worker uses the newest generation.
    pub fn is_effective(&self) -> bool {
        self.publisher.passed(self.generation())
    }

    /// Workers, by index, that still use an older generation than the newest.
    pub fn laggards(&self) -> impl Iterator<Item = usize> + '_ {
        self.publisher.laggards(self.generation())
    }

    /// Frees what no worker can see any more and tells watchers. Call it when the newest generation is effective.
    pub fn settle(&mut self) {
        self.publisher.reclaim();
        for change in std::mem::take(&mut self.news) {
            self.watchers.tell(Topics::OBJECTS, Event::Object(change));
        }
        for port in std::mem::take(&mut self.leaving) {
            self.ports.detach(port);
        }
    }
}

impl Outcome {
    /// The answer to the batch.
    #[must_use]
    pub fn into_result(self, id: u64) -> v1::BatchResult {
        let changed = u32::try_from(self.changed).unwrap_or(u32::MAX);
        let unchanged = self.unchanged;
        v1::BatchResult { id, generation: self.generation, changed, unchanged, ..v1::BatchResult::default() }
    }
}

/// The newest published tables, for threads that are no workers.
#[derive(Debug, Default)]
pub struct Shown(Mutex<Arc<Tables>>);

impl Shown {
    /// The tables as they were last published.
    #[must_use]
    pub fn get(&self) -> Arc<Tables> {
        Arc::clone(&self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn set(&self, tables: Arc<Tables>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = tables;
    }
}

/// Interfaces whose neighbours are no longer theirs: deleted, or in another VRF.
fn displaced(staged: &Staged) -> Vec<InterfaceId> {
    let spec = |record: &Option<store::Record>| match record.as_ref().map(|record| &record.spec) {
        Some(Spec::Interface(spec)) => Some((spec.vrf, spec.role)),
        _ => None,
    };
    let changes = staged.objects.iter().filter(|change| spec(&change.before) != spec(&change.after));
    changes.filter_map(|change| change.key.interface()).collect()
}

#[cfg(test)]
mod tests;
