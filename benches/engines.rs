//! What it costs that engines share the partitions: taking over from one that was killed, handing over, restarting all of
//! them, restoring a million sessions, replaying a backlog, and many sessions that fall together.
//!
//! `cargo bench --bench engines` measures everything, `cargo bench --bench engines -- takeover expiry` these parts, and
//! `--small` tries a part quickly. The engines are processes of the release binary; they, a server of each part's own and the
//! clients share the machine. What the engines say stays in the folder that `ENGINES_LOGS` names.

mod common;
#[path = "engines/expiry.rs"]
mod expiry;
#[path = "engines/handover.rs"]
mod handover;
#[path = "engines/phases.rs"]
mod phases;
#[path = "engines/replay.rs"]
mod replay;
#[path = "engines/restore.rs"]
mod restore;
#[path = "engines/rig.rs"]
mod rig;
#[path = "engines/rolling.rs"]
mod rolling;
#[path = "engines/row.rs"]
mod row;
#[path = "engines/takeover.rs"]
mod takeover;
#[path = "../tests/common/mod.rs"]
mod testing;
#[path = "engines/witness.rs"]
mod witness;

use std::time::Duration;

use common::Result;
use row::load_average;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::timeout;
use tracing_subscriber::EnvFilter;

/// No part takes longer than this, on any machine.
const PART_MAX: Duration = Duration::from_secs(1_200);
const PARTS: [&str; 6] = ["takeover", "handover", "rolling", "restore", "replay", "expiry"];

#[tokio::main]
async fn main() -> Result<()> {
    // Errors of the clients go beside the table, not into it.
    tracing_subscriber::fmt().with_env_filter(EnvFilter::new("error")).with_writer(std::io::stderr).init();
    let mut words: Vec<String> = std::env::args().skip(1).filter(|word| word != "--bench").collect();
    let is_small = words.iter().any(|word| word == "--small");
    words.retain(|word| word != "--small");
    if let Some(unknown) = words.iter().find(|word| !PARTS.contains(&word.as_str())) {
        return Err(format!("`{unknown}` is no part: {} are, and --small", PARTS.join(", ")).into());
    }
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    // Whichever ends first drops the other: servers and engines end with what they belong to.
    tokio::select! {
        measured = measure(&words, is_small) => measured,
        _ = interrupt.recv() => Err("interrupted".into()),
        _ = terminate.recv() => Err("terminated".into()),
    }
}

async fn measure(words: &[String], is_small: bool) -> Result<()> {
    for part in PARTS.into_iter().filter(|part| words.is_empty() || words.iter().any(|word| word == part)) {
        println!("\n{part} (load average {})", load_average()?);
        let measured = async {
            match part {
                "takeover" => takeover::measure(is_small).await,
                "handover" => handover::measure(is_small).await,
                "rolling" => rolling::measure(is_small).await,
                "restore" => restore::measure(is_small).await,
                "replay" => replay::measure(is_small).await,
                _ => expiry::measure(is_small).await,
            }
        };
        timeout(PART_MAX, measured).await.map_err(|_| format!("{part} was not measured in {PART_MAX:?}"))??;
        println!("  load average afterwards {}", load_average()?);
    }
    Ok(())
}
