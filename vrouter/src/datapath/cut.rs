//! Packets larger than their path (SEMANTICS 12): the sender is told, or an IPv4 packet that allows it is cut,
//! or, where an underlay leaves IPv6 less than its minimum, the tunnel packet is.

use packet::cut::Cut;
use packet::{DropReason, Facts, InterfaceId, L4Checksum, Meta, PacketBuf, checksum, parse};

use super::burst::Verdict;
use super::forward::{Exit, Sent};
use super::{Context, Datapath, Ports};

/// No IPv6 host believes in a smaller MTU (RFC 8200 §5).
const IPV6_MINIMUM: u16 = 1280;

impl<B: PacketBuf> Datapath<B> {
    pub(super) fn too_big<P: Ports<B>>(
        &mut self,
        cx: &Context<'_>,
        i: usize,
        exit: Exit<'_>,
        is_hop: bool,
        ports: &mut P,
    ) {
        let meta = &self.burst.meta[i];
        let inside_minimum = meta.is_ipv6() && meta.end - meta.l3 <= IPV6_MINIMUM;
        let outer_v4 = matches!(exit, Exit::Tunnel(member, _) if !member.template.outer_v6());
        if (meta.is_ipv6() || meta.facts.contains(Facts::DF)) && !(inside_minimum && outer_v4) {
            let mtu = if meta.is_ipv6() { exit.mtu().max(IPV6_MINIMUM) } else { exit.mtu() };
            return self.refuse(cx, i, DropReason::TooBig, mtu);
        }
        if let Err(reason) = self.rewrite(cx, i, &exit, is_hop) {
            return self.refuse(cx, i, reason, 0);
        }
        let Some(mut whole) = self.burst.bufs[i].take() else { return };
        let (meta, slot) = (self.burst.meta[i], self.burst.slot[i]);
        let mut pieces = 0;
        let result = if inside_minimum {
            self.cut_outer(cx, &mut whole, &meta, slot.entropy, exit, slot.arrival, ports, &mut pieces)
        } else {
            self.cut_inner(cx, &mut whole, &meta, slot.entropy, exit, slot.arrival, ports, &mut pieces)
        };
        match result {
            // The pieces stand for the packet: one of them is the packet itself, the others are copies.
            Ok(()) => {
                self.counters.copied.add(pieces - 1);
                self.burst.end(i, Verdict::Queued);
            }
            Err(reason) => {
                self.counters.copied.add(pieces);
                self.burst.bufs[i] = Some(whole);
                self.burst.end(i, Verdict::Dropped(reason));
            }
        }
    }

    /// Each piece of the network packet leaves by itself.
    #[allow(clippy::too_many_arguments, reason = "what a piece needs is what the packet has")]
    fn cut_inner<P: Ports<B>>(
        &mut self,
        cx: &Context<'_>,
        whole: &mut B,
        meta: &Meta,
        entropy: u16,
        exit: Exit<'_>,
        arrival: InterfaceId,
        ports: &mut P,
        pieces: &mut u64,
    ) -> Result<(), DropReason> {
        if whole.l4_checksum() == L4Checksum::Partial {
            checksum::complete(whole.data_mut(), meta);
        }
        let mut cut = Cut::new(whole.data(), meta, exit.mtu()).ok_or(DropReason::TooBig)?;
        while cut.remaining() > 0 {
            let mut piece = ports.allocate().ok_or(DropReason::NoBuffer)?;
            if !cut.next_into(&mut piece) {
                return Err(DropReason::TooBig);
            }
            let meta = Meta { l3: 0, end: piece.len() as u16, ..*meta };
            let sent = self.dress(cx, exit, &mut piece, &meta, entropy)?;
            self.send_piece(cx, arrival, sent, piece);
            *pieces += 1;
        }
        Ok(())
    }

    /// The whole packet is put into its tunnel, and the tunnel packet is cut.
    #[allow(clippy::too_many_arguments, reason = "what a piece needs is what the packet has")]
    fn cut_outer<P: Ports<B>>(
        &mut self,
        cx: &Context<'_>,
        whole: &mut B,
        meta: &Meta,
        entropy: u16,
        exit: Exit<'_>,
        arrival: InterfaceId,
        ports: &mut P,
        pieces: &mut u64,
    ) -> Result<(), DropReason> {
        let inner = meta.end - meta.l3;
        let sent = self.dress(cx, exit, whole, meta, entropy)?;
        let identification = self.next_identification();
        let outer = allow_fragments(whole, identification)?;
        let mtu = exit.mtu() + (outer.end - outer.l3).saturating_sub(inner);
        let link: [u8; 14] = whole.data().first_chunk().copied().ok_or(DropReason::Truncated)?;
        let mut cut = Cut::new(whole.data(), &outer, mtu).ok_or(DropReason::TooBig)?;
        while cut.remaining() > 0 {
            let mut piece = ports.allocate().ok_or(DropReason::NoBuffer)?;
            if !cut.next_into(&mut piece) {
                return Err(DropReason::TooBig);
            }
            if !piece.grow_front(link.len()) {
                return Err(DropReason::Headroom);
            }
            piece.data_mut()[..link.len()].copy_from_slice(&link);
            self.send_piece(cx, arrival, sent, piece);
            *pieces += 1;
        }
        Ok(())
    }

    fn send_piece(&mut self, cx: &Context<'_>, arrival: InterfaceId, sent: Sent<'_>, piece: B) {
        match sent {
            Sent::Out(interface) => self.outputs.push(interface, piece),
            Sent::Wait(wanted) => {
                self.counters.held_total.add(1);
                self.park(cx, arrival, wanted, piece);
            }
        }
    }
}

/// Makes the outer IPv4 header one that may be fragmented: without DF, with an identification (RFC 6864 §4.2).
fn allow_fragments<B: PacketBuf>(buf: &mut B, identification: u16) -> Result<Meta, DropReason> {
    let l3 = usize::from(parse::ethernet(buf.data())?.l3);
    let header = buf.data_mut().get_mut(l3..l3 + 20).ok_or(DropReason::Truncated)?;
    header[4..8].copy_from_slice(&[(identification >> 8) as u8, identification as u8, 0, 0]);
    header[10..12].fill(0);
    let sum = checksum::internet(header).to_be_bytes();
    header[10..12].copy_from_slice(&sum);
    parse::ethernet(buf.data())
}
