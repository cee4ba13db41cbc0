//! `Stats`: counters are read as they are; nothing is reset.

use agent_api::v1;
use packet::{DropReason, InterfaceId};

use super::{Agent, WorkerReport, status};
use crate::{
    datapath::Accounting,
    services::Outcome,
    tables::{Interface, Tables},
};

pub(super) async fn stats(
    agent: &Agent,
    request: v1::StatsRequest,
) -> Result<v1::StatsResponse, tonic::Status> {
    let all = !(request.interfaces || request.drops || request.workers || request.tables || request.services);
    let tables = agent.control.tables();
    let workers = agent.dataplane.workers();
    let mut accounting = Accounting::default();
    for worker in &workers {
        accounting += worker.counters.accounting();
    }
    let mut response = v1::StatsResponse {
        generation: tables.generation,
        accounting: Some(accounting_message(&accounting)),
        ..v1::StatsResponse::default()
    };
    if all || request.interfaces {
        let flows = agent.dataplane.flows();
        let sessions = |id| flows.as_ref().map_or(0, |flows| flows.sessions_of(id));
        response.interfaces = rows(&tables).map(|row| interface(row, sessions(row.id))).collect();
    }
    if all || request.drops {
        response.drops = drops(&tables, &workers);
    }
    if all || request.workers {
        response.workers = workers.iter().enumerate().map(|(index, report)| worker(index, report)).collect();
    }
    if all || request.tables {
        response.tables = agent.control.table_stats().await.map_err(|fault| status(&fault))?;
        if let Some(flows) = agent.dataplane.flows() {
            let capacity: usize = flows.capacity().iter().sum();
            response.tables.push(v1::TableStats {
                table: "sessions".to_owned(),
                entries: flows.len() as u64,
                capacity: capacity as u64,
            });
        }
    }
    if all || request.services {
        let counted = agent.dataplane.services();
        response.services = counted.iter().flat_map(|counters| counters.iter()).map(service).collect();
    }
    Ok(response)
}

fn service((outcome, packets): (Outcome, u64)) -> v1::ServiceStats {
    v1::ServiceStats { outcome: outcome.name().to_owned(), help: outcome.help().to_owned(), packets }
}

fn rows(tables: &Tables) -> impl Iterator<Item = &Interface> {
    tables.interfaces.iter().map(|(_, row)| &**row)
}

fn accounting_message(sums: &Accounting) -> v1::Accounting {
    v1::Accounting {
        received: sums.received,
        originated: sums.originated,
        copied: sums.copied,
        sent: sums.sent,
        consumed: sums.consumed,
        punted: sums.punted,
        held: sums.held,
        dropped: sums.dropped,
    }
}

fn interface(row: &Interface, flows: u32) -> v1::InterfaceStats {
    let mut stats = v1::InterfaceStats {
        interface: row.id.0.into(),
        name: row.name.to_string(),
        flows,
        ..v1::InterfaceStats::default()
    };
    for worker in row.counters.iter() {
        stats.rx_packets += worker.rx_packets.get();
        stats.rx_bytes += worker.rx_bytes.get();
        stats.tx_packets += worker.tx_packets.get();
        stats.tx_bytes += worker.tx_bytes.get();
        stats.dropped += worker.drops.iter().map(sync::Counter::get).sum::<u64>();
    }
    stats
}

/// Drops by reason and interface; what no living interface accounts for stands under interface 0.
fn drops(tables: &Tables, workers: &[WorkerReport]) -> Vec<v1::DropStats> {
    let mut drops = Vec::new();
    for (index, reason) in DropReason::ALL.iter().enumerate() {
        let mut add = |packets: u64, interface: InterfaceId| {
            if packets > 0 {
                drops.push(v1::DropStats {
                    reason: reason.name().to_owned(),
                    help: reason.help().to_owned(),
                    packets,
                    interface: interface.0.into(),
                });
            }
        };
        // Totals are read last, so that no packet seems to be missing from them.
        let mut known = 0;
        for row in rows(tables) {
            let packets = row
                .counters
                .iter()
                .filter_map(|worker| worker.drops.get(index))
                .map(sync::Counter::get)
                .sum();
            known += packets;
            add(packets, row.id);
        }
        let all: u64 = workers
            .iter()
            .filter_map(|worker| worker.counters.drops.get(index))
            .map(sync::Counter::get)
            .sum();
        add(all.saturating_sub(known), InterfaceId(0));
    }
    drops
}

fn worker(index: usize, report: &WorkerReport) -> v1::WorkerStats {
    let counters = &report.counters;
    let queue =
        |&(interface, queue): &(InterfaceId, u32)| v1::WorkerQueue { interface: interface.0.into(), queue };
    v1::WorkerStats {
        worker: u32::try_from(index).unwrap_or(u32::MAX),
        core: report.core.and_then(|core| i32::try_from(core).ok()).unwrap_or(-1),
        poll: report.poll.to_owned(),
        work_cycles: counters.work_cycles.get(),
        poll_cycles: counters.poll_cycles.get(),
        sleep_cycles: counters.sleep_cycles.get(),
        bursts: counters.bursts.get(),
        accounting: Some(accounting_message(&counters.accounting())),
        queues: report.queues.iter().map(queue).collect(),
        generation: report.generation,
        handed_over: counters.handed_over.get(),
        taken_over: counters.taken_over.get(),
    }
}
