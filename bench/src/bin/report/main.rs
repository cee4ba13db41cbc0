//! Makes tables and plots of what was recorded: `report RAW/ RESULTS.md PLOTS/`. In RESULTS.md, whatever stands between
//! `<!-- table NAME -->` (or `matrix` or `facts`) and `<!-- end -->` is written anew; the rest is left as it is.

mod plots;
mod tables;

use std::fs;
use std::path::PathBuf;

use anyhow::{Context as _, Result};
use bench::record;
use clap::Parser;

/// Tables and plots of what was recorded.
#[derive(Debug, Parser)]
struct Options {
    /// The directory of what was recorded.
    raw: PathBuf,
    /// The text with the tables.
    results: PathBuf,
    /// Where plots go.
    plots: PathBuf,
}

fn main() -> Result<()> {
    let options = Options::parse();
    let files = fs::read_dir(&options.raw).with_context(|| options.raw.display().to_string())?;
    let mut files = files.map(|file| Ok(file?.path())).collect::<Result<Vec<_>>>()?;
    files.retain(|file| file.extension().is_some_and(|extension| extension == "jsonl"));
    files.sort();
    let records: Vec<_> = files.iter().map(|file| record::read(file)).collect::<Result<_>>()?;
    let records = records.concat();
    let text = fs::read_to_string(&options.results).with_context(|| options.results.display().to_string())?;
    fs::write(&options.results, tables::fill(&text, &records)?)?;
    fs::create_dir_all(&options.plots)?;
    plots::draw(&options.plots, &records)
}
