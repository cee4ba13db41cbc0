//! What was measured, one line of JSON each: the raw output that tables and plots are made from.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use clap::Args;
use serde::{Deserialize, Serialize};

use crate::clock::median;

/// One figure, or something that was found out about the machine.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Record {
    /// The table that it belongs to.
    pub table: String,
    /// Its row.
    pub row: String,
    /// Its column, or how far along the axis of a plot.
    pub at: String,
    /// What the numbers count: "ticks", "M/s", "bytes" …
    pub unit: String,
    /// One number per run.
    pub runs: Vec<f64>,
    /// Each run divided by the base that was measured just before it.
    pub pairs: Vec<f64>,
    /// What the issue asks: to be reached, and to be accepted.
    pub asked: Option<(f64, f64)>,
    /// Whatever else belongs to it: what was subtracted, counts.
    pub extra: BTreeMap<String, f64>,
    /// Facts that are no numbers.
    pub text: String,
}

impl Record {
    /// A figure of so many runs.
    #[must_use]
    pub fn new(
        table: impl Into<String>,
        row: impl Into<String>,
        at: impl Into<String>,
        unit: &str,
        runs: Vec<f64>,
    ) -> Self {
        Self {
            table: table.into(),
            row: row.into(),
            at: at.into(),
            unit: unit.to_owned(),
            runs,
            ..Self::default()
        }
    }

    /// A fact.
    #[must_use]
    pub fn fact(table: &str, row: &str, text: impl Into<String>) -> Self {
        Self { table: table.to_owned(), row: row.to_owned(), text: text.into(), ..Self::default() }
    }

    /// With what is asked.
    #[must_use]
    pub const fn asked(mut self, reach: f64, accept: f64) -> Self {
        self.asked = Some((reach, accept));
        self
    }

    /// With another number that belongs to it.
    #[must_use]
    pub fn with(mut self, name: &str, value: f64) -> Self {
        self.extra.insert(name.to_owned(), value);
        self
    }

    /// The middle run.
    #[must_use]
    pub fn median(&self) -> f64 {
        median(&self.runs)
    }

    /// The least of the runs.
    #[must_use]
    pub fn least(&self) -> f64 {
        self.runs.iter().copied().fold(f64::INFINITY, f64::min)
    }

    /// The greatest of the runs.
    #[must_use]
    pub fn greatest(&self) -> f64 {
        self.runs.iter().copied().fold(f64::NEG_INFINITY, f64::max)
    }
}

/// Where records go: to a file, and to the screen.
#[derive(Debug)]
pub struct Recorder {
    file: Option<File>,
}

/// The file that a program appends its records to.
#[derive(Clone, Debug, Args)]
pub struct Raw {
    /// Append what was found out to this file
    #[arg(long)]
    pub raw: Option<PathBuf>,
}

impl Raw {
    /// Opens it.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn recorder(&self) -> Result<Recorder> {
        let open = |path: &PathBuf| {
            let file = OpenOptions::new().create(true).append(true).open(path);
            file.with_context(|| path.display().to_string())
        };
        Ok(Recorder { file: self.raw.as_ref().map(open).transpose()? })
    }
}

impl Recorder {
    /// Keeps a record.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn keep(&mut self, record: &Record) -> Result<()> {
        if record.runs.is_empty() {
            println!("{:<22} {:<34} {}", record.table, record.row, record.text);
        } else {
            let ratio = match median(&record.pairs) {
                ratio if ratio.is_nan() => String::new(),
                ratio => format!("  × {ratio:.2}"),
            };
            println!(
                "{:<22} {:<34} {:<12} {:>12.4} {} ({:.4} to {:.4}){ratio} {}",
                record.table,
                record.row,
                record.at,
                record.median(),
                record.unit,
                record.least(),
                record.greatest(),
                record.text
            );
        }
        if let Some(file) = &mut self.file {
            writeln!(file, "{}", serde_json::to_string(record)?)?;
        }
        Ok(())
    }
}

/// Reads all that was kept.
///
/// # Errors
/// The file cannot be read, or it is not what [`Recorder`] writes.
pub fn read(path: &Path) -> Result<Vec<Record>> {
    let text = std::fs::read_to_string(path).with_context(|| path.display().to_string())?;
    let lines = text.lines().filter(|line| !line.trim().is_empty());
    lines.map(|line| serde_json::from_str(line).with_context(|| line.to_owned())).collect()
}
