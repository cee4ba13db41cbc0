//! The end of a common packet's way: translated or only routed, and dressed.

use packet::PacketBuf;
use packet::encap::{self, Fields};

use super::super::burst::Leaf;
use super::super::forward::next_identification;
use super::Lane;
use super::ways::Way;

/// Where a packet goes and as what.
#[derive(Clone, Copy)]
pub(super) struct Departure<'w, 't> {
    pub(super) way: &'w Way<'t>,
    pub(super) leaf: Leaf,
    /// The outer source port; `None` keeps it out of tunnels.
    pub(super) entropy: Option<u16>,
    /// Whether this vRouter is a hop on its way (SEMANTICS 10).
    pub(super) hop: bool,
    pub(super) v6: bool,
}

/// Rewrites a packet, given its bytes and where its network header is, and dresses it. Its output; `None`, and nothing
/// changed, if it needs a closer look.
#[inline(always)]
pub(super) fn leave<B: PacketBuf>(
    buf: &mut B,
    lane: &Lane,
    to: Departure<'_, '_>,
    identification: &mut u16,
    rewrite: impl FnOnce(&mut [u8], usize),
) -> Option<u8> {
    let (l3, length) = (usize::from(lane.l3), lane.length);
    let end = l3 + usize::from(length);
    if (to.hop && lane.ttl <= 1) || buf.headroom() + l3 < encap::WIDEST {
        return None;
    }
    match *to.way {
        Way::Workload { output, mtu, ref header } => {
            if length > mtu {
                return None;
            }
            rewrite(buf.data_mut(), l3);
            *buf.reframe::<14>(l3, end, 14)? = *header;
            Some(output)
        }
        Way::Tunnel { output, member, label } => {
            let label = if to.leaf.label().is_some() { to.leaf.label() } else { label };
            if length > member.inner_mtu || !label.is_some() {
                return None;
            }
            let fields = Fields {
                label,
                entropy_port: to.entropy?,
                identification: match member.template.dont_fragment() {
                    true => 0,
                    false => next_identification(identification),
                },
                inner_ttl: lane.ttl - u8::from(to.hop),
                inner_traffic_class: lane.traffic_class,
                inner_v6: to.v6,
            };
            rewrite(buf.data_mut(), l3);
            encap::push_over(buf, l3, end, &member.template, &fields).then_some(output)
        }
    }
}
