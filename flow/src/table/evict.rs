//! Who makes room: sessions that nobody has proved to be conversations.
//!
//! An established session is never a victim. All looks are short and bounded, since they happen on the way
//! of a new flow.

use packet::InterfaceId;
use packet::protocol::ip;

use crate::atomic::Ordering;
use crate::table::counter::Counter;
use crate::table::ids::SessionId;
use crate::table::view::{EndReason, SessionRef};
use crate::table::{FlowTable, WorkerSlots};
use crate::tcp;
use crate::timeouts::Ticks;

/// A half-open session is left alone for this long (1 s): its answer may be on the way.
const GRACE: u32 = 63;
/// Sessions that one new flow looks at when the table is nearly full: the sixteenth of the table that is then
/// still free lasts for a walk around all of it.
const LOOKS: u32 = 16;
/// Most sessions that one new flow removes, so that room grows where there are many victims.
const VICTIMS: usize = 4;

impl FlowTable {
    /// Removes a half-open or denied session of `interface`, if one of those noted is still such.
    pub(super) fn evict_of<O>(&self, slots: &mut WorkerSlots<O>, interface: InterfaceId, now: Ticks) -> bool {
        let row = self.interfaces.row(interface);
        row.candidates()
            .any(|number| self.belongs_to(number, interface) && self.evict(slots, number, now, GRACE))
    }

    /// Whether [`Self::evict_of`] would find one.
    pub(super) fn has_victim(&self, interface: InterfaceId, now: Ticks) -> bool {
        self.interfaces.row(interface).candidates().any(|number| {
            let lives = self.cold.get(number as usize).and_then(|cold| cold.living()).is_some();
            lives && self.belongs_to(number, interface) && self.is_victim(number, now, GRACE)
        })
    }

    /// Removes half-open and denied sessions of a family, as far as they are among the next few.
    pub(super) fn evict_any<O>(&self, slots: &mut WorkerSlots<O>, v6: bool, now: Ticks) {
        let family = usize::from(v6);
        let pool = &self.pools[family];
        let used = pool.used();
        let len = used.len() as u32;
        let grace = if pool.is_very_low() { 0 } else { GRACE };
        let mut victims = 0;
        for _ in 0..LOOKS.min(len) {
            let next = self.eviction[family].fetch_add(1, Ordering::Relaxed);
            victims += usize::from(self.evict(slots, used.start + next % len, now, grace));
            if victims == VICTIMS {
                break;
            }
        }
    }

    /// Removes a session if it is worth less than a new one.
    fn evict<O>(&self, slots: &mut WorkerSlots<O>, number: u32, now: Ticks, grace: u32) -> bool {
        let Some(generation) = self.cold.get(number as usize).and_then(|cold| cold.living()) else {
            return false;
        };
        let session = SessionRef { session: SessionId(number), generation };
        self.is_victim(number, now, grace) && self.remove(slots, session, EndReason::Evicted)
    }

    fn is_victim(&self, number: u32, now: Ticks, grace: u32) -> bool {
        let [forward, reverse] = self.halves(number);
        let idle = now.since(forward.last_seen().later(reverse.last_seen()));
        !forward.is_pinned() && (self.is_denied(number) || self.is_half_open(number) && idle >= grace)
    }

    /// Whether nobody has proved yet that the other end of the session exists.
    pub(super) fn is_half_open(&self, number: u32) -> bool {
        let [forward, reverse] = self.halves(number);
        if forward.protocol() == ip::TCP {
            tcp::connection(forward.tcp(), reverse.tcp()).is_half_open()
        } else {
            reverse.counter() == Counter::default()
        }
    }

    fn belongs_to(&self, number: u32, interface: InterfaceId) -> bool {
        self.halves(number).iter().any(|half| half.interface() == Some(interface))
    }
}
