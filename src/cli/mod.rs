//! The command line: a file per verb. Results go to standard output, logs and errors to standard error.

mod announce;
mod audit;
mod backtest;
mod bench;
mod check;
mod error;
mod explain;
mod gateway;
mod get;
mod global;
mod history;
mod interrupt;
mod output;
mod policy;
mod replay;
mod route;
mod run;
mod schema;
mod scope;
mod setup;
mod show;
mod signal;
mod since;
mod status;
mod up;
mod wait;
mod watch;

use std::io::Write;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use error::CliError;
use global::Global;

/// Presence as a signal that decays: heartbeats in, transitions out, exactly once, on NATS JetStream.
#[derive(Parser)]
#[command(
    name = "presence",
    version,
    disable_help_subcommand = true,
    arg_required_else_help = true,
    max_term_width = 100
)]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
    #[command(flatten)]
    global: Global,
}

#[derive(Subcommand)]
enum Verb {
    /// Start a NATS server and the engine: one command, one URL
    Up(up::Args),
    /// Run the engine against a NATS that is there
    Run(run::Args),
    /// Create or check the streams and buckets
    Setup(setup::Args),
    /// Validate a configuration, show its profiles, and warn of what must flap
    Check(check::Args),
    /// Publish a signal of a session, or keep beating
    Signal(signal::Args),
    /// Publish signals of many connections in batches
    ///
    /// From a subject, or from standard input. Signals keep their order, each tells how long it was held, and what the log has not
    /// acknowledged is sent again and stored once. While sessions are silent it says each second that it lives itself. It ends at the
    /// end of standard input, or by SIGTERM, and publishes what it holds before.
    Gateway(gateway::Args),
    /// Follow transitions as they are told
    Watch(watch::Args),
    /// Ask who is present
    Get(get::Args),
    /// Wait until users, or members of a room, are ready
    Wait(wait::Args),
    /// Tell whom to ask, best first, with the reasons
    Route(route::Args),
    /// Explain why a user's state is what it is, with the evidence
    ///
    /// It is derived beside the engine, from the newest checkpoint and the log behind it, so what an engine that is behind has
    /// not told yet is in it. Nothing is written. Of somebody who is invisible it tells the truth: it is for operators.
    Explain(explain::Args),
    /// Tell what was told: transitions of the past
    Replay(replay::Args),
    /// What somebody was over time, or who was here at some time
    ///
    /// From what was told and is kept. With --at: everybody who was here, or with --room too, who was in that room.
    History(history::Args),
    /// Fold the stored log under another policy too, and compare what is told
    ///
    /// Folds it twice, under the policy in force and under that of --config, and compares transitions, flaps, false alarms and
    /// delays. Both begin with nobody there, so that they differ by their policies alone: who was there before shows up with its
    /// next signal. Nothing is written, and no engine is disturbed.
    Backtest(backtest::Args),
    /// Show the policy in force, or bring another one into force
    Policy(policy::Args),
    /// Prove that the stored transitions are whole: ordinals, chains, epochs, no duplicate
    Audit(audit::Args),
    /// Show which engines take part, who owns what, how far each is, and what nobody watched
    Status(status::Args),
    /// Measure the whole path beside NATS KV and Redis, and write a report
    Bench(bench::Args),
    /// Print or write the JSON Schemas of the contract
    Schema(schema::Args),
}

/// Parses the arguments of this process, does what they say, and returns the exit code: 0 done, 1 said no, 2 usage or
/// configuration, 3 NATS not reachable.
#[must_use]
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    match run(&cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            if let Some(message) = error.message() {
                // Nobody is left to tell where standard error is gone too.
                _ = writeln!(std::io::stderr(), "presence: {message}");
            }
            error.exit_code()
        }
    }
}

fn run(cli: &Cli) -> Result<(), CliError> {
    let global = &cli.global;
    match &cli.verb {
        Verb::Up(args) => to_its_end("info", up::run(global, args)),
        Verb::Run(args) => to_its_end("info", run::run(global, args)),
        Verb::Setup(args) => to_its_end("warn", setup::run(global, args)),
        Verb::Check(args) => check::run(global, args),
        Verb::Signal(args) => to_its_end("warn", signal::run(global, args)),
        Verb::Gateway(args) => to_its_end("info", gateway::run(global, args)),
        Verb::Watch(args) => to_its_end("warn", watch::run(global, args)),
        Verb::Get(args) => to_its_end("warn", get::run(global, args)),
        Verb::Wait(args) => to_its_end("warn", wait::run(global, args)),
        Verb::Route(args) => to_its_end("warn", route::run(global, args)),
        Verb::Explain(args) => to_its_end("warn", explain::run(global, args)),
        Verb::Replay(args) => to_its_end("warn", replay::run(global, args)),
        Verb::History(args) => to_its_end("warn", history::run(global, args)),
        Verb::Backtest(args) => to_its_end("warn", backtest::run(global, args)),
        Verb::Policy(args) => to_its_end("warn", policy::run(global, args)),
        Verb::Audit(args) => to_its_end("warn", audit::run(global, args)),
        Verb::Status(args) => to_its_end("warn", status::run(global, args)),
        Verb::Bench(args) => to_its_end("error", bench::run(global, args)),
        Verb::Schema(args) => schema::run(global, args),
    }
}

/// Runs a verb that talks to NATS, with logs from `level` up.
fn to_its_end(level: &str, verb: impl Future<Output = Result<(), CliError>>) -> Result<(), CliError> {
    start_logging(level);
    let runtime = tokio::runtime::Runtime::new()
        .map_err(|error| CliError::No(format!("the asynchronous runtime does not start: {error}")))?;
    runtime.block_on(verb)
}

/// Logs to standard error; `RUST_LOG` goes before `level`.
fn start_logging(level: &str) {
    use std::io::IsTerminal;
    use tracing_subscriber::EnvFilter;

    // The client logs every reconnect attempt; what matters of it, the engine says itself.
    let filter =
        EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(format!("{level},async_nats=error")));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .with_target(false)
        .init();
}
