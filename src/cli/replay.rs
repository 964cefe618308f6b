//! `presence replay`: transitions of the past, as they were told.

use std::io::Write;

use super::CliError;
use super::global::Global;
use super::scope::{Beside, is_among, subjects};
use super::{output, show, since};
use crate::nats::history::{History, Since};

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
}

pub(super) async fn run(global: &Global, args: &Args) -> Result<(), CliError> {
    let subjects = subjects(global, args.user.as_deref(), args.beside)?;
    let nats = global.connect().await?;
    // The server is slow to filter by a subject that matches many: a whole tenant's are picked here.
    let filters = if args.user.is_some() { subjects.clone() } else { Vec::new() };
    let mut history = History::open(&nats, filters, args.since).await?;
    let mut out = output::buffered();
    let mut nothing = true;
    while let Some(chunk) = history.next().await? {
        for stored in chunk {
            if !is_among(&stored.subject, &subjects) {
                continue;
            }
            nothing = false;
            match show::payload(&stored.payload, global.output) {
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
