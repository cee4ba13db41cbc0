//! The star: a base point, and one axis at a time away from it.

use vrouter::datapath::Variant;

use crate::ways::{self, Sizes, Tunnel, Way};

/// In which order flows come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Popularity {
    /// All equally often.
    Uniform,
    /// Few of them very often.
    Zipf,
}

/// One point.
#[derive(Clone, Debug)]
pub struct Case {
    /// Short, for `--case`.
    pub name: String,
    /// What is varied.
    pub axis: &'static str,
    /// Which line of the axis.
    pub line: &'static str,
    /// How far along the axis.
    pub at: String,
    /// Conversations.
    pub flows: u32,
    /// In which order they come.
    pub popularity: Popularity,
    /// The first packets of the conversations, where sessions are wanted. Cases with the same opening and as many
    /// flows share their sessions.
    pub opening: Option<(&'static str, Way)>,
    /// What is measured.
    pub measured: Way,
    /// Every packet opens a session.
    pub new: bool,
    /// Rules that the workload of `new` has, of [`crate::rules`]; 0 = one rule.
    pub rules: usize,
    /// Percent of the flow table's index that are in use, 0 = as it comes (60).
    pub load: u32,
    /// For which CPU the short way was compiled.
    pub variant: Variant,
    /// Ticks per packet that are asked for: to be reached, to be accepted.
    pub asked: Option<(f64, f64)>,
}

/// The flows of the base point.
pub const BASE: u32 = 100_000;
/// The name of the base point.
pub const BASE_NAME: &str = "out-100k";

const OUT: &str = "workload → fabric";
const IN: &str = "fabric → workload";
const LOCAL: &str = "workload → workload";

impl Case {
    fn new(name: impl Into<String>, axis: &'static str, line: &'static str, at: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            axis,
            line,
            at: at.into(),
            flows: BASE,
            popularity: Popularity::Uniform,
            opening: None,
            measured: ways::hop(),
            new: false,
            rules: 0,
            load: 0,
            variant: Variant::best(),
            asked: None,
        }
    }

    /// Conversations that `way` opens.
    fn opened(self, scene: &'static str, way: Way) -> Self {
        Self { measured: way.clone(), opening: Some((scene, way)), ..self }
    }

    fn measured(self, measured: Way) -> Self {
        Self { measured, ..self }
    }

    const fn of(mut self, flows: u32) -> Self {
        self.flows = flows;
        self
    }

    const fn asked(mut self, reach: f64, accept: f64) -> Self {
        self.asked = Some((reach, accept));
        self
    }

    /// Whether sessions can be shared.
    #[must_use]
    pub fn shares_with(&self, other: &Self) -> bool {
        let scene = |case: &Self| {
            (case.opening.as_ref().map(|(scene, _)| *scene), case.flows, case.load, case.variant)
        };
        !self.new && !other.new && self.opening.is_some() && scene(self) == scene(other)
    }
}

fn flows() -> Vec<Case> {
    let asked = [(1, 60.0, 80.0), (1_000, 60.0, 80.0), (100_000, 80.0, 100.0), (1_000_000, 100.0, 125.0)];
    let asked =
        |flows: u32| asked.iter().find(|(of, ..)| *of == flows).map(|(_, reach, accept)| (*reach, *accept));
    let mut cases = Vec::new();
    for (flows, short) in
        [(1, "1"), (1_000, "1k"), (10_000, "10k"), (100_000, "100k"), (1_000_000, "1m"), (10_000_000, "10m")]
    {
        for popularity in [Popularity::Uniform, Popularity::Zipf] {
            let (axis, suffix) = match popularity {
                Popularity::Uniform => ("flows", ""),
                Popularity::Zipf => ("flows, Zipf", "-zipf"),
            };
            // One flow is as popular as the other.
            if flows == 1 && popularity == Popularity::Zipf {
                continue;
            }
            let uniform = popularity == Popularity::Uniform;
            let case = |name: &str, line| {
                let mut case = Case::new(format!("{name}-{short}{suffix}"), axis, line, short).of(flows);
                case.popularity = popularity;
                case.asked = if flows == 10_000_000 { Some((140.0, 165.0)) } else { asked(flows) };
                case.asked = case.asked.filter(|_| uniform && line != LOCAL);
                case
            };
            let out = ways::out(2, Sizes::Smallest, Tunnel::Udp, false);
            cases.push(case("out", OUT).opened("udp", out.clone()));
            cases.push(case("in", IN).opened("udp", out).measured(ways::back(
                Sizes::Smallest,
                Tunnel::Udp,
                false,
            )));
            cases.push(case("local", LOCAL).opened("local", ways::local(false)));
        }
    }
    cases
}

fn sizes() -> Vec<Case> {
    let mut cases = Vec::new();
    for (name, at, sizes) in [("imix", "IMIX", Sizes::Imix), ("1500", "1500", Sizes::Largest)] {
        let out = ways::out(2, sizes, Tunnel::Udp, false);
        let case = |way: &str, line| {
            Case::new(format!("{way}-{name}"), "frame size", line, at).opened("udp", out.clone())
        };
        cases.push(case("out", OUT));
        cases.push(case("in", IN).measured(ways::back(sizes, Tunnel::Udp, false)));
    }
    cases
}

fn services() -> Vec<Case> {
    let case = |name: &str, at| Case::new(name, "service", "one worker", at);
    vec![
        case("service-route", "route").measured(ways::hop()).asked(35.0, 35.0),
        case("service-flow", "+ flow").opened("session", ways::session()),
        case("service-policy", "+ policy").opened("local", ways::local(false)),
        case("service-nat", "+ NAT").opened("translated", ways::translated()),
        case("service-encap", "policy + encapsulation").opened("tunnelled", ways::tunnelled(2)),
        case("service-route-encap", "route + encapsulation").measured(ways::tunnelled(5)),
    ]
}

fn families() -> Vec<Case> {
    let out = ways::out(2, Sizes::Smallest, Tunnel::Udp, true);
    let case = |name: &str, line| Case::new(name, "family", line, "IPv6").opened("udp6", out.clone());
    vec![
        case("out-v6-100k", OUT).asked(100.0, 125.0),
        case("in-v6-100k", IN).measured(ways::back(Sizes::Smallest, Tunnel::Udp, true)).asked(100.0, 125.0),
        Case::new("local-v6-100k", "family", LOCAL, "IPv6").opened("local6", ways::local(true)),
        case("out-v6-1m", OUT).of(1_000_000).asked(125.0, 156.0),
        case("in-v6-1m", IN)
            .measured(ways::back(Sizes::Smallest, Tunnel::Udp, true))
            .of(1_000_000)
            .asked(125.0, 156.0),
    ]
}

fn encapsulations() -> Vec<Case> {
    let mut cases = Vec::new();
    for (name, scene, at, tunnel) in
        [("gre", "gre", "MPLSoGRE", Tunnel::Gre), ("vxlan", "vxlan", "VXLAN", Tunnel::Vxlan)]
    {
        let out = ways::out(2, Sizes::Smallest, tunnel, false);
        let case = |way: &str, line| {
            Case::new(format!("{way}-{name}-100k"), "encapsulation", line, at).opened(scene, out.clone())
        };
        cases.push(case("out", OUT));
        cases.push(case("in", IN).measured(ways::back(Sizes::Smallest, tunnel, false)));
    }
    cases
}

/// The short way as compiled for each CPU that this one can be.
fn variants() -> Vec<Case> {
    let case = |variant: Variant| {
        let name = variant.name().replace(' ', "-");
        let out = ways::out(2, Sizes::Smallest, Tunnel::Udp, false);
        let case = |way: &str, line| {
            let mut case = Case::new(format!("{way}-{name}"), "variant", line, variant.name());
            case.variant = variant;
            case.opened("udp", out.clone())
        };
        [case("out", OUT), case("in", IN).measured(ways::back(Sizes::Smallest, Tunnel::Udp, false))]
    };
    Variant::available().flat_map(case).collect()
}

/// How full the index of the flow table is, with a million flows.
fn loads() -> Vec<Case> {
    let case = |(load, at): (u32, &str)| {
        let out = ways::out(2, Sizes::Smallest, Tunnel::Udp, false);
        let mut case = Case::new(format!("out-1m-load-{load}"), "table load", OUT, at).opened("udp", out);
        (case.flows, case.load) = (1_000_000, load);
        case
    };
    [(30, "30 %"), (60, "60 %"), (75, "75 %")].into_iter().map(case).collect()
}

/// Half a million sessions, none of which is there before.
fn news() -> Vec<Case> {
    let case = |name: &str, at: &str, rules, six| {
        let vm = if rules == 0 { 2 } else { 8 };
        let mut case = Case::new(name, "new flows", OUT, at).of(500_000).asked(520.0, 520.0);
        case.measured = ways::out(vm, Sizes::Smallest, Tunnel::Udp, six);
        (case.new, case.rules) = (true, rules);
        case
    };
    vec![
        case("new", "3 rules", 0, false),
        case("new-1k-rules", "1 k rules", 1_000, false),
        case("new-10k-rules", "10 k rules", 10_000, false),
        case("new-v6", "3 rules, IPv6", 0, true),
    ]
}

/// Small ones of which instructions are counted (`bench/instructions`).
fn counted() -> Vec<Case> {
    let mut cases = Vec::new();
    for (name, scene, tunnel, six) in [
        ("gre", "gre", Tunnel::Gre, false),
        ("vxlan", "vxlan", Tunnel::Vxlan, false),
        ("v6", "udp6", Tunnel::Udp, true),
    ] {
        let out = ways::out(2, Sizes::Smallest, tunnel, six);
        let case = |way: &str, line| {
            Case::new(format!("{way}-{name}"), "instructions", line, "1k")
                .opened(scene, out.clone())
                .of(1_000)
        };
        cases.push(case("out", OUT));
        cases.push(case("in", IN).measured(ways::back(Sizes::Smallest, tunnel, six)));
    }
    let case = |name: &str, way| Case::new(name, "instructions", OUT, "1k").of(1_000).measured(way);
    cases.push(Case::new("local", "instructions", LOCAL, "1k").opened("local", ways::local(false)).of(1_000));
    cases.push(case("hop", ways::hop()));
    cases.push(case("hop-tunnel", ways::tunnelled(5)));
    cases
}

/// All of them, with at most so many flows.
#[must_use]
pub fn all(most: u32) -> Vec<Case> {
    let parts =
        [flows(), sizes(), services(), families(), encapsulations(), variants(), loads(), news(), counted()];
    let mut cases = parts.concat();
    cases.retain(|case| case.flows <= most);
    cases
}
