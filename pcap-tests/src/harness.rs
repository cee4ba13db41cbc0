//! Runs cases against a datapath: the one seam between the golden cases and what they judge.

use std::{collections::BTreeMap, fmt, time::Duration};

use agent_api::v1::Operation;
use anyhow::{Context, Result, bail};

use crate::{
    case::{Case, Change, Event, Neighbour},
    compare,
    counters::Counters,
};

/// A vRouter with empty tables that a case drives: in the process, or a daemon behind its API.
///
/// Interfaces are known by name. A case's interfaces have no device: the backend gives each one a port.
pub trait Datapath {
    /// Applies one batch and returns when it is in effect.
    ///
    /// # Errors
    /// What the vRouter refuses, as text.
    fn apply(&mut self, operations: &[Operation]) -> Result<()>;

    /// Makes neighbours known without asking them.
    ///
    /// # Errors
    /// An interface that does not exist.
    fn install_neighbours(&mut self, neighbours: &[Neighbour]) -> Result<()>;

    /// Hands in one frame at a time of the case, and returns when it has been dealt with.
    ///
    /// # Errors
    /// An interface that does not exist.
    fn inject(&mut self, interface: &str, frame: &[u8], at: Duration) -> Result<()>;

    /// Lets time go on to `to`, timers included.
    ///
    /// # Errors
    /// A backend that cannot.
    fn advance(&mut self, to: Duration) -> Result<()>;

    /// Takes the frames that left since the last call: interface and frame, in order per interface.
    ///
    /// # Errors
    /// A backend that cannot.
    fn take_output(&mut self) -> Result<Vec<(String, Vec<u8>)>>;

    /// Whether `take_output` after `inject` has all that the frame caused, so that cause and effect can be held
    /// together. Otherwise only the order per interface is judged.
    fn is_stepwise(&self) -> bool {
        true
    }

    /// The counters as they stand.
    ///
    /// # Errors
    /// A backend that cannot.
    fn counters(&mut self) -> Result<Counters>;
}

/// Makes datapaths, one for each case.
pub trait Backend {
    /// What it makes.
    type Datapath<'a>: Datapath
    where
        Self: 'a;

    /// Whether it has what a case `requires`, by name.
    fn provides(&self, requirement: &str) -> bool;

    /// A datapath with empty tables and the case's entropy seed.
    ///
    /// # Errors
    /// A datapath that does not start.
    fn start(&mut self, case: &Case) -> Result<Self::Datapath<'_>>;
}

/// How a case went.
#[derive(Clone, Debug)]
pub struct Report {
    /// `group/name`.
    pub case: String,
    /// What it proves.
    pub intent: String,
    /// What was not as expected.
    pub differences: Vec<String>,
}

impl Report {
    /// Whether everything was as expected.
    #[must_use]
    pub const fn passed(&self) -> bool {
        self.differences.is_empty()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verdict = if self.passed() { "passed" } else { "FAILED" };
        write!(f, "{verdict} {}: {}", self.case, self.intent)?;
        for difference in &self.differences {
            write!(f, "\n  {difference}")?;
        }
        Ok(())
    }
}

/// Runs a case.
///
/// # Errors
/// What kept it from being run at all: tables refused, a port missing.
pub fn run<D: Datapath>(case: &Case, datapath: &mut D) -> Result<Report> {
    run_with(case, datapath, &Change::default())
}

/// Runs a case on its mutant tables, which must make it fail.
///
/// # Errors
/// As [`run`], and a mutant under which the case passes: then the case proves nothing.
pub fn run_mutant<D: Datapath>(case: &Case, datapath: &mut D) -> Result<Report> {
    let report = run_with(case, datapath, &case.mutant)?;
    if report.passed() {
        bail!("{}: passes with its mutant tables too", case.id());
    }
    Ok(report)
}

fn run_with<D: Datapath>(case: &Case, datapath: &mut D, mutation: &Change) -> Result<Report> {
    let tables = Change::put(case.tables.clone());
    datapath.apply(&tables.operations()).context("tables.yaml")?;
    let mutation = mutation.operations();
    if !mutation.is_empty() {
        datapath.apply(&mutation).context("mutant.yaml")?;
    }
    datapath.install_neighbours(&case.about.neighbours).context("neighbours")?;
    datapath.take_output()?;
    let before = datapath.counters()?;

    let mut actual = Departed::default();
    for step in &case.steps {
        match &step.event {
            Event::Packet { interface, frame } => datapath.inject(interface, frame, step.at)?,
            Event::Change(change) => {
                datapath.advance(step.at)?;
                datapath
                    .apply(&change.operations())
                    .with_context(|| format!("the change at {:?}", step.at))?;
            }
        }
        actual.collect(datapath, case.cause(step.at))?;
    }
    datapath.advance(case.end())?;
    actual.collect(datapath, case.cause(case.end()))?;
    let moved = datapath.counters()?.since(&before);
    let differences = judge(case, &actual, &moved, datapath.is_stepwise());
    Ok(Report { case: case.id(), intent: case.about.intent.clone(), differences })
}

/// What left, by interface, and with which packet.
#[derive(Debug, Default)]
struct Departed {
    frames: BTreeMap<String, Vec<Vec<u8>>>,
    causes: BTreeMap<String, Vec<Duration>>,
}

impl Departed {
    fn collect<D: Datapath>(&mut self, datapath: &mut D, cause: Duration) -> Result<()> {
        for (interface, frame) in datapath.take_output()? {
            self.causes.entry(interface.clone()).or_default().push(cause);
            self.frames.entry(interface).or_default().push(frame);
        }
        Ok(())
    }
}

fn judge(case: &Case, actual: &Departed, moved: &Counters, stepwise: bool) -> Vec<String> {
    let mut differences = Vec::new();
    let mut interfaces: Vec<_> = case.expected.keys().chain(actual.frames.keys()).collect();
    interfaces.sort_unstable();
    interfaces.dedup();
    for interface in interfaces {
        let of = |frames: &BTreeMap<String, Vec<Vec<u8>>>| frames.get(interface).cloned().unwrap_or_default();
        let entropy = case.about.entropy.get(interface).map_or(&[][..], Vec::as_slice);
        differences.extend(compare::frames(interface, &of(&case.expected), &of(&actual.frames), entropy));
        if stepwise {
            differences.extend(untimely(case, actual, interface));
        }
    }
    differences.extend(moved.differences(&case.counters));
    differences.extend(moved.imbalance());
    differences
}

/// Frames that left with another packet than the one that should have caused them.
fn untimely(case: &Case, actual: &Departed, interface: &str) -> Vec<String> {
    let (Some(expected), Some(found)) = (case.departures.get(interface), actual.causes.get(interface)) else {
        return Vec::new();
    };
    let pairs = expected.iter().map(|at| case.cause(*at)).zip(found).enumerate();
    pairs
        .filter(|(_, (expected, found))| expected != *found)
        .map(|(index, (expected, found))| {
            format!("{interface} frame {index}: caused by the packet at {found:?}, expected by that at {expected:?}")
        })
        .collect()
}

/// How many cases went how.
#[derive(Clone, Debug, Default)]
pub struct Summary {
    /// Cases that passed and whose mutants failed.
    pub passed: usize,
    /// Cases that the backend cannot run, with what they require.
    pub skipped: Vec<String>,
    /// Cases that failed, could not be run, or pass with their mutants: why.
    pub failed: Vec<String>,
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for failure in &self.failed {
            writeln!(f, "{failure}")?;
        }
        for skipped in &self.skipped {
            writeln!(f, "skipped {skipped}")?;
        }
        write!(f, "{} passed, {} failed, {} skipped", self.passed, self.failed.len(), self.skipped.len())
    }
}

impl Summary {
    /// Adds what another run has found.
    pub fn add(&mut self, other: Self) {
        self.passed += other.passed;
        self.skipped.extend(other.skipped);
        self.failed.extend(other.failed);
    }
}

/// Runs every case and every mutant on a backend.
pub fn run_all<B: Backend>(cases: &[Case], backend: &mut B) -> Summary {
    let mut summary = Summary::default();
    for case in cases {
        if let Some(requirement) =
            case.about.requires.iter().find(|requirement| !backend.provides(requirement))
        {
            summary.skipped.push(format!("{}: requires {requirement}", case.id()));
            continue;
        }
        match run_both(case, backend) {
            Ok(report) if report.passed() => summary.passed += 1,
            Ok(report) => summary.failed.push(report.to_string()),
            Err(error) => summary.failed.push(format!("FAILED {}: {error:#}", case.id())),
        }
    }
    summary
}

fn run_both<B: Backend>(case: &Case, backend: &mut B) -> Result<Report> {
    let report = run(case, &mut backend.start(case)?)?;
    if report.passed() {
        run_mutant(case, &mut backend.start(case)?)?;
    }
    Ok(report)
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use super::*;
    use crate::case::root;

    /// Answers what it was told to, one list of frames per packet; its counters jump when the first packet comes.
    #[derive(Default)]
    struct Parrot {
        answers: VecDeque<Vec<(String, Vec<u8>)>>,
        ready: Vec<(String, Vec<u8>)>,
        moved: Counters,
        base: Counters,
        log: Vec<String>,
        injected: bool,
        blurry: bool,
    }

    impl Datapath for Parrot {
        fn apply(&mut self, operations: &[Operation]) -> Result<()> {
            self.log.push(format!("apply {}", operations.len()));
            Ok(())
        }
        fn install_neighbours(&mut self, neighbours: &[Neighbour]) -> Result<()> {
            self.log.push(format!("neighbours {}", neighbours.len()));
            Ok(())
        }
        fn inject(&mut self, interface: &str, _: &[u8], at: Duration) -> Result<()> {
            self.log.push(format!("inject {interface} {}", at.as_millis()));
            self.injected = true;
            self.ready.extend(self.answers.pop_front().unwrap_or_default());
            Ok(())
        }
        fn advance(&mut self, to: Duration) -> Result<()> {
            self.log.push(format!("advance {}", to.as_millis()));
            Ok(())
        }
        fn take_output(&mut self) -> Result<Vec<(String, Vec<u8>)>> {
            Ok(std::mem::take(&mut self.ready))
        }
        fn is_stepwise(&self) -> bool {
            !self.blurry
        }
        fn counters(&mut self) -> Result<Counters> {
            let mut counters = self.base.clone();
            if self.injected {
                self.moved.iter().for_each(|(path, count)| counters.add(path, count));
            }
            Ok(counters)
        }
    }

    fn case() -> Case {
        Case::load(&root().join("routing/vm_to_vm_ipv4")).unwrap()
    }

    /// A parrot that knows the right answers.
    fn scholar(case: &Case) -> Parrot {
        let answers = ["vm2", "vm1"].map(|name| vec![(name.to_owned(), case.expected[name][0].clone())]);
        let mut base = Counters::default();
        base.add("accounting.received", 100);
        base.add("accounting.sent", 100);
        Parrot { answers: answers.into(), moved: case.counters.clone(), base, ..Default::default() }
    }

    #[test]
    fn the_right_frames_and_counters_pass() {
        let (case, mut parrot) = (case(), scholar(&case()));
        let report = run(&case, &mut parrot).unwrap();
        assert!(report.passed(), "{report}");
        assert_eq!(
            parrot.log,
            [
                format!("apply {}", case.tables.len()),
                "neighbours 0".into(),
                "inject vm1 1".into(),
                "inject vm2 2".into(),
                "advance 2".into()
            ]
        );
    }

    #[test]
    fn a_missing_frame_a_wrong_counter_and_a_lost_packet_are_told() {
        let (case, mut parrot) = (case(), scholar(&case()));
        parrot.answers.pop_back();
        parrot.moved.add("drops.no_route", 1);
        parrot.moved.add("accounting.received", 1);
        let report = run(&case, &mut parrot).unwrap();
        let text = report.to_string();
        for part in [
            "FAILED routing/vm_to_vm_ipv4",
            "vm1 frame 0 is missing",
            "drops.no_route: expected 0, got 1",
            "3 packets came, were made or copied, but 2 ended",
        ] {
            assert!(text.contains(part), "{part} in {text}");
        }
    }

    #[test]
    fn a_frame_on_an_interface_that_expects_none_is_told() {
        let (case, mut parrot) = (case(), scholar(&case()));
        parrot.answers[0].push(("fabric".into(), vec![0; 60]));
        let report = run(&case, &mut parrot).unwrap();
        assert_eq!(report.differences.len(), 1);
        assert!(report.differences[0].starts_with("fabric frame 0 is unexpected"));
    }

    #[test]
    fn a_frame_that_leaves_with_another_packet_than_its_own_is_told() {
        let case = case();
        let late = |blurry| {
            let mut parrot = Parrot { blurry, ..scholar(&case) };
            let first = parrot.answers[0].pop();
            parrot.answers[1].extend(first);
            run(&case, &mut parrot).unwrap().differences
        };
        assert_eq!(late(false), ["vm2 frame 0: caused by the packet at 2ms, expected by that at 1ms"]);
        assert!(late(true).is_empty(), "a backend without steps is judged by order alone");
    }

    #[test]
    fn a_mutant_that_changes_nothing_is_an_error() {
        let (case, mut parrot) = (case(), scholar(&case()));
        let error = run_mutant(&case, &mut parrot).unwrap_err();
        assert_eq!(error.to_string(), "routing/vm_to_vm_ipv4: passes with its mutant tables too");
        assert_eq!(parrot.log[1], "apply 1", "the mutant is applied on top of the tables");
    }

    #[test]
    fn a_mutant_that_makes_the_case_fail_is_what_is_wanted() {
        let (case, mut parrot) = (case(), scholar(&case()));
        parrot.answers.clear();
        assert!(!run_mutant(&case, &mut parrot).unwrap().passed());
    }

    struct Parrots {
        mutants_differ: bool,
        started: usize,
    }

    impl Backend for Parrots {
        type Datapath<'a> = Parrot;
        fn provides(&self, requirement: &str) -> bool {
            requirement != "control"
        }
        fn start(&mut self, case: &Case) -> Result<Parrot> {
            self.started += 1;
            let mut parrot = scholar(case);
            if self.mutants_differ && self.started.is_multiple_of(2) {
                parrot.answers.clear();
            }
            Ok(parrot)
        }
    }

    #[test]
    fn a_summary_counts_what_passed_was_skipped_and_failed() {
        let waiting = Case::load(&root().join("arp_nd/first_packet_waits_for_arp")).unwrap();
        let cases = [case(), waiting];
        let summary = run_all(&cases, &mut Parrots { mutants_differ: true, started: 0 });
        assert_eq!(summary.passed, 1, "{summary}");
        assert_eq!(summary.skipped, ["arp_nd/first_packet_waits_for_arp: requires control"]);
        assert!(summary.failed.is_empty(), "{summary}");

        let summary = run_all(&cases, &mut Parrots { mutants_differ: false, started: 0 });
        assert_eq!(summary.passed, 0);
        assert_eq!(
            summary.failed,
            ["FAILED routing/vm_to_vm_ipv4: routing/vm_to_vm_ipv4: passes with its mutant tables too"]
        );
        assert!(summary.to_string().ends_with("0 passed, 1 failed, 1 skipped"));
    }
}
