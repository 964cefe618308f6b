//! `presence wait`: until somebody is ready, instead of ringing.

use std::time::Duration;

use serde_json::json;

use super::CliError;
use super::global::{Global, Output};
use super::interrupt::Interrupts;
use super::output;
use super::output::{printable, time};
use crate::client::{Presence, Wait};

#[derive(clap::Args)]
pub(super) struct Args {
    /// These users, as plain text; all of them unless --need says otherwise
    #[arg(value_name = "USER", required_unless_present = "room", conflicts_with = "room")]
    users: Vec<String>,
    /// Members of this room instead; one of them unless --need says otherwise
    #[arg(long, value_name = "ROOM")]
    room: Option<String>,
    /// Ready for this capability, as audio; without it any ready state will do
    #[arg(long = "for", value_name = "CAPABILITY")]
    capability: Option<String>,
    /// So many of them
    #[arg(long, value_name = "N")]
    need: Option<u32>,
    /// Ready for so long already, at most 1m: a flicker does not count
    #[arg(long, value_name = "DURATION", value_parser = humantime::parse_duration)]
    hold: Option<Duration>,
    /// With this confidence at least, in thousandths; that of the policy where nothing is said
    #[arg(long, value_name = "PERMILLE", value_parser = clap::value_parser!(u16).range(0..=1000))]
    min_confidence: Option<u16>,
    /// Give up after so long
    #[arg(long, value_name = "DURATION", value_parser = humantime::parse_duration, default_value = "1m")]
    timeout: Duration,
}

/// Fails with exit code 1 where they are not ready in time.
pub(super) async fn run(global: &Global, args: &Args) -> Result<(), CliError> {
    let interrupts = Interrupts::listen()?;
    let nats = global.connect().await?;
    let presence = Presence::of(nats.client.clone(), global.tenant_name())?;
    let wait = question(args);
    let waited = tokio::select! {
        waited = presence.wait(&wait, args.timeout) => waited?,
        () = interrupts.first() => return Err(CliError::No("nobody is waited for any more".to_owned())),
    };
    match global.output {
        Output::Text => {
            for of in &waited.ready {
                output::line(&format!("{:<20}  ready since {}", printable(&of.user), time(of.since_ms)))?;
            }
            for of in &waited.missing {
                output::line(&format!("{:<20}  missing: {}", printable(&of.user), printable(&of.why)))?;
            }
        }
        Output::Json => {
            let ready = waited.ready.iter().map(
                |of| json!({"user": of.user, "since_ms": of.since_ms, "confidence_permille": of.confidence_permille}),
            );
            let missing = waited.missing.iter().map(|of| json!({"user": of.user, "why": of.why}));
            output::json(&json!({
                "status": if waited.is_ready() { "ready" } else { "pending" },
                "ready": ready.collect::<Vec<_>>(),
                "missing": missing.collect::<Vec<_>>(),
                "short": waited.short,
            }))?;
        }
    }
    if waited.is_ready() {
        return Ok(());
    }
    let within = humantime::format_duration(args.timeout);
    Err(CliError::No(format!("{} more would have been needed within {within}", waited.short)))
}

fn question(args: &Args) -> Wait {
    let mut wait = match &args.room {
        Some(room) => Wait::room(room),
        None => Wait::users(&args.users),
    };
    if let Some(capability) = &args.capability {
        wait = wait.ready_for(capability);
    }
    if let Some(need) = args.need {
        wait = wait.need(need);
    }
    if let Some(hold) = args.hold {
        wait = wait.hold(hold);
    }
    if let Some(permille) = args.min_confidence {
        wait = wait.min_confidence_permille(permille);
    }
    wait
}
