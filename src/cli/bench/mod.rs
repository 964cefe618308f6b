//! `presence bench`: the benchmark of the whole path, on servers and engines of its own.
//!
//! Ratios within one run count, absolute times do not: whatever the path is compared with runs beside it, on the same machine and
//! in the same run. Server and engine are processes of their own, so that what they take is known of each.

mod batches;
mod course;
mod crowd;
mod engine;
mod figures;
mod growth;
mod idle;
mod lateness;
mod load;
mod nothing;
mod pairs;
mod peers;
mod plot;
mod process;
mod recovery;
mod report;
mod rig;
mod single;

use std::path::PathBuf;
use std::time::Duration;

use clap::ValueEnum;

use super::CliError;
use super::global::{Global, Output};
use super::interrupt::Interrupts;
use super::output;
use course::Course;
use figures::Part;
use nothing::Reads;
use report::Report;

/// Why something was not measured.
type Result<T> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

/// No part takes longer than this, on any machine.
const PART_MAX: Duration = Duration::from_secs(1_800);
/// What an interrupted server is given to end before its folder goes.
const ENDING: Duration = Duration::from_secs(2);

#[derive(clap::Args)]
pub(super) struct Args {
    /// What is measured; all of it where nothing is named
    #[arg(value_name = "PARTS")]
    parts: Vec<Name>,
    /// Small numbers, to see that it works: the figures mean nothing
    #[arg(long)]
    quick: bool,
    /// Where report.md, report.json and the plots go; parts that are there already and are not measured again stay
    #[arg(long, default_value = "bench-report", value_name = "FOLDER")]
    report: PathBuf,
    /// How often each comparison is made; medians count
    #[arg(long, default_value_t = 3, value_name = "COUNT", value_parser = clap::value_parser!(u8).range(1..=20))]
    runs: u8,
    /// The nats-server to start [default: the one in PATH if it is new enough, else .tools/bin/nats-server]
    #[arg(long, value_name = "FILE")]
    nats_server: Option<PathBuf>,
    /// The redis-server to compare with [default: the one in PATH]
    #[arg(long, value_name = "FILE")]
    redis_server: Option<PathBuf>,
    /// Be the consumer that does nothing: read so many entries of the log from a sequence on, as FIRST:COUNT
    #[arg(long, hide = true, value_name = "FIRST:COUNT", value_parser = Reads::parse)]
    reads: Option<Reads>,
}

/// The parts, in the order in which they are measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Name {
    /// Single heartbeats end to end, beside a consumer that does nothing
    Single,
    /// Gateways' batches, beside a consumer that does nothing
    Batches,
    /// Beside what one would build otherwise: NATS KV with a TTL per key, Redis with expiry notifications
    Peers,
    /// How late transitions are told
    Lateness,
    /// What a heartbeat costs by the number of sessions, partitions, sessions of a user and users of a room
    Growth,
    /// Checkpoints and restoring
    Recovery,
    /// What sessions cost that only beat
    Idle,
}

pub(super) async fn run(global: &Global, args: &Args) -> std::result::Result<(), CliError> {
    if let Some(reads) = &args.reads {
        return reads.run(&global.connect().await?).await.map_err(|error| CliError::No(error.to_string()));
    }
    let interrupts = Interrupts::listen()?;
    let course = Course::new(args.quick, args.runs.into(), args.nats_server.clone(), args.redis_server.clone())
        .map_err(|error| CliError::No(format!("the benchmark can't begin: {error}")))?;
    tokio::select! {
        done = measure(global, args, &course) => done,
        () = interrupts.first() => {
            tokio::time::sleep(ENDING).await;
            Err(CliError::No("interrupted: parts that were measured before are in the report".to_owned()))
        }
    }
}

async fn measure(global: &Global, args: &Args, course: &Course) -> std::result::Result<(), CliError> {
    let mut report = Report::open(&args.report, course).await.map_err(|error| CliError::No(error.to_string()))?;
    let mut failed = Vec::new();
    for name in Name::value_variants().iter().filter(|name| args.parts.is_empty() || args.parts.contains(name)) {
        let mut part = Part::begin(&name.to_string(), name.title());
        let measured = tokio::time::timeout(PART_MAX, name.measure(course, &mut part)).await;
        let measured = measured.unwrap_or_else(|_| Err(format!("it was not measured in {PART_MAX:?}").into()));
        if let Err(error) = measured {
            part.fail(&error.to_string());
            failed.push(name.to_string());
        }
        part.end();
        if global.output == Output::Text {
            output::line(&report::text(&part))?;
        }
        report.take(part).map_err(|error| CliError::No(error.to_string()))?;
    }
    if global.output == Output::Json {
        output::json(&report)?;
    }
    if failed.is_empty() {
        Ok(())
    } else {
        Err(CliError::No(format!("not measured: {}; the report says why", failed.join(", "))))
    }
}

impl std::fmt::Display for Name {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Single => "single",
            Self::Batches => "batches",
            Self::Peers => "peers",
            Self::Lateness => "lateness",
            Self::Growth => "growth",
            Self::Recovery => "recovery",
            Self::Idle => "idle",
        })
    }
}

impl Name {
    fn title(self) -> &'static str {
        match self {
            Self::Single => "Single heartbeats, end to end",
            Self::Batches => "Gateways' batches",
            Self::Peers => "Beside what one would build otherwise",
            Self::Lateness => "Lateness",
            Self::Growth => "Growth",
            Self::Recovery => "Recovery",
            Self::Idle => "Idle cost",
        }
    }

    async fn measure(self, course: &Course, part: &mut Part) -> Result<()> {
        match self {
            Self::Single => single::measure(course, part).await,
            Self::Batches => batches::measure(course, part).await,
            Self::Peers => peers::measure(course, part).await,
            Self::Lateness => lateness::measure(course, part).await,
            Self::Growth => growth::measure(course, part).await,
            Self::Recovery => recovery::measure(course, part).await,
            Self::Idle => idle::measure(course, part).await,
        }
    }
}
