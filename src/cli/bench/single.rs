//! Single heartbeats, end to end.

use super::Result;
use super::course::Course;
use super::crowd::Crowd;
use super::figures::{Part, shown};
use super::pairs::{fill_singly, turns};
use super::rig::{FEW_EVENTS, FILE, MEMORY, Rig, still};

/// Of what a consumer that does nothing takes: live, and of a backlog.
const TARGETS: (f64, f64) = (0.9, 0.8);
const PER_USER: usize = 2;

pub(super) async fn measure(course: &Course, part: &mut Part) -> Result<()> {
    part.say(
        "Heartbeats of all sessions in turn (JSON, acknowledged by nobody) through 64 partitions, as fast as the log stores them, \
         until the event of the last one is there. In turns with it, now before it and now behind it, a consumer reads the same stream and does nothing: a process \
         like the engine, with the engine's own reader. The backlog is what that consumer read; the engine, ended meanwhile, \
         replays it when it starts. Two sessions a user; nobody changes, so nothing is told but the last.",
    );
    for (storage, config) in [("memory", MEMORY), ("file", FILE)] {
        for sessions in course.of([100_000, 1_000_000].as_slice(), [2_000].as_slice()) {
            let heartbeats = course.of(400_000, 10_000);
            let mut rig = Rig::start(course, &still(config, FEW_EVENTS)).await?;
            rig.begin().await?;
            let mut crowd = Crowd::new(*sessions, PER_USER, rig.partitions());
            fill_singly(&mut rig, &mut crowd).await?;
            let pairs = turns(&mut rig, course.runs, || crowd.singles(heartbeats)).await?;
            pairs.tell(part, &format!("{storage}, {} sessions", shown(*sessions as f64)), Some(TARGETS));
            rig.stop().await?;
        }
    }
    Ok(())
}
