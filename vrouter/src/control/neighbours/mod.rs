//! Neighbours on fabric interfaces: the state machine of RFC 4861 §7.3 for ARP and ND alike. It owns no
//! clock and sends nothing: time is handed in, and what is to be done comes out as [`Effect`]s.

mod frames;

pub(crate) use frames::{Asker, Heard, hear, request};

use std::collections::BTreeSet;

use agent_api::v1;
use ahash::AHashMap;
use packet::{InterfaceId, VrfId};

use super::text::{Ip, mac_text};
use crate::tables;

/// Milliseconds between two requests (RFC 4861 RETRANS_TIMER).
const RETRANSMIT: u64 = 1_000;
/// Requests before a neighbour is given up (MAX_MULTICAST_SOLICIT, MAX_UNICAST_SOLICIT).
const TRIES: u8 = 3;
/// How long an answer is good for (REACHABLE_TIME).
const REACHABLE: u64 = 30_000;
/// How long a failure is remembered before anybody may ask again.
const FAILED: u64 = 5_000;
/// How long a neighbour that nothing stands on is kept after its answer grew old.
const STALE: u64 = 600_000;
/// How long an old answer is trusted where packets may go to the neighbour (RFC 4861 §7.3.3). Workers do not tell to
/// which they do, so all of them are asked, more seldom than if they did.
const TRUSTED: u64 = 30_000;
/// Most stale neighbours that begin to be asked in one [`RETRANSMIT`]: thousands may have grown old together, and a
/// request that is lost in a full ring would make a living one look dead.
const PROBES: u32 = 64;
/// Most entries that are looked at to make room for another.
const CANDIDATES: usize = 1_024;

/// What stands on a neighbour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Use {
    /// Nothing that is known of.
    None,
    /// Packets for it come by a `resolve` next hop, if there are any.
    Resolved,
    /// A tunnel or a gateway.
    Needed,
}

/// Where a neighbour stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// Asked for, no answer yet.
    Incomplete,
    /// Answered lately.
    Reachable,
    /// Answered once.
    Stale,
    /// Asked whether it is still there.
    Probe,
    /// Did not answer.
    Failed,
    /// Installed by hand.
    Permanent,
}

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Effect {
    /// Send a request: to everybody, or to the MAC where it was last.
    Ask(InterfaceId, Ip, Option<[u8; 6]>),
    /// What workers know of this neighbour changed.
    Write(InterfaceId, Ip),
    /// Its state changed, nothing that workers know.
    Tell(InterfaceId, Ip),
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    state: State,
    /// Where it was last; none while INCOMPLETE.
    mac: Option<[u8; 6]>,
    vrf: VrfId,
    /// Place in the tables.
    slot: u32,
    /// When the state was entered.
    since: u64,
    /// When to look at it next; none for permanent ones.
    due: Option<u64>,
    /// Requests sent in this state.
    tries: u8,
}

type Key = (InterfaceId, Ip);

/// All neighbours of all interfaces.
#[derive(Debug)]
pub(crate) struct Neighbours {
    entries: AHashMap<Key, Entry>,
    timers: BTreeSet<(u64, Key)>,
    /// Those without a MAC, oldest first: they make room for others.
    unresolved: BTreeSet<(VrfId, u64, Key)>,
    /// Those that answered once, oldest first: they make room when there are none without a MAC.
    stale: BTreeSet<(VrfId, u64, Key)>,
    /// When stale neighbours were last asked, and how many since then.
    probed: (u64, u32),
    /// Entries of each VRF.
    counts: AHashMap<VrfId, usize>,
    /// Most entries of a VRF.
    most: usize,
    free: Vec<u32>,
    slots: u32,
    /// Places of entries that went, until the tables have been written.
    gone: AHashMap<Key, u32>,
}

impl Neighbours {
    /// None yet; at most `most` per VRF.
    pub(crate) fn new(most: usize) -> Self {
        Self {
            entries: AHashMap::new(),
            timers: BTreeSet::new(),
            unresolved: BTreeSet::new(),
            stale: BTreeSet::new(),
            probed: (0, 0),
            counts: AHashMap::new(),
            most: most.max(1),
            free: Vec::new(),
            slots: 0,
            gone: AHashMap::new(),
        }
    }

    /// Somebody has a packet for this neighbour, or a tunnel stands on it.
    pub(crate) fn need(
        &mut self,
        vrf: VrfId,
        interface: InterfaceId,
        ip: Ip,
        now: u64,
        uses: impl Fn(InterfaceId, Ip) -> Use,
        effects: &mut Vec<Effect>,
    ) {
        let key = (interface, ip);
        if self.entries.contains_key(&key) || !self.make_room(vrf, uses, effects) {
            return;
        }
        self.create(key, vrf, State::Incomplete, None, now);
        self.ask(key, now, effects);
    }

    /// Installs a neighbour that is never asked for and never forgotten.
    pub(crate) fn install(
        &mut self,
        vrf: VrfId,
        interface: InterfaceId,
        ip: Ip,
        mac: [u8; 6],
        now: u64,
        effects: &mut Vec<Effect>,
    ) {
        let key = (interface, ip);
        self.forget(key);
        self.create(key, vrf, State::Permanent, Some(mac), now);
        effects.push(Effect::Write(interface, ip));
    }

    /// A neighbour spoke. `ours` = it asked about an address of ours, so it will want an answer soon.
    pub(crate) fn heard(
        &mut self,
        (vrf, interface): (VrfId, InterfaceId),
        heard: &Heard,
        ours: bool,
        now: u64,
        uses: impl Fn(InterfaceId, Ip) -> Use,
        effects: &mut Vec<Effect>,
    ) {
        let key = (interface, heard.ip);
        let Some(entry) = self.entries.get(&key).copied() else {
            // Who merely talks is not remembered: the table would be anybody's to fill.
            if let Some(mac) = heard.mac.filter(|_| ours)
                && self.make_room(vrf, uses, effects)
            {
                self.create(key, vrf, State::Stale, Some(mac), now);
                effects.push(Effect::Write(interface, heard.ip));
            }
            return;
        };
        let mac = heard.mac.or(entry.mac);
        let moved = mac != entry.mac;
        if entry.state == State::Permanent || mac.is_none() {
            return;
        }
        if moved && !heard.overrides && entry.mac.is_some() {
            // RFC 4861 §7.2.5: it does not move, but what was known is in doubt.
            if entry.state == State::Reachable {
                self.enter(key, State::Stale, now, effects);
            }
            return;
        }
        if !moved && heard.solicited && entry.state == State::Reachable {
            return self.set_timer(key, Some(now + REACHABLE));
        }
        if !moved && !heard.solicited {
            return;
        }
        if let Some(entry) = self.entries.get_mut(&key) {
            entry.mac = mac;
        }
        self.enter(key, if heard.solicited { State::Reachable } else { State::Stale }, now, effects);
        if moved {
            effects.push(Effect::Write(interface, heard.ip));
        }
    }

    /// Does what is due. `uses` says what stands on a neighbour.
    pub(crate) fn tick(
        &mut self,
        now: u64,
        uses: impl Fn(InterfaceId, Ip) -> Use,
        effects: &mut Vec<Effect>,
    ) {
        while let Some(&(due, key)) = self.timers.first() {
            if due > now {
                return;
            }
            self.timers.remove(&(due, key));
            let Some(entry) = self.entries.get(&key).copied() else { continue };
            let found = uses(key.0, key.1);
            match (entry.state, found) {
                (State::Incomplete | State::Probe, _) if entry.tries < TRIES => self.ask(key, now, effects),
                (State::Incomplete, _) | (State::Probe, Use::Needed) => {
                    if let Some(entry) = self.entries.get_mut(&key) {
                        entry.mac = None;
                    }
                    self.enter(key, State::Failed, now, effects);
                    effects.push(Effect::Write(key.0, key.1));
                }
                (State::Reachable | State::Stale, Use::Needed) => self.probe(key, now, effects),
                (State::Failed, Use::Needed) => {
                    self.enter(key, State::Incomplete, now, effects);
                    effects.push(Effect::Write(key.0, key.1));
                    self.ask(key, now, effects);
                }
                (State::Reachable, _) => self.enter(key, State::Stale, now, effects),
                (State::Stale, Use::Resolved) if self.may_probe(now) => self.probe(key, now, effects),
                (State::Stale, Use::Resolved) => self.set_timer(key, Some(now + RETRANSMIT)),
                (State::Stale, Use::None) if now < entry.since + STALE => {
                    self.set_timer(key, Some(entry.since + STALE));
                }
                // Whoever has a packet for it asks everybody, so a new MAC is found at once.
                (State::Probe | State::Stale | State::Failed, _) => {
                    self.forget(key);
                    effects.push(Effect::Write(key.0, key.1));
                }
                (State::Permanent, _) => {}
            }
        }
    }

    /// A stale neighbour that something began to stand on is asked at once.
    pub(crate) fn refresh(&mut self, interface: InterfaceId, ip: Ip, now: u64, effects: &mut Vec<Effect>) {
        let key = (interface, ip);
        if self.entries.get(&key).is_some_and(|entry| entry.state == State::Stale) {
            self.probe(key, now, effects);
        }
    }

    /// Asks a neighbour whether it is still where it was.
    fn probe(&mut self, key: Key, now: u64, effects: &mut Vec<Effect>) {
        self.enter(key, State::Probe, now, effects);
        self.ask(key, now, effects);
    }

    /// Whether one more stale neighbour may be asked now.
    fn may_probe(&mut self, now: u64) -> bool {
        if now >= self.probed.0 + RETRANSMIT {
            self.probed = (now, 0);
        }
        self.probed.1 += 1;
        self.probed.1 <= PROBES
    }

    /// An interface went, or moved to another VRF.
    pub(crate) fn remove_interface(&mut self, interface: InterfaceId, effects: &mut Vec<Effect>) {
        let keys: Vec<Key> = self.entries.keys().filter(|key| key.0 == interface).copied().collect();
        for key in keys {
            self.forget(key);
            effects.push(Effect::Write(key.0, key.1));
        }
    }

    /// When [`Self::tick`] has something to do next.
    pub(crate) fn next_due(&self) -> Option<u64> {
        self.timers.first().map(|&(due, _)| due)
    }

    /// Writes one neighbour's row as it is now.
    pub(crate) fn write(&mut self, tables: &mut tables::Neighbours, interface: InterfaceId, ip: Ip) {
        let key = (interface, ip);
        let entry = self.entries.get(&key);
        if let Some(slot) = self.gone.remove(&key) {
            tables.remove(slot, interface, ip.v6, &ip.address);
            self.free.push(slot);
        }
        let Some(entry) = entry else { return };
        let state = match (entry.state, entry.mac) {
            (State::Failed, _) => tables::NeighbourState::Failed,
            (_, Some(mac)) => tables::NeighbourState::Resolved(mac),
            // Nothing is known: packets wait.
            (_, None) => return tables.remove(entry.slot, interface, ip.v6, &ip.address),
        };
        tables.set(entry.slot, interface, ip.v6, &ip.address, state);
    }

    /// One neighbour as the API shows it; deleted ones as FAILED without MAC.
    pub(crate) fn show(&self, interface: InterfaceId, ip: Ip, now: u64) -> v1::Neighbour {
        let entry = self.entries.get(&(interface, ip));
        v1::Neighbour {
            interface: interface.0.into(),
            address: ip.to_string(),
            mac: entry.and_then(|entry| entry.mac).map(mac_text).unwrap_or_default(),
            state: entry.map_or(v1::NeighbourState::Unspecified, |entry| entry.state.to_api()).into(),
            age_ms: entry
                .map_or(0, |entry| u32::try_from(now.saturating_sub(entry.since)).unwrap_or(u32::MAX)),
        }
    }

    /// All neighbours, of one interface or of all, in order.
    pub(crate) fn list(&self, interface: Option<InterfaceId>, now: u64) -> Vec<v1::Neighbour> {
        let mut keys: Vec<Key> = self.entries.keys().copied().collect();
        keys.retain(|key| interface.is_none_or(|interface| key.0 == interface));
        keys.sort_unstable();
        keys.into_iter().map(|(interface, ip)| self.show(interface, ip, now)).collect()
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether one more fits into a VRF. The oldest one without MAC makes room, else the oldest that answered once; never
    /// one that something stands on, so that nobody who forges requests takes a gateway's place.
    fn make_room(
        &mut self,
        vrf: VrfId,
        uses: impl Fn(InterfaceId, Ip) -> Use,
        effects: &mut Vec<Effect>,
    ) -> bool {
        if self.counts.get(&vrf).copied().unwrap_or(0) < self.most {
            return true;
        }
        let lowest = (vrf, 0, (InterfaceId(0), Ip::LOWEST));
        let oldest = |list: &BTreeSet<(VrfId, u64, Key)>| {
            let of_vrf = list.range(lowest..).take_while(|entry| entry.0 == vrf).map(|entry| entry.2);
            of_vrf.take(CANDIDATES).find(|key| uses(key.0, key.1) != Use::Needed)
        };
        let Some(key) = oldest(&self.unresolved).or_else(|| oldest(&self.stale)) else { return false };
        self.forget(key);
        effects.push(Effect::Write(key.0, key.1));
        true
    }

    /// Where a neighbour waits to make room, if it may.
    fn waits_in(&mut self, state: State, mac: Option<[u8; 6]>) -> Option<&mut BTreeSet<(VrfId, u64, Key)>> {
        match (state, mac) {
            (_, None) => Some(&mut self.unresolved),
            (State::Stale, Some(_)) => Some(&mut self.stale),
            _ => None,
        }
    }

    fn create(&mut self, key: Key, vrf: VrfId, state: State, mac: Option<[u8; 6]>, now: u64) {
        let slot = self.gone.remove(&key).or_else(|| self.free.pop()).unwrap_or_else(|| {
            self.slots += 1;
            self.slots - 1
        });
        self.entries.insert(key, Entry { state, mac, vrf, slot, since: now, due: None, tries: 0 });
        self.set_timer(key, state.lasts().map(|lasts| now + lasts));
        *self.counts.entry(vrf).or_default() += 1;
        if let Some(list) = self.waits_in(state, mac) {
            list.insert((vrf, now, key));
        }
    }

    /// When a neighbour is looked at next, and no more at the time before.
    fn set_timer(&mut self, key: Key, due: Option<u64>) {
        let Some(entry) = self.entries.get_mut(&key) else { return };
        let before = std::mem::replace(&mut entry.due, due);
        before.map(|due| self.timers.remove(&(due, key)));
        self.timers.extend(due.map(|due| (due, key)));
    }

    /// It does not wait to make room any more.
    fn unlist(&mut self, key: Key, entry: &Entry) {
        for list in [&mut self.unresolved, &mut self.stale] {
            list.remove(&(entry.vrf, entry.since, key));
        }
    }

    fn forget(&mut self, key: Key) {
        self.set_timer(key, None);
        let Some(entry) = self.entries.remove(&key) else { return };
        self.unlist(key, &entry);
        self.gone.insert(key, entry.slot);
        if let Some(count) = self.counts.get_mut(&entry.vrf) {
            *count -= 1;
        }
    }

    fn enter(&mut self, key: Key, state: State, now: u64, effects: &mut Vec<Effect>) {
        let Some(before) = self.entries.get(&key).copied() else { return };
        self.unlist(key, &before);
        if let Some(entry) = self.entries.get_mut(&key) {
            (entry.state, entry.since, entry.tries) = (state, now, 0);
        }
        self.set_timer(key, state.lasts().map(|lasts| now + lasts));
        let (vrf, mac) = (before.vrf, before.mac);
        if let Some(list) = self.waits_in(state, mac) {
            list.insert((vrf, now, key));
        }
        effects.push(Effect::Tell(key.0, key.1));
    }

    fn ask(&mut self, key: Key, now: u64, effects: &mut Vec<Effect>) {
        let Some(entry) = self.entries.get_mut(&key) else { return };
        entry.tries += 1;
        effects.push(Effect::Ask(key.0, key.1, entry.mac));
        self.set_timer(key, Some(now + RETRANSMIT));
    }
}

impl State {
    /// How long a state lasts in itself, or until it is looked at again.
    const fn lasts(self) -> Option<u64> {
        match self {
            Self::Incomplete | Self::Probe => Some(RETRANSMIT),
            Self::Reachable => Some(REACHABLE),
            Self::Stale => Some(TRUSTED),
            Self::Failed => Some(FAILED),
            Self::Permanent => None,
        }
    }

    const fn to_api(self) -> v1::NeighbourState {
        match self {
            Self::Incomplete => v1::NeighbourState::Incomplete,
            Self::Reachable => v1::NeighbourState::Reachable,
            Self::Stale => v1::NeighbourState::Stale,
            Self::Probe => v1::NeighbourState::Probe,
            Self::Failed => v1::NeighbourState::Failed,
            Self::Permanent => v1::NeighbourState::Permanent,
        }
    }
}

#[cfg(test)]
mod tests;
