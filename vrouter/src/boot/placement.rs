//! Which worker runs where, and how it waits: the configuration meets the machine.

use std::fs;

use anyhow::{Result, bail};

use crate::config::{Poll, Workers};
use crate::worker::PollMode;

/// One worker's place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    /// The CPU it is pinned to.
    pub(super) cpu: Option<usize>,
    /// What it does while there is nothing to do.
    pub(super) poll: PollMode,
}

/// The places of all workers. `present` are the CPUs that this process may use, `isolated` those that the
/// kernel gives to nobody by itself.
fn places(workers: &Workers, present: &[usize], isolated: &[usize]) -> Result<Vec<Place>> {
    let poll = |cpu: Option<usize>| match workers.poll {
        Poll::Busy => PollMode::Busy,
        Poll::Adaptive => PollMode::Adaptive,
        Poll::Auto if cpu.is_some_and(|cpu| isolated.contains(&cpu)) => PollMode::Busy,
        Poll::Auto => PollMode::Adaptive,
    };
    if workers.cores.is_empty() {
        return Ok(vec![Place { cpu: None, poll: poll(None) }; usize::from(workers.count)]);
    }
    let mut places = Vec::with_capacity(workers.cores.len());
    for &core in &workers.cores {
        let cpu = usize::from(core);
        if !present.contains(&cpu) && !isolated.contains(&cpu) {
            let present: Vec<_> = present.iter().map(ToString::to_string).collect();
            bail!(
                "workers.cores: CPU {cpu} is not there or not allowed to this process: choose of {}",
                present.join(",")
            );
        }
        places.push(Place { cpu: Some(cpu), poll: poll(Some(cpu)) });
    }
    Ok(places)
}

/// The places of all workers on this machine.
pub(super) fn on_this_machine(workers: &Workers) -> Result<Vec<Place>> {
    let present: Vec<_> =
        core_affinity::get_core_ids().unwrap_or_default().iter().map(|core| core.id).collect();
    let isolated = fs::read_to_string("/sys/devices/system/cpu/isolated").unwrap_or_default();
    places(workers, &present, &cpu_list(&isolated))
}

/// The kernel's way to write CPUs: `1-3,7`.
fn cpu_list(text: &str) -> Vec<usize> {
    let range = |part: &str| {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        Some(first.trim().parse::<usize>().ok()?..=last.trim().parse::<usize>().ok()?)
    };
    text.split(',').filter_map(range).flatten().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn workers(count: u16, cores: &[u16], poll: Poll) -> Workers {
        Workers { count, cores: cores.to_vec(), poll }
    }

    #[test]
    fn workers_without_cores_float_and_adapt() {
        let expected = [Place { cpu: None, poll: PollMode::Adaptive }; 3];
        assert_eq!(places(&workers(3, &[], Poll::Auto), &[0, 1], &[1]).unwrap(), expected);
        let busy = places(&workers(1, &[], Poll::Busy), &[0], &[]).unwrap();
        assert_eq!(busy, [Place { cpu: None, poll: PollMode::Busy }]);
    }

    #[test]
    fn workers_on_isolated_cpus_are_busy_unless_told_otherwise() {
        let auto = places(&workers(9, &[1, 2], Poll::Auto), &[0, 1], &[2, 3]).unwrap();
        let expected =
            [Place { cpu: Some(1), poll: PollMode::Adaptive }, Place { cpu: Some(2), poll: PollMode::Busy }];
        assert_eq!(auto, expected);
        let adaptive = places(&workers(1, &[2], Poll::Adaptive), &[0], &[2]).unwrap();
        assert_eq!(adaptive, [Place { cpu: Some(2), poll: PollMode::Adaptive }]);
    }

    #[test]
    fn a_cpu_that_is_not_there_is_named() {
        let text = places(&workers(1, &[7], Poll::Auto), &[0, 1], &[]).unwrap_err().to_string();
        assert!(text.contains("CPU 7") && text.contains("0,1"), "{text}");
    }

    #[test]
    fn the_kernels_lists_are_read() {
        assert_eq!(cpu_list("1-3,7\n"), [1, 2, 3, 7]);
        assert!(cpu_list("\n").is_empty());
    }
}
