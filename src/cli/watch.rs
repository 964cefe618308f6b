//! `presence watch`: follow transitions as they are told.

use std::io::IsTerminal;

use futures::StreamExt;
use futures::stream::select_all;

use super::CliError;
use super::global::Global;
use super::interrupt::Interrupts;
use super::scope::subjects;
use super::{output, show};

/// What is told while nobody is connected is not shown; `presence replay` tells it.
#[derive(clap::Args)]
pub(super) struct Args {
    /// Only this user's, as plain text
    #[arg(value_name = "USER")]
    user: Option<String>,
    /// Sessions' transitions too
    #[arg(long)]
    sessions: bool,
}

pub(super) async fn run(global: &Global, args: &Args) -> Result<(), CliError> {
    let subjects = subjects(global, args.user.as_deref(), args.sessions)?;
    let interrupts = Interrupts::listen()?;
    let nats = global.connect().await?;
    let mut subscriptions = Vec::new();
    for subject in &subjects {
        let subscription = nats.client.subscribe(subject.clone()).await;
        subscriptions
            .push(subscription.map_err(|error| CliError::Unreachable(format!("{subject}: {error}")))?);
    }
    // What the server has not seen yet would be told to nobody.
    nats.client
        .flush()
        .await
        .map_err(|error| CliError::Unreachable(error.to_string()))?;
    if std::io::stderr().is_terminal() {
        tracing::info!("watching {}, Ctrl-C ends it", subjects.join(" and "));
    }
    let mut told = select_all(subscriptions);
    loop {
        let message = tokio::select! {
            message = told.next() => message,
            () = interrupts.first() => return Ok(()),
        };
        let Some(message) = message else {
            return Err(CliError::Unreachable("the connection to NATS was closed".into()));
        };
        match show::payload(&message.payload, global.output) {
            Ok(line) => output::line(&line)?,
            Err(error) => tracing::warn!("what was told on {} is no event: {error}", message.subject),
        }
    }
}
