//! Where common packets go: what a leaf leads to in this generation, found once per burst.

use packet::{Label, PacketBuf};

use super::super::burst::Leaf;
use super::super::forward::{Exit, exit};
use super::super::transmit::Outputs;
use crate::tables::{Tables, TunnelMember};

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
    known: [Option<(Leaf, Way<'t>)>; Ways::MEMO],
    /// Whether packets have sessions; if not, none goes to a workload that needs them.
    sessions: bool,
}

impl<'t> Ways<'t> {
    const MEMO: usize = 16;

    pub(super) fn with_sessions() -> Self {
        Self { known: [None; Self::MEMO], sessions: true }
    }

    pub(super) fn without_sessions() -> Self {
        Self { known: [None; Self::MEMO], sessions: false }
    }

    /// The way of a leaf; `None` if its packets need a closer look.
    #[inline(always)]
    pub(super) fn find<B: PacketBuf>(
        &mut self,
        tables: &'t Tables,
        outputs: &mut Outputs<B>,
        leaf: Leaf,
        v6: bool,
    ) -> Option<&Way<'t>> {
        let leaf = leaf.unlabelled();
        let slot = &mut self.known[leaf.0 as usize % Self::MEMO];
        if slot.is_none_or(|(known, _)| known != leaf) {
            *slot = Some((leaf, way(tables, outputs, leaf, v6, self.sessions)?));
        }
        slot.as_ref().map(|(_, way)| way)
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
