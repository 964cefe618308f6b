//! `presence backtest`: what another policy would have told of the stored log.

mod table;

use std::sync::Arc;

use serde_json::json;

use super::CliError;
use super::global::{Global, Output};
use super::policy::keys::changes;
use super::{output, since};
use crate::nats::history::Since;
use crate::nats::topology;
use crate::runtime::backtest::Backtest;
use crate::runtime::backtest::measure::FLAP_MS;
use crate::runtime::in_force::InForce;

#[derive(clap::Args)]
pub(super) struct Args {
    /// How far back, at most as far as the log is kept: a duration as 10m, a time, or all
    #[arg(long, default_value = "all", value_name = "WHEN", value_parser = since::parse)]
    since: Since,
}

pub(super) async fn run(global: &Global, args: &Args) -> Result<(), CliError> {
    if !global.names_config() {
        return Err(CliError::Usage(
            "there is nothing to compare with: name another configuration by --config FILE or PRESENCE_CONFIG"
                .to_owned(),
        ));
    }
    let other = Arc::new(global.config()?.policy);
    let nats = global.connect().await?;
    let partitions = topology::partitions(&nats).await?.ok_or_else(nothing)?;
    let in_force = InForce::read(&nats, partitions).await?;
    let Some((stored, _)) = in_force.policy else {
        return Err(CliError::No(
            "the policy in force is neither in the log nor in a checkpoint that this version reads, so there is nothing to \
             compare with; an engine that runs leaves one within engine.checkpoint_every"
                .to_owned(),
        ));
    };
    let since = match args.since {
        // Nobody names a sequence of the other stream.
        Since::All | Since::Seq(_) => None,
        Since::Time(time) => Some(since::millis(time)),
    };
    let backtest = Backtest::run(&nats, partitions, since, &stored, &other).await?.ok_or_else(nothing)?;
    let changes = changes(&stored, &other);
    match global.output {
        Output::Text => output::line(&table::of(&backtest, &changes, &global.config_name()))?,
        Output::Json => {
            let Backtest { entries, from_ms, to_ms, policies, stored, other } = backtest;
            output::json(&json!({
                "entries": entries, "from_ms": from_ms, "to_ms": to_ms, "partitions": partitions, "policies": policies,
                "changes": changes, "flap_ms": FLAP_MS, "in_force": stored, "other": other,
            }))?;
        }
    }
    Ok(())
}

fn nothing() -> CliError {
    CliError::No(
        "the log holds no entry of that time: an engine writes one each second, `presence run` starts one".to_owned(),
    )
}
