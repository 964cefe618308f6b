//! `presence replay`: transitions of the past, as they were told.

use std::io::Write;
use std::time::SystemTime;

use super::CliError;
use super::global::Global;
use super::history::{History, Since};
use super::scope::{Beside, is_among, subjects};
use super::{output, show};

#[derive(clap::Args)]
pub(super) struct Args {
    /// How far back: a duration as 1h or 7d, a time as 2026-01-31T08:00:00Z, or all
    #[arg(long, default_value = "1h", value_name = "WHEN", value_parser = since)]
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

fn since(text: &str) -> Result<Since, String> {
    if text == "all" {
        return Ok(Since::All);
    }
    let time = match humantime::parse_duration(text) {
        Ok(ago) => SystemTime::now().checked_sub(ago),
        Err(_) => humantime::parse_rfc3339_weak(text).ok(),
    };
    match time {
        Some(time) if time >= SystemTime::UNIX_EPOCH => Ok(Since::Time(time)),
        Some(_) => Ok(Since::All),
        None => Err("write it as 1h, 7d, 2026-01-31T08:00:00Z or all".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn times_are_durations_moments_or_all() {
        assert!(matches!(since("all"), Ok(Since::All)));
        assert!(matches!(since("1000years"), Ok(Since::All)), "before all time");
        let expected = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
        assert!(matches!(since("2023-11-14T22:13:20Z"), Ok(Since::Time(time)) if time == expected));
        assert!(matches!(since("1h"), Ok(Since::Time(_))));
        assert!(since("yesterday").is_err());
    }
}
