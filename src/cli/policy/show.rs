//! `presence policy show`.

use serde_json::{Value, json};

use super::keys::keys;
use super::partitions;
use crate::cli::CliError;
use crate::cli::global::{Global, Output};
use crate::cli::output;
use crate::runtime::in_force::{InForce, Source};
use crate::wire::policy;

#[derive(clap::Args)]
pub(in crate::cli) struct Args {}

pub(super) async fn run(global: &Global, _args: &Args) -> Result<(), CliError> {
    let nats = global.connect().await?;
    let partitions = partitions(&nats).await?;
    let in_force = InForce::read(&nats, partitions).await?;
    let hash = &in_force.hashes[0];
    let Some((found, source)) = &in_force.policy else {
        return Err(CliError::No(format!(
            "the policy in force ({hash}) is no longer in the log, and no checkpoint that this version reads has it; an \
             engine that runs leaves one within engine.checkpoint_every"
        )));
    };
    let others = in_force.others(hash);
    match global.output {
        Output::Text => {
            for (key, value) in keys(found) {
                output::line(&format!("{key:<38}  {}", output::printable(&value)))?;
            }
            let agreed = if others.is_empty() {
                format!("in all {partitions} partitions")
            } else {
                format!("in partition 0, another one in {} of {partitions}", others.len())
            };
            output::line(&format!("\nin force {agreed}; from {}", source_name(*source)))?;
        }
        Output::Json => {
            let payload: Value = serde_json::from_slice(&policy::encode(found)).expect("a policy is written as JSON");
            output::json(&json!({
                "policy": payload, "hash": hash, "source": source_name(*source), "partitions": partitions,
                "partitions_with_another": others,
            }))?;
        }
    }
    Ok(())
}

fn source_name(source: Source) -> String {
    match source {
        Source::BuiltIn => "the built-in policy".to_owned(),
        Source::Entry(seq) => format!("log entry {seq}"),
        Source::Checkpoint(seq) => format!("the checkpoint at log entry {seq}"),
    }
}
