//! `presence policy`: which policy is in force, and bringing another one into force.

mod apply;
pub(super) mod keys;
mod show;

use super::CliError;
use super::global::Global;
use crate::nats::{Nats, topology};

#[derive(clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(clap::Subcommand)]
enum Verb {
    /// Bring the policy of a configuration into force, live
    ///
    /// The policy is what a configuration says of profiles, readiness, capabilities, events and the fold's limits; the other
    /// keys are read by an engine when it starts. Every state is taken anew at the log time of the change, with cause
    /// `policy`.
    ///
    /// An engine whose own configuration says another policy publishes that one when it starts: give FILE to the engines too.
    Apply(apply::Args),
    /// Show the policy in force, by its keys
    Show(show::Args),
}

pub(super) async fn run(global: &Global, args: &Args) -> Result<(), CliError> {
    match &args.verb {
        Verb::Apply(args) => apply::run(global, args).await,
        Verb::Show(args) => show::run(global, args).await,
    }
}

/// How many partitions the log has, which has to be there.
async fn partitions(nats: &Nats) -> Result<u16, CliError> {
    let partitions = topology::partitions(nats).await?;
    partitions.ok_or_else(|| CliError::No("there is no log yet: `presence setup` or an engine creates it".to_owned()))
}
