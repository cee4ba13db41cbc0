//! Where common packets go: what a leaf leads to in this generation, found once per burst.

use packet::{Label, PacketBuf};

use super::super::burst::Leaf;
use super::super::forward::{Exit, exit};
use super::super::transmit::Outputs;
use crate::tables::{Interface, Tables, TunnelMember};

/// A way out, and how fresh a session has to be to take it.
#[derive(Clone, Copy)]
pub(super) struct Found<'t> {
    pub(super) way: Way<'t>,
    /// The epoch of the last change that concerns the ends of the sessions that go there: those that were validated
    /// before it need a closer look.
    pub(super) since: u32,
}

/// A way out on which nothing has to be waited for.
#[derive(Clone, Copy)]
pub(super) enum Way<'t> {
    /// To a local workload.
    Workload {
        /// The output of its interface.
        output: u8,
        /// Its MTU.
        mtu: u16,
        /// The Ethernet header.
        header: [u8; 14],
    },
    /// Into a tunnel over one uplink.
    Tunnel {
        /// The output of the uplink.
        output: u8,
        /// Its template.
        member: &'t TunnelMember,
        /// What is pushed where the leaf names no label.
        label: Label,
    },
}

/// The ways of a burst, by the low bits of their leaves, whose labels do not matter.
pub(super) struct Ways<'t> {
    known: [Option<(u64, Found<'t>)>; Ways::MEMO],
    /// Whose packets they are, if a workload of this node sends them.
    sender: Option<&'t Interface>,
    /// Whether packets have sessions; if not, none goes to a workload that needs them.
    sessions: bool,
}

impl<'t> Ways<'t> {
    const MEMO: usize = 16;

    pub(super) const fn with_sessions(sender: Option<&'t Interface>) -> Self {
        Self { known: [None; Self::MEMO], sender, sessions: true }
    }

    pub(super) const fn without_sessions() -> Self {
        Self { known: [None; Self::MEMO], sender: None, sessions: false }
    }

    /// The way of a session's route word, or of a leaf; `None` if its packets need a closer look.
    #[inline(always)]
    pub(super) fn find<B: PacketBuf>(
        &mut self,
        tables: &'t Tables,
        outputs: &mut Outputs<B>,
        route: u64,
        v6: bool,
    ) -> Option<&Found<'t>> {
        // What rests on something else than its ends is a way of its own.
        let route = Leaf(route & !Leaf::DIRECT).unlabelled().0;
        let at = route as usize % Self::MEMO;
        if self.known[at].is_none_or(|(known, _)| known != route) {
            let leaf = Leaf::cached(route);
            let way = way(tables, outputs, leaf, v6, self.sessions)?;
            let since = self.since(tables, route);
            self.known[at] = Some((route, Found { way, since }));
        }
        self.known[at].as_ref().map(|(_, found)| found)
    }

    #[inline(never)]
    fn since(&self, tables: &Tables, route: u64) -> u32 {
        if !self.sessions || route & Leaf::ELSEWHERE != 0 {
            return tables.epoch;
        }
        let receiver = Leaf::cached(route).interface().and_then(|id| tables.interface(id));
        tables.newest([self.sender, receiver].into_iter().flatten().map(|end| tables.settled(end)))
    }
}

#[inline(never)]
fn way<'t, B: PacketBuf>(
    tables: &'t Tables,
    outputs: &mut Outputs<B>,
    leaf: Leaf,
    v6: bool,
    sessions: bool,
) -> Option<Way<'t>> {
    if leaf == Leaf::RECEIVE || leaf == Leaf::default() {
        return None;
    }
    match exit(tables, leaf, 0).ok()? {
        Exit::Workload(interface) if sessions || !interface.needs_flow() => {
            let mut header = [0; 14];
            header[..6].copy_from_slice(&interface.mac);
            header[6..12].copy_from_slice(&interface.gateway_mac);
            header[12..].copy_from_slice(if v6 { &[0x86, 0xdd] } else { &[8, 0] });
            let mtu = if interface.mtu == 0 { u16::MAX } else { interface.mtu };
            Some(Way::Workload { output: outputs.reserve(interface)?, mtu, header })
        }
        Exit::Tunnel(member, label) => {
            let several = match tables.next_hop(leaf.id()) {
                Some(crate::tables::NextHop::Tunnel(tunnel)) => tunnel.members.len() > 1,
                _ => true,
            };
            // Over several uplinks each flow has its own.
            if several || !member.resolved || member.template.covers_payload() {
                return None;
            }
            let output = outputs.reserve(tables.interface(member.interface)?)?;
            Some(Way::Tunnel { output, member, label })
        }
        Exit::Workload(_) | Exit::Plain(..) => None,
    }
}
