//! From a configuration to a running vRouter, and back to a machine on which nothing of it is left.
//!
//! Everything that is started is owned by a value whose drop ends it. They are dropped in the reverse
//! order: the agent API, then the control thread with all devices, then the workers, then DPDK's memory.

mod api;
mod dataplane;
mod memory;
mod metrics;
mod notify;
mod placement;
mod process;
mod signals;
mod workers;

use agent_api::v1::{Batch, Operation, operation};
use anyhow::{Context as _, Result, bail};
use tokio::runtime::Runtime;
use tokio::sync::mpsc;

use crate::agent::Agent;
use crate::config::Config;
use crate::control::Owner;
use crate::control::thread::Handle;
use process::Process;

/// Runs until a signal says stop.
///
/// # Errors
/// What is missing or refused, and the setting that asked for it; nothing is left behind.
pub fn run(config: &Config) -> Result<()> {
    let objects = config.objects()?;
    let places = placement::on_this_machine(&config.workers)?;
    // Its threads are there before anything changes what threads inherit.
    let runtime = Runtime::new().context("the runtime cannot be started")?;
    let mut signals = runtime.block_on(async { signals::Signals::new() })?;
    let (failed, mut failure) = mpsc::unbounded_channel();

    let eal = memory::dpdk(config)?;
    let pool = memory::packets(config, &eal)?;
    let process = Process::start(config, &eal, &pool, &places, &failed)?;
    let handle = process.control.handle();
    runtime.block_on(apply(handle, objects))?;
    let agent = Agent::new(handle.clone(), process.view.clone());
    if let Some(address) = config.agent.metrics.0 {
        runtime.block_on(metrics::serve(address, agent.clone(), process.view.clone()))?;
    }
    let api = runtime.block_on(async { api::Api::start(config, agent, &failed) })?;
    notify::tell("READY=1");
    tracing::info!(workers = places.len(), "ready");

    let reason = runtime.block_on(async {
        tokio::select! {
            name = signals.next() => Ok(name),
            Some(reason) = failure.recv() => Err(reason),
        }
    });
    notify::tell("STOPPING=1");
    let why = match &reason {
        Ok(signal) => signal,
        Err(failure) => failure.as_str(),
    };
    tracing::info!(reason = why, "stopping");
    runtime.block_on(api.stop());
    drop(process);
    drop(runtime);
    let lost = pool.in_use();
    if lost > 0 {
        tracing::error!(packets = lost, "packets were not given back");
    }
    reason.map(drop).map_err(anyhow::Error::msg)
}

/// The objects of the configuration, in one batch.
async fn apply(handle: &Handle, objects: Vec<agent_api::v1::Object>) -> Result<()> {
    if objects.is_empty() {
        return Ok(());
    }
    let put = |object| Operation { operation: Some(operation::Operation::Put(object)) };
    let batch = Batch { operations: objects.into_iter().map(put).collect(), ..Batch::default() };
    let result = handle.apply(&Owner::config(), batch).await;
    if result.code != 0 {
        bail!("the objects of the configuration: {}", result.message);
    }
    Ok(())
}
