//! The files that `apply`, `delete` and `sync` read.

use std::{
    fs,
    io::Read as _,
    path::{Path, PathBuf},
};

use agent_api::{v1::Object, yaml};

use crate::error::Error;

/// The endings of files that are read from a directory.
const ENDINGS: [&str; 3] = ["yaml", "yml", "json"];

/// The objects of all sources, in their order: files, directories (their files by name), `-` for standard input.
pub(crate) fn objects(sources: &[PathBuf]) -> Result<Vec<Object>, Error> {
    let mut objects = Vec::new();
    for source in sources {
        if source.as_os_str() == "-" {
            let mut text = String::new();
            std::io::stdin().read_to_string(&mut text).map_err(|error| failed(source, error))?;
            objects.extend(parse(source, &text)?);
        } else if source.is_dir() {
            for file in files_of(source)? {
                objects.extend(read(&file)?);
            }
        } else {
            objects.extend(read(source)?);
        }
    }
    Ok(objects)
}

fn files_of(directory: &Path) -> Result<Vec<PathBuf>, Error> {
    let entries = fs::read_dir(directory).map_err(|error| failed(directory, error))?;
    let mut files = Vec::new();
    for entry in entries {
        let path = entry.map_err(|error| failed(directory, error))?.path();
        let ending = path.extension().and_then(|ending| ending.to_str()).unwrap_or_default();
        if ENDINGS.contains(&ending) {
            files.push(path);
        }
    }
    if files.is_empty() {
        let message = format!("{}: no file ends in .{}", directory.display(), ENDINGS.join(", ."));
        return Err(Error::Failed(message));
    }
    files.sort();
    Ok(files)
}

fn read(path: &Path) -> Result<Vec<Object>, Error> {
    let text = fs::read_to_string(path).map_err(|error| failed(path, error))?;
    parse(path, &text)
}

fn parse(path: &Path, text: &str) -> Result<Vec<Object>, Error> {
    let name = if path.as_os_str() == "-" { "standard input".into() } else { path.to_string_lossy() };
    yaml::parse(text).map_err(|error| Error::Failed(format!("{name}: {error}")))
}

fn failed(path: &Path, error: std::io::Error) -> Error {
    Error::Failed(format!("{}: {error}", path.display()))
}
