//! The counters as Prometheus text over HTTP, for whoever scrapes.

use std::fmt::{Display, Write as _};
use std::net::SocketAddr;
use std::sync::Arc;

use agent_api::v1::agent_server::Agent as _;
use agent_api::v1::{StatsRequest, StatsResponse};
use anyhow::{Context as _, Result};
use axum::Router;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tonic::Request;

use crate::agent::{Agent, Dataplane, WorkerReport};

/// The content type of the text format.
const TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Serves `/metrics` until the task is aborted.
///
/// # Errors
/// The address is not to be had.
pub(super) async fn serve(
    address: SocketAddr,
    agent: Agent,
    workers: Arc<dyn Dataplane>,
) -> Result<JoinHandle<()>> {
    let listener = TcpListener::bind(address).await.with_context(|| format!("agent.metrics: {address}"))?;
    tracing::info!(%address, "serving metrics");
    let answer = move || {
        let (agent, workers) = (agent.clone(), Arc::clone(&workers));
        async move {
            match agent.stats(Request::new(StatsRequest::default())).await {
                Ok(stats) => ([(header::CONTENT_TYPE, TEXT)], text(stats.get_ref(), &workers.workers()))
                    .into_response(),
                Err(status) => (StatusCode::SERVICE_UNAVAILABLE, status.to_string()).into_response(),
            }
        }
    };
    let router = Router::new().route("/metrics", get(answer));
    Ok(tokio::spawn(async move {
        if let Err(error) = axum::serve(listener, router).await {
            tracing::error!(%error, "metrics are no longer served");
        }
    }))
}

/// All metrics.
fn text(stats: &StatsResponse, workers: &[WorkerReport]) -> String {
    let mut page = Page::default();
    page.head("generation", "gauge", "Generation of the tables in effect.");
    page.value("generation", &[], stats.generation);

    let counters: Vec<Vec<_>> = workers.iter().map(|worker| worker.counters.iter().collect()).collect();
    for (index, (name, help, _)) in counters.first().into_iter().flatten().enumerate() {
        let name = format!("worker_{name}_total");
        page.head(&name, "counter", help);
        for (worker, values) in counters.iter().enumerate() {
            let value = values.get(index).map_or(0, |(_, _, value)| *value);
            page.value(&name, &[("worker", &worker)], value);
        }
    }
    page.head(
        "dropped_packets_total",
        "counter",
        "Dropped packets by reason and interface of arrival; 0 = none known.",
    );
    for drop in &stats.drops {
        let labels: [(&str, &dyn Display); 2] = [("reason", &drop.reason), ("interface", &drop.interface)];
        page.value("dropped_packets_total", &labels, drop.packets);
    }
    page.head(
        "service_outcomes_total",
        "counter",
        "What became of what workloads asked of DHCP, RA and DNS.",
    );
    for service in &stats.services {
        page.value("service_outcomes_total", &[("outcome", &service.outcome)], service.packets);
    }
    for (name, kind, help, value) in INTERFACE {
        page.head(name, kind, help);
        for interface in &stats.interfaces {
            page.value(
                name,
                &[("interface", &interface.interface), ("name", &interface.name)],
                value(interface),
            );
        }
    }
    for (name, help) in
        [("table_entries", "Entries of each table."), ("table_capacity", "Most entries of each table.")]
    {
        page.head(name, "gauge", help);
        for table in &stats.tables {
            let value = if name == "table_entries" { table.entries } else { table.capacity };
            page.value(name, &[("table", &table.table)], value);
        }
    }
    page.0
}

type OfInterface = fn(&agent_api::v1::InterfaceStats) -> u64;

/// Name, kind, help and value of what each interface has.
const INTERFACE: [(&str, &str, &str, OfInterface); 5] = [
    ("interface_rx_packets_total", "counter", "Packets received on the interface.", |stats| stats.rx_packets),
    ("interface_rx_bytes_total", "counter", "Bytes received on the interface.", |stats| stats.rx_bytes),
    ("interface_tx_packets_total", "counter", "Packets that the interface's device took.", |stats| {
        stats.tx_packets
    }),
    ("interface_tx_bytes_total", "counter", "Bytes that the interface's device took.", |stats| {
        stats.tx_bytes
    }),
    ("interface_flows", "gauge", "Sessions of the interface.", |stats| stats.flows as u64),
];

#[derive(Default)]
struct Page(String);

impl Page {
    fn head(&mut self, name: &str, kind: &str, help: &str) {
        // Writing to a string cannot fail.
        let _ = writeln!(self.0, "# HELP vrouter_{name} {help}\n# TYPE vrouter_{name} {kind}");
    }

    fn value(&mut self, name: &str, labels: &[(&str, &dyn Display)], value: u64) {
        let _ = write!(self.0, "vrouter_{name}");
        for (index, (label, text)) in labels.iter().enumerate() {
            let before = if index == 0 { '{' } else { ',' };
            let text = text.to_string().replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
            let _ = write!(self.0, "{before}{label}=\"{text}\"");
        }
        let after = if labels.is_empty() { "" } else { "}" };
        let _ = writeln!(self.0, "{after} {value}");
    }
}

#[cfg(test)]
mod tests {
    use agent_api::v1::{DropStats, InterfaceStats, TableStats};

    use super::*;
    use crate::datapath::WorkerCounters;

    #[test]
    fn every_number_has_its_line_and_every_name_its_help() {
        let counters = Arc::new(WorkerCounters::default());
        counters.sent.add(7);
        let worker = WorkerReport { core: None, poll: "busy", counters, queues: Vec::new(), generation: 3 };
        let stats = StatsResponse {
            generation: 3,
            interfaces: vec![InterfaceStats {
                interface: 5,
                name: "a \"b\"\\".to_owned(),
                rx_packets: 11,
                flows: 2,
                ..InterfaceStats::default()
            }],
            drops: vec![DropStats {
                reason: "no_route".to_owned(),
                packets: 9,
                interface: 5,
                ..DropStats::default()
            }],
            tables: vec![TableStats { table: "routes".to_owned(), entries: 1, capacity: 10 }],
            ..StatsResponse::default()
        };
        let text = text(&stats, &[worker.clone(), worker]);
        for line in [
            "vrouter_generation 3",
            "vrouter_worker_sent_total{worker=\"0\"} 7",
            "vrouter_worker_sent_total{worker=\"1\"} 7",
            "vrouter_dropped_packets_total{reason=\"no_route\",interface=\"5\"} 9",
            "vrouter_interface_rx_packets_total{interface=\"5\",name=\"a \\\"b\\\"\\\\\"} 11",
            "vrouter_interface_flows{interface=\"5\",name=\"a \\\"b\\\"\\\\\"} 2",
            "vrouter_table_entries{table=\"routes\"} 1",
            "vrouter_table_capacity{table=\"routes\"} 10",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
        }
        let mut named: Vec<_> = text.lines().filter_map(|line| line.strip_prefix("# TYPE ")).collect();
        let names = named.len();
        named.dedup();
        assert_eq!(named.len(), names, "each name stands once");
    }
}
