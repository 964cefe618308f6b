//! `presence policy apply`.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use async_nats::Subscriber;
use futures::StreamExt;
use futures::stream::{SelectAll, select_all};
use serde_json::json;

use super::keys::{Change, changes, lines};
use super::partitions;
use crate::cli::CliError;
use crate::cli::global::{Global, Output};
use crate::cli::output::{self, printable};
use crate::model::{EngineWhat, Policy};
use crate::nats::Nats;
use crate::runtime::in_force::{InForce, hashes};
use crate::wire::{Named, ToldEvent, policy, subject};

#[derive(clap::Args)]
pub(in crate::cli) struct Args {
    /// A configuration; of it the policy counts
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// How long to wait until every partition is under it
    #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = humantime::parse_duration)]
    timeout: Duration,
}

/// What to keep in mind, since it undoes what was done.
const RESTARTS: &str = "an engine that starts with another configuration publishes its own policy again";

pub(super) async fn run(global: &Global, args: &Args) -> Result<(), CliError> {
    let wanted = Global::config_of(&args.file)?.policy;
    let nats = global.connect().await?;
    let partitions = partitions(&nats).await?;
    let in_force = InForce::read(&nats, partitions).await?;
    let mut waiting: BTreeSet<u16> = in_force.others(&policy::hash(&wanted)).into_iter().collect();
    let changed = in_force.policy.as_ref().map(|(before, _)| changes(before, &wanted));
    let told = Told { output: global.output, partitions, file: args.file.display().to_string(), changes: changed };
    if waiting.is_empty() {
        return told.unchanged();
    }
    let mut engines = subscribe(&nats).await?;
    let entry = publish(&nats, &wanted).await?;
    let heard = tokio::time::timeout(args.timeout, hear(&mut engines, entry, &mut waiting)).await;
    if let Ok(Some(refusal)) = heard {
        return Err(CliError::No(format!(
            "the engine refused the policy, which is log entry {entry}: {}; the one before stays in force. Apply it by the \
                 `presence` that the engine is of",
            printable(&refusal)
        )));
    }
    if !waiting.is_empty() {
        // A plain subscriber is told at most once; what was committed is certain.
        let hashes = hashes(&nats, partitions).await?;
        let hash = policy::hash(&wanted);
        waiting.retain(|number| hashes[usize::from(*number)] != hash);
    }
    told.applied(entry, &waiting, args.timeout)
}

/// To what engines tell of themselves, and of a policy that they refuse; heard from now on.
async fn subscribe(nats: &Nats) -> Result<SelectAll<Subscriber>, CliError> {
    let unreachable = |error: &dyn std::fmt::Display| CliError::Unreachable(format!("{error}; nothing was published"));
    let mut subscriptions = Vec::new();
    for subject in [format!("{}engine.*", subject::TOLD_PREFIX), subject::rejected(0)] {
        subscriptions.push(nats.client.subscribe(subject).await.map_err(|error| unreachable(&error))?);
    }
    nats.client.flush().await.map_err(|error| unreachable(&error))?;
    Ok(select_all(subscriptions))
}

/// Publishes the policy; the sequence of its entry in the log.
async fn publish(nats: &Nats, wanted: &Policy) -> Result<u64, CliError> {
    let payload = policy::encode(wanted);
    let stored = async {
        let acknowledged = nats.jetstream.publish(subject::POLICY, payload.into()).await?;
        acknowledged.await
    };
    let stored = stored.await.map_err(|error| {
        CliError::Unreachable(format!(
            "the policy was not acknowledged ({error}); it may be stored or not: apply it again, which does no harm"
        ))
    })?;
    Ok(stored.sequence)
}

/// Hears engines until all that are waited for have told that the policy of `entry` is in force, or until it is refused; then
/// says why.
async fn hear(engines: &mut SelectAll<Subscriber>, entry: u64, waiting: &mut BTreeSet<u16>) -> Option<String> {
    while !waiting.is_empty() {
        match ToldEvent::read(&engines.next().await?.payload) {
            Ok(ToldEvent::Engine(told)) if told.seq == entry && told.what == EngineWhat::Policy.name() => {
                waiting.remove(&told.partition);
            }
            Ok(ToldEvent::Rejected(told)) if told.seq == entry => return Some(told.reason.into_owned()),
            Ok(_) | Err(_) => {}
        }
    }
    None
}

/// What is told at the end.
struct Told {
    output: Output,
    partitions: u16,
    file: String,
    /// `None`: the policy before is no longer to be had.
    changes: Option<Vec<Change>>,
}

impl Told {
    fn unchanged(&self) -> Result<(), CliError> {
        let Self { partitions, .. } = self;
        match self.output {
            Output::Text => {
                output::line(&format!("nothing to change: this policy is in force in all {partitions} partitions"))?;
            }
            Output::Json => {
                output::json(&json!({ "applied": false, "partitions": partitions, "waiting": [], "changes": [] }))?;
            }
        }
        Ok(())
    }

    fn applied(&self, entry: u64, waiting: &BTreeSet<u16>, timeout: Duration) -> Result<(), CliError> {
        let Self { partitions, file, .. } = self;
        match self.output {
            Output::Text => {
                output::line(&self.changes())?;
                if waiting.is_empty() {
                    output::line(&format!("in force in all {partitions} partitions by log entry {entry}"))?;
                    output::line(&format!("{RESTARTS}: give engines {} by --config", printable(file)))?;
                }
            }
            Output::Json => output::json(&json!({
                "applied": waiting.is_empty(), "entry": entry, "partitions": partitions, "waiting": waiting,
                "changes": self.changes, "warning": RESTARTS,
            }))?,
        }
        if waiting.is_empty() {
            return Ok(());
        }
        Err(CliError::No(format!(
            "the policy is log entry {entry}, but {} of {partitions} partitions did not tell within {} that it is in force; \
             it is once an engine has read so far: see that one runs (`presence run`), and {RESTARTS}",
            waiting.len(),
            humantime::format_duration(timeout),
        )))
    }

    fn changes(&self) -> String {
        let Some(changes) = &self.changes else {
            return "the policy before is neither in the log nor in a checkpoint: what changes can't be told"
                .to_owned();
        };
        lines(changes)
    }
}
