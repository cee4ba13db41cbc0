//! Connections, segment by segment.

use packet::WorkerId;
use packet::meta::v4;
use proptest::prelude::*;

use super::*;
use crate::key::{FlowKey, Scope};
use crate::policy::RuleSlot;
use crate::table::{Config, FlowTable, NewHalf, NewSession, SessionRef};
use crate::timeouts::Ticks;

/// A connection in a table of its own.
struct Talk {
    table: FlowTable,
    session: SessionRef,
}

/// Who sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Side {
    Client,
    Server,
}
use Side::{Client, Server};

fn segment(flags: u8, seq: u32, ack: u32) -> Segment {
    Segment { flags, seq, ack, len: 0 }
}

impl Talk {
    /// A connection that begins with this segment of the client.
    fn begin(first: Segment) -> Self {
        let [forward, reverse] = open(&first, true).unwrap();
        let table =
            FlowTable::new(&Config { sessions_v4: 1, sessions_v6: 0, seed: 0, interfaces: 2, workers: 1 })
                .unwrap();
        let key = FlowKey {
            src: v4([10, 0, 0, 1]),
            dst: v4([10, 0, 0, 2]),
            scope: Scope::from_workload(packet::InterfaceId(1)),
            src_port: 1024,
            dst_port: 80,
            protocol: 6,
            v6: false,
        };
        let half = |key, (tcp, tcp_ack)| NewHalf { tcp, tcp_ack, ..NewHalf::untranslated(key) };
        let new = NewSession {
            forward: half(key, forward),
            reverse: Some(half(key.reversed(Scope::to_workload(packet::InterfaceId(1))), reverse)),
            rules: [RuleSlot::NONE; 4],
            binding: 0,
            limits: [0; 2],
            pinned: false,
        };
        let mut slots = table.worker::<()>(WorkerId(0)).unwrap();
        let session = table.insert(&mut slots, &new, Ticks(0)).unwrap();
        Self { table, session }
    }

    /// The client's SYN has number 100, the server's 300; after the handshake both sides have sent nothing.
    fn established() -> Self {
        let talk = Self::begin(segment(SYN, 100, 0));
        talk.going(Server, segment(SYN | ACK, 300, 101));
        talk.going(Client, segment(ACK, 101, 301));
        assert_eq!(talk.state(), Connection::Established);
        talk
    }

    fn say(&self, side: Side, segment: Segment) -> Result<Progress, DropReason> {
        let session = self.session.session;
        let (forward, reverse) = (self.table.half(session.forward()), self.table.half(session.reverse()));
        match side {
            Client => on_segment(&forward, &reverse, &segment, false),
            Server => on_segment(&reverse, &forward, &segment, true),
        }
    }

    fn going(&self, side: Side, segment: Segment) {
        assert_eq!(self.say(side, segment), Ok(Progress::Going), "{side:?} {segment:?}");
    }

    fn dropped(&self, side: Side, segment: Segment) {
        let before = self.table.view(self.session.session);
        assert_eq!(self.say(side, segment), Err(DropReason::TcpInvalid), "{side:?} {segment:?}");
        assert_eq!(self.table.view(self.session.session), before, "a dropped segment changes nothing");
    }

    fn state(&self) -> Connection {
        self.table.view(self.session.session).unwrap().connection()
    }

    fn half(&self, side: Side) -> Half<'_> {
        let session = self.session.session;
        self.table.half(if side == Client { session.forward() } else { session.reverse() })
    }
}

#[test]
fn a_connection_from_handshake_to_the_last_acknowledgement() {
    let talk = Talk::begin(segment(SYN, 100, 0));
    assert_eq!(talk.state(), Connection::SynSent);
    talk.going(Server, segment(SYN | ACK, 300, 101));
    assert_eq!(talk.state(), Connection::SynReceived);
    talk.going(Client, segment(ACK, 101, 301));
    assert_eq!(talk.state(), Connection::Established);
    talk.going(Client, Segment { len: 50, ..segment(ACK | 0x08, 101, 301) });
    talk.going(Server, segment(ACK, 301, 151));
    assert_eq!((talk.half(Client).tcp_ack(), talk.half(Server).tcp_ack()), (301, 151));
    talk.going(Client, segment(FIN | ACK, 151, 301));
    assert_eq!(talk.state(), Connection::HalfClosed);
    talk.going(Server, Segment { len: 1000, ..segment(ACK, 301, 152) });
    assert_eq!(talk.state(), Connection::HalfClosed);
    talk.going(Client, segment(ACK, 152, 1301));
    talk.going(Server, Segment { len: 9, ..segment(FIN | ACK, 1301, 152) });
    assert_eq!(talk.state(), Connection::Closing);
    talk.going(Client, segment(ACK, 152, 1310));
    assert_eq!(talk.state(), Connection::Closing, "all data, not yet the FIN");
    talk.going(Client, segment(ACK, 152, 1311));
    assert_eq!(talk.state(), Connection::TimeWait);
}

#[test]
fn simultaneous_close_ends_when_both_fins_are_acknowledged() {
    let talk = Talk::established();
    talk.going(Client, segment(FIN | ACK, 101, 301));
    talk.going(Server, segment(FIN | ACK, 301, 101));
    assert_eq!(talk.state(), Connection::Closing);
    talk.going(Client, segment(ACK, 102, 302));
    assert_eq!(talk.state(), Connection::Closing);
    talk.going(Server, segment(ACK, 302, 102));
    assert_eq!(talk.state(), Connection::TimeWait);
}

#[test]
fn an_acknowledgement_that_overtook_its_sides_own_fin_counts() {
    let talk = Talk::established();
    talk.going(Server, segment(FIN | ACK, 301, 101));
    talk.going(Client, segment(ACK, 102, 302));
    talk.going(Client, segment(FIN | ACK, 101, 301));
    assert_eq!(talk.state(), Connection::Closing);
    talk.going(Server, segment(ACK, 302, 102));
    assert_eq!(talk.state(), Connection::TimeWait);
}

#[test]
fn simultaneous_open_is_a_handshake_too() {
    let talk = Talk::begin(segment(SYN, 100, 0));
    talk.going(Server, segment(SYN, 300, 0));
    assert_eq!(talk.state(), Connection::SynSent);
    talk.going(Client, segment(SYN | ACK, 100, 301));
    assert_eq!(talk.state(), Connection::SynReceived);
    talk.going(Server, segment(ACK, 301, 101));
    assert_eq!(talk.state(), Connection::Established);
}

#[test]
fn sequence_numbers_may_wrap() {
    let talk = Talk::begin(segment(SYN, u32::MAX, 0));
    talk.going(Server, segment(SYN | ACK, u32::MAX - 1, 0));
    talk.going(Client, segment(ACK, 0, u32::MAX));
    assert_eq!(talk.state(), Connection::Established);
    talk.going(Server, Segment { len: 10, ..segment(FIN | ACK, u32::MAX, 0) });
    talk.going(Client, segment(FIN | ACK, 0, 10));
    talk.going(Server, segment(ACK, 10, 1));
    assert_eq!(talk.state(), Connection::TimeWait);
}

#[test]
fn a_repeated_syn_counts_with_its_new_number() {
    let talk = Talk::begin(segment(SYN, 100, 0));
    talk.going(Client, segment(SYN, 70_000, 0));
    talk.going(Server, segment(SYN | ACK, 300, 101));
    assert_eq!(talk.state(), Connection::SynSent, "acknowledges the old one");
    talk.going(Server, segment(SYN | ACK, 300, 70_001));
    assert_eq!(talk.state(), Connection::SynReceived);
    talk.going(Client, segment(SYN, 70_000, 0));
    assert_eq!(talk.state(), Connection::SynReceived, "the same once more");
}

#[test]
fn data_in_the_syn_may_be_acknowledged_with_it() {
    let talk = Talk::begin(segment(SYN, 100, 0));
    talk.going(Server, segment(SYN | ACK, 300, 101 + 65_535));
    assert_eq!(talk.state(), Connection::SynReceived);
    let talk = Talk::begin(segment(SYN, 100, 0));
    talk.going(Server, segment(SYN | ACK, 300, 101 + 65_536));
    talk.going(Server, segment(SYN | ACK, 300, 100));
    assert_eq!(talk.state(), Connection::SynSent);
}

#[test]
fn nothing_but_a_handshake_makes_a_connection() {
    let talk = Talk::begin(segment(SYN, 100, 0));
    talk.going(Server, segment(ACK, 300, 999));
    talk.going(Client, segment(ACK, 101, 301));
    talk.going(Client, segment(FIN | ACK, 101, 301));
    talk.going(Server, segment(FIN | ACK, 101, 301));
    assert_eq!(talk.state(), Connection::SynSent);
    assert_eq!(talk.half(Client).tcp_ack(), 101, "still what acknowledges the SYN");
}

#[test]
fn a_reset_with_the_expected_number_ends_a_connection() {
    for side in [Client, Server] {
        let talk = Talk::established();
        let exact = if side == Client { segment(RST, 101, 0) } else { segment(RST | ACK, 301, 101) };
        talk.going(side, exact);
        assert_eq!(talk.state(), Connection::Reset);
    }
}

#[test]
fn a_reset_elsewhere_in_the_window_is_the_receivers_to_judge() {
    let talk = Talk::established();
    talk.going(Server, segment(RST, 302, 0));
    assert_eq!(talk.state(), Connection::Closing);
    talk.going(Server, segment(ACK, 301, 101));
    assert_eq!(talk.state(), Connection::Established, "it was not the server's");
    talk.going(Server, segment(RST, 301 + (1 << 30) - 1, 0));
    assert_eq!(talk.state(), Connection::Closing);
    talk.going(Server, segment(RST, 301, 0));
    assert_eq!(talk.state(), Connection::Reset);
}

#[test]
fn a_reset_outside_any_window_is_dropped() {
    let talk = Talk::established();
    talk.dropped(Server, segment(RST, 300, 0));
    talk.dropped(Server, segment(RST, 301 + (1 << 30), 0));
    talk.dropped(Client, segment(RST | ACK, 0, 301));
    assert_eq!(talk.state(), Connection::Established);
    talk.going(Client, segment(ACK, 101, 5000));
    talk.dropped(Server, segment(RST, 4999, 0));
    talk.going(Server, segment(RST, 5000, 0));
    assert_eq!(talk.state(), Connection::Reset);
}

#[test]
fn a_refused_connection_ends_if_the_reset_knows_the_syn() {
    let talk = Talk::begin(segment(SYN, 100, 0));
    talk.dropped(Server, segment(RST | ACK, 0, 100));
    talk.dropped(Server, segment(RST, 0, 101));
    talk.going(Server, segment(RST | ACK, 0, 101));
    assert_eq!(talk.state(), Connection::Reset);
}

#[test]
fn a_client_may_take_its_syn_back() {
    let talk = Talk::begin(segment(SYN, 100, 0));
    talk.going(Client, segment(RST, 101, 0));
    assert_eq!(talk.state(), Connection::Reset);
    let talk = Talk::begin(segment(SYN, 100, 0));
    talk.going(Server, segment(SYN | ACK, 300, 101));
    talk.going(Client, segment(RST, 101, 0));
    assert_eq!(talk.state(), Connection::Reset, "after the answer");
}

#[test]
fn a_server_that_resets_after_its_syn_ack_is_believed_by_the_client_only() {
    let talk = Talk::begin(segment(SYN, 100, 0));
    talk.going(Server, segment(SYN | ACK, 300, 101));
    talk.going(Server, segment(RST, 301, 0));
    assert_eq!(talk.state(), Connection::SynReceived);
    talk.going(Client, segment(ACK, 101, 301));
    talk.going(Server, segment(ACK, 301, 101));
    assert_eq!(talk.state(), Connection::Established);
}

#[test]
fn resets_of_a_half_closed_connection_are_the_receivers_to_judge() {
    let talk = Talk::established();
    talk.going(Client, segment(FIN | ACK, 101, 301));
    talk.going(Server, segment(RST, 9, 0));
    assert_eq!(talk.state(), Connection::HalfClosed);
    talk.going(Server, segment(FIN | ACK, 301, 101));
    assert_eq!(talk.state(), Connection::Closing);
    talk.going(Server, segment(RST, 9, 0));
    assert_eq!(talk.state(), Connection::Reset, "nothing is left to be reset");
}

#[test]
fn a_new_syn_of_the_same_side_reopens_a_finished_connection() {
    let talk = Talk::established();
    talk.going(Client, segment(RST, 101, 0));
    assert_eq!(talk.say(Client, segment(SYN, 9000, 0)), Ok(Progress::Reopened));
    assert_eq!(talk.state(), Connection::SynSent);
    talk.going(Server, segment(SYN | ACK, 7, 9001));
    talk.going(Client, segment(ACK, 9001, 8));
    assert_eq!(talk.state(), Connection::Established);
    assert_eq!(talk.half(Client).tcp(), HalfState::ESTABLISHED);
}

#[test]
fn a_new_syn_of_the_other_side_is_another_conversation() {
    let talk = Talk::established();
    talk.going(Client, segment(RST, 101, 0));
    assert_eq!(talk.say(Server, segment(SYN, 9000, 0)), Ok(Progress::Renew));
    assert_eq!(talk.state(), Connection::Reset, "untouched: it is to be removed");
}

#[test]
fn a_syn_on_a_running_connection_passes_and_changes_nothing() {
    let talk = Talk::established();
    for side in [Client, Server] {
        talk.going(side, segment(SYN, 9000, 0));
        talk.going(side, segment(SYN | ACK, 9000, 1));
        assert_eq!(talk.state(), Connection::Established);
        talk.dropped(side, segment(RST, 9000 + (1 << 31), 0));
    }
    assert_eq!((talk.half(Client).tcp_ack(), talk.half(Server).tcp_ack()), (301, 101));
    talk.going(Client, segment(FIN | ACK, 101, 301));
    talk.going(Client, segment(SYN, 9000, 0));
    assert_eq!(talk.state(), Connection::HalfClosed);
}

#[test]
fn a_connection_picked_up_is_established_once_both_sides_were_heard() {
    let talk = Talk::begin(segment(ACK, 500, 900));
    assert_eq!(talk.state(), Connection::PickedUp);
    assert!(talk.state().is_half_open());
    talk.going(Client, segment(ACK, 501, 901));
    talk.going(Client, segment(RST, 77, 0));
    assert_eq!(talk.state(), Connection::PickedUp, "nobody can judge its number");
    talk.going(Client, segment(ACK, 501, 901));
    talk.going(Server, segment(ACK, 901, 502));
    assert_eq!(talk.state(), Connection::Established);
    assert_eq!(talk.half(Server).tcp(), HalfState::ESTABLISHED);
    talk.dropped(Client, segment(RST, 501, 0));
    talk.going(Client, segment(RST, 502, 0));
    assert_eq!(talk.state(), Connection::Reset);
}

#[test]
fn a_connection_picked_up_at_its_end_closes() {
    let talk = Talk::begin(Segment { len: 10, ..segment(FIN | ACK, 500, 900) });
    assert_eq!(talk.state(), Connection::PickedUp);
    talk.going(Server, segment(FIN | ACK, 900, 511));
    talk.going(Client, segment(ACK, 511, 901));
    assert_eq!(talk.state(), Connection::TimeWait);
}

#[test]
fn only_a_syn_or_a_segment_to_be_picked_up_opens_a_session() {
    let refused = |flags, pick_up| open(&segment(flags, 1, 1), pick_up);
    assert_eq!(refused(ACK, false), Err(DropReason::TcpNoSyn));
    assert_eq!(refused(FIN | ACK, false), Err(DropReason::TcpNoSyn));
    for flags in [SYN | ACK, RST, RST | ACK] {
        assert_eq!(refused(flags, true), Err(DropReason::TcpNoSyn));
    }
    assert_eq!(refused(0, true), Err(DropReason::TcpInvalid));
    assert_eq!(refused(SYN | FIN, true), Err(DropReason::TcpInvalid));
    assert_eq!(refused(SYN, false), Ok([(HalfState::SYN_SENT, 2), (HalfState::NONE, 0)]));
}

#[test]
fn impossible_flags_are_dropped_on_every_connection() {
    let talk = Talk::established();
    for flags in [0, 0x08, 0x20, FIN, SYN | FIN, SYN | RST, SYN | ACK | FIN, RST | FIN, FIN | RST | ACK] {
        talk.dropped(Client, segment(flags, 101, 301));
    }
    for beside in [0x08_u8, 0x20, 0x40, 0x80] {
        talk.going(Client, segment(ACK | beside, 101, 301));
    }
}

#[test]
fn states_have_the_names_that_operators_know() {
    let names: Vec<_> = [
        Connection::None,
        Connection::SynSent,
        Connection::SynReceived,
        Connection::Established,
        Connection::PickedUp,
        Connection::HalfClosed,
        Connection::Closing,
        Connection::TimeWait,
        Connection::Reset,
    ]
    .map(|state| (state.name(), state.is_half_open(), state.is_over()))
    .into();
    assert_eq!(
        names,
        [
            ("none", true, false),
            ("syn_sent", true, false),
            ("syn_received", true, false),
            ("established", false, false),
            ("picked_up", true, false),
            ("half_closed", false, false),
            ("closing", false, false),
            ("time_wait", false, true),
            ("reset", false, true),
        ]
    );
}

proptest! {
    #[test]
    fn no_segments_get_a_connection_out_of_hand(
        first in any::<(u8, u32, u32)>(),
        rest in prop::collection::vec((any::<bool>(), any::<u8>(), 0_u32..4, 0_u32..4), 0..40),
    ) {
        let flags = if first.0 & 1 == 0 { SYN } else { ACK };
        let talk = Talk::begin(segment(flags, first.1 % 4, first.2 % 4));
        for (client, flags, seq, ack) in rest {
            let side = if client { Client } else { Server };
            let over = talk.state().is_over();
            match talk.say(side, segment(flags, seq, ack)) {
                Err(reason) => prop_assert_eq!(reason, DropReason::TcpInvalid),
                Ok(Progress::Going) => prop_assert!(flags_are_valid(flags)),
                Ok(Progress::Reopened) => {
                    prop_assert!(over && client && flags & SYN != 0);
                    prop_assert_eq!(talk.state(), Connection::SynSent);
                }
                Ok(Progress::Renew) => prop_assert!(over && !client && flags & SYN != 0),
            }
            if flags & (SYN | RST | FIN) == 0 && talk.state() == Connection::Established {
                prop_assert!(talk.half(Client).tcp().has(HalfState::ESTABLISHED));
            }
        }
    }
}
