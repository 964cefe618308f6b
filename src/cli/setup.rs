//! `presence setup`: create or check the streams and buckets.

use serde_json::{Value, json};

use super::CliError;
use super::global::{Global, Output};
use super::output;
use crate::config::{Config, Storage};
use crate::nats::topology::{self, Difference, Parameters, Remedy, TopologyError};

#[derive(clap::Args)]
pub(super) struct Args {
    /// Only tell what would be done; exit code 1 if something that is there stands in the way
    #[arg(long)]
    dry_run: bool,
}

pub(super) async fn run(global: &Global, args: &Args) -> Result<(), CliError> {
    let parameters = parameters(&global.config()?);
    let nats = global.connect().await?;
    let (differences, refused) = if args.dry_run {
        let differences = topology::plan(&nats, &parameters).await?;
        let refused = differences.iter().any(|difference| matches!(difference.remedy, Remedy::Refuse(_)));
        (differences, refused)
    } else {
        match topology::setup(&nats, &parameters).await {
            Ok(done) => (done, false),
            Err(TopologyError::Refused(differences)) => (differences, true),
            Err(error @ (TopologyError::Server { .. } | TopologyError::NotReady { .. })) => return Err(error.into()),
        }
    };
    for difference in &differences {
        match global.output {
            Output::Text => output::line(&difference.to_string())?,
            Output::Json => output::json(&value(difference))?,
        }
    }
    if refused {
        return Err(CliError::No(
            "what is there differs in something that can't be changed without losing it; nothing was done".into(),
        ));
    }
    if global.output == Output::Text {
        output::line(match (args.dry_run, differences.is_empty()) {
            (_, true) => "streams and buckets are as they should be",
            (true, false) => "nothing was done; without --dry-run this would be",
            (false, false) => "streams and buckets are set up",
        })?;
    }
    Ok(())
}

fn value(difference: &Difference) -> Value {
    let Difference { stream, field, found, wanted, remedy } = difference;
    let (remedy, why) = match remedy {
        Remedy::Create => ("create", None),
        Remedy::Update => ("update", None),
        Remedy::Refuse(why) => ("refuse", Some(why)),
    };
    json!({ "stream": stream, "field": field, "found": found, "wanted": wanted, "remedy": remedy, "why": why })
}

/// What the streams have to be under `config`.
pub(super) fn parameters(config: &Config) -> Parameters {
    let engine = &config.engine;
    Parameters {
        partitions: engine.partitions,
        replicas: engine.replicas,
        storage: match engine.storage {
            Storage::File => topology::Storage::File,
            Storage::Memory => topology::Storage::Memory,
        },
        log_retention: engine.log_retention,
        event_retention: engine.event_retention,
        ..Parameters::default()
    }
}
