//! Replay after a reconnect: what an owner wrote before and does not write again is swept.

use agent_api::v1::Kind;
use ahash::AHashSet;
use packet::{GroupSetId, InterfaceId, NextHopId, VrfId};

use super::{
    Control, Outcome,
    batch::{self, Writer},
    fault::{Code, Fault},
    names::NameId,
    objects::{FIRST_INTERNAL, ObjectKey, source_nat_next_hop},
    owner::{self, Owner},
    ports::Ports,
    store::Store,
};

/// An open replay. Whatever its owner writes from now on is kept when it is closed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replay {
    owner: Owner,
    mark: u32,
    kinds: Vec<Kind>,
}

/// What closing a replay came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Swept {
    /// The generation without what was swept.
    pub generation: u64,
    /// Objects deleted.
    pub swept: usize,
    /// Objects of the owner, of the kinds in question, that stay.
    pub kept: usize,
}

impl<P: Ports> Control<P> {
    /// Opens a replay of some kinds of objects; no kind = all.
    ///
    /// # Errors
    /// No room for another owner's name.
    pub fn open_replay(&mut self, owner: &Owner, kinds: &[Kind]) -> Result<Replay, Fault> {
        let names = std::sync::Arc::make_mut(&mut self.store.names);
        let id = names.intern(owner.name()).ok_or_else(|| {
            Fault::general(Code::ResourceExhausted, "65536 different owners and origins are known already")
        })?;
        let mark = self.marks.entry(id).or_default();
        *mark += 1;
        let kinds = if kinds.is_empty() { Kind::ALL.to_vec() } else { kinds.to_vec() };
        Ok(Replay { owner: owner.clone(), mark: *mark, kinds })
    }

    /// Deletes what the owner has not written since the replay was opened. Objects that others refer to stay.
    ///
    /// # Errors
    /// Nothing was deleted; the store says why.
    pub fn close_replay(&mut self, replay: &Replay) -> Result<Swept, Fault> {
        let Some(owner) = self.store.names.find(replay.owner.name()) else {
            return Ok(Swept { generation: self.generation(), swept: 0, kept: 0 });
        };
        let sweep = Sweep::new(&self.store, owner, replay);
        let kept = sweep.kept;
        let writer =
            Writer { owner: &replay.owner, takeover: false, mark: replay.mark, generation: self.building() };
        let staged = batch::stage_deletes(&mut self.store, writer, sweep.keys(), &self.settings.limits)?;
        let Outcome { generation, changed: swept, .. } = self.take_over(staged)?;
        Ok(Swept { generation, swept, kept })
    }
}

/// The interface or pool that one of the vRouter's own next hops belongs to.
fn connected(id: NextHopId) -> Option<ObjectKey> {
    let owner = u16::try_from(id.0 & 0xffff).ok().filter(|&owner| owner != 0 && id.0 >= FIRST_INTERNAL)?;
    Some(if id == source_nat_next_hop(owner) {
        ObjectKey::SourceNat(owner)
    } else {
        ObjectKey::Interface(InterfaceId(owner))
    })
}

/// What will be swept.
#[derive(Default)]
struct Sweep {
    objects: AHashSet<ObjectKey>,
    routes: Vec<ObjectKey>,
    kept: usize,
}

impl Sweep {
    fn new(store: &Store, owner: NameId, replay: &Replay) -> Self {
        let mut sweep = Self::default();
        let in_question = |kind| replay.kinds.contains(&kind);
        for (&key, record) in store.objects.iter() {
            if record.owner == owner && in_question(key.kind()) {
                if record.mark < replay.mark {
                    sweep.objects.insert(key);
                } else {
                    sweep.kept += 1;
                }
            }
        }
        // What routes that stay refer to.
        let mut vrfs: AHashSet<VrfId> = AHashSet::new();
        let mut next_hops: AHashSet<NextHopId> = AHashSet::new();
        let mut groups: AHashSet<GroupSetId> = AHashSet::new();
        for (&key, path) in store.routes.iter() {
            if store.names.get(path.owner) == owner::INTERNAL {
                continue;
            }
            let mine = path.owner == owner && in_question(Kind::Route);
            if mine && path.mark < replay.mark {
                sweep.routes.push(ObjectKey::Route(key));
                continue;
            }
            sweep.kept += usize::from(mine);
            vrfs.insert(key.vrf);
            next_hops.insert(path.next_hop);
            groups.insert(path.membership);
        }
        let makers: Vec<ObjectKey> = next_hops.iter().filter_map(|&id| connected(id)).collect();
        let routed =
            vrfs.into_iter().map(ObjectKey::Vrf).chain(next_hops.into_iter().map(ObjectKey::NextHop));
        let named = groups
            .iter()
            .flat_map(|&set| &store.memberships.get(set).groups)
            .map(|&id| ObjectKey::SecurityGroup(id));
        let in_use: Vec<ObjectKey> = routed.chain(named).chain(makers).collect();
        sweep.spare(store, in_use);
        sweep
    }

    /// Keeps what objects that stay refer to, and what those refer to.
    fn spare(&mut self, store: &Store, in_use: Vec<ObjectKey>) {
        let mut open: Vec<ObjectKey> = in_use.into_iter().filter(|key| self.objects.contains(key)).collect();
        let stays = |user: ObjectKey| match user {
            // Our own next hops follow whom they belong to, unless others use them.
            ObjectKey::NextHop(id) if connected(id).is_some() => {
                store.referrers(user).any(|user| !self.objects.contains(&user))
            }
            user => !self.objects.contains(&user),
        };
        open.extend(self.objects.iter().copied().filter(|&key| store.referrers(key).any(stays)));
        while let Some(key) = open.pop() {
            if !self.objects.remove(&key) {
                continue;
            }
            self.kept += 1;
            if let Some(record) = store.objects.get(&key) {
                record.spec.references(|target, _| open.push(target));
            }
        }
    }

    fn keys(self) -> impl Iterator<Item = ObjectKey> {
        self.objects.into_iter().chain(self.routes)
    }
}
