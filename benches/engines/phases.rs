//! What an engine says of its start, and when.

use std::time::{Duration, SystemTime};

use crate::common::Result;
use crate::rig::{Rig, until};

/// Longer than a start may take.
const LIVE_MAX: Duration = Duration::from_secs(300);

/// What an engine says when its share of the partitions is live.
pub const LIVE: &str = " live position=";

/// How long each part of a start took, in milliseconds.
#[derive(Debug, Clone, Copy)]
pub struct Phases {
    /// From the start of the process until it has the fences of all partitions.
    pub fenced: f64,
    /// Until their checkpoints are loaded.
    pub loaded: f64,
    /// Until it is live: the log is read up to its end.
    pub caught_up: f64,
    /// How many sessions the checkpoints held.
    pub sessions: u64,
}

/// Starts an engine that has ended, and waits until it is live.
pub async fn restart(rig: &mut Rig, at: usize) -> Result<Phases> {
    let begin = SystemTime::now();
    rig.engines[at].respawn();
    let said = until("the engine is live", LIVE_MAX, async || {
        let engine = &mut rig.engines[at];
        engine.must_run();
        let said = engine.stderr();
        Ok(said.contains(LIVE).then_some(said))
    })
    .await?;
    let fenced = when(&said, "took the fences")?;
    let loaded = when(&said, " restored partition=")?;
    let live = when(&said, LIVE)?;
    let sessions = said.lines().filter(|line| line.contains(" restored partition="));
    let sessions = sessions.filter_map(|line| line.rsplit_once("sessions=")?.1.trim().parse::<u64>().ok()).sum();
    Ok(Phases {
        fenced: millis(begin, fenced)?,
        loaded: millis(fenced, loaded)?,
        caught_up: millis(loaded, live)?,
        sessions,
    })
}

/// When it last said so.
fn when(said: &str, what: &str) -> Result<SystemTime> {
    let line =
        said.lines().rfind(|line| line.contains(what)).ok_or_else(|| format!("it never said `{what}`:\n{said}"))?;
    let time = line.split_whitespace().next().ok_or("a line has a beginning")?;
    Ok(humantime::parse_rfc3339(time)?)
}

fn millis(from: SystemTime, to: SystemTime) -> Result<f64> {
    Ok(to.duration_since(from)?.as_secs_f64() * 1_000.0)
}
