//! The workers: where they run, what they serve and how busy they are.

use std::io::Write;

use agent_api::v1::{StatsRequest, WorkerStats};

use super::{GetArgs, print_values, stat::percent};
use crate::{ask, connect::Client, error::Error, output::Format, table::Grid};

pub(super) async fn run(client: &mut Client, args: &GetArgs, out: &mut dyn Write) -> Result<(), Error> {
    let request = StatsRequest { workers: true, ..StatsRequest::default() };
    let workers = ask::stats(client, request).await?.workers;
    if print_values(out, args.output.output, &workers)? {
        return Ok(());
    }
    let names = ask::interface_names(client).await?;
    let heads = [
        "WORKER>",
        "CORE>",
        "POLL",
        "BUSY>",
        "RECEIVED>",
        "SENT>",
        "DROPPED>",
        "PER BURST>",
        "QUEUES",
        "+ORIGINATED>",
        "+COPIED>",
        "+CONSUMED>",
        "+PUNTED>",
        "+HELD>",
        "+HANDED OVER>",
        "+TAKEN OVER>",
        "+BURSTS>",
        "+GENERATION>",
    ];
    let mut grid = Grid::new(args.output.output == Format::Wide, &heads);
    for worker in &workers {
        let accounting = worker.accounting.unwrap_or_default();
        let queues = worker.queues.iter().map(|queue| {
            let name = names.get(&queue.interface).cloned().unwrap_or_else(|| queue.interface.to_string());
            format!("{name}:{}", queue.queue)
        });
        grid.row([
            worker.worker.to_string(),
            if worker.core < 0 { String::new() } else { worker.core.to_string() },
            worker.poll.clone(),
            percent(worker.work_cycles, cycles(worker)),
            accounting.received.to_string(),
            accounting.sent.to_string(),
            accounting.dropped.to_string(),
            burst(accounting.received, worker.bursts),
            queues.collect::<Vec<_>>().join(","),
            accounting.originated.to_string(),
            accounting.copied.to_string(),
            accounting.consumed.to_string(),
            accounting.punted.to_string(),
            accounting.held.to_string(),
            worker.handed_over.to_string(),
            worker.taken_over.to_string(),
            worker.bursts.to_string(),
            worker.generation.to_string(),
        ]);
    }
    grid.print(out, "No workers.")
}

const fn cycles(worker: &WorkerStats) -> u64 {
    worker.work_cycles.saturating_add(worker.poll_cycles).saturating_add(worker.sleep_cycles)
}

/// Packets per burst with one digit after the point.
fn burst(packets: u64, bursts: u64) -> String {
    let tenths = u128::from(packets) * 10;
    tenths
        .checked_div(bursts.into())
        .map(|tenths| format!("{}.{}", tenths / 10, tenths % 10))
        .unwrap_or_default()
}
