//! Gateways' batches.

use super::Result;
use super::course::Course;
use super::crowd::{BATCH, Crowd};
use super::figures::{Part, shown};
use super::pairs::{fill, turns};
use super::rig::{FEW_EVENTS, FILE, MEMORY, Rig, still};

/// Heartbeats per second through the stream.
const TARGET: f64 = 3_000_000.0;
const PER_USER: usize = 2;

pub(super) async fn measure(course: &Course, part: &mut Part) -> Result<()> {
    part.say(&format!(
        "The same by batches, {BATCH} heartbeats each (fewer where a partition has fewer sessions), MessagePack, each heartbeat with \
         user, session, epoch and seq. They are encoded before and published by this process over one connection.",
    ));
    let mut rates = Vec::new();
    for (storage, config) in [("memory", MEMORY), ("file", FILE)] {
        for sessions in course.of([128_000, 1_000_000].as_slice(), [4_000].as_slice()) {
            let heartbeats = course.of(4_000_000, 40_000);
            let mut rig = Rig::start(course, &still(config, FEW_EVENTS)).await?;
            rig.begin().await?;
            let mut crowd = Crowd::new(*sessions, PER_USER, rig.partitions());
            fill(&mut rig, &mut crowd).await?;
            let pairs = turns(&mut rig, course.runs, || Ok(crowd.batches(heartbeats))).await?;
            let of = format!("{storage}, {} sessions", shown(*sessions as f64));
            rates.push((of.clone(), pairs.engine.clone()));
            pairs.tell(part, &of, None);
            rig.stop().await?;
        }
    }
    for (of, rate) in rates {
        part.at_least(&format!("{of}: through the stream"), "heartbeats/s", &rate, TARGET);
    }
    Ok(())
}
