//! Where packets go, in words: next hops and what labels and VNIs name.

use std::collections::HashMap;

use agent_api::v1::{Affinity, EcmpMember, Encapsulation, NextHop, Tunnel, next_hop};

use crate::{ask, connect::Client, error::Error};

/// What is needed to write a next hop as an operator would say it.
pub(crate) struct Places {
    pub(crate) interfaces: HashMap<u32, String>,
    pub(crate) vrfs: HashMap<u32, String>,
    pub(crate) next_hops: HashMap<u32, NextHop>,
}

impl Places {
    /// With everything.
    pub(crate) async fn ask(client: &mut Client) -> Result<Self, Error> {
        let next_hops = ask::next_hops(client).await?;
        Ok(Self { next_hops, ..Self::names(client).await? })
    }

    /// With names, where no next hop has to be written.
    pub(crate) async fn names(client: &mut Client) -> Result<Self, Error> {
        Ok(Self {
            interfaces: ask::interface_names(client).await?,
            vrfs: ask::vrf_names(client).await?,
            next_hops: HashMap::new(),
        })
    }

    /// An interface's name, or its number where it has none.
    pub(crate) fn interface(&self, id: u32) -> String {
        named(&self.interfaces, id)
    }

    /// A VRF's name, or its number where it has none.
    pub(crate) fn vrf(&self, id: u32) -> String {
        named(&self.vrfs, id)
    }

    /// A next hop by id, as text: `tunnel MPLSoUDP 10.1.0.194 label 32`.
    pub(crate) fn next_hop(&self, id: u32) -> String {
        match self.next_hops.get(&id) {
            Some(next_hop) => format!("{} {}", kind(next_hop), self.detail(next_hop)).trim_end().to_owned(),
            None if id == 0 => "discard".to_owned(),
            None => "unknown".to_owned(),
        }
    }

    /// A next hop without its type.
    pub(crate) fn detail(&self, next_hop: &NextHop) -> String {
        match &next_hop.kind {
            None
            | Some(next_hop::Kind::Discard(_) | next_hop::Kind::Reject(_) | next_hop::Kind::Receive(_)) => {
                String::new()
            }
            Some(next_hop::Kind::Resolve(resolve)) => self.interface(resolve.interface),
            Some(next_hop::Kind::Interface(to)) if to.address.is_empty() => self.interface(to.interface),
            Some(next_hop::Kind::Interface(to)) => format!("{} {}", self.interface(to.interface), to.address),
            Some(next_hop::Kind::Tunnel(to)) => tunnel(to),
            Some(next_hop::Kind::Ecmp(ecmp)) => {
                let mut words: Vec<_> = ecmp.members.iter().map(member).collect();
                words.extend((ecmp.affinity() == Affinity::ClientAddress).then(|| "by client".to_owned()));
                words.extend(ecmp.prefer_local.then(|| "local first".to_owned()));
                words.join(", ")
            }
            Some(next_hop::Kind::Vrf(to)) => self.vrf(to.vrf),
            Some(next_hop::Kind::SourceNat(of)) => of.source_nat.to_string(),
        }
    }
}

fn named(names: &HashMap<u32, String>, id: u32) -> String {
    names.get(&id).filter(|name| !name.is_empty()).cloned().unwrap_or_else(|| id.to_string())
}

/// The type of a next hop.
pub(crate) const fn kind(next_hop: &NextHop) -> &'static str {
    match &next_hop.kind {
        None => "none",
        Some(next_hop::Kind::Discard(_)) => "discard",
        Some(next_hop::Kind::Reject(_)) => "reject",
        Some(next_hop::Kind::Receive(_)) => "receive",
        Some(next_hop::Kind::Resolve(_)) => "resolve",
        Some(next_hop::Kind::Interface(_)) => "interface",
        Some(next_hop::Kind::Tunnel(_)) => "tunnel",
        Some(next_hop::Kind::Ecmp(_)) => "ecmp",
        Some(next_hop::Kind::Vrf(_)) => "vrf",
        Some(next_hop::Kind::SourceNat(_)) => "source-nat",
    }
}

fn tunnel(tunnel: &Tunnel) -> String {
    let (encapsulation, number) = match tunnel.encapsulation() {
        Encapsulation::Unspecified => ("?", "label"),
        Encapsulation::MplsOverUdp => ("MPLSoUDP", "label"),
        Encapsulation::MplsOverGre => ("MPLSoGRE", "label"),
        Encapsulation::Vxlan => ("VXLAN", "vni"),
    };
    let mut text = encapsulation.to_owned();
    if !tunnel.source.is_empty() {
        text += &format!(" {} →", tunnel.source);
    }
    text += &format!(" {}", tunnel.destination);
    if tunnel.label != 0 {
        text += &format!(" {number} {}", tunnel.label);
    }
    text
}

fn member(member: &EcmpMember) -> String {
    let label = if member.label == 0 { String::new() } else { format!(" label {}", member.label) };
    format!("{}{label} ×{}", member.next_hop, member.weight)
}

#[cfg(test)]
mod tests {
    use super::*;
    use agent_api::v1::{Discard, Ecmp, InterfaceNextHop, Receive, Reject, Resolve, VrfNextHop};

    fn places(kinds: Vec<next_hop::Kind>) -> Places {
        let next_hops = (1..).zip(kinds).map(|(id, kind)| (id, NextHop { id, kind: Some(kind), mtu: 0 }));
        Places {
            interfaces: [(2, "vm1".to_owned()), (3, String::new())].into(),
            vrfs: [(1, "red".to_owned())].into(),
            next_hops: next_hops.collect(),
        }
    }

    #[test]
    fn every_type_of_next_hop_is_written_with_what_matters_about_it() {
        let tunnel = |encapsulation: Encapsulation, source: &str, label| {
            next_hop::Kind::Tunnel(Tunnel {
                encapsulation: encapsulation.into(),
                destination: "10.1.0.194".into(),
                source: source.into(),
                label,
                ..Tunnel::default()
            })
        };
        let members = vec![
            EcmpMember { next_hop: 5, label: 40, weight: 3 },
            EcmpMember { next_hop: 4, label: 0, weight: 0 },
        ];
        let places = places(vec![
            next_hop::Kind::Discard(Discard {}),
            next_hop::Kind::Reject(Reject {}),
            next_hop::Kind::Receive(Receive {}),
            next_hop::Kind::Resolve(Resolve { interface: 9 }),
            next_hop::Kind::Interface(InterfaceNextHop { interface: 2, address: String::new() }),
            next_hop::Kind::Interface(InterfaceNextHop { interface: 3, address: "10.1.0.1".into() }),
            tunnel(Encapsulation::MplsOverUdp, "10.1.0.66", 32),
            tunnel(Encapsulation::Vxlan, "", 100),
            tunnel(Encapsulation::MplsOverGre, "", 0),
            next_hop::Kind::Ecmp(Ecmp { members, affinity: 1, prefer_local: true }),
            next_hop::Kind::Vrf(VrfNextHop { vrf: 1 }),
        ]);
        let texts: Vec<_> = (0..=12).map(|id| places.next_hop(id)).collect();
        assert_eq!(
            texts,
            [
                "discard",
                "discard",
                "reject",
                "receive",
                "resolve 9",
                "interface vm1",
                "interface 3 10.1.0.1",
                "tunnel MPLSoUDP 10.1.0.66 → 10.1.0.194 label 32",
                "tunnel VXLAN 10.1.0.194 vni 100",
                "tunnel MPLSoGRE 10.1.0.194",
                "ecmp 5 label 40 ×3, 4 ×0, by client, local first",
                "vrf red",
                "unknown",
            ]
        );
    }
}
