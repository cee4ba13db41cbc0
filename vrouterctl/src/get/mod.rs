//! `get`: what the vRouter has and how it fares.

mod drops;
mod floating_ip;
mod flow;
mod interface;
mod label;
mod link_local_service;
mod neighbour;
mod network_policy;
mod next_hop;
mod objects;
mod pinned_flow;
mod route;
mod security_group;
mod source_nat;
mod stat;
mod vrf;
mod worker;

use std::io::Write;

pub(crate) use self::neighbour::state as neighbour_state;

use clap::Args;

use crate::{
    connect::Client,
    error::Error,
    kinds::Resource,
    output::{self, Format, OutputArgs},
    text,
};
use agent_api::{v1::Kind, yaml};

#[derive(Debug, Args)]
pub(crate) struct GetArgs {
    /// What to show
    #[arg(value_enum, ignore_case = true)]
    resource: Resource,
    /// Only this one: its number, its name or address, or a route's prefix
    id: Option<String>,
    /// Only of this VRF (number or name)
    #[arg(long)]
    vrf: Option<String>,
    /// Only objects of this owner
    #[arg(long)]
    owner: Option<String>,
    /// Only of this interface (number or name)
    #[arg(long)]
    interface: Option<String>,
    /// Only flows with this address at either end
    #[arg(long)]
    address: Option<std::net::IpAddr>,
    /// Only flows of this protocol (tcp, udp, icmp, … or a number)
    #[arg(long, value_parser = text::parse_protocol)]
    protocol: Option<u32>,
    /// Only flows with this port at either end
    #[arg(long)]
    port: Option<u16>,
    /// At most so many flows
    #[arg(long)]
    limit: Option<u32>,
    #[command(flatten)]
    output: OutputArgs,
}

/// Shows what was asked for.
pub(crate) async fn run(client: &mut Client, args: &GetArgs, out: &mut dyn Write) -> Result<(), Error> {
    refuse_foreign_filters(args)?;
    match args.resource {
        Resource::Object(kind) => objects::run(client, &[kind], args, out).await,
        Resource::All => objects::run(client, &Kind::ALL, args, out).await,
        Resource::Flow => flow::run(client, args, out).await,
        Resource::Drop => drops::run(client, args, out).await,
        Resource::Stat => stat::run(client, args, out).await,
        Resource::Worker => worker::run(client, args, out).await,
        Resource::Neighbour => neighbour::run(client, args, out).await,
    }
}

/// A filter that this resource does not know must not be taken for one that matched nothing.
fn refuse_foreign_filters(args: &GetArgs) -> Result<(), Error> {
    let given = [
        ("an id", args.id.is_some()),
        ("--vrf", args.vrf.is_some()),
        ("--owner", args.owner.is_some()),
        ("--interface", args.interface.is_some()),
        ("--address", args.address.is_some()),
        ("--protocol", args.protocol.is_some()),
        ("--port", args.port.is_some()),
        ("--limit", args.limit.is_some()),
    ];
    let known: &[&str] = match args.resource {
        Resource::Object(Kind::Route | Kind::Interface | Kind::FloatingIp | Kind::SourceNat) => {
            &["an id", "--vrf", "--owner"]
        }
        Resource::Object(Kind::Flow) => &["--owner"],
        Resource::Object(_) => &["an id", "--owner"],
        Resource::All => &["--vrf", "--owner"],
        Resource::Flow => &["--vrf", "--interface", "--address", "--protocol", "--port", "--limit"],
        Resource::Drop => &["an id", "--interface"],
        Resource::Neighbour => &["--interface"],
        Resource::Stat | Resource::Worker => &[],
    };
    match given.iter().find(|(name, given)| *given && !known.contains(name)) {
        Some((name, _)) => {
            Err(Error::Usage(format!("{name} selects nothing here; see vrouterctl get --help")))
        }
        None => Ok(()),
    }
}

/// Prints values of the API as they are; whether the format asked for that.
fn print_values<M: prost::Message + prost::Name>(
    out: &mut dyn Write,
    format: Format,
    messages: &[M],
) -> Result<bool, Error> {
    let values = || yaml::Value::Sequence(messages.iter().map(yaml::value_of).collect());
    match format {
        Format::Json => output::json(out, &values()).map(|()| true),
        Format::Yaml => output::yaml(out, &values()).map(|()| true),
        Format::Table | Format::Wide => Ok(false),
    }
}
