//! What the underlay's routers say fits through them towards a tunnel's other end (SEMANTICS 11). It limits the
//! tunnel for a while; the next inner packet that is too big is answered or cut.

use ahash::AHashMap;
use packet::encap::{Encapsulation, TunnelTooBig};

use super::{Compiler, Context};
use crate::control::{objects::TunnelSpec, text::Ip};
use crate::tables::NextHop;

/// How long it counts, in milliseconds: a path may have become wider since (RFC 1191 §6.3).
const LIFETIME: u64 = 600_000;

#[derive(Clone, Copy, Debug)]
struct Learned {
    mtu: u16,
    until: u64,
}

/// What was told, by destination and kind of tunnel.
#[derive(Debug, Default)]
pub(super) struct PathMtus {
    learned: AHashMap<(Ip, Encapsulation), Learned>,
    due: Option<u64>,
}

impl PathMtus {
    /// What fits through the path of a tunnel, if anybody has said so.
    pub(super) fn of(&self, tunnel: &TunnelSpec) -> Option<u16> {
        self.learned.get(&(tunnel.destination, tunnel.encapsulation)).map(|learned| learned.mtu)
    }

    fn reckon(&mut self) {
        self.due = self.learned.values().map(|learned| learned.until).min();
    }
}

impl Compiler {
    /// How many paths are narrower than configured.
    pub(crate) fn narrow_paths(&self) -> usize {
        self.path_mtus.learned.len()
    }

    /// When a path is to be forgotten next, in milliseconds.
    pub(crate) fn path_mtu_due(&self) -> Option<u64> {
        self.path_mtus.due
    }

    /// Believes a router that names a packet of a live tunnel. Whether anything changed.
    pub(crate) fn learn_path_mtu(&mut self, cx: &mut Context<'_>, told: &TunnelTooBig, now: u64) -> bool {
        let destination = Ip { v6: told.ipv6, address: told.destination };
        let key = (destination, told.encapsulation);
        if let Some(known) = self.path_mtus.learned.get_mut(&key)
            && known.mtu <= told.mtu
        {
            // The same router again: the path is still as narrow. A wider hop behind it changes nothing.
            if known.mtu == told.mtu {
                known.until = now + LIFETIME;
                self.path_mtus.reckon();
            }
            return false;
        }
        let mut tunnels = self.tunnels.to(destination);
        tunnels.retain(|id| {
            let Some(NextHop::Tunnel(row)) = cx.tables.next_hop(*id) else { return false };
            row.members.iter().any(|member| {
                let ends = member.template.outer_addresses();
                member.template.encapsulation() == told.encapsulation
                    && ends == (told.source, told.destination)
                    && usize::from(member.inner_mtu) + member.template.overhead() > usize::from(told.mtu)
            })
        });
        if tunnels.is_empty() {
            return false;
        }
        self.path_mtus.learned.insert(key, Learned { mtu: told.mtu, until: now + LIFETIME });
        self.path_mtus.reckon();
        // Neighbours that are missing have been asked for already.
        let _wanted = self.tunnels(cx, &tunnels);
        true
    }

    /// Forgets what was told too long ago. Whether anything changed.
    pub(crate) fn forget_path_mtus(&mut self, cx: &mut Context<'_>, now: u64) -> bool {
        let mut tunnels = std::collections::BTreeSet::new();
        let (index, learned) = (&self.tunnels, &mut self.path_mtus.learned);
        learned.retain(|(destination, _), learned| {
            let keep = learned.until > now;
            if !keep {
                tunnels.extend(index.to(*destination));
            }
            keep
        });
        self.path_mtus.reckon();
        let _wanted = self.tunnels(cx, &tunnels);
        !tunnels.is_empty()
    }
}
