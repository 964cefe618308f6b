//! `presence up`: a NATS server as a supervised child, the streams and the engine.

use std::path::PathBuf;

use super::CliError;
use super::announce::Announcement;
use super::global::Global;
use super::interrupt::Interrupts;
use super::run::serve;
use crate::nats::server::{EmbeddedServer, ServerError, ServerOptions};
use crate::nats::{ConnectOptions, Nats};

#[derive(clap::Args)]
pub(super) struct Args {
    /// Profile of sessions that name none; goes before `engine.profile` of the configuration
    #[arg(long, value_name = "NAME")]
    profile: Option<String>,
    /// Port of the NATS server, on 127.0.0.1; 0: any that is free
    #[arg(long, default_value_t = 4222, value_name = "PORT")]
    port: u16,
    /// Where the NATS server keeps its data
    #[arg(long, default_value = "data", value_name = "DIR")]
    data: PathBuf,
    /// The nats-server to start [default: the one in PATH if it is new enough, else .tools/bin/nats-server]
    #[arg(long, value_name = "FILE")]
    nats_server: Option<PathBuf>,
}

pub(super) async fn run(global: &Global, args: &Args) -> Result<(), CliError> {
    let config = global.config_with_profile(args.profile.as_deref())?;
    if global.server.is_some() || global.context.is_some() {
        tracing::warn!(
            "`presence up` starts a server of its own and uses no other; `presence run` uses one that is there"
        );
    }
    let interrupts = Interrupts::listen()?;
    let options = ServerOptions { binary: args.nats_server.clone(), data_dir: args.data.clone(), port: args.port };
    let mut server = tokio::select! {
        started = EmbeddedServer::start(options) => started.map_err(|error| refused(&error))?,
        () = interrupts.first() => return Ok(()),
    };
    let url = server.url().to_owned();
    let announcement = Announcement::new(global, &config)?.with_server(&url, &args.data);
    let engine = async {
        let options = ConnectOptions { url: Some(url), ..ConnectOptions::default() };
        let nats = Nats::connect(&options).await?;
        nats.check_server()?;
        serve(nats, &config, &interrupts, announcement).await
    };
    let ended = tokio::select! {
        ended = engine => ended,
        error = server.failed() => Err(refused(&error)),
    };
    server.stop().await;
    ended
}

fn refused(error: &ServerError) -> CliError {
    CliError::No(error.to_string())
}
