//! What would happen to this packet: the pipeline itself, run on a copy with a session table of its own and a copy
//! of what its worker remembers, and the decision told step by step. Nothing that forwards is touched.

use std::sync::Arc;

use arrayvec::ArrayVec;
use flow::{FlowKey, FlowTable, HalfId, NewHalf, NewSession, Scope, SessionRef, Verdict as FlowVerdict};
use packet::{DropReason, Facts, InterfaceId, MemoryBuf, Meta, PacketBuf, PortId, WorkerId};

use super::burst::{BURST, Origin, Slot, Verdict};
use super::decide::{Narrate, decide};
use super::fragment::key_of;
use super::memory::{Memory, MemoryOf};
use super::miss::{foresee, opening_of};
use super::routes::Routes;
use super::source_nat::{Bind, shared_key};
use super::walk::Pick;
use super::{
    Context, Datapath, DatapathConfig, Event, EventQueue, NOBODY, Ports, WorkerCounters, reassembly,
};

/// One thing that was found or decided on the way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// The stage: "parse", "classify", "flow", "route", …
    pub stage: &'static str,
    /// What happened there, for an operator.
    pub text: String,
}

/// The story of one packet.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Explanation {
    /// Stage by stage.
    pub steps: Vec<Step>,
    /// "sent", "consumed", "punted", "held" or "dropped".
    pub verdict: &'static str,
    /// Of a drop or a punt.
    pub reason: &'static str,
    /// The interface that a packet leaves by: the packet itself or the vRouter's answer to it.
    pub interface: InterfaceId,
    /// As it would leave.
    pub packet: Vec<u8>,
}

/// Frames that would have left.
#[derive(Default)]
struct Captured {
    frames: Vec<(PortId, MemoryBuf)>,
}

impl Ports<MemoryBuf> for Captured {
    fn send(&mut self, port: PortId, frames: &mut ArrayVec<MemoryBuf, BURST>) {
        self.frames.extend(frames.drain(..).map(|frame| (port, frame)));
    }

    fn allocate(&mut self) -> Option<MemoryBuf> {
        Some(MemoryBuf::new(&[]))
    }
}

struct Story<'s>(&'s mut Vec<Step>);

impl Narrate for Story<'_> {
    fn tell(&mut self, stage: &'static str, text: impl FnOnce() -> String) {
        self.0.push(Step { stage, text: text() });
    }
}

/// Explains what would happen to `frame` if it arrived on `arrival` now. `recall` asks the worker that would receive
/// it what it remembers; without an answer, it is taken to remember nothing. `None` without memory for it.
#[must_use]
pub fn explain(
    cx: &Context<'_>,
    seed: u64,
    mut recall: impl FnMut(MemoryOf) -> Option<Memory>,
    arrival: InterfaceId,
    frame: &[u8],
) -> Option<Explanation> {
    let mut story = Explanation::default();
    // A fragment of a tunnel packet is explained as the whole, if the others are there.
    let outer = cx.tables.interface(arrival).and_then(|interface| {
        let key = reassembly::key_of(interface, frame)?;
        recall(MemoryOf { outer: Some(key), ..MemoryOf::default() })?.outer.map(|outer| (interface, outer))
    });
    let whole = outer.as_ref().and_then(|(interface, outer)| outer.completed_by(interface, frame));
    let outer = outer.map(|(_, outer)| outer).filter(|_| whole.is_none());
    if whole.is_some() {
        story
            .steps
            .push(Step { stage: "reassembly", text: "the last of a tunnel packet's fragments".to_owned() });
    }
    let frame = whole.as_deref().unwrap_or(frame);
    // The first run finds out which session and datagram the packet is part of; the second has them.
    let scratch = scratch_table(seed)?;
    let (first, _) = run(&Context { flows: &scratch, ..*cx }, seed, None, arrival, frame)?;
    let mut memory = recall(MemoryOf { datagram: datagram_of(cx, &first, frame), outer: None });
    if let Some(memory) = &mut memory {
        memory.outer = outer;
    }
    let datagram = memory.as_mut().and_then(|memory| memory.datagram.as_mut());
    let followed = datagram.as_ref().and_then(|datagram| datagram.session());
    let known = match first.staged_key().or_else(|| shared_key_of(cx, &first, frame)) {
        Some(key) => cx.flows.lookup(&key).map(|half| (key, half)),
        // A later fragment is looked for by its datagram.
        None => followed
            .filter(|(_, session)| cx.flows.resolve(*session).is_some())
            .map(|(half, _)| (cx.flows.half(half).key(), half)),
    };
    let scratch = scratch_table(seed)?;
    if let Some((_, half)) = known
        && let Some(copy) = copy_session(cx, &scratch, half)
        && let Some(datagram) = datagram.filter(|_| followed.is_some_and(|(followed, _)| followed == half))
    {
        let half = if half.is_reverse() { copy.session.reverse() } else { copy.session.forward() };
        datagram.belongs_to(half, copy);
    }
    let (ran, captured) = run(&Context { flows: &scratch, ..*cx }, seed, memory, arrival, frame)?;

    let (meta, slot) = (as_it_came(cx, seed, arrival, frame, &ran)?, ran.burst.slot[0]);
    tell_arrival(cx, &mut story.steps, &meta, &slot, frame);
    match known {
        Some((key, half)) => tell_session(cx, &mut story.steps, &key, half),
        None if ran.staged_key().is_some() => {
            story.steps.push(Step { stage: "flow", text: format!("no session at scope {}", slot.scope) });
            let buf = MemoryBuf::new(frame);
            let opening = opening_of(&meta, slot, Some(&buf));
            let (pick, bind) = (Pick::New(meta.hash), Bind::Foresee(meta.hash));
            let mut to = Routes::to(cx.tables, opening.tuple.v6, &opening.tuple.dst);
            let _ = decide(&mut to, &opening, pick, bind, &mut Story(&mut story.steps));
        }
        None => {}
    }
    conclude(cx, &mut story, &ran, captured);
    if known.is_none()
        && let Some(reason) = refusal(cx, &scratch, &ran)
    {
        refuse(&mut story, reason);
    }
    Some(story)
}

/// The packet before anything was done to it but to take it out of its tunnel.
fn as_it_came(
    cx: &Context<'_>,
    seed: u64,
    arrival: InterfaceId,
    frame: &[u8],
    ran: &Datapath<MemoryBuf>,
) -> Option<Meta> {
    let mut datapath = new_datapath(cx, seed)?;
    let mut frames = ArrayVec::new();
    frames.push(MemoryBuf::new(frame));
    datapath.admit(cx, arrival, &mut frames);
    datapath.parse(cx, arrival);
    datapath.classify(cx, arrival);
    Some(Meta { hash: ran.burst.meta[0].hash, ..datapath.burst.meta[0] })
}

/// The datagram that a packet is a fragment of, where that decides.
fn datagram_of(cx: &Context<'_>, ran: &Datapath<MemoryBuf>, frame: &[u8]) -> Option<super::fragment::Key> {
    let (meta, slot) = (&ran.burst.meta[0], &ran.burst.slot[0]);
    let shared = || cx.tables.interface(slot.arrival)?.shares(meta.is_ipv6(), &meta.dst);
    let scope = Some(slot.scope).filter(|scope| *scope != Scope::NONE).or_else(shared)?;
    let is_fragment = meta.facts.contains(Facts::FRAGMENT);
    is_fragment.then(|| key_of(cx, &MemoryBuf::new(frame), meta, scope))?.map(|(key, _)| key)
}

/// The key of a packet to an address that the node shares with workloads, which the first run took for the node's.
fn shared_key_of(cx: &Context<'_>, ran: &Datapath<MemoryBuf>, frame: &[u8]) -> Option<FlowKey> {
    let meta = &ran.burst.meta[0];
    let arrival = cx.tables.interface(ran.burst.slot[0].arrival)?;
    shared_key(arrival, &MemoryBuf::new(frame), meta)
}

/// Why the session that was opened in the scratch table could not be opened in the real one.
fn refusal(cx: &Context<'_>, scratch: &FlowTable, ran: &Datapath<MemoryBuf>) -> Option<DropReason> {
    let key = ran.staged_key()?;
    let half = scratch.lookup(&key)?;
    if !scratch.half(half).forwards() {
        return None;
    }
    foresee(cx, &key, &scratch.half(half.other()).key())
}

/// The packet goes no further than the flow stage.
fn refuse(story: &mut Explanation, reason: DropReason) {
    (story.verdict, story.reason) = ("dropped", reason.name());
    story.interface = InterfaceId(0);
    story.packet.clear();
    story.steps.pop();
    story.steps.push(Step { stage: "end", text: format!("dropped as {}", reason.name()) });
}

/// A table of the explanation's own; a few sessions are enough for one packet.
fn scratch_table(seed: u64) -> Option<FlowTable> {
    let config = flow::Config { sessions_v4: 64, sessions_v6: 64, seed, interfaces: 65_536, workers: 1 };
    FlowTable::new(&config).ok()
}

fn run(
    cx: &Context<'_>,
    seed: u64,
    memory: Option<Memory>,
    arrival: InterfaceId,
    frame: &[u8],
) -> Option<(Datapath<MemoryBuf>, Captured)> {
    let mut datapath = new_datapath(cx, seed)?;
    if let Some(memory) = memory {
        datapath.remember(memory);
    }
    let mut captured = Captured::default();
    let mut frames = ArrayVec::new();
    frames.push(MemoryBuf::new(frame));
    datapath.run(cx, arrival, &mut frames, &mut captured);
    Some((datapath, captured))
}

fn new_datapath(cx: &Context<'_>, seed: u64) -> Option<Datapath<MemoryBuf>> {
    let counters = Arc::new(WorkerCounters::default());
    let events = Arc::new(EventQueue::new(4, 4));
    let slots = cx.flows.worker(WorkerId(0))?;
    let config = DatapathConfig { worker: NOBODY, seed, express: None };
    Some(Datapath::new(&config, slots, counters, events))
}

/// Puts a copy of a session into the scratch table.
fn copy_session(cx: &Context<'_>, scratch: &FlowTable, half: HalfId) -> Option<SessionRef> {
    let copy = |id: HalfId| {
        let half = cx.flows.half(id);
        NewHalf {
            key: half.key(),
            translation: half.translation(),
            verdict: half.verdict(),
            tcp: half.tcp(),
            tcp_ack: half.tcp_ack(),
            entropy_or_peer: half.entropy_or_peer(),
            validated_at: half.validated_at(),
            route: half.route(),
        }
    };
    let id = half.session();
    let refused = matches!(cx.flows.half(id.forward()).verdict(), FlowVerdict::Drop(_));
    let session = NewSession {
        forward: copy(id.forward()),
        reverse: (!refused).then(|| copy(id.reverse())),
        rules: [flow::policy::RuleSlot::NONE; flow::RULES],
        binding: cx.flows.view(id).map_or(0, |view| view.binding),
        limits: [0, 0],
        pinned: false,
    };
    let mut slots = scratch.worker::<sync::Observation>(WorkerId(0))?;
    // An empty table has room; without it the packet would be explained as a new one.
    scratch.insert(&mut slots, &session, cx.now.tick()).ok()
}

fn tell_arrival(cx: &Context<'_>, steps: &mut Vec<Step>, meta: &Meta, slot: &Slot, frame: &[u8]) {
    let name = cx.tables.interface(slot.arrival).map_or("unknown", |interface| &interface.name);
    steps.push(Step {
        stage: "parse",
        text: format!(
            "{} bytes on interface {} ({name}), ethertype {:#06x}",
            frame.len(),
            slot.arrival,
            meta.ether_type
        ),
    });
    if meta.is_ipv4() || meta.is_ipv6() {
        let came = match slot.origin {
            Origin::Workload => "from its workload".to_owned(),
            Origin::Plain => "from the fabric as plain IP".to_owned(),
            Origin::Tunnel if slot.direct.0 != 0 => {
                format!("through a tunnel, label names next hop {}", slot.direct)
            }
            Origin::Tunnel => "through a tunnel".to_owned(),
        };
        steps.push(Step {
            stage: "classify",
            text: format!(
                "{came}, vrf {}: {} > {} protocol {} ports {} > {} ttl {}",
                slot.vrf,
                text(meta.is_ipv6(), &meta.src),
                text(meta.is_ipv6(), &meta.dst),
                meta.protocol,
                meta.src_port,
                meta.dst_port,
                meta.ttl
            ),
        });
    }
}

fn tell_session(cx: &Context<'_>, steps: &mut Vec<Step>, key: &FlowKey, id: HalfId) {
    let half = cx.flows.half(id);
    let direction = if id.is_reverse() { "reverse" } else { "forward" };
    let action = match half.verdict() {
        FlowVerdict::Drop(reason) => format!("drops: {}", reason.name()),
        FlowVerdict::Forward if half.is_translated() => {
            let new = half.translation();
            format!(
                "translates to {}:{} > {}:{}",
                text(key.v6, &new.src),
                new.src_port,
                text(key.v6, &new.dst),
                new.dst_port
            )
        }
        FlowVerdict::Forward => "forwards".to_owned(),
    };
    steps.push(Step {
        stage: "flow",
        text: format!("session {} ({direction} half, scope {}) {action}", id.session().number(), key.scope),
    });
}

fn conclude(cx: &Context<'_>, story: &mut Explanation, ran: &Datapath<MemoryBuf>, captured: Captured) {
    let first = captured.frames.into_iter().next();
    let out = first.as_ref().and_then(|(port, _)| {
        cx.tables.interfaces.iter().map(|(_, row)| row).find(|row| row.port == Some(*port))
    });
    story.interface = out.map_or(InterfaceId(0), |row| row.id);
    (story.verdict, story.reason) = match ran.burst.verdict[0] {
        Verdict::Queued if first.is_some() => ("sent", ""),
        Verdict::Queued | Verdict::Live => ("dropped", packet::DropReason::TxDown.name()),
        Verdict::Consumed => ("consumed", ""),
        Verdict::Punted => ("punted", punt_class(ran)),
        Verdict::Held => ("held", ""),
        Verdict::Dropped(reason) => ("dropped", reason.name()),
    };
    let end = match (story.verdict, out) {
        ("dropped", Some(row)) => format!("dropped as {}; the sender is told on {}", story.reason, row.name),
        ("dropped", None) => format!("dropped as {}", story.reason),
        ("consumed", Some(row)) => format!("answered on {}", row.name),
        ("held", _) => "waits for its neighbour to be resolved".to_owned(),
        ("punted", _) => format!("handed up, class {}", story.reason),
        (_, Some(row)) => format!("leaves by interface {} ({})", row.id, row.name),
        (verdict, None) => verdict.to_owned(),
    };
    story.steps.push(Step { stage: "end", text: end });
    story.packet = first.map_or_else(Vec::new, |(_, frame)| frame.data().to_vec());
}

fn punt_class(ran: &Datapath<MemoryBuf>) -> &'static str {
    match ran.events.pop().or_else(|| ran.events.pop_request()) {
        Some(Event::Punt { class, .. }) => class.name(),
        _ => "",
    }
}

/// An address as operators write it.
fn text(v6: bool, address: &packet::Address) -> String {
    if v6 {
        std::net::Ipv6Addr::from(*address).to_string()
    } else {
        std::net::Ipv4Addr::new(address[0], address[1], address[2], address[3]).to_string()
    }
}
