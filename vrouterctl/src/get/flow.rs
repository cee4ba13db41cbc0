//! The flow table: what `flow -l` tells, two lines for each session.

use std::io::Write;

use agent_api::v1::{FlowEntry, FlowHalf, ListFlowsRequest};

use super::{GetArgs, print_values};
use crate::{ask, connect::Client, error::Error, output::Format, table::Grid, text};

const LEGEND: &str = "Action: F=forward, N=NAT, D=drop. \
NAT: S=source, D=destination, Ps=source port, Pd=destination port. \
A session has two lines: > the direction that opened it, < the reply";

pub(super) async fn run(client: &mut Client, args: &GetArgs, out: &mut dyn Write) -> Result<(), Error> {
    let request = ListFlowsRequest {
        interface: match &args.interface {
            Some(text) => Some(ask::interface_id(client, text).await?),
            None => None,
        },
        vrf: match &args.vrf {
            Some(text) => Some(ask::vrf_id(client, text).await?),
            None => None,
        },
        address: args.address.map(|address| address.to_string()).unwrap_or_default(),
        protocol: args.protocol.unwrap_or_default(),
        port: args.port.map(u32::from),
        limit: args.limit.unwrap_or_default(),
    };
    let stream = client.list_flows(request).await?.into_inner();
    let flows: Vec<_> = ask::gather(stream).await?.into_iter().flat_map(|response| response.flows).collect();
    if print_values(out, args.output.output, &flows)? {
        return Ok(());
    }
    table(&flows, args.output.output == Format::Wide, out)
}

fn table(flows: &[FlowEntry], wide: bool, out: &mut dyn Write) -> Result<(), Error> {
    let heads = [
        "INDEX>",
        "DIR",
        "PROTO",
        "SOURCE",
        "DESTINATION",
        "VRF>",
        "SCOPE",
        "ACTION",
        "NAT TO",
        "NH>",
        "LABEL>",
        "PACKETS>",
        "BYTES>",
        "TCP",
        "IDLE>",
        "+AGE>",
        "+ENTROPY PORT>",
        "+RULE",
    ];
    let mut grid = Grid::new(wide, &heads);
    for flow in flows {
        for (half, sign, first) in [(&flow.forward, ">", true), (&flow.reverse, "<", false)] {
            let Some(half) = half else { continue };
            let once = |text: String| if first { text } else { " ".to_owned() };
            grid.row([
                once(flow.index.to_string()),
                sign.into(),
                text::protocol(half.protocol),
                text::endpoint(&half.source, half.source_port),
                text::endpoint(&half.destination, half.destination_port),
                half.vrf.to_string(),
                half.scope.clone(),
                action(flow, half),
                translation(half),
                half.next_hop.to_string(),
                text::nonzero(half.label),
                half.packets.to_string(),
                half.bytes.to_string(),
                once(flow.tcp_state.clone()),
                once(text::age(flow.idle_ms)),
                once(text::age(flow.age_ms)),
                text::nonzero(half.entropy_port),
                once(flow.rule.clone()),
            ]);
        }
    }
    if wide {
        writeln!(out, "{LEGEND}")?;
    }
    grid.print(out, "No flows.")?;
    if !flows.is_empty() {
        writeln!(out, "{} sessions", flows.len())?;
    }
    Ok(())
}

fn action(flow: &FlowEntry, half: &FlowHalf) -> String {
    if flow.action == "drop" {
        return format!("D({})", flow.reason);
    }
    let translated = [
        ("S", !half.nat_source.is_empty() && half.nat_source != half.source),
        ("D", !half.nat_destination.is_empty() && half.nat_destination != half.destination),
        ("Ps", half.nat_source_port != 0 && half.nat_source_port != half.source_port),
        ("Pd", half.nat_destination_port != 0 && half.nat_destination_port != half.destination_port),
    ];
    let translated: Vec<_> = translated.into_iter().filter(|(_, set)| *set).map(|(sign, _)| sign).collect();
    if translated.is_empty() { "F".into() } else { format!("N({})", translated.join(",")) }
}

/// The translated ends: `10.40.0.3:80 → ` for the source, `→ 10.47.255.248:80` for the destination.
fn translation(half: &FlowHalf) -> String {
    let end = |address: &str, port: u32, old_address: &str, old_port: u32| {
        let new_address = if address.is_empty() { old_address } else { address };
        let new_port = if port == 0 { old_port } else { port };
        let same = new_address == old_address && new_port == old_port;
        (!same).then(|| text::endpoint(new_address, new_port))
    };
    let source = end(&half.nat_source, half.nat_source_port, &half.source, half.source_port);
    let destination =
        end(&half.nat_destination, half.nat_destination_port, &half.destination, half.destination_port);
    match (source, destination) {
        (None, None) => String::new(),
        (Some(source), None) => format!("src {source}"),
        (None, Some(destination)) => format!("dst {destination}"),
        (Some(source), Some(destination)) => format!("src {source} dst {destination}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn half() -> FlowHalf {
        FlowHalf {
            source: "10.0.0.1".into(),
            destination: "10.0.0.2".into(),
            source_port: 4000,
            destination_port: 80,
            ..FlowHalf::default()
        }
    }

    #[test]
    fn the_action_says_what_is_translated() {
        let flow = FlowEntry::default();
        assert_eq!((action(&flow, &half()), translation(&half())), ("F".into(), String::new()));
        let snat = FlowHalf { nat_source: "1.1.1.1".into(), ..half() };
        assert_eq!((action(&flow, &snat), translation(&snat)), ("N(S)".into(), "src 1.1.1.1:4000".into()));
        let both = FlowHalf {
            nat_destination: "2.2.2.2".into(),
            nat_destination_port: 8080,
            nat_source: "10.0.0.1".into(),
            nat_source_port: 5000,
            ..half()
        };
        assert_eq!(action(&flow, &both), "N(D,Ps,Pd)");
        assert_eq!(translation(&both), "src 10.0.0.1:5000 dst 2.2.2.2:8080");
        let denied = FlowEntry { action: "drop".into(), reason: "security_group".into(), ..flow };
        assert_eq!(action(&denied, &half()), "D(security_group)");
    }
}
