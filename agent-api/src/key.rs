//! Keys: the name of one object, as a message and as text.
//!
//! The text forms are `vrf 1`, `interface 3`, `next_hop 5`, `route 1/10.0.0.0/24/local`, `mpls_label 40`, `vni 100`,
//! `security_group 7`, `network_policy 8`, `floating_ip 9`, `source_nat 2`, `link_local_service 1` and
//! `flow 3/egress/6/10.0.0.1:4000/10.0.0.2:80` (interface, direction,
//! protocol number, source, destination; IPv6 addresses in brackets).

use std::{
    fmt,
    net::{IpAddr, Ipv6Addr, SocketAddr},
};

use crate::v1::{Direction, Flow, Key, Kind, Object, RouteKey, key, object};

/// The key of an object, an empty one for an empty object.
///
/// A route without origin has a key without origin: the server puts the owner's name there.
#[must_use]
pub fn key_of(object: &Object) -> Key {
    let key = object.object.as_ref().map(|object| match object {
        object::Object::Vrf(vrf) => key::Key::Vrf(vrf.id),
        object::Object::Interface(interface) => key::Key::Interface(interface.id),
        object::Object::NextHop(next_hop) => key::Key::NextHop(next_hop.id),
        object::Object::Route(route) => key::Key::Route(RouteKey {
            vrf: route.vrf,
            prefix: route.prefix.clone(),
            origin: route.origin.clone(),
        }),
        object::Object::MplsLabel(label) => key::Key::MplsLabel(label.label),
        object::Object::Vni(vni) => key::Key::Vni(vni.vni),
        object::Object::SecurityGroup(group) => key::Key::SecurityGroup(group.id),
        object::Object::FloatingIp(floating) => key::Key::FloatingIp(floating.id),
        object::Object::SourceNat(nat) => key::Key::SourceNat(nat.id),
        object::Object::LinkLocalService(service) => key::Key::LinkLocalService(service.id),
        object::Object::Flow(flow) => key::Key::Flow(Flow { action: 0, ..flow.clone() }),
        object::Object::NetworkPolicy(policy) => key::Key::NetworkPolicy(policy.id),
    });
    Key { key }
}

/// The kind of object that a key names, `Kind::Unspecified` for an empty one.
#[must_use]
pub const fn kind_of_key(key: &Key) -> Kind {
    match &key.key {
        None => Kind::Unspecified,
        Some(key::Key::Vrf(_)) => Kind::Vrf,
        Some(key::Key::Interface(_)) => Kind::Interface,
        Some(key::Key::NextHop(_)) => Kind::NextHop,
        Some(key::Key::Route(_)) => Kind::Route,
        Some(key::Key::MplsLabel(_)) => Kind::MplsLabel,
        Some(key::Key::Vni(_)) => Kind::Vni,
        Some(key::Key::SecurityGroup(_)) => Kind::SecurityGroup,
        Some(key::Key::FloatingIp(_)) => Kind::FloatingIp,
        Some(key::Key::SourceNat(_)) => Kind::SourceNat,
        Some(key::Key::LinkLocalService(_)) => Kind::LinkLocalService,
        Some(key::Key::Flow(_)) => Kind::Flow,
        Some(key::Key::NetworkPolicy(_)) => Kind::NetworkPolicy,
    }
}

/// Why a text is no key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is no key of a {}: write {expected}", kind.name())]
pub struct KeyError {
    /// What was asked for.
    pub kind: Kind,
    /// What was written.
    pub text: String,
    /// The form that is taken.
    pub expected: &'static str,
}

impl Key {
    /// Reads the text that follows the kind's name in the text form of a key.
    ///
    /// # Errors
    /// The text does not have the form of that kind's keys. Whether the numbers are in range is for the
    /// server to say.
    pub fn parse(kind: Kind, text: &str) -> Result<Self, KeyError> {
        let number = || text.parse::<u32>().ok();
        let key = match kind {
            Kind::Unspecified => None,
            Kind::Vrf => number().map(key::Key::Vrf),
            Kind::Interface => number().map(key::Key::Interface),
            Kind::NextHop => number().map(key::Key::NextHop),
            Kind::Route => parse_route(text).map(key::Key::Route),
            Kind::MplsLabel => number().map(key::Key::MplsLabel),
            Kind::Vni => number().map(key::Key::Vni),
            Kind::SecurityGroup => number().map(key::Key::SecurityGroup),
            Kind::FloatingIp => number().map(key::Key::FloatingIp),
            Kind::SourceNat => number().map(key::Key::SourceNat),
            Kind::LinkLocalService => number().map(key::Key::LinkLocalService),
            Kind::Flow => parse_flow(text).map(key::Key::Flow),
            Kind::NetworkPolicy => number().map(key::Key::NetworkPolicy),
        };
        let expected = match kind {
            Kind::Unspecified => "the key of an object that has a kind",
            Kind::Route => "VRF/PREFIX/LENGTH or VRF/PREFIX/LENGTH/ORIGIN, as in 1/10.0.0.0/24",
            Kind::Flow => "INTERFACE/ingress|egress/PROTOCOL/SOURCE:PORT/DESTINATION:PORT",
            _ => "a number",
        };
        match key {
            Some(key) => Ok(Self { key: Some(key) }),
            None => Err(KeyError { kind, text: text.to_owned(), expected }),
        }
    }
}

fn parse_route(text: &str) -> Option<RouteKey> {
    let mut parts = text.splitn(4, '/');
    let vrf = parts.next()?.parse().ok()?;
    let address: IpAddr = parts.next()?.parse().ok()?;
    let length: u8 = parts.next()?.parse().ok()?;
    let origin = parts.next().unwrap_or_default().to_owned();
    Some(RouteKey { vrf, prefix: format!("{address}/{length}"), origin })
}

fn parse_flow(text: &str) -> Option<Flow> {
    let parts: Vec<_> = text.split('/').collect();
    let [interface, direction, protocol, source, destination] = parts.as_slice() else { return None };
    let direction = match *direction {
        "ingress" => Direction::Ingress,
        "egress" => Direction::Egress,
        _ => return None,
    };
    let source: SocketAddr = source.parse().ok()?;
    let destination: SocketAddr = destination.parse().ok()?;
    Some(Flow {
        interface: interface.parse().ok()?,
        direction: direction.into(),
        source: source.ip().to_string(),
        destination: destination.ip().to_string(),
        protocol: protocol.parse().ok()?,
        source_port: source.port().into(),
        destination_port: destination.port().into(),
        action: 0,
    })
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = kind_of_key(self).name();
        match &self.key {
            None => f.write_str(name),
            Some(
                key::Key::Vrf(id)
                | key::Key::Interface(id)
                | key::Key::NextHop(id)
                | key::Key::MplsLabel(id)
                | key::Key::Vni(id)
                | key::Key::SecurityGroup(id)
                | key::Key::FloatingIp(id)
                | key::Key::SourceNat(id)
                | key::Key::LinkLocalService(id)
                | key::Key::NetworkPolicy(id),
            ) => write!(f, "{name} {id}"),
            Some(key::Key::Route(route)) => {
                write!(f, "{name} {}/{}", route.vrf, route.prefix)?;
                if route.origin.is_empty() { Ok(()) } else { write!(f, "/{}", route.origin) }
            }
            Some(key::Key::Flow(flow)) => {
                let direction = match flow.direction() {
                    Direction::Ingress => "ingress",
                    Direction::Egress => "egress",
                    Direction::Unspecified => "unspecified",
                };
                write!(f, "{name} {}/{direction}/{}/", flow.interface, flow.protocol)?;
                write_end(f, &flow.source, flow.source_port)?;
                f.write_str("/")?;
                write_end(f, &flow.destination, flow.destination_port)
            }
        }
    }
}

fn write_end(f: &mut fmt::Formatter<'_>, address: &str, port: u32) -> fmt::Result {
    if address.parse::<Ipv6Addr>().is_ok() {
        write!(f, "[{address}]:{port}")
    } else {
        write!(f, "{address}:{port}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::v1::{FlowAction, Route, Vrf};

    fn round_trip(kind: Kind, text: &str) {
        let key = Key::parse(kind, text).unwrap();
        assert_eq!(kind_of_key(&key), kind);
        assert_eq!(key.to_string(), format!("{} {text}", kind.name()));
    }

    #[test]
    fn every_kind_of_key_reads_back_as_it_is_printed() {
        for kind in Kind::ALL {
            match kind {
                Kind::Route | Kind::Flow => {}
                _ => round_trip(kind, "17"),
            }
        }
        round_trip(Kind::Route, "1/10.0.0.0/24");
        round_trip(Kind::Route, "1/10.0.0.0/24/local");
        round_trip(Kind::Route, "0/2001:db8::/48/spiffe://cluster/agent");
        round_trip(Kind::Flow, "3/egress/6/10.0.0.1:4000/10.0.0.2:80");
        round_trip(Kind::Flow, "3/ingress/58/[2001:db8::1]:7/[2001:db8::2]:128");
    }

    #[test]
    fn a_text_of_another_form_is_refused_with_the_form_that_is_taken() {
        for (kind, text) in [
            (Kind::Vrf, "red"),
            (Kind::NextHop, "-1"),
            (Kind::Vni, "4294967296"),
            (Kind::Route, "10.0.0.0/24"),
            (Kind::Route, "1/10.0.0.0"),
            (Kind::Route, "1/10.0.0/24"),
            (Kind::Flow, "3/egress/6/10.0.0.1/10.0.0.2"),
            (Kind::Flow, "3/both/6/10.0.0.1:1/10.0.0.2:2"),
            (Kind::Flow, "3/egress/6/10.0.0.1:1/10.0.0.2:2/9"),
            (Kind::Unspecified, "1"),
        ] {
            let error = Key::parse(kind, text).unwrap_err();
            assert_eq!((error.kind, error.text.as_str()), (kind, text));
        }
        assert_eq!(
            Key::parse(Kind::Vrf, "red").unwrap_err().to_string(),
            r#""red" is no key of a vrf: write a number"#
        );
    }

    #[test]
    fn the_key_of_an_object_holds_its_key_fields_only() {
        let route = Object::from(Route {
            vrf: 1,
            prefix: "10.0.0.0/24".into(),
            origin: "local".into(),
            next_hop: 5,
            ..Route::default()
        });
        assert_eq!(key_of(&route).to_string(), "route 1/10.0.0.0/24/local");
        assert_eq!(
            key_of(&Object::from(Vrf { id: 3, name: "red".into(), ..Vrf::default() })).to_string(),
            "vrf 3"
        );

        let pinned = |action: FlowAction| {
            key_of(&Object::from(Flow {
                interface: 3,
                direction: Direction::Egress.into(),
                source: "10.0.0.1".into(),
                destination: "10.0.0.2".into(),
                action: action.into(),
                ..Flow::default()
            }))
        };
        assert_eq!(pinned(FlowAction::Forward), pinned(FlowAction::Deny));
        assert_eq!(key_of(&Object::default()), Key::default());
        assert_eq!(Key::default().to_string(), "nothing");
    }
}
