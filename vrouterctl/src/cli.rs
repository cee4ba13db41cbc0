//! The command line.

use std::io::Write;

use agent_api::v1::GetVersionRequest;
use clap::{CommandFactory as _, Parser, Subcommand};
use clap_complete::Shell;

use crate::{
    connect::{Client, Connection},
    drops,
    error::Error,
    explain, get, packets, watch, write,
};

/// Programs and inspects one vRouter.
///
/// Exit codes: 0 done, 1 refused or failed, 2 wrong usage, 3 no connection.
#[derive(Debug, Parser)]
#[command(name = "vrouterctl", version, max_term_width = 100)]
pub(crate) struct Cli {
    #[command(flatten)]
    connection: Connection,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Show objects, flows, counters, workers and neighbours
    Get(get::GetArgs),
    /// Put the objects of YAML files
    Apply(write::ApplyArgs),
    /// Delete objects, by file or by key
    #[command(override_usage = "vrouterctl delete -f FILE...\n       vrouterctl delete KIND KEY...")]
    Delete(write::DeleteArgs),
    /// Put the objects of YAML files and delete what else we own
    Sync(write::SyncArgs),
    /// Tell what would happen to a packet, stage by stage, changing nothing
    Explain(explain::ExplainArgs),
    /// Print what changes, as it changes
    Watch(watch::WatchArgs),
    /// Show the last dropped packets and why they were dropped
    Drops(drops::DropsArgs),
    /// Print packets that the vRouter hands to its controller
    PacketIn(packets::PacketInArgs),
    /// Send a packet through the vRouter
    PacketOut(packets::PacketOutArgs),
    /// Print our version and the vRouter's
    Version,
    /// Print a completion script for a shell
    Completion {
        /// The shell
        #[arg(value_enum)]
        shell: Shell,
    },
}

/// Does what the command line says.
pub(crate) async fn run(cli: &Cli, out: &mut dyn Write) -> Result<(), Error> {
    if let Command::Completion { shell } = &cli.command {
        return completion(*shell, out);
    }
    if matches!(cli.command, Command::Version) {
        writeln!(out, "vrouterctl {} ({})", env!("CARGO_PKG_VERSION"), agent_api::API)?;
        out.flush()?;
    }
    let mut client = cli.connection.open().await?;
    let client = &mut client;
    match &cli.command {
        Command::Get(args) => get::run(client, args, out).await,
        Command::Apply(args) => write::apply(client, args, out).await,
        Command::Delete(args) => write::delete(client, args, out).await,
        Command::Sync(args) => write::sync(client, args, out).await,
        Command::Explain(args) => explain::run(client, args, out).await,
        Command::Watch(args) => watch::run(client, args, out).await,
        Command::Drops(args) => drops::run(client, args, out).await,
        Command::PacketIn(args) => packets::packet_in(client, args, out).await,
        Command::PacketOut(args) => packets::packet_out(client, args, out).await,
        Command::Version => version(client, out).await,
        Command::Completion { .. } => Ok(()),
    }
}

async fn version(client: &mut Client, out: &mut dyn Write) -> Result<(), Error> {
    let answer = client.get_version(GetVersionRequest {}).await?.into_inner();
    let (version, api, dpdk) = (&answer.version, &answer.api, &answer.dpdk);
    writeln!(out, "vrouterd {version} ({api}), {dpdk}, generation {}", answer.generation)?;
    Ok(())
}

fn completion(shell: Shell, out: &mut dyn Write) -> Result<(), Error> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "vrouterctl", &mut script);
    Ok(out.write_all(&script)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
