//! `presence replay`: transitions of the past, as they were told.

mod svg;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::CliError;
use super::global::{Global, Output};
use super::scope::{Beside, is_among, subjects};
use super::{output, show, since};
use crate::nats::history::{History, Since};
use crate::wire::ToldEvent;
use svg::{Drawing, USERS_MAX};

#[derive(clap::Args)]
pub(super) struct Args {
    /// How far back: a duration as 1h or 7d, a time as 2026-01-31T08:00:00Z, or all
    #[arg(long, default_value = "1h", value_name = "WHEN", value_parser = since::parse)]
    since: Since,
    /// Only this user's, as plain text
    #[arg(long, value_name = "NAME")]
    user: Option<String>,
    #[command(flatten)]
    beside: Beside,
    /// Draw the users' states as bars over time into this file, instead of telling them; at most 50 users
    #[arg(long, value_name = "FILE", conflicts_with_all = ["sessions", "ready", "rooms"])]
    svg: Option<PathBuf>,
}

pub(super) async fn run(global: &Global, args: &Args) -> Result<(), CliError> {
    let subjects = subjects(global, args.user.as_deref(), args.beside)?;
    let nats = global.connect().await?;
    // The server is slow to filter by a subject that matches many: a whole tenant's are picked here.
    let filters = if args.user.is_some() && args.svg.is_none() { subjects.clone() } else { Vec::new() };
    let history = History::open(&nats, filters, args.since).await?;
    match &args.svg {
        None => tell(global.output, history, &subjects).await,
        Some(file) => draw(global, args.since, history, subjects, file).await,
    }
}

async fn tell(format: Output, mut history: History, subjects: &[String]) -> Result<(), CliError> {
    let mut out = output::buffered();
    let mut nothing = true;
    while let Some(chunk) = history.next().await? {
        for stored in chunk {
            if !is_among(&stored.subject, subjects) {
                continue;
            }
            nothing = false;
            match show::payload(&stored.payload, format) {
                Ok(line) => writeln!(out, "{line}")?,
                Err(error) => tracing::warn!("sequence {} is no event: {error}", stored.seq),
            }
        }
        out.flush()?;
    }
    if nothing {
        output::note("nothing was told in that time; --since all goes back to the beginning");
    }
    Ok(())
}

async fn draw(
    global: &Global,
    since: Since,
    mut history: History,
    mut subjects: Vec<String>,
    file: &Path,
) -> Result<(), CliError> {
    // What nobody watched is told by partition.
    subjects.push("presence.v1.engine.*".to_owned());
    let mut drawing = Drawing::default();
    while let Some(chunk) = history.next().await? {
        for stored in chunk.iter().filter(|stored| is_among(&stored.subject, &subjects)) {
            match ToldEvent::read(&stored.payload) {
                Ok(told) => drawing.observe(told),
                Err(error) => tracing::warn!("sequence {} is no event: {error}", stored.seq),
            }
        }
    }
    let from_ms = match since {
        Since::Time(time) => Some(since::millis(time)),
        Since::All | Since::Seq(_) => None,
    };
    let (drawn, left_out) = drawing.counts();
    let svg = drawing.svg(global.tenant_name(), from_ms, since::millis(SystemTime::now()));
    let svg = svg.ok_or_else(|| {
        CliError::No("nothing was told in that time; --since all goes back to the beginning".to_owned())
    })?;
    std::fs::write(file, svg).map_err(|error| CliError::No(format!("{} can't be written: {error}", file.display())))?;
    if left_out > 0 {
        output::note(&format!(
            "{drawn} users are drawn and {left_out} are not: the limit is {USERS_MAX}, --user names one"
        ));
    }
    Ok(())
}
