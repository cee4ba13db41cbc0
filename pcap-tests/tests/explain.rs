//! `Explain` foretells what then happens, to every frame of every golden case and of every mutant, and changes nothing.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

use std::{env, time::Duration};

use agent_api::v1::Operation;
use anyhow::Result;
use pcap_tests::{
    case::{self, Case, Neighbour},
    compare,
    counters::Counters,
    harness::{Backend, Datapath, run, run_mutant},
    simulated::{Simulated, World},
};
use vrouter::datapath::Explanation;

/// A datapath that is asked what it will do before it does it.
struct Foretold {
    world: World,
    left: Vec<(String, Vec<u8>)>,
    packets: usize,
    /// What came otherwise.
    wrong: Vec<String>,
}

impl Foretold {
    fn start(case: &Case) -> Self {
        Self { world: Simulated.start(case).unwrap(), left: Vec::new(), packets: 0, wrong: Vec::new() }
    }

    fn judge(&mut self, what: &str, moved: &Counters, left: &[(String, Vec<u8>)], told: &Explanation) {
        self.packets += 1;
        for fault in faults(&self.world.name(told.interface), moved, left, told) {
            self.wrong.push(format!("{what}: {fault}\n    {}", story(told)));
        }
    }
}

/// What is wrong with a prophecy.
fn faults(out: &str, moved: &Counters, left: &[(String, Vec<u8>)], told: &Explanation) -> Vec<String> {
    let count = |name: &str| moved.get(&format!("accounting.{name}"));
    let mut faults = Vec::new();
    // What had waited for this frame goes with it.
    let released = count("held").wrapping_neg();
    let released = if released < 1 << 32 { released } else { 0 };
    let (ended, of) = match told.verdict {
        // The frame itself, the pieces it was cut into, or the whole that it was the last piece of.
        "sent" => (
            count("sent") - count("originated"),
            count("received") + count("copied") + released - count("consumed"),
        ),
        "consumed" => (count("consumed"), 1),
        other => (count(other), 1 + released - count("consumed")),
    };
    if ended != of {
        faults.push(format!("{:?} was foretold, but {moved:?}", told.verdict));
    }
    if told.verdict == "dropped" && moved.get(&format!("drops.{}", told.reason)) == 0 {
        faults.push(format!("{} was foretold, but {moved:?}", told.reason));
    }
    let foretold = if told.packet.is_empty() { vec![] } else { vec![told.packet.clone()] };
    let first: Vec<_> = left.iter().take(1).map(|(_, frame)| frame.clone()).collect();
    if foretold != first {
        let foretold: Vec<_> = foretold.iter().map(|frame| any_identification(frame)).collect();
        faults.extend(compare::frames("the foretold frame", &foretold, &first, &[]));
    }
    if let Some((interface, _)) = left.first()
        && interface != out
    {
        faults.push(format!("{out:?} was foretold as way out, but it was {interface:?}"));
    }
    faults
}

/// A frame whose outer IPv4 header may be cut, without its identification: each worker counts its own, and the
/// comparison takes 0 for any.
fn any_identification(frame: &[u8]) -> Vec<u8> {
    let mut frame = frame.to_vec();
    if let [_, _, _, _, _, _, _, _, _, _, _, _, 8, 0, header @ ..] = &mut frame[..]
        && let Some(header) = header.first_chunk_mut::<20>()
        && header[6] & 0x40 == 0
    {
        header[4..6].fill(0);
        header[10..12].fill(0);
        let sum = packet::checksum::internet(&header[..]).to_be_bytes();
        header[10..12].copy_from_slice(&sum);
    }
    frame
}

fn story(told: &Explanation) -> String {
    let steps = told.steps.iter().map(|step| format!("{}: {}", step.stage, step.text));
    steps.collect::<Vec<_>>().join("\n    ")
}

impl Datapath for Foretold {
    fn apply(&mut self, operations: &[Operation]) -> Result<()> {
        self.world.apply(operations)
    }

    fn install_neighbours(&mut self, neighbours: &[Neighbour]) -> Result<()> {
        self.world.install_neighbours(neighbours)
    }

    fn inject(&mut self, interface: &str, frame: &[u8], at: Duration) -> Result<()> {
        self.world.advance(at)?;
        self.left.extend(self.world.take_output()?);
        let before = self.world.counters()?;
        let told = self.world.explain(interface, frame)?;
        let again = self.world.explain(interface, frame)?;
        let what = format!("the frame at {at:?}");
        if told != again {
            self.wrong.push(format!("{what}: told once {}\n    and then {}", story(&told), story(&again)));
        }
        if self.world.counters()? != before || !self.world.take_output()?.is_empty() {
            self.wrong.push(format!("{what}: explaining it changed something"));
        }
        self.world.inject(interface, frame, at)?;
        let left = self.world.take_output()?;
        let moved = self.world.counters()?.since(&before);
        self.judge(&what, &moved, &left, &told);
        self.left.extend(left);
        Ok(())
    }

    fn advance(&mut self, to: Duration) -> Result<()> {
        self.world.advance(to)
    }

    fn take_output(&mut self) -> Result<Vec<(String, Vec<u8>)>> {
        self.left.extend(self.world.take_output()?);
        Ok(std::mem::take(&mut self.left))
    }

    fn counters(&mut self) -> Result<Counters> {
        self.world.counters()
    }
}

#[test]
fn what_is_foretold_happens_to_every_frame_of_every_case_and_mutant() {
    let only = env::var("CASE").unwrap_or_default();
    let cases = case::load_all(&case::root()).expect("the cases can be read");
    let cases: Vec<_> = cases
        .iter()
        .filter(|case| case.id().contains(&only))
        .filter(|case| case.about.requires.iter().all(|requirement| Simulated.provides(requirement)))
        .collect();
    assert!(!cases.is_empty(), "no case matches {only}");
    let (mut packets, mut wrong) = (0, Vec::new());
    for case in cases {
        for mutant in [false, true] {
            let mut foretold = Foretold::start(case);
            let report = if mutant { run_mutant(case, &mut foretold) } else { run(case, &mut foretold) };
            assert!(report.unwrap().passed() != mutant, "asking changes how {} goes", case.id());
            packets += foretold.packets;
            let tables = if mutant { "mutant.yaml" } else { "tables.yaml" };
            wrong.extend(foretold.wrong.iter().map(|wrong| format!("{} ({tables}): {wrong}", case.id())));
        }
    }
    wrong.iter().for_each(|wrong| println!("{wrong}"));
    println!("{packets} frames foretold");
    assert!(wrong.is_empty(), "{} of {packets} frames went otherwise", wrong.len());
}
