//! Sessions for readers outside the packet path: dumps, flow logs, counters.

use packet::rewrite::Translation;

use crate::atomic::{Ordering, fence};
use crate::key::{FlowKey, Scope};
use crate::policy::RuleSlot;
use crate::table::counter::Wraps;
use crate::table::half::{Half, Verdict};
use crate::table::ids::SessionId;
use crate::table::{FlowTable, RULES};
use crate::tcp::{Connection, HalfState, connection};
use crate::timeouts::Ticks;

/// A session that may have ended since, which [`FlowTable::resolve`] then tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SessionRef {
    /// Its number.
    pub session: SessionId,
    /// Which life of the number.
    pub generation: u32,
}

/// Why a session ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EndReason {
    /// Silent for too long.
    Expired,
    /// Made room for another one.
    Evicted,
    /// Its interface or another thing that it stood on is gone.
    Unwanted,
    /// Another session took its place.
    Replaced,
    /// A controller or an operator removed it.
    Removed,
}

impl EndReason {
    /// The name as flow logs print it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Expired => "expired",
            Self::Evicted => "evicted",
            Self::Unwanted => "unwanted",
            Self::Replaced => "replaced",
            Self::Removed => "removed",
        }
    }
}

/// A copy of a half.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HalfView {
    /// Its key.
    pub key: FlowKey,
    /// What leaves instead.
    pub translation: Translation,
    /// What happens to its packets.
    pub verdict: Verdict,
    /// What its side of the TCP connection has done.
    pub tcp: HalfState,
    /// Outer source port or accepted peer.
    pub entropy_or_peer: u16,
    /// The epoch in which it was last found right.
    pub validated_at: u32,
    /// The route word.
    pub route: u64,
    /// When a packet was last seen, at the earliest the creation.
    pub last_seen: Ticks,
    /// Packets.
    pub packets: u64,
    /// Bytes.
    pub bytes: u64,
}

/// A copy of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionView {
    /// Which one.
    pub session: SessionRef,
    /// The first packet's direction.
    pub forward: HalfView,
    /// The opposite direction; `None` for a denied session.
    pub reverse: Option<HalfView>,
    /// Counter slots of the rules that decided.
    pub rules: [RuleSlot; RULES],
    /// The address binding, 0 = none.
    pub binding: u16,
    /// When it was created.
    pub created: Ticks,
    /// Whether a controller pinned it.
    pub pinned: bool,
}

impl SessionView {
    /// The state of the TCP connection; `None` for other protocols.
    #[must_use]
    pub fn connection(&self) -> Connection {
        connection(self.forward.tcp, self.reverse.map_or(HalfState::NONE, |reverse| reverse.tcp))
    }

    /// When a packet of either direction was last seen.
    #[must_use]
    pub fn last_seen(&self) -> Ticks {
        self.reverse.map_or(self.forward.last_seen, |reverse| reverse.last_seen.later(self.forward.last_seen))
    }
}

/// Packets of one direction of a session since the last report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Traffic {
    /// The scope of the half.
    pub scope: Scope,
    /// Whether they travelled opposite to the first packet.
    pub reverse: bool,
    /// Whether it is the first report of the session: once in its life.
    pub first: bool,
    /// The route word.
    pub route: u64,
    /// Counter slots of the rules that decided.
    pub rules: [RuleSlot; RULES],
    /// Packets.
    pub packets: u64,
    /// Bytes.
    pub bytes: u64,
}

/// Who is told what happens to sessions.
pub trait SessionSink {
    /// Packets that were not reported yet, for the counters of rules and next hops (SEMANTICS 25).
    fn traffic(&mut self, traffic: &Traffic);

    /// A session has ended and everything about it has been reported.
    fn ended(&mut self, session: &SessionView, reason: EndReason);

    /// Whether a session with halves of these scopes may stay. The sweep asks this of every session, so that
    /// those of an interface that is gone go within one sweep.
    fn is_wanted(&mut self, forward: Scope, reverse: Scope) -> bool {
        let _ = (forward, reverse);
        true
    }
}

impl FlowTable {
    /// A copy of a session; `None` if the number is free. Consistent in identity: all of it is of one life,
    /// though counters and states go on while it is read.
    #[must_use]
    pub fn view(&self, session: SessionId) -> Option<SessionView> {
        let cold = self.cold.get(session.number() as usize)?;
        let generation = cold.living()?;
        let view = self.copy(session.number(), generation);
        fence(Ordering::Acquire);
        (cold.living() == Some(generation)).then_some(view)
    }

    /// All sessions that live, in order of number, from `first` on (`None` = from the start). A caller that
    /// stops may go on later behind the last one that it saw.
    pub fn sessions(&self, first: Option<SessionId>) -> impl Iterator<Item = SessionView> + '_ {
        let first = first.map_or(0, SessionId::number);
        self.pools
            .each_ref()
            .into_iter()
            .flat_map(|pool| pool.used())
            .filter(move |number| *number >= first)
            .filter_map(|number| self.view(SessionId(number)))
    }

    /// A copy of a session that may have ended already.
    pub(super) fn copy(&self, number: u32, generation: u32) -> SessionView {
        let [forward, reverse] = self.halves(number);
        let cold = &self.cold[number as usize];
        let wraps = self.giants.get(number);
        SessionView {
            session: SessionRef { session: SessionId(number), generation },
            forward: half_view(&forward, wraps[0]),
            reverse: (reverse.scope() != Scope::NONE).then(|| half_view(&reverse, wraps[1])),
            rules: cold.rules(),
            binding: cold.binding(),
            created: cold.life().1,
            pinned: forward.is_pinned(),
        }
    }
}

fn half_view(half: &Half<'_>, wraps: Wraps) -> HalfView {
    let (packets, bytes) = half.counter().total(wraps);
    HalfView {
        key: half.key(),
        translation: half.translation(),
        verdict: half.verdict(),
        tcp: half.tcp(),
        entropy_or_peer: half.entropy_or_peer(),
        validated_at: half.validated_at(),
        route: half.route(),
        last_seen: half.last_seen(),
        packets,
        bytes,
    }
}
