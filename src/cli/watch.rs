//! `presence watch`: follow transitions as they are told.

use async_nats::Message;
use futures::StreamExt;
use futures::stream::select_all;

use super::CliError;
use super::global::Global;
use super::interrupt::Interrupts;
use super::scope::{Beside, subjects};
use super::{output, show};

/// Most messages that are put in order together.
const TOGETHER_MAX: usize = 1_024;

/// What is told while nobody is connected is not shown; `presence replay` tells it.
#[derive(clap::Args)]
pub(super) struct Args {
    /// Only this user's, as plain text
    #[arg(value_name = "USER")]
    user: Option<String>,
    #[command(flatten)]
    beside: Beside,
}

pub(super) async fn run(global: &Global, args: &Args) -> Result<(), CliError> {
    let subjects = subjects(global, args.user.as_deref(), args.beside)?;
    let interrupts = Interrupts::listen()?;
    let nats = global.connect().await?;
    let mut subscriptions = Vec::new();
    for subject in &subjects {
        let subscription = nats.client.subscribe(subject.clone()).await;
        subscriptions.push(subscription.map_err(|error| CliError::Unreachable(format!("{subject}: {error}")))?);
    }
    // What the server has not seen yet would be told to nobody.
    nats.client.flush().await.map_err(|error| CliError::Unreachable(error.to_string()))?;
    output::note(&format!("watching {}, Ctrl-C ends it", subjects.join(" and ")));
    // Each subscription has a queue of its own: what is there already is put in order again.
    let mut told = select_all(subscriptions).ready_chunks(TOGETHER_MAX);
    loop {
        let messages = tokio::select! {
            messages = told.next() => messages,
            () = interrupts.first() => return Ok(()),
        };
        let Some(mut messages) = messages else {
            return Err(CliError::Unreachable("the connection to NATS was closed".into()));
        };
        messages.sort_by_key(stream_seq);
        for message in messages {
            match show::payload(&message.payload, global.output) {
                Ok(line) => output::line(&line)?,
                Err(error) => tracing::warn!("what was told on {} is no event: {error}", message.subject),
            }
        }
    }
}

/// Where the stream holds what is told; 0 where nothing says so.
fn stream_seq(message: &Message) -> u64 {
    let header = message.headers.as_ref().and_then(|headers| headers.get("Nats-Sequence"));
    header.and_then(|seq| seq.as_str().parse().ok()).unwrap_or_default()
}
