//! `presence run`: the engine against a NATS that is there.

use super::CliError;
use super::announce::Announcement;
use super::global::Global;
use super::interrupt::Interrupts;
use super::setup::parameters;
use crate::config::Config;
use crate::nats::Nats;
use crate::nats::topology::{self, TopologyError};
use crate::runtime;

#[derive(clap::Args)]
pub(super) struct Args {
    /// Profile of sessions that name none; goes before `engine.profile` of the configuration
    #[arg(long, value_name = "NAME")]
    profile: Option<String>,
}

pub(super) async fn run(global: &Global, args: &Args) -> Result<(), CliError> {
    let config = global.config_with_profile(args.profile.as_deref())?;
    let announcement = Announcement::new(global, &config)?;
    let interrupts = Interrupts::listen()?;
    let nats = global.connect().await?;
    serve(nats, &config, &interrupts, announcement).await
}

/// Sees to the streams and runs the engine until the process is told to end.
pub(super) async fn serve(
    nats: Nats,
    config: &Config,
    interrupts: &Interrupts,
    announcement: Announcement,
) -> Result<(), CliError> {
    let parameters = parameters(config);
    tokio::select! {
        done = runtime::patiently("NATS is not ready", TopologyError::may_pass, async || {
            topology::setup(&nats, &parameters).await
        }) => {
            for difference in done? {
                tracing::info!("{difference}");
            }
        }
        () = interrupts.first() => return Ok(()),
    }
    let ended = tokio::select! {
        ended = runtime::run(&nats, config, interrupts.first(), || announcement.tell()) => {
            ended.map_err(CliError::from)
        }
        () = interrupts.second() => return Err(CliError::No(
            "interrupted twice: ended without a last commit and checkpoint; the next start takes up what they would have held"
                .into(),
        )),
    };
    // So that a server of our own, which is stopped next, is not taken for lost.
    if let Err(error) = nats.client.drain().await {
        tracing::debug!(%error, "the connection to NATS is closed already");
    }
    ended
}
