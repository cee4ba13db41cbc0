//! `ListFlows`: the flow table, session by session.

use std::{net::IpAddr, sync::Arc};

use agent_api::v1;
use flow::{FlowKey, FlowTable, HalfView, ScopeKind, SessionView, Verdict, timeouts::Ticks};
use packet::{Address, InterfaceId, VrfId};
use tokio::sync::mpsc;
use tonic::Status;

use super::{
    Agent, Answers,
    stream::{WAITING, answered, chunks, ready},
};
use crate::{
    datapath::{Leaf, Now},
    tables::Tables,
};

/// Flows of one message.
const CHUNK: usize = 1000;

pub(super) fn list(
    agent: &Agent,
    request: v1::ListFlowsRequest,
) -> Result<Answers<v1::ListFlowsResponse>, Status> {
    let filter = Filter::of(&request)?;
    let Some(table) = agent.dataplane.flows() else { return Ok(ready(std::iter::empty())) };
    let tables = agent.control.tables();
    let now = Now { milliseconds: agent.dataplane.milliseconds() }.tick();
    let (sender, receiver) = mpsc::channel(WAITING);
    tokio::task::spawn_blocking(move || send(&table, &tables, &filter, now, &sender));
    Ok(answered(receiver))
}

fn send(
    table: &FlowTable,
    tables: &Arc<Tables>,
    filter: &Filter,
    now: Ticks,
    sender: &mpsc::Sender<Result<v1::ListFlowsResponse, Status>>,
) {
    let wanted = table.sessions(None).filter(|session| filter.wants(tables, session)).take(filter.limit);
    let entries = wanted.map(|session| entry(tables, &session, now));
    for message in chunks(entries, CHUNK, |flows| v1::ListFlowsResponse { flows }) {
        if sender.blocking_send(Ok(message)).is_err() {
            return;
        }
    }
}

struct Filter {
    interface: Option<InterfaceId>,
    vrf: Option<VrfId>,
    address: Option<(bool, Address)>,
    protocol: Option<u8>,
    port: Option<u16>,
    limit: usize,
}

impl Filter {
    fn of(request: &v1::ListFlowsRequest) -> Result<Self, Status> {
        let out =
            |field: &str, value: u32| Status::invalid_argument(format!("{field}: {value} is out of range"));
        let sixteen = |field: &'static str, value: Option<u32>| {
            value.map(|value| u16::try_from(value).map_err(|_| out(field, value))).transpose()
        };
        let address = match request.address.as_str() {
            "" => None,
            text => {
                let ip: IpAddr = text.parse().map_err(|_| {
                    Status::invalid_argument(format!("address: {text:?} is no IPv4 or IPv6 address"))
                })?;
                Some(match ip {
                    IpAddr::V4(ip) => (false, packet::meta::v4(ip.octets())),
                    IpAddr::V6(ip) => (true, ip.octets()),
                })
            }
        };
        let protocol = u8::try_from(request.protocol).map_err(|_| out("protocol", request.protocol))?;
        Ok(Self {
            interface: sixteen("interface", request.interface)?.map(InterfaceId),
            vrf: sixteen("vrf", request.vrf)?.map(VrfId),
            address,
            protocol: (protocol != 0).then_some(protocol),
            port: sixteen("port", request.port)?,
            limit: if request.limit == 0 { usize::MAX } else { request.limit as usize },
        })
    }

    fn wants(&self, tables: &Tables, session: &SessionView) -> bool {
        let halves = || std::iter::once(&session.forward).chain(session.reverse.as_ref());
        let any = |meets: &dyn Fn(&HalfView) -> bool| halves().any(meets);
        self.protocol.is_none_or(|protocol| session.forward.key.protocol == protocol)
            && self.interface.is_none_or(|id| any(&|half| half.key.scope.interface() == Some(id)))
            && self.vrf.is_none_or(|vrf| any(&|half| vrf_of(tables, &half.key) == Some(vrf)))
            && self
                .port
                .is_none_or(|port| any(&|half| half.key.src_port == port || half.key.dst_port == port))
            && self.address.is_none_or(|(v6, address)| {
                any(&|half| {
                    let (key, new) = (&half.key, &half.translation);
                    key.v6 == v6 && [key.src, key.dst, new.src, new.dst].contains(&address)
                })
            })
    }
}

fn vrf_of(tables: &Tables, key: &FlowKey) -> Option<VrfId> {
    tables.interface(key.scope.interface()?).map(|row| row.vrf)
}

/// A session as the API shows it.
pub(super) fn entry(tables: &Tables, session: &SessionView, now: Ticks) -> v1::FlowEntry {
    let nat = [Some(&session.forward), session.reverse.as_ref()].into_iter().flatten().any(is_translated);
    let (action, reason) = match session.forward.verdict {
        Verdict::Drop(reason) => ("drop", reason.name()),
        Verdict::Forward if nat => ("nat", ""),
        Verdict::Forward => ("forward", ""),
    };
    let rules: Vec<String> = tables.deciding(&session.rules).map(|row| row.name.to_string()).collect();
    let rule = if session.pinned { "pinned".to_owned() } else { rules.join(", ") };
    let since = |then: Ticks| u32::try_from(now.elapsed_since(then).as_millis()).unwrap_or(u32::MAX);
    v1::FlowEntry {
        index: session.session.session.number(),
        forward: Some(half(tables, &session.forward)),
        reverse: session.reverse.as_ref().map(|reverse| half(tables, reverse)),
        action: action.to_owned(),
        reason: reason.to_owned(),
        rule,
        tcp_state: if session.forward.key.protocol == 6 { session.connection().name() } else { "" }
            .to_owned(),
        idle_ms: since(session.last_seen()),
        age_ms: since(session.created),
    }
}

fn is_translated(half: &HalfView) -> bool {
    let (key, new) = (&half.key, &half.translation);
    (key.src, key.dst, key.src_port) != (new.src, new.dst, new.src_port) || key.dst_port != new.dst_port
}

fn half(tables: &Tables, half: &HalfView) -> v1::FlowHalf {
    let (key, new) = (&half.key, &half.translation);
    let interface = key.scope.interface();
    let row = interface.and_then(|id| tables.interface(id));
    let name = || match (row, interface) {
        (Some(row), _) => row.name.to_string(),
        (None, id) => format!("interface {}", id.unwrap_or_default()),
    };
    let scope = match key.scope.kind() {
        Some(ScopeKind::FromWorkload) => format!("from {}", name()),
        Some(ScopeKind::ToWorkload) => format!("to {}", name()),
        Some(ScopeKind::Service) | None => key.scope.to_string(),
    };
    let to_fabric = key.scope.kind() == Some(ScopeKind::FromWorkload);
    let leaf = Leaf::cached(half.route);
    let remote = leaf != Leaf::RECEIVE && leaf.interface().is_none();
    let if_changed = |old: Address, new: Address| if old == new { String::new() } else { text(key.v6, &new) };
    let port_if_changed = |old: u16, new: u16| if old == new { 0 } else { new.into() };
    v1::FlowHalf {
        scope,
        interface: interface.map_or(0, |id| id.0.into()),
        vrf: row.map_or(0, |row| row.vrf.0.into()),
        source: text(key.v6, &key.src),
        destination: text(key.v6, &key.dst),
        source_port: key.src_port.into(),
        destination_port: key.dst_port.into(),
        protocol: key.protocol.into(),
        nat_source: if_changed(key.src, new.src),
        nat_destination: if_changed(key.dst, new.dst),
        nat_source_port: port_if_changed(key.src_port, new.src_port),
        nat_destination_port: port_if_changed(key.dst_port, new.dst_port),
        next_hop: if remote { leaf.id().0 } else { 0 },
        label: if remote && leaf.label().is_some() { leaf.label().0 } else { 0 },
        entropy_port: if to_fabric && remote { half.entropy_or_peer.into() } else { 0 },
        packets: half.packets,
        bytes: half.bytes,
    }
}

fn text(v6: bool, address: &Address) -> String {
    if v6 {
        IpAddr::from(*address).to_string()
    } else {
        let [a, b, c, d, ..] = *address;
        IpAddr::from([a, b, c, d]).to_string()
    }
}
