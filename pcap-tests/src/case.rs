//! A case as it stands in its directory.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use agent_api::{
    key_of,
    v1::{Object, Operation, operation},
    yaml,
};
use anyhow::{Context, Result, bail, ensure};
use pcap_file::pcap::PcapReader;
use serde::Deserialize;
use serde_yaml_ng::Value;

use crate::counters::{Counters, Expectation};

/// One golden case.
#[derive(Clone, Debug)]
pub struct Case {
    /// The directory's parent: `nat`.
    pub group: String,
    /// The directory: `hairpin_ipv4`.
    pub name: String,
    /// What it is about, and what it needs.
    pub about: About,
    /// The tables, one batch, before the first packet.
    pub tables: Vec<Object>,
    /// Packets and changes of the tables, in the order of time.
    pub steps: Vec<Step>,
    /// The frames that must leave, by interface, in order.
    pub expected: BTreeMap<String, Vec<Vec<u8>>>,
    /// When each of those leaves: with the last packet that came in until then.
    pub departures: BTreeMap<String, Vec<Duration>>,
    /// Every counter that moves.
    pub counters: Counters,
    /// Applied on top of the tables, it must make the case fail.
    pub mutant: Change,
}

/// The content of `case.yaml`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct About {
    /// One sentence: what the case proves.
    pub intent: String,
    /// The numbers of SEMANTICS that it holds to.
    pub semantics: Vec<u32>,
    /// The seed of the entropy hash.
    pub seed: u32,
    /// What a backend must have: `control`, the control thread with its timers (neighbour resolution); `short_frames`,
    /// a wire that carries less than an Ethernet header.
    #[serde(default)]
    pub requires: Vec<String>,
    /// Time goes on at least until then after the last packet, in ms.
    #[serde(default)]
    pub settle_ms: u64,
    /// Names of flows per outgoing frame, by interface: one name, one entropy port; two names, two.
    #[serde(default)]
    pub entropy: BTreeMap<String, Vec<Option<String>>>,
    /// Frames that are malformed on purpose, by file: for `author/check`.
    #[serde(default)]
    pub odd: BTreeMap<String, Vec<usize>>,
    /// Neighbours that are known from the start.
    #[serde(default)]
    pub neighbours: Vec<Neighbour>,
}

/// A static neighbour.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Neighbour {
    /// The interface's name.
    pub interface: String,
    /// IPv4 or IPv6.
    pub address: String,
    /// "02:00:0a:01:00:c2".
    pub mac: String,
}

/// Something that happens.
#[derive(Clone, Debug)]
pub struct Step {
    /// When, from the start of the case.
    pub at: Duration,
    /// What.
    pub event: Event,
}

/// What happens.
#[derive(Clone, Debug)]
pub enum Event {
    /// A frame comes in.
    Packet {
        /// The interface's name.
        interface: String,
        /// The whole frame.
        frame: Vec<u8>,
    },
    /// The controller changes the tables.
    Change(Change),
}

/// A change of the tables, one batch: the puts before the deletes.
#[derive(Clone, Debug, Default)]
pub struct Change {
    /// Objects to put.
    pub put: Vec<Object>,
    /// Objects to delete; only their keys count.
    pub delete: Vec<Object>,
}

impl Change {
    /// Objects that are put.
    #[must_use]
    pub fn put(objects: Vec<Object>) -> Self {
        Self { put: objects, delete: Vec::new() }
    }

    /// As the operations of one batch.
    #[must_use]
    pub fn operations(&self) -> Vec<Operation> {
        let puts = self.put.iter().map(|object| operation::Operation::Put(object.clone()));
        let deletes = self.delete.iter().map(|object| operation::Operation::Delete(key_of(object)));
        puts.chain(deletes).map(|operation| Operation { operation: Some(operation) }).collect()
    }

    fn read(text: &str) -> Result<Self> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields, default)]
        #[derive(Default)]
        struct Text {
            put: Value,
            delete: Value,
        }
        let text: Text = serde_yaml_ng::from_str(text)?;
        Ok(Self { put: yaml::objects_from_value(text.put)?, delete: yaml::objects_from_value(text.delete)? })
    }
}

/// The directory of all cases.
#[must_use]
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("cases")
}

/// Loads every case under `root`, by group and name.
///
/// # Errors
/// A case that cannot be read, with its place.
pub fn load_all(root: &Path) -> Result<Vec<Case>> {
    let mut cases = Vec::new();
    for group in directories(root)? {
        for directory in directories(&group)? {
            cases.push(Case::load(&directory)?);
        }
    }
    ensure!(!cases.is_empty(), "no case under {}: run author/build", root.display());
    Ok(cases)
}

fn directories(path: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(path).with_context(|| path.display().to_string())? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            found.push(entry.path());
        }
    }
    found.sort_unstable();
    Ok(found)
}

impl Case {
    /// `group/name`.
    #[must_use]
    pub fn id(&self) -> String {
        format!("{}/{}", self.group, self.name)
    }

    /// Loads a case from its directory.
    ///
    /// # Errors
    /// A file that is missing or cannot be understood, with its name.
    pub fn load(directory: &Path) -> Result<Self> {
        Self::load_from(directory).with_context(|| format!("case {}", directory.display()))
    }

    fn load_from(directory: &Path) -> Result<Self> {
        let name = |path: Option<&Path>| {
            path.and_then(Path::file_name).map(|name| name.to_string_lossy().into_owned())
        };
        let read = |file: &str| fs::read_to_string(directory.join(file)).with_context(|| file.to_owned());
        let mut case = Self {
            group: name(directory.parent()).unwrap_or_default(),
            name: name(Some(directory)).unwrap_or_default(),
            about: serde_yaml_ng::from_str(&read("case.yaml")?).context("case.yaml")?,
            tables: yaml::parse(&read("tables.yaml")?).context("tables.yaml")?,
            steps: Vec::new(),
            expected: BTreeMap::new(),
            departures: BTreeMap::new(),
            counters: serde_yaml_ng::from_str::<Expectation>(&read("expect.yaml")?)
                .context("expect.yaml")?
                .into(),
            mutant: Change::read(&read("mutant.yaml")?).context("mutant.yaml")?,
        };
        for entry in fs::read_dir(directory)? {
            let path = entry?.path();
            let file = name(Some(&path)).unwrap_or_default();
            case.take_file(&path, &file).context(file)?;
        }
        case.steps.sort_by_key(|step| step.at);
        Ok(case)
    }

    fn take_file(&mut self, path: &Path, file: &str) -> Result<()> {
        let parts: Vec<_> = file.split('.').collect();
        match parts.as_slice() {
            ["in", interface, "pcap"] => {
                for (at, frame) in read_pcap(path)? {
                    let event = Event::Packet { interface: (*interface).to_owned(), frame };
                    self.steps.push(Step { at, event });
                }
            }
            ["out", interface, "pcap"] => {
                let (times, frames) = read_pcap(path)?.into_iter().unzip();
                self.expected.insert((*interface).to_owned(), frames);
                self.departures.insert((*interface).to_owned(), times);
            }
            ["change", at, "yaml"] => {
                let at = Duration::from_millis(at.parse().context("the time of a change, in ms")?);
                let event = Event::Change(Change::read(&fs::read_to_string(path)?)?);
                self.steps.push(Step { at, event });
            }
            ["case" | "tables" | "expect" | "mutant", "yaml"] => {}
            _ => bail!("a file that means nothing in a case"),
        }
        Ok(())
    }

    /// The last packet that has come in at `at`: what leaves then leaves because of it.
    #[must_use]
    pub fn cause(&self, at: Duration) -> Duration {
        let mut packets =
            self.steps.iter().filter(|step| matches!(step.event, Event::Packet { .. }) && step.at <= at);
        packets.next_back().map_or(Duration::ZERO, |step| step.at)
    }

    /// When the case ends.
    #[must_use]
    pub fn end(&self) -> Duration {
        let last = self.steps.last().map_or(Duration::ZERO, |step| step.at);
        last.max(Duration::from_millis(self.about.settle_ms))
    }
}

fn read_pcap(path: &Path) -> Result<Vec<(Duration, Vec<u8>)>> {
    let mut reader = PcapReader::new(fs::File::open(path)?)?;
    let mut frames = Vec::new();
    while let Some(packet) = reader.next_packet() {
        let packet = packet?;
        frames.push((packet.timestamp, packet.data.into_owned()));
    }
    Ok(frames)
}

#[cfg(test)]
mod tests {
    use agent_api::v1::{key, object};

    use super::*;

    #[test]
    fn a_change_puts_before_it_deletes_and_deletes_by_key() {
        let change = Change::read(
            "put:\n- vrf: {id: 3, name: blue}\ndelete:\n- route: {vrf: 1, prefix: \"10.0.0.0/8\", next_hop: 9}\n",
        )
        .unwrap();
        let operations = change.operations();
        assert_eq!(operations.len(), 2);
        assert!(matches!(
            &operations[0].operation,
            Some(operation::Operation::Put(Object { object: Some(object::Object::Vrf(vrf)) })) if vrf.id == 3
        ));
        assert!(matches!(
            &operations[1].operation,
            Some(operation::Operation::Delete(agent_api::v1::Key { key: Some(key::Key::Route(route)) }))
                if route.vrf == 1 && route.prefix == "10.0.0.0/8"
        ));
    }

    #[test]
    fn a_change_may_lack_either_part_but_has_no_others() {
        assert_eq!(Change::read("delete:\n- vni: {vni: 5}\n").unwrap().operations().len(), 1);
        assert_eq!(Change::read("put:\n- vni: {vni: 5, vrf: 1}\n").unwrap().operations().len(), 1);
        assert!(Change::read("remove:\n- vni: {vni: 5}\n").is_err());
    }

    #[test]
    fn steps_are_in_the_order_of_time_over_all_interfaces() {
        let case = Case::load(&root().join("routing/repointed_next_hop")).unwrap();
        let kinds: Vec<_> =
            case.steps.iter().map(|step| matches!(step.event, Event::Packet { .. })).collect();
        assert_eq!(kinds, [true, false, true]);
        assert!(case.steps.windows(2).all(|pair| pair[0].at < pair[1].at));
        assert_eq!(case.expected["fabric"].len(), 2);
        assert_eq!(case.id(), "routing/repointed_next_hop");
    }

    #[test]
    fn a_case_ends_after_its_last_packet_or_when_it_has_settled() {
        let case = Case::load(&root().join("fragments/without_their_first_ipv4")).unwrap();
        assert_eq!(case.end(), Duration::from_millis(2502));
        let case = Case::load(&root().join("routing/vm_to_vm_ipv4")).unwrap();
        assert_eq!(case.end(), Duration::from_millis(2));
    }

    #[test]
    fn what_leaves_leaves_because_of_the_last_packet() {
        let case = Case::load(&root().join("routing/repointed_next_hop")).unwrap();
        let ms = Duration::from_millis;
        assert_eq!(case.departures["fabric"], [ms(1), ms(3)]);
        assert_eq!([0, 1, 2, 3, 9].map(|at| case.cause(ms(at))), [ms(0), ms(1), ms(1), ms(3), ms(3)]);
    }

    #[test]
    fn a_directory_without_a_case_is_refused_by_name() {
        let error = Case::load(&root()).unwrap_err();
        assert!(format!("{error:#}").contains("case.yaml"), "{error:#}");
    }
}
