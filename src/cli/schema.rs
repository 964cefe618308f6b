//! `presence schema`: print or write the JSON Schemas of the contract.

use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use super::CliError;
use super::global::{Global, Output};
use super::output;
use crate::wire::schema;

#[derive(clap::Args)]
pub(super) struct Args {
    /// Print this one; without a name: list the names, or all of them with -o json
    #[arg(value_name = "NAME", conflicts_with = "write")]
    name: Option<String>,
    /// Write every one into this folder
    #[arg(long, value_name = "DIR")]
    write: Option<PathBuf>,
}

pub(super) fn run(global: &Global, args: &Args) -> Result<(), CliError> {
    let all = schema::all();
    match (&args.write, &args.name) {
        (Some(folder), _) => write(folder, &all),
        (None, Some(name)) => print(name, &all),
        (None, None) => list(global.output, &all),
    }
}

fn write(folder: &Path, all: &[(&str, String)]) -> Result<(), CliError> {
    let failed = |path: &Path, error: std::io::Error| {
        CliError::No(format!("{} can't be written: {error}; name another folder", path.display()))
    };
    std::fs::create_dir_all(folder).map_err(|error| failed(folder, error))?;
    for (file, text) in all {
        let path = folder.join(file);
        std::fs::write(&path, text).map_err(|error| failed(&path, error))?;
    }
    Ok(())
}

fn print(name: &str, all: &[(&str, String)]) -> Result<(), CliError> {
    match all.iter().find(|(file, _)| *file == name || short(file) == name) {
        Some((_, text)) => Ok(output::line(text.trim_end())?),
        None => {
            let names: Vec<_> = all.iter().map(|(file, _)| short(file)).collect();
            Err(CliError::Usage(format!("there is no schema \"{name}\"; there are {}", names.join(", "))))
        }
    }
}

fn list(format: Output, all: &[(&str, String)]) -> Result<(), CliError> {
    match format {
        Output::Text => {
            for (file, _) in all {
                output::line(short(file))?;
            }
        }
        Output::Json => {
            let schemas: Map<_, _> = all
                .iter()
                .map(|(file, text)| (short(file).to_owned(), serde_json::from_str(text).unwrap_or(Value::Null)))
                .collect();
            output::json(&schemas)?;
        }
    }
    Ok(())
}

/// `signal` for `signal.schema.json`.
fn short(file: &str) -> &str {
    file.split('.').next().unwrap_or(file)
}
