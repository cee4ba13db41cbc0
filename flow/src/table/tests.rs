//! The table as a worker uses it.

use packet::DropReason;
use packet::meta::v4;

use super::*;
use crate::key::Scope;
use crate::policy::RuleSlot;
use crate::timeouts::Ticks;

mod ageing;
mod births;
mod giants;
mod halves;
mod limits;
mod model;
mod threads;
mod wire;

/// A sink that keeps what it is told.
#[derive(Debug, Default)]
struct Log {
    traffic: Vec<Traffic>,
    ended: Vec<(SessionView, EndReason)>,
    unwanted: Option<InterfaceId>,
}

impl SessionSink for Log {
    fn traffic(&mut self, traffic: &Traffic) {
        self.traffic.push(*traffic);
    }
    fn ended(&mut self, session: &SessionView, reason: EndReason) {
        self.ended.push((*session, reason));
    }
    fn is_wanted(&mut self, forward: Scope, reverse: Scope) -> bool {
        self.unwanted.is_none()
            || forward.interface() != self.unwanted && reverse.interface() != self.unwanted
    }
}

const A: InterfaceId = InterfaceId(1);
const B: InterfaceId = InterfaceId(2);

fn config(sessions_v4: u32, sessions_v6: u32) -> Config {
    Config { sessions_v4, sessions_v6, seed: 1, interfaces: 8, workers: 2 }
}

fn table(sessions: u32) -> (FlowTable, WorkerSlots<()>) {
    let table = FlowTable::new(&config(sessions, sessions)).unwrap();
    let slots = table.worker(WorkerId(0)).unwrap();
    (table, slots)
}

/// The n-th key of A's workload, UDP.
fn key(n: u32, v6: bool) -> FlowKey {
    let mut src = v4([10, 0, 0, 1]);
    let mut dst = v4((0x0a00_0000 | (n >> 8)).to_be_bytes());
    if v6 {
        (src[15], dst[15]) = (1, 2);
    }
    let (src_port, dst_port) = ((n & 0xff) as u16 + 1, 53);
    FlowKey { src, dst, scope: Scope::from_workload(A), src_port, dst_port, protocol: 17, v6 }
}

/// A session of A with a host behind the fabric.
fn session(forward: FlowKey) -> NewSession {
    NewSession {
        forward: NewHalf::untranslated(forward),
        reverse: Some(NewHalf::untranslated(forward.reversed(Scope::to_workload(A)))),
        rules: [RuleSlot::NONE; 4],
        binding: 0,
        limits: [0; 2],
        pinned: false,
    }
}

fn denied(forward: FlowKey) -> NewSession {
    let mut new = NewSession { reverse: None, ..session(forward) };
    new.forward.verdict = Verdict::Drop(DropReason::SecurityGroup);
    new
}

/// Lets everything out of limbo.
fn settle(table: &FlowTable, slots: &mut WorkerSlots<()>, log: &mut Log) {
    for _ in 0..2 {
        slots.advance(table, || (), |()| true, log);
    }
}
