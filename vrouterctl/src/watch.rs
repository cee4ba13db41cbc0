//! `watch`: a line for everything that happens.

use std::io::Write;

use agent_api::{
    v1::{WatchEvent, WatchRequest, watch_event},
    yaml,
};
use clap::{Args, ValueEnum};
use tokio_stream::StreamExt as _;

use crate::{
    connect::Client,
    error::Error,
    get::neighbour_state,
    output::{self, Format, OutputArgs},
    text,
};

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Topic {
    /// Objects that a controller put or deleted
    Objects,
    /// Interfaces going up and down
    Interfaces,
    /// Neighbours found and lost
    #[value(alias = "neighbors")]
    Neighbours,
    /// Sessions that begin and end
    Flows,
    /// Sessions that a rule with `log` decided
    PolicyLog,
}

#[derive(Debug, Args)]
pub(crate) struct WatchArgs {
    /// What to watch; left out: all but flows
    #[arg(value_enum)]
    topics: Vec<Topic>,
    /// End after so many events
    #[arg(short = 'n', long, value_name = "N")]
    count: Option<usize>,
    #[command(flatten)]
    output: OutputArgs,
}

/// A stream without end that ended before all that was asked for had come: the vRouter went away.
pub(crate) fn ended(missing: Option<usize>) -> Result<(), Error> {
    match missing {
        Some(0) => Ok(()),
        _ => Err(Error::Connect("the vRouter ended the stream".into())),
    }
}

/// Prints events until the vRouter or the reader goes away.
pub(crate) async fn run(client: &mut Client, args: &WatchArgs, out: &mut dyn Write) -> Result<(), Error> {
    let wants = |topic| args.topics.contains(&topic);
    let request = WatchRequest {
        objects: wants(Topic::Objects),
        interfaces: wants(Topic::Interfaces),
        neighbours: wants(Topic::Neighbours),
        flows: wants(Topic::Flows),
        policy_log: wants(Topic::PolicyLog),
    };
    let events = client.watch(request).await?.into_inner();
    let mut missing = args.count;
    let mut events = events.take(args.count.unwrap_or(usize::MAX));
    while let Some(event) = events.next().await {
        let event = event?;
        match args.output.output {
            Format::Json => output::json_line(out, &yaml::value_of(&event))?,
            Format::Yaml => {
                writeln!(out, "---")?;
                output::yaml(out, &yaml::value_of(&event))?;
            }
            Format::Table | Format::Wide => writeln!(out, "{}  {}", text::time(event.time_ns), line(&event))?,
        }
        out.flush()?;
        missing = missing.map(|missing| missing.saturating_sub(1));
    }
    ended(missing)
}

fn line(event: &WatchEvent) -> String {
    match &event.event {
        None => "an event of a kind that this version does not know".into(),
        Some(watch_event::Event::Object(change)) => {
            let key = change.key.clone().unwrap_or_default();
            let what = if change.deleted { "deleted" } else { "changed" };
            format!("{key} {what} by {} in generation {}", change.owner, change.generation)
        }
        Some(watch_event::Event::Interface(change)) => {
            let state = if change.up { "up" } else { "down" };
            let reason =
                if change.reason.is_empty() { String::new() } else { format!(": {}", change.reason) };
            format!("interface {} {} {state}{reason}", change.interface, change.name)
        }
        Some(watch_event::Event::Neighbour(neighbour)) => {
            let mac = if neighbour.mac.is_empty() { String::new() } else { format!(" {}", neighbour.mac) };
            let state = neighbour_state(neighbour.state());
            format!("neighbour {} on interface {}{mac} {state}", neighbour.address, neighbour.interface)
        }
        Some(watch_event::Event::Flow(event)) => {
            let flow = event.flow.clone().unwrap_or_default();
            let half = flow.forward.unwrap_or_default();
            let state = if event.ended { "ended" } else { "began" };
            let mut line = format!(
                "flow {} {} → {} {state}, {}",
                text::protocol(half.protocol),
                text::endpoint(&half.source, half.source_port),
                text::endpoint(&half.destination, half.destination_port),
                flow.action
            );
            for detail in [&flow.reason, &flow.rule].into_iter().filter(|detail| !detail.is_empty()) {
                line += &format!(", {detail}");
            }
            if event.logged {
                line += ", logged";
            }
            if event.ended {
                let reverse = flow.reverse.unwrap_or_default();
                line += &format!(
                    ", {} packets {} bytes out, {} packets {} bytes back",
                    half.packets, half.bytes, reverse.packets, reverse.bytes
                );
            }
            line
        }
        Some(watch_event::Event::Overrun(overrun)) => {
            format!("{} events were lost: this watcher was too slow", overrun.lost)
        }
    }
}
