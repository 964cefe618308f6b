//! Publishing what was prepared, as fast as the log stores it or at a pace.

use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior, interval};

use super::Result;
use super::crowd::Prepared;
use super::rig::{Rig, reaches};
use crate::nats::{LogIdentity, Nats};

/// The publisher runs at most so far ahead of the log: beyond, the server might drop what it can't store in time.
const AHEAD_HEARTBEATS: usize = 20_000;
/// Batches are that much larger.
const AHEAD_BATCHES: usize = 200;
/// How often a pace is kept.
const PACE: Duration = Duration::from_millis(20);

/// Publishes all of it, as fast as the log stores it; the last of it may be on its way.
pub(super) async fn flood(nats: &Nats, prepared: Prepared) -> Result<()> {
    let is_single = prepared.heartbeats == prepared.messages.len();
    let ahead = if is_single { AHEAD_HEARTBEATS } else { AHEAD_BATCHES };
    let start = LogIdentity::read(nats).await?.last_seq;
    for (number, (subject, payload)) in prepared.messages.into_iter().enumerate() {
        nats.client.publish(subject, payload).await?;
        if number % (ahead / 4) == ahead / 4 - 1 {
            nats.client.flush().await?;
            reaches(nats, start + (number as u64).saturating_sub(ahead as u64)).await?;
        }
    }
    Ok(nats.client.flush().await?)
}

/// Publishes evenly over `whole` what `next` gives: so many messages are asked of it as are due.
pub(super) async fn pace(
    nats: &Nats,
    whole: Duration,
    count: usize,
    mut next: impl FnMut(usize) -> Result<Prepared>,
) -> Result<()> {
    let begin = Instant::now();
    let mut ticks = interval(PACE);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut sent = 0;
    while sent < count {
        ticks.tick().await;
        let part = (begin.elapsed().as_secs_f64() / whole.as_secs_f64()).min(1.0);
        let due = (count as f64 * part) as usize;
        for (subject, payload) in next(due - sent)?.messages {
            nats.client.publish(subject, payload).await?;
        }
        sent = due;
        nats.client.flush().await?;
    }
    Ok(())
}

/// What heartbeats took on their way through the engine, until the last of them was told.
#[derive(Debug, Clone, Copy)]
pub(super) struct Passed {
    /// Heartbeats per second.
    pub(super) rate: f64,
    /// Processor time of the engine for each, in microseconds.
    pub(super) engine_us: f64,
    /// And that of the server.
    pub(super) server_us: f64,
}

/// Sends heartbeats through the engine that runs.
pub(super) async fn through(rig: &mut Rig, prepared: Prepared) -> Result<Passed> {
    let heartbeats = prepared.heartbeats as f64;
    let marker = rig.marker().await?;
    let (engine, server) = (rig.engine()?.process(), rig.server_process()?);
    let (engine_before, server_before) = (engine.cpu()?, server.cpu()?);
    let begin = Instant::now();
    flood(&rig.nats, prepared).await?;
    marker.passes(rig).await?;
    let seconds = begin.elapsed().as_secs_f64();
    let each = |after: Duration, before: Duration| (after.saturating_sub(before)).as_secs_f64() * 1e6 / heartbeats;
    Ok(Passed {
        rate: heartbeats / seconds,
        engine_us: each(engine.cpu()?, engine_before),
        server_us: each(server.cpu()?, server_before),
    })
}
