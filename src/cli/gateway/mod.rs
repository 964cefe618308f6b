//! `presence gateway`: plain signals of many connections go to the log in batches.

mod complaint;
mod feed;
mod lines;

use std::hash::{BuildHasher, Hasher, RandomState};
use std::time::Duration;

use async_nats::{Client, SubscribeError};
use futures::StreamExt;
use serde_json::json;
use tokio::time::{Instant, MissedTickBehavior, interval_at};

use self::complaint::Complaints;
use self::lines::Line;
use super::CliError;
use super::global::{Global, Output};
use super::interrupt::Interrupts;
use super::output;
use crate::client::{Error, Gateway, GatewayCounts, Gathering};

/// How often it tells what it has done.
const TELL_EVERY: Duration = Duration::from_secs(10);

#[derive(clap::Args)]
pub(super) struct Args {
    /// Take signals from this subject; its last three tokens are tenant, user and session
    #[arg(long, value_name = "SUBJECT", required_unless_present = "stdin", help_heading = "Where signals come from")]
    subject: Option<String>,
    /// The last two tokens are user and session, and the tenant is that of --tenant
    #[arg(long, requires = "subject", help_heading = "Where signals come from")]
    one_tenant: bool,
    /// Share the subject with other gateways of this queue group
    #[arg(long, value_name = "GROUP", requires = "subject", help_heading = "Where signals come from")]
    queue: Option<String>,
    /// Take signals from standard input, a JSON object a line: {"u":"ada","s":"tab-1","seq":5}, with "t" for another tenant
    #[arg(long, conflicts_with = "subject", help_heading = "Where signals come from")]
    stdin: bool,

    /// Its name, another one for each that runs [default: the host's name and something by chance]
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// Most signals of a batch, at most 10000
    #[arg(long, value_name = "N", default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    max_signals: u32,
    /// Largest batch in bytes, 16384 to 1048576; never more than the server's max_payload
    #[arg(long, value_name = "BYTES", default_value_t = 262_144, value_parser = clap::value_parser!(u32).range(16_384..=1_048_576))]
    max_bytes: u32,
    /// How long a signal waits for others, at most 1s
    #[arg(long, value_name = "DURATION", value_parser = every, default_value = "50ms")]
    every: Duration,
    /// Most signals that are held while the server is away; then the older ones of each session go first
    #[arg(long, value_name = "N", default_value_t = 100_000, value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    max_held: u32,
}

/// Carries signals until its input ends, or the process is told to end.
pub(super) async fn run(global: &Global, args: &Args) -> Result<(), CliError> {
    let interrupts = Interrupts::listen()?;
    global.tenant()?;
    let nats = global.connect().await?;
    let name = args.name.clone().unwrap_or_else(name_by_chance);
    let gathering = Gathering::named(&name)
        .signals_max(args.max_signals as usize)
        .bytes_max(args.max_bytes as usize)
        .every(args.every)
        .held_max(args.max_held as usize);
    let gateway = Gateway::start(nats.client.clone(), gathering)?;
    let mut complaints = Complaints::default();
    let carry = async {
        match &args.subject {
            Some(subject) => {
                let tenant = args.one_tenant.then(|| global.tenant_name());
                from_subject((&nats.client, subject, args.queue.as_deref()), tenant, &gateway, &mut complaints).await
            }
            None => from_lines(global.tenant_name(), &gateway, &mut complaints).await,
        }
    };
    let carried = tokio::select! {
        carried = carry => carried,
        ended = tell(global, &name, &gateway) => ended,
        () = interrupts.first() => Ok(()),
    };
    let refused = complaints.end();
    let closed = tokio::select! {
        closed = gateway.close() => closed,
        () = interrupts.second() => Err(Error::Unacknowledged("interrupted twice, with signals still held".to_owned())),
    };
    report(global, &name, closed?, Some(refused))?;
    carried
}

/// Takes what is published to a subject, of `tenant` where it is given. What is published while there is no connection, nobody
/// hears here.
async fn from_subject(
    (client, subject, queue): (&Client, &str, Option<&str>),
    tenant: Option<&str>,
    gateway: &Gateway,
    complaints: &mut Complaints,
) -> Result<(), CliError> {
    let heard = match queue {
        Some(group) => client.queue_subscribe(subject.to_owned(), group.to_owned()).await,
        None => client.subscribe(subject.to_owned()).await,
    };
    let mut heard = heard.map_err(|error: SubscribeError| {
        CliError::Usage(format!(
            "--subject {subject} can't be subscribed to: {error}; give one such as feed.presence.>"
        ))
    })?;
    // So that it is so once it is told.
    if let Err(error) = client.flush().await {
        tracing::debug!(%error, "the server has not confirmed the subscription yet");
    }
    tracing::info!("taking signals from {subject}");
    while let Some(message) = heard.next().await {
        let carried = match feed::names(&message.subject, tenant) {
            Ok([tenant, user, session]) => {
                gateway.hold(&tenant, &user, &session, &message.payload).await.map_err(|error| error.to_string())
            }
            Err(why) => Err(why),
        };
        if let Err(why) = carried {
            complaints.tell(&format!("a message on {}", output::printable(&message.subject)), &why);
        }
    }
    Err(CliError::Unreachable(format!("the subscription to {subject} has ended; start the gateway again")))
}

/// Takes lines of standard input to its end.
async fn from_lines(tenant: &str, gateway: &Gateway, complaints: &mut Complaints) -> Result<(), CliError> {
    let mut lines = lines::of_stdin();
    tracing::info!("taking signals from standard input");
    let mut number = 0_u64;
    while let Some(line) = lines.recv().await {
        number += 1;
        let line = line.map_err(|error| CliError::No(format!("standard input can't be read: {error}")))?;
        let said = match line {
            Line::Text(text) if text.trim_ascii().is_empty() => continue,
            Line::Text(text) => feed::line(&text, tenant),
            Line::TooLong => Err(lines::too_long()),
        };
        let carried = match said {
            Ok(feed::Said { tenant, user, session, payload }) => {
                gateway.hold(&tenant, &user, &session, &payload).await.map_err(|error| error.to_string())
            }
            Err(why) => Err(why),
        };
        if let Err(why) = carried {
            complaints.tell(&format!("line {number}"), &why);
        }
    }
    Ok(())
}

/// Tells what is done, again and again.
async fn tell(global: &Global, name: &str, gateway: &Gateway) -> Result<(), CliError> {
    let mut times = interval_at(Instant::now() + TELL_EVERY, TELL_EVERY);
    times.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut foreign = 0;
    loop {
        times.tick().await;
        let counts = gateway.counts();
        if let Some(why) = gateway.trouble() {
            tracing::warn!("the latest batch was not stored: {why}; it is sent again");
        }
        if counts.partitions == 0 {
            tracing::warn!("nobody answers presence.v1.info, which tells the log's partitions: start an engine");
        }
        if counts.foreign > foreign {
            tracing::warn!("somebody else publishes as the gateway {name:?}: give each that runs a --name of its own");
        }
        foreign = counts.foreign;
        report(global, name, counts, None)?;
    }
}

fn report(global: &Global, name: &str, counts: GatewayCounts, refused: Option<u64>) -> Result<(), CliError> {
    let GatewayCounts { taken, stored, dropped, held, batches, again, foreign, partitions } = counts;
    match global.output {
        Output::Text => {
            let refused = refused.map_or_else(String::new, |refused| format!(", {refused} left out as wrong"));
            tracing::info!(
                "{taken} signals taken, {stored} stored by {batches} batches ({again} sent again), {held} held, {dropped} dropped{refused}"
            );
        }
        Output::Json => output::json(&json!({
            "gateway": name, "taken": taken, "stored": stored, "dropped": dropped, "held": held, "batches": batches,
            "again": again, "foreign": foreign, "partitions": partitions, "refused": refused,
        }))?,
    }
    Ok(())
}

/// The host's name, and a number by chance: the standard library keys each of these anew.
fn name_by_chance() -> String {
    let host = rustix::system::uname();
    let host: String = host.nodename().to_string_lossy().chars().take(32).collect();
    format!("{host}-{:016x}", RandomState::new().build_hasher().finish())
}

fn every(text: &str) -> Result<Duration, String> {
    let every = humantime::parse_duration(text).map_err(|error| format!("{error}; write it as 50ms"))?;
    if every <= Duration::from_secs(1) { Ok(every) } else { Err("the longest is 1s".to_owned()) }
}
