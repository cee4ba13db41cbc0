//! `drops`: the last dropped packets, each with its reason.

use std::io::Write;

use agent_api::{v1::ListDropsRequest, yaml};
use clap::Args;

use crate::{
    ask,
    connect::Client,
    error::Error,
    frame,
    output::{self, Format, OutputArgs},
    summary::summary,
    table::Grid,
    text,
};

#[derive(Debug, Args)]
pub(crate) struct DropsArgs {
    /// Only packets dropped for this reason (see `get drop`)
    #[arg(long)]
    reason: Option<String>,
    /// Only packets of this interface (number or name)
    #[arg(long)]
    interface: Option<String>,
    #[command(flatten)]
    output: OutputArgs,
}

/// Prints the ring of samples, oldest first.
pub(crate) async fn run(client: &mut Client, args: &DropsArgs, out: &mut dyn Write) -> Result<(), Error> {
    let interface = match &args.interface {
        Some(text) => Some(ask::interface_id(client, text).await?),
        None => None,
    };
    let request = ListDropsRequest { reason: args.reason.clone().unwrap_or_default(), interface };
    let samples = ask::gather(client.list_drops(request).await?.into_inner()).await?;
    let values = || yaml::Value::Sequence(samples.iter().map(yaml::value_of).collect());
    let wide = match args.output.output {
        Format::Json => return output::json(out, &values()),
        Format::Yaml => return output::yaml(out, &values()),
        Format::Table => false,
        Format::Wide => true,
    };
    let names = ask::interface_names(client).await?;
    let mut grid =
        Grid::new(wide, &["TIME", "INTERFACE", "REASON", "RULE", "LENGTH>", "+WORKER>", "PACKET", "+BYTES"]);
    for sample in &samples {
        grid.row([
            text::time(sample.time_ns),
            match sample.interface {
                0 => String::new(),
                id => names.get(&id).cloned().unwrap_or_else(|| id.to_string()),
            },
            sample.reason.clone(),
            sample.rule.clone(),
            sample.length.to_string(),
            sample.worker.to_string(),
            summary(&sample.head),
            frame::hex(&sample.head),
        ]);
    }
    grid.print(out, "No dropped packet was sampled.")
}
