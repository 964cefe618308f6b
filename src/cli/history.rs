//! `presence history`: what somebody was over time, or who was here at some time, from what was told.

use std::io::Write;
use std::time::{Duration, SystemTime};

use super::CliError;
use super::global::{Global, Output};
use super::{output, since};
use crate::model::{Millis, Token};
use crate::nats::Nats;
use crate::nats::history::Since;
use crate::runtime::history::{Reach, answer};
use crate::wire::AskError;
use crate::wire::ask::{HISTORY_PAGE_MAX, HistoryAnswer, HistoryQuestion, Segment, WasHere};

#[derive(clap::Args)]
pub(super) struct Args {
    /// What this user was, as plain text
    #[arg(value_name = "USER", required_unless_present = "at", conflicts_with = "at")]
    user: Option<String>,
    /// From when on: a duration as 1h or 7d, a time as 2026-01-31T08:00:00Z, or all [default: 1h before the end]
    #[arg(long, value_name = "WHEN", value_parser = since::parse, conflicts_with = "at")]
    since: Option<Since>,
    /// Until when, a duration ago or a time [default: now]
    #[arg(long, value_name = "WHEN", value_parser = since::moment, conflicts_with = "at")]
    until: Option<Millis>,
    /// Who was here at that time, a duration ago or a time
    #[arg(long, value_name = "WHEN", value_parser = since::moment)]
    at: Option<Millis>,
    /// With --at: who was in this room
    #[arg(long, value_name = "NAME", requires = "at", conflicts_with = "user")]
    room: Option<String>,
}

/// So far back where nobody says since when.
const SINCE_MS: Millis = 3_600_000;

/// Fails with exit code 1 where nothing is kept.
pub(super) async fn run(global: &Global, args: &Args) -> Result<(), CliError> {
    let tenant = global.tenant()?;
    let tenant = Token::parse(&tenant).map_err(|error| CliError::Usage(format!("tenant: {error}")))?;
    let question = question(args)?;
    let events_max = global.config()?.limits.history_events;
    let nats = global.connect().await?;
    let reach = Reach::find(&nats, events_max)
        .await?
        .ok_or_else(|| CliError::No("there is no log yet: `presence setup` or an engine creates it".to_owned()))?;
    tell(global, &nats, tenant, question, reach).await
}

fn question(args: &Args) -> Result<HistoryQuestion, CliError> {
    let limit = Some(HISTORY_PAGE_MAX as u64);
    let question = if args.at.is_some() {
        HistoryQuestion { at_ms: args.at, room: args.room.clone(), limit, ..HistoryQuestion::default() }
    } else {
        let to_ms = args.until.unwrap_or_else(|| since::millis(SystemTime::now()));
        let from_ms = match args.since {
            None => Some(to_ms.saturating_sub(SINCE_MS)),
            Some(Since::Time(time)) => Some(since::millis(time)),
            // Nobody names a sequence.
            Some(Since::All | Since::Seq(_)) => None,
        };
        if from_ms.is_some_and(|from_ms| from_ms > to_ms) {
            return Err(CliError::Usage("--since is after --until: nothing lies between them".to_owned()));
        }
        HistoryQuestion { user: args.user.clone(), from_ms, to_ms: Some(to_ms), limit, ..HistoryQuestion::default() }
    };
    question.check()?;
    Ok(question)
}

/// Tells page by page.
async fn tell(
    global: &Global,
    nats: &Nats,
    tenant: Token<'_>,
    mut question: HistoryQuestion,
    reach: Reach,
) -> Result<(), CliError> {
    let mut out = output::buffered();
    let mut is_told = false;
    loop {
        let now_ms = since::millis(SystemTime::now());
        let after = match answer(nats, tenant, &question, now_ms, reach).await? {
            HistoryAnswer::User(of) => {
                if of.kept_from_ms.is_none() {
                    return Err(nothing(&question, global.tenant_name()));
                }
                for segment in &of.segments {
                    write(&mut out, global.output, segment, text)?;
                }
                is_told |= !of.segments.is_empty();
                of.after
            }
            HistoryAnswer::Time(of) => {
                // Where all of that time is gone, what came next may still say who was there.
                if of.kept_from_ms.is_none() && of.users.is_empty() {
                    return Err(nothing(&question, global.tenant_name()));
                }
                for was in &of.users {
                    write(&mut out, global.output, was, who)?;
                }
                is_told |= !of.users.is_empty();
                of.after
            }
        };
        out.flush()?;
        match after {
            Some(after) => question.after = Some(after),
            None => break,
        }
    }
    if !is_told && global.output == Output::Text {
        output::line(if question.at_ms.is_some() { "nobody was here" } else { "the time has no length" })?;
    }
    Ok(())
}

fn write<T: serde::Serialize>(
    out: &mut impl Write,
    format: Output,
    one: &T,
    text: impl Fn(&T) -> String,
) -> Result<(), CliError> {
    let line = match format {
        Output::Text => text(one),
        Output::Json => serde_json::to_string(one).map_err(std::io::Error::other)?,
    };
    Ok(writeln!(out, "{line}")?)
}

/// From when on, how long, what, and why.
fn text(of: &Segment) -> String {
    let length = humantime::format_duration(Duration::from_millis(of.to_ms - of.from_ms)).to_string();
    let watched = if of.observed { "" } else { "nobody watched" };
    let cause = output::printable(of.cause.as_deref().unwrap_or_default());
    let line = format!("{}  {length:<20}  {:<7}  {cause:<12}  {watched}", output::time(of.from_ms), of.state.as_str());
    line.trim_end().to_owned()
}

fn who(of: &WasHere) -> String {
    let since =
        of.since_ms.map_or_else(|| "since before what is kept".to_owned(), |at| format!("since {}", output::time(at)));
    format!("{:<20}  {:<7}  {since}", output::printable(&of.user), of.state.as_str())
}

fn nothing(question: &HistoryQuestion, tenant: &str) -> CliError {
    let tenant = output::printable(tenant);
    CliError::No(match (&question.user, question.at_ms) {
        (Some(user), _) => format!(
            "nothing is kept of {} in the tenant {tenant}: check the name, and engine.event_retention",
            output::printable(user)
        ),
        (None, at) => format!(
            "nothing is kept of the tenant {tenant} at {}: check its name, and engine.event_retention",
            output::time(at.unwrap_or(0))
        ),
    })
}

impl From<AskError> for CliError {
    fn from(error: AskError) -> Self {
        let message = error.to_string();
        match error {
            AskError::Malformed(_) | AskError::TooLarge { .. } => Self::Usage(message),
            AskError::UnknownTenant(_) | AskError::TooMany { .. } | AskError::TooManyEvents(_) => Self::No(message),
            AskError::Unavailable(_) => Self::Unreachable(message),
        }
    }
}
