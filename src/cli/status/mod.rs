//! `presence status`: which engines take part, who owns what, how far each is, and what nobody watched.

mod gather;
mod text;
mod unseen;

use super::CliError;
use super::global::{Global, Output};
use super::{output, since};
use crate::nats::history::Since;
use gather::Overview;

#[derive(clap::Args)]
pub(super) struct Args {
    /// What nobody watched since then: a duration as 1h or 7d, a time as 2026-01-31T08:00:00Z, or all
    #[arg(long, default_value = "1h", value_name = "WHEN", value_parser = since::parse)]
    since: Since,
    /// A line for each partition
    #[arg(long)]
    partitions: bool,
}

/// Fails with exit code 1 where a partition has no engine that answers for it and is live.
pub(super) async fn run(global: &Global, args: &Args) -> Result<(), CliError> {
    let nats = global.connect().await?;
    let overview = Overview::gather(&nats, args.since).await?;
    match global.output {
        Output::Text => {
            for line in text::lines(&overview, args.partitions) {
                output::line(&line)?;
            }
        }
        Output::Json => output::json(&overview)?,
    }
    match overview.what_is_missing() {
        None => Ok(()),
        Some(missing) => Err(CliError::No(missing)),
    }
}
