//! `explain`: what would happen to a packet, stage by stage.

use std::{io::Write, net::IpAddr};

use agent_api::{
    v1::{ExplainRequest, ExplainResponse, PacketSketch},
    yaml,
};
use clap::{ArgGroup, Args};

use crate::{
    ask,
    connect::Client,
    error::Error,
    frame::{self, CapturedFrame},
    output::{self, Format, OutputArgs},
    summary::summary,
    table::Grid,
    text,
};

#[derive(Debug, Args)]
#[command(group = ArgGroup::new("packet").required(true).args(["src", "hex", "pcap"]))]
pub(crate) struct ExplainArgs {
    /// Where the packet arrives (number or name)
    #[arg(short, long)]
    interface: String,
    /// Source address of a packet to sketch
    #[arg(long, value_name = "ADDRESS", requires = "dst")]
    src: Option<IpAddr>,
    /// Destination address
    #[arg(long, value_name = "ADDRESS", requires = "src")]
    dst: Option<IpAddr>,
    /// tcp, udp, icmp, icmp6, sctp or a number
    #[arg(long, value_parser = text::parse_protocol, default_value = "tcp", requires = "src")]
    proto: u32,
    /// Source port
    #[arg(long, value_name = "PORT", default_value_t = 0, requires = "src")]
    sport: u16,
    /// Destination port
    #[arg(long, value_name = "PORT", default_value_t = 0, requires = "src")]
    dport: u16,
    /// TCP flags as a number (RFC 9293); left out: SYN
    #[arg(long, value_name = "FLAGS", requires = "src")]
    tcp_flags: Option<u8>,
    /// ICMP type; left out: echo request
    #[arg(long, value_name = "TYPE", requires = "src")]
    icmp_type: Option<u8>,
    /// ICMP code
    #[arg(long, value_name = "CODE", default_value_t = 0, requires = "src")]
    icmp_code: u8,
    /// A whole Ethernet frame in hexadecimal
    #[arg(long, value_name = "BYTES", conflicts_with_all = ["src", "dst"])]
    hex: Option<String>,
    /// A frame of a capture file, counted from 1
    #[arg(long, value_name = "FILE#N", conflicts_with_all = ["src", "dst", "hex"])]
    pcap: Option<CapturedFrame>,
    #[command(flatten)]
    output: OutputArgs,
}

/// Asks and prints the stages.
pub(crate) async fn run(client: &mut Client, args: &ExplainArgs, out: &mut dyn Write) -> Result<(), Error> {
    let (packet, sketch) = packet(args)?;
    let interface = ask::interface_id(client, &args.interface).await?;
    let answer = client.explain(ExplainRequest { interface, packet, sketch }).await?.into_inner();
    match args.output.output {
        Format::Json => output::json(out, &yaml::value_of(&answer)),
        Format::Yaml => output::yaml(out, &yaml::value_of(&answer)),
        Format::Table => print(client, &answer, false, out).await,
        Format::Wide => print(client, &answer, true, out).await,
    }
}

fn packet(args: &ExplainArgs) -> Result<(Vec<u8>, Option<PacketSketch>), Error> {
    if let Some(hex) = &args.hex {
        let frame = frame::parse_hex(hex).map_err(|error| Error::Usage(format!("--hex: {error}")))?;
        return Ok((frame, None));
    }
    if let Some(captured) = &args.pcap {
        return Ok((captured.read()?, None));
    }
    let (Some(source), Some(destination)) = (args.src, args.dst) else {
        return Err(Error::Usage("--src and --dst, --hex or --pcap is needed".into()));
    };
    if source.is_ipv4() != destination.is_ipv4() {
        return Err(Error::Usage("--src and --dst are not of one family".into()));
    }
    let echo_request = if source.is_ipv4() { 8 } else { 128 };
    let sketch = PacketSketch {
        source: source.to_string(),
        destination: destination.to_string(),
        protocol: args.proto,
        source_port: args.sport.into(),
        destination_port: args.dport.into(),
        tcp_flags: args.tcp_flags.unwrap_or_default().into(),
        icmp_type: if matches!(args.proto, 1 | 58) {
            args.icmp_type.unwrap_or(echo_request).into()
        } else {
            0
        },
        icmp_code: args.icmp_code.into(),
    };
    Ok((Vec::new(), Some(sketch)))
}

async fn print(
    client: &mut Client,
    answer: &ExplainResponse,
    wide: bool,
    out: &mut dyn Write,
) -> Result<(), Error> {
    let mut grid = Grid::new(wide, &["STAGE", "WHAT HAPPENS"]);
    for step in &answer.steps {
        grid.row([step.stage.clone(), step.text.clone()]);
    }
    grid.print(out, "No stage was reached.")?;

    let mut verdict = format!("\nVerdict: {}", answer.verdict);
    if !answer.reason.is_empty() {
        verdict += &format!(" ({})", answer.reason);
    }
    if answer.interface != 0 {
        let names = ask::interface_names(client).await?;
        let id = answer.interface;
        match names.get(&id) {
            Some(name) => verdict += &format!(" on interface {id} {name}"),
            None => verdict += &format!(" on interface {id}"),
        }
    }
    writeln!(out, "{verdict}, as of generation {}", answer.generation)?;
    if !answer.packet.is_empty() {
        writeln!(out, "Leaves as: {}", summary(&answer.packet))?;
        if wide {
            write!(out, "{}", frame::dump(&answer.packet))?;
        }
    }
    Ok(())
}
