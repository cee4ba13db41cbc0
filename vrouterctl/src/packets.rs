//! `packet-in` and `packet-out`: packets that a controller takes and sends.

use std::io::Write;

use agent_api::{
    v1::{PacketInRequest, PacketOutMessage},
    yaml,
};
use clap::{ArgGroup, Args};
use tokio_stream::StreamExt as _;

use crate::{
    ask,
    connect::Client,
    error::Error,
    frame::{self, CapturedFrame},
    output::{self, Format, OutputArgs},
    summary::summary,
    text, watch,
};

#[derive(Debug, Args)]
pub(crate) struct PacketInArgs {
    /// Only packets punted in these classes; left out: all
    #[arg(long = "class", value_name = "CLASS")]
    classes: Vec<String>,
    /// End after so many packets
    #[arg(short = 'n', long, value_name = "N")]
    count: Option<usize>,
    #[command(flatten)]
    output: OutputArgs,
}

#[derive(Debug, Args)]
#[command(group = ArgGroup::new("packet").required(true).args(["hex", "pcap"]))]
pub(crate) struct PacketOutArgs {
    /// The interface (number or name)
    #[arg(short, long)]
    interface: String,
    /// A whole Ethernet frame in hexadecimal
    #[arg(long, value_name = "BYTES")]
    hex: Option<String>,
    /// A frame of a capture file, counted from 1
    #[arg(long, value_name = "FILE#N")]
    pcap: Option<CapturedFrame>,
    /// Treat it as received on the interface instead of transmitting it there
    #[arg(long)]
    ingress: bool,
}

/// Prints punted packets until the vRouter or the reader goes away.
pub(crate) async fn packet_in(
    client: &mut Client,
    args: &PacketInArgs,
    out: &mut dyn Write,
) -> Result<(), Error> {
    let request = PacketInRequest { classes: args.classes.clone() };
    let packets = client.packet_in(request).await?.into_inner();
    let mut missing = args.count;
    let mut packets = packets.take(args.count.unwrap_or(usize::MAX));
    while let Some(packet) = packets.next().await {
        let packet = packet?;
        match args.output.output {
            Format::Json => output::json_line(out, &yaml::value_of(&packet))?,
            Format::Yaml => {
                writeln!(out, "---")?;
                output::yaml(out, &yaml::value_of(&packet))?;
            }
            format => {
                let (time, summary) = (text::time(packet.time_ns), summary(&packet.packet));
                writeln!(out, "{time}  {}  interface {}  {summary}", packet.class, packet.interface)?;
                if format == Format::Wide {
                    write!(out, "{}", frame::dump(&packet.packet))?;
                }
            }
        }
        out.flush()?;
        missing = missing.map(|missing| missing.saturating_sub(1));
    }
    watch::ended(missing)
}

/// Sends one packet.
pub(crate) async fn packet_out(
    client: &mut Client,
    args: &PacketOutArgs,
    out: &mut dyn Write,
) -> Result<(), Error> {
    let packet = match (&args.hex, &args.pcap) {
        (Some(hex), _) => frame::parse_hex(hex).map_err(|error| Error::Usage(format!("--hex: {error}")))?,
        (None, Some(captured)) => captured.read()?,
        (None, None) => return Err(Error::Usage("--hex or --pcap is needed".into())),
    };
    let interface = ask::interface_id(client, &args.interface).await?;
    let what = summary(&packet);
    let message = PacketOutMessage { interface, packet, ingress: args.ingress };
    let answer = client.packet_out(tokio_stream::once(message)).await?.into_inner();
    if answer.accepted == 0 {
        return Err(Error::Failed(format!("the vRouter refused the packet: {what}")));
    }
    let how = if args.ingress { "taken as received on" } else { "sent on" };
    Ok(writeln!(out, "{how} interface {}: {what}", args.interface)?)
}
