//! From a batch to a checked list of changes. Nothing is changed before everything is known to be right,
//! so that a refused batch leaves no trace; what is staged here is taken over without a way to fail.

mod checks;
mod connected;
mod exclusive;
mod labels;
mod limits;
mod port_maps;
mod routes;

#[cfg(test)]
pub(crate) use connected::RECEIVE as RECEIVE_NEXT_HOP;
pub use limits::Limits;

use std::sync::Arc;

use agent_api::v1::{self, operation::Operation};
use ahash::{AHashMap, AHashSet};

use super::{
    fault::{Code, Fault},
    names::NameId,
    objects::{self, ObjectKey, Path, Read, RouteKey, RouteSpec, Rules, Spec},
    owner::{self, Owner},
    store::{Record, Store},
};

/// What a batch comes down to: at most one change per object, in the order of keys.
#[derive(Debug, Default)]
pub(crate) struct Staged {
    pub(crate) objects: Vec<ObjectChange>,
    pub(crate) routes: Vec<RouteChange>,
    /// Objects that were written again as they are: only their replay mark moves.
    pub(crate) marked_objects: Vec<(ObjectKey, u32)>,
    pub(crate) marked_routes: Vec<(RouteKey, u32)>,
    /// Objects of the batch that differ from before.
    pub(crate) changed: usize,
    /// Where asked for: the operations that change nothing.
    pub(crate) unchanged: Vec<u32>,
}

/// One object (no route) before and after.
#[derive(Debug)]
pub(crate) struct ObjectChange {
    pub(crate) key: ObjectKey,
    pub(crate) before: Option<Record>,
    pub(crate) after: Option<Record>,
}

/// One path before and after.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RouteChange {
    pub(crate) key: RouteKey,
    pub(crate) before: Option<Path>,
    pub(crate) after: Option<Path>,
}

/// Who writes, and how.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Writer<'a> {
    pub(crate) owner: &'a Owner,
    /// May overwrite other owners' objects.
    pub(crate) takeover: bool,
    /// The owner's current replay.
    pub(crate) mark: u32,
    /// The generation being built.
    pub(crate) generation: u64,
}

/// The last word of a batch about each object.
#[derive(Debug, Default)]
struct Wishes {
    objects: AHashMap<ObjectKey, Option<Spec>>,
    routes: AHashMap<RouteKey, Option<RouteSpec>>,
}

impl Wishes {
    fn delete(&mut self, key: ObjectKey) {
        match key {
            ObjectKey::Route(key) => drop(self.routes.insert(key, None)),
            key => drop(self.objects.insert(key, None)),
        }
    }
}

/// Checks a batch against the store and says what it would change.
///
/// # Errors
/// The first thing that is wrong. The store is as it was but for names it has seen.
pub(crate) fn stage(
    store: &mut Store,
    writer: Writer<'_>,
    batch: v1::Batch,
    rules: &Rules,
    limits: &Limits,
) -> Result<Staged, Fault> {
    let operations = batch.operations;
    if operations.len() > limits.operations {
        let text = format!("{} operations: at most {} fit a batch", operations.len(), limits.operations);
        return Err(Fault::general(Code::ResourceExhausted, text));
    }
    let mut order = Vec::new();
    let wishes = read(store, writer.owner, operations, rules, batch.report_unchanged.then_some(&mut order))?;
    let mut staged = stage_wishes(store, writer, wishes, limits)?;
    staged.unchanged = unchanged(&staged, &order);
    Ok(staged)
}

/// The operations that neither were the last word about their object nor changed it.
fn unchanged(staged: &Staged, order: &[ObjectKey]) -> Vec<u32> {
    let mut open: AHashSet<ObjectKey> = staged.objects.iter().map(|change| change.key).collect();
    open.extend(staged.routes.iter().map(|change| ObjectKey::Route(change.key)));
    let last_first = order.iter().enumerate().rev();
    let mut unchanged: Vec<u32> = last_first
        .filter(|(_, key)| !open.remove(*key))
        .filter_map(|(index, _)| u32::try_from(index).ok())
        .collect();
    unchanged.reverse();
    unchanged
}

/// Deletes objects of the writer: the end of a replay.
pub(crate) fn stage_deletes(
    store: &mut Store,
    writer: Writer<'_>,
    keys: impl Iterator<Item = ObjectKey>,
    limits: &Limits,
) -> Result<Staged, Fault> {
    let mut wishes = Wishes::default();
    keys.for_each(|key| wishes.delete(key));
    stage_wishes(store, writer, wishes, limits)
}

fn stage_wishes(
    store: &mut Store,
    writer: Writer<'_>,
    wishes: Wishes,
    limits: &Limits,
) -> Result<Staged, Fault> {
    let mut staged = Staged::default();
    let checked = stage_all(store, writer, wishes, limits, &mut staged);
    if let Err(fault) = checked {
        abandon(store, &staged);
        return Err(fault);
    }
    Ok(staged)
}

/// Gives back what a staged batch holds that will not be committed.
pub(crate) fn abandon(store: &mut Store, staged: &Staged) {
    for path in staged.routes.iter().filter_map(|change| change.after) {
        store.memberships.release(path.membership);
    }
    // Sets that nobody saw need no entry in the tables.
}

fn stage_all(
    store: &mut Store,
    writer: Writer<'_>,
    wishes: Wishes,
    limits: &Limits,
    staged: &mut Staged,
) -> Result<(), Fault> {
    let owner = Arc::make_mut(&mut store.names)
        .intern(writer.owner.name())
        .ok_or_else(|| Fault::general(Code::ResourceExhausted, "65536 different owners are known already"))?;
    objects_of(store, writer, owner, wishes.objects, staged)?;
    routes::stage(store, writer, owner, wishes.routes, staged)?;
    staged.changed = staged.objects.len() + staged.routes.len();
    connected::stage(store, writer.generation, staged)?;
    staged.objects.sort_unstable_by_key(|change| change.key);
    staged.routes.sort_unstable_by_key(|change| change.key);
    checks::names(store, staged)?;
    checks::references(store, staged)?;
    checks::joints(store, staged)?;
    exclusive::check(store, staged)?;
    port_maps::port_maps(store, staged)?;
    routes::references(store, staged)?;
    limits::check(store, staged, limits)
}

fn read(
    store: &mut Store,
    owner: &Owner,
    operations: Vec<v1::Operation>,
    rules: &Rules,
    mut order: Option<&mut Vec<ObjectKey>>,
) -> Result<Wishes, Fault> {
    let names = Arc::make_mut(&mut store.names);
    let mut wishes = Wishes::default();
    for (index, operation) in operations.into_iter().enumerate() {
        let empty = |text: &str| Fault {
            field: format!("operations[{index}]"),
            ..Fault::general(Code::InvalidArgument, text)
        };
        let key = match operation.operation {
            None => return Err(empty("says neither put nor delete")),
            Some(Operation::Put(message)) => {
                let Some(object) = &message.object else { return Err(empty("puts an object without kind")) };
                let read = objects::read(object, rules, owner.name(), names);
                match read.map_err(|invalid| invalid.of(agent_api::key_of(&message)))? {
                    Read::Object(key, spec) => {
                        wishes.objects.insert(key, Some(spec));
                        key
                    }
                    Read::Route(key, spec) => {
                        wishes.routes.insert(key, Some(spec));
                        ObjectKey::Route(key)
                    }
                }
            }
            Some(Operation::Delete(named)) => {
                let Some(key) = &named.key else { return Err(empty("deletes an object without key")) };
                let key = objects::read_key(key, owner.name(), names);
                let key = key.map_err(|invalid| invalid.of(named))?;
                wishes.delete(key);
                key
            }
        };
        if let Some(order) = &mut order {
            order.push(key);
        }
    }
    Ok(wishes)
}

/// The changes that a batch makes to all objects but routes.
fn objects_of(
    store: &Store,
    writer: Writer<'_>,
    owner: NameId,
    wishes: AHashMap<ObjectKey, Option<Spec>>,
    staged: &mut Staged,
) -> Result<(), Fault> {
    for (key, wish) in wishes {
        let before = store.objects.get(&key);
        if let Some(before) = before {
            let may = may_write(store, writer, owner, before.owner);
            may.map_err(|text| Fault::of(Code::PermissionDenied, key.to_api(&store.names), "", text))?;
        }
        match (before, wish) {
            (None, None) => {}
            (Some(before), Some(spec)) if before.spec == spec && before.owner == owner => {
                staged.marked_objects.push((key, writer.mark));
            }
            (before, wish) => {
                let (mark, generation) = (writer.mark, writer.generation);
                let after = wish.map(|spec| Record { spec, owner, mark, generation });
                staged.objects.push(ObjectChange { key, before: before.cloned(), after });
            }
        }
    }
    Ok(())
}

/// Whether an object of `holder` may be written; if not, why.
fn may_write(store: &Store, writer: Writer<'_>, owner: NameId, holder: NameId) -> Result<(), String> {
    if owner == holder {
        return Ok(());
    }
    match store.names.get(holder) {
        owner::CONFIG => Err("belongs to the configuration file and is read-only".to_owned()),
        owner::INTERNAL => Err("is the vRouter's own and follows its interfaces".to_owned()),
        _ if writer.takeover => Ok(()),
        name => Err(format!("belongs to {name}; set takeover to write it all the same")),
    }
}

/// A batch's view of the objects: what it changes, and behind that the store.
struct View<'a> {
    store: &'a Store,
    /// Sorted by key.
    changes: &'a [ObjectChange],
}

impl<'a> View<'a> {
    fn new(store: &'a Store, staged: &'a Staged) -> Self {
        Self { store, changes: &staged.objects }
    }

    /// What the batch does to an object, if it touches it.
    fn change(&self, key: ObjectKey) -> Option<&'a ObjectChange> {
        let index = self.changes.binary_search_by_key(&key, |change| change.key).ok()?;
        self.changes.get(index)
    }

    /// The object as it will be.
    fn get(&self, key: ObjectKey) -> Option<&'a Spec> {
        let record = match self.change(key) {
            Some(change) => change.after.as_ref(),
            None => self.store.objects.get(&key),
        };
        record.map(|record| &record.spec)
    }

    /// Whether the object will be there. Next hop 0, the built-in discard, always is.
    fn exists(&self, key: ObjectKey) -> bool {
        key == ObjectKey::NextHop(packet::NextHopId(0)) || self.get(key).is_some()
    }

    /// A refusal that names the object.
    fn refuse(&self, key: ObjectKey, field: impl ToString, text: impl Into<String>) -> Fault {
        Fault::of(Code::FailedPrecondition, key.to_api(&self.store.names), field.to_string(), text)
    }

    /// An object as messages name it.
    fn name(&self, key: ObjectKey) -> String {
        key.to_api(&self.store.names).to_string()
    }
}
