//! `presence route`: whom to ask, best first.

use std::time::Duration;

use clap::ValueEnum;
use serde_json::json;

use super::CliError;
use super::global::{Global, Output};
use super::output;
use super::output::{printable, time};
use crate::client::{Order, Presence, Route};

#[derive(clap::Args)]
pub(super) struct Args {
    /// Among these users, as plain text
    #[arg(value_name = "USER", required_unless_present = "room", conflicts_with = "room")]
    users: Vec<String>,
    /// Among the members of this room instead
    #[arg(long, value_name = "ROOM")]
    room: Option<String>,
    /// Ready for this capability, as audio; without it any ready state will do
    #[arg(long = "for", value_name = "CAPABILITY")]
    capability: Option<String>,
    /// At most so many, up to 64
    #[arg(long, value_name = "N", default_value = "8")]
    limit: u32,
    /// In which order
    #[arg(long, value_name = "ORDER", value_enum, default_value = "best")]
    order: ByOrder,
    /// Hold the first for so long, at most 30s: nobody else is told to ask it
    #[arg(long, value_name = "DURATION", value_parser = humantime::parse_duration)]
    reserve: Option<Duration>,
    /// Whose reservation it is; asked again by the same name it is the same person
    #[arg(long, value_name = "NAME", requires = "reserve")]
    id: Option<String>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum ByOrder {
    /// Best state, then confidence, then the least load, then the latest input
    Best,
    /// The earliest input first
    #[value(name = "longest_idle", alias = "longest-idle")]
    LongestIdle,
    /// The least load, then by chance
    Spread,
}

/// Fails with exit code 1 where nobody can be asked.
pub(super) async fn run(global: &Global, args: &Args) -> Result<(), CliError> {
    let nats = global.connect().await?;
    let presence = Presence::of(nats.client.clone(), global.tenant_name())?;
    let routed = presence.route(&question(args)).await?;
    let held = routed.reservation.as_ref().map(|held| (held.user().to_owned(), held.until_ms()));
    // It is the person's who asked: it ends by its time.
    if let Some(held) = routed.reservation {
        held.keep();
    }
    match global.output {
        Output::Text => {
            for of in &routed.routes {
                let reasons = of.reasons.iter().map(|reason| printable(reason)).collect::<Vec<_>>().join(", ");
                output::line(&format!("{:<20}  {reasons}", printable(&of.user)))?;
            }
            if let Some((user, until_ms)) = &held {
                output::line(&format!("{} is held until {}", printable(user), time(*until_ms)))?;
            }
        }
        Output::Json => {
            let routes = routed.routes.iter().map(|of| {
                json!({
                    "user": of.user, "state": of.state, "confidence_permille": of.confidence_permille,
                    "last_input_ms": of.last_input_ms, "load": of.load, "reasons": of.reasons,
                })
            });
            output::json(&json!({
                "routes": routes.collect::<Vec<_>>(),
                "reserved": held.map(|(user, until_ms)| json!({"user": user, "until_ms": until_ms})),
                "as_of_ms": routed.as_of_ms,
            }))?;
        }
    }
    if routed.routes.is_empty() {
        return Err(CliError::No("nobody can be asked now: `presence wait` waits for somebody".to_owned()));
    }
    Ok(())
}

fn question(args: &Args) -> Route {
    let order = match args.order {
        ByOrder::Best => Order::Best,
        ByOrder::LongestIdle => Order::LongestIdle,
        ByOrder::Spread => Order::Spread,
    };
    let mut route = match &args.room {
        Some(room) => Route::room(room),
        None => Route::candidates(&args.users),
    };
    route = route.limit(args.limit).order(order);
    if let Some(capability) = &args.capability {
        route = route.ready_for(capability);
    }
    if let Some(id) = &args.id {
        route = route.id(id);
    }
    if let Some(time) = args.reserve {
        route = route.reserve(time);
    }
    route
}
