//! `ListDrops`: the sampled ring of dropped packets.

use std::{
    collections::VecDeque,
    sync::{Mutex, PoisonError},
    time::{SystemTime, UNIX_EPOCH},
};

use agent_api::v1;
use packet::{DropReason, WorkerId};
use tonic::Status;

use super::{Answers, Dataplane, stream::ready};
use crate::datapath::DropSample;

/// Samples that are kept.
const KEPT: usize = 4096;

/// The last sampled drops of all workers.
#[derive(Debug, Default)]
pub(super) struct Ring {
    samples: Mutex<VecDeque<(WorkerId, DropSample)>>,
}

impl Ring {
    pub(super) fn list(
        &self,
        dataplane: &dyn Dataplane,
        request: v1::ListDropsRequest,
    ) -> Result<Answers<v1::DropSample>, Status> {
        if !request.reason.is_empty() && !DropReason::ALL.iter().any(|reason| reason.name() == request.reason)
        {
            return Err(Status::invalid_argument(format!("reason: {:?} is no drop reason", request.reason)));
        }
        let mut samples = self.samples.lock().unwrap_or_else(PoisonError::into_inner);
        let before = samples.len();
        dataplane.take_samples(&mut |worker, sample| samples.push_back((worker, sample)));
        if samples.len() != before {
            samples.make_contiguous().sort_by_key(|(_, sample)| sample.milliseconds);
        }
        while samples.len() > KEPT {
            samples.pop_front();
        }
        let zero = start(dataplane.milliseconds());
        let wanted = samples.iter().filter(|(_, sample)| {
            (request.reason.is_empty() || sample.reason.name() == request.reason)
                && request.interface.is_none_or(|id| u32::from(sample.interface.0) == id)
        });
        let found: Vec<_> = wanted.map(|(worker, sample)| message(*worker, sample, zero)).collect();
        Ok(ready(found.into_iter()))
    }
}

/// When the workers' clock was 0, in nanoseconds since the epoch.
fn start(now: u64) -> u64 {
    let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(wall.as_nanos()).unwrap_or(u64::MAX).saturating_sub(now.saturating_mul(1_000_000))
}

fn message(worker: WorkerId, sample: &DropSample, zero: u64) -> v1::DropSample {
    v1::DropSample {
        time_ns: zero.saturating_add(sample.milliseconds.saturating_mul(1_000_000)),
        reason: sample.reason.name().to_owned(),
        interface: sample.interface.0.into(),
        worker: worker.0.into(),
        rule: String::new(),
        length: sample.length.into(),
        head: sample.head.get(..usize::from(sample.kept)).unwrap_or(&sample.head).to_vec(),
    }
}
