//! `vrouterctl`, the operator's command line. It speaks the agent API and knows nothing else of the vRouter:
//! whatever it does, any controller can do.
#![deny(unsafe_code)]

mod ask;
mod batch;
mod cli;
mod connect;
mod describe;
mod drops;
mod error;
mod explain;
mod files;
mod frame;
mod get;
mod kinds;
mod output;
mod packets;
mod summary;
mod table;
mod text;
mod watch;
mod write;

use std::{
    io::{self, BufWriter, Write as _},
    process::ExitCode,
};

use clap::Parser as _;

use crate::{cli::Cli, error::Error};

fn main() -> ExitCode {
    let cli = Cli::parse();
    match run(&cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            if !matches!(error, Error::Pipe) {
                // Whether anybody reads this is not ours to care about.
                let _ = writeln!(io::stderr(), "vrouterctl: {error}");
            }
            ExitCode::from(error.exit_code())
        }
    }
}

fn run(cli: &Cli) -> Result<(), Error> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Error::Failed(format!("cannot start: {error}")))?;
    let mut out = BufWriter::new(io::stdout());
    let result = runtime.block_on(cli::run(cli, &mut out));
    // What was printed before a failure is part of the answer.
    let flushed = out.flush().map_err(Error::from);
    result.and(flushed)
}
