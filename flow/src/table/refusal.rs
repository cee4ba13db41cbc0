//! Whether a session could be inserted, for whoever explains a packet: looks only.

use crate::key::FlowKey;
use crate::table::insert::counted;
use crate::table::{FlowTable, InsertError};
use crate::timeouts::Ticks;

impl FlowTable {
    /// Why a session that forwards could not be inserted now, if its keys or the limits of its interfaces (in the
    /// order of the keys' scopes, 0 = none) are in the way. Whether the table has room is not looked at.
    #[must_use]
    pub fn refusal(
        &self,
        forward: &FlowKey,
        reverse: &FlowKey,
        limits: [u32; 2],
        now: Ticks,
    ) -> Option<InsertError> {
        if forward == reverse {
            return Some(InsertError::SelfMirrored);
        }
        for (interface, limit) in counted([forward.scope, reverse.scope]).into_iter().zip(limits) {
            let Some(interface) = interface.filter(|_| limit != 0) else { continue };
            if self.sessions_of(interface) >= limit && !self.has_victim(interface, now) {
                return Some(InsertError::InterfaceLimit(interface));
            }
        }
        // A refused flow in the opposite direction gives way.
        let taken = self.lookup(reverse).filter(|half| self.half(*half).forwards());
        taken.map(InsertError::ReverseTaken)
    }
}
