//! Births and deaths of sessions.

use packet::InterfaceId;

use crate::atomic::Ordering;
use crate::key::{FlowKey, Scope, ScopeKind};
use crate::policy::RuleSlot;
use crate::table::half::NewHalf;
use crate::table::ids::{HalfId, SessionId};
use crate::table::index::{Hash, Refused};
use crate::table::view::{EndReason, SessionRef};
use crate::table::{FlowTable, RULES, WorkerSlots};
use crate::timeouts::Ticks;

/// What a new session begins with.
#[derive(Clone, Copy, Debug)]
pub struct NewSession {
    /// The direction of the first packet.
    pub forward: NewHalf,
    /// The opposite direction; same family. A denied session has none: the other side may still be allowed
    /// to open the same conversation. What has none and is not pinned counts as denied.
    pub reverse: Option<NewHalf>,
    /// Counter slots of the rules that decided: of the source's egress, of the destination's ingress.
    pub rules: [RuleSlot; RULES],
    /// The address binding that it uses (a dense number of the control side), 0 = none.
    pub binding: u16,
    /// Most sessions of the forward and of the reverse half's interface, 0 = no limit.
    pub limits: [u32; 2],
    /// Pinned by a controller: never aged, evicted nor decided again.
    pub pinned: bool,
}

/// Why a session was not inserted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InsertError {
    /// The forward key is there already, maybe since a moment ago as the answer of a session that another
    /// worker made: that half counts.
    Exists(HalfId),
    /// The reverse key is there already, in a session that has another forward key.
    ReverseTaken(HalfId),
    /// Both directions have the same key: nobody could tell them apart.
    SelfMirrored,
    /// No room.
    TableFull,
    /// This interface has as many sessions as it may.
    InterfaceLimit(InterfaceId),
    /// Denied sessions fill their share (an eighth) of the table.
    DeniedLimit,
}

/// Why a half did not get another scope.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RekeyError {
    /// The new key is there already.
    Exists(HalfId),
    /// No room.
    TableFull,
    /// The session has ended.
    Ended,
}

impl FlowTable {
    /// Inserts a session, both directions at once. The miss that led here is confirmed under the locks of
    /// both keys: of two workers that met the two directions at the same time, one inserts, the other is told
    /// [`InsertError::Exists`].
    ///
    /// Where an interface is at its limit, an old half-open or a denied session of the *same* interface makes
    /// room if a short look finds one; where the table is nearly full, any such session does.
    ///
    /// # Errors
    /// [`InsertError`]; nothing is changed then, except that victims may have been removed.
    pub fn insert<O>(
        &self,
        slots: &mut WorkerSlots<O>,
        new: &NewSession,
        now: Ticks,
    ) -> Result<SessionRef, InsertError> {
        if new.reverse.as_ref().is_some_and(|reverse| reverse.key == new.forward.key) {
            return Err(InsertError::SelfMirrored);
        }
        let result = self.admit(slots, new, now);
        match result {
            // A refusal matters only if the session is not there.
            Err(InsertError::TableFull | InsertError::InterfaceLimit(_) | InsertError::DeniedLimit) => {
                self.lookup(&new.forward.key).map_or(result, |half| Err(InsertError::Exists(half)))
            }
            _ => result,
        }
    }

    /// Counts the session in, and out again if it does not come to be.
    fn admit<O>(
        &self,
        slots: &mut WorkerSlots<O>,
        new: &NewSession,
        now: Ticks,
    ) -> Result<SessionRef, InsertError> {
        let scopes = [new.forward.key.scope, new.reverse.map_or(Scope::NONE, |reverse| reverse.key.scope)];
        let [one, other] = counted(scopes);
        let mut near_limit = self.enter(slots, one, new.limits[0], now)?;
        let entered = self.enter(slots, other, new.limits[1], now).and_then(|near| {
            near_limit |= near;
            self.enter_denied(new)
        });
        if let Err(error) = entered {
            // The second interface was counted only if it was not the one that refused.
            self.leave(one);
            if error == InsertError::DeniedLimit {
                self.leave(other);
            }
            return Err(error);
        }
        let result = self.place(slots, new, now);
        match &result {
            Ok(session) if near_limit => self.note(session.session.number(), [one, other]),
            Ok(_) => {}
            Err(_) => {
                self.leave(one);
                self.leave(other);
                self.leave_denied(is_denied(new));
            }
        }
        result
    }

    fn enter<O>(
        &self,
        slots: &mut WorkerSlots<O>,
        interface: Option<InterfaceId>,
        limit: u32,
        now: Ticks,
    ) -> Result<bool, InsertError> {
        let Some(interface) = interface else { return Ok(false) };
        let row = self.interfaces.row(interface);
        row.enter(limit)
            .or_else(|()| if self.evict_of(slots, interface, now) { row.enter(limit) } else { Err(()) })
            .map_err(|()| InsertError::InterfaceLimit(interface))
    }

    fn leave(&self, interface: Option<InterfaceId>) {
        if let Some(interface) = interface {
            self.interfaces.row(interface).leave();
        }
    }

    fn note(&self, session: u32, interfaces: [Option<InterfaceId>; 2]) {
        for interface in interfaces.into_iter().flatten() {
            self.interfaces.row(interface).note(session);
        }
    }

    fn enter_denied(&self, new: &NewSession) -> Result<(), InsertError> {
        if !is_denied(new) {
            return Ok(());
        }
        if self.denied.fetch_add(1, Ordering::Relaxed) >= self.denied_limit {
            self.leave_denied(true);
            return Err(InsertError::DeniedLimit);
        }
        Ok(())
    }

    fn leave_denied(&self, denied: bool) {
        if denied {
            self.denied.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// Writes the session and makes it known.
    fn place<O>(
        &self,
        slots: &mut WorkerSlots<O>,
        new: &NewSession,
        now: Ticks,
    ) -> Result<SessionRef, InsertError> {
        let v6 = new.forward.key.v6;
        if self.pools[usize::from(v6)].is_low() {
            self.evict_any(slots, v6, now);
        }
        let Some(number) = slots.take(v6, self) else {
            self.evict_any(slots, v6, now);
            return Err(InsertError::TableFull);
        };
        let [forward, reverse] = self.halves(number);
        forward.write(&new.forward, new.pinned, now);
        match &new.reverse {
            Some(half) => reverse.write(half, new.pinned, now),
            None => reverse.write_absent(now),
        }
        let cold = &self.cold[number as usize];
        cold.write(new.rules, new.binding);
        let mut generation = 0;
        let result = loop {
            match self.publish(number, new, || generation = cold.begin(now)) {
                Ok(()) => break Ok(SessionRef { session: SessionId(number), generation }),
                // A refused flow in the opposite direction gives way to the allowed conversation.
                Err(InsertError::ReverseTaken(half)) if self.give_way(slots, half) => {}
                Err(error) => break Err(error),
            }
        };
        match result {
            Ok(_) => self.workers[slots.worker].count_inserted(),
            Err(_) => slots.give(v6, number, self),
        }
        result
    }

    fn publish(&self, number: u32, new: &NewSession, begin: impl FnOnce()) -> Result<(), InsertError> {
        let keys = [&new.forward.key, new.reverse.as_ref().map_or(&new.forward.key, |reverse| &reverse.key)];
        let entries = [(self.hash(keys[0]), number * 2), (self.hash(keys[1]), number * 2 + 1)];
        let entries = if new.reverse.is_some() { &entries[..] } else { &entries[..1] };
        self.index
            .insert(
                entries,
                |n, number| self.has_key(number, keys[n & 1]),
                |number| self.hash_of(number),
                begin,
            )
            .map_err(|refused| match refused {
                Refused::Full => InsertError::TableFull,
                Refused::Exists(n, number) => match (n, HalfId::from_number(number)) {
                    (_, None) => InsertError::TableFull,
                    (0, Some(half)) => InsertError::Exists(half),
                    (_, Some(half)) => InsertError::ReverseTaken(half),
                },
            })
    }

    /// Removes the denied session of a half, if it is one.
    fn give_way<O>(&self, slots: &mut WorkerSlots<O>, half: HalfId) -> bool {
        self.is_denied(half.session().number())
            && self.reference(half).is_some_and(|session| self.remove(slots, session, EndReason::Replaced))
    }

    /// A reference to the session of a half that was just found; `None` if it ended meanwhile.
    #[must_use]
    pub fn reference(&self, half: HalfId) -> Option<SessionRef> {
        let session = half.session();
        let generation = self.cold.get(session.number() as usize)?.living()?;
        Some(SessionRef { session, generation })
    }

    /// The forward half of a session, if it is still the one that was referred to.
    #[must_use]
    pub fn resolve(&self, session: SessionRef) -> Option<HalfId> {
        let generation = self.cold.get(session.session.number() as usize)?.living()?;
        (generation == session.generation).then(|| session.session.forward())
    }

    /// Removes a session: its keys lead nowhere from now on. It is counted to the end, reported and free
    /// again once no worker can hold it any more ([`WorkerSlots::advance`]).
    ///
    /// `false` if it had ended already, or if the worker's limbo is full (then a later call succeeds).
    pub fn remove<O>(&self, slots: &mut WorkerSlots<O>, session: SessionRef, reason: EndReason) -> bool {
        let number = session.session.number();
        let Some(cold) = self.cold.get(number as usize) else { return false };
        if !slots.has_room() || !cold.end(session.generation) {
            return false;
        }
        let [forward, reverse] = self.halves(number);
        // A key may change its scope until its entry is gone (`rekey` checks the generation under the
        // lock): so look again until the entry was found under the key as it is.
        while !self.index.remove(self.hash_of(number * 2), number * 2) {}
        let denied = self.is_denied(number);
        let one_sided = reverse.scope() == Scope::NONE;
        while !one_sided && !self.index.remove(self.hash_of(number * 2 + 1), number * 2 + 1) {}
        for interface in counted([forward.scope(), reverse.scope()]) {
            self.leave(interface);
        }
        self.leave_denied(denied);
        self.workers[slots.worker].count_removed();
        slots.retire(number, reason);
        true
    }

    /// Moves a half to another scope, where the same packets come from now on (SEMANTICS 2).
    ///
    /// # Errors
    /// [`RekeyError`]; the half is as it was then.
    pub fn rekey(&self, half: HalfId, session: SessionRef, scope: Scope) -> Result<(), RekeyError> {
        let number = half.number();
        let target = self.half(half);
        let cold = self.cold.get(half.session().number() as usize).ok_or(RekeyError::Ended)?;
        let old = target.key();
        let new = FlowKey { scope, ..old };
        if old.scope == scope {
            return Ok(());
        }
        let alive = || cold.living() == Some(session.generation) && target.has_key(&old);
        let changed = self.index.rename(
            number,
            [self.hash(&old), self.hash(&new)],
            alive,
            |number| self.has_key(number, &new),
            |number| self.hash_of(number),
            || target.set_scope(scope),
        );
        match changed {
            Ok(true) => {
                let other = self.half_of(number ^ 1).scope();
                self.enter_unlimited(counted([scope, other])[0]);
                self.leave(counted([old.scope, other])[0]);
                Ok(())
            }
            Ok(false) => Err(RekeyError::Ended),
            Err(Refused::Exists(_, other)) => {
                Err(HalfId::from_number(other).map_or(RekeyError::Ended, RekeyError::Exists))
            }
            Err(Refused::Full) => Err(RekeyError::TableFull),
        }
    }

    fn enter_unlimited(&self, interface: Option<InterfaceId>) {
        if let Some(interface) = interface {
            let unlimited = self.interfaces.row(interface).enter(0);
            debug_assert!(unlimited.is_ok());
        }
    }

    /// Notes other rules for a session that was decided again.
    pub fn set_rules(&self, session: SessionRef, rules: [RuleSlot; RULES]) {
        if let Some(cold) = self.cold.get(session.session.number() as usize)
            && cold.living() == Some(session.generation)
        {
            cold.set_rules(rules);
        }
    }

    /// The rules that decided a session that was just found.
    #[must_use]
    pub fn rules(&self, session: SessionId) -> [RuleSlot; RULES] {
        self.cold.get(session.number() as usize).map_or([RuleSlot::NONE; RULES], |cold| cold.rules())
    }

    /// The address binding of a session that was just found, 0 = none.
    #[must_use]
    pub fn binding(&self, session: SessionId) -> u16 {
        self.cold.get(session.number() as usize).map_or(0, |cold| cold.binding())
    }

    /// Whether a session is a remembered refusal.
    pub(super) fn is_denied(&self, session: u32) -> bool {
        let [forward, reverse] = self.halves(session);
        reverse.scope() == Scope::NONE && !forward.is_pinned()
    }

    fn hash_of(&self, number: u32) -> Hash {
        self.hash(&self.half_of(number).key())
    }
}

/// The interfaces for which a session with halves of these scopes counts: those whose workload sends in
/// either direction, and the receiver of a session that has one direction only.
pub(super) fn counted(scopes: [Scope; 2]) -> [Option<InterfaceId>; 2] {
    let one_sided = scopes[1] == Scope::NONE;
    scopes.map(|scope| match scope.kind() {
        Some(ScopeKind::FromWorkload) => scope.interface(),
        Some(ScopeKind::ToWorkload) if one_sided => scope.interface(),
        _ => None,
    })
}

const fn is_denied(new: &NewSession) -> bool {
    !new.pinned && new.reverse.is_none()
}
