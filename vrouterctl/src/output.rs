//! The forms of output.

use std::io::Write;

use agent_api::yaml;
use clap::{Args, ValueEnum};

use crate::error::Error;

/// How to print.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// Aligned columns
    #[default]
    Table,
    /// More columns, and what the flags mean
    Wide,
    /// Everything the vRouter tells
    Json,
    /// Objects as `apply -f` takes them
    Yaml,
}

#[derive(Clone, Copy, Debug, Args)]
pub(crate) struct OutputArgs {
    /// How to print
    #[arg(short, long, value_enum, default_value_t)]
    pub(crate) output: Format,
}

/// A value as indented JSON.
pub(crate) fn json(out: &mut dyn Write, value: &yaml::Value) -> Result<(), Error> {
    let text = serde_json::to_string_pretty(value).map_err(unprintable)?;
    Ok(writeln!(out, "{text}")?)
}

/// A value as one line of JSON: for streams.
pub(crate) fn json_line(out: &mut dyn Write, value: &yaml::Value) -> Result<(), Error> {
    let text = serde_json::to_string(value).map_err(unprintable)?;
    Ok(writeln!(out, "{text}")?)
}

/// A value as a YAML document.
pub(crate) fn yaml(out: &mut dyn Write, value: &yaml::Value) -> Result<(), Error> {
    let text = serde_yaml_ng::to_string(value).map_err(unprintable)?;
    Ok(write!(out, "{text}")?)
}

fn unprintable(error: impl std::fmt::Display) -> Error {
    Error::Failed(format!("the answer cannot be printed: {error}"))
}
